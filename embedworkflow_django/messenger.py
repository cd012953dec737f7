"""The messenger: sends wake-ups to other processes from a thread of its own, so that nobody waits.

A message says no more than "look at this database", so one stands for all that was committed
before it is sent, and one that is lost, late or doubled costs latency and nothing else.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

logger = logging.getLogger("embedworkflow_django")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
#: How long a process that ends goes on trying to send, in seconds.
FAREWELL = 2.0

#: Sends one message: for a database's alias, to arrive after some seconds.
Send = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, order=True)
class _Message:
    ready: float
    at: float
    using: str


class Messenger:
    """Sends the first wake-up for a database at once, and then at most one per ``spacing``.

    What cannot be sent is kept, and tried again after growing pauses, until it can.

    Args:
        opened: Opens a way to send: a context manager of a function, which may block and raise. It
            is entered in the messenger's thread, and again after each failure.
        towards: What is at the other end, for the log.
        spacing: The shortest time between two wake-ups for one database, in seconds.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[Send]], *, towards: str, spacing: float
    ) -> None:
        self._opened = opened
        self._towards = towards
        self._spacing = spacing
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.flush)

    def _forget(self) -> None:
        # A child of a fork has none of its parent's threads, and sends nothing in its name.
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pending: list[_Message] = []
        self._sending = False
        self._last: dict[str, float] = {}
        self._failures = 0

    def wake(self, using: str, *, after: float = 0.0, hold: bool = False) -> None:
        """Have a wake-up sent; returns at once.

        Args:
            using: The database's alias.
            after: When it shall arrive, in seconds from now.
            hold: Whether it is held back here until then; else by the other end.
        """
        if self._process != os.getpid():
            self._forget()  # Somebody who forks without a word to Python, as uWSGI does.
        now = time.monotonic()
        with self._changed:
            if after > 0:
                at = now + after
                self._pending.append(_Message(at if hold else now, at, using))
            elif any(message.using == using and message.at <= now for message in self._pending):
                return
            else:
                ready = max(now, self._last.get(using, 0.0) + self._spacing)
                self._pending.append(_Message(ready, now, using))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="embedworkflow-messenger", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float = FAREWELL) -> bool:
        """Wait until what is to be sent now has been sent.

        Args:
            timeout: How long to wait at the most, in seconds.

        Returns:
            Whether it has been sent.
        """
        if threading.current_thread() is self._thread:
            return False
        with self._changed:
            return self._changed.wait_for(self._has_sent, timeout)

    def _has_sent(self) -> bool:
        soon = time.monotonic() + self._spacing
        return not (self._sending or any(message.ready <= soon for message in self._pending))

    # In the thread

    def _run(self) -> None:
        while True:
            try:
                with self._opened() as send:
                    while True:
                        self._send_next(send)
            except Exception as error:  # noqa: BLE001 - whatever an engine raises
                time.sleep(self._failed(error))

    def _send_next(self, send: Send) -> None:
        message = self._next()
        try:
            send(message.using, max(0.0, message.at - time.monotonic()))
        except BaseException:
            self._done(again=message)
            raise
        if self._failures > 1:
            logger.info(
                "Wake-ups reach %s again.",
                self._towards,
                extra={"event_name": "wake_ups_resumed", "towards": self._towards},
            )
        self._failures = 0
        self._done()

    def _next(self) -> _Message:
        with self._changed:
            while True:
                first = min(self._pending, default=None)
                wait = None if first is None else first.ready - time.monotonic()
                if first is not None and first.ready <= time.monotonic():
                    self._pending.remove(first)
                    self._last[first.using] = time.monotonic()
                    self._sending = True
                    return first
                self._changed.wait(wait)

    def _done(self, *, again: _Message | None = None) -> None:
        with self._changed:
            self._sending = False
            self._pending += [again] if again else []
            self._changed.notify_all()

    def _failed(self, error: Exception) -> float:
        """Return how long to wait before the next try, in seconds."""
        self._failures += 1
        if self._failures == 1:
            return 0.0  # A connection that has grown stale: a new one may do.
        wait = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(self._failures - 2, 10)))
        logger.warning(
            "No wake-up reaches %s; trying again in %.1f s: %s",
            self._towards,
            wait,
            error,
            extra={"event_name": "wake_ups_failed", "towards": self._towards, "seconds": wait},
        )
        return wait
