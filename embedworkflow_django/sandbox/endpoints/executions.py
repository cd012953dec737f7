"""Answers `/executions` and `/actions`: what became of what was started."""

from __future__ import annotations

from typing import Any

from embedworkflow_django.sandbox import answers, records

from .request import Reply, Request, Route


def index(request: Request) -> Reply:
    """List executions in their short form, by user, workflow and status."""
    user_key = request.user_key()
    workflow_id, status = request.text("workflow_id"), request.text("status")

    def wanted(execution: records.Execution) -> bool:
        request.engine.runner.catch_up(execution)
        return (
            user_key in (None, execution.workflow.user.key)
            and workflow_id in (None, execution.workflow.id)
            and status in (None, execution.status)
        )

    page = request.page(request.account.executions, wanted)
    return 200, answers.page(
        [answers.execution_summary(found) for found in page.records], page.has_more
    )


def retrieve(request: Request) -> Reply:
    """Return one execution with its `stats` and `template`."""
    execution = request.engine.find_execution(request.account, request.params[0])
    request.execution_id = execution.id
    return 200, answers.execution(execution)


def stop(request: Request) -> Reply:
    """Stop one execution."""
    execution = request.engine.find_execution(request.account, request.params[0])
    request.execution_id = execution.id
    return 200, answers.execution_summary(request.engine.stop(execution))


def stop_by_event(request: Request) -> Reply:
    """Stop all executions that listen to an event; the answer's shape is assumed."""
    stopped = request.engine.stop_by_event(
        request.account,
        request.required("stop_event"),
        user_key=request.user_key(),
        filters=request.mapping("filters"),
    )
    return 200, {"collection": [answers.execution_summary(found) for found in stopped]}


def actions(request: Request) -> Reply:
    """List actions, of one execution or of all."""
    execution_id = request.text("execution_id")
    execution = request.account.executions.get(execution_id or "")
    if execution is not None:
        request.engine.runner.catch_up(execution)
    page = request.page(
        request.account.actions, lambda found: execution_id in (None, found.execution.id)
    )
    return 200, answers.page([_action(request, found) for found in page.records], page.has_more)


def action(request: Request) -> Reply:
    """Return one action by its uuid."""
    return 200, _action(request, request.record(request.account.actions))


def _action(request: Request, found: records.Action) -> dict[str, Any]:
    request.engine.runner.catch_up(found.execution)
    return answers.action(found)


ROUTES = [
    Route("GET", "executions", index, "assumed"),
    Route("POST", "executions/stop", stop_by_event, "sdk"),
    Route("GET", "executions/*", retrieve, "documented"),
    Route("POST", "executions/*/stop", stop, "assumed"),
    Route("GET", "actions", actions, "assumed"),
    Route("GET", "actions/activities", actions, "sdk"),
    Route("GET", "actions/*", action, "assumed"),
]
