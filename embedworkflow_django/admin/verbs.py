"""The verbs that an operator has: what each is called, needs, does, and when it makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from .. import services
from ..exceptions import EmbedWorkflowError
from ..models import Execution, Status

_UNDECIDED = _("Nobody knows whether it started; resolve it first.")


class DoneBefore(EmbedWorkflowError):  # noqa: N818 - not an error: it is as it was wanted
    """The question has been answered before."""

    def __init__(self, execution: Execution) -> None:
        super().__init__()
        self.execution = execution


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Something that an operator may do to an execution.

    Args:
        name: Its right is ``embedworkflow.<name>_execution``.
        label: What its button says.
        label_plural: What it is called in the list's menu.
        question: The confirmation's heading, for a ``count``.
        explanation: What it does, for the confirmation.
        done: What is reported afterwards, for a ``count``.
        call: Does it for a person and returns the execution that came of it. What creates one
            takes an ``idempotency_key``, and raises ``DoneBefore`` with the one that has it.
        obstacle: Says why it makes no sense for an execution; empty if it does. A hint for the
            pages only: the service decides.
        done_before: What is reported where it was done by the same answer before, for a ``count``;
            none where doing it twice changes nothing.
    """

    name: str
    label: Any
    label_plural: Any
    question: Any
    explanation: Any
    done: Any
    call: Callable[..., Execution]
    obstacle: Callable[[Execution], Any]
    done_before: Any = ""

    @property
    def title(self) -> str:
        """What it is called where nothing is asked."""
        return str(self.label).rstrip("…")

    @property
    def permission(self) -> str:
        """The right that it takes, beside the right to see executions."""
        return f"{Execution._meta.app_label}.{self.name}_execution"


def _unrefreshable(execution: Execution) -> Any:
    if execution.status != Status.QUEUED and not execution.remote_id:
        return _("The API never confirmed it, so there is nothing to ask.")
    return ""


def _unrepeatable(execution: Execution) -> Any:
    if execution.is_final or execution.status == Status.UNKNOWN:
        return ""
    if execution.status == Status.UNCONFIRMED:
        return _UNDECIDED
    return _("It has not ended yet: running it again starts a second one beside it.")


def _uncancelable(execution: Execution) -> Any:
    if execution.status != Status.QUEUED:
        return _("It is not queued any more.")
    if execution.sent_at is not None:
        return _("It may have been received already; it can be stopped once that is certain.")
    return ""


def _unstoppable(execution: Execution) -> Any:
    if execution.is_final:
        return _("It has ended already.")
    if execution.status == Status.UNCONFIRMED:
        return _UNDECIDED
    if execution.status == Status.QUEUED:
        return _uncancelable(execution) or _("It has not been sent; cancel it instead.")
    return _("A stop was asked for already.") if execution.stop_requested_at else ""


def _unresolvable(execution: Execution) -> Any:
    if execution.status != Status.UNCONFIRMED:
        return _("Only an unconfirmed execution wants to be resolved.")
    return ""


def _run_again(execution: Execution, *, by: str, idempotency_key: str, **data: Any) -> Execution:
    again, is_new = services.run_again_once(execution, idempotency_key, by=by, **data)
    if not is_new:
        raise DoneBefore(again)
    return again


REFRESH = Verb(
    name="refresh",
    label=_("Refresh…"),
    label_plural=_("Refresh selected executions…"),
    question=ngettext_lazy(
        "Refresh %(count)d execution?", "Refresh %(count)d executions?", "count"
    ),
    explanation=_(
        "A queued one is delivered as soon as a worker is free instead of at its next attempt; of "
        "one that was delivered, the API is asked how it stands."
    ),
    done=ngettext_lazy(
        "%(count)d execution is due now; the next free worker attends to it.",
        "%(count)d executions are due now; the next free worker attends to them.",
        "count",
    ),
    call=services.refresh,
    obstacle=_unrefreshable,
)
RUN_AGAIN = Verb(
    name="run_again",
    label=_("Run again…"),
    label_plural=_("Run selected executions again…"),
    question=ngettext_lazy(
        "Run %(count)d execution again?", "Run %(count)d executions again?", "count"
    ),
    explanation=_(
        "Each becomes a new execution with the same workflow and data, linked to the old one. "
        "Whatever the workflow does, it does once more."
    ),
    done=ngettext_lazy(
        "%(count)d execution was queued again, as a new one.",
        "%(count)d executions were queued again, as new ones.",
        "count",
    ),
    call=_run_again,
    obstacle=_unrepeatable,
    done_before=ngettext_lazy(
        "%(count)d execution was run again from this page before, so it was not run once more.",
        "%(count)d executions were run again from this page before, so they were not run once "
        "more.",
        "count",
    ),
)
CANCEL = Verb(
    name="cancel",
    label=_("Cancel…"),
    label_plural=_("Cancel selected queued executions…"),
    question=ngettext_lazy("Cancel %(count)d execution?", "Cancel %(count)d executions?", "count"),
    explanation=_("It is not sent to Embed Workflow, now or later."),
    done=ngettext_lazy(
        "%(count)d execution was canceled; it will not be sent.",
        "%(count)d executions were canceled; they will not be sent.",
        "count",
    ),
    call=services.cancel,
    obstacle=_uncancelable,
)
STOP = Verb(
    name="stop",
    label=_("Stop…"),
    label_plural=_("Stop selected running executions…"),
    question=ngettext_lazy("Stop %(count)d execution?", "Stop %(count)d executions?", "count"),
    explanation=_(
        "The API is asked to stop it. Actions that have been completed are not undone; it cannot "
        "be continued, only run again from the beginning."
    ),
    done=ngettext_lazy(
        "%(count)d execution is to be stopped; the next free worker asks the API.",
        "%(count)d executions are to be stopped; the next free worker asks the API.",
        "count",
    ),
    call=services.stop_running,
    obstacle=_unstoppable,
)
RESOLVE = Verb(
    name="resolve",
    label=_("Resolve…"),
    label_plural=_("Resolve the selected unconfirmed execution…"),
    question=ngettext_lazy("Resolve %(count)d execution", "Resolve %(count)d executions", "count"),
    explanation=_(
        "It was sent, but the answer was lost. Look for it in Embed Workflow, then say here what "
        "you found."
    ),
    done=ngettext_lazy(
        "%(count)d execution was resolved.", "%(count)d executions were resolved.", "count"
    ),
    call=services.resolve,
    obstacle=_unresolvable,
)
VERBS = {verb.name: verb for verb in (REFRESH, RUN_AGAIN, CANCEL, STOP, RESOLVE)}
