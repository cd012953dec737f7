"""A day's outage, replayed on a clock that runs faster: ``python -m tests.chaos.outage``.

Saver and worker run with ``scaled_clock.c`` preloaded, so that a day passes in minutes in all that
they ask of a clock or wait by, with the package and its constants as they are. The database is
SQLite, whose clock is the worker's own. A C compiler is needed, Linux, and matplotlib for a
picture.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
HOUR = 3600
MINUTE = 60
ACCOUNTS = ("default", "eu")
#: How the API is down, one way after the other; ``None`` is a port at which nobody listens.
WAYS = {
    "refused": None,
    "never answers": ("lost", {}),
    "503, Retry-After": ("503", {"retry_after": 600}),
    "502, HTML": ("html", {"status": 502}),
    "429": ("429", {"retry_after": 60}),
}
#: A row that has not failed itself lets pass those of its account that were in hand with it.
IN_HAND = 20
LARGEST_RATIO = 1.1
LONGEST_RECOVERY = 1800.0
SAVE = """
import time
print("ready")
sys.stdin.readline()
began = time.monotonic()
for number in range({count}):
    time.sleep(max(0.0, began + number * {gap} - time.monotonic()))
    services.execute("bake", {{"number": number}}, account={accounts}[number % 2])
"""
WORK = """
import logging
from django.core.management import call_command
logging.disable(logging.WARNING)
call_command("embedworkflow_worker", database=[ALIAS])
"""
REQUEST = """
import json, logging, time
logging.disable(logging.ERROR)
for line in sys.stdin:
    took = []
    for _ in range(int(line)):
        time.sleep(0.002)
        began = time.perf_counter()
        with transaction.atomic():
            services.execute("bake", {"number": 1})
        took.append(time.perf_counter() - began)
    print(json.dumps(took))
"""


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outage", description=__doc__)
    parser.add_argument("--triggers", type=int, default=5000, help="(default: %(default)s)")
    parser.add_argument("--hours", type=float, default=24, help="of outage (default: %(default)s)")
    parser.add_argument("--speed", type=int, default=240, help="of the clock (default: 240)")
    parser.add_argument("--limit", type=int, default=20, help="calls a minute afterwards")
    parser.add_argument("--requests", type=int, default=2000, help="to measure (default: 2000)")
    parser.add_argument("--picture", type=Path, help="a file to draw the day to")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    return parser.parse_args()


class ScaledClock:
    """The time that the processes under test believe in; the sandbox goes by it as well.

    Args:
        speed: How many of its seconds pass in a real one, from now on.
    """

    frozen = False

    def __init__(self, speed: int) -> None:
        self.speed, self.since = speed, time.time_ns()
        self._began = self.now()

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return (self.since + (time.time_ns() - self.since) * self.speed) / 1e9

    def begin(self) -> None:
        """Let the day begin."""
        self._began = self.now()

    def at(self, hours: float) -> datetime:
        """Return the instant so many hours into the day."""
        return datetime.fromtimestamp(self._began + hours * HOUR, UTC)

    def advance(self, seconds: float) -> None:
        """Nobody puts it forward."""
        raise NotImplementedError

    @contextmanager
    def environment(self, folder: Path):
        """Have the processes that are started meanwhile believe in it."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit("No C compiler: install gcc, which builds the scaled clock.")
        library, source = folder / "scaled_clock.so", HERE / "scaled_clock.c"
        words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)]
        subprocess.run(words, check=True)
        scaled = {
            "LD_PRELOAD": str(library),
            "SCALED_SPEED": str(self.speed),
            "SCALED_SINCE": str(self.since),
        }
        os.environ.update(scaled)
        try:
            yield
        finally:
            for name in scaled:
                del os.environ[name]


class Weather:
    """The API over a day, then up again with a limit.

    Args:
        sandbox: The API.
        speed: How fast its callers' clock runs.
    """

    def __init__(self, sandbox, speed: int) -> None:
        self._sandbox, self._speed = sandbox, speed
        self._over = threading.Event()

    def day(self, hours: float) -> None:
        """Be down in each way for its part of the day."""
        for way in WAYS.values():
            with self._nobody() if way is None else self._failing(*way):
                time.sleep(hours * HOUR / len(WAYS) / self._speed)

    @contextmanager
    def _nobody(self):
        """Let nobody listen; the port stays ours, or somebody else's server might answer there."""
        port = int(self._sandbox.base_url.split(":")[2].split("/")[0])
        self._sandbox.stop()
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", port))
            yield
        self._sandbox.start()

    @contextmanager
    def _failing(self, kind: str, options: dict):
        """Let every call fail in one way."""
        self._sandbox.faults.add(kind, rate=1.0, **options)
        yield
        self._sandbox.faults.clear()

    def limit(self, calls: int) -> None:
        """Answer 429 to what exceeds a limit of calls in a scaled minute, until the end."""
        while not self._over.is_set():
            self._sandbox.faults.clear()
            self._sandbox.faults.add("429", rate=1.0, skip=calls, retry_after=MINUTE // 2)
            self._over.wait(MINUTE / self._speed)
        self._sandbox.faults.clear()

    def clear_up(self) -> None:
        """End the limit."""
        self._over.set()


def claim_plans() -> list[str]:
    """Return the plans of the queries that choose what is claimed."""
    from django.utils import timezone

    from embedworkflow_django.models import Execution

    due = Execution.objects.filter(due_at__lte=timezone.now()).order_by("due_at")
    return [
        rows.values_list("pk")[:500].explain() for rows in (due, due.filter(account=ACCOUNTS[0]))
    ]


def database_bytes() -> int:
    """Return the size of the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return cursor.fetchone()[0]


class Gauge(threading.Thread):
    """Notes the size of the database, and how many triggers are in it, while the API is down.

    Args:
        seconds: How often.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True)
        self._seconds = seconds
        self._over = threading.Event()
        self.readings: list[tuple[int, int]] = []

    def run(self) -> None:
        """Take readings until the end."""
        from django.db import connection

        from embedworkflow_django.models import Execution

        while not self._over.wait(self._seconds):
            self.readings.append((Execution.objects.count(), database_bytes()))
        connection.close()

    def bytes_each(self) -> tuple[float, float]:
        """End, and return how much a trigger has taken in the first half, and in the second."""
        self._over.set()
        self.join()
        middle = len(self.readings) // 2
        halves = self.readings[: middle + 1], self.readings[middle:]
        first, second = (
            (half[-1][1] - half[0][1]) / max(1, half[-1][0] - half[0][0]) for half in halves
        )
        return first, second


def configuration(sandbox, dispatcher: str) -> dict:
    """Return the package's settings: nothing is asked after, so that all calls are deliveries."""
    return {
        "SECRET_KEY": sandbox.secret_key,
        "BASE_URL": sandbox.base_url,
        "DISPATCHER": dispatcher,
        "TIMEOUT": (60, 120),
        "LEASE": 900,
        "POLL": (30 * 24 * HOUR, 30 * 24 * HOUR, 60 * 24 * HOUR),
        "ACCOUNTS": {"eu": {"SECRET_KEY": "sk_test_eu"}},
    }


@contextmanager
def running(code: str, settings: dict):
    """Run a program; leave nothing behind."""
    from tests import programs

    program = programs.start(code, configuration=settings)
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def replay(
    options: argparse.Namespace, sandbox, clock: ScaledClock, folder: Path, stack: ExitStack
) -> dict:
    """Let the day pass, and the recovery; return what the database was like meanwhile."""
    from embedworkflow_django.models import Execution, WorkerProcess

    before, settings = claim_plans(), configuration(sandbox, "worker")
    gap = options.hours * HOUR / options.triggers
    save = SAVE.format(count=options.triggers, gap=gap, accounts=ACCOUNTS)
    with clock.environment(folder):
        saver = stack.enter_context(running(save, settings))
        worker = stack.enter_context(running(WORK, settings))
    saver.stdout.readline()
    while not WorkerProcess.objects.exists():
        if worker.poll() is not None:
            raise SystemExit(worker.communicate()[1])
        time.sleep(0.1)
    clock.begin()
    saver.stdin.write("go\n")
    saver.stdin.flush()
    weather, gauge = Weather(sandbox, options.speed), Gauge(HOUR / 2 / options.speed)
    gauge.start()
    weather.day(options.hours)
    first, second = gauge.bytes_each()
    meanwhile = claim_plans()
    limiting = threading.Thread(target=weather.limit, args=(options.limit,))
    limiting.start()
    saver.wait(LONGEST_RECOVERY)
    ends = time.monotonic() + LONGEST_RECOVERY
    while Execution.objects.queued().exists() and time.monotonic() < ends:
        time.sleep(0.5)
    weather.clear_up()
    limiting.join()
    worker.terminate()
    worker.wait(60)
    if saver.returncode or worker.returncode:
        raise SystemExit(f"Saver and worker ended: {saver.returncode}, {worker.returncode}.")
    return {
        "bytes of database a trigger, first half of the day": round(first),
        "bytes of database a trigger, second half": round(second),
        "plans of the claim": meanwhile,
        "plans stayed": before == meanwhile,
    }


def overtaken(rows: list) -> list[int]:
    """Return of each row how many younger ones came before it.

    Args:
        rows: Rows of one account in the order in which the API has received them.
    """
    came: list = []
    counts = []
    for row in rows:
        counts.append(len(came) - bisect.bisect(came, row.pk))
        bisect.insort(came, row.pk)
    return counts


def history(row, over: datetime) -> list[str]:
    """Return what was noted of a row, each with the hours since the outage had ended."""
    noted = [(row.created_at, "created"), (row.sent_at, "first call that may have been received")]
    noted += [(event.at, f"{event.status}: {event.detail}") for event in row.events.all()]
    return [
        f"{(at - over).total_seconds() / HOUR:+.2f} h {what}"
        for at, what in sorted((at, what) for at, what in noted if at)
    ]


def figures(sandbox, over: datetime) -> dict:
    """Return what became of the triggers, of each account's order, and of the tries."""
    from embedworkflow_django.models import Execution, ExecutionEvent

    rows = list(Execution.objects.order_by("id"))
    delivered = {row.remote_id: row for row in rows if row.remote_id}
    tried = [r for r in delivered.values() if r.attempts > 1]
    passed: dict[bool, list[int]] = {True: [], False: []}
    for account in ACCOUNTS:
        arrived = sorted(
            (r for r in delivered.values() if r.account == account and r.created_at < over),
            key=lambda r: r.dispatched_at,
        )
        for row, count in zip(arrived, overtaken(arrived), strict=True):
            passed[row.attempts > 1].append(count)
    last = max(row.dispatched_at for row in delivered.values() if row.created_at < over)
    waited = [row.dispatched_at - row.sent_at for row in delivered.values()]
    return {
        "triggers": len(rows),
        "statuses": dict(Counter(str(row.status) for row in rows)),
        "histories of those that were not delivered": [
            history(row, over) for row in rows if not row.remote_id
        ],
        "hours from a call that may have been received to the answer, most": round(
            max(waited).total_seconds() / HOUR, 2
        ),
        "executions at the API": len(sandbox.executions),
        "executions of no row": sum(each.id not in delivered for each in sandbox.executions),
        "tries": ExecutionEvent.objects.filter(detail__attempt__isnull=False).count(),
        "rows that failed themselves": len(tried),
        "most tries of a row": max(row.attempts for row in rows),
        "hours until the backlog was delivered": round((last - over).total_seconds() / HOUR, 2),
        "younger rows that came before one that never failed, median": statistics.median(
            passed[False]
        ),
        "the same, most": max(passed[False], default=0),
        "younger rows that came before one that failed, median": statistics.median(
            passed[True] or [0]
        ),
        "the same of those, most": max(passed[True], default=0),
    }


def request_path(options: argparse.Namespace, sandbox, stack: ExitStack) -> dict:
    """Return what a request pays while the API is down and while it is up, in turns, in real time.

    The process that saves is the one that delivers (``thread``), which is the worst case.
    """
    from embedworkflow_django.models import Execution

    settings = {**configuration(sandbox, "thread"), "TIMEOUT": (1, 1)}
    program = stack.enter_context(running(REQUEST, settings))
    took: dict[str, list[float]] = {"up": [], "down": []}
    rounds = 10

    def block(into: str | None) -> None:
        program.stdin.write(f"{options.requests // (2 * rounds)}\n")
        program.stdin.flush()
        found = json.loads(program.stdout.readline())
        if into:
            took[into] += found

    block(None)
    for _ in range(rounds):
        block("up")
        sandbox.faults.add("lost", rate=1.0)
        block("down")
        sandbox.faults.clear()
        while Execution.objects.queued().exists():
            time.sleep(0.05)
    p99 = {kind: statistics.quantiles(each, n=100)[98] * 1000 for kind, each in took.items()}
    return {
        "execute and commit, p99 in ms, API up": round(p99["up"], 2),
        "execute and commit, p99 in ms, API down": round(p99["down"], 2),
        "ratio of the two": round(p99["down"] / p99["up"], 2),
    }


def draw(options: argparse.Namespace, clock: ScaledClock, path: Path) -> None:
    """Draw the tries over the day, the queue, and the waits between a row's tries."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from embedworkflow_django import delivery
    from embedworkflow_django.models import Execution, ExecutionEvent

    tries, since = defaultdict(list), clock.at(0)
    triggered = Execution.objects.filter(created_at__gte=since)
    events = ExecutionEvent.objects.filter(execution__in=triggered, detail__attempt__isnull=False)
    for event in events.order_by("id"):
        hour = (event.at - since).total_seconds() / HOUR
        tries[event.execution_id].append((event.detail["attempt"], hour))
    figure, (day, queue, waits) = plt.subplots(3, 1, figsize=(9, 9), layout="constrained")
    day.hist([h for each in tries.values() for _, h in each], bins=200, color="#2f6f9f")
    part = options.hours / len(WAYS)
    for number, way in enumerate(WAYS):
        day.text((number + 0.5) * part, 1.02, way, ha="center", transform=day.get_xaxis_transform())
    day.set(ylabel="tries recorded", yscale="symlog")
    marks = [
        *((at, 1) for at in triggered.values_list("created_at", flat=True)),
        *((at, -1) for at in triggered.values_list("dispatched_at", flat=True) if at),
    ]
    depth, hours, depths = 0, [], []
    for at, step in sorted(marks):
        depth += step
        hours.append((at - since).total_seconds() / HOUR)
        depths.append(depth)
    queue.plot(hours, depths, color="#2f6f9f")
    queue.set(xlabel="hours since the outage began", ylabel="queued", xlim=day.get_xlim())
    for axes in (day, queue):
        for number in range(len(WAYS)):
            axes.axvline(number * part, color="#999999", linewidth=0.8)
        axes.axvline(options.hours, color="#2e7d32", linewidth=1.5)
    points = [
        (a[0], (b[1] - a[1]) * MINUTE)
        for each in tries.values()
        for a, b in pairwise(each)
        if b[1] < options.hours
    ]
    if points:
        waits.scatter(*zip(*points, strict=True), s=8, alpha=0.4, color="#2f6f9f", linewidths=0)
        most = range(1, max(number for number, _ in points) + 1)
        cap, first = (d.total_seconds() / MINUTE for d in (delivery.BACKOFF_CAP, delivery.BACKOFF))
        ceiling = [min(cap, first * 2**number) for number in most]
        waits.step(most, ceiling, where="mid", color="#c62828", label="ceiling of the back-off")
        waits.legend()
    waits.set(xlabel="tries of a row so far", ylabel="minutes until its next", yscale="log")
    figure.savefig(path, dpi=110)


def complaints(options: argparse.Namespace, found: dict) -> list[str]:
    """Return what is not as promised."""
    started = options.triggers
    first, second = (v for k, v in found.items() if k.startswith("bytes of database"))
    held = {
        "all were delivered": set(found["statuses"]) <= {"running", "completed"},
        "each was executed once": started == found["executions at the API"],
        "each is a row's": not found["executions of no row"],
        "those that never failed came in order": found["the same, most"] <= IN_HAND,
        "the plan stayed": found["plans stayed"],
        "the size grew by the triggers alone": second <= LARGEST_RATIO * first,
        "requests went on": found["ratio of the two"] <= LARGEST_RATIO,
    }
    return [sentence for sentence, holds in held.items() if not holds]


def main() -> int:
    """Replay, draw, and print; exit code 1 when a promise was broken."""
    options = arguments()
    os.environ.update(EMBEDWORKFLOW_TEST_DEFAULT="sqlite", DJANGO_SETTINGS_MODULE="tests.settings")
    import django

    django.setup()
    from embedworkflow_django.sandbox import Sandbox

    from .__main__ import tables

    with tempfile.TemporaryDirectory() as folder, tables("default"):
        clock = ScaledClock(options.speed)
        with Sandbox(calls_kept=1) as free:
            port = int(free.base_url.split(":")[2].split("/")[0])
        sandbox = Sandbox(port=port, calls_kept=1, clock=clock)
        sandbox.engine.add_account("eu", secret_key="sk_test_eu")
        for account in sandbox.engine.accounts.values():
            sandbox.add_workflow("bake", nodes=[], edges=[], account=account)
        with sandbox, ExitStack() as stack:
            found = replay(options, sandbox, clock, Path(folder), stack)
            found = figures(sandbox, clock.at(options.hours)) | found
            if options.picture:
                draw(options, clock, options.picture)
            found |= request_path(options, sandbox, stack)
        _print(options, found)
    broken = complaints(options, found)
    print(*(f"BROKEN: {sentence}" for sentence in broken), sep="\n", file=sys.stderr)
    return 1 if broken else 0


def _print(options: argparse.Namespace, found: dict) -> None:
    if options.json:
        print(json.dumps(found, indent=2), flush=True)
    else:
        print(*(f"{name}: {value}" for name, value in found.items()), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
