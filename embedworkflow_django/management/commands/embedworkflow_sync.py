"""``embedworkflow_sync``: asks the API about executions now, without waiting for their turn.

Exit codes: 0 when all were made due (and asked after, without ``--no-wait``); 1 when an id is no
execution's, when an account is paused, so that its executions were not asked after, when a signal
came, or when a database makes no sense or fails; 2 when the command line cannot be read.
"""

from __future__ import annotations

import argparse
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db.models import Q, QuerySet
from django.utils import timezone

from ... import outbox, worker
from ...models import Execution
from ...pauses import Pauses
from .. import arguments, databases, interruption
from .embedworkflow_worker import require_reached, summary


class Command(BaseCommand):
    """Ask after executions at once."""

    help = (
        "Make active executions due now and ask the API about them, in batches. What else is due "
        "is done on the way. SIGTERM and Ctrl-C end it after the batch in hand, a second one at "
        "once. Exit code: 0 when all were asked after; 1 when an id is unknown, an account is not "
        "let in or a database fails, or when a signal came."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "ids",
            nargs="*",
            type=_id,
            metavar="ID",
            help="Executions to ask after, final ones too. Default: all that are active.",
        )
        parser.add_argument("--workflow", help="Only executions of this workflow. Default: all.")
        parser.add_argument("--account", help="Only executions of this account. Default: all.")
        parser.add_argument(
            "--all",
            action="store_true",
            help="Ask about final executions too, once more. Default: only active ones.",
        )
        parser.add_argument(
            "--no-wait",
            action="store_false",
            dest="wait",
            help="Only make them due; whoever dispatches asks. Default: ask, and wait for it.",
        )
        parser.add_argument(
            "--batch-size",
            type=arguments.batch,
            default=500,
            metavar="ROWS",
            help="Executions made due at once. At most 10000. Default: %(default)s.",
        )
        arguments.add_databases(parser, "to work on")

    def handle(
        self,
        *,
        ids: list[uuid.UUID],
        workflow: str | None,
        account: str | None,
        all: bool,  # noqa: A002 - the option's name
        wait: bool,
        batch_size: int,
        database: list[str] | None,
        **_options: Any,
    ) -> None:
        """Make executions due, and ask after them; see the class's ``help``.

        Args:
            ids: Executions to ask after; all that match the rest if empty.
            workflow: Only executions of this workflow.
            account: Only executions of this account.
            all: Whether final ones are asked after too.
            wait: Whether to ask here and now.
            batch_size: Executions made due at once.
            database: The databases' aliases.

        Raises:
            CommandError: An argument makes no sense, an id is unknown, an account is paused, a
                database failed, or a signal came.
        """
        where = Q(pk__in=ids) if ids else Q()
        where &= Q() if workflow is None else Q(workflow=workflow)
        where &= Q() if account is None else Q(account=account)
        self._stopping = False
        self._pauses = Pauses()
        self._unasked: set[str] = set()
        self._worker = worker.Worker(aliases=[])
        self.counts: Counter[str] = Counter()
        made_due = 0
        unknown = set(ids)
        failures = databases.Failures()
        with interruption.handled(self._stop, self._stop_at_once):
            for alias in arguments.databases(database):
                rows = Execution.objects.using(alias).filter(where, askable(final=all or bool(ids)))
                with failures.of(alias):
                    there = Execution.objects.using(alias).filter(pk__in=unknown)
                    unknown.difference_update(there.values_list("pk", flat=True))
                    for number in self._made_due(rows, size=batch_size):
                        made_due += number
                        said = f"{made_due:,} made due"
                        if wait:
                            self._ask(rows)
                            said += f": {summary(self.counts)}"
                        self.stdout.write(said)
        failures.check()
        if not made_due:
            self.stdout.write("There is nothing to ask the API about.")
        if self._stopping:
            raise CommandError("Interrupted.")
        if unknown:
            raise CommandError(f"No execution has the id {', '.join(map(str, sorted(unknown)))}.")
        if self._unasked:
            accounts = ", ".join(map(repr, sorted(self._unasked)))
            raise CommandError(
                f"Not asked after, for they are paused: executions of {accounts}. See the log."
            )

    def _made_due(self, rows: QuerySet[Execution], *, size: int) -> Iterator[int]:
        """Make rows due batch by batch; yield how many of each."""
        now, last = timezone.now() + outbox.ahead(rows.db), uuid.UUID(int=0)
        while not self._stopping:
            ids = list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size])
            if not ids:
                break
            last = ids[-1]
            # Not one that somebody is just asking about.
            free = rows.filter(Q(claim="") | Q(due_at__lte=now), pk__in=ids)
            yield free.update(due_at=now, claim="", polls=0, misses=0)

    def _ask(self, rows: QuerySet[Execution]) -> None:
        self._worker = worker.Worker(aliases=[rows.db], pauses=self._pauses)
        self._worker.run_until_idle()
        self.counts += self._worker.counts
        require_reached(self._worker)
        due = rows.filter(due_at__lte=timezone.now() + outbox.ahead(rows.db))
        paused = due.filter(account__in=self._pauses.accounts())
        self._unasked |= set(paused.order_by().values_list("account", flat=True).distinct())

    def _stop(self) -> None:
        self._stopping = True
        self._worker.stop()

    def _stop_at_once(self) -> None:
        self._worker.stop(now=True)


def askable(*, final: bool) -> Q:
    """Return the condition of the rows that the API can be asked about.

    Args:
        final: Whether those are meant whose end is known and announced.
    """
    status = Execution.Status
    known = Q(status__in=[status.RUNNING, status.UPCOMING]) | Q(
        status=status.UNKNOWN, due_at__isnull=False
    )
    if final:
        known |= Q(announced_at__isnull=False) | Q(status=status.UNKNOWN)
    return known & Q(remote_id__isnull=False)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no id of an execution.") from None
