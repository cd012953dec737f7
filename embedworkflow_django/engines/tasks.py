"""Django's tasks: ``DISPATCHER = "tasks"``; a commit wakes a task, which works a shift.

The task runs on the backend ``TASKS["embedworkflow"]`` if there is one, else on the default one.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from django.db import close_old_connections, connections
from django.utils import timezone

from ..dispatchers import Dispatcher
from ..messenger import Messenger, Send
from . import Shifts

if find_spec("django.tasks"):
    from django.tasks import task, task_backends
else:
    from django_tasks import (  # type: ignore[no-redef,assignment,unused-ignore]
        task,
        task_backends,
    )

#: The shortest time between two tasks of a process for one database, in seconds: backends keep a
#: row or a record for each.
SPACING = 1.0
_OWN_BACKEND = "embedworkflow"


def _backend() -> Any:
    own = _OWN_BACKEND in task_backends.settings
    return task_backends[_OWN_BACKEND if own else "default"]


def _queue() -> str:
    queues = _backend().queues
    return "default" if not queues or "default" in queues else min(queues)


@contextmanager
def _enqueuing() -> Iterator[Send]:
    """Yield what enqueues a task."""

    def enqueue(using: str, after: float) -> None:
        backend = _backend()
        later: dict[str, Any] = {}
        if after and backend.supports_defer:
            later["run_after"] = timezone.now() + timedelta(seconds=after)
        close_old_connections()
        work.using(backend=backend.alias, queue_name=_queue(), **later).enqueue(using)
        close_old_connections()

    try:
        yield enqueue
    finally:
        connections.close_all()


_messenger = Messenger(_enqueuing, towards="the tasks' backend", spacing=SPACING)
_shifts = Shifts(_messenger)


@task(backend=_backend().alias, queue_name=_queue())
def work(using: str) -> None:
    """Work a shift on a database.

    Args:
        using: The database's alias.
    """
    _shifts.work(using, hold=not _backend().supports_defer)


class TasksDispatcher(Dispatcher):
    """Has the workers of Django's tasks do the work; the task has no data in it, and no key."""

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Have a task enqueued, soon and by another thread."""
        _messenger.wake(using)
