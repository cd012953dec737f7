"""A shop with a past: an execution of every kind, each of which has come about in earnest."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .stage import Stage

FAST, SLOW = 60.0, 0.02
LIMIT = 60.0
EXECUTE = {"path": "/workflows/order-fulfilment/execute", "method": "POST"}


NEWSLETTER = "newsletter"
# More than one request does.
BACKLOG = 520


def pile_up(stage: Stage) -> None:
    """Leave more queued than one request can deal with, all of it due tomorrow."""
    stage.do(_pile_up)


def _pile_up() -> None:
    from django.utils import timezone

    from embedworkflow_django.models import Execution

    tomorrow = timezone.now() + timedelta(days=1)
    Execution.objects.bulk_create(
        Execution(workflow=NEWSLETTER, due_at=tomorrow) for _ in range(BACKLOG)
    )


def populate(stage: Stage) -> None:
    """Place orders, some of which go well; leave others running; have had a day before that."""
    pile_up(stage)
    stage.do(_populate, stage)
    stage.do(_remember)
    stage.do(_leave_jobs, stage.user)


def _leave_jobs(user: str) -> None:
    from django.utils import timezone

    from embedworkflow_django.models import Execution, Job

    now, ids = timezone.now(), Execution.objects.order_by("-pk").values_list("pk", flat=True)
    late = "only a running execution can be."
    skipped = [{"execution": str(pk), "reason": late} for pk in ids[:4]]
    wrong = "has no right “embedworkflow.run_again_execution” any more."
    # The first one is in the hands of a worker that takes its time.
    for verb, status, values in (
        ("refresh", Job.Status.RUNNING, {"done_count": 212, "due_at": now + timedelta(days=1)}),
        ("cancel", Job.Status.DONE, {"done_count": BACKLOG}),
        ("stop", Job.Status.CANCELED, {"done_count": 131, "skipped_count": 4, "outcomes": skipped}),
        ("run_again", Job.Status.FAILED, {"outcomes": [{"reason": f"bob {wrong}"}]}),
        ("refresh", Job.Status.WAITING, {"total": None, "due_at": now + timedelta(days=1)}),
    ):
        known = {"due_at": None, "total": BACKLOG, "newest": ids[0], "by": user, **values}
        known["finished_at"] = None if known["due_at"] else now
        Job.objects.create(
            verb=verb,
            status=status,
            filters={"workflow": NEWSLETTER, "statuses": ["queued"], "since": str(ids[BACKLOG])},
            **known,
        )


def _remember() -> None:
    from datetime import datetime
    from uuid import uuid4

    from django.utils import timezone

    from embedworkflow_django.models import Status, Tally

    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    trigger = "shop.workflows.order_placed"
    error = "POST /workflows/order-fulfilment/execute: 422 email: is not valid"

    def count(workflow: str, status: str, at: datetime, number: int, **values: object) -> None:
        rest = {"account": "default", "hour": at, "last_at": at, "from_queue": False, **values}
        Tally.objects.create(id=uuid4(), workflow=workflow, status=status, count=number, **rest)

    for ago in range(1, 24):
        at = hour - timedelta(hours=ago)
        # Office hours, and a tide.
        busy = 40 + 35 * ((at.hour - 6) % 24 < 14) + 7 * ago % 23
        sent = {"from_queue": True, "trigger": trigger}
        count("order-fulfilment", Status.RUNNING, at, busy, **sent)
        count("order-fulfilment", Status.COMPLETED, at, busy - 2, trigger=trigger)
        count(NEWSLETTER, Status.COMPLETED, at, 90 if ago % 12 == 5 else 0)
        count("review-request", Status.COMPLETED, at, busy // 4)
        if ago in {3, 4, 9}:
            wrong = {"last_error": error, "trigger": trigger}
            count("order-fulfilment", Status.FAILED, at, 24 // ago, **wrong)
            count("review-request", Status.STOPPED, at, 2)


def lend_a_hand(stage: Stage) -> None:
    """Have a second worker, on another host, that the API asks for patience."""
    stage.do(_lend_a_hand)


def _lend_a_hand() -> None:
    from django.utils import timezone

    from embedworkflow_django.models import WorkerProcess

    now = timezone.now()
    until = (now + timedelta(seconds=42)).isoformat()
    words = "POST /workflows/refund/execute: 429 Too many requests (request 4f1c-77)"
    known = {
        "version": "0.1.0",
        "dispatcher": "worker",
        "concurrency": 16,
        "in_flight": 3,
        "started_at": now - timedelta(hours=31),
        "seen_at": now,
        "pauses": {"eu": {"kind": "rated", "reason": words, "until": until}},
    }
    WorkerProcess.objects.update_or_create(name="shop-worker-2:4711", defaults=known)


def _populate(stage: Stage) -> None:
    from shop.demo import goods

    from embedworkflow_django import services
    from embedworkflow_django.models import Execution, Status

    orders = goods.orders()
    account, faults = stage.sandbox.account, stage.sandbox.faults
    fulfilments = Execution.objects.filter(workflow="order-fulfilment")

    def place(status: str) -> Execution:
        order = next(orders)
        execution = fulfilments.get(source_id=str(order.pk))
        wait(lambda: fulfilments.filter(pk=execution.pk, status=status).exists(), status)
        execution.refresh_from_db()
        return execution

    stage.pace(FAST)
    for _ in range(7):
        place(Status.COMPLETED)
    token, account.data["webhook_token"] = account.data["webhook_token"], "outdated"
    failed = place(Status.FAILED)
    account.data["webhook_token"] = token
    again = services.run_again(failed, by=stage.user)
    wait(lambda: fulfilments.filter(pk=again.pk, status=Status.COMPLETED).exists(), "run again")
    faults.add(422, **EXECUTE)
    place(Status.UNDELIVERABLE)
    faults.add("lost", **EXECUTE)
    place(Status.UNCONFIRMED)
    services.cancel(_queued_later(place, faults), by=stage.user)
    stage.pace(SLOW)
    stopped = place(Status.RUNNING)
    services.stop(stopped, by=stage.user)
    _queued_later(place, faults)
    for _ in range(3):
        place(Status.RUNNING)
    wait(lambda: not Execution.objects.filter(pk=stopped.pk, status=Status.RUNNING), "stopped")


def _queued_later(place: Callable, faults: Any) -> object:
    from django.utils import timezone

    from embedworkflow_django.models import Execution, Status

    # Every call, since the jitter may let the next one follow at once.
    outage = faults.add(503, times=None, **EXECUTE)
    execution = place(Status.QUEUED)
    rows = Execution.objects.filter(pk=execution.pk, claim="").exclude(last_error="")
    # The back-off of the tenth attempt, so that pictures show a place in the queue.
    later = timezone.now() + timedelta(minutes=15)
    wait(lambda: rows.update(due_at=later), "refused for now")
    faults.remove(outage)
    return execution


def wait(until: Callable[[], object], what: str) -> None:
    """Wait for something.

    Raises:
        AssertionError: It has not come about.
    """
    ends = time.monotonic() + LIMIT
    while not until():
        assert time.monotonic() < ends, f"within {LIMIT:g} s nothing was {what}"
        time.sleep(0.1)
