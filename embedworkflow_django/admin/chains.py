"""What else was run: the whole chain of runs of an execution, and the others of its source."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from ..exceptions import escape_bidi
from ..models import Execution
from . import lists, presentation

# How far the chain is followed back and forth from the execution, and the most that is shown.
MAX_STEPS = 25
MAX_CHAIN = 50
MAX_OTHERS = 5

# From the execution back to the first run, and from there to all that came of it: one query.
_CHAIN = """
WITH RECURSIVE before_it (id, origin, steps) AS (
    SELECT id, run_again_of_id, 0 FROM {table} WHERE id = %s
    UNION ALL
    SELECT e.id, e.run_again_of_id, b.steps + 1
    FROM before_it b JOIN {table} e ON e.id = b.origin WHERE b.steps < %s
), chain (id, steps) AS (
    SELECT id, 0 FROM before_it WHERE steps = (SELECT MAX(steps) FROM before_it)
    UNION ALL
    SELECT e.id, c.steps + 1
    FROM chain c JOIN {table} e ON e.run_again_of_id = c.id WHERE c.steps < %s
)
SELECT id FROM chain
"""


def runs(queryset: QuerySet[Execution], execution: Execution) -> list[Execution]:
    """Return all runs of the chain that an execution belongs to, the oldest first; one query.

    Args:
        queryset: The executions that the viewer may see.
        execution: One of the chain. Its chain is followed ``MAX_STEPS`` back, and from there as
            often again beyond it.
    """
    connection = connections[queryset.db]
    table = connection.ops.quote_name(Execution._meta.db_table)
    pk = Execution._meta.pk.get_db_prep_value(execution.pk, connection)
    chain = RawSQL(_CHAIN.format(table=table), (pk, MAX_STEPS, 2 * MAX_STEPS))  # noqa: S611
    found = queryset.filter(pk__in=chain).order_by("pk").defer(*lists.HEAVY)
    return list(found[: MAX_CHAIN + 1])


def others(queryset: QuerySet[Execution], execution: Execution) -> list[Execution]:
    """Return the latest other executions of the same source, the newest first; one query.

    Args:
        queryset: The executions that the viewer may see.
        execution: Whose source it is.
    """
    if not execution.source_type:
        return []
    same = {"source_type": execution.source_type, "source_id": execution.source_id}
    found = queryset.filter(**same).exclude(pk=execution.pk).order_by("-pk").defer(*lists.HEAVY)
    return list(found[:MAX_OTHERS])


def described(execution: Execution) -> dict[str, Any]:
    """Return what a page shows of another execution."""
    return {
        "execution": execution,
        "workflow": escape_bidi(execution.workflow),
        "badge": presentation.badge(execution.status),
        "created": presentation.timestamp(execution.created_at),
    }
