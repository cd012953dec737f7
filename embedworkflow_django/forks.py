"""Forks: while a process forks, the worker's threads of it are away from their databases.

A child has none of its parent's threads, but their connections, and the locks that a library such
as SQLite's holds while a thread is in it: nobody would ever let go of those.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

#: How long a fork waits for threads that are busy at a database, in seconds.
PATIENCE = 2.0

# Also held from before a fork until after it, so that there is one at a time.
_guard = threading.Lock()
_desks: weakref.WeakSet[Desk] = weakref.WeakSet()
_held: list[Desk] = []


class Desk:
    """A thread's place at its databases; whoever forks waits until it is left, and keeps it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._lines: Sequence[BaseDatabaseWrapper] = ()
        with _guard:
            _desks.add(self)

    def _sit_down(self) -> None:
        # After whoever is about to fork, however short the time that it was left for.
        with _guard:
            self._lock.acquire()

    def __enter__(self) -> None:
        self._sit_down()
        self._thread = threading.get_ident()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines = ()
        self._lock.release()

    @contextmanager
    def left(self) -> Iterator[None]:
        """Leave it meanwhile: the thread waits, and its connections may be closed."""
        self._lines = connections.all(initialized_only=True)
        self._lock.release()
        try:
            yield
        finally:
            self._sit_down()

    def hold(self, ends: float) -> bool:
        """Keep its thread away, and close what it has open; return whether it had left in time.

        Args:
            ends: Until when that is waited for, on the monotonic clock.
        """
        # A receiver that forks sits there itself.
        if self._thread == threading.get_ident():
            return False
        if not self._lock.acquire(timeout=max(0.0, ends - time.monotonic())):
            return False
        for line in (line for line in self._lines if not line.in_atomic_block):
            line.inc_thread_sharing()
            with suppress(DatabaseError, InterfaceError):
                line.close()
            line.dec_thread_sharing()
        return True

    def let_go(self) -> None:
        """Let its thread come back."""
        self._lock.release()


def _before() -> None:
    _guard.acquire()
    ends = time.monotonic() + PATIENCE
    _held.extend(desk for desk in _desks if desk.hold(ends))


def _after_in_parent() -> None:
    for desk in _held:
        desk.let_go()
    _held.clear()
    _guard.release()


def forget() -> None:
    """Forget, in a child, the threads of its parent: whoever sat there is not here."""
    global _guard  # noqa: PLW0603 - one at a time in the whole process
    _held.clear()
    _desks.clear()
    # A fork that Python knows nothing of may have come while somebody held it.
    _guard = threading.Lock()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=forget)
