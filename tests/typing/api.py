"""The public face as a type checker sees it from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_type

from django.db import models
from django.db.models.signals import post_delete, post_save

from embedworkflow_django import exceptions, services, triggers
from embedworkflow_django.client import Client, RemoteExecution
from embedworkflow_django.models import Execution, ExecutionEvent
from tests.bakery.models import Cake


@triggers.trigger(post_save, sender=Cake, workflow="bake")
def cake_ordered(cake: Cake, created: bool, **kwargs: Any) -> dict[str, Any] | None:
    """A decorated function keeps its type."""
    return {"cake": cake.pk} if created else None


@triggers.trigger(
    post_delete, sender="bakery.Cake", workflow=lambda cake: f"{cake.name}-gone", once=True
)
def cake_gone(cake: Cake, **kwargs: Any) -> dict[str, Any]:
    """A workflow may be a callable of the instance, a sender a label."""
    return {}


def triggers_keep_types(cake: Cake) -> None:
    """The decorator returns what it was given."""
    assert_type(cake_ordered(cake, True), dict[str, Any] | None)
    assert_type(cake_gone(cake), dict[str, Any])
    with triggers.suppressed():
        cake.save()
    triggers.registry["tests.typing.api.cake_gone"].disconnect()


def verbs(source: models.Model, at: datetime) -> None:
    """Each verb returns the execution."""
    execution = services.execute(
        "bake", {"a": 1}, source=source, idempotency_key="k", run_at=at, using="default"
    )
    assert_type(execution, Execution)
    assert_type(services.execute_many([{"workflow": "bake"}]), list[Execution])
    assert_type(services.run_again(execution, data={"a": 2}, by="ann"), Execution)
    assert_type(services.cancel(execution), Execution)
    assert_type(services.stop(execution), Execution)
    assert_type(services.refresh(execution), Execution)
    assert_type(services.resolve(execution, remote_id="r"), Execution)
    assert_type(services.resolve(execution, resend=True), Execution)


async def async_verbs(execution: Execution) -> None:
    """Each async twin returns what its verb does."""
    assert_type(await services.aexecute("bake", {"a": 1}), Execution)
    assert_type(await services.aexecute_many([{"workflow": "bake"}]), list[Execution])
    assert_type(await services.arun_again(execution), Execution)
    assert_type(await services.acancel(execution), Execution)
    assert_type(await services.astop(execution), Execution)
    assert_type(await services.arefresh(execution), Execution)
    assert_type(await services.aresolve(execution, resend=True), Execution)


def rows(cake: Cake) -> None:
    """The querysets and properties are typed."""
    execution = Execution.objects.for_source(cake).active().get()
    assert_type(execution, Execution)
    assert_type(execution.succeeded, bool)
    assert_type(execution.is_final, bool)
    assert_type(execution.progress, float)
    assert_type(execution.status, str)
    assert_type(execution.finished_at, datetime | None)
    assert_type(ExecutionEvent.objects.get().execution, Execution)


def errors(error: exceptions.APIError) -> None:
    """An API error says what may be done next."""
    assert_type(error.retryable, bool)
    assert_type(error.ambiguous, bool)
    assert_type(error.status_code, int | None)
    assert_type(error.request_id, str)
    assert_type(error.retry_after, float | None)


def client(make: Callable[[], Client]) -> None:
    """The client's answers are typed."""
    assert_type(make().retrieve_execution("e"), RemoteExecution)
