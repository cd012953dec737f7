"""Selection: which executions a search term means, and which a frozen filter does.

An index answers each question.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from .models import Execution, source_type

_SOURCE = re.compile(r"([a-z_]\w*\.[a-z_]\w*):(.+)", re.IGNORECASE)
_UUID_START = re.compile(r"[0-9a-f-]{8,36}", re.IGNORECASE)


def search(queryset: QuerySet[Execution], term: str) -> QuerySet[Execution]:
    """Return the executions that a search term means.

    Args:
        queryset: The executions to search.
        term: A source as ``app.model:pk``, that of a proxy as its model's; an id or its beginning,
            of eight digits at least; a remote id, a hashid or an idempotency key; or else a
            workflow. All exactly.
    """
    if "\0" in term:
        return queryset.none()  # No database stores it, and not every one takes it.
    exactly = Q(remote_id=term) | Q(idempotency_key=term) | Q(hashid=term)
    if source := _SOURCE.fullmatch(term):
        about = Q(source_type=source_label(source[1]), source_id=source[2].strip())
        return queryset.filter(exactly | about)
    if _UUID_START.fullmatch(term) and (digits := term.replace("-", "")):
        return queryset.filter(exactly | Q(pk__range=_uuids_from(digits)))
    found = queryset.filter(exactly)
    # Not one more alternative: a workflow may have millions, and together they would be sorted.
    return found if found.exists() else queryset.filter(workflow=term)


def source_label(model: str) -> str:
    """Return the label under which a model's objects are sources; a proxy's are its model's.

    Args:
        model: The model as ``app.model``; one that is gone keeps its label.
    """
    try:
        return source_type(apps.get_model(model))
    except LookupError:
        return model.lower()


def matching(queryset: QuerySet[Execution], filters: Mapping[str, Any]) -> QuerySet[Execution]:
    """Return the executions that a frozen filter means, today as on the day it was frozen.

    Args:
        queryset: The executions to choose from.
        filters: ``statuses``, a list; ``workflow``, ``trigger``, ``account``, each exactly;
            ``since`` and ``before``, ids between which they were created; ``q``, a search term.
            What is left out does not matter.
    """
    exact = {name: filters[name] for name in ("workflow", "trigger", "account") if name in filters}
    queryset = queryset.filter(**exact)
    if "statuses" in filters:
        queryset = queryset.filter(status__in=filters["statuses"])
    if "since" in filters:
        queryset = queryset.filter(pk__gte=filters["since"])
    if "before" in filters:
        queryset = queryset.filter(pk__lt=filters["before"])
    return search(queryset, filters["q"]) if "q" in filters else queryset


def _uuids_from(digits: str) -> tuple[uuid.UUID, uuid.UUID]:
    digits = digits[:32]
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
