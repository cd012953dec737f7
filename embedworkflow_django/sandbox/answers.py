"""Turns records into the JSON objects of the API, property by property as documented."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from . import records, times

EXPANDABLE = ("template", "template_draft", "stats")
WAITING = {"scheduled_at": None, "completed_at": None, "stopped_at": None, "failed_at": None}


def execution_summary(execution: records.Execution) -> dict[str, Any]:
    """Return the form that starting an execution answers: without `stats` and `template`."""
    counts = execution.counts
    return {
        "hashid": execution.hashid,
        "actions_count": len(execution.actions),
        "completed_actions_count": counts[records.COMPLETED],
        **times.spelled("created_at", execution.created_at, execution.account.time_zone),
        "execution_data": execution.execution_data,
        "failed_actions_count": counts[records.FAILED],
        "id": execution.id,
        "idle_actions_count": counts[records.IDLE],
        "key": execution.workflow.key,
        "log": execution.log,
        "name": execution.workflow.name,
        "object": "execution",
        "running_actions_count": counts[records.RUNNING],
        "status": execution.status,
        "stopped_actions_count": counts[records.STOPPED],
    }


def execution(execution: records.Execution) -> dict[str, Any]:
    """Return the form of one execution: the summary with `stats` and `template`."""
    return {
        **execution_summary(execution),
        "stats": stats(execution),
        "template": execution.layout.raw,
    }


def stats(execution: records.Execution) -> dict[str, dict[str, Any]]:
    """Return the state of every node and edge, in the order in which they are reached."""
    entries: dict[str, dict[str, Any]] = {}
    for origin, node in execution.layout.reading_order:
        if origin:
            is_open = (origin, node) in execution.open_edges
            entries[f"{origin}-{node}"] = {"status": "open" if is_open else "closed"}
        else:
            entries[node] = _node_stats(execution.actions.get(node), execution.account.time_zone)
    return entries


def action(action: records.Action) -> dict[str, Any]:
    """Return the run of one node; it has a `uuid` and no `id` (documented)."""
    zone = action.execution.account.time_zone
    return {
        "hashid": action.hashid,
        **times.spelled("completed_at", action.completed_at, zone),
        "execution_id": action.execution.id,
        **times.spelled("failed_at", action.failed_at, zone),
        "failure_note": action.failure_note,
        "log": action.log,
        "name": action.node.get("name"),
        "node_id": action.node["id"],
        "object": "action",
        **times.spelled("run_at", action.run_at, zone),
        "status": action.status,
        **times.spelled("stopped_at", action.stopped_at, zone),
        "uuid": action.id,
    }


def workflow_summary(
    workflow: records.Workflow, account: records.Account, expand: Collection[str] = ()
) -> dict[str, Any]:
    """Return the short form of a workflow, with what *expand* asks for."""
    zone = account.time_zone
    chosen = {name: _expanded(workflow, name) for name in EXPANDABLE if name in expand}
    published, draft = workflow.published, workflow.draft
    return {
        "id": workflow.id,
        "actions_count": published.template.actions_count,
        **times.spelled("created_at", workflow.created_at, zone),
        "description": workflow.description,
        "event_trigger": _event(published, account),
        "event_trigger_draft": _event(draft, account),
        "executions_count": workflow.executions_count,
        "has_draft": draft != published,
        "key": workflow.key,
        **times.spelled("last_published_at", workflow.last_published_at, zone),
        "match_conditions": published.match_conditions,
        "match_conditions_draft": draft.match_conditions,
        "name": workflow.name,
        "object": "workflow",
        "on": workflow.on,
        "status": "on" if workflow.on else "off",
        "trigger_conditions": published.trigger_conditions,
        "trigger_conditions_draft": draft.trigger_conditions,
        **times.spelled("updated_at", workflow.updated_at, zone),
        **chosen,
    }


def workflow(workflow: records.Workflow, account: records.Account) -> dict[str, Any]:
    """Return the full form of a workflow, as of 2025-12 (generation D)."""
    return {
        **workflow_summary(workflow, account, EXPANDABLE),
        "auto_clone_for_new_users": workflow.auto_clone_for_new_users,
        "groups": workflow.groups,
        "is_template": workflow.is_template,
    }


def user(user: records.User, account: records.Account, zone: str) -> dict[str, Any]:
    """Return a user, with its data inside `user_data_schema` only (documented)."""
    return {
        "key": user.key,
        **times.spelled("created_at", user.created_at, zone),
        "email": user.email,
        "groups": user.groups,
        "id": user.id,
        "name": user.name,
        "object": "user",
        "time_zone": user.time_zone,
        "user_data_schema": [
            data_field(entry, "user", user.data.get(str(entry.get("variable"))))
            for entry in account.settings["user_data_schema"]
        ],
    }


def data_field(entry: dict[str, Any], source: str, value: Any = None) -> dict[str, Any]:
    """Return a data field (called data type), as of 2025-10 (generation C)."""
    variable = entry.get("variable")
    return {
        "variable": variable,
        "children": entry.get("children"),
        "data_path": entry.get("data_path") or variable,
        "display_label": entry.get("display_label") or variable,
        "format": entry.get("format"),
        "groups": entry.get("groups"),
        "item_type": entry.get("item_type"),
        "iterator": entry.get("iterator"),
        "list_values_variable": entry.get("list_values_variable"),
        "object": "data_type",
        "required": bool(entry.get("required")),
        "source": source,
        "type": entry.get("type") or "String",
        "value": value,
    }


def trigger(trigger: records.Trigger, account: records.Account) -> dict[str, Any]:
    """Return a trigger; of its example only the beginning is known."""
    return {
        "id": trigger.id,
        **times.spelled("created_at", trigger.created_at, account.time_zone),
        "data_input_schema": [data_field(e, "trigger") for e in trigger.data_input_schema],
        "description": trigger.description,
        "event": trigger.event,
        "groups": trigger.groups,
        "hook_id": trigger.hook_id,
        "icon": trigger.icon,
        "object": "trigger",
        "on": trigger.on,
        "processed_count": trigger.processed_count,
        "title": trigger.title,
    }


def app_connection(connection: records.AppConnection, account: records.Account) -> dict[str, Any]:
    """Return an app connection, without its credentials (documented)."""
    return {
        "id": connection.id,
        "app_type": connection.app_type,
        **times.spelled("last_used_at", connection.last_used_at, account.time_zone),
        "name": connection.name,
        "object": "app_connection",
        "status": "active",
    }


def installed_app(app: records.InstalledApp, account: records.Account) -> dict[str, Any]:
    """Return an installed app; the sandbox knows one version of every app."""
    return {
        "id": app.id,
        "app_identifier": app.app_identifier,
        "app_version": "1.0.0",
        "available_version": "1.0.0",
        "groups": app.groups,
        "icon": {},
        "installed_schema": {},
        **times.spelled("last_used_at", None, account.time_zone),
        "name": app.app_identifier.replace("_", " ").replace("-", " ").title(),
        "object": "installed_app",
        "previous_version": None,
        "upgrade_available": False,
        **times.spelled("upgraded_at", None, account.time_zone),
    }


def account(account: records.Account) -> dict[str, Any]:
    """Return the account, as of 2026-03 (generation E)."""
    return dict(
        sorted(
            {
                **account.settings,
                "id": account.id,
                "level": 0,
                "object": "account",
                "user_time_zone": account.time_zone,
            }.items()
        )
    )


def page(collection: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """Return a page; of `meta` only its three lines are known, their names are assumed."""
    ids = [entry.get("id") or entry.get("uuid") for entry in collection]
    return {
        "collection": collection,
        "meta": {
            "has_more": has_more,
            "starting_after": ids[-1] if ids else None,
            "ending_before": ids[0] if ids else None,
        },
    }


def _node_stats(action: records.Action | None, zone: str) -> dict[str, Any]:
    if action is None:
        return {"status": records.IDLE, **WAITING}
    moments = {name: getattr(action, name) for name in WAITING}
    return {
        "status": action.status,
        **{name: times.spelled(name, moment, zone)[name] for name, moment in moments.items()},
    }


def _expanded(workflow: records.Workflow, name: str) -> dict[str, Any]:
    if name == "stats":
        return {}
    design = workflow.published if name == "template" else workflow.draft
    return design.template.raw


def _event(design: records.Design, account: records.Account) -> dict[str, Any] | None:
    """Return the trigger behind an event; an object by the documentation, its shape assumed."""
    if design.event_trigger is None:
        return None
    found = next((t for t in account.triggers if t.event == design.event_trigger), None)
    return trigger(found, account) if found else {"event": design.event_trigger}
