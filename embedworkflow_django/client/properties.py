"""How one property of an answer is read: by the type that it should have, and never with an error.

Each function declares a field of a payload and carries, in the field's metadata, what reads it.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime
from typing import Any

JSONObject = dict[str, Any]


def read_text(value: Any) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def _read_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _read_object(value: Any) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _read_data(value: Any) -> JSONObject | None:
    return value if isinstance(value, dict) else None


def read_list(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _read_moment(value: Any) -> datetime | None:
    """Return the aware moment that an ISO 8601 string stands for, or None."""
    try:
        moment = datetime.fromisoformat(value)
        # What UTC cannot show, such as the year 0, would fail later, far from here.
        moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def text() -> Any:
    """Declare a string; empty where there is none."""
    return field(default="", metadata={"read": read_text})


def hidden_text() -> Any:
    """Declare a string that no repr shows; empty where there is none."""
    return field(default="", repr=False, metadata={"read": read_text})


def number() -> Any:
    """Declare a whole number; None where there is none."""
    return field(default=None, metadata={"read": _read_number})


def flag() -> Any:
    """Declare a boolean; None where there is none."""
    return field(default=None, metadata={"read": _read_flag})


def object_() -> Any:
    """Declare an object; empty where there is none."""
    return field(default_factory=dict, repr=False, metadata={"read": _read_object})


def data() -> Any:
    """Declare an object, or null; None where there is none."""
    return field(default=None, repr=False, metadata={"read": _read_data})


def list_() -> Any:
    """Declare a list; empty where there is none."""
    return field(default_factory=list, repr=False, metadata={"read": read_list})


def moment() -> Any:
    """Declare a moment in ISO 8601 with an offset; None where there is none."""
    return field(default=None, metadata={"read": _read_moment})


def anything() -> Any:
    """Declare a value whose type the documentation leaves open; None where there is none."""
    return field(default=None, repr=False, metadata={"read": lambda value: value})
