"""Who delivers: what each contender is installed from, how it is asked, and how its workers run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

EVERYWHERE = ("postgresql", "sqlite", "mariadb")
OURS = "embedworkflow-django"
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
RABBITMQ = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
#: So many processes at the most, where each makes one call at a time.
PROCESSES = 8


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to deliver.

    Args:
        enqueue: Asks for a number of calls, in one transaction of the caller's.
        worker: Returns a worker's command, given the calls that may be in flight; nothing where the
            caller's own process does the work.
        apps: What is installed into the project.
        kinds: The databases that it runs on.
        needs: What its environment has besides it.
        one_at_a_time: Whether as many workers run as calls are in flight.
        settings: What our own settings say besides.
        broker: The URL of Celery's broker, where it is needed.
    """

    enqueue: Callable[[int], object]
    worker: Callable[[int], list[str]]
    apps: tuple[str, ...] = ()
    kinds: tuple[str, ...] = EVERYWHERE
    needs: tuple[str, ...] = ("requests",)
    one_at_a_time: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    broker: str = ""


def _manage(*words: object) -> list[str]:
    return [sys.executable, "-m", "django", *map(str, words)]


def _celery(calls: int) -> list[str]:
    # Processes, as by default; threads for what would be too many of them.
    pool = "prefork" if calls <= PROCESSES else "threads"
    command = [sys.executable, "-m", "celery", "-A", "tests.benchmarks.shop.celery", "worker"]
    return [*command, "--concurrency", str(calls), "--pool", pool, "--loglevel", "ERROR"]


def _ours(count: int) -> None:
    from embedworkflow_django import services

    services.execute_many({"workflow": "benchmark", "data": {"number": n}} for n in range(count))


def _celery_tasks(count: int) -> None:
    from tests.benchmarks.shop import tasks

    for number in range(count):
        tasks.task.delay_on_commit(number)


def _outbox_pattern(count: int) -> None:
    from django_outbox_pattern.models import Published

    for number in range(count):
        Published.objects.create(destination="/queue/orders", body={"number": number})


def _q2(count: int) -> None:
    from django_q.tasks import async_task

    for number in range(count):
        async_task("tests.benchmarks.shop.tasks.deliver", number)


def _reliable_outbox(count: int) -> None:
    from reliable_outbox import publish

    for number in range(count):
        publish("order.created", {"number": number})


def _tasks_db(count: int) -> None:
    from tests.benchmarks.shop import tasks

    for number in range(count):
        tasks.task.enqueue(number)


def _procrastinate(count: int) -> None:
    from tests.benchmarks.shop import tasks

    tasks.task.batch_defer(*({"number": number} for number in range(count)))


def _webhook(count: int) -> None:
    from django.conf import settings
    from django_webhook import models

    from tests.benchmarks.shop.models import Order

    models.populate_topics_from_settings()
    hook, new = models.Webhook.objects.get_or_create(url=f"{settings.REMOTE}/hooks")
    if new:
        hook.topics.add(models.WebhookTopic.objects.get(name="shop.Order/create"))
        models.WebhookSecret.objects.create(webhook=hook, token="s" * 32)
    for number in range(count):
        Order.objects.create(number=number)


CONTENDERS = {
    OURS: Contender(
        enqueue=_ours,
        worker=lambda calls: _manage("embedworkflow_worker", "--concurrency", calls),
        apps=("embedworkflow_django",),
    ),
    "celery[redis]": Contender(enqueue=_celery_tasks, worker=_celery, broker=REDIS),
    "django-outbox-pattern": Contender(
        enqueue=_outbox_pattern,
        worker=lambda calls: _manage("publish"),
        apps=("django_outbox_pattern",),
    ),
    "django-q2": Contender(
        enqueue=_q2, worker=lambda calls: _manage("qcluster"), apps=("django_q",)
    ),
    "django-reliable-outbox": Contender(
        enqueue=_reliable_outbox,
        worker=lambda calls: _manage("outbox_worker", "--concurrency", calls),
        apps=("reliable_outbox",),
        kinds=("postgresql",),
    ),
    "django-tasks-db": Contender(
        enqueue=_tasks_db,
        worker=lambda calls: _manage("db_worker"),
        apps=("django_tasks_db",),
        one_at_a_time=True,
    ),
    "django-webhook": Contender(
        enqueue=_webhook,
        worker=_celery,
        apps=("django_webhook",),
        needs=("celery[redis]",),
        broker=REDIS,
    ),
    "procrastinate[django]": Contender(
        enqueue=_procrastinate,
        worker=lambda calls: _manage("procrastinate", "worker", "--concurrency", calls),
        apps=("procrastinate.contrib.django",),
        kinds=("postgresql",),
        needs=("aiohttp",),
    ),
}
PEERS = [name for name in CONTENDERS if name != OURS]

_own = CONTENDERS[OURS]
_told = replace(_own, settings={"NOTIFY": True}, kinds=("postgresql",))
_by_celery = replace(_own, worker=_celery, settings={"DISPATCHER": "celery"})
#: The ways in which a commit of ours wakes somebody.
WAYS = {
    f"{OURS}, thread": replace(_own, worker=lambda calls: [], settings={"DISPATCHER": "thread"}),
    f"{OURS}, worker that is told": _told,
    f"{OURS}, worker that looks": replace(_own, settings={"NOTIFY": False}),
    f"{OURS}, Celery on Redis": replace(_by_celery, broker=REDIS),
    f"{OURS}, Celery on RabbitMQ": replace(_by_celery, broker=RABBITMQ),
}
EVERYBODY = CONTENDERS | WAYS
