"""The run: some actors live at any time, one after the other is killed, and another takes over."""

from __future__ import annotations

import multiprocessing
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.db import connections

from embedworkflow_django.models import Execution
from embedworkflow_django.sandbox import Sandbox
from embedworkflow_django.sandbox.answers import execution as answer

from . import actors
from .audit import Verdict, compare

WAIT = {"id": "aaaaaa", "name": "Wait", "type": "Delay", "delay_n": 1, "delay_unit": "minute"}
#: A minute of the workflow is half a second, so that executions are asked after while all dies.
TIME_SCALE = 120
#: Who saves, who works, and whether a saver delivers on a thread of its own; who is killed.
CASTS = {
    "saver": (["save"] * 3, "thread", {"save"}),
    "worker": (["save"] + ["work"] * 2, "worker", {"work"}),
    "both": (["save"] * 2 + ["work"] * 2, "thread", {"save", "work"}),
}
FAULTS = ("lost", "reset", "truncated", "503", "500")
LONGEST_LIFE = 0.15
DRAIN_SECONDS = 240

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.chaos.actors"])


class Stage:
    """One database, one sandbox that is never killed, and the actors.

    Args:
        alias: The database's alias.
        bare: Whether SQLite is as ``startproject`` leaves it.
        seed: Makes the choices of killer and actors repeatable.
        sandbox: The API.
        folder: Where diary and log are.
    """

    def __init__(self, *, alias, bare, seed, sandbox, folder) -> None:
        self._alias, self._bare, self._folder = alias, bare, folder
        self._sandbox = sandbox
        self._rng = random.Random(seed)
        self._processes: list = []
        self.kills: dict[str, int] = {"save": 0, "work": 0}

    def kill(self, count: int, who: str) -> None:
        """Kill so many actors of a cast, each at a random instant, while the others go on."""
        cast, dispatcher, mortal = CASTS[who]
        for role in cast:
            self._enter(role, dispatcher)
        for _ in range(count):
            time.sleep(self._rng.uniform(0, LONGEST_LIFE))
            victim = self._rng.choice([p for p in self._processes if p.name in mortal])
            self._end(victim, signal.SIGKILL)
            self.kills[victim.name] += 1
            self._enter(victim.name, dispatcher)
        for process in list(self._processes):
            self._end(process, signal.SIGKILL)

    def drain(self) -> None:
        """Let two workers end what is left, with no hand on any row; stop them with SIGTERM."""
        self._enter("work", "worker")
        self._enter("work", "worker")
        ends = time.monotonic() + DRAIN_SECONDS
        left = Execution.objects.using(self._alias).filter(due_at__isnull=False)
        while left.exists() and time.monotonic() < ends:
            time.sleep(0.2)
        for process in list(self._processes):
            self._end(process, signal.SIGTERM)

    def close(self) -> None:
        """Leave nobody behind."""
        for process in list(self._processes):
            self._end(process, signal.SIGKILL)

    def _enter(self, role: str, dispatcher: str) -> None:
        configuration = {
            "SECRET_KEY": self._sandbox.secret_key,
            "BASE_URL": self._sandbox.base_url,
            "DISPATCHER": dispatcher,
            "TIMEOUT": (0.5, 0.5),
            "LEASE": 2,
            "POLL": (0.3, 1, 3600),
        }
        part = actors.Part(
            alias=self._alias,
            bare=self._bare,
            configuration=configuration,
            folder=self._folder,
            seed=self._rng.randrange(10**9),
        )
        here, there = _context.Pipe(duplex=False)
        process = _context.Process(
            target=getattr(actors, role), args=(part, there), name=role, daemon=True
        )
        process.start()
        there.close()
        here.recv()
        here.close()
        self._processes.append(process)

    def _end(self, process, number: signal.Signals) -> None:
        self._processes.remove(process)
        process.terminate() if number == signal.SIGTERM else process.kill()
        process.join(30)
        # SIGTERM may come before a worker handles it.
        if process.exitcode not in {-number, 0 if number == signal.SIGTERM else -number}:
            raise RuntimeError(f"A process that was to {process.name} ended: {process.exitcode}.")
        process.close()


@contextmanager
def serving(*, faults: bool, seed: int) -> Iterator[Sandbox]:
    """Serve the API from this process, which is not killed."""
    with Sandbox(time_scale=TIME_SCALE, calls_kept=10**8, seed=seed) as sandbox:
        sandbox.add_workflow(actors.WORKFLOW, nodes=[WAIT], edges=[])
        for kind in FAULTS if faults else ():
            sandbox.faults.add(kind, rate=0.04, path="*/execute", after=kind == "500")
        yield sandbox


def play(
    *, alias: str, kills: int, casts: list[str], seed: int, bare: bool = False, faults: bool = False
) -> tuple[Verdict, dict[str, int], str]:
    """Kill, drain and compare.

    Args:
        alias: The database's alias; its tables are there, and hold no execution.
        kills: How many processes are killed.
        casts: Whose processes, in equal parts.
        seed: Makes the choices repeatable.
        bare: Whether SQLite is used as ``startproject`` leaves it.
        faults: Whether answers are lost, and calls refused, as well.

    Returns:
        What was found, how many of each role were killed, and the processes' log.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if bare:
            stack.enter_context(actors.bare_sqlite(alias))
        sandbox = stack.enter_context(serving(faults=faults, seed=seed))
        stage = Stage(alias=alias, bare=bare, seed=seed, sandbox=sandbox, folder=folder)
        stack.callback(stage.close)
        for number, who in enumerate(casts):
            stage.kill(kills // len(casts) + (number < kills % len(casts)), who)
        stage.drain()
        diary = actors.Diary(folder)
        stack.callback(diary.close)
        answers = {each.id: answer(each) for each in sandbox.executions}
        verdict = compare(alias, diary.read(), sandbox, answers)
        connections[alias].close()
        log = folder / "log"
        return verdict, stage.kills, log.read_text() if log.exists() else ""
