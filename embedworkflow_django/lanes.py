"""Lanes: how many calls of an account are in hand, and how many more may be.

Each account has a lane of its own, with threads of its own, so that a slow one delays no other; an
account with a ``RATE`` is let through as fast as that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from queue import SimpleQueue

from . import conf
from .outbox import Claimed

#: How much is claimed ahead of the threads, in seconds of work at the present pace.
AHEAD = 0.5
LARGEST_BATCH = 500


def width(asked: int | None = None) -> int:
    """Return how many calls of an account are in flight at once, ``LARGEST_BATCH`` at the most.

    Args:
        asked: The number that is asked for; the setting by default.
    """
    return min(asked or conf.settings.concurrency, LARGEST_BATCH)


class Budget:
    """How many calls an account's ``RATE`` still admits; one for all workers of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._saved = 0.0
        self._counted = 0.0

    def left(self, rate: float) -> float:
        """Return how many calls may begin now.

        Args:
            rate: Calls a second. What is not used is saved for a second at the most.
        """
        with self._lock:
            now = time.monotonic()
            saved = self._saved + (now - self._counted) * rate
            self._saved, self._counted = min(saved, max(1.0, rate)), now
            return self._saved

    def spend(self) -> None:
        """Take note that a call begins."""
        with self._lock:
            self._saved -= 1


_budgets: dict[str, Budget] = {}
# A child of a fork would wait for ever for a thread that it does not have.
os.register_at_fork(after_in_child=_budgets.clear)


class Lane:
    """The calls of one account in one worker.

    Args:
        account: The account's alias.
        concurrency: How many of its calls are in flight at once.
    """

    def __init__(self, account: str, *, concurrency: int) -> None:
        self.calls: SimpleQueue[Claimed | None] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.in_hand = 0
        self._account = account
        self._concurrency = concurrency
        self._budget = _budgets.setdefault(account, Budget())
        self._pace = 0.0

    @property
    def rate(self) -> float | None:
        """How many calls a second its account admits; ``None`` when any number."""
        rate: float | None = conf.account_value(self._account, "RATE")
        return rate

    @property
    def is_free(self) -> bool:
        """Whether none of its calls is in hand, and one may begin."""
        return not self.in_hand and self.room() > 0

    @property
    def is_ahead(self) -> bool:
        """Whether more is in hand than its threads can have begun."""
        return self.in_hand > self._concurrency

    @property
    def wants_a_thread(self) -> bool:
        """Whether one more thread has something to do."""
        return len(self.threads) < min(self._concurrency, self.in_hand)

    def take(self) -> None:
        """Count a row that is going to be called about."""
        self.in_hand += 1
        if self.rate is not None:
            self._budget.spend()

    def put_down(self) -> None:
        """Count a row whose call is over and written."""
        self.in_hand -= 1

    def room(self) -> int:
        """Return how many rows may be claimed now."""
        room = self._room()
        if (rate := self.rate) is not None:
            room = min(room, int(self._budget.left(rate)))
        return max(0, room)

    def _room(self) -> int:
        if conf.settings.on_lost_answer == "hold":
            # Nothing that cannot be sent at once: a claim says that it may have been received.
            return self._concurrency - self.in_hand
        ahead = min(self._concurrency + int(self._pace * AHEAD), LARGEST_BATCH)
        room = ahead - self.in_hand
        # Few big claims are cheaper than many small ones.
        return room if 2 * room >= ahead or self.in_hand < self._concurrency else 0

    def wait(self) -> float | None:
        """Return the seconds until its rate admits a call; ``None`` when that holds up nothing."""
        rate = self.rate
        if rate is None or self._room() <= 0:
            return None
        missing = 1 - self._budget.left(rate)
        return missing / rate if missing > 0 else None

    def measure(self, took: Collection[float]) -> None:
        """Take note of the pace at which its threads work, while they have work.

        Args:
            took: How many seconds each of the last calls has taken, at least one.
        """
        # No faster than a thousandth of a second each, for what fails at once says little.
        pace = self._concurrency * len(took) / max(sum(took), len(took) / 1000)
        self._pace = (self._pace + pace) / 2
