"""What the benchmarks stand on: a test database, the sandbox in a process of its own, rounds."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "sk_test_of_the_benchmarks"
WORKFLOW = "benchmark"
PAGE_KIB = 4


def parser(sentence: str, **defaults: int) -> argparse.ArgumentParser:
    """Return what reads the options; ``--database`` and ``--json`` are always there."""
    parser = argparse.ArgumentParser(description=sentence)
    parser.add_argument("--database", default="sqlite", help="sqlite, postgresql or mariadb")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"(default: {value})")
    return parser


def arguments(sentence: str, **defaults: int) -> argparse.Namespace:
    """Return the command line's options, of those that are whole numbers."""
    return parser(sentence, **defaults).parse_args()


@contextlib.contextmanager
def database(kind: str) -> Iterator[str]:
    """Set Django up on a fresh test database of a kind, and yield its alias."""
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from django.db import connection
    from django.test.utils import setup_test_environment

    setup_test_environment()
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield "default"
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    """Run the sandbox in a process of its own, with one empty workflow, and yield its base URL."""
    workflows = ROOT / "tests" / "benchmarks" / ".workflows.json"
    workflows.write_text(json.dumps([{"key": WORKFLOW, "template": {"nodes": [], "edges": []}}]))
    command = [sys.executable, "-m", "embedworkflow_django.sandbox", "--port", "0"]
    command += ["--secret-key", SECRET_KEY, "--workflows", str(workflows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if "http://" in line)
            url = next(word for word in line.split() if word.startswith("http://")).strip(",.")
            _wait_for(url)
            yield url
        finally:
            process.terminate()
            process.communicate()  # It says good-bye, and wants to be heard.
            workflows.unlink()


class Remote:
    """The hosted API at its cheapest, in a process of its own.

    Args:
        url: Its base URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self) -> int:
        """Return how many calls have arrived."""
        return self._ask("GET")

    def forget(self) -> list[float]:
        """Return when each call arrived, by the monotonic clock, and count anew."""
        return self._ask("DELETE")

    def _ask(self, method: str) -> Any:
        request = urllib.request.Request(self.url, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@contextlib.contextmanager
def remote(delay: int | str = 0) -> Iterator[Remote]:
    """Run a remote that answers after so many milliseconds, or never if it is ``dead``."""
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / "remote.py"), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Remote(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


def wait(condition: Callable[[], bool], patience: float) -> bool:
    """Return whether a condition has come true within so many seconds."""
    ends = time.monotonic() + patience
    while not (true := condition()) and time.monotonic() < ends:
        time.sleep(0.02)
    return true


def _wait_for(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/workflows", headers={"Authorization": f"Bearer {SECRET_KEY}"}
    )
    for _ in range(100):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=1)
            return
        time.sleep(0.05)
    raise SystemExit(f"The sandbox does not answer at {url}.")


def resident() -> int:
    """Return this process's resident memory in KiB, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB


def timed(function: Callable[[], object]) -> float:
    """Return how long a function takes, in seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def ratio(ours: Sequence[float], floor: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of the per-round ratios."""
    ratios = sorted(a / b for a, b in zip(ours, floor, strict=True))
    if len(ratios) < 2:
        return {"median": ratios[0], "lower": ratios[0], "upper": ratios[0]}
    lower, median, upper = statistics.quantiles(ratios, n=4)
    return {"median": median, "lower": lower, "upper": upper}


def report(sentence: str, rows: list[dict], *, as_json: bool) -> None:
    """Print a table, or JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(sentence)
    names = list(rows[0])
    widths = [max(len(n), *(len(_cell(row[n])) for row in rows)) for n in names]
    for cells in [names, *([_cell(row[n]) for n in names] for row in rows)]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
