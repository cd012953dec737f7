"""The mirror: remote state becomes columns, transitions, events, and signals."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.dispatch import Signal
from django.utils import timezone

from . import signals
from .client import RemoteExecution
from .encoding import DEEPEST, is_same
from .models import FINAL, Execution, ExecutionEvent, Status

logger = logging.getLogger("embedworkflow_django")

COUNTERS = (
    "actions_count",
    "idle_actions_count",
    "running_actions_count",
    "completed_actions_count",
    "failed_actions_count",
    "stopped_actions_count",
)
_DOCUMENTS = ("log", "stats", "template")
_TEXTS = ("hashid", "key", "name")
# What has a column of its own; our execution_data is the truth for the API's echo of it.
_COLUMNS = frozenset(
    {*COUNTERS, *_DOCUMENTS, *_TEXTS, "id", "status", "created_at_utc", "execution_data"}
)
# The API's words. Only "running" is proven on the wire; the others are the names that its
# documentation gives the states (concepts/executions), and those of an action that did not work.
STATUSES = {
    "running": Status.RUNNING,
    "upcoming": Status.UPCOMING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "stopped": Status.STOPPED,
    "deleted": Status.DELETED,
}
_LARGEST_INTEGER = 2**31 - 1
_LENGTHS = {field.name: getattr(field, "max_length", None) for field in Execution._meta.fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What shall be written of one row, once its call has ended.

    Args:
        execution: The row as it was claimed.
        values: New values of columns.
        before: The status as it was claimed.
        after: The status as it will be.
        finishes: Whether the row is final and its end has not been announced.
        source: Who learnt of it.
        outcome: One word for the counts and the log.
        detail: What its event says; without any, only a transition makes an event.
    """

    execution: Execution
    values: dict[str, Any]
    before: str
    after: str
    finishes: bool
    source: str
    outcome: str
    detail: dict[str, Any]

    def adding(self, **values: Any) -> Change:
        """Return the same change with further values, none of them a status."""
        return replace(self, values={**self.values, **values})

    def event(self, at: datetime) -> ExecutionEvent | None:
        """Return the row of its history, if it is worth one."""
        if not self.detail and self.before == self.after:
            return None
        return ExecutionEvent(
            execution_id=self.execution.pk,
            at=at,
            status=self.after,
            source=self.source,
            detail=storable(self.detail),
        )

    def apply(self) -> None:
        """Put the new values on the row itself, for the receivers."""
        for name, value in self.values.items():
            setattr(self.execution, name, value)


def change(
    execution: Execution,
    values: dict[str, Any],
    *,
    source: str,
    outcome: str,
    detail: dict[str, Any] | None = None,
) -> Change:
    """Return the change that brings new values to a claimed row.

    Args:
        execution: The row as it was claimed.
        values: New values of columns.
        source: Who learnt of it.
        outcome: One word for the counts and the log.
        detail: What its event says.
    """
    after = values.get("status", execution.status)
    return Change(
        execution=execution,
        values=values,
        before=execution.status,
        after=after,
        finishes=after in FINAL and values.get("announced_at", execution.announced_at) is None,
        source=source,
        outcome=outcome,
        detail=detail or {},
    )


def status_of(word: str) -> str:
    """Return our status for the API's word; an unheard one is ``unknown``, and logged once."""
    status = STATUSES.get(word.strip().lower())
    if status is not None:
        return status
    _warn(word[:64])
    return Status.UNKNOWN


@lru_cache(maxsize=100)  # Once for each word, and no memory without end.
def _warn(word: str) -> None:
    logger.warning(
        "The API reported a status that is not known: %r. The execution counts as active.",
        word,
        extra={"event_name": "status_unheard", "remote_status": word},
    )


def observed(execution: Execution, remote: RemoteExecution) -> dict[str, Any]:
    """Return the columns that differ from what the API says.

    A final status is kept, whatever the API says later.

    Args:
        execution: The row as it was claimed.
        remote: The API's answer.
    """
    says = {
        "remote_id": remote.id,
        "remote_status": _text(remote.status, "remote_status"),
        "remote_created_at": _local(remote.created_at_utc),
        "raw": _document({k: v for k, v in remote.raw.items() if k not in _COLUMNS}) or {},
        **{name: _text(getattr(remote, name), name) for name in _TEXTS},
        **{name: _count(getattr(remote, name)) for name in COUNTERS},
        # An answer without stats and template says nothing of them.
        **{name: _document(getattr(remote, name)) for name in _DOCUMENTS},
    }
    if not execution.is_final:
        # Without a word from the API, what it has confirmed runs.
        says["status"] = status_of(remote.status) if remote.status else Status.RUNNING
    return {
        name: value
        for name, value in says.items()
        if value is not None and not _is_known(value, getattr(execution, name))
    }


def _is_known(value: Any, stored: Any) -> bool:
    # The cheaper question first: it is asked of every document at every poll.
    return value == stored or is_same(value, stored)


def ended(execution: Execution, values: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the same values, with what a final status brings along; others are left alone.

    Args:
        execution: The row as it was claimed.
        values: New values of columns.
        now: The time.
    """
    if values.get("status", execution.status) not in FINAL:
        return values
    return {**values, "due_at": None, "finished_at": execution.finished_at or now}


def moved(values: Mapping[str, Any]) -> bool:
    """Return whether an answer brought anything that a person would call news."""
    return any(name in values for name in (*COUNTERS, "status", "remote_status", "stats"))


def counters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an answer's news that belongs into its event."""
    return {k: v for k, v in values.items() if k in COUNTERS or k == "remote_status"}


def _text(value: str, column: str) -> str:
    return _clean_text(value)[: _LENGTHS[column]]


def _document(value: dict[str, Any]) -> Any:
    return storable(value) if value else None


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _LARGEST_INTEGER else None


def _local(value: datetime | None) -> datetime | None:
    if value is None or settings.USE_TZ:
        return value
    return timezone.make_naive(value)


def _clean_text(value: str) -> str:
    # No database stores a lone surrogate, and PostgreSQL no NUL.
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable(value: Any) -> Any:
    """Return a JSON value that every database can store.

    Args:
        value: What the API sent, or an event's detail. NUL characters, lone surrogates and
            numbers that JSON does not have are replaced, what is nested too deeply is cut.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return _clean(value, 0)
    brackets = text.count("[") + text.count("{")
    suspicious = brackets > DEEPEST or "\\u0000" in text or "\\ud" in text
    return _clean(value, 0) if suspicious else value


def _clean(value: Any, depth: int) -> Any:
    if depth >= DEEPEST and isinstance(value, (dict, list)):
        return "…"
    if isinstance(value, dict):
        return {_clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# Announcing


def listening(change: Change) -> bool:
    """Return whether any receiver wants to hear of a change."""
    return any(signal.has_listeners(Execution) for signal, _ in _announcements(change))


def announce(change: Change) -> None:
    """Tell the receivers what a change has brought.

    Args:
        change: A change that is written; its execution carries the new values.
    """
    for signal, arguments in _announcements(change):
        signal.send_robust(Execution, execution=change.execution, **arguments)


def _announcements(change: Change) -> list[tuple[Signal, dict[str, Any]]]:
    told: list[tuple[Signal, dict[str, Any]]] = []
    if "dispatched_at" in change.values:
        told.append((signals.execution_dispatched, {}))
    if change.before != change.after:
        transition = {"before": change.before, "after": change.after}
        told.append((signals.execution_status_changed, transition))
    if change.finishes:
        told.append((signals.execution_finished, {}))
    return told
