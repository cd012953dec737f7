"""The worker: claim what is due, fan it out over threads, record; every dispatcher shares it.

One coordinator, the thread that calls ``run``, owns the database connections: it claims and
settles, in few big statements. HTTP threads call the API and never touch a database. One more
thread runs the receivers, so that a slow one delays no delivery.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
)
from django.utils import timezone

from . import conf, delivery, mirror, notices, outbox, sync
from .exceptions import InvalidAnswer, printable
from .forks import Desk
from .lanes import LARGEST_BATCH, Lane, width
from .mirror import Change
from .models import Status
from .outbox import Claimed
from .pauses import Pauses
from .pulse import Pulse

logger = logging.getLogger("embedworkflow_django")

DATABASE_ERRORS = (DatabaseError, InterfaceError)
# What writing a row raises when the row is to blame, and not the database.
UNSTORABLE = (IntegrityError, DataError, ValueError)
# How long ended calls are gathered before they are written together, in seconds.
GATHER = 0.1
# How long the coordinator gives way to calls that it has just handed over, in seconds.
GIVE_WAY = 0.001
# How long a database that fails is left alone, at first and at the longest, in seconds.
FIRST_DATABASE_PAUSE = 1.0
LONGEST_DATABASE_PAUSE = 30.0
# No interval needs more to become that long, and no float takes a thousand.
MOST_DOUBLINGS = 60
# How often in a row a database fails a worker that is to end, until it leaves it alone.
TRIES = 3
# How often rows are looked for whose account the settings do not know, in seconds.
STRANGERS = 60.0
# How often a worker's process does its chores, in seconds; and how soon after it was woken.
CHORES_EVERY = 5.0
CHORES_WOKEN = 1.0
_Key = tuple[str, uuid.UUID]
_Look = tuple[str, str | None]

#: What else a worker's process does once in a while for each database, given its alias, on the
#: thread that runs the receivers; returns whether more waits.
chores: list[Callable[[str], bool]] = []


@dataclass(frozen=True, slots=True)
class _Ended:
    """A call, or an announcement, that has ended; of a call, how many seconds it took."""

    claimed: Claimed
    change: Change
    error: Exception | None = None
    seconds: float = 0.0


class Worker:
    """Does the work of every database whose router admits executions.

    Args:
        aliases: The databases; all that admit executions by default.
        concurrency: How many calls of an account are in flight at once; the setting by default.
        interval: The longest time between two looks at a database, in seconds.
        pauses: The paused accounts that an earlier worker has left.
        pulse: The pulse that an earlier worker of this process has left.
    """

    def __init__(
        self,
        *,
        aliases: Iterable[str] | None = None,
        concurrency: int | None = None,
        interval: float = 1.0,
        pauses: Pauses | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self.token = uuid.uuid4().hex
        self.aliases = list(aliases) if aliases is not None else outbox.databases()
        self.concurrency = width(concurrency)
        self.interval = interval
        #: How often each outcome was recorded.
        self.counts: Counter[str] = Counter()
        self._lanes: dict[str, Lane] = {}
        self._news: SimpleQueue[tuple[Claimed, Change] | None] = SimpleQueue()
        self._inbox: deque[_Ended] = deque()
        # Rings for what has come in, or, with False, for all that is to be looked at anew.
        self._bell: SimpleQueue[bool] = SimpleQueue()
        # Whether the coordinator looks by itself soon, and how much more it could wait for.
        self._gathers = False
        self._missing = 0
        self._in_hand: dict[_Key, Claimed] = {}
        self._announcing: dict[_Key, Claimed] = {}
        # What is to be written, by database, and since when; where one has failed, from when on.
        self._heard: dict[str, list[_Ended]] = defaultdict(list)
        self._gathered: dict[str, float] = {}
        # What was made due by somebody while it was in hand.
        self._again: set[_Key] = set()
        self._announcer: threading.Thread | None = None
        # Where the coordinator sits, and where the receivers run.
        self._desk, self._lectern = Desk(), Desk()
        self._pauses = pauses or Pauses()
        self._pulse = pulse or Pulse(concurrency=self.concurrency)
        self._chores_at = 0.0
        self._strangers_at = time.monotonic() + STRANGERS
        # Until when a database, or the rows of one of its accounts, are not looked at.
        self._down: dict[str, float] = {}
        self._looks: dict[_Look, float] = {}
        # Where the last claim has brought less than it might have.
        self._quiet: set[_Look] = set()
        self._failures: Counter[str] = Counter()
        self._tries: float = math.inf
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._leaves_at: float | None = None
        self._renewed = time.monotonic()

    # What others call

    def run(self) -> None:
        """Work until ``stop`` is called; then finish what is in flight."""
        with self._desk:
            self._run()

    def _run(self) -> None:
        self._announcer = _start(self._read_out, "announce")
        listeners = notices.listen(self.aliases, self.wake)
        try:
            while not self._stopping.is_set():
                claimed = self._claim()
                if self._may_leave(claimed):
                    break
                self._beat()
                self._hear(self._patience())
        finally:
            for listener in listeners:
                listener.close()
            self._finish()

    def run_until_idle(self, *, timeout: float | None = None) -> None:
        """Do what is due now, and return once it is done.

        Args:
            timeout: Seconds after which what has not begun is given back; ``None`` for no limit.
                With one, a database that is away is not waited for: what could not be written is
                left to its lease, and done again under its key.
        """
        due_before = timezone.now()
        ends = None if timeout is None else time.monotonic() + timeout
        self._chores_at = math.inf  # They come last.
        self._tries = math.inf if timeout is None else TRIES
        with self._desk:
            self._run_until_idle(due_before, ends)

    def _run_until_idle(self, due_before: datetime, ends: float | None) -> None:
        self._announcer = _start(self._read_out, "announce")
        try:
            while not self._stopping.is_set() and (ends is None or time.monotonic() < ends):
                self._looks.clear()
                # Asked before the claim, too: a turn that comes meanwhile is no reason to leave.
                held = self._held_back()
                claimed, waits = self._claim(due_before), self._unfinished
                if not claimed and not waits:
                    waits = self._are_due(held | self._held_back(), due_before)
                    if not waits and not (ends is None and self._may_recover()):
                        break
                self._beat()
                self._hear(GATHER if waits else 0.0)
            while self._do_chores() and (ends is None or time.monotonic() < ends):
                pass
        finally:
            self._finish()

    def run_inline(self, using: str, ids: Collection[uuid.UUID] | None = None) -> int:
        """Do what is due now in the caller's thread and connection, without threads.

        Args:
            using: The database's alias.
            ids: The only rows that are worked on; ``None`` for all that are due. Where no row is
                named, the chores are done as well.

        Returns:
            How many rows were worked on.
        """
        # Each is claimed when its turn comes: none is late because of those before it.
        turns = [None] if ids is None else [[pk] for pk in ids]
        count = sum(self._work_inline(using, turn) for turn in turns)
        self._pulse.flush(using)
        while not ids and self._do_chores():
            pass
        return count

    def _work_inline(self, using: str, ids: Collection[uuid.UUID] | None) -> int:
        claimed = outbox.claim(
            using,
            token=self.token,
            now=timezone.now(),
            lease=conf.settings.lease,
            limit=LARGEST_BATCH,
            ids=ids,
        )
        for each in claimed:
            if self._take(each):
                self._settle(using, [self._call(each)])
            for told in self._tell_all():
                self._settle(using, [told])
        return len(claimed)

    def wake(self) -> None:
        """Have the loop look at its databases at once; may be called from any thread."""
        self._woken.set()
        self._chores_at = min(self._chores_at, time.monotonic() + CHORES_WOKEN)
        self._bell.put(False)

    def stop(self, *, now: bool = False) -> None:
        """End the loop; may be called from any thread, and from a signal handler.

        Args:
            now: Whether to leave what is in flight to its lease instead of finishing it.
        """
        if now:
            self._abandoned.set()
        self._stopping.set()
        self._bell.put(False)

    def stop_when_delivered(self, *, timeout: float) -> None:
        """End the loop once nothing is due; may be called from any thread.

        Args:
            timeout: Seconds after which the loop ends all the same.
        """
        self._leaves_at = time.monotonic() + timeout
        self.wake()

    def _may_leave(self, claimed: int) -> bool:
        if self._leaves_at is None:
            return False
        return not (claimed or self._unfinished) or time.monotonic() > self._leaves_at

    @property
    def unreached(self) -> list[str]:
        """The aliases of the databases that failed when they were last asked for work."""
        return [using for using in self.aliases if self._failures[using]]

    @property
    def _unfinished(self) -> bool:
        return bool(self._in_hand or self._announcing or self._heard)

    # Claiming

    def _claim(self, due_before: datetime | None = None) -> int:
        if self._woken.is_set():
            self._woken.clear()
            self._looks.clear()
            self._quiet.clear()
        # First what was claimed ahead is given back: the oldest is to be the one that is tried.
        ahead = [account for account, lane in self._lanes.items() if lane.is_ahead]
        probes, count = self._pauses.probes(without=ahead), 0
        for using in self.aliases:
            if self._down.get(using, 0.0) > time.monotonic():
                continue
            try:
                for probed in probes:
                    count += self._claim_from(using, probed, 1, due_before)
                for account, room in self._open():
                    if self._is_due(using, account):
                        count += self._claim_from(using, account, room, due_before)
                if self._strangers_at <= time.monotonic():
                    known = conf.settings.accounts
                    count += self._claim_from(using, None, 1, due_before, without=known)
            except DATABASE_ERRORS as error:
                self._database_failed(using, error)
                continue
            self._failures.pop(using, None)
        if self._strangers_at <= time.monotonic():
            self._strangers_at = time.monotonic() + STRANGERS
        return count

    def _open(self) -> Iterator[tuple[str | None, int]]:
        """Yield whose rows may be claimed now and how many; ``None`` stands for anybody's."""
        accounts, paused = conf.settings.accounts, self._pauses.accounts()
        lanes = {account: self._lane(account) for account in accounts}
        if paused or any(not lane.is_free for lane in lanes.values() if len(lanes) > 1):
            # One account's backlog is not searched for another's rows, and fills no lane but its.
            for account, lane in lanes.items():
                if account not in paused and (room := lane.room()):
                    yield account, room
        elif room := min(lane.room() for lane in lanes.values()):
            yield None, room

    def _claim_from(
        self,
        using: str,
        account: str | None,
        limit: int,
        due_before: datetime | None,
        without: Collection[str] = (),
    ) -> int:
        claimed = outbox.claim(
            using,
            token=self.token,
            now=timezone.now(),
            lease=conf.settings.lease,
            limit=limit,
            due_before=due_before,
            account=account,
            without=without,
        )
        look = using, account
        if len(claimed) == limit:
            self._quiet.discard(look)
        elif not without:
            if not claimed and look in self._quiet:
                # What was said to be due is another's by now, or is locked and may be for long.
                self._looks[look] = time.monotonic() + GATHER
            self._quiet.add(look)
        for each in claimed:
            if self._take(each):
                self._hand_over(each)
        if claimed:
            # Two threads that want the interpreter hinder each other: first whoever calls.
            time.sleep(GIVE_WAY)
        return len(claimed)

    def _is_due(self, using: str, account: str | None) -> bool:
        """Return whether a claim is worth its statements; note when to look again if not."""
        look = using, account
        if self._looks.get(look, 0.0) > time.monotonic():
            return False
        if look not in self._quiet:
            return True
        due_at = outbox.next_due(using, account=account)
        wait = self.interval if due_at is None else (due_at - timezone.now()).total_seconds()
        if wait > 0:
            self._looks[look] = time.monotonic() + min(wait, self.interval)
        return wait <= 0

    def _held_back(self) -> set[str]:
        """Return the accounts that nothing holds up but their rate."""
        return {account for account, lane in self._lanes.items() if lane.wait() is not None}

    def _may_recover(self) -> bool:
        return any(self._failures[using] < TRIES for using in self.unreached)

    def _are_due(self, accounts: Collection[str], due_before: datetime) -> bool:
        for using in self.aliases:
            if self._down.get(using, 0.0) > time.monotonic():
                continue
            try:
                looks = [outbox.next_due(using, account=account) for account in accounts]
            except DATABASE_ERRORS as error:
                self._database_failed(using, error)
                continue
            if any(due_at is not None and due_at <= due_before for due_at in looks):
                return True
        return False

    def _lane(self, account: str) -> Lane:
        if account not in self._lanes:
            self._lanes[account] = Lane(account, concurrency=self.concurrency)
        return self._lanes[account]

    def _take(self, claimed: Claimed) -> bool:
        """Take a row in hand; return whether a call is due, and not only its announcement."""
        key = _key(claimed)
        if key in self._in_hand or key in self._announcing:
            known = self._in_hand.get(key)
            if known is not None and time.monotonic() < known.expires:
                self._again.add(key)
            return False  # Else its lease had run out under our own hands, and is now prolonged.
        row = claimed.execution
        if not row.is_final or row.announced_at is not None:
            self._in_hand[key] = claimed
            self._lane(row.account).take()
            return True
        self._announce(claimed, mirror.change(row, {}, source="", outcome="finished"))
        return False

    def _hand_over(self, claimed: Claimed) -> None:
        lane = self._lane(claimed.execution.account)
        if lane.wants_a_thread:
            started = _start(partial(self._serve, lane), "call")
            lane.threads += [started] if started else []
        if lane.threads:
            lane.calls.put(claimed)
        else:
            self._bring(self._call(claimed))

    # Calling: in HTTP threads, no database

    def _serve(self, lane: Lane) -> None:
        while (claimed := lane.calls.get()) is not None:
            self._bring(self._call(claimed))

    def _call(self, claimed: Claimed) -> _Ended:
        began = time.monotonic()
        change, error = self._outcome(claimed, late=began > claimed.begin_by)
        return _Ended(claimed, change, error, time.monotonic() - began)

    def _outcome(self, claimed: Claimed, *, late: bool) -> tuple[Change, Exception | None]:
        row = claimed.execution
        if late or self._stopping.is_set() or self._pauses.holds(row.account):
            return delivery.not_sent(claimed, timezone.now()), _NotBegun()
        room = delivery if row.status == Status.QUEUED else sync
        try:
            outcome: tuple[Change, Exception | None] = room.act(claimed)
        except conf.ConfigurationError as error:
            return delivery.not_sent(claimed, timezone.now(), reason=str(error)), error
        except Exception as error:
            logger.exception(
                "Execution %s could not be worked on.",
                row.pk,
                extra={"event_name": "execution_broken", **row.log_fields},
            )
            broken = InvalidAnswer(f"{type(error).__name__}: {error}")
            return room.judge(claimed, broken, timezone.now()), broken
        return outcome

    # Recording

    def _patience(self) -> float:
        """Return how long to wait for news, in seconds."""
        now = time.monotonic()
        if gathering := self._gathering:
            return max(0.0, gathering + GATHER - now)
        waits = [self.interval]
        waits += [self._pulse.wait(using) for using in self.aliases if not self._failures[using]]
        waits += [since - now for since in self._gathered.values()]
        if (probe := self._pauses.wait()) is not None:
            waits.append(max(probe, GATHER))
        waits += [wait for lane in self._lanes.values() if (wait := lane.wait()) is not None]
        waits += [
            max(self._looks.get((using, account), 0.0), self._down.get(using, 0.0)) - now
            for account, _room in self._open()
            for using in self.aliases
        ]
        return max(0.0, min(waits))

    def _bring(self, ended: _Ended) -> None:
        """Tell the coordinator of a call that has ended; may be called from any thread."""
        self._inbox.append(ended)
        # It is not woken by each: that would take the interpreter from whoever calls.
        if ended.error is not None or not self._gathers or len(self._inbox) >= self._missing:
            self._bell.put(True)

    def _hear(self, patience: float) -> None:
        """Wait for calls to end, and record them once it is worth a transaction."""
        ends = time.monotonic() + patience
        while True:
            if self._take_in() and (gathering := self._gathering):
                ends = gathering + GATHER
            if self._gathering and self._nothing_follows:
                break
            try:
                with self._desk.left():
                    goes_on = self._bell.get(timeout=max(0.0, ends - time.monotonic()))
            except Empty:
                goes_on = False
            if not goes_on:
                self._take_in()
                break
        since = time.monotonic() - (0.0 if self._nothing_follows else GATHER)
        self._record([using for using, began in self._gathered.items() if began <= since])
        if self._announcer is None:
            for told in self._tell_all():
                self._bring(told)
        self._renew()

    def _take_in(self) -> bool:
        """Take what has come in; return whether it was anything."""
        taken = False
        while True:
            # In this order: who finds that it rings for nothing was in time to be seen here.
            self._missing = self._outstanding
            self._gathers = bool(self._gathering)
            if not self._inbox:
                return taken
            taken = True
            while self._inbox:
                ended = self._inbox.popleft()
                self._gathered.setdefault(ended.claimed.using, time.monotonic())
                self._heard[ended.claimed.using].append(ended)
                if not isinstance(ended.error, _NotBegun):
                    self._pauses.heard(ended.claimed.execution.account, ended.error)

    @property
    def _gathering(self) -> float:
        """Since when there is something to write to a database that is there; 0 if there is not."""
        now = time.monotonic()
        return min((since for since in self._gathered.values() if since <= now), default=0.0)

    @property
    def _outstanding(self) -> int:
        heard = sum(map(len, self._heard.values()))
        return len(self._in_hand) + len(self._announcing) - heard

    @property
    def _nothing_follows(self) -> bool:
        return self._outstanding <= 0 or conf.settings.on_lost_answer == "hold"

    def _record(self, aliases: Iterable[str]) -> None:
        for using in aliases:
            together = self._heard.pop(using)
            del self._gathered[using]
            self._measure(together)
            try:
                self._settle(using, together)
            except DATABASE_ERRORS as error:
                self._database_failed(using, error)
                self._keep(using, together, error)

    def _measure(self, together: list[_Ended]) -> None:
        took: dict[str, list[float]] = defaultdict(list)
        for ended in together:
            if not isinstance(ended.error, _NotBegun):
                took[ended.claimed.execution.account].append(ended.seconds)
        for account, seconds in took.items():
            self._lane(account).measure(seconds)

    def _keep(self, using: str, together: list[_Ended], error: Exception) -> None:
        """Keep what could not be written, to try again while its lease lasts."""
        for ended in together:
            if time.monotonic() < ended.claimed.expires and self._failures[using] < self._tries:
                self._heard[using].append(ended)
                self._gathered[using] = self._down[using]
            else:
                self._leave(ended.claimed, str(error))

    def _settle(self, using: str, together: list[_Ended]) -> None:
        now = timezone.now()
        changes = [self._final_form(ended, now) for ended in together]
        try:
            won = self._write(using, changes, now)
        except UNSTORABLE as error:
            self._settle_apart(using, together, now, error)
            return
        for ended, change in zip(together, changes, strict=True):
            self._put_down(ended.claimed)
            if change.execution.pk in won:
                self._won(ended.claimed, change)
            else:
                self.counts["claim lost"] += 1

    def _settle_apart(
        self, using: str, together: list[_Ended], now: datetime, error: Exception
    ) -> None:
        """Write one by one what could not be written together; the offender becomes a verdict."""
        if len(together) > 1:
            for ended in together:
                self._settle(using, [ended])
            return
        claimed, values = together[0].claimed, together[0].change.values
        if isinstance(together[0].error, _Unstorable):
            # Not the driver's words: they may quote the row.
            self._leave(claimed, type(error).__name__)
        elif isinstance(error, IntegrityError) and "remote_id" in values:
            change = delivery.refused_answer(claimed, values["remote_id"], now)
            self._settle(using, [_Ended(claimed, change, _Unstorable())])
        else:
            room = delivery if claimed.execution.status == Status.QUEUED else sync
            broken = _Unstorable(delivery.unstorable(error))
            self._settle(using, [_Ended(claimed, room.judge(claimed, broken, now), broken)])

    def _leave(self, claimed: Claimed, reason: str) -> None:
        self._put_down(claimed)
        logger.error(
            "Execution %s was left to its lease: %s",
            claimed.execution.pk,
            reason,
            extra={"event_name": "execution_left", **claimed.execution.log_fields},
        )

    def _write(self, using: str, changes: list[Change], now: datetime) -> set[uuid.UUID]:
        events = (change.event(now) for change in changes)
        return outbox.settle(
            using,
            token=self.token,
            values={change.execution.pk: change.values for change in changes},
            events=[event for event in events if event is not None],
        )

    def _final_form(self, ended: _Ended, now: datetime) -> Change:
        """Return the change as it is written: an end stays leased until it is announced."""
        change = ended.change
        if not change.finishes:
            return change.adding(due_at=now) if _key(ended.claimed) in self._again else change
        if mirror.listening(change):
            return change.adding(due_at=now + conf.settings.lease, claim=self.token)
        return change.adding(announced_at=now)

    def _won(self, claimed: Claimed, change: Change) -> None:
        change.apply()
        self.counts[change.outcome] += 1
        self._pulse.note(claimed.using, change, timezone.now())
        level = logging.DEBUG if change.outcome == "unchanged" else logging.INFO
        if logger.isEnabledFor(level):
            row = change.execution
            logger.log(
                level,
                "Execution %s of workflow %s: %s.",
                row.pk,
                printable(row.workflow),
                change.outcome,
                extra={
                    "event_name": "execution_recorded",
                    **row.log_fields,
                    "outcome": change.outcome,
                    "status": str(change.after),
                },
            )
        if mirror.listening(change):
            self._announce(claimed, change)

    def _put_down(self, claimed: Claimed) -> None:
        if self._in_hand.pop(_key(claimed), None):
            self._lane(claimed.execution.account).put_down()
        self._announcing.pop(_key(claimed), None)
        self._again.discard(_key(claimed))

    def _renew(self) -> None:
        """Prolong the leases of finished rows that wait for a slow receiver."""
        lease = conf.settings.lease
        if not self._announcing or time.monotonic() < self._renewed + lease.total_seconds() / 3:
            return
        self._renewed = time.monotonic()
        for using in self.aliases:
            ids = [pk for alias, pk in self._announcing if alias == using]
            try:
                outbox.renew(using, token=self.token, ids=ids, until=timezone.now() + lease)
            except DATABASE_ERRORS as error:
                logger.warning(
                    "The leases of %d finished executions were not prolonged.",
                    len(ids),
                    extra={"event_name": "leases_left", "database": using, "count": len(ids)},
                )
                self._database_failed(using, error)

    def _beat(self, *, ended: bool = False) -> None:
        """Give a sign of life to each database that is due one, and is there."""
        for using in self.aliases:
            if self._failures[using] or not (ended or self._pulse.is_due(using)):
                continue
            try:
                self._pulse.beat(
                    using, in_flight=len(self._in_hand), pauses=self._pauses, ended=ended
                )
            except DATABASE_ERRORS as error:
                self._database_failed(using, error)

    def _database_failed(self, using: str, error: Exception) -> None:
        """Drop a connection that has failed, and leave its database alone for a while."""
        self._failures[using] += 1
        doublings = min(self._failures[using] - 1, MOST_DOUBLINGS)
        # Whoever looks seldom, since commits tell, is told nothing of a database's return.
        first = min(FIRST_DATABASE_PAUSE, self.interval)
        wait = min(LONGEST_DATABASE_PAUSE, first * 2**doublings)
        self._down[using] = time.monotonic() + wait
        # One that can be reached may never have been migrated.
        hint = f" If its tables are missing, run: manage.py migrate --database={using}"
        logger.warning(
            "Database %r failed; trying again in %.1f s: %s%s",
            using,
            wait,
            str(error).strip(),
            hint if connections[using].connection else "",
            extra={"event_name": "database_failed", "database": using, "seconds": wait},
        )
        connections[using].close()

    # Announcing

    def _announce(self, claimed: Claimed, change: Change) -> None:
        if change.finishes:
            self._put_down(claimed)
            self._announcing[_key(claimed)] = claimed
        self._news.put((claimed, change))

    def _read_out(self) -> None:
        with self._lectern:
            self._read_on()
        connections.close_all()

    def _read_on(self) -> None:
        while True:
            if self._chores_at <= time.monotonic() and not self._stopping.is_set():
                close_old_connections()
                more = self._do_chores()
                self._chores_at = time.monotonic() + (CHORES_WOKEN if more else CHORES_EVERY)
            try:
                with self._lectern.left():
                    news = self._news.get(timeout=CHORES_WOKEN)
            except Empty:
                continue
            if news is None:
                break
            close_old_connections()
            if told := self._tell(*news):
                self._bring(told)

    def _do_chores(self) -> bool:
        """Do once what else is to be done; return whether more waits."""
        more = False
        for using in (alias for alias in self.aliases if not self._failures[alias]):
            for chore in chores:
                try:
                    more |= chore(using)
                except Exception as error:
                    away = isinstance(error, (OperationalError, InterfaceError))
                    logger.log(
                        logging.WARNING if away else logging.ERROR,
                        "A chore failed; it is tried again later: %s",
                        error,
                        exc_info=not away,
                        extra={"event_name": "chore_failed", "database": using},
                    )
                    connections[using].close_if_unusable_or_obsolete()
        return more

    def _tell_all(self) -> Iterator[_Ended]:
        """Run the receivers in the caller's thread."""
        while not self._news.empty() and (news := self._news.get()) is not None:
            if told := self._tell(*news):
                yield told

    def _tell(self, claimed: Claimed, change: Change) -> _Ended | None:
        mirror.announce(change)
        if not change.finishes:
            return None
        values = {"announced_at": timezone.now(), "due_at": None, "claim": ""}
        told = mirror.change(change.execution, values, source="", outcome="announced")
        return _Ended(claimed, told, _NotBegun())

    # Ending

    def _finish(self) -> None:
        """Wait for what is in flight, write it, and end the threads."""
        self._stopping.set()
        ends = time.monotonic()
        try:
            ends += conf.settings.lease.total_seconds() / 2
            self._write_what_is_in_flight(ends)
        finally:
            for lane in self._lanes.values():
                for _thread in lane.threads:
                    lane.calls.put(None)
            self._news.put(None)
            if self._announcer is not None:
                patience = 0.0 if self._abandoned.is_set() else ends - time.monotonic()
                self._announcer.join(max(1.0, patience))
        self._beat(ended=True)

    def _write_what_is_in_flight(self, ends: float) -> None:
        for lane in self._lanes.values():
            with suppress(Empty):
                while (claimed := lane.calls.get_nowait()) is not None:
                    self._bring(self._call(claimed))  # Gives it back.
        while self._unfinished and not self._abandoned.is_set() and time.monotonic() < ends:
            self._hear(GATHER)
        self._record(list(self._gathered))


class _Unstorable(InvalidAnswer):
    """An answer that the database refuses."""


class _NotBegun(Exception):  # noqa: N818 - says that nothing was learnt about an account
    """The API was not called."""


def _key(claimed: Claimed) -> _Key:
    return claimed.using, claimed.execution.pk


def _start(target: Callable[[], None], role: str) -> threading.Thread | None:
    """Start a thread; an interpreter that is ending starts none any more."""
    thread = threading.Thread(target=target, name=f"embedworkflow-{role}", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
