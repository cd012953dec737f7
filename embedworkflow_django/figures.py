"""Figures for operators: what waits, what runs, what became of it, and who is at work.

Every figure costs the same on a table of any size: a count ends at ``CAP`` rows of an index, an age
is the first entry of one, outcomes are the workers' own tallies of each hour, and signs of life are
rows of the few processes that work. Nothing is scanned, and the number of queries is fixed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import cache
from django.core.serializers.json import DjangoJSONEncoder
from django.db import router
from django.db.models import Count as CountOf
from django.db.models import Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Greatest, Left
from django.utils import timezone

from . import conf, outbox
from .models import FINAL, Execution, Status, Tally, WorkerProcess
from .pauses import Kind

#: What is counted of each kind at the most.
CAP: Final = 10_000
#: How old a worker's last sign of life may be; it gives one every five seconds.
ALIVE: Final = timedelta(seconds=30)
#: How many hours the outcomes are of, the current one included.
HOURS: Final = 24
#: How many workflows, the busiest first, and how many processes, the latest first, are told apart.
MOST_WORKFLOWS: Final = 50
MOST_PROCESSES: Final = 100
#: The statuses in which a workflow has failed.
FAILED: Final = frozenset({Status.FAILED, Status.UNDELIVERABLE})

# How many of the oldest rows are looked at for what has waited longest, or is not let in.
_SAMPLE = 1000
_SAMPLE_OF_ERRORS = 100
_LONGEST_TEXT = 300
# How long one computation is waited for, and a result may serve meanwhile, in seconds.
_PATIENCE = 60
# How the words of a call begin that the API has answered: method and path, then the status code.
_REFUSED = re.compile(r"(?:[A-Z]+ \S+ )?(?:401|403)\b")


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows.

    Args:
        number: How many there are.
        capped: Whether counting has ended there, so that there may be more.
    """

    number: int
    capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A worker process's last sign of life.

    Args:
        name: Its host and process id.
        version: This app's, as the process runs it.
        dispatcher: What the settings wake.
        concurrency: How many calls of an account it has in flight at the most.
        in_flight: How many rows it had in hand.
        started_at: When it began.
        seen_at: When it wrote this.
        ended_at: When it ended; ``None`` while it works.
        alive: Whether it works, as far as can be told.
    """

    name: str
    version: str
    dispatcher: str
    concurrency: int
    in_flight: int
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An account to which nothing is sent at the moment.

    Args:
        account: Its alias.
        kind: Why, in one word; empty if nobody says.
        reason: The API's words, or what is wrong with the settings.
        until: When it is tried again; ``None`` if nobody says.
    """

    account: str
    kind: str
    reason: str
    until: datetime | None

    @property
    def refused(self) -> bool:
        """Whether a person has to do something: the key, or the settings, are wrong."""
        return self.kind in {Kind.REFUSED, Kind.SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What has become of executions within the last day.

    Args:
        workflow: Of which workflow; empty for those that are not told apart.
        sent: How many have left the queue.
        statuses: How many have reached each status.
        completed: How many have completed, hour by hour.
        failed: How many have failed or could not be delivered, hour by hour.
        others: How many have ended otherwise, hour by hour.
    """

    workflow: str
    sent: int
    statuses: Mapping[str, int]
    completed: tuple[int, ...]
    failed: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def ended(self) -> int:
        """How many have ended."""
        return sum(self.completed) + sum(self.failed) + sum(self.others)

    @property
    def failure_rate(self) -> float | None:
        """The part of those ended that has failed, from 0.0 to 1.0; ``None`` when none ended."""
        return sum(self.failed) / self.ended if self.ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What an operator asks first.

    Args:
        using: The database's alias.
        at: When this was found out.
        due: What wants attention now.
        in_flight: What a worker has in hand now: claimed, and its lease has not ended.
        statuses: How many executions there are in each status.
        oldest_due: For how long a row has been due, in seconds; ``None`` when none is.
        oldest_queued: For how long a queued row could have been sent, in seconds.
        processes: The processes with a worker of the last day, the latest first.
        pauses: The paused accounts, as the living workers say; without any, those whose
            executions say that they are not let in.
        hours: When each hour of the outcomes began.
        outcomes: By workflow, the busiest first.
        total: The outcomes of all workflows.
    """

    using: str
    at: datetime
    due: Count
    in_flight: Count
    statuses: Mapping[str, Count]
    oldest_due: float | None
    oldest_queued: float | None
    processes: tuple[Sign, ...]
    pauses: tuple[Pause, ...]
    hours: tuple[datetime, ...]
    outcomes: tuple[Outcomes, ...]
    total: Outcomes

    @property
    def alive(self) -> tuple[Sign, ...]:
        """The processes whose worker works, as far as can be told."""
        return tuple(sign for sign in self.processes if sign.alive)

    @property
    def is_unserved(self) -> bool:
        """Whether a row has been due for a while, and no worker is at work."""
        late = self.oldest_due is not None and self.oldest_due > ALIVE.total_seconds()
        return late and not self.alive

    @property
    def unseen(self) -> float | None:
        """Seconds since any worker's last sign of life; ``None`` without one in the last day."""
        if not self.processes:
            return None
        return max(0.0, (self.at - self.processes[0].seen_at).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What has become of a trigger's executions within the last day.

    Args:
        statuses: How many have reached each status.
        last_error: The latest error's words; empty without any.
        last_error_at: When that was.
        last_execution: The id of the execution that it befell.
    """

    statuses: Mapping[str, int]
    last_error: str = ""
    last_error_at: datetime | None = None
    last_execution: str = ""


def overview(using: str | None = None, *, max_age: float = 0.0) -> Overview:
    """Return what an operator asks first, of one database.

    It takes 20 queries at the most; with a cache, none as long as the last answer is fresh:

    * ``due`` and each of ``statuses``: a count of at most ``CAP`` entries of the index on
      ``due_at``, or on ``status``.
    * ``in_flight``: among the ``CAP`` latest ``due_at`` within a lease from now, those claimed.
    * ``oldest_due``: the first entry of the index. ``oldest_queued``: the earliest of the 1,000
      queued rows with the lowest ids, those with a later ``run_at`` left out.
    * ``outcomes``: sums over the last day's ``Tally`` rows, which the workers keep: one row for an
      hour, account, workflow, trigger and status. ``MOST_WORKFLOWS`` are told apart, the rest are
      in ``total`` only. What a person did to a row is not in them.
    * ``processes`` and ``pauses``: the latest ``WorkerProcess`` rows; ``pauses`` without a living
      worker: the errors of the 100 rows that are due longest.

    Times of the queue are read by the database's clock, which costs one more query now and then.

    Args:
        using: The database's alias; the one that executions are read from by default.
        max_age: How old an answer from Django's cache may be, in seconds; 0 asks the database. An
            answer that is older serves only while another caller is computing the next one.
    """
    alias = using or router.db_for_read(Execution)
    return _overview(_kept(f"overview:{alias}", max_age, lambda: _measure(alias)))


def triggers(
    names: Collection[str], using: str | None = None, *, max_age: float = 0.0
) -> dict[str, Fired]:
    """Return what has become of some triggers' executions within the last day, in 3 queries.

    Each is a sum over, or a look into, the last day's ``Tally`` rows.

    Args:
        names: The triggers' names.
        using: The database's alias; the one that executions are read from by default.
        max_age: How old an answer from Django's cache may be, in seconds; 0 asks the database.
    """
    alias = using or router.db_for_read(Execution)
    found = _kept(f"triggers:{alias}", max_age, lambda: _measure_triggers(alias))
    return {name: _fired(found.get(name, {})) for name in names}


def pauses(using: str | None = None) -> tuple[Pause, ...]:
    """Return the paused accounts, in one query with a living worker, and in two without.

    Args:
        using: The database's alias; the one that executions are read from by default.
    """
    alias = using or router.db_for_read(Execution)
    now = timezone.now() + outbox.ahead(alias)
    living = _living(WorkerProcess.objects.using(alias), now).values_list("pauses", flat=True)
    return tuple(_pause(each) for each in _pauses(alias, list(living[:MOST_PROCESSES])))


def refused(reason: str) -> bool:
    """Return whether a row's last error says that its account is not let in.

    Args:
        reason: The words of the API's answer.
    """
    return _REFUSED.match(reason) is not None


# Measuring: plain values only, as JSON has them


def _measure(using: str) -> dict[str, Any]:
    now = timezone.now() + outbox.ahead(using)
    rows = Execution.objects.using(using).order_by()
    due = rows.due(now).order_by("due_at")
    processes: list[Any] = list(
        WorkerProcess.objects.using(using).order_by("-seen_at").values()[:MOST_PROCESSES]
    )
    for process in processes:
        process["alive"] = process["ended_at"] is None and process["seen_at"] >= now - ALIVE
    return {
        "using": using,
        "at": now,
        "due": _count(due),
        "in_flight": _in_flight(rows, now),
        "statuses": {str(s): _count(rows.filter(status=s).order_by("-id")) for s in Status},
        "oldest_due": _age(due.values_list("due_at", flat=True).first(), now),
        "oldest_queued": _age(_queued_since(rows, now), now),
        "processes": processes,
        "pauses": _pauses(using, [p["pauses"] for p in processes if p["alive"]]),
        **_outcomes(Tally.objects.using(using).order_by(), now),
    }


def _count(rows: QuerySet[Execution]) -> int:
    # In an index's order, so that no planner walks through the table for the first of them.
    return rows.values("pk")[:CAP].count()


def _in_flight(rows: QuerySet[Execution], now: datetime) -> list[Any]:
    # A lease ends within its length from now, whoever holds it; a poll may be due then as well.
    leases = rows.filter(due_at__gt=now, due_at__lte=now + conf.settings.lease)
    found = (
        leases.order_by("-due_at")
        .values("claim")[:CAP]
        .aggregate(seen=CountOf("claim"), claimed=CountOf("claim", filter=~Q(claim="")))
    )
    return [found["claimed"], found["seen"] >= CAP]


def _queued_since(rows: QuerySet[Execution], now: datetime) -> datetime | None:
    # Also what waits for its back-off: while the API is down, that is all there is.
    oldest = rows.filter(status=Status.QUEUED).order_by("id").values("created_at", "run_at")
    found: datetime | None = oldest[:_SAMPLE].aggregate(
        since=Min(
            Greatest("created_at", Coalesce("run_at", "created_at")),
            filter=Q(run_at__isnull=True) | Q(run_at__lte=now),
        )
    )["since"]
    return found


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


def _living(rows: QuerySet[WorkerProcess], now: datetime) -> QuerySet[WorkerProcess]:
    return rows.filter(ended_at__isnull=True, seen_at__gte=now - ALIVE).order_by("-seen_at")


def _pauses(using: str, said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pauses of the living workers, each account once; without a worker, a guess."""
    if not said:
        errors = _errors(using)
        return [
            {"account": name, "kind": Kind.REFUSED, "reason": error}
            for name, error in errors.items()
        ]
    latest: dict[str, dict[str, Any]] = {}
    for account, pause in (each for pauses in said for each in pauses.items()):
        later = max(latest.get(account, pause), pause, key=_until)
        latest[account] = {"account": account, **later}
    return [latest[account] for account in sorted(latest)]


def _until(pause: dict[str, Any]) -> str:
    return str(pause.get("until", ""))


def _errors(using: str) -> dict[str, str]:
    # A worker gives such rows back as they were, so they are among those due longest.
    rows = Execution.objects.using(using).filter(due_at__isnull=False).order_by("due_at")
    errors = rows.values_list("account", Left("last_error", _LONGEST_TEXT))
    return {account: error for account, error in errors[:_SAMPLE_OF_ERRORS] if refused(error)}


def _since(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)


def _outcomes(tallies: QuerySet[Tally], now: datetime) -> dict[str, Any]:
    hours = [_since(now) + timedelta(hours=number) for number in range(HOURS)]
    tallies = tallies.filter(hour__gte=hours[0])
    busiest = tallies.values_list("workflow").annotate(n=Sum("count")).order_by("-n", "workflow")
    names = [name for name, _count in busiest[:MOST_WORKFLOWS]]
    cells = tallies.filter(workflow__in=names).values("hour", "status", "workflow")
    apart = _by_workflow(_summed(cells), hours)
    together = _by_workflow(_summed(tallies.values("hour", "status")), hours)
    return {
        "hours": hours,
        # In the order of their names: a database may take two spellings for one.
        "outcomes": sorted(apart.values(), key=lambda each: -sum(each["statuses"].values())),
        "total": together.get("") or _nothing("", hours),
    }


def _summed(cells: QuerySet[Tally, Any]) -> Iterable[dict[str, Any]]:
    return cells.annotate(n=Sum("count"), sent=Sum("count", filter=Q(from_queue=True), default=0))


def _nothing(workflow: str, hours: list[datetime]) -> dict[str, Any]:
    series = {name: [0] * len(hours) for name in ("completed", "failed", "others")}
    return {"workflow": workflow, "sent": 0, "statuses": {}, **series}


def _by_workflow(
    cells: Iterable[dict[str, Any]], hours: list[datetime]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    places = {hour: place for place, hour in enumerate(hours)}
    for cell in cells:
        workflow, status, n = cell.get("workflow", ""), cell["status"], cell["n"]
        into = found.setdefault(workflow, _nothing(workflow, hours))
        into["sent"] += cell["sent"]
        into["statuses"][status] = into["statuses"].get(status, 0) + n
        # A worker whose clock is ahead may have begun the next hour.
        place = places.get(cell["hour"], len(hours) - 1)
        if status in FINAL:
            into[_series(status)][place] += n
    return found


def _series(status: str) -> str:
    if status == Status.COMPLETED:
        return "completed"
    return "failed" if status in FAILED else "others"


def _measure_triggers(using: str) -> dict[str, dict[str, Any]]:
    since = _since(timezone.now() + outbox.ahead(using))
    tallies = Tally.objects.using(using).order_by().filter(hour__gte=since).exclude(trigger="")
    found: dict[str, dict[str, Any]] = {}
    cells = tallies.values_list("trigger", "status").annotate(n=Sum("count"))
    for name, status, n in cells:
        found.setdefault(name, {"statuses": {}})["statuses"][status] = n
    wrong = tallies.exclude(last_error="")
    times = dict(wrong.values_list("trigger").annotate(last=Max("last_at")))
    words = wrong.filter(last_at__in=set(times.values())).annotate(
        words=Left("last_error", _LONGEST_TEXT)
    )
    for name, at, said, execution in words.values_list(
        "trigger", "last_at", "words", "last_execution"
    ):
        if times.get(name) == at:
            # A trigger may have moved for the first time since its outcomes were summed up.
            into = found.setdefault(name, {})
            into |= {"last_error": said, "last_error_at": at, "last_execution": execution}
    return found


# Reading what was measured


def _overview(found: dict[str, Any]) -> Overview:
    return Overview(
        using=found["using"],
        at=_time(found["at"]),
        due=_capped(found["due"]),
        in_flight=Count(*found["in_flight"]),
        statuses={status: _capped(number) for status, number in found["statuses"].items()},
        oldest_due=found["oldest_due"],
        oldest_queued=found["oldest_queued"],
        processes=tuple(_sign(process) for process in found["processes"]),
        pauses=tuple(_pause(pause) for pause in found["pauses"]),
        hours=tuple(_time(hour) for hour in found["hours"]),
        outcomes=tuple(_day(each) for each in found["outcomes"]),
        total=_day(found["total"]),
    )


def _capped(number: int) -> Count:
    return Count(number, capped=number >= CAP)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_or_none(text: str | None) -> datetime | None:
    return _time(text) if text else None


def _sign(process: dict[str, Any]) -> Sign:
    return Sign(
        name=process["name"],
        version=process["version"],
        dispatcher=process["dispatcher"],
        concurrency=process["concurrency"],
        in_flight=process["in_flight"],
        started_at=_time(process["started_at"]),
        seen_at=_time(process["seen_at"]),
        ended_at=_time_or_none(process["ended_at"]),
        alive=process["alive"],
    )


def _pause(pause: dict[str, Any]) -> Pause:
    return Pause(
        account=pause["account"],
        kind=pause.get("kind", ""),
        reason=pause["reason"],
        until=_time_or_none(pause.get("until")),
    )


def _day(outcomes: dict[str, Any]) -> Outcomes:
    series = {name: tuple(outcomes[name]) for name in ("completed", "failed", "others")}
    return Outcomes(
        workflow=outcomes["workflow"],
        sent=outcomes["sent"],
        statuses=outcomes["statuses"],
        **series,
    )


def _fired(found: dict[str, Any]) -> Fired:
    return Fired(
        statuses=found.get("statuses", {}),
        last_error=found.get("last_error", ""),
        last_error_at=_time_or_none(found.get("last_error_at")),
        last_execution=found.get("last_execution") or "",
    )


# The cache


def _kept(name: str, max_age: float, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured a moment ago by anybody, or else measure it."""
    if max_age <= 0:
        return _read(_text(measure()))
    key = f"embedworkflow:figures:1:{name}"
    known = _asked("get", key) or {}
    fresh = 0 <= time.time() - known.get("at", 0) < max_age
    # Of those who find it stale, one measures, and the others take what there is.
    if known and (fresh or _asked("add", f"{key}:lock", 1, _PATIENCE) is False):
        return _read(known["text"])
    try:
        text = _text(measure())
        _asked("set", key, {"at": time.time(), "text": text}, max_age + _PATIENCE)
    finally:
        _asked("delete", f"{key}:lock")
    return _read(text)


def _asked(verb: str, *args: Any) -> Any:
    """Return the cache's answer; ``None`` if it is down, which must not cost the figures."""
    try:
        return getattr(cache, verb)(*args)
    except Exception:  # noqa: BLE001 - each kind of cache has errors of its own
        return None


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, cls=DjangoJSONEncoder)


def _read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
