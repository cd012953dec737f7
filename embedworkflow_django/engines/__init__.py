"""Engines: other people's task queues, whose tasks are short shifts of a worker.

What follows holds on every engine, so that messages neither pile up nor multiply:

1. A commit sends a wake-up; a process sends at most one per database and ``SPACING``.
2. A wake-up starts a shift: what is due is worked on until nothing is, for ``LONGEST_SHIFT``
   seconds at the most. If more is due then, the shift sends a wake-up; so much for the backlog.
3. A process has one shift per database at a time. A wake-up that comes meanwhile leaves word and
   goes; the shift looks again before it ends, once for all of them.
4. A shift sees to a timer, a wake-up that arrives later: before it begins, one for the end of its
   lease, should it be killed; when it ends, one for when the next row becomes due. It sets none
   where one that its process has set comes in time: there are as many timers as processes, however
   many executions there are.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from django.utils import timezone

from .. import conf, outbox
from ..lanes import width
from ..messenger import Messenger
from ..pauses import Pauses
from ..pulse import Pulse
from ..worker import Worker

#: How long a shift claims at the most, in seconds: the engine has other tasks as well.
LONGEST_SHIFT = 10.0
#: The shortest and the longest time until a timer, in seconds. Brokers give up on messages that
#: wait for long: RabbitMQ after half an hour, Redis after an hour.
SHORTEST_TIMER = 0.5
LONGEST_TIMER = 300.0


class Shifts:
    """The shifts of one process.

    Args:
        messenger: Sends the wake-ups that start shifts.
        longest: How long a shift claims at the most, in seconds.
    """

    def __init__(self, messenger: Messenger, *, longest: float = LONGEST_SHIFT) -> None:
        self._messenger = messenger
        self._longest = longest
        self._lock = threading.Lock()
        # The databases that are worked on, and whether somebody has left word.
        self._on: dict[str, bool] = {}
        # What one shift leaves to the next.
        self._pauses: dict[str, Pauses] = defaultdict(Pauses)
        self._pulses: dict[str, Pulse] = {}
        self._timers: dict[str, list[float]] = defaultdict(list)

    def work(self, using: str, *, hold: bool = False) -> None:
        """Work a shift on a database, or leave word with the one that is on.

        Args:
            using: The database's alias.
            hold: Whether timers are held back in this process, because the engine cannot.

        Raises:
            ConfigurationError: There is no such database, or its router keeps executions out.
        """
        if using not in (known := outbox.databases()):
            # Before a timer is set: the timer of each failure would bring the next one.
            raise conf.ConfigurationError(
                f"No database {using!r} holds executions. {conf.did_you_mean(using, known)}"
            )
        with self._lock:
            if using in self._on:
                self._on[using] = True
                return
            self._on[using] = False
        ends = time.monotonic() + self._longest
        try:
            self._shift(using, ends, hold=hold)
            while time.monotonic() < ends and self._word(using):
                self._shift(using, ends, hold=hold)
            self._see_to_next(using, hold=hold)
        finally:
            with self._lock:
                word_left = self._on.pop(using)
            if word_left:
                self._messenger.wake(using)
            # The process may end when the task does.
            self._messenger.flush()

    def _word(self, using: str) -> bool:
        """Return whether somebody has left word, and take it."""
        with self._lock:
            word, self._on[using] = self._on[using], False
            return word

    def _shift(self, using: str, ends: float, *, hold: bool) -> None:
        lease = conf.settings.lease.total_seconds()
        self._see_to_timer(using, lease, slack=lease, hold=hold)
        pauses = self._pauses[using]
        pulse = self._pulses.setdefault(using, Pulse(concurrency=width()))
        worker = Worker(aliases=[using], pauses=pauses, pulse=pulse)
        worker.run_until_idle(timeout=ends - time.monotonic())

    def _see_to_next(self, using: str, *, hold: bool) -> None:
        """Send a wake-up for what is due now, or see to a timer for what will be next."""
        wait = self._wait(using, self._pauses[using])
        if wait is None:
            return
        if wait <= 0:
            self._messenger.wake(using)
        else:
            wait = min(max(wait, SHORTEST_TIMER), LONGEST_TIMER)
            self._see_to_timer(using, wait, slack=SHORTEST_TIMER, hold=hold)

    def _wait(self, using: str, pauses: Pauses) -> float | None:
        """Return the seconds until something is to be done; ``None`` when nothing is."""
        due_at = outbox.next_due(using, without=pauses.accounts())
        waits = [pauses.wait()]
        if due_at is not None:
            waits.append((due_at - timezone.now()).total_seconds())
        return min((wait for wait in waits if wait is not None), default=None)

    def _see_to_timer(self, using: str, after: float, *, slack: float, hold: bool) -> None:
        """Have a wake-up arrive after a while, unless one does no later than that and a bit."""
        now = time.monotonic()
        timers = [at for at in self._timers[using] if at > now]
        if not any(at <= now + after + slack for at in timers):
            self._messenger.wake(using, after=after, hold=hold)
            timers.append(now + after)
        self._timers[using] = timers
