"""What the methods of every resource share: arguments that were given, and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar

from .payloads import Payload
from .transport import Identifier, Query, Transport

MAX_LIMIT = 100
_P = TypeVar("_P", bound=Payload)


class Unset(Enum):
    """The type of ``UNSET``."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


#: An argument that was not given, where None would unset the property.
UNSET: Final = Unset.UNSET


class Resource:
    """Methods that share one transport."""

    _transport: Transport

    def _list(
        self,
        payload: type[_P],
        *segments: Identifier,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
        **filters: str | None,
    ) -> Iterator[_P]:
        """Return an iterator over a collection that asks for each page when its turn comes.

        ``meta`` is not relied on, for its names are not visible in the documentation: it is
        believed if ``has_more`` is a boolean. Otherwise the last page is the one that is shorter
        than ``limit``, or empty if no limit was given. A cursor that comes back ends it all.
        """
        if starting_after is not None and ending_before is not None:
            raise ValueError("Give starting_after or ending_before, not both.")
        if limit is not None and limit not in range(1, MAX_LIMIT + 1):
            raise ValueError(f"limit {limit!r} must be from 1 to {MAX_LIMIT}.")
        older = ending_before is None
        cursor = starting_after if older else ending_before
        return self._walk(payload, segments, {**filters, "limit": limit}, cursor, older=older)

    def _walk(
        self,
        payload: type[_P],
        segments: tuple[Identifier, ...],
        query: Mapping[str, Any],
        cursor: str | None,
        *,
        older: bool,
    ) -> Iterator[_P]:
        name, edge = ("starting_after", -1) if older else ("ending_before", 0)
        seen = {cursor}
        while True:
            arguments = as_query(**query, **{name: cursor})
            answer = self._transport.call("GET", *segments, query=arguments)
            page = answer.collection(payload)
            yield from page
            if not page or not _has_more(answer.meta(), len(page), query["limit"]):
                return
            cursor = page[edge].cursor
            if not cursor or cursor in seen:
                return
            seen.add(cursor)

    def _delete(self, *segments: Identifier, **arguments: str | None) -> None:
        """Delete an object; what is answered is not documented, so it is only proven to be JSON."""
        self._transport.call("DELETE", *segments, query=as_query(**arguments)).json()


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def assigned(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not UNSET; None stays, to be sent as null."""
    return {name: value for name, value in arguments.items() if value is not UNSET}


def as_query(**arguments: Any) -> Query:
    """Return the query of the arguments that are not None.

    A list becomes ``name[]=…`` for each of its items, which is how Rails reads one; the
    documentation does not say.
    """
    pairs: Query = []
    for name, value in given(**arguments).items():
        if isinstance(value, list | tuple):
            pairs.extend((f"{name}[]", str(item)) for item in value)
        else:
            pairs.append((name, str(value)))
    return pairs


def as_moment(value: datetime | str | None) -> str | None:
    """Return the ISO 8601 form of a moment.

    Raises:
        ValueError: the moment is naive, so it could be anywhere.
    """
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value!r} must be an aware datetime.")
    return value.isoformat()


def _has_more(meta: Mapping[str, Any], count: int, limit: int | None) -> bool:
    told = meta.get("has_more")
    if isinstance(told, bool):
        return told
    return limit is None or count >= limit
