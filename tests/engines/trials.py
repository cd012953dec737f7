"""The trials: each starts an engine's workers, and has executions committed until all are sent."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.weather.api import Api
from tests.weather.scenes import empty
from tests.weather.stage import PATIENCE, Outcome, Program, Stage, free_port

#: Minutes that the workers' clocks are wrong by, the first, the second, and so on.
CLOCKS = (0, 5, -5, 10)
#: How long a Celery worker may take to end, in seconds. A child of its pool waits for 30 s for its
#: parent to have counted what it did, which the loss of a connection may have kept it from.
CELERY_FAREWELL = 45.0
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/"
REDIS = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial.

    Args:
        play: Plays it on a stage, with so many executions; returns how long they took, in seconds.
        dispatcher: Who is woken.
        needs: What has to be installed besides.
        size: How many executions it commits.
    """

    play: Callable[[Stage, int], float]
    dispatcher: str = "celery"
    needs: tuple[str, ...] = ()
    size: int = 1000


def play(trial: Trial, size: int, *, packages: str = "") -> tuple[Outcome, float]:
    """Play a trial on the empty database ``default``, and leave it empty.

    Args:
        trial: The trial.
        size: How many executions are committed.
        packages: The folder of what the trial needs and is not installed.

    Returns:
        What it has come to, and how long the executions took, in seconds.
    """
    with tempfile.TemporaryDirectory() as folder, Api() as api, empty():
        stage = Stage(api, Path(folder), packages=packages, DISPATCHER=trial.dispatcher)
        try:
            seconds = trial.play(stage, size)
            return stage.settle(), seconds
        finally:
            stage.close()


def _sent(
    stage: Stage, saver: Program, size: int, began: float, tend: Callable[[], object] = int
) -> float:
    """Wait until all are sent, and return how long it took, in seconds."""
    stage.outcome.answered += [f"engine-{n}" for n in range(size)]
    while (saver.process.poll() is None or stage.queued()) and time.monotonic() < began + PATIENCE:
        tend()
        time.sleep(0.05)
    return time.monotonic() - began


def _save(stage: Stage, size: int, *, pause: float = 0.0, **environment: str) -> Program:
    """Start a program that commits so many executions, each by itself."""
    return stage.python(
        f"""
if "EMBEDWORKFLOW_TEST_BROKER" in os.environ:
    import tests.celery_app
for n in range({size}):
    save(f"engine-{{n}}")
    time.sleep({pause})
""",
        **environment,
    )


# Celery


class _Celery:
    """Two worker processes of two slots each, and a supervisor that replaces those that end.

    Args:
        stage: The stage.
        broker: The broker's URL.
        pool: ``prefork`` or ``threads``.
    """

    def __init__(self, stage: Stage, broker: str, pool: str) -> None:
        self._stage = stage
        self.environment = {
            "EMBEDWORKFLOW_TEST_BROKER": broker,
            "EMBEDWORKFLOW_TEST_QUEUE": f"embedworkflow-{uuid.uuid4().hex}",
            "CELERY_SKIP_CHECKS": "1",  # They look for tables of the project that are not there.
        }
        self._command = [sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker"]
        self._command += ["-P", pool, "-c", "2", "--without-gossip", "--without-mingle"]
        self._workers = [self._start(n) for n in range(2)]
        for worker in self._workers:
            worker.until(lambda worker=worker: "ready." in worker.said, "ready")

    def _start(self, number: int) -> Program:
        words = (*self._command, "-l", "info", "-n", f"{number}@%h")
        return self._stage.start(*words, **self.environment)

    def tend(self) -> None:
        """Replace the workers that have ended."""
        for number, worker in enumerate(self._workers):
            if worker.process.poll() is not None:
                self._stage.outcome.remarks.append("a worker had ended, and was replaced")
                self._workers[number] = self._start(number)

    def end(self) -> None:
        """End the workers."""
        exits = [worker.end(patience=CELERY_FAREWELL) for worker in self._workers]
        self._stage.outcome.exits += exits


def _celery(broker: str, pool: str) -> Callable[[Stage, int], float]:
    """Play Celery on a broker, with somebody who saves as fast as it goes."""

    def play(stage: Stage, size: int) -> float:
        celery = _Celery(stage, broker, pool)
        began = time.monotonic()
        seconds = _sent(stage, _save(stage, size, **celery.environment), size, began)
        celery.end()
        return seconds

    return play


def _disturbed(stage: Stage, size: int, celery: _Celery, disturb: Callable[[], None]) -> float:
    """Disturb the broker twice while executions are saved and sent."""
    began = time.monotonic()
    saver = _save(stage, size, pause=0.02, **celery.environment)
    for part in (size // 10, size // 2):
        while len(stage.api.started()) < part and time.monotonic() < began + PATIENCE:
            celery.tend()
            time.sleep(0.05)
        disturb()
    seconds = _sent(stage, saver, size, began, celery.tend)
    celery.end()
    return seconds


def _redis_restarts(stage: Stage, size: int) -> float:
    """A broker of its own is ended, and starts empty again."""
    port = free_port()
    running = [_redis(stage, port)]

    def restart() -> None:
        running.pop().end()
        time.sleep(1)
        running.append(_redis(stage, port))

    celery = _Celery(stage, f"redis://127.0.0.1:{port}/0", "threads")
    return _disturbed(stage, size, celery, restart)


def _rabbitmq_closes(stage: Stage, size: int) -> float:
    """A virtual host of its own, whose connections the broker closes."""
    host = f"embedworkflow-{uuid.uuid4().hex}"
    _rabbitmqctl("add_vhost", host)
    try:
        _rabbitmqctl("set_permissions", "-p", host, "guest", ".*", ".*", ".*")
        celery = _Celery(stage, f"{RABBITMQ}{host}", "prefork")
        closes = partial(_rabbitmqctl, "close_all_connections", "--vhost", host, "trial")
        return _disturbed(stage, size, celery, closes)
    finally:
        _rabbitmqctl("delete_vhost", host)


def _redis(stage: Stage, port: int) -> Program:
    words = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = stage.start("redis-server", *words)
    redis.until(lambda: _listens(port), "listening")
    return redis


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *words], check=True, capture_output=True)


# Django's tasks


def _database_tasks(stage: Stage, size: int) -> float:
    """Two workers of ``django-tasks-db``, whose queue is a table."""
    environment = {"EMBEDWORKFLOW_WEATHER_APP": "django_tasks_db"}
    migrated = stage.start(sys.executable, "-m", "django", "migrate", "-v", 0, **environment)
    if migrated.process.wait(PATIENCE):
        raise RuntimeError(migrated.said)
    command = [sys.executable, "-m", "django", "db_worker", "--queue-name", "*", "--interval", 0.2]
    workers = [stage.start(*command, **environment) for _ in range(2)]
    for worker in workers:
        worker.until(lambda worker=worker: "Starting worker" in worker.said, "ready")
    began = time.monotonic()
    seconds = _sent(stage, _save(stage, size, **environment), size, began)
    stage.outcome.exits += [worker.end() for worker in workers]
    return seconds


# Several workers on one database


def _several(count: int) -> Callable[[Stage, int], float]:
    """Workers whose clocks are wrong by minutes, and a backlog that is there at once."""

    def play(stage: Stage, size: int) -> float:
        workers = [stage.python(_WORK.format(minutes=CLOCKS[n])) for n in range(count)]
        for worker in workers:
            worker.until(lambda worker=worker: "ready" in worker.said, "ready")
        saver = stage.python(f'save(*(f"engine-{{n}}" for n in range({size})))')
        saver.until(stage.queued, "committed")
        seconds = _sent(stage, saver, size, time.monotonic())
        stage.outcome.exits += [worker.end() for worker in workers]
        shares = [int(worker.said.split()[-1]) for worker in workers]
        stage.outcome.remarks.append(f"sent by each: {', '.join(map(str, shares))}")
        return seconds

    return play


_WORK = """
import signal
from datetime import timedelta
from django.utils import timezone
from embedworkflow_django.worker import Worker
right = timezone.now
timezone.now = lambda: right() + timedelta(minutes={minutes})
worker = Worker(interval=0.1)
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
print("ready", flush=True)
worker.run()
print(worker.counts["delivered"])
"""


TRIALS: dict[str, Trial] = {
    **{
        f"celery-{name}-{pool}": Trial(play=_celery(broker, pool))
        for name, broker in {"rabbitmq": f"{RABBITMQ}/", "redis": REDIS}.items()
        for pool in ("prefork", "threads")
    },
    "celery-rabbitmq-closes": Trial(play=_rabbitmq_closes, size=400),
    "celery-redis-restarts": Trial(play=_redis_restarts, size=400),
    "tasks-db": Trial(play=_database_tasks, dispatcher="tasks", needs=("django_tasks_db",)),
    **{f"workers-{n}": Trial(play=_several(n), dispatcher="worker", size=3000) for n in (1, 2, 4)},
}
