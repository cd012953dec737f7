"""Throw mutated answers at the client, the mirror and an execution's page; count what breaks.

``python -m tests.fuzz --answers 1000000 --database sqlite --seed 1``

Each answer is written to a real socket and read by the package's own connection; the worker's own
steps turn it into a row. After each batch every row is read back and looked at. What must be zero:
errors that nobody caught, and rows that make no sense.
"""

from __future__ import annotations

import gc
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from tests.benchmarks import workplace

BATCH = 200
LARGEST_INTEGER = 2**31 - 1
KEY = "sk_test_of_the_fuzz"
#: How much more the process may keep in the end than after its first tenth, in MB.
GROWTH = 64


class Complaints(logging.Handler):
    """Collects what was logged as an error: the worker's word for what it did not foresee."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.said.append(logging.Formatter().format(record))


def memory() -> float:
    """Return the memory that the process keeps, in MB."""
    gc.collect()
    return workplace.resident() / 1024


def _texts(value) -> Iterator[str]:
    """Yield every string in a JSON document, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)


def faults_of(row) -> list[str]:
    """Return what is wrong with a row as it is stored."""
    from embedworkflow_django.mirror import COUNTERS
    from embedworkflow_django.models import FINAL, Status

    found = []
    if row.status not in Status.values:
        found.append(f"status {row.status!r}")
    if row.claim:
        found.append("it is still claimed")
    if row.status in FINAL | {Status.UNCONFIRMED} and row.due_at is not None:
        found.append("it is at its end, and due")
    if row.status in FINAL and (row.finished_at is None or row.announced_at is None):
        found.append("it is final, and has no end")
    if row.status == Status.QUEUED and row.due_at is None:
        found.append("it is queued, and never due")
    if row.status in {Status.RUNNING, Status.UPCOMING} and not (row.remote_id and row.due_at):
        found.append("it runs, and nobody asks")
    found += [
        f"{name} is {getattr(row, name)!r}"
        for name in COUNTERS
        if not 0 <= getattr(row, name) <= LARGEST_INTEGER
    ]
    if not row.last_error.isprintable():
        found.append(f"last_error {row.last_error!r}")
    events = list(row.events.all())
    if events and events[-1].status != row.status:
        found.append(f"the last event says {events[-1].status}, the row {row.status}")
    documents = [row.log, row.stats, row.template, row.raw, *(event.detail for event in events)]
    return found + _unstorable([*documents, row.last_error])


def _unstorable(documents) -> list[str]:
    found = []
    written = json.dumps(documents, allow_nan=False, ensure_ascii=False)
    written.encode()
    if any("\0" in text for text in _texts(documents)):
        found.append("a document holds NUL")
    if KEY in written:
        found.append("the secret key")
    return found


def main() -> int:
    """Run, print the figures, and return 1 if anything broke."""
    options = workplace.arguments(str(__doc__), answers=100_000, seed=1, pages=500)
    with workplace.database(options.database) as alias:
        result = run(alias, options.answers, options.seed, options.pages)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return int(bool(result["uncaught"] or result["corrupt"] or result["growth_mb"] > GROWTH))


def run(alias: str, answers: int, seed: int, pages: int) -> dict:
    """Give so many answers.

    Args:
        alias: The database.
        answers: How many.
        seed: Of the mutations; the same seed gives the same answers.
        pages: How many answers there are to one look at an execution's page.
    """
    from django.conf import settings
    from django.utils import timezone

    from embedworkflow_django import connections, outbox, services
    from embedworkflow_django.models import Execution
    from embedworkflow_django.worker import Worker

    from . import mutations, socketpair

    settings.EMBEDWORKFLOW = {
        "SECRET_KEY": KEY,
        "BASE_URL": "http://fuzz.invalid/api/v1",
        "DISPATCHER": "worker",
        "LEASE": 600,
    }
    rng, complaints = random.Random(seed), Complaints()
    logger = logging.getLogger("embedworkflow_django")
    logger.addHandler(complaints)
    logger.propagate = False
    adapter = socketpair.ScriptedAdapter(lambda remote_id: mutations.answer(rng, remote_id))
    worker, outcomes, corrupt = Worker(aliases=[alias]), Counter(), []
    given = shown = 0
    early, begun = None, time.monotonic()
    browser = _browser(alias)
    with connections.mounted("http://fuzz.invalid", adapter):
        while given < answers:
            Execution.objects.using(alias).all().delete()
            services.execute_many([{"workflow": "bake", "using": alias}] * BATCH)
            for _ in range(4):
                now = timezone.now() - timedelta(seconds=1)
                Execution.objects.using(alias).filter(due_at__isnull=False).update(due_at=now)
                claimed = outbox.claim(
                    alias,
                    token=worker.token,
                    now=timezone.now(),
                    lease=timedelta(seconds=600),
                    limit=BATCH,
                )
                ended = [worker._call(each) for each in claimed if worker._take(each)]
                given += len(ended)
                worker._settle(alias, ended)
                told = list(worker._tell_all())
                if told:
                    worker._settle(alias, told)
                for row in Execution.objects.using(alias).prefetch_related("events"):
                    outcomes[row.status] += 1
                    corrupt += [(str(row.pk), fault) for fault in faults_of(row)]
            if given // pages > shown:
                shown += 1
                complaints.said += _look(browser, alias)
            if early is None and given >= answers / 10:
                early = memory()
    seconds = time.monotonic() - begun
    return {
        "answers": given,
        "seconds": round(seconds, 1),
        "answers a second": round(given / seconds),
        "pages": shown,
        "uncaught": len(complaints.said),
        "corrupt": len(corrupt),
        "memory_mb": round(memory(), 1),
        "growth_mb": round(memory() - (early or memory()), 1),
        "verdicts": dict(worker.counts),
        "rows": dict(outcomes),
        "first": [*complaints.said[:3], *corrupt[:5]],
    }


def _browser(alias):
    from django.contrib.auth.models import User
    from django.test import Client

    browser = Client(raise_request_exception=True)
    browser.force_login(User.objects.db_manager(alias).create_superuser("fuzz"))
    return browser


def _look(browser, alias) -> list[str]:
    """Return what is wrong with the pages of the row that the API has said most of."""
    from django.urls import reverse

    from embedworkflow_django.models import Execution

    from .mutations import MARK

    said = []
    for row in Execution.objects.using(alias).filter(template__isnull=False)[:5]:
        try:
            page = browser.get(reverse("admin:embedworkflow_execution_change", args=[row.pk]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
            said.append(f"page of {row.template!r} {row.stats!r}: {error!r}")
            continue
        text = page.content.decode()
        if page.status_code != 200 or MARK in text or "\0" in text or KEY in text:
            said.append(f"page of {row.pk}: {page.status_code}")
    return said


if __name__ == "__main__":
    sys.exit(main())
