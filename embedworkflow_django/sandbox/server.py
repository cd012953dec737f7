"""Serves the application over HTTP/1.1, a thread for every connection, lean enough to be fast.

A general-purpose handler spends most of a call reading headers; this one reads exactly what the
sandbox needs, and can do to a connection what faults ask for.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import ipaddress
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from io import BufferedIOBase
from urllib.parse import urlsplit

from . import application, messages

LINE_LIMIT = 65_536
HEADERS_LIMIT = 200
BODY_LIMIT = 64_000_000
IDLE_SECONDS = 60.0
STRANGE_NAME = "call the sandbox by 127.0.0.1 or localhost, or start it with --host and the name"
#: How long a lost answer keeps its connection open when the fault does not say.
LOST_SECONDS = 60.0
#: Names below which nobody can own one on the internet (RFC 6761, ICANN): they lead to this machine
#: by its owner's will.
OWN_NAMES = frozenset({"localhost", "test", "internal"})
_ABORT = struct.pack("ii", 1, 0)


class _GarbledError(Exception):
    """What came in is not HTTP as we read it."""


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    """Have an error of the system say what it is about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, what) from error


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server for one application.

    Args:
        app: What answers.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        certificate: PEM file with a certificate and its private key, to serve over TLS: the
            vendor's SDKs speak nothing else.

    Raises:
        OSError: The address is taken, or the file cannot be read; it names which.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        app: application.Application,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: str | None = None,
    ) -> None:
        self.app = app
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with _naming(certificate):
                self._tls.load_cert_chain(certificate)
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        with _naming(f"{host}:{port}"):
            super().__init__((host, port), Connection)
        self._name = host.lower()

    @property
    def base_url(self) -> str:
        """Return the URL below which the API is found."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}{messages.BASE_PATH}"

    def answers_to(self, host: str) -> bool:
        """Tell whether a caller has meant this server.

        A web page may have its own name lead to this machine, and then call what listens here as if
        that were its own server. Such a name is refused where none but this machine is served.

        Args:
            host: The call's `Host` header; empty if there was none.
        """
        address = ipaddress.ip_address(str(self.server_address[0]))
        if self._tls is not None or not address.is_loopback:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        _, dot, last = name.rpartition(".")
        return not dot or last in OWN_NAMES or name == self._name or _is_address(name)

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection; its handshake is left to its own thread."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def connected(self, connection: socket.socket) -> None:
        """Remember an open connection, so that closing the server can close it."""
        with self._guard:
            self._connections.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        """Forget a closed connection."""
        with self._guard:
            self._connections.discard(connection)

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self.shutdown()
        self.server_close()
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Connection(socketserver.StreamRequestHandler):
    """One kept-alive connection."""

    server: Server
    rbufsize = 65_536
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def setup(self) -> None:
        """Take the connection over."""
        super().setup()
        self.server.connected(self.connection)

    def finish(self) -> None:
        """Let the connection go."""
        self.server.disconnected(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        """Answer calls until either side has had enough."""
        try:
            while self._handle_one():
                pass
        except OSError:
            return

    def _handle_one(self) -> bool:
        line = self.rfile.readline(LINE_LIMIT)
        if not line.strip():
            return bool(line)
        try:
            method, target, version = line.decode("latin-1").split()
            headers = _read_headers(self.rfile)
            if headers.get("expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = _read_body(self.rfile, headers)
        except (_GarbledError, ValueError):
            self._send(messages.Answer.of(400, {"error": "bad request"}), close=True)
            return False
        if not self.server.answers_to(headers.get("host", "")):
            self._send(messages.Answer.of(421, {"error": STRANGE_NAME}), close=True)
            return False
        if target.startswith("http://"):
            target = "/" + target.split("/", 3)[-1]
        path, _, query = target.partition("?")
        answer = self.server.app.answer(messages.Call(method, path, query, headers, body))
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        if answer.wire:
            return self._fail(answer)
        self._send(answer, close=not keep, bodiless=method == "HEAD")
        return keep

    def _send(
        self, answer: messages.Answer, *, close: bool = False, bodiless: bool = False
    ) -> None:
        head = _head(answer, close=close)
        self.wfile.write(head if bodiless else head + answer.body)

    def _fail(self, answer: messages.Answer) -> bool:
        """Do to the connection what the fault asks for; it is never used again."""
        if answer.wire == "truncated":
            self.wfile.write(_head(answer) + answer.body[: len(answer.body) // 2])
        elif answer.wire == "lost":
            self._hold(answer.hold or LOST_SECONDS)
        else:
            # Closing with a linger of zero sends RST in place of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self.rfile.close()
            self.connection.close()
        return False

    def _hold(self, seconds: float) -> None:
        """Keep the connection open and silent until the caller hangs up."""
        self.connection.settimeout(seconds)
        self.connection.recv(1)


def _is_address(name: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def _read_headers(stream: BufferedIOBase) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(HEADERS_LIMIT):
        line = stream.readline(LINE_LIMIT)
        if line in (b"\r\n", b"\n"):
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise _GarbledError("a header without a colon")
        headers[name.lower()] = value.strip()
    raise _GarbledError("too many headers")


def _read_body(stream: BufferedIOBase, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(stream))
    return _exactly(stream, int(headers.get("content-length", "0")))


def _read_chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    left = BODY_LIMIT
    while chunk := _read_chunk(stream):
        left -= len(chunk)
        if left < 0:
            raise _GarbledError("chunks without end")
        yield chunk


def _read_chunk(stream: BufferedIOBase) -> bytes:
    size = int(stream.readline(LINE_LIMIT).split(b";")[0], 16)
    chunk = _exactly(stream, size)
    stream.readline(LINE_LIMIT)
    return chunk


def _exactly(stream: BufferedIOBase, size: int) -> bytes:
    if not 0 <= size <= BODY_LIMIT:
        raise _GarbledError("a body of no sensible size")
    body = stream.read(size) if size else b""
    if len(body) < size:
        raise _GarbledError("the body broke off")
    return body


def _head(answer: messages.Answer, *, close: bool = False) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {application.phrase(answer.status)}",
        f"Date: {_date(int(time.time()))}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        *[f"{name}: {value}" for name, value in answer.headers],
        *(["Connection: close"] if close else []),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")


@functools.lru_cache(maxsize=4)
def _date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)
