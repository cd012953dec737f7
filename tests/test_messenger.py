"""The messenger: wake-ups for other processes, that nobody waits for."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

from embedworkflow_django.messenger import Messenger

from . import programs


class Wire:
    """What a messenger sends over: remembers, and can be cut."""

    def __init__(self):
        self.sent = []
        self.opened = 0
        self.failures = 0
        self.free = threading.Event()
        self.free.set()

    @contextmanager
    def open(self):
        """Open it."""
        self.opened += 1
        yield self._send

    def _send(self, using, after):
        self.free.wait(10)
        if self.failures:
            self.failures -= 1
            raise OSError("cut")
        self.sent.append((using, round(after)))


def test_many_commits_are_one_message_or_two():
    """The first goes at once; those that come meanwhile go together."""
    wire = Wire()
    messenger = Messenger(wire.open, towards="a wire", spacing=0.05)
    for _ in range(1000):
        messenger.wake("default")
    messenger.wake("other")

    assert messenger.flush(5)
    assert {"default", "other"} == {using for using, _ in wire.sent}
    assert len(wire.sent) <= 4


def test_a_dead_other_end_holds_up_nobody_and_loses_nothing(caplog):
    """What was wanted meanwhile is sent once it is back, and the log says both."""
    caplog.set_level("INFO")
    wire = Wire()
    wire.failures = 2
    messenger = Messenger(wire.open, towards="a wire", spacing=0.05)
    began = time.perf_counter()
    messenger.wake("default")
    assert time.perf_counter() - began < 0.4

    assert not messenger.flush(0.05)
    assert messenger.flush(10)
    assert ("default", 0) in wire.sent
    assert 3 == wire.opened
    assert [
        "No wake-up reaches a wire; trying again in 0.5 s: cut",
        "Wake-ups reach a wire again.",
    ] == caplog.messages


def test_a_timer_is_sent_at_once_or_held():
    """Who can hold a message back gets it now; for who cannot, it stays here until its time."""
    wire = Wire()
    messenger = Messenger(wire.open, towards="a wire", spacing=0.05)
    messenger.wake("default", after=60)
    messenger.wake("held", after=0.4, hold=True)

    assert messenger.flush(5)
    assert [("default", 60)] == wire.sent
    time.sleep(0.5)
    assert messenger.flush(5)
    assert [("default", 60), ("held", 0)] == wire.sent


def test_the_thread_does_not_wait_for_itself():
    """What is sent may itself be the work, and want something sent."""
    said = []
    messenger = None

    @contextmanager
    def opened():
        yield lambda using, after: said.append(messenger.flush(5))

    messenger = Messenger(opened, towards="itself", spacing=0.05)
    messenger.wake("default")

    assert messenger.flush(5)
    assert [False] == said


def test_a_child_that_python_does_not_know_of_sends():
    """A server may fork without Python's hooks; its child has no thread, whatever Python says."""
    printed = programs.run(
        """
        import ctypes
        from contextlib import nullcontext
        from embedworkflow_django.messenger import Messenger
        send = lambda using, after: print(using, flush=True)
        messenger = Messenger(lambda: nullcontext(send), towards="a pipe", spacing=0)
        messenger.wake("of the parent")
        assert messenger.flush(20)
        # At rest, or the child would wait for the parent's thread.
        with messenger._changed:
            child = ctypes.PyDLL(None).fork()
        if child == 0:
            messenger.wake("of the child")
            os._exit(0 if messenger.flush(20) else 1)
        assert os.waitpid(child, 0)[1] == 0
        """,
        configuration={"DISPATCHER": "worker"},
    )

    assert ["of the parent", "of the child"] == printed.splitlines()
