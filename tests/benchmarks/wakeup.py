"""How long after a commit its request is made, and what waking somebody costs whoever commits.

Run it alone: ``python tests/benchmarks/wakeup.py --database postgresql --peers``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, environments, workplace
from tests.benchmarks.contenders import PEERS, WAYS

SENTENCE = (
    "From a commit to its request's arrival at the remote, a process of its own; one commit after "
    "the other, at random moments, with one idle worker. They take turns. The floor posts from "
    "the committing process itself."
)
FLOOR = "bare request after the commit"
PATIENCE = 30.0
#: Commits are so far apart at the most, in seconds.
APART = 0.6
BARE = """
import sys, time
import requests
session = requests.Session()
for line in sys.stdin:
    print(time.monotonic(), flush=True)
    session.post(sys.argv[1] + "/workflows/benchmark/execute", json={"id_type": "key"})
"""
#: With a notice and without, alternating; each time a median.
COSTS = """
import json, statistics, sys, time
import tests.celery_app
import django
django.setup()
from django.conf import settings
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
            time.sleep(float(sys.argv[1]))
    print(json.dumps([statistics.median(taken[True]), statistics.median(taken[False])]), flush=True)
"""


@contextlib.contextmanager
def program(code: str, *arguments: str):
    """Run a program meanwhile; yield a way to ask it something."""
    command, pipe = [sys.executable, "-c", code, *arguments], subprocess.PIPE
    with subprocess.Popen(
        command, cwd=workplace.ROOT, stdin=pipe, stdout=pipe, text=True
    ) as process:

        def ask(line: str = "") -> Any:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            yield ask
        finally:
            process.stdin.close()
            process.terminate()


def latencies(commit, remote: workplace.Remote, count: int) -> list[float]:
    """Return the seconds from each commit to its request."""
    taken = []
    for number in range(count + 1):
        remote.forget()
        committed = commit()
        if not workplace.wait(lambda: remote.count() > 0, PATIENCE):
            raise SystemExit("A commit has led to no request.")
        if number:  # The first waits for a start.
            taken.append(max(0.0, remote.forget()[0] - committed))
        time.sleep(random.uniform(0, APART))
    return taken


def measured(options: Any) -> dict[str, list[float]]:
    """Return what each contender takes, in seconds."""
    names = [*WAYS, *(PEERS if options.peers else ())]
    taken: dict[str, list[float]] = {FLOOR: []}
    with workplace.remote() as remote, environments.sides(names, remote.url, options) as sides:
        for number in range(options.rounds):
            with program(BARE, remote.url) as ask:
                taken[FLOOR] += latencies(ask, remote, options.count)
            for name in reversed(sides) if number % 2 else sides:
                side = sides[name]
                side.ask("start 1")
                found = latencies(lambda side=side: side.ask("enqueue 1"), remote, options.count)
                side.ask("stop")
                taken.setdefault(environments.title(name, side), []).extend(found)
                print(f"{name}: {statistics.median(found) * 1000:.1f} ms", file=sys.stderr)
    return taken


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, count=10, rounds=4, concurrency=8, notices=100)
    parser.add_argument("--peers", action="store_true", help=f"also {', '.join(PEERS)}")
    environments.add_options(parser)
    options = parser.parse_args()
    rows = [
        {
            "database": options.database,
            "what": name,
            "p50 ms": statistics.median(taken) * 1000,
            "p95 ms": statistics.quantiles(taken, n=20)[-1] * 1000,
        }
        for name, taken in measured(options).items()
    ]
    costs = []
    if options.database == "postgresql" and options.notices:
        with workplace.database(options.database):
            costs = [cost_of_notices(pause, options) for pause in (0.0, 0.03)]
    workplace.report(SENTENCE, [*rows, *costs] if options.json else rows, as_json=options.json)
    if costs and not options.json:
        workplace.report("", costs, as_json=False)
    if options.chart:
        draw(rows, options)


def draw(rows: list[dict[str, Any]], options: Any) -> None:
    """Draw the bars."""
    bars.draw(
        f"From a commit to its request, {options.database}, idle workers",
        "milliseconds, median, logarithmic (less is better)",
        [
            {
                "name": row["what"],
                "value": row["p50 ms"],
                "text": f"{row['p50 ms']:,.1f} ms, p95 {row['p95 ms']:,.0f} ms",
            }
            for row in rows
        ],
        options.chart,
        scale="log",
    )


def cost_of_notices(pause: float, options: Any) -> dict[str, Any]:
    """Return what a notice adds to an execute with its commit."""
    settings = {"SECRET_KEY": workplace.SECRET_KEY, "DISPATCHER": "worker"}
    os.environ["EMBEDWORKFLOW_TEST_SETTINGS"] = json.dumps(settings)
    os.environ["EMBEDWORKFLOW_TEST_BROKER"] = "memory://"
    os.environ["EMBEDWORKFLOW_TEST_QUEUE"] = "unused"
    os.environ["EMBEDWORKFLOW_TEST_ALONE"] = "1"
    with program(COSTS, str(pause)) as ask:
        ask("20")
        rounds = [ask(str(options.notices)) for _ in range(options.rounds)]
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
