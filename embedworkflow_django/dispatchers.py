"""Dispatchers: what a commit wakes.

The row is the truth and the claim is the lock, so a lost wake-up costs latency and never an
execution.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import threading
import uuid
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.utils.module_loading import import_string

from . import conf, forks, notices
from .worker import Worker

logger = logging.getLogger("embedworkflow_django")

SHORT_NAMES = {
    "thread": "embedworkflow_django.dispatchers.ThreadDispatcher",
    "worker": "embedworkflow_django.dispatchers.WorkerDispatcher",
    "immediate": "embedworkflow_django.dispatchers.ImmediateDispatcher",
    "tasks": "embedworkflow_django.engines.tasks.TasksDispatcher",
    "celery": "embedworkflow_django.engines.celery.CeleryDispatcher",
}


class Dispatcher:
    """What a commit wakes; a subclass's dotted path may stand in ``DISPATCHER``."""

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Have somebody do what is due.

        Args:
            using: The database's alias.
            ids: The rows that a transaction has just committed.
        """
        raise NotImplementedError

    def request(self) -> None:
        """Take note that a request has begun."""

    def close(self) -> None:
        """End what runs in this process, if anything does."""


class WorkerDispatcher(Dispatcher):
    """Leaves the work to ``manage.py embedworkflow_worker``, which looks by itself."""

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Have PostgreSQL tell the workers; on other databases, do nothing."""
        notices.tell(using)


class ImmediateDispatcher(Dispatcher):
    """Does the work at once, in the commit hook, for the rows of this transaction only."""

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Deliver the rows, or ask after them."""
        Worker(aliases=[using]).run_inline(using, ids)


class ThreadDispatcher(Dispatcher):
    """Runs a worker in daemon threads of this process, from its first commit or request on."""

    #: How long a process that ends goes on delivering, in seconds.
    farewell = 2.0

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def _forget(self) -> None:
        # A child of a fork has none of its parent's threads, and makes its own.
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread: _WorkerThread | None = None

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Wake the worker, or start it."""
        self._running().worker.wake()

    def request(self) -> None:
        """Start the worker, so that what an earlier process left goes on."""
        self._running()

    def _running(self) -> _WorkerThread:
        if self._process != os.getpid():
            # Somebody who forks without a word to Python, as uWSGI does.
            forks.forget()
            self._forget()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                if not threads_run():
                    logger.warning(
                        "This uWSGI has no threads: what is queued may wait until the process "
                        "ends. Start it with --enable-threads.",
                        extra={"event_name": "threads_missing"},
                    )
                self._thread = _WorkerThread()
                self._thread.start()
            return self._thread

    def close(self) -> None:
        """Deliver for a moment what is queued; leave the rest, and what runs, to others."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.worker.stop_when_delivered(timeout=self.farewell)
            self._thread.join(self.farewell + 1)


class _WorkerThread(threading.Thread):
    """A worker of this process, and what it leaves behind."""

    def __init__(self) -> None:
        super().__init__(name="embedworkflow-worker", daemon=True)
        self.worker = Worker()

    def run(self) -> None:
        try:
            self.worker.run()
        except Exception:
            logger.exception(
                "The worker has ended; the next commit or request starts another.",
                extra={"event_name": "worker_broken"},
            )
        finally:
            connections.close_all()


def threads_run() -> bool:
    """Return whether this process lets threads run: uWSGI may not."""
    try:
        uwsgi = importlib.import_module("uwsgi")
    except ImportError:
        return True
    options = {_text(name): _text(value) for name, value in uwsgi.opt.items()}
    return options.get("enable-threads") == "True" or int(options.get("threads", "0")) > 0


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def dispatcher_class(name: str) -> type[Dispatcher]:
    """Return the class of a dispatcher.

    Args:
        name: A short name, or a dotted path.

    Raises:
        ConfigurationError: There is no such dispatcher.
    """
    path = SHORT_NAMES.get(name, name)
    try:
        found = import_string(path)
    except ImportError as error:
        hint = str(error) if "." in name else conf.did_you_mean(name, SHORT_NAMES)
        if name in SHORT_NAMES:
            hint = f'{error}. Install it: pip install "embedworkflow-django[{name}]".'
        raise conf.ConfigurationError(
            f'{conf.SETTING}["DISPATCHER"]: there is no dispatcher {name!r}. {hint}'
        ) from None
    if not (isinstance(found, type) and issubclass(found, Dispatcher)):
        raise conf.ConfigurationError(
            f'{conf.SETTING}["DISPATCHER"]: {name!r} is no subclass of '
            "embedworkflow_django.dispatchers.Dispatcher."
        )
    return found


_dispatchers: dict[str, Dispatcher] = {}


def current() -> Dispatcher:
    """Return the dispatcher that the settings name."""
    name = conf.settings.dispatcher
    found = _dispatchers.get(name)
    # Of two threads that come first, both get the one that was kept.
    return found or _dispatchers.setdefault(name, dispatcher_class(name)())


def wake(using: str, ids: Collection[uuid.UUID] = ()) -> None:
    """Have the current dispatcher see to rows that have been committed.

    Args:
        using: The database's alias.
        ids: The rows' ids.
    """
    current().wake(using, ids)


def _request_started(**kwargs: Any) -> None:
    # Every page of the project would fail; the commits tell of what is wrong.
    with suppress(conf.ConfigurationError):
        current().request()


request_started.connect(_request_started, dispatch_uid="embedworkflow_django.dispatchers")
