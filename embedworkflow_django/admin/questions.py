"""Several questions to the indexes in one statement, each of which reads a bounded part of one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from ..figures import Count

_Arm = tuple[str, tuple[Any, ...]]

# A derived table for each: SQLite knows no limit within a compound.
_COUNT = "(SELECT COUNT(*) FROM (%s) ewf_arm)"
_KEYS = "SELECT * FROM (%s) ewf_arm"


def counts(querysets: Mapping[str, QuerySet[Any]], limit: int) -> dict[str, Count]:
    """Return how many rows each of several querysets has.

    Args:
        querysets: What to count, by name; all of one database.
        limit: Where counting stops.
    """
    arms = {
        name: arm
        for name, queryset in querysets.items()
        if (arm := _compiled(queryset.order_by().values("pk")[: limit + 1]))
    }
    found: tuple[Any, ...] = ()
    if arms:
        said = ", ".join(_COUNT % sql for sql, _own in arms.values())
        (found,) = _ask(f"SELECT {said}", querysets.values(), arms.values())
    numbers = dict.fromkeys(querysets, 0) | dict(zip(arms, found, strict=True))
    return {name: Count(min(n, limit), capped=n > limit) for name, n in numbers.items()}


def newest(querysets: Iterable[QuerySet[Any]], start: int, stop: int) -> list[uuid.UUID]:
    """Return the primary keys of some of the newest rows of several disjoint querysets.

    Whoever asks for whole rows, or for several statuses at once, leaves it to the database whether
    to walk through an index or, hoping that a match comes soon, through the table. For the key of
    one status the index alone is enough.

    Args:
        querysets: Whose rows; all of one database.
        start: How many of the newest to leave out.
        stop: How many of the newest to look at.
    """
    keys = [queryset.order_by("-pk").values_list("pk", flat=True) for queryset in querysets]
    if len(keys) == 1:
        return list(keys[0][start:stop])
    arms = [arm for queryset in keys if (arm := _compiled(queryset[:stop]))]
    if not arms:
        return []
    said = " UNION ALL ".join(_KEYS % sql for sql, _own in arms)
    rows = _ask(f"{said} ORDER BY 1 DESC LIMIT {stop - start} OFFSET {start}", keys, arms)
    return [uuid.UUID(str(key)) for (key,) in rows]


def _compiled(queryset: QuerySet[Any]) -> _Arm | None:
    """Return a queryset's statement and its parameters, ``None`` if no row can match."""
    try:
        compiled: _Arm = queryset.query.get_compiler(queryset.db).as_sql()
    except EmptyResultSet:
        return None
    return compiled


def _ask(
    sql: str, querysets: Iterable[QuerySet[Any]], arms: Iterable[_Arm]
) -> list[tuple[Any, ...]]:
    using = next(queryset.db for queryset in querysets)
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [parameter for _sql, own in arms for parameter in own])
        return list(cursor.fetchall())
