"""The public verbs: each stores what is wanted in the caller's transaction; none calls the API."""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from . import dispatchers, intake, outbox, signals
from .conf import DEFAULT_ACCOUNT, ConfigurationError
from .exceptions import InvalidExecution, InvalidTransition
from .models import FINAL, Execution, ExecutionEvent, Status

__all__ = [
    "acancel",
    "aexecute",
    "aexecute_many",
    "arefresh",
    "aresolve",
    "arun_again",
    "astop",
    "cancel",
    "execute",
    "execute_many",
    "refresh",
    "resolve",
    "run_again",
    "stop",
]


#: How much execution data one INSERT carries, in bytes: MariaDB takes statements of 16 MB, in which
#: each quotation mark counts twice.
LARGEST_INSERT = 4 * 1024 * 1024


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


def execute(
    workflow: str,
    data: Mapping[str, Any] | None = None,
    *,
    source: models.Model | None = None,
    user_key: str | None = None,
    id_type: str = "key",
    idempotency_key: str | None = None,
    account: str = DEFAULT_ACCOUNT,
    run_at: datetime | None = None,
    using: str | None = None,
) -> Execution:
    """Have a workflow executed: stored with the caller's transaction, sent once it commits.

    Args:
        workflow: The workflow's identifier.
        data: The execution's data, a dict; encoded now, so that later changes do not show.
        source: The object that it is about.
        user_key: The end user on whose behalf it runs; the setting ``USER_KEY`` by default.
        id_type: How the API reads the identifier: ``key``, ``id`` or ``hashid``.
        idempotency_key: There is one execution per account and key; a second call returns it.
        account: The account's alias in the settings.
        run_at: When it shall be sent, an aware datetime; at once by default.
        using: The database's alias; the source's by default.

    Returns:
        The row: the new one, or the one that has the idempotency key already.

    Raises:
        InvalidExecution: An argument makes no sense; nothing was stored.
        UnencodableData: The data cannot be written as JSON; the message names the path.
        ConfigurationError: The account is not configured.
    """
    execution, alias = intake.new_execution(
        workflow,
        data,
        source=source,
        user_key=user_key,
        id_type=id_type,
        idempotency_key=idempotency_key,
        account=account,
        run_at=run_at,
        using=using,
    )
    return store([execution], alias)[0]


def execute_many(calls: Iterable[Mapping[str, Any]]) -> list[Execution]:
    """Have many workflows executed, with one INSERT for every 1,000 of them.

    Args:
        calls: Each a mapping of ``execute``'s own arguments.

    Returns:
        The rows, in the order of the calls.

    Raises:
        InvalidExecution: An argument of some call makes no sense; the message says of which, and
            nothing was stored.
    """
    rows: list[Execution] = []
    by_database: dict[str, list[int]] = defaultdict(list)
    for number, call in enumerate(calls):
        execution, alias = _called(number, call)
        by_database[alias].append(number)
        rows.append(execution)
    for alias, numbers in by_database.items():
        # All of them or none: a caller may then repeat the whole call.
        with transaction.atomic(using=alias, savepoint=False):
            stored = store([rows[number] for number in numbers], alias)
        for number, execution in zip(numbers, stored, strict=True):
            rows[number] = execution
    return rows


_ARGUMENTS = frozenset(inspect.signature(execute).parameters)


def _called(number: int, call: Any) -> tuple[Execution, str]:
    if not isinstance(call, Mapping) or not {"workflow"} <= set(call) <= _ARGUMENTS:
        raise InvalidExecution(
            _("Call %(number)d should be a mapping of execute's own arguments, not %(call)r.")
            % {"number": number, "call": list(call) if isinstance(call, Mapping) else call}
        )
    try:
        return intake.new_execution(**call)
    except (InvalidExecution, ConfigurationError) as error:
        error.args = (_("Call %(number)d: %(error)s") % {"number": number, "error": error},)
        raise


def store(executions: list[Execution], using: str) -> list[Execution]:
    """Store new rows, and have somebody woken once their transaction commits.

    Args:
        executions: New rows of one database.
        using: Its alias.

    Returns:
        The rows in the same order; where an idempotency key is taken, the row that has it.
    """
    keyed = any(execution.idempotency_key for execution in executions)
    stored: list[Execution] = []
    for part in _parts(executions):
        outbox.insert(part, using=using, ignore_conflicts=keyed)
        stored += outbox.by_key(part, using=using) if keyed else part
    new = stored
    if keyed:
        own = {execution.pk for execution in executions}
        # By their keys: two calls under one idempotency key are one execution.
        new = list({each.pk: each for each in stored if each.pk in own}.values())
    if new:
        _after_commit(lambda: _committed(using, new), using)
    return stored


def _after_commit(hook: Callable[[], None], using: str) -> None:
    connection = transaction.get_connection(using)
    # Whoever commits by hand gets no hooks from Django; the next look at the table finds the row.
    if connection.in_atomic_block or connection.get_autocommit():
        # Not a partial: Django logs a failing hook by its __qualname__.
        transaction.on_commit(hook, using=using, robust=True)


def _parts(executions: list[Execution]) -> Iterator[list[Execution]]:
    """Split rows that are too many, or whose data is too much, for one statement."""
    start = size = 0
    for number, execution in enumerate(executions if len(executions) > 1 else ()):
        text = execution._data_json  # noqa: SLF001 - a note between the rooms, not for projects
        own = len(text or json.dumps(execution.execution_data))
        full = number - start == outbox.BATCH or size + own > LARGEST_INSERT
        if full and number > start:
            yield executions[start:number]
            start, size = number, 0
        size += own
    yield executions[start:]


def _committed(using: str, executions: list[Execution]) -> None:
    if signals.execution_queued.has_listeners(Execution):
        for execution in executions:
            signals.execution_queued.send_robust(Execution, execution=execution)
    dispatchers.wake(using, [execution.pk for execution in executions])


def run_again(
    execution: Execution, *, data: Mapping[str, Any] | _Unset | None = UNSET, by: str = ""
) -> Execution:
    """Have the same workflow executed once more: a new execution, linked to this one.

    Args:
        execution: The one to repeat, whatever its status.
        data: Other data than that one's.
        by: The person who wants it, for the history.

    Returns:
        The new row; its ``run_again_of`` is ``execution``.

    Raises:
        InvalidExecution: The data makes no sense.
        InvalidTransition: The execution was deleted.
        ConfigurationError: The account is not configured any more.
    """
    return run_again_once(execution, None, data=data, by=by)[0]


def run_again_once(
    execution: Execution,
    idempotency_key: str | None,
    *,
    data: Mapping[str, Any] | _Unset | None = UNSET,
    by: str = "",
) -> tuple[Execution, bool]:
    """Do what ``run_again`` does, once under a key; return the row, and whether it is new.

    Args:
        execution: The one to repeat, whatever its status.
        idempotency_key: There is one execution per account and key; ``None`` for always a new one.
        data: Other data than that one's.
        by: The person who wants it, for the history.
    """
    _require_name(by)
    using = _fresh(execution)
    again = intake.another_run(
        execution, execution.execution_data if isinstance(data, _Unset) else data
    )
    again.idempotency_key = idempotency_key
    with transaction.atomic(using=using):
        stored = store([again], using)[0]
        is_new = stored.pk == again.pk
        if by and is_new:
            _note(execution, "run again", by, run_again_as=str(again.pk))
    return stored, is_new


def cancel(execution: Execution, *, by: str = "") -> Execution:
    """Cancel a queued execution, while no delivery may have been received.

    Args:
        execution: The one to cancel.
        by: The person who wants it, for the history.

    Raises:
        InvalidTransition: It is not queued any more, or may have been received.
    """
    now = timezone.now()
    return _transition(
        execution,
        "cancel",
        by,
        where=Q(status=Status.QUEUED, sent_at=None),
        values={"status": Status.CANCELED, "due_at": now, "finished_at": now, "claim": ""},
        before=Status.QUEUED,
        refusal=_("only a queued execution of which no delivery may have been received can be."),
    )


def stop(execution: Execution, *, by: str = "") -> Execution:
    """Have a running execution stopped at the API; one that was not sent yet is canceled.

    Whether the API can stop a single execution is unconfirmed; if it cannot, the row's
    ``last_error`` will say so.

    Args:
        execution: The one to stop.
        by: The person who wants it, for the history.

    Raises:
        InvalidTransition: It does not run, or was deleted.
    """
    _fresh(execution)
    if execution.status == Status.QUEUED:
        return cancel(execution, by=by)
    return stop_running(execution, by=by)


def stop_running(execution: Execution, *, by: str = "") -> Execution:
    """Have a running execution stopped; leave one that was not sent to those who may cancel it.

    Args:
        execution: The one to stop.
        by: The person who wants it, for the history.

    Raises:
        InvalidTransition: It does not run, or was deleted.
    """
    return _transition(
        execution,
        "stop",
        by,
        where=Q(status__in=[Status.RUNNING, Status.UPCOMING, Status.UNKNOWN]),
        values={"stop_requested_at": timezone.now(), "due_at": timezone.now(), "claim": ""},
        refusal=_("only a running execution can be."),
    )


def refresh(execution: Execution, *, by: str = "") -> Execution:
    """Make an execution due now: a queued one is tried again, another one asked after.

    Args:
        execution: The one to refresh; a final one is asked after once more.
        by: The person who wants it, for the history.

    Raises:
        InvalidTransition: There is nothing to try or to ask: it is canceled, undeliverable or
            unconfirmed, scheduled for later, just being sent, or was deleted.
    """
    now = timezone.now()
    # Not one that is just being sent, one that waits for its run_at, nor one whose end is still
    # to be announced.
    started = Q(run_at__isnull=True) | Q(run_at__lte=now)
    at_rest = Q(status=Status.QUEUED, claim="") & started
    at_the_api = Q(remote_id__isnull=False) & (
        ~Q(status__in=sorted(FINAL)) | Q(announced_at__isnull=False)
    )
    return _transition(
        execution,
        "refresh",
        by,
        where=at_rest | at_the_api,
        values={"due_at": now, "claim": "", "polls": 0, "misses": 0},
        refusal=_("there is nothing to ask the API about it now."),
    )


def called_back(execution: Execution) -> None:
    """Have the API asked about an execution whose workflow has called back.

    One whose answer was lost is sent again under its key. What has ended, is just being sent, or is
    due in any case stays as it is. That an unconfirmed one has called is noted, for whoever decides
    what became of it.

    Args:
        execution: The one whose workflow has called.
    """
    using, now = _database(execution), timezone.now()
    later = Q(due_at__gt=now + outbox.ahead(using))
    # Not due any more is one that ran for longer than it was asked after.
    at_the_api = Q(status__in=[Status.RUNNING, Status.UPCOMING, Status.UNKNOWN])
    lost = Q(status=Status.QUEUED, sent_at__isnull=False, claim="")
    values = {"due_at": now, "claim": "", "polls": 0, "misses": 0}
    # One whose status has changed meanwhile was just looked at.
    row = Execution.objects.using(using).filter(pk=execution.pk, status=execution.status)
    events = ExecutionEvent.objects.using(using)
    note = {"execution": execution, "source": ExecutionEvent.Source.CALLBACK}
    with transaction.atomic(using=using):
        wanted = row.filter(at_the_api & (later | Q(due_at=None)) | lost & later)
        if wanted.update(**outbox.in_its_time(using, values)):
            _after_commit(lambda: dispatchers.wake(using, [execution.pk]), using)
        elif execution.status != Status.UNCONFIRMED or events.filter(**note).exists():
            return
        events.create(status=execution.status, **note)


def resolve(
    execution: Execution, *, remote_id: str | None = None, resend: bool = False, by: str = ""
) -> Execution:
    """Decide what became of an unconfirmed execution.

    Args:
        execution: The one whose delivery may have been received.
        remote_id: It did happen: the API's id of the execution, to be asked after from now on.
        resend: It did not: send it again, under the same idempotency key.
        by: The person who knows, for the history.

    Raises:
        InvalidTransition: It is not unconfirmed, neither or both were given, or the remote id is
            another execution's.
    """
    if (remote_id is None) == (not resend):
        raise InvalidTransition(_("Give either remote_id=… (it did happen) or resend=True."))
    now = timezone.now()
    values: dict[str, Any] = {"due_at": now, "claim": "", "last_error": ""}
    if remote_id is None:
        values |= {"status": Status.QUEUED, "sent_at": None, "run_at": now}
    else:
        remote_id = _remote_id(remote_id)
        values |= {"status": Status.RUNNING, "remote_id": remote_id, "dispatched_at": now}
    try:
        return _transition(
            execution,
            "resolve",
            by,
            where=Q(status=Status.UNCONFIRMED),
            values=values,
            before=Status.UNCONFIRMED,
            refusal=_("only an unconfirmed execution can be."),
        )
    except IntegrityError:
        raise InvalidTransition(
            _("%s is already the remote id of another execution.") % remote_id
        ) from None


def _remote_id(remote_id: Any) -> str:
    longest = Execution._meta.get_field("remote_id").max_length or 0
    stripped = remote_id.strip() if isinstance(remote_id, str) else ""
    possible = stripped.isprintable() and stripped not in {"", ".", ".."}
    if not possible or len(stripped) > longest:
        raise InvalidTransition(_("%r cannot be the id of an execution.") % (remote_id,))
    return stripped


def _transition(
    execution: Execution,
    verb: str,
    by: str,
    *,
    where: Q,
    values: dict[str, Any],
    refusal: str,
    before: str | None = None,
) -> Execution:
    """Change a row if it is still as it must be, and have somebody woken; one UPDATE decides.

    Args:
        execution: The row, however stale; it gets its present values.
        verb: What is wanted.
        by: Who wants it.
        where: How the row must be.
        values: New values of columns.
        refusal: Why it cannot be done if it is otherwise.
        before: The status that is changed; ``None`` if it stays.
    """
    _require_name(by)
    using = _database(execution)
    values = outbox.in_its_time(using, values)
    with transaction.atomic(using=using):
        changed = Execution.objects.using(using).filter(where, pk=execution.pk).update(**values)
        _fresh(execution)
        if not changed:
            raise InvalidTransition(
                _("%(verb)s: execution %(id)s is %(status)s; %(refusal)s")
                % {
                    # Marked for translation where the timeline tells them.
                    "verb": _(verb),
                    "id": execution.pk,
                    "status": execution.get_status_display(),
                    "refusal": refusal,
                }
            )
        _note(execution, verb, by)
        transaction.on_commit(lambda: _changed(using, execution, before), using=using, robust=True)
    return execution


def _changed(using: str, execution: Execution, before: str | None) -> None:
    if before is not None:
        signals.execution_status_changed.send_robust(
            Execution, execution=execution, before=before, after=execution.status
        )
    dispatchers.wake(using, [execution.pk])


def _note(execution: Execution, verb: str, by: str, **detail: str) -> None:
    ExecutionEvent.objects.using(_database(execution)).create(
        execution=execution,
        status=execution.status,
        source=ExecutionEvent.Source.PERSON,
        detail={"verb": verb, "by": by, **detail},
    )


def _require_name(by: Any) -> None:
    if not isinstance(by, str):
        raise TypeError(
            f"by should be a person's name, as of get_username(), not {type(by).__name__}."
        )


def _database(execution: Any) -> str:
    if not isinstance(execution, Execution):
        kind = type(execution).__name__
        raise TypeError(f"The first argument should be an Execution, not of type {kind}.")
    if execution._state.db is None or execution.pk is None:
        raise InvalidTransition(_("The execution is not saved, or was deleted."))
    return execution._state.db


def _fresh(execution: Execution) -> str:
    """Give a row its present values; return its database's alias."""
    using = _database(execution)
    try:
        execution.refresh_from_db(using=using)
    except Execution.DoesNotExist:
        raise InvalidTransition(_("Execution %s was deleted.") % execution.pk) from None
    return using


aexecute = sync_to_async(execute)
aexecute_many = sync_to_async(execute_many)
arun_again = sync_to_async(run_again)
acancel = sync_to_async(cancel)
astop = sync_to_async(stop)
arefresh = sync_to_async(refresh)
aresolve = sync_to_async(resolve)
