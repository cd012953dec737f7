"""The work: one POST of the same body, as a task of the contender that the settings name."""

from __future__ import annotations

import threading
import uuid
from functools import cache

from django.conf import settings

URL = f"{settings.REMOTE}/workflows/benchmark/execute"
mine = threading.local()


def heads() -> dict[str, str]:
    """Return a call's headers."""
    return {
        "Authorization": "Bearer sk_test_of_the_benchmarks",
        "Idempotency-Key": str(uuid.uuid4()),
    }


def body(number: int) -> dict:
    """Return a call's body."""
    return {"id_type": "key", "execution_data": {"number": number}}


def deliver(number: int) -> None:
    """Make a call, on a connection that the thread keeps."""
    import requests

    if not hasattr(mine, "session"):
        mine.session = requests.Session()
    answer = mine.session.post(URL, json=body(number), headers=heads(), timeout=(3, 20))
    answer.raise_for_status()


@cache
def session():
    """Return the process's asynchronous session."""
    import aiohttp

    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20))


async def deliver_asynchronously(number: int) -> None:
    """Make a call, on one of the process's connections."""
    async with session().post(URL, json=body(number), headers=heads()) as answer:
        answer.raise_for_status()
        await answer.read()


if settings.PEER == "celery[redis]":
    from celery import shared_task

    task = shared_task(deliver)
elif settings.PEER == "procrastinate[django]":
    from procrastinate.contrib.django import app

    task = app.task(deliver_asynchronously)
elif settings.PEER == "django-tasks-db":
    from django.tasks import task as as_task

    deliver = task = as_task(deliver)
