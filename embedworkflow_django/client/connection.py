"""Connections that know two things requests does not tell: was anything sent, and is time up.

urllib3 reports a failed TLS handshake and a reset after the request in the same way, and its read
timeout starts anew with every byte. Here whatever fails while connecting is a
``NewConnectionError``, and an answer must be complete within the read timeout.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from requests import ConnectTimeout, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.poolmanager import PoolManager, ProxyManager


class TimedReader(io.RawIOBase):
    """Reads an answer from its socket until the socket's timeout is used up as a whole."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # Through makefile, for the socket stays open until its last file is closed.
        self._source = sock.makefile("rb", buffering=0)
        self._ends = time.monotonic() + (sock.gettimeout() or 0.0)
        self._has_read = False

    def readable(self) -> bool:
        """Say yes: ``BufferedReader`` asks."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Fill the buffer with what has arrived.

        Raises:
            TimeoutError: the answer is not complete in time.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if self._has_read:
            # Or the last byte in time would be given as long again as the whole.
            self._sock.settimeout(left)
        self._has_read = True
        return self._source.readinto(buffer)

    def readall(self) -> bytes:
        """Refuse: a chunk whose length is -1 would have all read that ever comes.

        Raises:
            HTTPException: whenever it is called, for answers are read piece by piece.
        """
        raise http.client.HTTPException("a chunk has a negative length")

    def close(self) -> None:
        """Let go of the socket."""
        self._source.close()
        super().close()


class _TimedSocket:
    """What ``http.client`` needs of a socket in order to read an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(TimedReader(self._sock))


class TimedResponse(http.client.HTTPResponse):
    """An answer whose status line, headers and body must arrive within one read timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _Witness:
    """Tells apart what failed before anything was sent."""

    response_class = TimedResponse
    # http.client prints every header at a higher level, the secret key among them.
    debuglevel = 0
    _held: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request's head and body together, by one call to the system instead of two."""
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._held = None
        self.send(b"".join(held))

    def send(self, data: Any) -> None:
        """Send, or keep what is part of a request until it is whole."""
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"  # type: ignore[attr-defined]

    def connect(self) -> None:
        """Connect, shake hands and open the tunnel: all that comes before the request.

        Raises:
            ConnectTimeoutError: it took too long, or (``NewConnectionError``) it failed.
        """
        try:
            super().connect()  # type: ignore[misc]
        except ConnectTimeoutError:
            raise
        except (OSError, HTTPError, http.client.HTTPException) as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]


class PlainConnection(_Witness, HTTPConnection):  # type: ignore[misc]
    """A connection over http."""


class SecureConnection(_Witness, HTTPSConnection):  # type: ignore[misc]
    """A connection over https."""


class PlainPool(HTTPConnectionPool):
    """Keeps http connections alive."""

    ConnectionCls = PlainConnection


class SecurePool(HTTPSConnectionPool):
    """Keeps https connections alive."""

    ConnectionCls = SecureConnection


_OUR_POOLS: dict[type[HTTPConnectionPool], type[HTTPConnectionPool]] = {
    HTTPConnectionPool: PlainPool,
    HTTPSConnectionPool: SecurePool,
}


class TimedAdapter(HTTPAdapter):
    """requests' own adapter over the connections of this module, for one host; it never retries."""

    _pool: Any = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        """Create the pools of connections through a proxy; those of SOCKS have their own."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        _use_our_pools(manager)
        return manager

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of the one host, which requests would look for at each call.

        Raises:
            InvalidProxyURL: the environment's proxy is none; requests would show its password.
        """
        if self._pool is None:
            try:
                self._pool = super().get_connection_with_tls_context(*args, **kwargs)
            except InvalidSchema:
                raise
            except (TypeError, ValueError):
                raise InvalidProxyURL(
                    "the environment's proxy has no URL that can be used; "
                    "is its password percent-encoded?"
                ) from None
        return self._pool

    def build_response(self, request: Any, response: Any) -> Response:
        """Make requests' response of urllib3's."""
        # As urllib3 2 has it by default: an answer that breaks off is none.
        response.enforce_content_length = True
        return super().build_response(request, response)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Look for the certificates to trust.

        Raises:
            ConnectTimeout: they are missing; requests raises a bare OSError, as a reset might.
        """
        try:
            super().cert_verify(*args, **kwargs)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise ConnectTimeout(str(error)) from error


def _use_our_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _OUR_POOLS.get(pool, pool)
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
