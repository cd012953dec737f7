"""Delivery: one queued row becomes one POST, and that a verdict."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from . import conf, connections, mirror, tokens
from .client import RemoteExecution
from .exceptions import APIError, InvalidAnswer
from .mirror import Change, change
from .models import Execution, ExecutionEvent, Status
from .outbox import Claimed, StatementTooLargeError

DELIVERY = ExecutionEvent.Source.DELIVERY
# The API keeps an idempotency key for 24 hours (its documentation says); an hour is for clocks.
KEY_LIFETIME = timedelta(hours=23)
KEY_WITHOUT_END = "life-"
BACKOFF = timedelta(seconds=1)
BACKOFF_CAP = timedelta(hours=1)
# What the URL at which a workflow may call back is called in its data.
CALLBACK_URL = "callback_url"
_LONGEST_ID = Execution._meta.get_field("remote_id").max_length or 0
_LARGEST_EXPONENT = 16


def backoff(failures: int, retry_after: float | None) -> timedelta:
    """Return how long to wait before the next try: full jitter under a doubling cap.

    Args:
        failures: How many tries have failed in a row, at least one.
        retry_after: The seconds that the API asked for; the jitter comes on top of them.
    """
    ceiling = min(BACKOFF_CAP, BACKOFF * (1 << min(failures, _LARGEST_EXPONENT)))
    return timedelta(seconds=retry_after or 0) + ceiling * random.random()  # noqa: S311 - no secret


def act(claimed: Claimed) -> tuple[Change, Exception | None]:
    """Send a queued row to the API, unless what was sent before must not be sent again.

    Makes no query: it runs in a thread that has no database connection.

    Args:
        claimed: The row.

    Returns:
        What shall be written, and the error that the call ended with, if any.
    """
    row = claimed.execution
    if not claimed.first_send and (reason := _must_not_resend(row, timezone.now())):
        return _undecided(row, reason), None
    try:
        remote = connections.client(row.account).execute_workflow(
            row.workflow,
            id_type=row.id_type,
            user_key=row.user_key or None,
            execution_data=_data_sent(claimed),
            idempotency_key=row.key_sent,
        )
        if len(remote.id) > _LONGEST_ID:
            raise InvalidAnswer(_("The API answered with an id of %d characters.") % len(remote.id))
        if not remote.id.isprintable() or remote.id in {".", ".."}:
            # No column stores it, or no path could ask after it.
            raise InvalidAnswer(_("The API answered with %r, which can be no id.") % remote.id)
    except APIError as error:
        return judge(claimed, error, timezone.now()), error
    return delivered(row, remote, timezone.now()), None


def _data_sent(claimed: Claimed) -> dict[str, Any]:
    """Return a row's data, with the URL at which the workflow may call back if there is one."""
    row = claimed.execution
    url = tokens.callback_url(claimed.using, row.pk)
    # An entry of that name is the caller's own.
    return {CALLBACK_URL: url, **row.execution_data} if url else row.execution_data


def delivered(row: Execution, remote: RemoteExecution, now: datetime) -> Change:
    """Return the change of a row that the API has confirmed.

    Args:
        row: The row as it was claimed.
        remote: The API's answer.
        now: The time.
    """
    news = mirror.observed(row, remote)
    values = {
        **news,
        "attempts": row.attempts + 1,
        "dispatched_at": now,
        "synced_at": now,
        "last_error": "",
        "claim": "",
        "due_at": now + conf.settings.poll[0],
    }
    detail = {"attempt": row.attempts + 1, **mirror.counters(news)}
    return change(
        row, mirror.ended(row, values, now), source=DELIVERY, outcome="delivered", detail=detail
    )


def judge(claimed: Claimed, error: APIError, now: datetime) -> Change:
    """Return the change of a row whose delivery failed.

    Args:
        claimed: The row.
        error: What the client raised; it knows whether it is retryable and ambiguous.
        now: The time.
    """
    row = claimed.execution
    if error.account_fault:
        return not_sent(claimed, now, reason=str(error))
    values: dict[str, Any] = {"attempts": row.attempts + 1, "last_error": str(error), "claim": ""}
    detail = {"attempt": row.attempts + 1, "error": str(error)}
    if error.status_code is not None:
        detail["status_code"] = error.status_code
    if claimed.first_send and not error.ambiguous:
        values["sent_at"] = None
    outcome = "retried"
    if not error.retryable:
        outcome = "rejected"
        # An earlier answer that was lost may still have started it.
        values |= _given_up(row, values, now)
    else:
        wait = backoff(row.attempts + 1, error.retry_after)
        # Who asks for patience pauses the account, so that its rows wait where they stand.
        since = min(_asked_at(row) + row.attempts * wait, now) if error.retry_after else now
        values["due_at"] = since + wait
        if error.ambiguous:
            outcome = "lost"
            if conf.settings.on_lost_answer == "hold":
                values |= {"status": Status.UNCONFIRMED, "due_at": None}
        if now + wait > _asked_at(row) + conf.settings.give_up_after:
            outcome = "gave up"
            values |= _given_up(row, values, now)
    detail["verdict"] = outcome
    return change(row, values, source=DELIVERY, outcome=outcome, detail=detail)


def refused_answer(claimed: Claimed, remote_id: str, now: datetime) -> Change:
    """Return the change of a row whose answer named an execution that is another row's.

    Args:
        claimed: The row.
        remote_id: The id that the API answered with.
        now: The time.
    """
    words = _("The API answered with execution %s, which already belongs to another row.")
    return judge(claimed, InvalidAnswer(words % remote_id), now)


def unstorable(error: Exception) -> str:
    """Return what is said of an answer that the database does not take, and the way out if known.

    Args:
        error: What the database, its driver or ``outbox`` raised. A driver's words stay out of
            what is said: they may quote the row.
    """
    if not isinstance(error, StatementTooLargeError):
        return _("The answer could not be stored: %s") % type(error).__name__
    return _(
        "The answer could not be stored: it takes a statement of %(size)s bytes, and the "
        "database's max_allowed_packet is %(limit)s. Raise that, or have the workflow log less."
    ) % {"size": f"{error.size:,}", "limit": f"{error.limit:,}"}


def not_sent(claimed: Claimed, now: datetime, *, reason: str = "") -> Change:
    """Return the change that gives a row back as it was: no try is counted.

    Args:
        claimed: The row.
        now: The time.
        reason: Why it was not sent, for the row's ``last_error``; empty keeps what is there.
    """
    row = claimed.execution
    # Due since it was asked for, so that it comes before what is younger.
    values: dict[str, Any] = {"claim": "", "due_at": min(_asked_at(row), now)}
    if claimed.first_send:
        values["sent_at"] = None
    if reason:
        values["last_error"] = reason
    return change(row, values, source=DELIVERY, outcome="given back")


def _asked_at(row: Execution) -> datetime:
    return row.run_at or row.created_at


def _must_not_resend(row: Execution, now: datetime) -> str:
    if conf.settings.on_lost_answer == "hold":
        return _("A delivery may have been received, and its answer was lost.")
    if row.key_sent.startswith(KEY_WITHOUT_END):
        return ""
    if row.sent_at is not None and now - row.sent_at >= KEY_LIFETIME:
        return _(
            "A delivery may have been received more than 23 hours ago; the API would not know "
            "its idempotency key any more."
        )
    return ""


def _undecided(row: Execution, reason: str) -> Change:
    values = {
        "status": Status.UNCONFIRMED,
        "due_at": None,
        "claim": "",
        "last_error": row.last_error or reason,
    }
    return change(row, values, source=DELIVERY, outcome="unconfirmed", detail={"error": reason})


def _given_up(row: Execution, values: dict[str, Any], now: datetime) -> dict[str, Any]:
    if values.get("sent_at", row.sent_at) is not None:
        return {"status": Status.UNCONFIRMED, "due_at": None}
    return mirror.ended(row, {"status": Status.UNDELIVERABLE}, now)
