"""What every scene stands on: an API, a database, programs that end, and the comparison."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection
from django.test import override_settings

from embedworkflow_django.models import Execution
from embedworkflow_django.worker import Worker

from . import load
from .api import Api

ROOT = Path(__file__).resolve().parents[2]
#: How long a server may take to serve, and what is left to be drained, in seconds.
PATIENCE = 90.0
#: How long a program may take to end, in seconds.
LONGEST_FAREWELL = 15.0


@dataclass
class Outcome:
    """What a scene has come to.

    Args:
        answered: The names of what the programs were told is committed.
        committed: How many executions were committed.
        started: How many the API has started.
        lost: What was committed, or answered, and not executed once all was drained.
        doubled: What was executed twice.
        left: How many were still queued when the last program had ended.
        exits: How long each program took to end, in seconds.
        with_trigger: The answers to requests that trigger.
        without: The answers to requests that do not.
        complaints: What else went wrong.
        remarks: What a reader of the table should know.
    """

    answered: list[str] = field(default_factory=list)
    committed: int = 0
    started: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: int = 0
    exits: list[float] = field(default_factory=list)
    with_trigger: load.Answers = field(default_factory=load.Answers)
    without: load.Answers = field(default_factory=load.Answers)
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost or doubled, and every program ended in time."""
        return not (self.lost or self.doubled or self.complaints)


@dataclass
class Program:
    """A program that a scene has started, in a process group of its own.

    Args:
        process: The process.
        log: The file that has what it said.
    """

    process: subprocess.Popen
    log: Path

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so, while the program runs.

        Raises:
            RuntimeError: It is not so in time, or the program has ended.
        """
        ends = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > ends or self.process.poll() is not None:
                raise RuntimeError(f"Not {what}: {self.process.args}\n{self.said[-3000:]}")
            time.sleep(0.02)

    def end(
        self,
        number: int = signal.SIGTERM,
        *,
        group: bool = False,
        patience: float = LONGEST_FAREWELL,
    ) -> float:
        """Send a signal, and return how long it took to end, in seconds."""
        began = time.monotonic()
        (os.killpg if group else os.kill)(self.process.pid, number)
        return self.wait(began, patience)

    def wait(self, began: float, patience: float = LONGEST_FAREWELL) -> float:
        """Return how long it has taken to end, in seconds; ``inf`` if it does not in time."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
            return time.monotonic() - began
        return float("inf")


class Stage:
    """One scene's API, database and programs.

    Args:
        api: The API.
        folder: Where logs and files are.
        packages: A folder with servers that are not installed, or nothing.
        settings: What ``EMBEDWORKFLOW`` has besides.
    """

    def __init__(self, api: Api, folder: Path, *, packages: str = "", **settings: object) -> None:
        self.api = api
        self.folder = folder
        self.outcome = Outcome()
        self.configuration = {
            "SECRET_KEY": api.secret_key,
            "BASE_URL": api.base_url,
            "DISPATCHER": "thread",
            "TIMEOUT": [1, 1],
            "POLL": [0.2, 1, 3600],
            **settings,
        }
        self._packages = packages
        self._programs: list[Program] = []

    def start(self, *command: object, **environment: str) -> Program:
        """Start a program of the tiny project."""
        path = os.pathsep.join(filter(None, (str(ROOT), self._packages)))
        log = self.folder / f"log-{len(self._programs)}"
        with log.open("wb") as said:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "PYTHONUNBUFFERED": "1",
                    "DJANGO_SETTINGS_MODULE": "tests.weather.settings",
                    "EMBEDWORKFLOW_WEATHER": json.dumps(self.configuration),
                    **environment,
                },
            )
        self._programs.append(Program(process, log))
        return self._programs[-1]

    def python(self, code: str, **environment: str) -> Program:
        """Start a script that has Django set up, and ``save(*names)``, which commits."""
        return self.start(sys.executable, "-c", _PREAMBLE + code, **environment)

    def serve(self, command: list[object], port: int, **environment: str) -> Program:
        """Start a server, and wait until it serves."""
        server = self.start(*command, **environment)
        server.until(lambda: load.get(port), "serving")
        return server

    def close(self) -> None:
        """Leave no program behind."""
        for program in self._programs:
            with suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()

    # The comparison

    def queued(self) -> int:
        """Return how many executions wait to be sent."""
        return Execution.objects.queued().count()

    def settle(self) -> Outcome:
        """Drain what is left, and compare what was answered, committed and started."""
        found = self.outcome
        found.left = self.queued()
        self._drain()
        rows = Counter(row["name"] for row in _data())
        started = Counter(self.api.started())
        found.committed, found.started = sum(rows.values()), sum(started.values())
        found.lost += sorted({*found.answered, *rows} - set(started))
        found.lost += sorted(set(found.answered) - set(rows))
        found.doubled += sorted(n for n, times in (rows + started).items() if times > 2)
        found.doubled += sorted(set(started) - set(rows))
        found.complaints += ["A program has not ended in time."] * found.exits.count(float("inf"))
        for program in self._programs:
            # A server that ends while requests come may have tracebacks of its own.
            ours = [t for t in program.said.split("Traceback")[1:] if "embedworkflow_django/" in t]
            found.complaints += [trace[:3000] for trace in ours]
        return found

    def _drain(self) -> None:
        ends = time.monotonic() + PATIENCE
        with override_settings(EMBEDWORKFLOW=self.configuration):
            while Execution.objects.filter(due_at__isnull=False).exists():
                if time.monotonic() > ends:
                    self.outcome.complaints.append(f"{self.queued()} queued, and not drained")
                    break
                Worker(aliases=["default"]).run_until_idle()
                time.sleep(0.1)
        connection.close()


def _data() -> Iterator[dict]:
    return Execution.objects.values_list("execution_data", flat=True).iterator()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


_PREAMBLE = """
import os, sys, time, threading
import django
django.setup()
from django.db import connection, transaction
from embedworkflow_django import services
from embedworkflow_django.models import Execution
def save(*names):
    with transaction.atomic():
        services.execute_many({"workflow": "bake", "data": {"name": name}} for name in names)
"""
