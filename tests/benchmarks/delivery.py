"""How fast a backlog of queued executions is delivered to the sandbox, against a bare loop.

Run it alone: ``python tests/benchmarks/delivery.py --database postgresql``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import workplace

SENTENCE = (
    "Delivering queued executions to the sandbox with one worker, against a thread pool of "
    "requests sessions that POSTs the same bodies and records nothing; interleaved rounds."
)


def bare(url: str, count: int, threads: int) -> None:
    """POST from a pool of threads, each with a session of its own, recording nothing."""
    import requests

    mine = local()

    def post(number: int) -> None:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
            mine.session.headers["Authorization"] = f"Bearer {workplace.SECRET_KEY}"
        answer = mine.session.post(
            f"{url}/workflows/{workplace.WORKFLOW}/execute",
            json={"id_type": "key", "execution_data": {"number": number}},
            timeout=(3, 20),
        )
        assert answer.status_code == 201
        answer.json()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, range(count)))


def main() -> None:
    """Measure, and print."""
    options = workplace.arguments(SENTENCE, count=5000, rounds=7, concurrency=8)
    with workplace.database(options.database) as alias, workplace.sandbox() as url:
        from django.db import connection
        from django.test import override_settings
        from django.test.utils import CaptureQueriesContext

        from embedworkflow_django import services
        from embedworkflow_django.models import Execution
        from embedworkflow_django.worker import Worker

        settings = {
            "SECRET_KEY": workplace.SECRET_KEY,
            "BASE_URL": url,
            "DISPATCHER": "worker",
            "POLL": (3600, 3600, 86400),
        }
        ours, floor, statements, commits = [], [], 0, 0
        with override_settings(EMBEDWORKFLOW=settings):
            for number in range(options.rounds):
                services.execute_many(
                    {"workflow": workplace.WORKFLOW, "data": {"number": n}}
                    for n in range(options.count)
                )
                worker = Worker(aliases=[alias], concurrency=options.concurrency)
                rounds = [
                    lambda: floor.append(
                        workplace.timed(lambda: bare(url, options.count, options.concurrency))
                    ),
                    lambda worker=worker: ours.append(workplace.timed(worker.run_until_idle)),
                ]
                for measure in rounds if number % 2 else reversed(rounds):
                    measure()
                assert worker.counts["delivered"] == options.count, worker.counts
                assert not Execution.objects.queued().exists()
            # Counting slows a round down, so that one is not timed.
            services.execute_many([{"workflow": workplace.WORKFLOW}] * options.count)
            connection.queries_limit = 100_000
            with CaptureQueriesContext(connection) as captured:
                Worker(aliases=[alias], concurrency=options.concurrency).run_until_idle()
            said = [query["sql"].split(maxsplit=1)[0].rstrip(";") for query in captured]
            commits = said.count("COMMIT")
            statements = len(said) - commits - said.count("BEGIN")
    rate = workplace.ratio(floor, ours)
    workplace.report(
        SENTENCE,
        [
            {
                "database": options.database,
                "concurrency": options.concurrency,
                "a second": options.count / sorted(ours)[len(ours) // 2],
                "bare a second": options.count / sorted(floor)[len(floor) // 2],
                "ratio": rate["median"],
                "quartiles": f"{rate['lower']:.2f}-{rate['upper']:.2f}",
                "statements each": statements / options.count,
                "commits each": commits / options.count,
            }
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
