"""Holds what the sandbox remembers: accounts and the plain objects that belong to them."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from . import layouts

IDLE, RUNNING, COMPLETED, FAILED, STOPPED = "idle", "running", "completed", "failed", "stopped"
UPCOMING, DELETED = "upcoming", "deleted"
ACTION_STATUSES = (IDLE, RUNNING, COMPLETED, FAILED, STOPPED)
MAIN_USER = "main"


class Identified(Protocol):
    """Anything with an id that ascends with the time it was made."""

    id: str


R = TypeVar("R", bound=Identified)


@dataclass(frozen=True)
class Page(Generic[R]):
    """One page of records, newest first, and whether more lie in the asked direction."""

    records: list[R]
    has_more: bool


class Shelf(Generic[R]):
    """Records of one kind, found by id, listed newest first."""

    def __init__(self) -> None:
        self._by_id: dict[str, R] = {}
        self._ids: list[str] = []

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._by_id.values()))

    def add(self, record: R) -> R:
        """Keep *record*, which must be newer than all others."""
        self._by_id[record.id] = record
        self._ids.append(record.id)
        return record

    def get(self, record_id: str) -> R | None:
        """Return the record with this id, or None."""
        return self._by_id.get(record_id)

    def remove(self, record: R) -> None:
        """Forget *record*."""
        del self._by_id[record.id]
        del self._ids[bisect.bisect_left(self._ids, record.id)]

    def clear(self) -> None:
        """Forget all records."""
        self._by_id.clear()
        self._ids.clear()

    def page(
        self,
        *,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int = 25,
        where: Callable[[R], bool] | None = None,
    ) -> Page[R]:
        """Return the page right after or right before a cursor (documented: both exclusive).

        Args:
            starting_after: Id; the page of older records.
            ending_before: Id; the page of newer records, itself newest first too.
            limit: How many records at most.
            where: Which records count at all.
        """
        if ending_before is not None:
            places = range(bisect.bisect_right(self._ids, ending_before), len(self._ids))
        else:
            end = len(self._ids)
            if starting_after is not None:
                end = bisect.bisect_left(self._ids, starting_after)
            places = range(end - 1, -1, -1)
        found = self._matching(places, limit + 1, where)
        page = found[:limit]
        return Page(page[::-1] if ending_before is not None else page, len(found) > limit)

    def _matching(self, places: range, limit: int, where: Callable[[R], bool] | None) -> list[R]:
        found: list[R] = []
        for place in places:
            record = self._by_id[self._ids[place]]
            if where is None or where(record):
                found.append(record)
                if len(found) == limit:
                    break
        return found


@dataclass(slots=True, eq=False, kw_only=True)
class User:
    """An end user of the account; `main` is the account's own."""

    id: str
    key: str
    created_at: float
    time_zone: str
    name: str | None = None
    email: str | None = None
    groups: list[Any] | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a draft becomes when it is published."""

    template: layouts.Layout = field(default_factory=layouts.Layout)
    event_trigger: str | None = None
    match_conditions: str | None = None
    trigger_conditions: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class Workflow:
    """A workflow of one user."""

    id: str
    hashid: str
    key: str
    name: str
    user: User
    created_at: float
    updated_at: float
    description: str | None = None
    on: bool = False
    published: Design = field(default_factory=Design)
    draft: Design = field(default_factory=Design)
    last_published_at: float | None = None
    executions_count: int = 0
    groups: list[Any] = field(default_factory=list)
    auto_clone_for_new_users: bool = False
    is_template: bool = False
    stop_event: str | None = None
    clones_count: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Action:
    """The run of one node."""

    id: str
    hashid: str
    execution: Execution
    node: dict[str, Any]
    status: str = IDLE
    scheduled_at: float | None = None
    run_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    stopped_at: float | None = None
    failure_note: str | None = None
    log: dict[str, Any] = field(default_factory=dict)
    result: bool | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Execution:
    """One run of a workflow, whose template it froze at the start."""

    id: str
    hashid: str
    account: Account
    workflow: Workflow
    layout: layouts.Layout
    created_at: float
    execution_data: Any
    status: str = RUNNING
    log: dict[str, Any] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTION_STATUSES, 0))
    open_edges: set[tuple[str, str]] = field(default_factory=set)
    action_data: dict[str, Any] = field(default_factory=dict)
    #: Whether somebody has forced its status, so that it does not move on by itself.
    is_held: bool = False
    #: Heap of (due, sequence, step): what will happen to this execution, and when.
    steps: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)

    @property
    def is_final(self) -> bool:
        """Tell whether nothing will happen to it any more."""
        return self.status not in (RUNNING, UPCOMING)


@dataclass(slots=True, eq=False, kw_only=True)
class Trigger:
    """An event of the account, with the hook that outsiders may post to."""

    id: str
    event: str
    hook_id: str
    created_at: float
    title: str | None = None
    description: str | None = None
    on: bool = True
    icon: dict[str, Any] = field(default_factory=dict)
    groups: list[Any] = field(default_factory=list)
    data_input_schema: list[dict[str, Any]] = field(default_factory=list)
    processed_count: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class ActionType:
    """A custom action; `published` and `draft` hold its url, headers, params and so on."""

    id: str
    name: str
    created_at: float
    updated_at: float
    description: str | None = None
    type: str | None = None
    on: bool = False
    groups: list[Any] = field(default_factory=list)
    published: dict[str, Any] = field(default_factory=dict)
    draft: dict[str, Any] = field(default_factory=dict)
    last_published_at: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class AppConnection:
    """Credentials of a user for an app; `config` is never shown again."""

    id: str
    user: User
    name: str
    app_type: str
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    last_used_at: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class InstalledApp:
    """An app that the account has installed."""

    id: str
    app_identifier: str
    groups: list[Any] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class Account:
    """One environment: its two keys and all that was made with them."""

    id: str
    name: str
    secret_key: str = field(repr=False)
    publishable_key: str
    settings: dict[str, Any] = field(default_factory=dict)
    users: Shelf[User] = field(default_factory=Shelf, repr=False)
    users_by_key: dict[str, User] = field(default_factory=dict, repr=False)
    workflows: Shelf[Workflow] = field(default_factory=Shelf, repr=False)
    executions: Shelf[Execution] = field(default_factory=Shelf, repr=False)
    actions: Shelf[Action] = field(default_factory=Shelf, repr=False)
    triggers: Shelf[Trigger] = field(default_factory=Shelf, repr=False)
    action_types: Shelf[ActionType] = field(default_factory=Shelf, repr=False)
    app_connections: Shelf[AppConnection] = field(default_factory=Shelf, repr=False)
    installed_apps: Shelf[InstalledApp] = field(default_factory=Shelf, repr=False)

    @property
    def time_zone(self) -> str:
        """Return the IANA name of the account's time zone."""
        return str(self.settings["time_zone"])

    @property
    def data(self) -> dict[str, Any]:
        """Return the account's own data, the weakest source of placeholders."""
        data: dict[str, Any] = self.settings["data"]
        return data

    def user(self, key: str) -> User | None:
        """Return the user with this key, or None."""
        return self.users_by_key.get(key)

    def add_user(self, user: User) -> None:
        """Keep a new user."""
        self.users.add(user)
        self.users_by_key[user.key] = user

    def remove_user(self, user: User) -> None:
        """Forget a user."""
        self.users.remove(user)
        del self.users_by_key[user.key]
