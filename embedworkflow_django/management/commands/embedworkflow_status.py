"""``embedworkflow_status``: how much is waiting, for how long, and what needs a person.

Exit codes: 0; 1 with ``--fail-if-older-than`` when something has waited longer, or when a database
cannot be read; 2 when the command line cannot be read.

Counts end at 10,000 each (``10,000+``), so that the command costs the same on a table of any size.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from ... import conf
from ...models import Execution, Status
from .. import arguments

#: What is counted of each kind at the most.
CAP: Final = 10_000
# How many of the longest-due rows are searched for accounts that are not let in.
_SAMPLE = 100
# How a last error begins that says so: perhaps the method and path, then the status code.
_REFUSED = re.compile(r"(?:[A-Z]+ \S+ )?(?:401|403)\b")


class Command(BaseCommand):
    """Show the state of the queue."""

    help = (
        "Show what is queued, due, in flight, running and finished, and how long the oldest has "
        f"waited. Counts end at {CAP:,}. Exit code: 0, or 1 when something has waited longer "
        "than --fail-if-older-than, or a database cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--json", action="store_true", help="Print JSON. Default: text for people."
        )
        parser.add_argument(
            "--fail-if-older-than",
            type=arguments.seconds,
            metavar="SECONDS",
            help="End with exit code 1 if something has been due, or has waited to be delivered, "
            "for longer. Default: never.",
        )
        parser.add_argument(
            "--database",
            action="append",
            metavar="ALIAS",
            help="Database to look at; repeatable. Default: all that hold executions.",
        )

    def handle(
        self,
        *,
        json: bool,
        fail_if_older_than: float | None,
        database: list[str] | None,
        **_options: Any,
    ) -> None:
        """Show the state of the queue; see the class's ``help``.

        Args:
            json: Whether to print JSON.
            fail_if_older_than: The longest wait that is sound, in seconds.
            database: The databases' aliases.

        Raises:
            CommandError: Something has waited longer, or a database cannot be read.
        """
        now = timezone.now()
        found = {alias: _look(alias, now) for alias in arguments.databases(database)}
        self.stdout.write(_as_json(found, now) if json else _as_text(found))
        if fail_if_older_than is not None:
            for alias, state in found.items():
                _require_younger(alias, state, fail_if_older_than)


def _look(alias: str, now: datetime) -> dict[str, Any]:
    try:
        return state(alias, now)
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(
            f"The executions in database {alias!r} cannot be read: {str(error).strip()}"
        ) from None


def state(alias: str, now: datetime) -> dict[str, Any]:
    """Return what one database holds, in 16 queries, each by an index and with an end.

    Args:
        alias: The database's alias.
        now: The time.

    Returns:
        ``due``, ``in_flight``: counts. ``statuses``: a count for each. ``capped``: the names of
        the counts that ended at ``CAP``. ``oldest_due``, ``oldest_queued``: seconds that the row
        has waited, or ``None``. ``refused_accounts``: alias to the API's words.
    """
    rows = Execution.objects.using(alias).order_by()
    due = rows.due(now)
    # A lease ends within its length from now, whoever holds it.
    leased = rows.filter(due_at__gt=now, due_at__lte=now + conf.settings.lease).exclude(claim="")
    counts = {"due": _count(due), "in_flight": _count(leased)}
    statuses = {str(status): _count(rows.filter(status=status)) for status in Status}
    return {
        **counts,
        "statuses": statuses,
        "capped": sorted(name for name, n in {**counts, **statuses}.items() if n >= CAP),
        "oldest_due": _age(due.order_by("due_at").values_list("due_at", flat=True).first(), now),
        "oldest_queued": _age(_queued_since(rows, now), now),
        "refused_accounts": _refused_accounts(rows),
    }


def _count(rows: QuerySet[Execution]) -> int:
    return rows.values("pk")[:CAP].count()


def _queued_since(rows: QuerySet[Execution], now: datetime) -> datetime | None:
    # Also what waits for its back-off: while the API is down, that is all there is.
    ready = rows.filter(Q(run_at__isnull=True) | Q(run_at__lte=now), status=Status.QUEUED)
    first = ready.order_by("id").values_list("created_at", "run_at").first()
    return max(filter(None, first)) if first else None


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


def _refused_accounts(rows: QuerySet[Execution]) -> dict[str, str]:
    # A worker gives such rows back as they were, so they are among the longest due.
    errors = (
        rows.filter(due_at__isnull=False)
        .order_by("due_at")
        .values_list("account", Left("last_error", 300))[:_SAMPLE]
    )
    return {account: error for account, error in errors if _REFUSED.match(error)}


def _require_younger(alias: str, state: dict[str, Any], limit: float) -> None:
    for name, what in (("oldest_due", "been due"), ("oldest_queued", "waited to be delivered")):
        age = state[name]
        if age is not None and age > limit:
            raise CommandError(
                f"An execution in {alias!r} has {what} for {_duration(age)}, "
                f"longer than {_duration(limit)}."
            )


def _as_json(found: dict[str, dict[str, Any]], now: datetime) -> str:
    return json.dumps({"at": now.isoformat(), "databases": found}, indent=2)


def _as_text(found: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for alias, state in found.items():
        capped = state["capped"]
        lines += [
            alias,
            _count_line("due now", state["due"], "due" in capped, state["oldest_due"]),
            _count_line("in flight", state["in_flight"], "in_flight" in capped, None),
        ]
        lines += [
            _count_line(
                name, number, name in capped, state["oldest_queued"] if name == "queued" else None
            )
            for name, number in state["statuses"].items()
        ]
        lines += [
            f"  account {account!r} is not let in: {error}"
            for account, error in state["refused_accounts"].items()
        ]
    return "\n".join(lines)


def _count_line(name: str, number: int, capped: bool, oldest: float | None) -> str:
    since = "" if oldest is None else f"  the oldest for {_duration(oldest)}"
    return f"  {name:<14} {number:>8,}{'+' if capped else ' '}{since}".rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004
