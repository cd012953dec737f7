"""Answers `/action_types`, `/app_connections` and `/installed_apps`: what workflows can use."""

from __future__ import annotations

from typing import Any

from embedworkflow_django.sandbox import answers, messages, records, times

from .request import Reply, Request, Route

#: Properties of an action type that have a draft beside the published value.
DRAFTED = (
    "code",
    "form",
    "headers",
    "http_method",
    "icon",
    "params",
    "response_data_schema",
    "url",
)
EMPTY: dict[str, Any] = {"form": [], "icon": {}, "response_data_schema": []}


def action_types(request: Request) -> Reply:
    """List action types."""
    page = request.page(request.account.action_types)
    return 200, answers.page([_form(request, found) for found in page.records], page.has_more)


def create_action_type(request: Request) -> Reply:
    """Make a custom action; `publish` puts it in force at once (its name is assumed)."""
    now = request.engine.clock.now()
    action_type = records.ActionType(
        id=request.engine.new_id(), name=request.required("name"), created_at=now, updated_at=now
    )
    _change(request, action_type)
    return 201, _form(request, request.account.action_types.add(action_type))


def action_type(request: Request) -> Reply:
    """Return one action type."""
    return 200, _form(request, request.record(request.account.action_types))


def update_action_type(request: Request) -> Reply:
    """Change an action type."""
    found = request.record(request.account.action_types)
    _change(request, found)
    return 200, _form(request, found)


def delete_action_type(request: Request) -> Reply:
    """Forget an action type."""
    found = request.record(request.account.action_types)
    request.account.action_types.remove(found)
    return 200, {"id": found.id, "object": "action_type", "deleted": True}


def app_connections(request: Request) -> Reply:
    """List app connections, of one user or of all."""
    user_key = request.user_key()
    page = request.page(
        request.account.app_connections, lambda found: user_key in (None, found.user.key)
    )
    forms = [answers.app_connection(found, request.account) for found in page.records]
    return 200, answers.page(forms, page.has_more)


def create_app_connection(request: Request) -> Reply:
    """Keep credentials for an app; they are never shown again."""
    connection = records.AppConnection(
        id=request.engine.new_id(),
        name=request.required("name"),
        app_type=request.required("app_type"),
        user=request.user(),
        config=_config(request),
    )
    request.account.app_connections.add(connection)
    return 201, answers.app_connection(connection, request.account)


def app_connection(request: Request) -> Reply:
    """Return one app connection."""
    return 200, answers.app_connection(_connection(request), request.account)


def update_app_connection(request: Request) -> Reply:
    """Change an app connection."""
    connection = _connection(request)
    connection.name = request.text("name") or connection.name
    connection.app_type = request.text("app_type") or connection.app_type
    if "config" in request.body:
        connection.config = _config(request)
    return 200, answers.app_connection(connection, request.account)


def delete_app_connection(request: Request) -> Reply:
    """Forget an app connection with its credentials."""
    connection = _connection(request)
    request.account.app_connections.remove(connection)
    return 200, {"id": connection.id, "object": "app_connection", "deleted": True}


def install(request: Request) -> Reply:
    """Install an app, whatever its name: the catalogue is not public."""
    identifier = request.required("app_identifier")
    if any(app.app_identifier == identifier for app in request.account.installed_apps):
        raise messages.ApiError.invalid(app_identifier="has already been taken")
    app = records.InstalledApp(
        id=request.engine.new_id(), app_identifier=identifier, groups=request.given("groups", [])
    )
    request.account.installed_apps.add(app)
    return 201, answers.installed_app(app, request.account)


def installed_app(request: Request) -> Reply:
    """Return one installed app by its identifier."""
    return 200, answers.installed_app(_app(request), request.account)


def update_installed_app(request: Request) -> Reply:
    """Change who may use an installed app."""
    app = _app(request)
    app.groups = request.given("groups", app.groups)
    return 200, answers.installed_app(app, request.account)


def _connection(request: Request) -> records.AppConnection:
    found = request.record(request.account.app_connections)
    if request.user_key(found.user.key) != found.user.key:
        raise messages.ApiError.not_found()
    return found


def _config(request: Request) -> dict[str, Any]:
    config = request.body.get("config")
    if not isinstance(config, dict):
        raise messages.ApiError.invalid(config="must be an object")
    return config


def _app(request: Request) -> records.InstalledApp:
    for app in request.account.installed_apps:
        if app.app_identifier == request.params[0]:
            return app
    raise messages.ApiError.not_found()


def _change(request: Request, action_type: records.ActionType) -> None:
    for name in ("name", "description", "type"):
        if request.text(name) is not None:
            setattr(action_type, name, request.text(name))
    if request.given("on") is not None:
        action_type.on = messages.flag(request.given("on"))
    if isinstance(request.given("groups"), list):
        action_type.groups = request.given("groups")
    sent = {name: request.body.get(f"{name}_draft", request.body.get(name)) for name in DRAFTED}
    action_type.draft = {
        **action_type.draft,
        **{name: value for name, value in sent.items() if value is not None},
    }
    action_type.updated_at = request.engine.clock.now()
    if messages.flag(request.given("publish", False)):
        action_type.published = action_type.draft
        action_type.last_published_at = action_type.updated_at


def _form(request: Request, action_type: records.ActionType) -> dict[str, Any]:
    zone = request.account.time_zone
    form = {
        "id": action_type.id,
        "name": action_type.name,
        "description": action_type.description,
        "type": action_type.type,
        "object": "action_type",
        "on": action_type.on,
        "source": None,
        "primary_category": None,
        "secondary_category": None,
        "required_app_connection": None,
        "groups": action_type.groups,
        "has_draft": action_type.draft != action_type.published,
        **times.spelled("created_at", action_type.created_at, zone),
        **times.spelled("updated_at", action_type.updated_at, zone),
        **times.spelled("last_published_at", action_type.last_published_at, zone),
    }
    for name in DRAFTED:
        form[name] = action_type.published.get(name, EMPTY.get(name))
        form[f"{name}_draft"] = action_type.draft.get(name, EMPTY.get(name))
    return form


ROUTES = [
    Route("GET", "action_types", action_types, "sdk"),
    Route("POST", "action_types", create_action_type, "documented"),
    Route("GET", "action_types/*", action_type, "documented"),
    Route("PUT", "action_types/*", update_action_type, "assumed"),
    Route("DELETE", "action_types/*", delete_action_type, "sdk"),
    Route("GET", "app_connections", app_connections, "sdk"),
    Route("POST", "app_connections", create_app_connection, "documented"),
    Route("GET", "app_connections/*", app_connection, "documented"),
    Route("PUT", "app_connections/*", update_app_connection, "sdk"),
    Route("DELETE", "app_connections/*", delete_app_connection, "sdk"),
    Route("POST", "installed_apps", install, "documented"),
    Route("GET", "installed_apps/*", installed_app, "documented"),
    Route("PUT", "installed_apps/*", update_installed_app, "documented"),
]
