"""What the API answers, as frozen values: typed where it is known, and whole in ``raw``.

A property that is missing, null or of another type than documented reads as None, or as an empty
string, dict or list; a property that is not documented stays in ``raw``. Every time exists three
times in the API's answers; ``x`` and ``x_utc`` are read here, ``x_string`` is for people.
"""

# ruff: noqa: RUF009 -- the calls below make fields, not shared defaults.
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

JSONObject = dict[str, Any]


def _read_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _read_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _read_object(value: Any) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _read_data(value: Any) -> JSONObject | None:
    return value if isinstance(value, dict) else None


def _read_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_moment(value: Any) -> datetime | None:
    """Return the aware moment that an ISO 8601 string stands for, or None."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def _text() -> Any:
    return field(default="", metadata={"read": _read_text})


def _hidden_text() -> Any:
    return field(default="", repr=False, metadata={"read": _read_text})


def _number() -> Any:
    return field(default=None, metadata={"read": _read_number})


def _flag() -> Any:
    return field(default=None, metadata={"read": _read_flag})


def _object() -> Any:
    return field(default_factory=dict, repr=False, metadata={"read": _read_object})


def _data() -> Any:
    return field(default=None, repr=False, metadata={"read": _read_data})


def _list() -> Any:
    return field(default_factory=list, repr=False, metadata={"read": _read_list})


def _moment() -> Any:
    return field(default=None, metadata={"read": _read_moment})


@dataclass(frozen=True, kw_only=True)
class Payload:
    """An object of the API.

    Args:
        object: The API's word for its type.
        raw: The JSON object as it came, with whatever is not documented.
    """

    required = ""

    object: str = _text()
    raw: JSONObject = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, raw: JSONObject) -> Self:
        """Read a JSON object.

        Args:
            raw: The object, which is kept, not copied.

        Raises:
            ValueError: it lacks the one property that such an object cannot do without.
        """
        if cls.required and not _read_text(raw.get(cls.required)):
            raise ValueError(f"The answer carries no {cls.required!r}, so it is no {cls.__name__}.")
        return cls(raw=raw, **{name: read(raw.get(name)) for name, read in _readers(cls)})


@functools.cache
def _readers(cls: type[Payload]) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(f.name, f.metadata["read"]) for f in fields(cls) if "read" in f.metadata]


@dataclass(frozen=True, kw_only=True)
class RemoteExecution(Payload):
    """One run of a workflow, as the API sees it (reference/executions).

    ``key`` and ``name`` are the workflow's in every documented example. ``stats`` and ``template``
    come with ``retrieve_execution`` only. ``status`` is an open set of words: ``running`` is the
    only one that an example shows.
    """

    required = "id"

    id: str = _text()
    hashid: str = _text()
    key: str = _text()
    name: str = _text()
    status: str = _text()
    execution_data: JSONObject | None = _data()
    log: JSONObject = _object()
    actions_count: int | None = _number()
    idle_actions_count: int | None = _number()
    running_actions_count: int | None = _number()
    completed_actions_count: int | None = _number()
    failed_actions_count: int | None = _number()
    stopped_actions_count: int | None = _number()
    created_at: datetime | None = _moment()
    created_at_string: str = _text()
    created_at_utc: datetime | None = _moment()
    stats: JSONObject = _object()
    template: JSONObject = _object()
