"""The benchmarks: each runs to its end, and has a figure for each contender."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .databases import DEFAULT, DEMANDED

FOLDER = Path(__file__).parent / "benchmarks"

# What a benchmark is asked for in a test: little, since its figures are not looked at.
LITTLE = {
    "admin_list": ["--rows=300", "--rounds=1"],
    "client_floor": ["--calls=20", "--rounds=2"],
    "delivery": ["--count=20", "--rounds=1"],
    "growth": ["--sizes", "100", "200", "--rounds=1"],
    "memory": ["--count=200", "--batch=50"],
    "notice_inside": ["--savers", "1", "2", "--seconds=0.1", "--rounds=2"],
    "recording": ["--count=20", "--rounds=1"],
    "remote_down": ["--count=10", "--rounds=1"],
    "trigger": ["--count=100", "--rounds=1"],
    "wakeup": ["--count=2", "--rounds=1", "--notices=2"],
}
# What the others start, or share.
PARTS = {
    "admin_chart",
    "admin_peers",
    "bare",
    "bars",
    "contenders",
    "delivery_side",
    "environments",
    "filling",
    "processor",
    "remote",
    "trigger_peers",
    "workplace",
}
# What only one database has.
ONLY = {"notice_inside": "postgresql"}
# Contenders that wait in a broker.
BROKERS = {"wakeup": {"Redis": 6379, "RabbitMQ": 5672}}


def _run(name, *words):
    # A run of its own, with databases of its own.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EMBEDWORKFLOW_")}
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _numbers(rows):
    return [v for row in rows for v in row.values() if isinstance(v, int | float)]


# The mark has each cell of the matrix measure its own database.
@pytest.mark.django_db
@pytest.mark.parametrize("name", LITTLE)
def test_a_benchmark_has_figures(name):
    """What was renamed in the package cannot make a benchmark stale without a word."""
    if DEFAULT != (needed := ONLY.get(name, DEFAULT)):
        pytest.skip(f"Only {needed} has what it measures.")
    for broker, port in BROKERS.get(name, {}).items():
        try:
            socket.create_connection(("127.0.0.1", port), 3).close()
        except OSError as error:
            (pytest.fail if DEMANDED else pytest.skip)(f"{broker} on port {port}: {error}")
    database = [] if name == "client_floor" else [f"--database={DEFAULT}"]

    done = _run(name, "--json", *database, *LITTLE[name])

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    numbers = _numbers(found["rows"] if isinstance(found, dict) else found)
    assert len(numbers) > 3
    assert all(math.isfinite(number) for number in numbers)
    assert any(number > 0 for number in numbers)


def test_the_sandbox_is_measured():
    """Each kind of call is, on one connection and on several."""
    done = _run("sandbox_throughput", "--calls=20")

    assert done.returncode == 0, done.stderr
    assert 3 == done.stdout.count("POST execute")
    assert 3 == done.stdout.count("GET execution")


def test_no_benchmark_is_left_out():
    """A new one is entered above, or among the parts."""
    assert {"sandbox_throughput", *LITTLE, *PARTS} == {each.stem for each in FOLDER.glob("*.py")}


@pytest.mark.parametrize(
    ("name", "words", "offender"),
    [
        ("client_floor", ["--rounds=1"], "--rounds"),
        ("memory", ["--count=10"], "--count"),
        ("notice_inside", ["--database=sqlite"], "--database"),
        ("trigger", ["--count=10"], "--count"),
    ],
)
def test_too_little_is_said_before_the_work(name, words, offender):
    """Not by a traceback after it."""
    done = _run(name, *words)

    assert done.returncode == 2
    assert f"error: {offender} should be" in done.stderr
