"""Answers `/trigger`, `/hooks` and `/triggers`: how events start workflows."""

from __future__ import annotations

from typing import Any

from embedworkflow_django.sandbox import answers, events, messages, records

from .request import Reply, Request, Route

FIELDS = ("title", "description", "icon", "groups", "data_input_schema")


def fire(request: Request) -> Reply:
    """Start what listens to an event; the answer's shape is assumed."""
    hashids, keys = request.texts("workflow_hashids"), request.texts("workflow_keys")
    everybody = messages.flag(request.given("all_workflows", False))

    def wanted(workflow: records.Workflow) -> bool:
        return not (hashids or keys) or workflow.hashid in hashids or workflow.key in keys

    started = events.fire(
        request.engine,
        request.account,
        request.required("event"),
        request.mapping("execution_data"),
        user_key=None if everybody else request.user_key() or records.MAIN_USER,
        wanted=wanted,
    )
    return 201, {"collection": [answers.execution_summary(found) for found in started]}


def catch(request: Request) -> Reply:
    """Start what listens to the hook's trigger, with all of the body but `user_key` as data."""
    data = {name: value for name, value in request.body.items() if name != "user_key"}
    user_key = request.user_key() or records.MAIN_USER
    started = events.catch_hook(request.engine, request.params[0], data, user_key=user_key)
    return 201, {"collection": [answers.execution_summary(found) for found in started]}


def index(request: Request) -> Reply:
    """List triggers."""
    page = request.page(request.account.triggers)
    forms = [answers.trigger(found, request.account) for found in page.records]
    return 200, answers.page(forms, page.has_more)


def create(request: Request) -> Reply:
    """Register an event."""
    event = request.required("event")
    trigger = events.add_trigger(request.engine, request.account, event, **_fields(request))
    return 201, answers.trigger(trigger, request.account)


def retrieve(request: Request) -> Reply:
    """Return one trigger."""
    return 200, answers.trigger(request.record(request.account.triggers), request.account)


def update(request: Request) -> Reply:
    """Change a trigger."""
    trigger = request.record(request.account.triggers)
    for name, value in _fields(request).items():
        setattr(trigger, name, value)
    if request.given("on") is not None:
        trigger.on = messages.flag(request.given("on"))
    return 200, answers.trigger(trigger, request.account)


def delete(request: Request) -> Reply:
    """Forget a trigger and its hook."""
    trigger = request.record(request.account.triggers)
    request.account.triggers.remove(trigger)
    return 200, {"id": trigger.id, "object": "trigger", "deleted": True}


def _fields(request: Request) -> dict[str, Any]:
    schema = request.given("data_input_schema", [])
    if not isinstance(schema, list) or not all(isinstance(e, dict) for e in schema):
        raise messages.ApiError.invalid(data_input_schema="must be an array of objects")
    return {name: request.body[name] for name in FIELDS if request.body.get(name) is not None}


ROUTES = [
    Route("POST", "trigger", fire, "sdk"),
    Route("POST", "hooks/*/catch", catch, "sdk"),
    Route("GET", "triggers", index, "assumed"),
    Route("POST", "triggers", create, "assumed"),
    Route("GET", "triggers/*", retrieve, "assumed"),
    Route("PUT", "triggers/*", update, "assumed"),
    Route("DELETE", "triggers/*", delete, "assumed"),
]
