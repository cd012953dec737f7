"""How long after a commit its request is made, and what waking somebody costs whoever commits.

Run it alone: ``python tests/benchmarks/wakeup.py --database postgresql``.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import workplace

SENTENCE = (
    "From a commit to the first byte of its request, on an idle worker, one commit after the "
    "other; and the time of an execute with its commit, with and without NOTIFY, alternating."
)
BROKERS = {
    "celery on rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
    "celery on redis": "redis://127.0.0.1:6379/0",
}
PREAMBLE = """
import json, os, sys, time
import tests.celery_app
import django
django.setup()
from django.conf import settings
"""
WORKER = """
from django.core.management import call_command
call_command("embedworkflow_worker", stdout=open(os.devnull, "w"))
"""
SAVER = """
from embedworkflow_django import services
for line in sys.stdin:
    services.execute("bake", {"number": 1})
    print(time.perf_counter(), flush=True)
"""
#: With a notice and without, alternating; each time a median.
COSTS = """
import statistics
from embedworkflow_django import services
from time import perf_counter
given = settings.EMBEDWORKFLOW
for line in sys.stdin:
    taken = {True: [], False: []}
    for _ in range(int(line)):
        for notify, times in taken.items():
            settings.EMBEDWORKFLOW = {**given, "NOTIFY": notify}
            began = perf_counter()
            services.execute("bake", {"number": 1})
            times.append(perf_counter() - began)
            time.sleep(PAUSE)
    print(json.dumps([statistics.median(taken[True]), statistics.median(taken[False])]), flush=True)
"""


class Answerer(BaseHTTPRequestHandler):
    """Notes when a request arrives, and answers as the API does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    came: list = []  # noqa: RUF012 - one list for all

    def parse_request(self):
        """Note the time."""
        self.came.append(perf_counter())
        return super().parse_request()

    def do_POST(self):
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"id": str(uuid.uuid4()), "object": "execution"}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing."""


@contextlib.contextmanager
def program(code: str):
    """Run a program on the benchmark's database meanwhile; return a way to ask it something."""
    command = [sys.executable, "-c", PREAMBLE + code]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=workplace.ROOT, stdin=pipe, stdout=pipe, text=True
    ) as process:

        def ask(line: str = "") -> str:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return process.stdout.readline()

        try:
            yield ask
        finally:
            process.stdin.close()
            process.terminate()


@contextlib.contextmanager
def somebody(dispatcher: str):
    """Have a process of its own do the work, unless the saver's thread does."""
    if dispatcher == "thread":
        yield
    elif dispatcher == "worker":
        with program(WORKER):
            yield
    else:
        command = [sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker", "-c", "2"]
        command += ["-P", "prefork", "--without-gossip", "--without-mingle", "-l", "error"]
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=workplace.ROOT, stdout=nowhere, stderr=nowhere)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def latencies(count: int, pause: float) -> list[float]:
    """Return the seconds from each commit to its request; the clock is the machine's."""
    taken = []
    with program(SAVER) as save:
        for number in range(count + 1):
            Answerer.came.clear()
            committed = float(save())
            ends = time.monotonic() + 20
            while not Answerer.came and time.monotonic() < ends:
                time.sleep(0.001)
            if number:  # The first waits for a start.
                taken.append(max(0.0, (Answerer.came or [perf_counter()])[0] - committed))
            time.sleep(pause)
    return taken


def main() -> None:
    """Measure, and print."""
    options = workplace.arguments(SENTENCE, count=40, rounds=7)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ways = [
        ("thread", {}),
        ("worker, looks", {"NOTIFY": False}),
        ("worker, told", {"NOTIFY": True}),
    ]
    rows, costs = [], []
    with workplace.database(options.database):
        for name, changes in [*ways, *((name, {}) for name in BROKERS)]:
            dispatcher = name.split()[0].strip(",")
            configure(f"http://127.0.0.1:{server.server_port}", name, dispatcher, changes)
            with somebody(dispatcher):
                taken = latencies(options.count, 0.05)
            rows.append(
                {
                    "database": options.database,
                    "what": name,
                    "p50 ms": statistics.median(taken) * 1000,
                    "p95 ms": statistics.quantiles(taken, n=20)[-1] * 1000,
                    "max ms": max(taken) * 1000,
                }
            )
        if options.database == "postgresql":
            configure("http://127.0.0.1:9", "", "worker", {})
            costs = [cost_of_notices(pause, options) for pause in (0.0, 0.03)]
    workplace.report(SENTENCE, rows, as_json=options.json)
    if costs:
        workplace.report("", costs, as_json=options.json)


def configure(base_url: str, name: str, dispatcher: str, changes: dict) -> None:
    """Let the programs that follow find their settings, and their broker."""
    settings = {
        "SECRET_KEY": workplace.SECRET_KEY,
        "BASE_URL": base_url,
        "POLL": [3600, 3600, 7200],
        "DISPATCHER": dispatcher,
        **changes,
    }
    os.environ["EMBEDWORKFLOW_TEST_SETTINGS"] = json.dumps(settings)
    os.environ["EMBEDWORKFLOW_TEST_BROKER"] = BROKERS.get(name, "memory://")
    os.environ["EMBEDWORKFLOW_TEST_QUEUE"] = f"embedworkflow-{uuid.uuid4().hex}"
    os.environ["EMBEDWORKFLOW_TEST_ALONE"] = "1"


def cost_of_notices(pause: float, options) -> dict:
    """Return what a notice adds to an execute with its commit."""
    with program(f"PAUSE = {pause}\n{COSTS}") as ask:
        ask("20")
        rounds = [json.loads(ask(str(options.count))) for _ in range(options.rounds)]
    ratio = workplace.ratio([told for told, _ in rounds], [alone for _, alone in rounds])
    return {
        "execute and commit, pause s": pause,
        "µs": statistics.median(alone for _, alone in rounds) * 1e6,
        "µs with notice": statistics.median(told for told, _ in rounds) * 1e6,
        "ratio": ratio["median"],
        "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
    }


if __name__ == "__main__":
    main()
