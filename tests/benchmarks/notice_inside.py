"""What it costs others when a notice is part of the transaction, and what when it follows it.

Run it alone: ``python tests/benchmarks/notice_inside.py``. It takes PostgreSQL.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import workplace

SENTENCE = (
    "Commits a second of one small INSERT each, by so many connections at once, while somebody "
    "listens: without a notice, with one that is sent after the commit over another connection, "
    "as the package does, and with one that is part of the transaction. They take turns; ratios "
    "are those of a round."
)
ALONE, AFTER, INSIDE = "no notice", "after the commit", "inside the transaction"
INSERT = "INSERT INTO benchmark (word) VALUES ('order')"
END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def commit(ready: threading.Barrier, seconds: float, statement: str, then: Callable) -> float:
    """Insert and commit over a connection of this thread's; return how often a second."""
    from django.db import connection

    count, taken = 0, 0.0
    try:
        with connection.cursor() as cursor:
            ready.wait()
            began = time.perf_counter()
            while taken < seconds:
                cursor.execute(statement)
                then()
                count, taken = count + 1, time.perf_counter() - began
    finally:
        connection.close()
    return count / taken


def rate(name: str, savers: int, seconds: float) -> float:
    """Return how many commits a second so many connections make."""
    from embedworkflow_django import notices

    inside = f"{INSERT} RETURNING pg_notify('{notices.CHANNEL}', '')"
    statement = inside if name == INSIDE else INSERT
    then = partial(notices.tell, "default") if name == AFTER else int
    ready = threading.Barrier(savers)
    with ThreadPoolExecutor(savers) as pool:
        turns = [pool.submit(commit, ready, seconds, statement, then) for _ in range(savers)]
    return sum(turn.result() for turn in turns)


def main() -> None:
    """Measure, and print."""
    parser = workplace.parser(SENTENCE, rounds=7)
    parser.set_defaults(database="postgresql")
    parser.add_argument("--savers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn (default: 2)")
    options = parser.parse_args()
    if options.database != "postgresql":
        parser.error("--database should be postgresql: no other has notices.")
    rows = []
    with workplace.database(options.database):
        from django.db import connection
        from django.test import override_settings

        from embedworkflow_django import notices

        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE benchmark (id bigserial PRIMARY KEY, word text)")
        with override_settings(EMBEDWORKFLOW={"SECRET_KEY": "sk_test_x", "NOTIFY": True}):
            heard = threading.Event()
            listeners = notices.listen(["default"], heard.set)
            heard.wait(notices.PATIENCE)
            for savers in options.savers:
                rows += turns(savers, options)
            for listener in listeners:
                listener.close()
        # The messenger's thread keeps its connection.
        notices._messenger.flush()
        with connection.cursor() as cursor:
            cursor.execute(END_OTHERS)
    workplace.report(SENTENCE, rows, as_json=options.json)


def turns(savers: int, options) -> list[dict]:
    """Return what each way makes with so many savers, in turns."""
    ways = (ALONE, AFTER, INSIDE)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name in ways if number % 2 else reversed(ways):
            found[name].append(rate(name, savers, options.seconds))
    rows = []
    for name, rates in found.items():
        ratio = workplace.ratio(rates, found[ALONE])
        rows.append(
            {
                "at once": savers,
                "a notice": name,
                "commits a second": round(statistics.median(rates)),
                "ratio": ratio["median"],
                "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
            }
        )
    return rows


if __name__ == "__main__":
    main()
