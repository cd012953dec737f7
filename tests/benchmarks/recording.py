"""How many rows a second what became of deliveries is written, against Django's own ways.

Run it alone: ``python tests/benchmarks/recording.py --database postgresql``.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, workplace
from tests.benchmarks.remote import EXECUTION

SENTENCE = (
    "Writing what became of claimed rows, in one transaction each, rows a second: as the worker "
    "does, with and without the rows' events, and by Django's save(), bulk_update() and "
    "bulk_create(update_conflicts=True) of the same columns; then a round of polls without news. "
    "Beside them save() with a commit of its own for each row, as who records one by one does, of "
    "the same columns and of all. "
    "They take turns; ratios are those of a round, to save() of the same columns. The processor's "
    "time is the writer's, without the database's own."
)
SAVE_APART = "save() of each row, each committed"
SAVE_WHOLE = "save() of each row and all columns, each committed"
SAVE, SAVE_POLLS = "save() of each row", "save(), polls without news"
LEASE = timedelta(minutes=5)


def claimed(alias: str, token: str, count: int) -> list:
    """Return rows that were queued and are claimed, and are all that there is."""
    from django.utils import timezone

    from embedworkflow_django import outbox, services
    from embedworkflow_django.models import Execution, ExecutionEvent

    ExecutionEvent.objects.using(alias).all().delete()
    Execution.objects.using(alias).all().delete()
    services.execute_many({"workflow": "bake", "data": {"number": n}} for n in range(count))
    now = timezone.now() + timedelta(seconds=1)
    rows = outbox.claim(alias, token=token, now=now, lease=LEASE, limit=count)
    assert len(rows) == count
    return [each.execution for each in rows]


def deliveries(rows: list) -> list:
    """Return the changes of rows that the API has confirmed."""
    from django.utils import timezone

    from embedworkflow_django import delivery
    from embedworkflow_django.client import RemoteExecution

    return [
        delivery.delivered(
            row,
            RemoteExecution.from_json(
                {**EXECUTION, "id": str(uuid.uuid4()), "hashid": f"h{n}", "created_at_utc": at}
            ),
            timezone.now(),
        )
        for n, (row, at) in enumerate((row, row.created_at.isoformat()) for row in rows)
    ]


def polls(rows: list) -> list:
    """Return the changes of rows about which the API had nothing new to say."""
    from django.utils import timezone

    from embedworkflow_django import sync

    return [sync._learnt(row, {}, {}, timezone.now()) for row in rows]


def settle(alias: str, token: str, changes: list, *, events: bool = False) -> None:
    """Write changes as the worker does."""
    from django.utils import timezone

    from embedworkflow_django import outbox

    now = timezone.now()
    history = [change.event(now) for change in changes] if events else []
    values = {change.execution.pk: change.values for change in changes}
    assert len(outbox.settle(alias, token=token, values=values, events=history)) == len(values)


def by_django(way: str, alias: str, token: str, changes: list) -> None:
    """Write changes as a project would."""
    from django.db import connections, transaction

    from embedworkflow_django.models import Execution

    for change in changes:
        change.apply()
    rows = [change.execution for change in changes]
    names = list(changes[0].values)
    rowset = Execution.objects.using(alias)
    apart = way in {"save apart", "save whole"}
    with contextlib.nullcontext() if apart else transaction.atomic(using=alias):
        if way.startswith("save"):
            for row in rows:
                row.save(using=alias, update_fields=None if way == "save whole" else names)
        elif way == "bulk_update":
            rowset.bulk_update(rows, names, batch_size=1000)
        else:
            target = connections[alias].features.supports_update_conflicts_with_target
            unique = {"unique_fields": ["id"]} if target else {}
            rowset.bulk_create(rows, update_conflicts=True, update_fields=names, **unique)


# Name, what is written, and how.
CONTENDERS = {
    SAVE: (deliveries, partial(by_django, "save")),
    SAVE_APART: (deliveries, partial(by_django, "save apart")),
    SAVE_WHOLE: (deliveries, partial(by_django, "save whole")),
    "bulk_update()": (deliveries, partial(by_django, "bulk_update")),
    "bulk_create(update_conflicts=True)": (deliveries, partial(by_django, "bulk_create")),
    "settle": (deliveries, settle),
    "settle, with events": (deliveries, partial(settle, events=True)),
    SAVE_POLLS: (polls, partial(by_django, "save")),
    "settle, polls without news": (polls, settle),
}


def rate(name: str, alias: str, count: int) -> tuple[float, float]:
    """Return how many rows a second a contender writes, and the processor's time of each row."""
    token = uuid.uuid4().hex
    changes_of, write = CONTENDERS[name]
    changes = changes_of(claimed(alias, token, count))
    began = time.process_time()
    taken = workplace.timed(lambda: write(alias, token, changes))
    return count / taken, (time.process_time() - began) / count


def _saver(name: str) -> str:
    return SAVE_POLLS if CONTENDERS[name][0] is polls else SAVE


def draw(rows: list[dict], options) -> None:
    """Draw the bars."""
    bars.draw(
        f"Writing what became of {options.count:,} deliveries, {options.database}",
        "rows a second, median (more is better)",
        [
            {
                "name": row["what"],
                "value": row["rows a second"],
                "text": f"{row['rows a second']:,} ({row['ratio to save()']:.1f} times save())",
            }
            for row in rows
        ],
        options.chart,
    )


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, count=200, rounds=9)
    parser.add_argument("--chart", metavar="FILE", help="draw the bars into a picture")
    options = parser.parse_args()
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    with workplace.database(options.database) as alias:
        from django.test import override_settings

        with override_settings(EMBEDWORKFLOW={"SECRET_KEY": "sk_test_x", "DISPATCHER": "worker"}):
            for name in CONTENDERS:
                rate(name, alias, 50)  # Warm.
            for number in range(options.rounds):
                for name in list(CONTENDERS) if number % 2 else reversed(CONTENDERS):
                    turns[name].append(rate(name, alias, options.count))
    rows = []
    for name, found in turns.items():
        rates, spent = zip(*found, strict=True)
        saved, spent_saving = zip(*turns[_saver(name)], strict=True)
        ratio, less = workplace.ratio(rates, saved), workplace.ratio(spent_saving, spent)
        rows.append(
            {
                "database": options.database,
                "what": name,
                "rows a second": round(statistics.median(rates)),
                "ratio to save()": ratio["median"],
                "quartiles": f"{ratio['lower']:.1f}-{ratio['upper']:.1f}",
                "processor µs each": round(statistics.median(spent) * 1e6, 1),
                "times less than save()": less["median"],
            }
        )
    workplace.report(SENTENCE, rows, as_json=options.json)
    if options.chart:
        draw(rows, options)


if __name__ == "__main__":
    main()
