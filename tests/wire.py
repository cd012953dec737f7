"""A server that does to its callers exactly what a test planned, down to the bytes on the wire."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

#: A self-signed certificate for localhost and 127.0.0.1, and its key.
CERTIFICATE = Path(__file__).with_name("localhost.pem")

EXECUTION = {"id": "0198c2e9-cc9f-7277-af8a-40c7ef19273a", "object": "execution"}


@dataclass(frozen=True)
class Request:
    """What a caller sent."""

    connection: int
    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def json(self):
        """Return the body as JSON."""
        return json.loads(self.body)


def answer(status=200, body=b"", **headers):
    """Plan a whole answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": len(content)}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"HTTP/1.1 {status} Planned\r\n{lines}\r\n".encode() + content


def executed(**properties):
    """Plan the answer to an execute call."""
    return answer(201, {**EXECUTION, **properties})


@dataclass(frozen=True)
class Close:
    """Plan to close the connection after some bytes."""

    content: bytes = b""


@dataclass(frozen=True)
class Reset:
    """Plan to reset the connection after some bytes."""

    content: bytes = b""


@dataclass(frozen=True)
class Drip:
    """Plan to send some bytes at once, and the rest one by one."""

    content: bytes
    rest: bytes
    gap: float = 0.02


class Silence:
    """Plan never to answer."""


class Wire:
    """Serves what was planned, call by call; the last plan holds for all further calls."""

    def __init__(self, *plans, context=None):
        self.requests = []
        self.connections = 0
        self.ended = threading.Semaphore(0)
        self._plans = deque(plans)
        self._context = context
        self._over = threading.Event()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def base_url(self):
        """Return the URL below which it answers."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/api/v1"

    @property
    def request(self):
        """Return the one request that was sent."""
        (request,) = self.requests
        return request

    def plan(self, *plans):
        """Forget the plans, and make others."""
        self._plans = deque(plans)

    def close(self):
        """Hang up on everybody."""
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                arguments = (connection, self.connections)
                thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection, number):
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            with connection.makefile("rb") as incoming:
                while (request := _read(incoming, number)) is not None:
                    self.requests.append(request)
                    plan = self._plans.popleft() if len(self._plans) > 1 else self._plans[0]
                    if not self._follow(plan, connection):
                        break
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()
            self.ended.release()

    def _follow(self, plan, connection):
        """Do what is planned and say whether the connection lives on."""
        match plan:
            case bytes():
                connection.sendall(plan)
                return True
            case Drip(content, rest, gap):
                connection.sendall(content)
                for byte in rest:
                    time.sleep(gap)
                    connection.sendall(bytes([byte]))
                return True
            case Silence():
                self._over.wait(30)
            case Close(content):
                connection.sendall(content)
            case Reset(content):
                connection.sendall(content)
                if content:
                    time.sleep(0.1)
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return False


def _read(incoming, number):
    """Return the next request, or None when the caller has hung up or speaks no HTTP."""
    first = incoming.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    method, target, _ = first
    headers = {}
    while (line := incoming.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", 0)))
    return Request(number, method, target, headers, body)


@contextlib.contextmanager
def serving(*plans, context=None):
    """Serve plans while the block runs."""
    wire = Wire(*plans, context=context)
    try:
        yield wire
    finally:
        wire.close()


@contextlib.contextmanager
def tunnelling(target):
    """Serve as a proxy that opens tunnels to a port; yield the proxy's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=_tunnel, args=(listener.accept()[0], target)).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _tunnel(near, target):
    """Take a CONNECT, and then carry bytes until either side has had enough."""
    with near, socket.create_connection(("127.0.0.1", target)) as far, near.makefile("rb") as head:
        while head.readline().strip():
            pass
        near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                for side in select.select([near, far], [], [])[0]:
                    data = side.recv(65_536)
                    if not data:
                        return
                    (far if side is near else near).sendall(data)
        # Whoever was reset resets the other.
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tls():
    """Return a server's side of TLS with the certificate of this folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
