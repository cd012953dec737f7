"""What every test has: the databases that must answer, and a fresh interpreter."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User

from . import databases, logs
from .river import heard, river  # noqa: F401 - fixtures


def pytest_configure(config):
    """Refuse to start without a database that must answer, rather than fail once per test."""
    if sentences := databases.missing():
        raise pytest.UsageError("\n".join(sentences))


WORKER_THREADS = {"embedworkflow-worker", "embedworkflow-announce"}

# What starts processes, or meets each fault of the API: it runs at the newer end of the
# matrix, and whenever the tests run without one.
LONG = {
    "test_benchmarks",
    "test_celery",
    "test_chaos",
    "test_example_project",
    "test_faults",
    "test_promises",
    "test_readme",
    "test_security",
    "test_several_workers",
    "test_state_machine",
    "test_tasks",
    "test_themes",
    "test_weather",
}


def pytest_collection_modifyitems(config, items):
    """Leave out, in a cell of the matrix, what another cell runs.

    What touches no database runs in SQLite's cells; what takes long at the newer end.
    """
    if not databases.ONE_DATABASE:
        return
    kept = [item for item in items if _belongs_here(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _belongs_here(item):
    if item.path.stem in LONG and not os.environ.get("TEST_LONG"):
        return False
    touches = item.get_closest_marker("django_db") or "db" in item.fixturenames
    return databases.DEFAULT == "sqlite" or bool(touches)


def pytest_report_header(config):
    """Say at the top which databases take part."""
    return [
        f"{kind}: {databases.silence(kind) or f'takes part as {databases.alias_of(kind)!r}'}"
        for kind in databases.KINDS
    ]


@pytest.fixture(autouse=True)
def no_worker_left():
    """Let no thread of a worker, and no connection of its, outlive the test that started it."""
    yield
    left = [thread for thread in threading.enumerate() if thread.name in WORKER_THREADS]
    for thread in left:
        thread.join(20)
    assert [] == [thread for thread in left if thread.is_alive()]


@pytest.fixture(autouse=True)
def log_watch():
    """Whatever the package logs during a test has the fields that the documentation promises."""
    watch, logger = logs.Watch(), logging.getLogger(logs.LOGGER)
    logger.addHandler(watch)
    yield watch
    logger.removeHandler(watch)
    assert [] == watch.wrong


@pytest.fixture
def db_alias():
    """The database on which a river flows, unless its tests say another."""
    return "default"


@pytest.fixture
def boss(client, db):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def as_staff(client, db):
    """Log a member of staff in with some rights, and no others; return the client."""

    def log_in(*rights, name="staff"):
        user, _new = User.objects.get_or_create(username=name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        client.force_login(user)
        return client

    return log_in


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
