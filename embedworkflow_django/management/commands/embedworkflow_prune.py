"""``embedworkflow_prune``: deletes finished executions, or their data, once they are old.

What a trigger with ``once=True`` has started keeps its row, since that is what keeps the trigger
from starting it again.

Exit codes: 0; 1 when no age is known, a database makes no sense or fails, or a signal came; 2 when
the command line cannot be read.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import Exists, OuterRef, ProtectedError, Q, QuerySet, RestrictedError
from django.utils import timezone

from ... import conf, intake, keys
from ...models import FINAL, Execution, ExecutionEvent
from .. import arguments, databases, interruption

_DATA: dict[str, Any] = {
    "execution_data": {},
    "log": None,
    "raw": None,
    "stats": None,
    "template": None,
}
# Older than any execution, and still a date.
_LONGEST = timedelta(days=50 * 365)
_HAS_DATA = ~Q(execution_data={}) | Q(
    *((f"{name}__isnull", False) for name, value in _DATA.items() if value is None),
    _connector=Q.OR,
)
_HAS_EVENTS = Exists(ExecutionEvent.objects.filter(execution=OuterRef("pk")))
_OF_ONCE = Q(idempotency_key__startswith=intake.ONCE)
# Rows, what is done to some of them by their ids, and how that is called.
_Part = tuple[QuerySet[Execution], Callable[[QuerySet[Execution], list[uuid.UUID]], int], str]


class Command(BaseCommand):
    """Delete what is old."""

    help = (
        "Delete executions that have been finished for long, and their events, in batches. What "
        "is not final, or not announced to execution_finished's receivers yet, is never touched. "
        "What a trigger with once=True has started keeps its row, without data and events, so "
        "that it is never started again. SIGTERM and Ctrl-C end it after the batch in hand. Exit "
        "code: 0, or 1 when no age is known, a database fails or a signal came."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than",
            type=arguments.days,
            metavar="DAYS",
            help="How long an execution must have been finished: days, or with another unit, "
            "as 12h. Default: the setting RETENTION.",
        )
        parser.add_argument(
            "--status",
            action="append",
            choices=sorted(map(str, FINAL)),
            help="Only those of this status; repeatable. Default: every final one.",
        )
        extent = parser.add_mutually_exclusive_group()
        extent.add_argument(
            "--data-only",
            action="store_true",
            help="Keep the rows, empty their data, log, stats, template and raw answer. "
            "Run again, they would start with empty data. Default: delete the rows.",
        )
        extent.add_argument(
            "--forget-once",
            action="store_true",
            help="Delete also the rows of triggers with once=True, which may then start the same "
            "once more. Default: keep them.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only count. Default: do it.")
        parser.add_argument(
            "--batch-size",
            type=arguments.batch,
            default=1000,
            metavar="ROWS",
            help="Rows in one transaction. At most 10000. Default: %(default)s.",
        )
        arguments.add_databases(parser, "to prune")

    def handle(
        self,
        *,
        older_than: timedelta | None,
        status: list[str] | None,
        data_only: bool,
        forget_once: bool,
        dry_run: bool,
        batch_size: int,
        database: list[str] | None,
        **_options: Any,
    ) -> None:
        """Delete what is old; see the class's ``help``.

        Args:
            older_than: How long an execution must have been finished.
            status: Only those of these statuses.
            data_only: Whether to keep the rows and empty their data.
            forget_once: Whether to delete the rows of triggers with ``once=True``, too.
            dry_run: Whether to count only.
            batch_size: Rows in one transaction.
            database: The databases' aliases.

        Raises:
            CommandError: No age is known, a database makes no sense or fails, or a signal came.
        """
        before = timezone.now() - min(_age(older_than), _LONGEST)
        interrupted = threading.Event()
        failures = databases.Failures()
        with interruption.handled(interrupted.set, interrupted.set):
            for alias in arguments.databases(database):
                rows = prunable(alias, before, status or sorted(FINAL))
                parts = _parts(rows, data_only=data_only, forget_once=forget_once)
                with failures.of(alias):
                    told = [
                        self._prune(part, batch_size, interrupted, dry_run=dry_run)
                        for part in parts
                    ]
                    self.stdout.write(f"{alias}: {', '.join(filter(None, told))}")
        failures.check()
        if interrupted.is_set():
            raise CommandError("Interrupted.")

    def _prune(self, part: _Part, size: int, interrupted: threading.Event, *, dry_run: bool) -> str:
        rows, prune, verb = part
        verb = f"would be {verb}" if dry_run else verb
        done = kept = 0
        for number, ids in enumerate(_batches(rows, size, interrupted), start=1):
            pruned = len(ids) if dry_run else prune(rows, ids)
            done, kept = done + pruned, kept + len(ids) - pruned
            if number % 10 == 0:
                self.stdout.write(f"{rows.db}: {done:,} {verb} so far")
        told = f"{done:,} {verb}" if done or prune is not _empty else ""
        return f"{told}, {kept:,} kept, for other rows need them" if kept else told


def _parts(rows: QuerySet[Execution], *, data_only: bool, forget_once: bool) -> Iterator[_Part]:
    """Yield what is done to which of the rows that are old."""
    if data_only:
        yield rows.filter(_HAS_DATA), _scrub, "scrubbed"
    elif forget_once:
        yield rows, _delete, "deleted"
    else:
        yield rows.exclude(_OF_ONCE), _delete, "deleted"
        yield rows.filter(_OF_ONCE, _HAS_DATA | Q(_HAS_EVENTS)), _empty, "emptied"


def _age(older_than: timedelta | None) -> timedelta:
    age = conf.settings.retention if older_than is None else older_than
    if age is None:
        raise CommandError(
            f"Say how old: --older-than DAYS, or {conf.place('RETENTION')} in the settings."
        )
    return age


def prunable(alias: str, before: datetime, statuses: list[str]) -> QuerySet[Execution]:
    """Return the executions that were finished, announced and at rest before a time.

    Args:
        alias: The database's alias.
        before: The time.
        statuses: The final statuses that are meant.
    """
    # Ids grow with the time, so that only the old end of the table is read.
    return Execution.objects.using(alias).filter(
        pk__lt=keys.first_of(before),
        status__in=statuses,
        finished_at__lt=before,
        announced_at__isnull=False,
        due_at__isnull=True,
    )


def _batches(
    rows: QuerySet[Execution], size: int, interrupted: threading.Event
) -> Iterator[list[uuid.UUID]]:
    last = uuid.UUID(int=0)
    while not interrupted.is_set():
        # The ids first: MySQL deletes by no subquery that has a limit.
        after = rows.filter(pk__gt=last).order_by("pk")
        ids = list(after.values_list("pk", flat=True)[:size])
        if not ids:
            break
        yield ids
        last = ids[-1]


def _scrub(rows: QuerySet[Execution], ids: list[uuid.UUID]) -> int:
    return rows.filter(pk__in=ids).update(**_DATA)


def _empty(rows: QuerySet[Execution], ids: list[uuid.UUID]) -> int:
    with transaction.atomic(using=rows.db):
        emptied = _scrub(rows, ids)
        ExecutionEvent.objects.using(rows.db).filter(execution__in=ids).delete()
    return emptied


def _delete(rows: QuerySet[Execution], ids: list[uuid.UUID]) -> int:
    """Delete rows but for those that a project's own foreign keys protect; return how many."""
    try:
        _, deleted = rows.filter(pk__in=ids).only("pk").delete()
    except (ProtectedError, RestrictedError):
        if len(ids) == 1:
            return 0
        half = len(ids) // 2
        return _delete(rows, ids[:half]) + _delete(rows, ids[half:])
    return deleted.get(Execution._meta.label, 0)
