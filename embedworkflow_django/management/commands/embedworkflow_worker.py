"""``embedworkflow_worker``: delivers what is queued and asks after what runs, until stopped.

Exit codes: 0 after everything in flight was finished; 1 when a second signal left some of it to
its lease, or a database cannot be worked on; 2 when the command line cannot be read.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from queue import SimpleQueue
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import connections

from ... import conf, worker
from ...models import Execution
from .. import arguments, databases, interruption

logger = logging.getLogger("embedworkflow_django")


class Command(BaseCommand):
    """Run a worker."""

    help = (
        "Deliver queued executions and ask after running ones. Any number of workers may run, on "
        "any machines. The first SIGTERM or Ctrl-C finishes what is in flight, a second one "
        "leaves it to be done again by others. Exit code: 0 when all was finished, else 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--once",
            action="store_true",
            help="Do what is due at the start, and end; for cron. Default: go on until stopped.",
        )
        parser.add_argument(
            "--concurrency",
            type=arguments.count,
            metavar="CALLS",
            help="Calls in flight at once. Default: the setting CONCURRENCY "
            f"({conf.DEFAULTS['CONCURRENCY']} unless set).",
        )
        parser.add_argument(
            "--interval",
            type=arguments.positive_seconds,
            default=1.0,
            metavar="SECONDS",
            help="Longest time between two looks at a database. Default: %(default)s.",
        )
        arguments.add_databases(parser, "to work on")

    def handle(
        self,
        *,
        once: bool,
        concurrency: int | None,
        interval: float,
        database: list[str] | None,
        **_options: Any,
    ) -> None:
        """Run the worker; see the class's ``help``.

        Args:
            once: Whether to end when what was due at the start is done.
            concurrency: Calls in flight at once.
            interval: Longest time between two looks at a database, in seconds.
            database: The databases' aliases.

        Raises:
            CommandError: A database cannot be worked on, or a second signal came, or ``--once``
                ended without a database.
        """
        aliases = arguments.databases(database)
        for alias in aliases:
            with databases.needed(alias):
                _require_table(alias, alone=len(aliases) == 1)
        self._worker = worker.Worker(aliases=aliases, concurrency=concurrency, interval=interval)
        self._in_haste = False
        self._signalled: SimpleQueue[bool] = SimpleQueue()
        herald = threading.Thread(target=self._herald, name="embedworkflow-herald", daemon=True)
        herald.start()
        self._say(
            f"Working on {', '.join(aliases)}, {self._worker.concurrency} calls at once.",
            event_name="worker_started",
            databases=aliases,
            concurrency=self._worker.concurrency,
        )
        try:
            with interruption.handled(self._stop, self._stop_at_once):
                if once:
                    self._worker.run_until_idle()
                else:
                    self._worker.run()
        finally:
            self._signalled.put(False)
            herald.join()
        counts = self._worker.counts
        self._say(f"Stopped: {summary(counts)}.", event_name="worker_stopped", counts=dict(counts))
        if self._in_haste:
            raise CommandError("What was in flight is left to its lease, and done again by others.")
        if once:
            require_reached(self._worker)

    def _stop(self) -> None:
        self._worker.stop()
        self._signalled.put(True)

    def _herald(self) -> None:
        """Say that a signal has come; in a thread, for whom it interrupts may be logging."""
        if self._signalled.get():
            self._say(
                "Finishing what is in flight; a second signal stops at once.",
                event_name="worker_stopping",
            )

    def _stop_at_once(self) -> None:
        self._in_haste = True
        self._worker.stop(now=True)

    def _say(self, text: str, **extra: object) -> None:
        logger.info(text, extra=extra)
        self.stdout.write(text)
        self.stdout.flush()


def summary(counts: Counter[str]) -> str:
    """Return what a worker has recorded as a phrase, such as ``3 delivered, 1 retried``."""
    return ", ".join(f"{number:,} {outcome}" for outcome, number in counts.items()) or "nothing due"


def require_reached(done: worker.Worker) -> None:
    """Raise ``CommandError`` if a database failed a worker to the end.

    Args:
        done: One that has run until it was idle.
    """
    for alias in done.unreached:
        raise CommandError(
            f"Database {alias!r} failed, as the log says. What is due there stays due, and can be "
            "done by the same command again."
        )


def _require_table(alias: str, *, alone: bool) -> None:
    """Raise unless a database has executions; of several, one may be away and come back."""
    try:
        Execution.objects.using(alias).exists()
    except worker.DATABASE_ERRORS:
        if alone or connections[alias].connection is not None:
            raise
