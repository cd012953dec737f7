"""Celery: ``DISPATCHER = "celery"``; a commit wakes a task, which works a shift."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from celery import bootsteps, current_app, shared_task, signals
from django.db import connections

from .. import outbox
from ..dispatchers import Dispatcher
from ..messenger import Messenger, Send
from . import Shifts

#: The shortest time between two messages of a process for one database, in seconds.
SPACING = 0.1
# How long a broker that says nothing is waited for, in seconds.
_PATIENCE = 10.0


@contextmanager
def _publishing() -> Iterator[Send]:
    """Yield what publishes a message, over a connection of its own."""
    options = {
        "confirm_publish": True,  # A broker that goes down has said what it has not taken.
        "read_timeout": _PATIENCE,
        "write_timeout": _PATIENCE,
        **current_app.conf.broker_transport_options,
    }
    with current_app.connection_for_write(transport_options=options) as connection:
        connection.connect()
        producer = current_app.amqp.Producer(connection, auto_declare=False)

        def publish(using: str, after: float) -> None:
            work.apply_async((using,), countdown=after or None, producer=producer, retry=False)

        yield publish


def _work_here(using: str, _after: float) -> None:
    """Work a shift in the messenger's thread: an app whose tasks are eager has no broker."""
    try:
        work.apply((using,))
    finally:
        connections.close_all()


def _way() -> AbstractContextManager[Send]:
    return nullcontext(_work_here) if current_app.conf.task_always_eager else _publishing()


_messenger = Messenger(_way, towards="Celery's broker", spacing=SPACING)
_shifts = Shifts(_messenger)


@shared_task(name="embedworkflow.work", ignore_result=True)  # type: ignore[untyped-decorator]
def work(using: str) -> None:
    """Work a shift on a database; a ``beat`` may send it as well, for a second net.

    Args:
        using: The database's alias.
    """
    _shifts.work(using, hold=current_app.conf.task_always_eager)


class CeleryDispatcher(Dispatcher):
    """Has Celery's workers do the work; the message has no data in it, and no key."""

    def wake(self, using: str, ids: Collection[uuid.UUID]) -> None:
        """Have a task sent, soon and by another thread: the broker may be down."""
        _messenger.wake(using)


class _LookAround(bootsteps.StartStopStep):  # type: ignore[misc]
    """Looks at each database once a worker has reached its broker, at its start or again.

    Messages that a broker has lost in between cost no more than that.
    """

    requires = ("celery.worker.consumer:Tasks",)

    def start(self, parent: Any) -> None:
        for using in outbox.databases():
            _messenger.wake(using)


@signals.celeryd_init.connect  # type: ignore[untyped-decorator]
def _prepare(*, instance: Any, **_kwargs: Any) -> None:
    instance.app.steps["consumer"].add(_LookAround)
