"""What every test has: the databases that must answer, and a fresh interpreter."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from . import databases
from .river import heard, river  # noqa: F401 - fixtures


def pytest_configure(config):
    """Refuse to start without a database that must answer, rather than fail once per test."""
    if sentences := databases.missing():
        raise pytest.UsageError("\n".join(sentences))


def pytest_collection_modifyitems(config, items):
    """Leave out what touches no database where a cell of the matrix is about a database.

    SQLite's cell with the same Python and Django runs everything.
    """
    if not databases.ONE_DATABASE or databases.DEFAULT == "sqlite":
        return
    touching = [
        item for item in items if item.get_closest_marker("django_db") or "db" in item.fixturenames
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(touching)])
    items[:] = touching


def pytest_report_header(config):
    """Say at the top which databases take part."""
    return [
        f"{kind}: {databases.silence(kind) or f'takes part as {databases.alias_of(kind)!r}'}"
        for kind in databases.KINDS
    ]


@pytest.fixture
def no_collector():
    """Let no finalizer run, and fail, in the depth of a recursion."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def python():
    """Run code in an interpreter of its own, warnings as errors; return what it prints."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    return run
