"""Interruption: what SIGTERM and Ctrl-C do to a command that goes on for long."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handled(first: Callable[[], object], again: Callable[[], object]) -> Iterator[None]:
    """Handle signals inside a ``with`` block, and restore what handled them before.

    Outside the main thread, where Python takes no handlers, nothing is changed.

    Args:
        first: Called at the first SIGTERM or SIGINT.
        again: Called at each further one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    calls = itertools.chain([first], itertools.repeat(again))
    before = {number: signal.signal(number, lambda *_frame: next(calls)()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler that was not installed from Python, and cannot be given back.
            signal.signal(number, handler or signal.SIG_DFL)
