"""Knows what each type of node does when its turn comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from . import conditions, outgoing, placeholders, records

DELAY_UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
}
CENTURY = 100 * 365 * DELAY_UNITS["day"]
USER_VALUES = ("name", "email", "key", "time_zone")


class NodeError(Exception):
    """A node cannot do its work; the message becomes the action's `failure_note`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a node: a condition's result, data for later nodes, what to log."""

    result: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Email:
    """A message that an Email node sent."""

    execution_id: str
    recipient: str
    subject: str
    body: str


#: Work that must happen outside the engine's lock: it may wait for somebody else's server.
Task = Callable[[], Outcome]


@dataclass(frozen=True)
class World:
    """What nodes may reach outside the sandbox."""

    deliver: Callable[[Email], object]
    caller: outgoing.Caller


def begin(action: records.Action, world: World) -> Outcome | Task:
    """Start a node's work; return its outcome, or the task that will have it.

    Raises:
        NodeError: It cannot be done.
    """
    start = BEGINNINGS.get(str(action.node.get("type")))
    # A type we have not heard of passes: the list of types is not public.
    return Outcome() if start is None else start(action, world)


def delay_seconds(action: records.Action) -> float:
    """Return how long a Delay node waits, in seconds; 0 for every other type.

    Raises:
        NodeError: Its number or its unit makes no sense.
    """
    if action.node.get("type") != "Delay":
        return 0.0
    text = placeholders.render(action.node.get("delay_n"), sources(action))
    unit = str(action.node.get("delay_unit", "second"))
    factor = DELAY_UNITS.get(unit.lower().removesuffix("s"))
    if factor is None:
        raise NodeError(f'delay_unit "{unit}" is not one of {", ".join(DELAY_UNITS)}')
    try:
        seconds = float(text) * factor
    except ValueError as error:
        raise NodeError(f'delay_n "{text}" is not a number') from error
    if not seconds < CENTURY:
        raise NodeError(f"A delay of {text} {unit} is longer than a century")
    return max(0.0, seconds)


def sources(action: records.Action) -> list[Mapping[str, Any]]:
    """Return the data that placeholders of this action see, the strongest first (documented)."""
    execution = action.execution
    user = execution.workflow.user
    values = {**{name: getattr(user, name) for name in USER_VALUES}, **user.data}
    form = action.node.get("action_data")
    own = {name: _chosen(value) for name, value in form.items()} if isinstance(form, dict) else {}
    given = execution.execution_data if isinstance(execution.execution_data, dict) else {}
    return [
        own,
        execution.action_data,
        given,
        {**values, "user": values},
        execution.account.data,
    ]


def _chosen(value: Any) -> Any:
    """Return the value behind a select field, which arrives as `{label, value}`."""
    if isinstance(value, dict) and set(value) == {"label", "value"}:
        return value["value"]
    return value


def _condition(action: records.Action, _: World) -> Outcome:
    node = action.node
    try:
        held = conditions.hold(
            node.get("conditions"), node.get("match_conditions"), sources(action)
        )
    except conditions.UnknownConditionError as error:
        raise NodeError(str(error)) from error
    return Outcome(result=held, log={"result": held})


def _email(action: records.Action, world: World) -> Task:
    data = sources(action)
    fields = {
        name: placeholders.render(action.node.get(name), data)
        for name in ("recipient", "subject", "body")
    }
    email = Email(execution_id=action.execution.id, **fields)

    def deliver() -> Outcome:
        world.deliver(email)
        return Outcome(log={"recipient": email.recipient, "subject": email.subject})

    return deliver


def _webhook(action: records.Action, world: World) -> Task:
    return _call(action, world, action.node, method="POST")


def _custom_api_request(action: records.Action, world: World) -> Outcome | Task:
    wanted = str(action.node.get("action_type_id", ""))
    action_type = action.execution.account.action_types.get(wanted)
    if action_type is None and not action.node.get("url"):
        raise NodeError(f'There is no action type "{wanted}"')
    design = {**action.node, **(action_type.published if action_type else {})}
    if design.get("code") and not design.get("url"):
        return Outcome(log={"code": "JavaScript is not run by the sandbox"})
    return _call(action, world, design, method=str(design.get("http_method") or "POST").upper())


def _call(action: records.Action, world: World, design: Mapping[str, Any], *, method: str) -> Task:
    """Prepare a call; assumed: `POST` with a JSON object, `GET` with a query, 2xx is success."""
    data = sources(action)
    url = placeholders.render(design.get("url"), data).strip()
    params = _pairs(design.get("params"), data)
    headers = _pairs(design.get("headers"), data)
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/json"
    body: bytes | None = json.dumps(params).encode()
    if method in ("GET", "HEAD"):
        body = None
        url += ("&" if "?" in url else "?") + urlencode(params) if params else ""
    call = outgoing.OutgoingCall(url=url, method=method, headers=headers, body=body)
    log = {
        "method": method,
        "url": placeholders.render(design.get("url"), data, redact=True).strip(),
        "params": _pairs(design.get("params"), data, redact=True),
    }
    schema = design.get("response_data_schema") or []
    prefix = str(action.node.get("prefix") or "")

    def send() -> Outcome:
        try:
            received = world.caller.call(call)
        except outgoing.CallError as error:
            raise NodeError(str(error)) from error
        if not received.is_success:
            raise NodeError(f"The server answered {received.status}")
        return Outcome(
            data=_picked(received.json, schema, prefix), log={**log, "status": received.status}
        )

    return send


def _pairs(text: Any, data: list[Mapping[str, Any]], *, redact: bool = False) -> dict[str, str]:
    """Read `key: value` lines; values are filled after the split, so that none adds a line."""
    if isinstance(text, dict):
        lines = [(str(key), value) for key, value in text.items()]
    else:
        cut = (line.partition(":") for line in str(text or "").splitlines())
        lines = [(name.strip(), value.strip()) for name, colon, value in cut if colon]
    return {name: placeholders.render(value, data, redact=redact) for name, value in lines if name}


def _picked(answer: Any, schema: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(schema, list):
        return {}
    fields = [entry for entry in schema if isinstance(entry, dict) and entry.get("variable")]
    found = {
        prefix + str(entry["variable"]): placeholders.resolve(
            str(entry.get("data_path") or entry["variable"]), [answer]
        )
        for entry in fields
    }
    return {name: value for name, value in found.items() if value is not placeholders.MISSING}


BEGINNINGS: dict[str, Callable[[records.Action, World], Outcome | Task]] = {
    "Condition": _condition,
    "Email": _email,
    "Webhook": _webhook,
    "CustomApiRequest": _custom_api_request,
}
