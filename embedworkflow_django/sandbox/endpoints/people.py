"""Answers `/users`, `/user_token` and `/account`: who uses the service, and how much."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any

from embedworkflow_django.sandbox import answers, messages, records, times

from .request import Reply, Request, Route

TOKEN_SECONDS = 172_800
USAGE_DAYS = 30
DAY = 86_400


def index(request: Request) -> Reply:
    """List users; their times are in the account's zone here, as in the example."""
    page = request.page(request.account.users)
    account = request.account
    forms = [answers.user(found, account, account.time_zone) for found in page.records]
    return 200, answers.page(forms, page.has_more)


def retrieve(request: Request) -> Reply:
    """Return one user by key; its times are in UTC here, as in the example."""
    return 200, answers.user(_user(request), request.account, "UTC")


def upsert(request: Request) -> Reply:
    """Make or change a user; null unsets a property."""
    for name in ("name", "email", "time_zone"):
        request.text(name)
    request.mapping("data")
    zone = request.given("time_zone")
    if zone is not None and not times.is_zone(zone):
        raise messages.ApiError.invalid(time_zone="is not a known time zone")
    changes = dict(request.body)
    if zone is None:
        changes.pop("time_zone", None)
    user = request.engine.upsert_user(request.account, request.params[0], changes)
    return 200, answers.user(user, request.account, "UTC")


def delete(request: Request) -> Reply:
    """Delete a user; `main` is the account's own and stays (assumed)."""
    user = _user(request)
    if user.key == records.MAIN_USER:
        raise messages.ApiError.invalid(key="is the account's own user")
    request.engine.delete_user(request.account, user)
    return 200, {"key": user.key, "object": "user", "deleted": True}


def token(request: Request) -> Reply:
    """Return a token for the browser: a signed global id as Rails makes it, valid for 48 hours."""
    key = request.text("key", records.MAIN_USER)
    user_id = request.text("id")
    user = (
        request.engine.find_user(request.account, key)
        if user_id is None
        else next((user for user in request.account.users if user.id == user_id), None)
    )
    if user is None:
        raise messages.ApiError.not_found()
    gid = f"gid://sandbox/User/{user.id}?expires_in={TOKEN_SECONDS}".encode()
    expires = dt.datetime.fromtimestamp(request.engine.clock.now() + TOKEN_SECONDS, dt.UTC)
    # Ruby's Marshal format for a text, the way a signed global id wraps it.
    marshalled = b'\x04\x08I"' + bytes([len(gid) + 5]) + gid + b"\x06:\x06ET"
    rails = {
        "message": base64.b64encode(marshalled).decode(),
        "exp": expires.strftime("%Y-%m-%dT%H:%M:%S.") + f"{expires.microsecond // 1000:03d}Z",
        "pur": "default",
    }
    text = base64.b64encode(json.dumps({"_rails": rails}, separators=(",", ":")).encode())
    signature = hmac.new(request.account.secret_key.encode(), text, hashlib.sha1).hexdigest()
    return 200, {"user_token": f"{text.decode()}--{signature}"}


def account(request: Request) -> Reply:
    """Return the account."""
    return 200, answers.account(request.account)


def update_account(request: Request) -> Reply:
    """Change the account; what is not given stays."""
    settings = request.account.settings
    changes = {name: value for name, value in request.body.items() if name in settings}
    for name, value in changes.items():
        _check(name, value, settings[name])
    if changes.get("time_zone") is not None and not times.is_zone(changes["time_zone"]):
        raise messages.ApiError.invalid(time_zone="is not a known time zone")
    request.account.settings = {**settings, **changes}
    return 200, answers.account(request.account)


def usage(request: Request) -> Reply:
    """Count what happened in a window; that it ends with this day by default is assumed."""
    midnight = request.engine.clock.now() // DAY * DAY
    start = _moment(request, "start_time", midnight - USAGE_DAYS * DAY)
    end = _moment(request, "end_time", midnight + DAY - 1)
    user_key = request.user_key()
    for execution in request.account.executions:
        request.engine.runner.catch_up(execution)
    executions = [
        execution
        for execution in request.account.executions
        if start <= execution.created_at < end + 1
        and user_key in (None, execution.workflow.user.key)
    ]
    workflows = [w for w in request.account.workflows if user_key in (None, w.user.key)]
    users = [user for user in request.account.users if user_key in (None, user.key)]
    return 200, {
        "active_workflows_count": sum(workflow.on for workflow in workflows),
        "end_time": times.utc_text(end),
        "executions_count": len(executions),
        "object": "usage",
        "start_time": times.utc_text(start),
        "usage": sum(len(execution.actions) for execution in executions),
        "users_count": len(users),
    }


def data_fields(request: Request) -> Reply:
    """List the data fields of the account and of its users."""
    settings = request.account.settings
    forms = [
        answers.data_field(entry, source)
        for name, source in (("user_data_schema", "user"), ("data_schema", "account"))
        for entry in settings[name]
    ]
    return 200, answers.page(forms, has_more=False)


def _user(request: Request) -> records.User:
    return request.engine.find_user(request.account, request.params[0])


def _check(name: str, value: Any, current: Any) -> None:
    """Refuse a value of another kind than the one in force: arrays, objects and booleans."""
    for kind, sentence in ((list, "must be an array"), (dict, "must be an object")):
        if isinstance(current, kind) and not isinstance(value, kind):
            raise messages.ApiError.invalid(**{name: sentence})
    if name.endswith("_schema") and not all(isinstance(entry, dict) for entry in value):
        raise messages.ApiError.invalid(**{name: "must be an array of objects"})


def _moment(request: Request, name: str, default: float) -> float:
    text = request.text(name)
    if text is None:
        return default
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise messages.ApiError.bad_request(f"{name} must be ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


ROUTES = [
    Route("GET", "users", index, "documented"),
    Route("GET", "users/*", retrieve, "documented"),
    Route("PUT", "users/*", upsert, "documented"),
    Route("DELETE", "users/*", delete, "sdk"),
    Route("POST", "user_token", token, "documented"),
    Route("GET", "account", account, "assumed"),
    Route("PUT", "account", update_account, "documented"),
    Route("GET", "account/usage", usage, "documented"),
    Route("GET", "data_fields", data_fields, "assumed"),
]
