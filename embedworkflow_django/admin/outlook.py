"""What has become of an execution, what happens next, and what a person should do, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import conf, figures
from ..exceptions import escape_bidi
from ..models import Execution, Status
from . import presentation

# A row that is due for longer than this wants a worker, and says so.
PATIENCE = timedelta(minutes=1)
# The most failed actions that a sentence names.
MAX_NAMES = 3

_RUNNING = gettext_lazy(
    "It has been running for %(duration)s: %(done)d of %(total)d actions are done."
)
_STORIES: dict[str, Any] = {
    Status.QUEUED: gettext_lazy("It was committed %(duration)s ago, and is not sent yet."),
    Status.UPCOMING: gettext_lazy("Embed Workflow has it, and starts it later."),
    Status.COMPLETED: gettext_lazy("It completed after %(duration)s."),
    Status.FAILED: gettext_lazy("It failed after %(duration)s."),
    Status.STOPPED: gettext_lazy("It was stopped after %(duration)s."),
    Status.DELETED: gettext_lazy("It ended after %(duration)s, because its workflow was deleted."),
    Status.UNDELIVERABLE: gettext_lazy("It was given up after %(duration)s and %(attempts)s."),
    Status.UNCONFIRMED: gettext_lazy("It was sent, and nobody knows whether it was received."),
    Status.CANCELED: gettext_lazy("It was canceled after %(duration)s, before it was sent."),
    Status.UNKNOWN: gettext_lazy("What has become of it is not known."),
}


def story(execution: Execution, now: datetime, failed: Sequence[str] = ()) -> str:
    """Return what has become of an execution, in one sentence.

    Args:
        execution: Whose past it is.
        now: The moment from which the past is seen.
        failed: The names of the actions that failed.
    """
    about = {
        "duration": presentation.elapsed(execution, now),
        "attempts": ngettext("%(n)d attempt", "%(n)d attempts", execution.attempts)
        % {"n": execution.attempts},
        "done": execution.completed_actions_count,
        "total": execution.actions_count,
        "actions": get_text_list(
            [_("“%(name)s”") % {"name": name} for name in failed[:MAX_NAMES]], _("and")
        ),
    }
    if failed and execution.status == Status.FAILED:
        return _("It failed after %(duration)s, at %(actions)s.") % about
    if failed and not execution.is_final:
        return (
            _("%(actions)s failed; the rest goes on. It has been running for %(duration)s.") % about
        )
    if execution.status == Status.QUEUED and execution.attempts:
        words = (
            _("It is not confirmed yet: %(attempts)s in %(duration)s, none of them successful.")
            if execution.sent_at
            else _("It is not started yet: %(attempts)s in %(duration)s, none of them successful.")
        )
        return words % about
    return str(_STORIES.get(execution.status, _RUNNING)) % about


def sentences(execution: Execution, now: datetime, *, refused: Container[str] = ()) -> list[str]:
    """Return what will happen to an execution by itself, and what a person can do.

    Args:
        execution: Whose future it is.
        now: The moment from which the future is seen.
        refused: The accounts that the API does not let in.
    """
    tell = _TELLERS.get(execution.status, _active)
    if execution.status == Status.QUEUED and execution.account in refused:
        return [*_lost(execution), _not_let_in(execution)]
    return [*tell(execution, now), *_besides(execution, now)]


def _when(moment: datetime, now: datetime) -> str:
    return f"{presentation.timestamp(moment)} ({presentation.moment(moment, now)})"


def _queued(execution: Execution, now: datetime) -> Iterator[str]:
    if execution.claim and execution.due_at and execution.due_at > now:
        yield _("A worker is sending it at this moment.")
        return
    yield from _lost(execution)
    if figures.refused(execution.last_error):
        yield _not_let_in(execution)
    elif execution.due_at and execution.due_at > now:
        when = {"when": _when(execution.due_at, now)}
        yield (
            _("It will be sent again: %(when)s.") % when
            if execution.attempts or execution.last_error
            else _("It will be sent: %(when)s.") % when
        )
        if execution.attempts:
            end = execution.created_at + conf.settings.give_up_after
            yield _("Attempts end: %(when)s.") % {"when": _when(end, now)}
    else:
        yield _("It is due: the next free worker sends it.")


def _not_let_in(execution: Execution) -> str:
    return _(
        "The API does not let the account %(account)s in. Correct its secret key in the "
        "settings; until then nothing is sent, and no attempt is used up."
    ) % {"account": execution.account}


def _lost(execution: Execution) -> Iterator[str]:
    if execution.sent_at:
        yield _(
            "An earlier delivery may have been received, although its answer was lost. It is "
            "repeated under the same idempotency key, so that it does not start twice."
        )


def _active(execution: Execution, now: datetime) -> Iterator[str]:
    if execution.due_at is None:
        yield _("It is not followed any more. Refresh it to ask the API once again.")
    elif execution.due_at > now:
        yield _("Next, the API is asked how it is going: %(when)s.") % {
            "when": _when(execution.due_at, now)
        }
    else:
        yield _("The API is asked how it is going by the next free worker.")


def _unknown(execution: Execution, now: datetime) -> Iterator[str]:
    if execution.misses or not execution.remote_status:
        yield _("The API does not know this execution, or no longer.")
    else:
        yield _(
            "The API calls its status “%(status)s”, a word that has no meaning here. It counts as "
            "still running."
        ) % {"status": escape_bidi(execution.remote_status)}
    if execution.due_at is None:
        yield _(
            "Nothing more happens by itself. Look for it in Embed Workflow; refresh it to ask "
            "once again, or run it again as a new execution."
        )
    else:
        yield from _active(execution, now)


def _undeliverable(execution: Execution, _now: datetime) -> Iterator[str]:
    yield (
        _("It was given up: nothing more is sent by itself, and no workflow is known to run.")
        if execution.sent_at
        else _("It was given up before anything started.")
    )
    yield _("Correct what the error names, then run it again as a new execution.")


def _always(sentence: Any) -> Callable[[Execution, datetime], Iterator[str]]:
    return lambda _execution, _now: iter([str(sentence)])


_TELLERS: dict[str, Callable[[Execution, datetime], Iterator[str]]] = {
    Status.QUEUED: _queued,
    Status.UNKNOWN: _unknown,
    Status.COMPLETED: _always(gettext_lazy("Nothing: it has completed.")),
    Status.FAILED: _always(
        gettext_lazy(
            "Nothing more happens by itself. Find out which action failed, then run it again: that "
            "starts a new execution from the beginning."
        )
    ),
    Status.STOPPED: _always(
        gettext_lazy(
            "Nothing: it was stopped. Running it again starts a new one from the beginning."
        )
    ),
    Status.DELETED: _always(gettext_lazy("Nothing: its workflow was archived in Embed Workflow.")),
    Status.UNDELIVERABLE: _undeliverable,
    Status.UNCONFIRMED: _always(
        gettext_lazy(
            "Nobody knows whether it started: it was sent, but the answer was lost. Look for it in "
            "Embed Workflow, then resolve it: it did happen, and this is its remote id; or it did "
            "not, and it is to be sent again."
        )
    ),
    Status.CANCELED: _always(
        gettext_lazy("Nothing: it was canceled before it was sent. It can be run again.")
    ),
}


def _besides(execution: Execution, now: datetime) -> Iterator[str]:
    if execution.stop_requested_at and not execution.is_final:
        yield _("A stop was asked for; the worker passes it on to the API.")
    if execution.is_final and execution.due_at is not None and execution.announced_at is None:
        yield _("Its end is still to be announced to the project's receivers.")
    if execution.due_at is not None and execution.due_at < now - PATIENCE:
        yield _(
            "It has been due for %(duration)s. Is a worker running? "
            "“manage.py embedworkflow_status” tells."
        ) % {"duration": presentation.words(now - execution.due_at)}
