"""What an answer means: the error that its status stands for, or the JSON that it carries."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from embedworkflow_django import exceptions

from .credentials import SecretKey
from .payloads import Payload

MAX_RETRY_AFTER = 86_400.0
_MAX_TEXT = 4 * exceptions.MAX_BODY + 1_000
_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
Problem = tuple[type[exceptions.APIError], str]
_P = TypeVar("_P", bound=Payload)

_ERRORS: dict[int, type[exceptions.APIError]] = {
    400: exceptions.BadRequest,
    401: exceptions.AuthenticationError,
    403: exceptions.PermissionDenied,
    404: exceptions.NotFound,
    # The proxy speaks, so the request came no further.
    407: exceptions.NotSent,
    408: exceptions.RequestTimeout,
    409: exceptions.Conflict,
    410: exceptions.Gone,
    422: exceptions.UnprocessableEntity,
    425: exceptions.TooEarly,
    429: exceptions.RateLimited,
    503: exceptions.ServiceUnavailable,
}
_ERRORS_BY_CLASS: dict[int, type[exceptions.APIError]] = {
    3: exceptions.UnexpectedRedirect,
    4: exceptions.RequestRejected,
    5: exceptions.ServerError,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer that has been read, but not yet understood.

    Args:
        method: The request's method.
        path: The request's path below the base URL, without its query.
        status_code: The answer's status.
        headers: The answer's headers; their names are case-insensitive.
        content: The answer's body, decoded from its transfer's encodings.
        secret: The key, to keep it out of the errors.
        broken: Why the body is not whole; None if it is.
    """

    method: str
    path: str
    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    secret: SecretKey
    broken: Problem | None = field(repr=False)

    def raise_for_status(self) -> None:
        """Do nothing if the answer is a whole success.

        Raises:
            APIError: the class that the status stands for, which counts for more than a body that
                did not arrive; or what became of that body.
        """
        if not 200 <= self.status_code < 300:  # noqa: PLR2004
            kind = _ERRORS.get(self.status_code) or _ERRORS_BY_CLASS.get(self.status_code // 100)
            raise self.error(kind or exceptions.InvalidAnswer, self._words())
        if self.broken:
            raise self.error(*self.broken)

    def json(self) -> Any:
        """Return what the body says; None if it is empty.

        Raises:
            InvalidAnswer: the body is not JSON as its standard has it.
        """
        if not self.content.strip():
            return None
        try:
            # A server may repeat what it was sent in a success as well.
            return _DECODER.decode(self.secret.scrub(self._text()))
        except (ValueError, RecursionError) as error:
            problem = f"The answer is not JSON{self._media_type()}: {error}"
        raise self.error(exceptions.InvalidAnswer, problem)

    def object(self) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raises:
            InvalidAnswer: the body is empty, or no JSON object.
        """
        found = self.json()
        if not isinstance(found, dict):
            raise self.error(
                exceptions.InvalidAnswer,
                "The answer is empty." if found is None else "The answer is not a JSON object.",
            )
        return found

    def read(self, payload: type[_P]) -> _P:
        """Return the body as a payload.

        Raises:
            InvalidAnswer: the body is no such object.
        """
        return self._build(payload, self.object())

    def collection(self, payload: type[_P]) -> list[_P]:
        """Return the objects of a page.

        Raises:
            InvalidAnswer: the body carries no ``collection`` of such objects.
        """
        items = self.object().get("collection")
        if not isinstance(items, list):
            raise self.error(exceptions.InvalidAnswer, "The answer carries no collection.")
        return [self._build(payload, item) for item in items]

    def meta(self) -> dict[str, Any]:
        """Return what a page says of itself; empty if it says nothing."""
        found = self.object().get("meta")
        return found if isinstance(found, dict) else {}

    def error(self, kind: type[exceptions.APIError], message: str) -> exceptions.APIError:
        """Return an error that knows everything about this answer, except the key."""
        return kind(
            self.secret.scrub(message),
            method=self.method,
            path=self.secret.scrub(self.path),
            status_code=self.status_code,
            request_id=self.secret.scrub(self.headers.get("x-request-id") or ""),
            body=self.secret.scrub(self.content[:_MAX_TEXT].decode("utf-8", "replace")),
            retry_after=parse_retry_after(self.headers.get("retry-after")),
        )

    def _build(self, payload: type[_P], raw: Any) -> _P:
        try:
            return payload.from_json(raw)
        except ValueError as error:
            problem = str(error)
        raise self.error(exceptions.InvalidAnswer, problem)

    def _text(self) -> str:
        # By no codec that is imported when it is first used: a fork at that moment would leave its
        # child with half of it, for ever.
        return self.content.decode().removeprefix("\ufeff")

    def _words(self) -> str:
        """Return the API's own words; the documentation shows no error body."""
        location = self.headers.get("location")
        if location and self.status_code // 100 == 3:  # noqa: PLR2004
            return f"The API redirects to {location.partition('?')[0]}"
        try:
            return _sentence(_DECODER.decode(self._text()))
        except (ValueError, RecursionError):
            return ""

    def _media_type(self) -> str:
        media_type = self.headers.get("content-type")
        return f" but {media_type}" if media_type and "json" not in media_type else ""


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait.

    Args:
        value: A number of seconds or an HTTP date (RFC 9110, section 10.2.3), or nonsense.

    Returns:
        Seconds, from 0 to one day; None if there is no telling.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        seconds = float(value)
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _sentence(found: Any) -> str:
    """Return what an error's JSON says, in whichever of its likely shapes."""
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        return "; ".join(filter(None, map(_sentence, found)))
    if not isinstance(found, dict):
        return ""
    for name in ("error", "errors", "message"):
        if words := _sentence(found.get(name)):
            return words
    parts = ((name, _sentence(value)) for name, value in found.items())
    return "; ".join(f"{name}: {words}" for name, words in parts if words)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is no number that JSON can carry")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that JSON can carry")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
