"""Calls the customer's servers for webhook nodes: to loopback addresses only, unless allowed."""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import json
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ANY_HOST = "*"
DEFAULT_TIMEOUT = 10.0
#: More than this of an answer is not read.
BODY_LIMIT = 1_000_000


class CallError(Exception):
    """A call was refused by the sandbox or got no answer; the message becomes `failure_note`."""


@dataclass(frozen=True, kw_only=True)
class OutgoingCall:
    """A request that a node makes."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Received:
    """What the called server answered."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Tell whether the status is one of the 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004  # the family's number

    @property
    def json(self) -> Any:
        """Return the body read as JSON, or None when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Caller:
    """Makes outgoing calls.

    Args:
        allow_hosts: Host names that may be called although they are not loopback; `*` is any.
        timeout: Seconds that a server may take.
    """

    def __init__(self, allow_hosts: Collection[str] = (), timeout: float = DEFAULT_TIMEOUT) -> None:
        self.allow_hosts = allow_hosts
        self.timeout = timeout

    def call(self, call: OutgoingCall) -> Received:
        """Make the call; redirects are not followed.

        Raises:
            CallError: The address is not allowed, or there was no answer.
        """
        connection, target = self._connection(call.url)
        try:
            connection.request(call.method, target, call.body, call.headers)
            response = connection.getresponse()
            return Received(response.status, response.read(BODY_LIMIT))
        except TimeoutError as error:
            raise CallError(f"No answer within {self.timeout:g} seconds") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CallError(f"No answer: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise CallError(f"The URL cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise CallError(f'The URL "{url}" does not start with http:// or https:// and a host')
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        # Without a port, the last part of an IPv6 address would be taken for one.
        connection = kind(host, port or (443 if secure else 80), timeout=self.timeout)
        if ANY_HOST not in self.allow_hosts and host not in self.allow_hosts:
            # To what was looked at: asked for again, the name might lead elsewhere.
            connect = functools.partial(_connect, _loopback(host))
            connection._create_connection = connect  # type: ignore[attr-defined] # noqa: SLF001
        return connection, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _loopback(host: str) -> list[str]:
    """Return the addresses of a host, all of them this machine's own."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, None)]
    except OSError as error:
        raise CallError(f"The host {host} is not known") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise CallError(
            f"Refused: {host} is not a loopback address. Allow it with --allow-host {host}"
        )
    return list(dict.fromkeys(found))


def _connect(found: list[str], place: tuple[str, int], *options: Any) -> socket.socket:
    """Return a connection to the first address that takes one."""
    *others, last = found
    for address in others:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, place[1]), *options)
    return socket.create_connection((last, place[1]), *options)
