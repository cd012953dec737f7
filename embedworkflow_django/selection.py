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


def search(queryset: QuerySet[Execution], term: str, about: str = "") -> QuerySet[Execution]:
    """Return the executions that a search term means.

    Args:
        queryset: The executions to search.
        term: A source as ``app.model:pk``, that of a proxy as its model's; an id or its beginning,
            of eight digits at least; a remote id, a hashid or an idempotency key; or else a
            workflow. All exactly.
        about: The object that the term may name besides; see ``named``.
    """
    if "\0" in term:
        return queryset.none()  # No database stores it, and not every one takes it.
    exactly = Q(remote_id=term) | Q(idempotency_key=term) | Q(hashid=term)
    if source := _SOURCE.fullmatch(about or term):
        exactly |= Q(source_type=source_label(source[1]), source_id=source[2].strip())
        if not about:
            return queryset.filter(exactly)
    elif _UUID_START.fullmatch(term) and (digits := term.replace("-", "")):
        return queryset.filter(exactly | Q(pk__range=_uuids_from(digits)))
    found = queryset.filter(exactly)
    # Not one more alternative: a workflow may have millions, and together they would be sorted.
    return found if found.exists() else queryset.filter(workflow=term)


def named(term: str) -> str:
    """Return the object that a search term names as people read it, as ``app.model:pk``.

    Args:
        term: Such as ``order 17``, in the language of the moment.

    Returns:
        Empty if it is no model's name and something after it, or the name of several models.
    """
    found: dict[int, set[str]] = {}
    for model in apps.get_models():
        name = f"{model._meta.verbose_name} "
        if term.lower().startswith(name.lower()):
            label = f"{source_type(model)}:{term[len(name) :]}"
            found.setdefault(len(name), set()).add(label)
    # Of "order" and "order line" the longer one is meant.
    labels = found[max(found)] if found else set()
    return labels.pop() if len(labels) == 1 else ""


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
            ``since`` and ``before``, ids between which they were created; ``q``, a search term,
            and ``about``, the object that it names. What is left out does not matter.
    """
    exact = {name: filters[name] for name in ("workflow", "trigger", "account") if name in filters}
    queryset = queryset.filter(**exact)
    if "statuses" in filters:
        queryset = queryset.filter(status__in=filters["statuses"])
    if "since" in filters:
        queryset = queryset.filter(pk__gte=filters["since"])
    if "before" in filters:
        queryset = queryset.filter(pk__lt=filters["before"])
    if "q" in filters:
        queryset = search(queryset, filters["q"], filters.get("about", ""))
    return queryset


def _uuids_from(digits: str) -> tuple[uuid.UUID, uuid.UUID]:
    digits = digits[:32]
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
