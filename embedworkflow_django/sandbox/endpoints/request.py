"""Gives endpoints what they ask about a call: whose it is, what it wants, which page of a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from embedworkflow_django.sandbox import engine as engines
from embedworkflow_django.sandbox import identifiers, messages, records

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
ID_TYPES = ("id", "key", "hashid")

R = TypeVar("R", bound=records.Identified)
#: Status and JSON document of an answer.
Reply = tuple[int, Any]


@dataclass(slots=True)
class Request:
    """A call whose account is known and whose body has been read."""

    engine: engines.Engine
    account: records.Account
    params: tuple[str, ...] = ()
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    #: The execution that the call started or asked about, for the log of calls.
    execution_id: str | None = None

    def given(self, name: str, default: Any = None) -> Any:
        """Return a value from the body or else the query; null counts as not given."""
        value = self.body.get(name)
        if value is None:
            value = self.query.get(name)
        return default if value is None else value

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a given value that must be a text.

        Raises:
            messages.ApiError: 422, it is something else.
        """
        value = self.given(name, default)
        if value is not None and not isinstance(value, str):
            raise messages.ApiError.invalid(**{name: "must be a string"})
        return value

    def required(self, name: str) -> str:
        """Return a text that must be given.

        Raises:
            messages.ApiError: 422, it is missing.
        """
        value = self.text(name)
        if value is None or not value.strip():
            raise messages.ApiError.invalid(**{name: "can't be blank"})
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a given object, empty when there is none.

        Raises:
            messages.ApiError: 422, it is no object.
        """
        value = self.given(name, {})
        if not isinstance(value, dict):
            raise messages.ApiError.invalid(**{name: "must be an object"})
        return value

    def user_key(self, default: str | None = None) -> str | None:
        """Return the key of the user on whose behalf the call is made; blank is not given."""
        return self.text("user_key") or default

    def user(self) -> records.User:
        """Return the user on whose behalf the call is made; `main` by default."""
        return self.engine.find_user(self.account, self.user_key(records.MAIN_USER))

    def workflow(self, owner: str | None = records.MAIN_USER) -> records.Workflow:
        """Return the workflow that the path names, read as `id_type` says.

        Args:
            owner: Key of its user unless `user_key` says otherwise; None is any.
        """
        return self._workflow(self.user_key(owner))

    def any_workflow(self) -> records.Workflow:
        """Return the workflow that the path names, whoever owns it and whatever `user_key` says."""
        return self._workflow(None)

    def _workflow(self, user_key: str | None) -> records.Workflow:
        id_type = self.text("id_type", "id") or "id"
        if id_type not in ID_TYPES:
            raise messages.ApiError.bad_request(f"id_type must be one of {', '.join(ID_TYPES)}")
        return self.engine.find_workflow(
            self.account, self.params[0], id_type=id_type, user_key=user_key
        )

    def texts(self, name: str) -> list[str]:
        """Return a given list of texts; a single one counts as a list of one."""
        value = self.given(name, [])
        return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]

    def record(self, shelf: records.Shelf[R]) -> R:
        """Return the record that the path names.

        Raises:
            engines.NotFoundError: There is none.
        """
        found = shelf.get(self.params[0])
        if found is None:
            raise engines.NotFoundError(self.params[0])
        return found

    def page(
        self, shelf: records.Shelf[R], where: Callable[[R], bool] | None = None
    ) -> records.Page[R]:
        """Return the page that the call asks for.

        Raises:
            messages.ApiError: 400, a cursor or the limit makes no sense (assumed).
        """
        cursors = {name: self.text(name) for name in ("starting_after", "ending_before")}
        if all(cursors.values()):
            raise messages.ApiError.bad_request("send starting_after or ending_before, not both")
        for name, cursor in cursors.items():
            if cursor is not None and not identifiers.is_uuid(cursor):
                raise messages.ApiError.bad_request(f"{name} must be the id of an object")
        return shelf.page(**cursors, limit=self._limit(), where=where)

    def _limit(self) -> int:
        try:
            limit = int(self.given("limit", DEFAULT_LIMIT))
        except (TypeError, ValueError):
            limit = 0
        if limit < 1:
            raise messages.ApiError.bad_request("limit must be a number from 1 to 100")
        return min(limit, MAX_LIMIT)


class Route(NamedTuple):
    """One endpoint: its method, its path below the base with `*` for a parameter, and its view.

    `known` says how we know it: `documented`, `sdk` (the vendor's own SDK calls it) or `assumed`.
    """

    method: str
    path: str
    view: Callable[[Request], Reply]
    known: str
