"""The pulse: what a worker leaves for operators, its process's sign of life and each hour's tally.

Both are written by the coordinator every few seconds, so that they say that it still turns: one
UPDATE of the process's row, and one statement that adds to the tallies if anything has happened.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connections
from django.db.models.constants import OnConflict
from django.utils import timezone

from . import __version__, conf, outbox
from .keys import uuid7
from .mirror import Change
from .models import Tally, WorkerProcess
from .pauses import Pauses

#: Seconds between two signs of life.
EVERY = 5.0
#: How long tallies, and rows of processes that are no more, are kept.
KEEP_TALLIES = timedelta(days=8)
KEEP_PROCESSES = timedelta(days=1)
_LONGEST_ERROR = 1000
_NAMESPACE = uuid.UUID("6d7f3f0e-8f5b-5d0c-9a55-3c1f5f0f7a11")
_ADDED = ("count", "last_execution", "last_error", "last_at")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is counted together."""

    hour: datetime
    account: str
    workflow: str
    trigger: str
    status: str
    from_queue: bool

    @property
    def id(self) -> uuid.UUID:
        parts = (self.hour.isoformat(), self.account, self.workflow, self.trigger, self.status)
        return uuid.uuid5(_NAMESPACE, "\0".join((*parts, str(self.from_queue))))


class Pulse:
    """The pulse of one worker; for the thread that owns its database connections.

    Args:
        concurrency: How many calls the worker has in flight at once.
    """

    def __init__(self, *, concurrency: int) -> None:
        self._concurrency = concurrency
        self._tallies: dict[str, dict[_Kind, Tally]] = defaultdict(dict)
        self._beats: dict[str, float] = {}
        self._swept: dict[str, datetime] = {}

    def note(self, using: str, change: Change, now: datetime) -> None:
        """Count a transition that has been written.

        Args:
            using: The database's alias.
            change: What was written of a row.
            now: The time.
        """
        if change.before == change.after:
            return
        row = change.execution
        kind = _Kind(
            hour=_hour(now),
            account=row.account,
            workflow=row.workflow,
            trigger=row.trigger,
            status=change.after,
            from_queue=change.before == row.Status.QUEUED,
        )
        known = self._tallies[using].get(kind)
        tally = known or Tally(
            id=kind.id, **{name: getattr(kind, name) for name in kind.__slots__}, count=0
        )
        tally.count += 1
        tally.last_execution, tally.last_at = row.pk, now
        tally.last_error = row.last_error[:_LONGEST_ERROR]
        self._tallies[using][kind] = tally

    def wait(self, using: str) -> float:
        """Return the seconds until a database's next sign of life is due."""
        return max(0.0, self._beats.get(using, 0.0) - time.monotonic())

    def is_due(self, using: str) -> bool:
        """Return whether a database is to have a sign of life."""
        return self._beats.get(using, 0.0) <= time.monotonic()

    def beat(self, using: str, *, in_flight: int, pauses: Pauses, ended: bool = False) -> None:
        """Write the sign of life, and the tallies.

        Args:
            using: The database's alias.
            in_flight: How many rows are in hand.
            pauses: The paused accounts.
            ended: Whether this is the last sign.
        """
        self._beats[using] = time.monotonic() + EVERY
        # By the database's clock: whoever reads it judges its age by that one, too.
        now = timezone.now() + outbox.ahead(using)
        says = {
            "version": __version__,
            "dispatcher": conf.settings.dispatcher[:255],
            "concurrency": self._concurrency,
            "in_flight": in_flight,
            "pauses": pauses.told(now),
            "seen_at": now,
            "ended_at": now if ended else None,
        }
        pid = os.getpid()
        rows = WorkerProcess.objects.using(using)
        if not rows.filter(pk=_process(pid)).update(**says):
            name = f"{socket.gethostname()}:{pid}"[-255:]
            rows.bulk_create(
                [WorkerProcess(id=_process(pid), name=name, started_at=now, **says)],
                ignore_conflicts=True,
            )
        self.flush(using)
        self._sweep(using, now)

    def flush(self, using: str) -> None:
        """Add to a database's tallies what has been counted since.

        Args:
            using: The database's alias.
        """
        # In the same order everywhere: two processes never wait for each other.
        if rows := sorted(self._tallies[using].values(), key=lambda row: row.pk):
            _add(using, rows)
            self._tallies[using].clear()

    def _sweep(self, using: str, now: datetime) -> None:
        if self._swept.get(using) == _hour(now):
            return
        self._swept[using] = _hour(now)
        Tally.objects.using(using).filter(hour__lt=now - KEEP_TALLIES).delete()
        WorkerProcess.objects.using(using).filter(seen_at__lt=now - KEEP_PROCESSES).delete()


@lru_cache(maxsize=1)
def _process(_pid: int) -> uuid.UUID:
    # By its number: the child of a fork is a process of its own.
    return uuid7()


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def _add(using: str, rows: list[Tally]) -> None:
    connection = connections[using]
    quote = connection.ops.quote_name
    fields: list[Any] = list(Tally._meta.concrete_fields)
    table, count = quote(Tally._meta.db_table), quote("count")
    columns = ", ".join(quote(field.column) for field in fields)
    row = f"({', '.join(['%s'] * len(fields))})"
    tail = connection.ops.on_conflict_suffix_sql(fields, OnConflict.UPDATE, _ADDED, ["id"])
    # Django knows how to overwrite; here the new count comes on top of the old one.
    tail = tail.replace(f"{count} = ", f"{count} = {table}.{count} + ", 1)
    parameters = [
        field.get_db_prep_save(getattr(tally, field.attname), connection)
        for tally in rows
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"{connection.ops.insert_statement()} {table} ({columns}) "
            f"VALUES {', '.join([row] * len(rows))} {tail}",
            parameters,
        )
