"""The run: some actors live at any time, one after the other is killed, and another takes over."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from django.db import connections
from kombu import Connection

from embedworkflow_django.models import Execution
from embedworkflow_django.sandbox import Sandbox
from embedworkflow_django.sandbox.answers import execution as answer

from . import actors
from .audit import Verdict, compare

WAIT = {"id": "aaaaaa", "name": "Wait", "type": "Delay", "delay_n": 1, "delay_unit": "minute"}
#: A minute of the workflow is half a second, so that executions are asked after while all dies.
TIME_SCALE = 120
#: Who saves, who works, and how a saver wakes whoever delivers; who is killed.
CASTS = {
    "saver": (["save"] * 3, "thread", {"save"}),
    "worker": (["save"] + ["work"] * 2, "worker", {"work"}),
    "both": (["save"] * 2 + ["work"] * 2, "thread", {"save", "work"}),
    "celery": (["save"] * 2 + ["celery"] * 2, "celery", {"save", "celery"}),
}
BROKERS = {"rabbitmq": "amqp://guest:guest@127.0.0.1:5672//", "redis": "redis://127.0.0.1:6379/0"}
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
        broker: The URL of Celery's broker, if it takes part.
    """

    def __init__(self, *, alias, bare, seed, sandbox, folder, broker="") -> None:
        self._alias, self._bare, self._folder = alias, bare, folder
        self._broker, self._queue = broker, f"embedworkflow-chaos-{uuid.uuid4().hex}"
        self._sandbox = sandbox
        self._rng = random.Random(seed)
        self._processes: list = []
        self.kills: dict[str, int] = {"save": 0, "work": 0, "celery": 0}

    def kill(self, count: int, who: str) -> None:
        """Kill so many actors of a cast, each at a random instant, while the others go on."""
        cast, dispatcher, mortal = CASTS[who]
        for role in cast:
            self._enter(role, dispatcher)
        for _ in range(count):
            time.sleep(self._rng.uniform(0, LONGEST_LIFE))
            victim = self._rng.choice([p for p in self._processes if p.name in mortal])
            self.kills[victim.name] += 1
            if victim.name == "celery" and self._kill_a_child(victim):
                continue
            self._end(victim, signal.SIGKILL)
            self._enter(victim.name, dispatcher)
        for process in list(self._processes):
            self._end(process, signal.SIGKILL)

    def drain(self) -> None:
        """Let two workers end what is left, with no hand on any row; stop them with SIGTERM."""
        for _ in range(2):
            self._enter(*(("celery", "celery") if self._broker else ("work", "worker")))
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
        if self._broker:
            _clean(self._broker, self._queue)

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
            broker=self._broker,
            queue=self._queue,
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
        os.kill(process.pid, number)
        if process.name == "celery" and number == signal.SIGKILL:
            # Those whom it has forked go on for a moment, or for none.
            time.sleep(self._rng.choice((0, self._rng.uniform(0, LONGEST_LIFE))))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        process.join(30)
        # SIGTERM may come before a worker handles it.
        if process.exitcode not in {-number, 0 if number == signal.SIGTERM else -number}:
            raise RuntimeError(f"A process that was to {process.name} ended: {process.exitcode}.")
        process.close()

    def _kill_a_child(self, process) -> bool:
        """Kill one process of a pool in half of the cases; return whether there was one."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if not children or self._rng.random() < 0.5:
            return False
        os.kill(int(self._rng.choice(children)), signal.SIGKILL)
        return True


def _clean(broker: str, queue: str) -> None:
    """Leave nothing at the broker."""
    options = {"global_keyprefix": queue} if broker.startswith("redis") else {}
    with Connection(broker, transport_options=options) as connection:
        channel = connection.channel()
        channel.queue_delete(queue)
        if options:
            client = channel.client
            for key in list(client.scan_iter(match=f"{queue}*")):
                client.execute_command("UNLINK", key)


@contextmanager
def serving(*, faults: bool, seed: int) -> Iterator[Sandbox]:
    """Serve the API from this process, which is not killed."""
    with Sandbox(time_scale=TIME_SCALE, calls_kept=10**8, seed=seed) as sandbox:
        sandbox.add_workflow(actors.WORKFLOW, nodes=[WAIT], edges=[])
        for kind in FAULTS if faults else ():
            sandbox.faults.add(kind, rate=0.04, path="*/execute", after=kind == "500")
        yield sandbox


def play(
    *,
    alias: str,
    kills: int,
    casts: list[str],
    seed: int,
    bare: bool = False,
    faults: bool = False,
    broker: str = "",
) -> tuple[Verdict, dict[str, int], str]:
    """Kill, drain and compare.

    Args:
        alias: The database's alias; its tables are there, and hold no execution.
        kills: How many processes are killed.
        casts: Whose processes, in equal parts.
        seed: Makes the choices repeatable.
        bare: Whether SQLite is used as ``startproject`` leaves it.
        faults: Whether answers are lost, and calls refused, as well.
        broker: Celery's broker, which the cast ``celery`` needs: a key of ``BROKERS``.

    Returns:
        What was found, how many of each role were killed, and the processes' log.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if bare:
            stack.enter_context(actors.bare_sqlite(alias))
        sandbox = stack.enter_context(serving(faults=faults, seed=seed))
        stage = Stage(
            alias=alias,
            bare=bare,
            seed=seed,
            sandbox=sandbox,
            folder=folder,
            broker=BROKERS.get(broker, ""),
        )
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
