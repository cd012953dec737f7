"""Answers `/workflows`: list, write, publish, clone, delete and execute."""

from __future__ import annotations

from typing import Any

from embedworkflow_django.sandbox import answers, authoring, messages

from .request import Reply, Request, Route

BOOLEANS = ("on", "auto_clone_for_new_users", "is_template")
#: Names that SDK 0.3.0 still sends in place of the `_draft` ones; taken alike (assumed).
OLDER_NAMES = ("template", "event_trigger", "trigger_conditions")


def index(request: Request) -> Reply:
    """List workflows in their short form, of one user or of all."""
    user_key = request.user_key()
    page = request.page(request.account.workflows, lambda found: user_key in (None, found.user.key))
    expand = request.texts("expand")
    forms = [answers.workflow_summary(w, request.account, expand) for w in page.records]
    return 200, answers.page(forms, page.has_more)


def create(request: Request) -> Reply:
    """Make a workflow."""
    request.required("name")
    fields = _fields(request)
    workflow = authoring.create(request.engine, request.account, request.user(), fields)
    return 201, answers.workflow(workflow, request.account)


def retrieve(request: Request) -> Reply:
    """Return one workflow in its full form."""
    return 200, answers.workflow(request.workflow(), request.account)


def update(request: Request) -> Reply:
    """Change a workflow, anybody's; `name` is required (documented)."""
    workflow = request.workflow(owner=None)
    request.required("name")
    authoring.update(request.engine, request.account, workflow, _fields(request))
    return 200, answers.workflow(workflow, request.account)


def delete(request: Request) -> Reply:
    """Archive a workflow."""
    workflow = request.workflow()
    authoring.archive(request.engine, request.account, workflow)
    return 200, {"id": workflow.id, "object": "workflow", "deleted": True}


def publish(request: Request) -> Reply:
    """Put the draft in force, and switch the workflow on or off only when asked."""
    workflow = authoring.publish(request.engine, request.workflow())
    if request.given("on") is not None:
        workflow.on = messages.flag(request.given("on"))
    return 200, answers.workflow(workflow, request.account)


def discard_draft(request: Request) -> Reply:
    """Throw the draft away."""
    workflow = authoring.discard_draft(request.engine, request.workflow())
    return 200, answers.workflow(workflow, request.account)


def clone(request: Request) -> Reply:
    """Copy a workflow for the user of `user_key`, whoever owns the original (assumed)."""
    user = request.user()
    source = request.any_workflow()
    copy = authoring.clone(request.engine, request.account, source, user)
    return 201, answers.workflow_summary(copy, request.account, request.texts("expand"))


def execute(request: Request) -> Reply:
    """Start an execution; its actions are made afterwards."""
    workflow = request.workflow()
    data = request.mapping("execution_data")
    execution = request.engine.execute(request.account, workflow, data)
    request.execution_id = execution.id
    return 201, answers.execution_summary(execution)


def activities(request: Request) -> Reply:
    """List the actions of one workflow; a legacy of the SDK, whose answer is not known."""
    workflows = request.account.workflows
    wanted = [w for w in workflows if request.params[0] in (w.hashid, w.key, w.id)]
    page = request.page(request.account.actions, lambda action: action.execution.workflow in wanted)
    return 200, answers.page([answers.action(found) for found in page.records], page.has_more)


def _fields(request: Request) -> dict[str, Any]:
    fields = {f"{n}_draft": request.body[n] for n in OLDER_NAMES if n in request.body}
    fields.update(request.body)
    for name in BOOLEANS:
        if fields.get(name) is not None:
            fields[name] = messages.flag(fields[name])
    for name in ("name", "key", "details", "event_trigger_draft", "match_conditions_draft"):
        request.text(name)
    if fields.get("groups") is not None and not isinstance(fields["groups"], list):
        raise messages.ApiError.invalid(groups="must be an array")
    return fields


ROUTES = [
    Route("GET", "workflows", index, "sdk"),
    Route("POST", "workflows", create, "documented"),
    Route("GET", "workflows/*", retrieve, "documented"),
    Route("PUT", "workflows/*", update, "documented"),
    Route("DELETE", "workflows/*", delete, "sdk"),
    Route("POST", "workflows/*/publish", publish, "documented"),
    Route("POST", "workflows/*/discard_draft", discard_draft, "documented"),
    Route("POST", "workflows/*/clone", clone, "documented"),
    Route("POST", "workflows/*/execute", execute, "documented"),
    Route("GET", "workflows/*/activities", activities, "sdk"),
]
