"""Tells the sandbox what time it is: the machine's time, or a time that a test moves by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the sandbox asks of a clock."""

    frozen: bool

    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    def advance(self, seconds: float) -> None:
        """Move the clock by *seconds*."""


class SystemClock:
    """The machine's clock, which can be put forward but never stands still."""

    frozen = False

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Put the clock forward by *seconds*."""
        self._ahead += seconds


class ManualClock:
    """A clock that stands still until `advance` is called, so that a test decides when it passes.

    Args:
        now: Seconds since the epoch; the machine's time when omitted.
    """

    frozen = True

    def __init__(self, now: float | None = None) -> None:
        self._now = time.time() if now is None else now
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Put the clock forward by *seconds*."""
        with self._lock:
            self._now += seconds
