"""Celery: real workers on real brokers; a message is a hint, and the row is the truth."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from embedworkflow_django.models import Status

from . import programs
from .databases import DEMANDED
from .engines.trials import TRIALS, play

# Workers of other processes give signs of life to every database.
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

BROKERS = {
    "rabbitmq": ("amqp://guest:guest@127.0.0.1:5672//", 5672),
    "redis": ("redis://127.0.0.1:6379/0", 6379),
}


@pytest.fixture
def celery(river, monkeypatch):
    """Start Celery's workers on a broker; return the settings of who saves."""
    configuration = {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "DISPATCHER": "celery",
        "TIMEOUT": [1, 2],
        "POLL": [60, 60, 3600],
    }
    running = []

    def start(broker, pool):
        url, port = BROKERS[broker]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            (pytest.fail if DEMANDED else pytest.skip)(f"{broker} on port {port}: {error}")
        monkeypatch.setenv("EMBEDWORKFLOW_TEST_SETTINGS", json.dumps(configuration))
        monkeypatch.setenv("EMBEDWORKFLOW_TEST_BROKER", url)
        monkeypatch.setenv("EMBEDWORKFLOW_TEST_QUEUE", f"embedworkflow-{uuid.uuid4().hex}")
        # The tests' other databases are not there.
        monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
        command = [sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker"]
        command += ["-P", pool, "-c", "2", "--without-gossip", "--without-mingle", "-l", "error"]
        running.append(
            subprocess.Popen(
                command,
                cwd=programs.ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return configuration

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(("broker", "pool"), [("rabbitmq", "prefork"), ("redis", "threads")])
def test_a_commit_wakes_a_task_and_a_task_wakes_the_next(river, celery, broker, pool):
    """All are sent, each once; what is due later comes without a beat."""
    configuration = celery(broker, pool)
    later = river.execute(run_at=timezone.now() + timedelta(seconds=2))
    programs.run(
        """
        import tests.celery_app
        for _ in range(20):
            services.execute("bake")
        """,
        configuration=configuration,
    )
    ends = time.monotonic() + 40
    while river.rows().queued().exists() and time.monotonic() < ends:
        time.sleep(0.05)

    assert 21 == river.rows().filter(status=Status.RUNNING).count()
    assert {1} == set(Counter(call.idempotency_key for call in river.executed).values())
    assert river.row(later).sent_at >= later.due_at


def test_a_broker_that_is_down_breaks_no_commit(river, monkeypatch):
    """The rows are committed, quickly, and whoever works next finds them."""
    monkeypatch.setenv("EMBEDWORKFLOW_TEST_BROKER", "amqp://127.0.0.1:9//")
    monkeypatch.setenv("EMBEDWORKFLOW_TEST_QUEUE", "none")
    programs.run(
        """
        import time
        import tests.celery_app
        began = time.perf_counter()
        for _ in range(20):
            services.execute("bake")
        assert time.perf_counter() - began < 10
        """,
        configuration={"SECRET_KEY": river.sandbox.secret_key, "DISPATCHER": "celery"},
    )

    assert 20 == river.rows().queued().count()


def test_an_app_whose_tasks_are_eager_needs_no_broker(river, monkeypatch):
    """The work is done in the process that committed, also what is due later."""
    monkeypatch.setenv("EMBEDWORKFLOW_TEST_BROKER", "amqp://127.0.0.1:9//")
    monkeypatch.setenv("EMBEDWORKFLOW_TEST_QUEUE", "none")
    programs.run(
        """
        import time
        from datetime import timedelta
        from django.utils import timezone
        import tests.celery_app
        tests.celery_app.app.conf.task_always_eager = True
        services.execute("bake")
        services.execute("bake", run_at=timezone.now() + timedelta(seconds=1))
        ends = time.monotonic() + 20
        while Execution.objects.queued().exists() and time.monotonic() < ends: time.sleep(0.05)
        """,
        configuration={
            "SECRET_KEY": river.sandbox.secret_key,
            "BASE_URL": river.sandbox.base_url,
            "DISPATCHER": "celery",
            "TIMEOUT": [1, 2],
            "POLL": [60, 60, 3600],
        },
    )

    assert 2 == river.rows().filter(status=Status.RUNNING).count()
    assert 2 == len(river.executed)


def test_a_broker_that_restarts_empty_under_load_loses_nothing():
    """What it has forgotten is found by workers that look around once it is back."""
    if not shutil.which("redis-server"):
        (pytest.fail if DEMANDED else pytest.skip)("redis-server is not installed.")
    outcome, _seconds = play(TRIALS["celery-redis-restarts"], 100)

    assert outcome.is_sound, outcome
    assert (100, 0) == (outcome.started, outcome.left)
