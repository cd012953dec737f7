"""A peer's trigger inside a transaction, in a process of its own: a line asks for a round.

``trigger.py --peers`` starts it with the Python of an environment that it has made for the peer.
It says which versions it runs on, and answers each line, a number of triggers, with the median of
what one of them takes, in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

DATA = {"order_id": 17, "email": "ann@example.com", "total": "12.50"}
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
# What is installed, the app, and the databases that it runs on.
PEERS = {
    "django-outbox-pattern": ("django_outbox_pattern", ("postgresql", "sqlite", "mariadb")),
    "django-q2": ("django_q", ("postgresql", "sqlite", "mariadb")),
    "django-reliable-outbox": ("reliable_outbox", ("postgresql",)),
    "django-tasks-db": ("django_tasks_db", ("postgresql", "sqlite", "mariadb")),
    "procrastinate[django]": ("procrastinate.contrib.django", ("postgresql",)),
    "celery[redis]": ("", ("postgresql", "sqlite", "mariadb")),
}


def bake(**data: object) -> None:
    """Stand for the work; nobody does it here."""


def trigger_of(name: str) -> Callable[[], object]:
    """Return what asks a peer for work, as its documentation has it."""
    shop = sys.modules["shop_tasks"]
    if name == "django-outbox-pattern":
        from django_outbox_pattern.models import Published

        return lambda: Published.objects.create(destination="/topic/bake", body=DATA)
    if name == "django-q2":
        from django_q.tasks import async_task

        return lambda: async_task("shop_tasks.bake", **DATA)
    if name == "django-reliable-outbox":
        from reliable_outbox import publish

        return lambda: publish("order.created", DATA)
    if name == "django-tasks-db":
        from django.tasks import task

        shop.bake = task(bake)
        return lambda: shop.bake.enqueue(**DATA)
    if name == "procrastinate[django]":
        from procrastinate.contrib.django import app

        task = app.task(name="shop_tasks.bake")(bake)
        return lambda: task.defer(**DATA)
    import celery

    # What ``delay_on_commit`` runs in the request, once the transaction is committed.
    app = celery.Celery("shop", broker=REDIS)
    app.conf.task_ignore_result = True
    app.conf.task_default_queue = "embedworkflow-benchmark"
    queued = app.task(name="shop_tasks.bake")(bake)
    return lambda: queued.delay(**DATA)


@contextlib.contextmanager
def project(app: str) -> Iterator[None]:
    """Set Django up with the peer on a fresh test database."""
    import django
    from django.conf import settings

    from tests.databases import databases

    shop = sys.modules["shop_tasks"] = ModuleType("shop_tasks")
    bake.__module__, shop.bake = shop.__name__, bake
    settings.configure(
        SECRET_KEY="benchmark",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": databases()["default"]},
        INSTALLED_APPS=["django.contrib.contenttypes", *([app] if app else [])],
        Q_CLUSTER={"orm": "default", "timeout": 60, "retry": 90, "log_level": "ERROR"},
        TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
        DJANGO_OUTBOX_PATTERN={"DEFAULT_STOMP_HOST_AND_PORTS": [("127.0.0.1", 61613)]},
    )
    django.setup()
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def one_round(trigger: Callable[[], object], count: int) -> float:
    """Return the median of what one trigger takes, a hundred in a transaction."""
    from django.db import transaction

    times = []
    for _ in range(max(1, count // 100)):
        with transaction.atomic():
            for _ in range(100):
                began = perf_counter()
                trigger()
                times.append(perf_counter() - began)
    return statistics.median(times)


def main(name: str, kind: str) -> None:
    """Answer until the input ends."""
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    with project(PEERS[name][0]):
        import importlib.metadata

        import django
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        trigger = trigger_of(name)
        with CaptureQueriesContext(connection) as said:
            trigger()
        version = importlib.metadata.version(name.partition("[")[0])
        about = {"version": version, "django": django.__version__, "statements": len(said)}
        print(json.dumps(about), flush=True)
        for line in sys.stdin:
            print(json.dumps(one_round(trigger, int(line))), flush=True)
        if name.startswith("celery"):
            import redis

            redis.Redis.from_url(REDIS).delete("embedworkflow-benchmark")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
