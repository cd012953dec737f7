"""The sandbox in a process of its own, so that it shares no interpreter with what is measured."""

from __future__ import annotations

import multiprocessing
import signal
from typing import Self

from embedworkflow_django.sandbox import Sandbox

WORKFLOW = "bake"
_context = multiprocessing.get_context("spawn")


class Api:
    """A sandbox that serves one workflow, whose executions end at once.

    Args:
        latency: How long each call takes, in seconds.
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        self._line, there = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(there, latency), daemon=True)
        self._process.start()
        there.close()
        self.base_url, self.secret_key = self._line.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.send("end")
        self._line.close()
        self._process.join(30)
        self._process.close()

    def started(self) -> list[str]:
        """Return the name in the data of each execution that was started, the oldest first."""
        self._line.send("started")
        return self._line.recv()


def _serve(line, latency: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run.
    with Sandbox(calls_kept=10**7) as sandbox:
        sandbox.add_workflow(WORKFLOW, nodes=[], edges=[])
        if latency:
            sandbox.faults.add("latency", seconds=latency, times=None)
        line.send((sandbox.base_url, sandbox.secret_key))
        while line.recv() != "end":
            line.send([each.execution_data["name"] for each in sandbox.executions])
    line.close()
