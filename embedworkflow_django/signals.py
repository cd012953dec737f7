"""The signals that a project's receivers connect to; past participles, sent after commit.

All are sent with ``send_robust``: a receiver that raises is logged and hurts nobody. The sender
is ``Execution`` (of ``trigger_failed``: the function that failed).
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = [
    "execution_dispatched",
    "execution_finished",
    "execution_queued",
    "execution_status_changed",
    "trigger_failed",
]

#: A row was committed. In the process that committed it.
#: Arguments: ``execution``.
execution_queued = Signal()

#: The API has confirmed the execution. In a worker, at most once.
#: Arguments: ``execution``.
execution_dispatched = Signal()

#: The status has changed. In a worker, at most once per transition.
#: Arguments: ``execution``, ``before`` and ``after`` (statuses, strings).
execution_status_changed = Signal()

#: The status is final: completed, failed, stopped, deleted, undeliverable or canceled. In a
#: worker, at least once: a worker that dies while receivers run leaves it to the next.
#: Arguments: ``execution``.
execution_finished = Signal()

#: A trigger's function raised, or what it returned was refused; nothing was queued. In the
#: process that sent the model's signal, before its transaction ends.
#: Arguments: ``trigger`` (the dotted name), ``instance``, ``exception``.
trigger_failed = Signal()
