"""``embedworkflow_status``: what waits and for how long, who is at work, and what needs a person.

Exit codes: 0; 1 with ``--fail-if-older-than`` when something has waited longer, with
``--fail-if-no-worker-for`` when no worker has been seen for longer, or when a database cannot be
read; 2 when the command line cannot be read.

All of it is ``figures.overview``, so that the command costs the same on a table of any size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import figures
from ...exceptions import printable
from ...figures import Count, Outcomes, Overview, Pause, Sign
from ...models import Status
from ...pauses import Kind
from .. import arguments, databases, printing


class Command(BaseCommand):
    """Show the state of the queue and of the workers."""

    help = (
        "Show what is due, queued, in a worker's hands, running and finished, and how long the "
        "oldest has waited; the paused accounts, the workers, and what has become of executions "
        f"within the last day. Counts end at {figures.CAP:,}. Exit code: 0, or 1 when something "
        "has waited longer than --fail-if-older-than, when no worker has been seen for longer than "
        "--fail-if-no-worker-for, or when a database cannot be read."
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
            "--fail-if-no-worker-for",
            type=arguments.seconds,
            metavar="SECONDS",
            help="End with exit code 1 if no worker has given a sign of life for longer; one that "
            "works gives one every five seconds. Default: never.",
        )
        arguments.add_databases(parser, "to look at")

    def handle(
        self,
        *,
        json: bool,
        fail_if_older_than: float | None,
        fail_if_no_worker_for: float | None,
        database: list[str] | None,
        **_options: Any,
    ) -> None:
        """Show the state of the queue and of the workers; see the class's ``help``.

        Args:
            json: Whether to print JSON.
            fail_if_older_than: The longest wait that is sound, in seconds.
            fail_if_no_worker_for: The longest silence of all workers that is sound, in seconds.
            database: The databases' aliases.

        Raises:
            CommandError: Something has waited longer, no worker has been seen for longer, or a
                database cannot be read.
        """
        now = timezone.now()
        found, failed = [], []
        for alias in arguments.databases(database):
            try:
                found.append(_look(alias))
            except CommandError as error:
                failed.append(str(error))
        if found:
            text = _as_json(found, now) if json else _as_text(found)
            self.stdout.write(printing.shown(text, self.stdout))
        if failed:
            raise CommandError("\n".join(failed))
        for overview in found:
            if fail_if_older_than is not None:
                _require_younger(overview, fail_if_older_than)
            if fail_if_no_worker_for is not None:
                _require_worker(overview, fail_if_no_worker_for)


def _look(alias: str) -> Overview:
    with databases.needed(alias):
        return figures.overview(alias)


def _require_younger(found: Overview, limit: float) -> None:
    waits = (found.oldest_due, "been due"), (found.oldest_queued, "waited to be delivered")
    for age, what in waits:
        if age is not None and age > limit:
            raise CommandError(
                f"An execution in {found.using!r} has {what} for {_duration(age)}, "
                f"longer than {_duration(limit)}."
            )


def _require_worker(found: Overview, limit: float) -> None:
    if found.unseen is None:
        raise CommandError(
            f"No worker of {found.using!r} has given a sign of life within the last day."
        )
    if found.unseen > limit:
        raise CommandError(
            f"No worker of {found.using!r} has given a sign of life for {_duration(found.unseen)}, "
            f"longer than {_duration(limit)}."
        )


# JSON


def _as_json(found: list[Overview], now: datetime) -> str:
    databases = {overview.using: _state(overview) for overview in found}
    return json.dumps({"at": now.isoformat(), "databases": databases}, indent=2)


def _state(found: Overview) -> dict[str, Any]:
    counts = {"due": found.due, "in_flight": found.in_flight, **found.statuses}
    return {
        "due": found.due.number,
        "in_flight": found.in_flight.number,
        "statuses": {status: count.number for status, count in found.statuses.items()},
        "capped": sorted(name for name, count in counts.items() if count.capped),
        "oldest_due": found.oldest_due,
        "oldest_queued": found.oldest_queued,
        "refused_accounts": {each.account: each.reason for each in found.pauses if each.refused},
        "pauses": {
            each.account: {"kind": each.kind, "reason": each.reason, "until": _iso(each.until)}
            for each in found.pauses
        },
        "unseen": found.unseen,
        "workers": [_worker(sign) for sign in found.processes],
        "last_day": {
            "since": _iso(found.hours[0]),
            **_sums(found.total),
            "workflows": {each.workflow: _sums(each) for each in found.outcomes},
        },
    }


def _worker(sign: Sign) -> dict[str, Any]:
    host, _colon, pid = sign.name.rpartition(":")
    return {
        "host": host,
        "pid": pid,
        "version": sign.version,
        "dispatcher": sign.dispatcher,
        "concurrency": sign.concurrency,
        "in_flight": sign.in_flight,
        "alive": sign.alive,
        "started_at": _iso(sign.started_at),
        "seen_at": _iso(sign.seen_at),
        "ended_at": _iso(sign.ended_at),
    }


def _sums(outcomes: Outcomes) -> dict[str, Any]:
    return {
        "left_queue": outcomes.sent,
        "ended": outcomes.ended,
        "completed": sum(outcomes.completed),
        "failed": sum(outcomes.failed),
        "failure_rate": outcomes.failure_rate,
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


# Text: a table of its own for each kind of thing, each cell as wide as the widest below it


def _as_text(found: list[Overview]) -> str:
    return "\n".join(line for overview in found for line in _lines(overview))


def _lines(found: Overview) -> Iterator[str]:
    yield found.using
    yield from _table(_counts(found))
    yield from _section(
        _("workers"), _table(_workers(found)), _("no sign of life within the last day")
    )
    yield from _section(_("last day"), _table(_workflows(found)), _("nothing"))
    yield from _section(_("paused accounts"), _pauses(found), _("none"))


def _section(title: str, lines: Iterable[str], otherwise: str) -> Iterator[str]:
    yield f"  {title}"
    for line in list(lines) or [f"  {otherwise}"]:
        yield f"  {line}"


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(map(printing.columns, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = map(printing.padded, row, widths)
        yield f"  {'  '.join(cells)}".rstrip()


def _counts(found: Overview) -> Iterator[tuple[str, ...]]:
    rows: list[tuple[str, Count, float | None]] = [
        (_("due now"), found.due, found.oldest_due),
        (_("in a worker’s hands"), found.in_flight, None),
    ]
    for status, count in found.statuses.items():
        age = found.oldest_queued if status == Status.QUEUED else None
        rows.append((str(Status(status).label), count, age))
    numbers = [f"{count.number:,}{'+' * count.capped}" for _title, count, _age in rows]
    width = max(map(len, numbers))
    for (title, _count, age), number in zip(rows, numbers, strict=True):
        yield title, number.rjust(width), _oldest(age)


def _oldest(age: float | None) -> str:
    return "" if age is None else _("the oldest for %(duration)s") % {"duration": _duration(age)}


def _workers(found: Overview) -> Iterator[tuple[str, ...]]:
    for sign in found.processes:
        seen = _duration(max(0.0, (found.at - sign.seen_at).total_seconds()))
        yield (
            sign.name,
            _worker_state(sign),
            _("seen %(duration)s ago") % {"duration": seen},
            _("%(count)d in hand") % {"count": sign.in_flight} if sign.alive else "",
            sign.dispatcher,
            sign.version,
        )


def _worker_state(sign: Sign) -> str:
    if sign.alive:
        return _("at work")
    return _("silent") if sign.ended_at is None else _("ended")


def _workflows(found: Overview) -> Iterator[tuple[str, ...]]:
    if not found.outcomes:
        return
    for name, each in ((_("all"), found.total), *((one.workflow, one) for one in found.outcomes)):
        rate = "" if each.failure_rate is None else f"({each.failure_rate:.1%})"
        failed = _("%(count)s failed") % {"count": f"{sum(each.failed):,}"}
        yield (
            printable(name),
            _("%(count)s left the queue") % {"count": f"{each.sent:,}"},
            _("%(count)s ended") % {"count": f"{each.ended:,}"},
            f"{failed} {rate}".rstrip(),
        )


def _pauses(found: Overview) -> Iterator[str]:
    for pause in found.pauses:
        yield f"  {_paused(pause, found.at)}"
        yield f"    {pause.reason}"


def _paused(pause: Pause, now: datetime) -> str:
    known = str(Kind(pause.kind).label) if pause.kind in Kind else pause.kind
    if pause.until is None:
        return _("%(account)s: %(kind)s") % {"account": pause.account, "kind": known}
    about = {
        "account": pause.account,
        "kind": known,
        "duration": _duration(max(0.0, (pause.until - now).total_seconds())),
    }
    return _("%(account)s: %(kind)s; tried again in %(duration)s") % about


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004
