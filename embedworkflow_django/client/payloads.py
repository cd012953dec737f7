"""What the API answers, as frozen values: typed where it is known, and whole in ``raw``.

A property that is missing, null or of another type than documented reads as None, or as an empty
string, dict or list; a property that is not documented stays in ``raw``. Every time exists three
times in the API's answers: ``x`` with the offset of the account or user, ``x_utc``, and
``x_string`` for people.
"""

# ruff: noqa: RUF009 -- the calls below make fields, not shared defaults.
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self

from . import properties
from .properties import JSONObject


@dataclass(frozen=True, kw_only=True)
class Payload:
    """An object of the API.

    Args:
        object: The API's word for its type.
        raw: The JSON object as it came, with whatever is not documented.
    """

    # The property that a page's cursor is taken from.
    _identity: ClassVar[str] = "id"
    # The property without which it is no such object; empty if there is none.
    _needs: ClassVar[str] = ""

    object: str = properties.text()
    raw: JSONObject = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Read a JSON object.

        Args:
            raw: The object, which is kept, not copied.

        Raises:
            ValueError: it is no object, or lacks the one property that it cannot do without.
        """
        if not isinstance(raw, dict):
            raise ValueError(f"The answer holds no JSON object where a {cls.__name__} should be.")  # noqa: TRY004
        if cls._needs and not properties.read_text(raw.get(cls._needs)):
            raise ValueError(f"The answer carries no {cls._needs!r}, so it is no {cls.__name__}.")
        return cls(raw=raw, **{name: read(raw.get(name)) for name, read in _readers(cls)})  # type: ignore[arg-type]

    @property
    def cursor(self) -> str:
        """What ``starting_after`` and ``ending_before`` call this object; empty if unknown."""
        return properties.read_text(self.raw.get(self._identity))


@functools.cache
def _readers(cls: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(f.name, f.metadata["read"]) for f in fields(cls) if "read" in f.metadata]


@dataclass(frozen=True, kw_only=True)
class RemoteExecution(Payload):
    """One run of a workflow, as the API sees it (reference/executions).

    ``key`` and ``name`` are the workflow's in every documented example. ``stats`` and ``template``
    come with ``retrieve_execution`` only. ``status`` is an open set of words: ``running`` is the
    only one that an example shows.
    """

    _needs = "id"

    id: str = properties.text()
    hashid: str = properties.text()
    key: str = properties.text()
    name: str = properties.text()
    status: str = properties.text()
    execution_data: JSONObject | None = properties.data()
    log: JSONObject = properties.object_()
    actions_count: int | None = properties.number()
    idle_actions_count: int | None = properties.number()
    running_actions_count: int | None = properties.number()
    completed_actions_count: int | None = properties.number()
    failed_actions_count: int | None = properties.number()
    stopped_actions_count: int | None = properties.number()
    created_at: datetime | None = properties.moment()
    created_at_string: str = properties.text()
    created_at_utc: datetime | None = properties.moment()
    stats: JSONObject = properties.object_()
    template: JSONObject = properties.object_()


@dataclass(frozen=True, kw_only=True)
class Action(Payload):
    """One node's run within an execution (reference/actions)."""

    _identity = "uuid"

    uuid: str = properties.text()
    hashid: str = properties.text()
    execution_id: str = properties.text()
    node_id: str = properties.text()
    name: str = properties.text()
    status: str = properties.text()
    log: JSONObject = properties.object_()
    failure_note: str = properties.text()
    run_at: datetime | None = properties.moment()
    run_at_string: str = properties.text()
    run_at_utc: datetime | None = properties.moment()
    completed_at: datetime | None = properties.moment()
    completed_at_string: str = properties.text()
    completed_at_utc: datetime | None = properties.moment()
    failed_at: datetime | None = properties.moment()
    failed_at_string: str = properties.text()
    failed_at_utc: datetime | None = properties.moment()
    stopped_at: datetime | None = properties.moment()
    stopped_at_string: str = properties.text()
    stopped_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class Workflow(Payload):
    """A workflow (reference/workflows).

    Clones and lists carry the summary: no ``stats``, ``template``, ``template_draft``, ``groups``
    and neither of the two flags. ``hashid`` and ``default_template`` are of older answers.
    """

    id: str = properties.text()
    hashid: str = properties.text()
    key: str = properties.text()
    name: str = properties.text()
    description: str = properties.text()
    on: bool | None = properties.flag()
    status: str = properties.text()
    actions_count: int | None = properties.number()
    executions_count: int | None = properties.number()
    has_draft: bool | None = properties.flag()
    event_trigger: Any = properties.anything()
    event_trigger_draft: Any = properties.anything()
    match_conditions: Any = properties.anything()
    match_conditions_draft: Any = properties.anything()
    trigger_conditions: JSONObject = properties.object_()
    trigger_conditions_draft: JSONObject = properties.object_()
    stats: JSONObject = properties.object_()
    template: JSONObject = properties.object_()
    template_draft: JSONObject = properties.object_()
    groups: list[Any] = properties.list_()
    auto_clone_for_new_users: bool | None = properties.flag()
    is_template: bool | None = properties.flag()
    default_template: bool | None = properties.flag()
    created_at: datetime | None = properties.moment()
    created_at_string: str = properties.text()
    created_at_utc: datetime | None = properties.moment()
    updated_at: datetime | None = properties.moment()
    updated_at_string: str = properties.text()
    updated_at_utc: datetime | None = properties.moment()
    last_published_at: datetime | None = properties.moment()
    last_published_at_string: str = properties.text()
    last_published_at_utc: datetime | None = properties.moment()


def _read_data_fields(value: Any) -> tuple[DataField, ...]:
    items = properties.read_list(value)
    return tuple(DataField.from_json(item) for item in items if isinstance(item, dict))


def _data_fields() -> Any:
    return field(default=(), repr=False, metadata={"read": _read_data_fields})


@dataclass(frozen=True, kw_only=True)
class DataField(Payload):
    """A field of a schema; ``object`` is ``data_type`` (reference/data_fields)."""

    _identity = "variable"

    variable: str = properties.text()
    data_path: str = properties.text()
    display_label: str = properties.text()
    format: str = properties.text()
    groups: list[Any] = properties.list_()
    list_values_variable: str = properties.text()
    required: bool | None = properties.flag()
    source: str = properties.text()
    type: str = properties.text()
    value: Any = properties.anything()
    item_type: str = properties.text()
    iterator: Any = properties.anything()
    children: tuple[DataField, ...] = _data_fields()


@dataclass(frozen=True, kw_only=True)
class User(Payload):
    """An end user of the account; the path addresses it by ``key`` (reference/users)."""

    id: str = properties.text()
    hashid: str = properties.text()
    key: str = properties.text()
    name: str = properties.text()
    email: str = properties.text()
    time_zone: str = properties.text()
    groups: list[Any] = properties.list_()
    user_data_schema: tuple[DataField, ...] = _data_fields()
    created_at: datetime | None = properties.moment()
    created_at_string: str = properties.text()
    created_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class UserToken(Payload):
    """What lets a browser act as one end user; the example's ends after 48 hours (user_token)."""

    _needs = "user_token"

    user_token: str = properties.hidden_text()


@dataclass(frozen=True, kw_only=True)
class Trigger(Payload):
    """What starts workflows, as an object; no endpoint of it is documented (reference/triggers)."""

    id: str = properties.text()
    event: str = properties.text()
    title: str = properties.text()
    description: str = properties.text()
    hook_id: str = properties.text()
    on: bool | None = properties.flag()
    processed_count: int | None = properties.number()
    icon: JSONObject = properties.object_()
    groups: list[Any] = properties.list_()
    data_input_schema: tuple[DataField, ...] = _data_fields()
    created_at: datetime | None = properties.moment()
    created_at_string: str = properties.text()
    created_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class ActionType(Payload):
    """A kind of node that the account has made (reference/action_types)."""

    id: str = properties.text()
    name: str = properties.text()
    description: str = properties.text()
    type: str = properties.text()
    source: str = properties.text()
    primary_category: str = properties.text()
    secondary_category: str = properties.text()
    required_app_connection: str = properties.text()
    on: bool | None = properties.flag()
    has_draft: bool | None = properties.flag()
    groups: list[Any] = properties.list_()
    code: Any = properties.anything()
    code_draft: Any = properties.anything()
    headers: Any = properties.anything()
    headers_draft: Any = properties.anything()
    http_method: Any = properties.anything()
    http_method_draft: Any = properties.anything()
    params: Any = properties.anything()
    params_draft: Any = properties.anything()
    url: Any = properties.anything()
    url_draft: Any = properties.anything()
    icon: JSONObject = properties.object_()
    icon_draft: JSONObject = properties.object_()
    form: list[Any] = properties.list_()
    form_draft: list[Any] = properties.list_()
    response_data_schema: tuple[DataField, ...] = _data_fields()
    response_data_schema_draft: tuple[DataField, ...] = _data_fields()
    created_at: datetime | None = properties.moment()
    created_at_string: str = properties.text()
    created_at_utc: datetime | None = properties.moment()
    updated_at: datetime | None = properties.moment()
    updated_at_string: str = properties.text()
    updated_at_utc: datetime | None = properties.moment()
    last_published_at: datetime | None = properties.moment()
    last_published_at_string: str = properties.text()
    last_published_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class AppConnection(Payload):
    """A connection to another service; its credentials are never answered (app_connections)."""

    id: str = properties.text()
    app_type: str = properties.text()
    name: str = properties.text()
    status: str = properties.text()
    last_used_at: datetime | None = properties.moment()
    last_used_at_string: str = properties.text()
    last_used_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class InstalledApp(Payload):
    """An app that the account has installed (reference/installed_apps)."""

    id: str = properties.text()
    app_identifier: str = properties.text()
    app_version: str = properties.text()
    available_version: str = properties.text()
    previous_version: str = properties.text()
    name: str = properties.text()
    upgrade_available: bool | None = properties.flag()
    groups: list[Any] = properties.list_()
    icon: JSONObject = properties.object_()
    installed_schema: JSONObject = properties.object_()
    last_used_at: datetime | None = properties.moment()
    last_used_at_string: str = properties.text()
    last_used_at_utc: datetime | None = properties.moment()
    upgraded_at: datetime | None = properties.moment()
    upgraded_at_string: str = properties.text()
    upgraded_at_utc: datetime | None = properties.moment()


@dataclass(frozen=True, kw_only=True)
class Account(Payload):
    """The account that the secret key belongs to (reference/account)."""

    id: str = properties.text()
    company_name: str = properties.text()
    custom_domain: str = properties.text()
    theme: str = properties.text()
    time_zone: str = properties.text()
    user_name: str = properties.text()
    user_time_zone: str = properties.text()
    level: int | None = properties.number()
    data: JSONObject = properties.object_()
    data_schema: tuple[DataField, ...] = _data_fields()
    user_data_schema: tuple[DataField, ...] = _data_fields()
    groups: list[Any] = properties.list_()
    action_type_categories: list[Any] = properties.list_()
    action_type_categories_enabled: bool | None = properties.flag()


@dataclass(frozen=True, kw_only=True)
class Usage(Payload):
    """What the account used from ``start_time`` to ``end_time``; ``usage`` counts actions."""

    start_time: datetime | None = properties.moment()
    end_time: datetime | None = properties.moment()
    usage: int | None = properties.number()
    executions_count: int | None = properties.number()
    active_workflows_count: int | None = properties.number()
    users_count: int | None = properties.number()
