"""What one trigger costs the request: its statements, and its time against a bare INSERT.

Run it alone: ``python tests/benchmarks/trigger.py --database postgresql``.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import workplace

SENTENCE = (
    "One execute, with validation and encoding, inside a transaction, against the bare INSERT of "
    "the same row through a cursor, and against the ORM's create; alternating, p50 of each."
)

BARE = "bare INSERT"
DATA = {"order_id": 17, "email": "ann@example.com", "total": "12.50"}


def prepared_insert(connection):
    """Return a function that gives the parameters of a new row, and one that inserts them."""
    from embedworkflow_django import outbox
    from embedworkflow_django.models import Execution

    head, placeholders, tail = outbox._insert_parts(connection.vendor, False)
    fields = [f for f in Execution._meta.concrete_fields if f.name in outbox.ASKED]

    def parameters() -> list:
        row = Execution(workflow="bake", execution_data=DATA)
        return [f.get_db_prep_save(getattr(row, f.attname), connection) for f in fields]

    def insert(prepared: list) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"{head}{placeholders} {tail}", prepared)

    return parameters, insert


def one_round(contenders, parameters, alias: str, count: int) -> dict[str, float]:
    """Return the median time of each contender, which take turns, in seconds."""
    from django.db import transaction

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(count // 100):
        with transaction.atomic(using=alias):
            for _ in range(100):
                for name, contender in contenders.items():
                    prepared = parameters()
                    began = perf_counter()
                    contender(prepared)
                    times[name].append(perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Measure, and print."""
    options = workplace.arguments(SENTENCE, count=1000, rounds=7)
    with workplace.database(options.database) as alias:
        from django.db import connections, transaction
        from django.test import override_settings
        from django.test.utils import CaptureQueriesContext

        from embedworkflow_django import services
        from embedworkflow_django.models import Execution

        parameters, insert = prepared_insert(connections[alias])
        contenders = {
            BARE: insert,
            "execute": lambda _: services.execute("bake", DATA),
            "objects.create": lambda _: Execution.objects.create(
                workflow="bake", execution_data=DATA
            ),
        }
        with override_settings(EMBEDWORKFLOW={"SECRET_KEY": "sk_test_x", "DISPATCHER": "worker"}):
            rounds = [
                one_round(contenders, parameters, alias, options.count)
                for _ in range(options.rounds)
            ]
            with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as said:
                services.execute("bake", DATA)
    rows = []
    for name in contenders:
        taken = [each[name] for each in rounds]
        ratio = workplace.ratio(taken, [each[BARE] for each in rounds])
        rows.append(
            {
                "database": options.database,
                "what": name,
                "µs": statistics.median(taken) * 1e6,
                "ratio to bare": ratio["median"],
                "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
                "statements": len(said) if name == "execute" else 1,
            }
        )
    workplace.report(SENTENCE, rows, as_json=options.json)


if __name__ == "__main__":
    main()
