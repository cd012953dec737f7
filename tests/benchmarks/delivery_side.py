"""A contender's side of ``delivery.py``: its database, its backlog and its workers.

It is started with the Python of the contender's environment, says which versions it runs on, and
answers each line that names a public method of ``Side`` and a number, with what it returns.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.contenders import EVERYBODY, PROCESSES

ROOT = Path(__file__).resolve().parents[2]
#: The seconds between two requests.
PAUSE = 0.003
# What begins and ends transactions; and what the server asks itself to check a foreign key.
NOT_COUNTED = r"^\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|DISCARD)|FOR KEY SHARE OF x$"


class Side:
    """A contender on a database of its own."""

    def __init__(self, name: str, calls: int, log: IO[str]) -> None:
        self._contender = EVERYBODY[name]
        self._calls = calls
        self._log = log
        self._workers: list[subprocess.Popen[bytes]] = []
        self._before: dict[str, int] = {}

    def enqueue(self, count: int) -> float:
        """Ask for so many calls; return when they were committed, by the monotonic clock."""
        from django.db import transaction

        committed: list[float] = []
        with transaction.atomic():
            # The first of what follows the commit, and not the last.
            transaction.on_commit(lambda: committed.append(time.monotonic()))
            self._contender.enqueue(count)
        return committed[0]

    def execute(self, count: int) -> list[float]:
        """Return the median and the 99th percentile of asking for one call, in seconds."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self.enqueue(1)
            times.append(time.perf_counter() - began)
            time.sleep(PAUSE)
        return [statistics.median(times), statistics.quantiles(times, n=100)[-1]]

    def start(self, workers: int) -> list[int]:
        """Start workers; return the ids of their processes."""
        self._before = counted()
        if self._contender.one_at_a_time:
            workers *= min(self._calls, PROCESSES)
        elif not self._contender.worker(self._calls):
            return []
        self._workers = [
            subprocess.Popen(
                self._contender.worker(self._calls),
                cwd=ROOT,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
            for _ in range(workers)
        ]
        return [worker.pid for worker in self._workers]

    def stop(self, _: int = 0) -> dict[str, int]:
        """End the workers; return the statements and commits since the start, where known."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        counts, before, self._workers = counted(), self._before, []
        return {name: number - before.get(name, 0) for name, number in counts.items()}

    def inside(self, count: int) -> dict[str, int]:
        """Deliver so many calls of ours in this process; return what was said to the database."""
        from django.core.management import call_command
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        self.enqueue(count)
        connection.queries_limit = 1_000_000
        nowhere = io.StringIO()
        with CaptureQueriesContext(connection) as queries:
            call_command("embedworkflow_worker", "--once", stdout=nowhere, stderr=nowhere)
        words = [query["sql"].split(maxsplit=1)[0].rstrip(";") for query in queries]
        commits = words.count("COMMIT")
        return {"statements": len(words) - commits - words.count("BEGIN"), "commits": commits}

    def said(self, _: int = 0) -> str:
        """Return the last of what the workers have written."""
        self._log.seek(0)
        return self._log.read()[-3000:]


def counted() -> dict[str, int]:
    """Return the statements and commits that the database has counted, as far as it does."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return {}
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        found["commits"] = cursor.fetchone()[0]
        cursor.execute("SHOW shared_preload_libraries")
        if "pg_stat_statements" in cursor.fetchone()[0]:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            cursor.execute(
                "SELECT sum(calls) FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid"
                " WHERE datname = current_database() AND query !~* %s",
                [NOT_COUNTED],
            )
            found["statements"] = int(cursor.fetchone()[0] or 0)
    return found


@contextlib.contextmanager
def project(name: str):
    """Set the contender's project up on a fresh test database."""
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        logging.disable()  # Threads that end with the process will miss their tables.
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # Those of threads that end with the process.
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        connection.creation.destroy_test_db(before, verbosity=0)
        if EVERYBODY[name].broker:
            from tests.benchmarks.shop.celery import app

            with app.connection_for_write() as broker:
                broker.default_channel.queue_delete(settings.QUEUE)


def main(name: str, kind: str) -> None:
    """Answer until the input ends."""
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    os.environ["BENCHMARK_PEER"] = name
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.shop.settings"
    with tempfile.TemporaryFile("w+") as log, project(name):
        import django

        version = importlib.metadata.version(re.split(r"[\[,]", name)[0])
        print(json.dumps({"version": version, "django": django.__version__}), flush=True)
        side = Side(name, int(os.environ["BENCHMARK_CALLS"]), log)
        try:
            for line in sys.stdin:
                verb, _, number = line.strip().partition(" ")
                print(json.dumps(getattr(side, verb)(int(number or 0))), flush=True)
        finally:
            side.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
