"""The scenes: each starts programs, has them trigger executions, and ends them."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command

from . import load
from .api import Api
from .stage import Outcome, Program, Stage, free_port

SLOW = 0.2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A scene.

    Args:
        play: Plays it on a stage, with so many executions.
        needs: What has to be installed besides.
        latency: How long the API takes for a call, in seconds.
        dispatcher: Who is woken.
        size: How many executions the long form triggers.
    """

    play: Callable[[Stage, int], None]
    needs: tuple[str, ...] = ()
    latency: float = 0.0
    dispatcher: str = "thread"
    size: int = 400


def play(scene: Scene, size: int, *, packages: str = "") -> Outcome:
    """Play a scene on the empty database ``default``, and leave it empty.

    Args:
        scene: The scene.
        size: How many executions are triggered, about.
        packages: The folder of what the scene needs and is not installed.
    """
    with tempfile.TemporaryDirectory() as folder, Api(latency=scene.latency) as api, empty():
        stage = Stage(api, Path(folder), packages=packages, DISPATCHER=scene.dispatcher)
        try:
            scene.play(stage, size)
            return stage.settle()
        finally:
            stage.close()


@contextmanager
def empty() -> Iterator[None]:
    """Empty the database ``default`` afterwards."""
    try:
        yield
    finally:
        call_command("flush", interactive=False, verbosity=0)


# Servers


def _served(server: Program, stage: Stage, size: int, port: int, prefix: str = "") -> None:
    """Post in turns what triggers and what does not, each when the queue is empty."""
    outcome, rounds = stage.outcome, 4
    load.post(port, f"{prefix}plain", load.CLIENTS * 5, load.Answers())  # Everybody warms up.
    for _ in range(rounds):
        load.post(port, f"{prefix}plain", size // rounds, outcome.without)
        load.post(port, f"{prefix}triggering", size // rounds, outcome.with_trigger)
        ends = time.monotonic() + 3
        while stage.queued() and time.monotonic() < ends:
            time.sleep(0.05)
    load.post(port, f"{prefix}triggering", load.CLIENTS * 5, outcome.with_trigger)
    outcome.exits.append(server.end())
    outcome.answered += outcome.with_trigger.names
    outcome.complaints += outcome.with_trigger.failures + outcome.without.failures


def _gunicorn(port: int, *options: str) -> list[object]:
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", 2]
    return [*command, *options, "tests.weather.wsgi:application"]


def _uvicorn(port: int, *options: str) -> list[object]:
    command = [sys.executable, "-m", "uvicorn", "--port", port, "--log-level", "warning"]
    return [*command, *options, "tests.weather.asgi:application"]


def _uwsgi(port: int, *options: str) -> list[object]:
    command = ["uwsgi", "--http-socket", f"127.0.0.1:{port}", "--master", "-p", 2, "--need-app"]
    command += ["--die-on-term", "--home", sys.prefix, "--disable-logging"]
    return [*command, *options, "-w", "tests.weather.wsgi"]


def _serve(
    command: Callable[..., list[object]], *options: str, prefix: str = "", first: str = ""
) -> Callable[[Stage, int], None]:
    def play(stage: Stage, size: int) -> None:
        port = free_port()
        server = stage.serve(command(port, *options), port, EMBEDWORKFLOW_WEATHER_FIRST=first)
        stage.outcome.answered += [first] if first else []
        _served(server, stage, size, port, prefix)

    return play


def _sigterm_server(stage: Stage, size: int) -> None:
    """A server is told to end while its worker delivers to a slow API."""
    port = free_port()
    server = stage.serve(_gunicorn(port), port)
    load.post(port, "triggering", size, stage.outcome.with_trigger)
    server.until(stage.api.started, "delivering")
    stage.outcome.exits.append(server.end())
    stage.outcome.answered += stage.outcome.with_trigger.names


def _without_threads(stage: Stage, size: int) -> None:
    """The log says that what is queued may wait; a worker sends what does."""
    port = free_port()
    server = stage.serve(_uwsgi(port), port)
    load.post(port, "triggering", size, stage.outcome.with_trigger)
    server.until(lambda: "--enable-threads" in server.said, "warning")
    before = len(stage.api.started())
    time.sleep(3)
    sent = len(stage.api.started()) - before
    stage.outcome.remarks.append(
        f"{sent} were sent in the 3 s after the last request, and {stage.queued()} still queued"
    )
    stage.outcome.exits.append(server.end())
    stage.outcome.answered += stage.outcome.with_trigger.names


# Without a server


def _autoreload(stage: Stage, size: int) -> None:
    """Development: files are saved while requests come and a slow API is called."""
    port, outcome, watched = free_port(), stage.outcome, stage.folder / "watched.py"
    watched.write_text("")
    server = stage.serve([sys.executable, "-m", "django", "runserver", f"127.0.0.1:{port}"], port)
    # What is under way when a server ends has no answer; what has one is committed.
    client = threading.Thread(
        target=load.post, args=(port, "triggering", size, outcome.with_trigger)
    )
    client.start()
    for times in (1, 2):
        _reload(stage, server, watched, times)
    client.join()
    # Not by SIGINT, which a program does not hear that is started in the background.
    outcome.exits.append(server.end(group=True))
    outcome.answered += outcome.with_trigger.names


def _reload(stage: Stage, server: Program, watched: Path, times: int) -> None:
    def reloads() -> bool:
        watched.touch()  # Again and again: the reloader has to have seen it before.
        return server.said.count("reloading") >= times

    server.until(lambda: len(stage.api.started()) >= 4 * times, "delivering")
    server.until(reloads, "reloading")
    server.until(lambda: server.said.count("Watching") > times, "reloaded")


def _sigterm(stage: Stage, size: int) -> None:
    """A worker, and a script that handles no signal, are told to end while they deliver."""
    names = [f"sigterm-{n}" for n in range(size)]
    script = stage.python(
        f"""
save(*(f"sigterm-{{n}}" for n in range({size})))
time.sleep(600)
"""
    )
    script.until(stage.api.started, "delivering")
    stage.outcome.exits.append(script.end())
    worker = stage.start(sys.executable, "-m", "django", "embedworkflow_worker", "--interval=0.1")
    worker.until(lambda: "Working on" in worker.said, "handling signals")
    before = len(stage.api.started())
    worker.until(lambda: len(stage.api.started()) > before, "delivering")
    stage.outcome.exits.append(worker.end())
    stage.outcome.answered += names
    if worker.process.returncode:
        stage.outcome.complaints.append(f"The worker's exit code is {worker.process.returncode}.")


def _exit(stage: Stage, size: int) -> None:
    """An interpreter ends right after it has queued more than can be sent in a moment."""
    script = stage.python(
        f"""
save(*(f"exit-{{n}}" for n in range({size})))
print("ends", flush=True)
"""
    )
    script.until(lambda: "ends" in script.said, "ending")
    stage.outcome.exits.append(script.wait(time.monotonic()))
    stage.outcome.answered += [f"exit-{n}" for n in range(size)]
    if script.process.returncode:
        stage.outcome.complaints.append(f"The exit code is {script.process.returncode}.")


def _fork(stage: Stage, size: int) -> None:
    """A process forks again and again while its own worker delivers; each child commits, too."""
    forks = max(4, size // 10)
    script = stage.python(
        f"""
children, codes = [], []
def reap():
    codes.append(os.waitstatus_to_exitcode(os.waitpid(children.pop(0), 0)[1]))
for child in range({forks}):
    save(*(f"fork-{{child}}-{{n}}" for n in range(9)))
    connection.close()
    if (pid := os.fork()) == 0:
        save(f"fork-{{child}}-9")
        connection.close()
        sys.exit()
    children.append(pid)
    if len(children) == 4:
        reap()
while children:
    reap()
assert not any(codes), codes
print("ends", flush=True)
"""
    )
    script.until(lambda: "ends" in script.said, "ending")
    stage.outcome.exits.append(script.wait(time.monotonic()))
    stage.outcome.answered += [f"fork-{c}-{n}" for c in range(forks) for n in range(10)]


SCENES: dict[str, Scene] = {
    "autoreload": Scene(play=_autoreload, latency=SLOW),
    "sigterm": Scene(play=_sigterm, latency=SLOW),
    "exit": Scene(play=_exit, size=10_000),
    "fork": Scene(play=_fork),
    "gunicorn": Scene(play=_serve(_gunicorn), needs=("gunicorn",)),
    # A commit while the project is loaded: the parent has a worker's thread when it forks.
    "gunicorn-preload": Scene(
        play=_serve(_gunicorn, "--preload", first="first"), needs=("gunicorn",)
    ),
    "gunicorn-threads": Scene(play=_serve(_gunicorn, "--threads", "4"), needs=("gunicorn",)),
    "gunicorn-gevent": Scene(play=_serve(_gunicorn, "-k", "gevent"), needs=("gunicorn", "gevent")),
    "gunicorn-sigterm": Scene(play=_sigterm_server, needs=("gunicorn",), latency=SLOW),
    "uvicorn": Scene(play=_serve(_uvicorn, prefix="a"), needs=("uvicorn",)),
    "uvicorn-2": Scene(play=_serve(_uvicorn, "--workers", "2", prefix="a"), needs=("uvicorn",)),
    "uwsgi": Scene(play=_serve(_uwsgi, "--enable-threads"), needs=("uwsgi",)),
    "uwsgi-lazy": Scene(play=_serve(_uwsgi, "--threads", "4", "--lazy-apps"), needs=("uwsgi",)),
    "uwsgi-no-threads": Scene(play=_without_threads, needs=("uwsgi",), latency=SLOW),
}
