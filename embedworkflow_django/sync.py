"""Sync: one row that the API runs becomes one GET, and when to ask again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from . import conf, connections, mirror
from .exceptions import APIError
from .mirror import Change, change
from .models import FINAL, Execution, ExecutionEvent, Status
from .outbox import Claimed

POLL = ExecutionEvent.Source.POLL
# An execution is gone when the API has not known it three times over an hour.
MISSES = 3
MISS_INTERVAL = timedelta(minutes=30)
_LARGEST_EXPONENT = 30


def interval(polls: int) -> timedelta:
    """Return how long to wait before asking again: doubling up to a cap.

    Args:
        polls: How many answers in a row have brought nothing new.
    """
    first, cap, _end = conf.settings.poll
    times = 1 << min(polls, _LARGEST_EXPONENT)
    return first * times if first < cap / times else cap


def act(claimed: Claimed) -> tuple[Change, Exception | None]:
    """Ask the API what has become of a row; first have it stopped, where that is wanted.

    Makes no query: it runs in a thread that has no database connection.

    Args:
        claimed: The row.

    Returns:
        What shall be written, and the error that the call ended with, if any.
    """
    row = claimed.execution
    client = connections.client(row.account)
    stopped: dict[str, Any] = {}
    try:
        if row.stop_requested_at is not None and not row.is_final:
            stopped = _stop(row)
        remote = client.retrieve_execution(row.remote_id or "")
    except APIError as error:
        return judge(claimed, error, timezone.now()), error
    return _learnt(row, mirror.observed(row, remote), stopped, timezone.now()), None


def _stop(row: Execution) -> dict[str, Any]:
    """Have the API stop an execution; one that cannot be stopped says so on the row."""
    try:
        connections.client(row.account).stop_execution(row.remote_id or "")
    except APIError as error:
        words = {"last_error": _("Not stopped: %s") % error}
        if error.ambiguous and not error.away:
            # It may answer so for ever, and the execution goes on meanwhile.
            return words
        if error.retryable or error.account_fault:
            raise
        return {"stop_requested_at": None, **words}
    return {"stop_requested_at": None, "last_error": ""}


def _learnt(row: Execution, news: dict[str, Any], stopped: dict[str, Any], now: datetime) -> Change:
    answered = "stop_requested_at" in stopped
    polls = 0 if mirror.moved(news) or answered else row.polls + 1
    values = {
        "last_error": "",
        **stopped,
        **news,
        "polls": polls,
        "misses": 0,
        "synced_at": now,
        "claim": "",
        "due_at": now + interval(polls),
    }
    after = news.get("status", row.status)
    if after in FINAL:
        values = mirror.ended(row, values, now)
    elif now >= _asked_since(row) + conf.settings.poll[2]:
        values |= {
            "status": Status.UNKNOWN,
            "due_at": None,
            "last_error": _("Asked until the end of POLL, and it was not final."),
        }
    detail = mirror.counters(news)
    if answered:
        detail["stop"] = stopped["last_error"] or "stopped"
    return change(
        row, values, source=POLL, outcome="moved" if detail else "unchanged", detail=detail
    )


def judge(claimed: Claimed, error: APIError, now: datetime) -> Change:
    """Return the change of a row about which the API could not be asked.

    Args:
        claimed: The row.
        error: What the client raised.
        now: The time.
    """
    row = claimed.execution
    values: dict[str, Any] = {"claim": "", "last_error": str(error)}
    detail: dict[str, Any] = {}
    if error.account_fault:
        return change(row, values | {"due_at": now}, source=POLL, outcome="given back")
    if error.gone:
        values["misses"] = row.misses + 1
        detail = {"error": str(error), "misses": row.misses + 1}
        values["due_at"] = now + MISS_INTERVAL
    else:
        values["polls"] = row.polls + 1
        wait = timedelta(seconds=error.retry_after or 0)
        values["due_at"] = now + max(wait, interval(row.polls + 1))
    over = now >= _asked_since(row) + conf.settings.poll[2]
    if row.is_final:
        # A final row is asked once more, and once only.
        values["due_at"] = None
    elif values.get("misses", 0) >= MISSES or over:
        values |= {"status": Status.UNKNOWN, "due_at": None}
    return change(row, values, source=POLL, outcome="not answered", detail=detail)


def _asked_since(row: Execution) -> datetime:
    return row.dispatched_at or row.created_at
