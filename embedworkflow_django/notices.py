"""Notices: on PostgreSQL a commit tells the workers, which would else look once in a while.

``NOTIFY`` is sent by a thread of its own over a connection of its own, so that whoever commits has
no second statement and no second commit; a notice has nothing in it. Looking goes on all the same:
a notice that is lost costs latency, and never an execution.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from . import conf
from .messenger import Messenger, Send

logger = logging.getLogger("embedworkflow_django")

CHANNEL = "embedworkflow"
#: The shortest time between two notices of a process, or two that one listens to, in seconds.
SPACING = 0.02
#: How long a first notice may take on its way, in seconds.
PATIENCE = 5.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# How soon a listener sees that it is to end, in seconds.
_GLANCE = 0.2


def can_tell(using: str) -> bool:
    """Return whether a database carries notices, and the settings want them.

    Args:
        using: The database's alias.
    """
    if connections[using].vendor != "postgresql" or not conf.settings.notify:
        return False
    from django.db.backends.postgresql.psycopg_any import is_psycopg3  # noqa: PLC0415 - its driver

    return bool(is_psycopg3)


def tell(using: str) -> None:
    """Have the workers on a database told that something is due; returns at once.

    Args:
        using: The database's alias.
    """
    if can_tell(using):
        _messenger.wake(using)


def _line(using: str) -> BaseDatabaseWrapper:
    """Return a connection of its own, which no pool of the project's lends."""
    known = connections[using]
    options = {k: v for k, v in known.settings_dict["OPTIONS"].items() if k != "pool"}
    return type(known)({**known.settings_dict, "OPTIONS": options}, using)


def _notify(line: BaseDatabaseWrapper, word: str = "") -> None:
    with line.cursor() as cursor:
        # A notice need not outlive a crash: its commit makes no disk busy that others wait for.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)",
            [CHANNEL, word],
        )


@contextmanager
def _telling() -> Iterator[Send]:
    lines: dict[str, BaseDatabaseWrapper] = {}

    def send(using: str, _after: float) -> None:
        if using not in lines:
            lines[using] = _line(using)
        _notify(lines[using])

    try:
        yield send
    finally:
        for line in lines.values():
            line.close()


_messenger = Messenger(
    _telling, towards="the workers, which will look by themselves", spacing=SPACING
)


class Listener:
    """Listens to a database's notices in a thread, until it is closed.

    Args:
        using: The database's alias.
        heard: What to call for each notice, or for several.
    """

    def __init__(self, using: str, heard: Callable[[], None]) -> None:
        self._using = using
        self._heard = heard
        self._over = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="embedworkflow-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and its connection."""
        self._over.set()
        self._thread.join(PATIENCE)

    # In the thread

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with closing(_line(self._using)) as line:
                    if not self._can_hear(line):
                        return
                    self._failures = 0
                    self._heard()  # What was said while nobody listened.
                    while not self._over.is_set():
                        if _notices(line, _GLANCE):
                            self._heard()
                            self._over.wait(SPACING)
            except Exception as error:  # noqa: BLE001 - whatever a driver raises
                self._over.wait(self._failed(error))

    def _can_hear(self, line: BaseDatabaseWrapper) -> bool:
        """Return whether a notice arrives that another connection sends."""
        with line.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        word = uuid.uuid4().hex
        with closing(_line(self._using)) as other:
            _notify(other, word)
        if word in _notices(line, PATIENCE, until=word):
            return True
        logger.warning(
            "Database %r carries no notices: a pooler that pools transactions is in between. "
            "It is looked at as often as the interval says.",
            self._using,
            extra={"event_name": "notices_swallowed", "database": self._using},
        )
        return False

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        wait = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(self._failures - 1, 10)))
        logger.warning(
            "No notice of database %r is heard; trying again in %.1f s: %s",
            self._using,
            wait,
            error,
            extra={"event_name": "notices_failed", "database": self._using, "seconds": wait},
        )
        return wait


def _notices(line: BaseDatabaseWrapper, timeout: float, *, until: str = "") -> set[str]:
    """Return what the notices say that arrive: the first ones, or all until one."""
    connection: Any = line.connection
    arrived = connection.notifies(timeout=timeout, stop_after=None if until else 1)
    said: set[str] = set()
    while until not in said and (notice := next(arrived, None)):
        said.add(notice.payload or CHANNEL)
    return said


def listen(aliases: Collection[str], heard: Callable[[], None]) -> list[Listener]:
    """Return a listener for each database that carries notices.

    Args:
        aliases: The databases.
        heard: What to call, from another thread, when a commit has made something due.
    """
    return [Listener(using, heard) for using in aliases if can_tell(using)]
