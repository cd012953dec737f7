"""One call: a request that is built, signed, sent and read within its limits, or an APIError."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import default_headers, default_user_agent
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    ProxyError,
    ReadTimeoutError,
)

from embedworkflow_django import __version__, exceptions

from .answers import Answer, Problem
from .connection import TimedAdapter
from .credentials import SecretKey

USER_AGENT = f"embedworkflow-django/{__version__} {default_user_agent()}"
_CHUNK = 65_536
_FAILURES = (requests.RequestException, HTTPError, HTTPException, OSError)
# And what urllib3 lets through of a chunk whose length is negative.
_UNREADABLE = (*_FAILURES, ValueError, OverflowError)
_SURELY_NOT_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_IDEMPOTENCY_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")

Identifier = str | UUID
Query = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Line:
    """What one thread of one process sends over.

    Args:
        process: The process that opened it; its sockets are not for a forked child.
        adapter: The adapter that serves the base URL.
        options: What the environment says of proxies and certificates.
    """

    process: int
    adapter: BaseAdapter
    options: dict[str, Any]


class Transport:
    """Sends requests to one account's API over a kept-alive connection per thread.

    It is safe to share between threads, and after a fork.
    """

    def __init__(
        self,
        *,
        secret: SecretKey,
        base_url: str,
        timeout: tuple[float, float],
        idempotency_header: str,
        max_answer_size: int,
        adapters: Mapping[str, BaseAdapter],
    ) -> None:
        """Take checked arguments; see ``Client``."""
        self._base_url = base_url
        self._secret = secret
        self._timeout = timeout
        self._idempotency_header = idempotency_header
        self._max_answer_size = max_answer_size
        self._adapters = adapters
        self._headers = default_headers()
        self._headers.update(
            {
                "Accept": "application/json",
                "Authorization": secret.header(),
                "User-Agent": USER_AGENT,
            }
        )
        self._local = threading.local()

    def call(
        self,
        method: str,
        *segments: Identifier,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
            segments: The path below the base URL, piece by piece; each is percent-encoded.
            query: Names and values of the query.
            body: What to send as a JSON object; None sends no body.
            idempotency_key: Sent in the idempotency header; 1 to 255 characters of ASCII.

        Returns:
            A successful answer.

        Raises:
            ValueError: a segment or the idempotency key cannot be sent as it is.
            UnencodableData: the body cannot be written as JSON.
            APIError: everything else that can go wrong, each as its class.
        """
        path = encode_path(segments)
        request = self._prepare(method, path, query, body, idempotency_key)
        answer = self._exchange(request, method, path)
        answer.raise_for_status()
        return answer

    def close(self) -> None:
        """Let go of every thread's connections; a later call opens new ones."""
        # A thread-local that nobody refers to any more lets go of what each thread kept in it, and
        # so does the end of a thread. A call under way keeps its own session until it is done.
        self._local = threading.local()

    def _prepare(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        idempotency_key: str | None,
    ) -> requests.PreparedRequest:
        # Built by hand: Session.prepare_request looks at cookies, .netrc and the environment, and
        # turns %2E back into a dot, for 40 % of the time that a call takes.
        request = requests.PreparedRequest()
        request.method = method
        request.url = f"{self._base_url}{path}{'?' + urlencode(query) if query else ''}"
        request.headers = CaseInsensitiveDict(self._headers)
        if body is not None:
            request.body = encode_body(body)
            request.headers["Content-Type"] = "application/json"
        if method != "GET":
            request.headers["Content-Length"] = str(len(request.body or b""))
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
            request.headers[self._idempotency_header] = idempotency_key
        return request

    def _exchange(self, request: requests.PreparedRequest, method: str, path: str) -> Answer:
        ends = time.monotonic() + sum(self._timeout)
        try:
            line = self._line()
            response = line.adapter.send(
                request, stream=True, timeout=self._timeout, **line.options
            )
        except _FAILURES as error:
            failure = self._failure(error, method, path)
        else:
            return self._read(response, method, path, ends)
        # Raised here and not above, for the frames that failed hold the signed request.
        raise failure

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        if line is None or line.process != os.getpid():
            line = self._local.line = self._open()
        return line

    def _open(self) -> _Line:
        session = requests.Session()
        for prefix in ("https://", "http://"):
            session.mount(prefix, TimedAdapter(pool_connections=1, pool_maxsize=1))
        for prefix, adapter in self._adapters.items():
            session.mount(prefix, adapter)
        # Once per session, for asking the environment takes longer than writing the request.
        found = session.merge_environment_settings(self._base_url, {}, None, None, None)
        options = {name: found[name] for name in ("proxies", "verify", "cert")}
        return _Line(os.getpid(), session.get_adapter(self._base_url), options)

    def _failure(self, error: Exception, method: str, path: str) -> exceptions.APIError:
        kind = exceptions.NotSent if _surely_not_sent(error) else exceptions.AnswerLost
        message = f"{kind().message.rstrip('.')}: {_innermost(error)}"
        return kind(self._secret.scrub(message), method=method, path=self._secret.scrub(path))

    def _read(self, response: requests.Response, method: str, path: str, ends: float) -> Answer:
        content = bytearray()
        try:
            broken = self._fill(content, response, ends)
        except _UNREADABLE as error:
            broken = _broken_off(error)
        finally:
            response.close()
        return Answer(
            method=method,
            path=path,
            status_code=response.status_code,
            headers=response.headers,
            content=bytes(content),
            secret=self._secret,
            broken=broken,
        )

    def _fill(self, content: bytearray, response: requests.Response, ends: float) -> Problem | None:
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > self._max_answer_size:
                limit = f"{self._max_answer_size} bytes"
                return exceptions.InvalidAnswer, f"The answer is larger than {limit}."
            if time.monotonic() > ends:
                return exceptions.AnswerLost, f"The answer took longer than {sum(self._timeout)} s."
        return None


def encode_path(segments: Sequence[Identifier]) -> str:
    """Return the path that the segments make, each percent-encoded.

    Raises:
        ValueError: a segment is empty, ``.`` or ``..``, or holds a control character: no server
            could be sure to see what was meant.
    """
    return "".join(f"/{_encode_segment(segment)}" for segment in segments)


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON.

    Raises:
        UnencodableData: it holds what JSON cannot carry.
    """
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise exceptions.UnencodableData(f"The body cannot be written as JSON: {error}") from error


def check_idempotency_key(key: Any) -> None:
    """Do nothing if a header can carry the key.

    Raises:
        ValueError: it is no string of 1 to 255 printable ASCII characters, or ends in a space.
    """
    if not isinstance(key, str) or not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ValueError(
            f"idempotency_key {key!r} must have 1 to 255 printable ASCII characters, "
            "and no space at either end."
        )


def _encode_segment(segment: Identifier) -> str:
    if not isinstance(segment, str | UUID):
        raise ValueError(f"{segment!r} is no identifier: it must be a string or a UUID.")  # noqa: TRY004
    text = str(segment)
    if text in {"", ".", ".."} or _UNSAFE.search(text):
        raise ValueError(f"{text!r} is no identifier that a path can carry.")
    return quote(text, safe="")


def _surely_not_sent(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, ProxyError):
        # urllib3 calls it so, too, when a proxy hangs up after it was sent the request.
        cause = cause.original_error
    return isinstance(error, _SURELY_NOT_SENT) or isinstance(cause, ConnectTimeoutError)


def _broken_off(error: Exception) -> Problem:
    late = any(isinstance(each, TimeoutError | ReadTimeoutError) for each in (error, *error.args))
    kind = exceptions.AnswerLost if late else exceptions.InvalidAnswer
    return kind, f"The answer broke off: {_innermost(error)}"


def _innermost(error: BaseException) -> str:
    """Return what the error that all others are wrapped around says."""
    for inner in (getattr(error, "reason", None), *reversed(error.args)):
        if isinstance(inner, Exception):
            return _innermost(inner)
    if isinstance(error, ConnectTimeoutError):
        return str(error.args[-1])
    return str(error) or type(error).__name__


def _plain(value: object) -> dict[Any, Any]:
    """Return a mapping of another kind as the dict that the encoder knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON knows")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
)
