"""Interruption: what SIGTERM and Ctrl-C do to a command that goes on for long."""

from __future__ import annotations

import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds within which a further signal is the first one's echo: timeout(1) tells a process and
#: then its group, and below some supervisors Ctrl-C comes from the terminal and from them.
ECHO = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handled(first: Callable[[], object], again: Callable[[], object]) -> Iterator[None]:
    """Handle signals inside a ``with`` block, and restore what handled them before.

    Outside the main thread, where Python takes no handlers, nothing is changed.

    Args:
        first: Called at the first SIGTERM or SIGINT.
        again: Called at each further one, but for echoes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, began = itertools.count(), math.inf

    def hear(*_frame: object) -> None:
        nonlocal began
        if not next(heard):
            began = time.monotonic()
            first()
        elif time.monotonic() - began >= ECHO:
            again()

    before = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler that was not installed from Python, and cannot be given back.
            signal.signal(number, handler or signal.SIG_DFL)
