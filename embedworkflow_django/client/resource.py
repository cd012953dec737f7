"""What the methods of every resource share: arguments that were given, and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from embedworkflow_django import exceptions

from .payloads import Payload
from .transport import Query, Transport

_P = TypeVar("_P", bound=Payload)
MAX_LIMIT = 100


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

    def _pages(
        self,
        payload: type[_P],
        *segments: str,
        query: Mapping[str, str | None],
        starting_after: str | None,
        ending_before: str | None,
        limit: int | None,
    ) -> Iterator[_P]:
        """Yield the objects of a collection, asking for each page when its turn comes.

        The names inside ``meta`` are not visible in the documentation. ``has_more`` is believed if
        it is a boolean; otherwise the last page is the one that is shorter than ``limit``, or empty
        if no limit was given. A cursor that comes back ends it.
        """
        check_page(starting_after, ending_before, limit)
        forward = ending_before is None
        name = "starting_after" if forward else "ending_before"
        cursor = starting_after if forward else ending_before
        return self._walk(payload, segments, {**query, "limit": limit}, name, cursor)

    def _walk(
        self,
        payload: type[_P],
        segments: tuple[str, ...],
        query: Mapping[str, Any],
        name: str,
        cursor: str | None,
    ) -> Iterator[_P]:
        seen = {cursor}
        while True:
            answer = self._transport.call(
                "GET", *segments, query=given_query({**query, name: cursor})
            )
            page = answer.object()
            items = page.get("collection")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise answer.error(
                    exceptions.InvalidAnswer, "The answer carries no collection of objects."
                )
            yield from map(payload.from_json, items)
            if not _has_more(page.get("meta"), len(items), query["limit"]):
                return
            cursor = items[-1 if name == "starting_after" else 0].get("id")
            if not isinstance(cursor, str) or cursor in seen:
                return
            seen.add(cursor)


def check_page(starting_after: str | None, ending_before: str | None, limit: int | None) -> None:
    """Do nothing if the arguments name one page.

    Raises:
        ValueError: both cursors are given, or a limit outside 1 to 100.
    """
    if starting_after is not None and ending_before is not None:
        raise ValueError("Give starting_after or ending_before, not both.")
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit {limit!r} must be from 1 to {MAX_LIMIT}.")


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are neither None nor UNSET."""
    return {name: value for name, value in arguments.items() if value not in (None, UNSET)}


def set_(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not UNSET; None stays, as null."""
    return {name: value for name, value in arguments.items() if value is not UNSET}


def given_query(arguments: Mapping[str, Any]) -> Query:
    """Return the query of the arguments that are not None.

    A list becomes ``name[]=…`` for each of its items, which is how Rails reads one; the
    documentation does not say.
    """
    pairs: Query = []
    for name, value in arguments.items():
        if isinstance(value, list | tuple):
            pairs.extend((f"{name}[]", str(item)) for item in value)
        elif value is not None:
            pairs.append((name, str(value)))
    return pairs


def _has_more(meta: Any, count: int, limit: int | None) -> bool:
    told = meta.get("has_more") if isinstance(meta, dict) else None
    if isinstance(told, bool):
        return told and count > 0
    return count > 0 and (limit is None or count >= limit)
