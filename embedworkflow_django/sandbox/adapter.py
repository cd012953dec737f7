"""Connects `requests` to the application in process, down to the errors of a broken wire."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.exceptions

from . import application, messages


class SandboxAdapter(requests.adapters.BaseAdapter):
    """A transport adapter: `session.mount(sandbox.base_url, sandbox.adapter())`.

    Args:
        app: What answers.
    """

    def __init__(self, app: application.Application) -> None:
        super().__init__()
        self._app = app
        self._builder = requests.adapters.HTTPAdapter()
        self._pool = urllib3.HTTPConnectionPool("sandbox")

    def send(  # noqa: PLR0917  # the signature is requests' own
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Answer *request* as the server would.

        Raises:
            requests.RequestException: What a caller over a socket would meet.
        """
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        parts = urlsplit(request.url or "")
        answer = self._app.answer(
            messages.Call(
                method=request.method or "GET",
                path=parts.path,
                query=parts.query,
                headers=messages.lower_names(request.headers.items()),
                body=_body(request.body),
                patience=patience,
                in_process=True,
            )
        )
        if answer.wire and answer.wire != "truncated":
            raise self._error(answer.wire, request, patience)
        return self._response(request, answer)

    def close(self) -> None:
        """Close nothing: there is no connection."""

    def _response(
        self, request: requests.PreparedRequest, answer: messages.Answer
    ) -> requests.Response:
        headers = requests.structures.CaseInsensitiveDict(answer.headers)
        headers["Content-Type"] = answer.content_type
        headers["Content-Length"] = str(len(answer.body))
        size = len(answer.body) // 2 if answer.wire == "truncated" else len(answer.body)
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(answer.body[:size]),
            headers=dict(headers),
            status=answer.status,
            version=11,
            reason=application.phrase(answer.status),
            preload_content=False,
            enforce_content_length=True,
            request_method=request.method,
        )
        return self._builder.build_response(request, raw)

    def _error(
        self, wire: str, request: requests.PreparedRequest, patience: float | None
    ) -> requests.RequestException:
        url = request.url or ""
        if wire == "lost":
            sentence = f"Read timed out. (read timeout={patience})"
            timed_out = urllib3.exceptions.ReadTimeoutError(self._pool, url, sentence)
            return requests.ReadTimeout(timed_out, request=request)
        if wire == "reset":
            reset = ConnectionResetError(104, "Connection reset by peer")
            broken = urllib3.exceptions.ProtocolError("Connection aborted.", reset)
            return requests.ConnectionError(broken, request=request)
        connection = urllib3.connection.HTTPConnection("sandbox")
        if wire == "connect_timeout":
            late = urllib3.exceptions.ConnectTimeoutError(connection, "Connection timed out.")
            return requests.ConnectTimeout(self._retried(url, late), request=request)
        refused = urllib3.exceptions.NewConnectionError(connection, "Connection refused")
        return requests.ConnectionError(self._retried(url, refused), request=request)

    def _retried(self, url: str, reason: Exception) -> urllib3.exceptions.MaxRetryError:
        return urllib3.exceptions.MaxRetryError(self._pool, url, reason)


def _body(body: bytes | str | Iterable[bytes] | None) -> bytes:
    """Return a prepared request's body, whatever it came as."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    return b"".join(body)
