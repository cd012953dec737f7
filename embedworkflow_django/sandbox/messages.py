"""Describes what comes in and what goes out: calls, answers, problems, and how bodies are read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

BASE_PATH = "/api/v1"
JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Call:
    """A request as it arrived; header names are in lower case, the path still percent-encoded.

    `patience` is how many seconds the caller will wait, if that is known; `in_process` tells that
    no wire lies between.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    patience: float | None = None
    in_process: bool = False

    @property
    def segments(self) -> list[str] | None:
        """Return the decoded parts of the path below the base, or None outside it."""
        if not self.path.startswith(BASE_PATH + "/"):
            return None
        below = self.path[len(BASE_PATH) + 1 :].split("/")
        return [unquote(part) for part in below] if "%" in self.path else below


@dataclass(slots=True)
class Answer:
    """A response, and what shall go wrong on the wire while it travels.

    `wire` is empty, or one of `reset`, `lost`, `truncated`, `refused`, `connect_timeout`.
    """

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = JSON
    wire: str = ""
    hold: float = 0.0

    @classmethod
    def of(cls, status: int, document: Any) -> Answer:
        """Return an answer with a JSON body."""
        return cls(status, json.dumps(document, separators=(",", ":")).encode())


class ApiError(Exception):
    """A call is answered with an error; bodies follow Rails' habit (assumed)."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(f"{status}: {document}")
        self.status = status
        self.document = document

    @classmethod
    def bad_request(cls, sentence: str) -> ApiError:
        """Return a 400."""
        return cls(400, {"error": sentence})

    @classmethod
    def unauthorized(cls) -> ApiError:
        """Return a 401."""
        return cls(401, {"error": "unauthorized"})

    @classmethod
    def not_found(cls) -> ApiError:
        """Return a 404."""
        return cls(404, {"error": "not found"})

    @classmethod
    def invalid(cls, **errors: str) -> ApiError:
        """Return a 422 that names the properties and what is wrong with each."""
        return cls(422, {"errors": {name: [text] for name, text in errors.items()}})


def read_body(call: Call) -> dict[str, Any]:
    """Return the body's properties: JSON, or a form in Rails' bracket notation.

    Raises:
        ApiError: 400, it is neither.
    """
    if not call.body.strip():
        return {}
    if "form-urlencoded" in call.headers.get("content-type", ""):
        return read_form(call.body.decode("utf-8", "replace"))
    try:
        document = json.loads(call.body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ApiError.bad_request("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise ApiError.bad_request("the body must be a JSON object")
    return document


def read_form(text: str) -> dict[str, Any]:
    """Return the nested values of a form: `a=1`, `a[b]=1` and `a[]=1`, as Rails reads them.

    Raises:
        ApiError: 400, a name is used both as a value and as a container.
    """
    result: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        _put(result, [head, *rest], value)
    return result


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


def _put(target: Any, path: list[str], value: str) -> None:
    for step, following in zip(path, [*path[1:], None], strict=True):
        inner: Any = value if following is None else [] if following == "" else {}
        if isinstance(target, list) and step == "":
            target.append(inner)
        elif isinstance(target, dict) and step != "":
            if following is not None:
                inner = target.get(step, inner)
            target[step] = inner
        else:
            raise ApiError.bad_request("a form field is used in two ways")
        target = inner


def flag(value: Any) -> bool:
    """Return a boolean that may have come through a form."""
    return value.lower() in ("true", "1", "on") if isinstance(value, str) else bool(value)


def without_key(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* without the one that holds the secret key."""
    return {name: value for name, value in headers.items() if name != "authorization"}


def lower_names(headers: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Return *headers* as a mapping with names in lower case and values as text."""
    return {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in headers
    }
