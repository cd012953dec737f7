"""The hosted API at its cheapest, in a process of its own: answers every POST as an execution.

``remote.py DELAY`` waits so many milliseconds with each answer; ``dead`` instead of a number never
answers. It prints its port. ``GET /`` tells how many POSTs have arrived; ``DELETE /`` tells when,
by the machine's monotonic clock, and forgets them. It also speaks as much STOMP as a publisher
needs, so that what sends to a broker can be measured too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from typing import Any

EXECUTION = {
    "hashid": "6opb4",
    "key": "benchmark",
    "name": "Benchmark",
    "object": "execution",
    "status": "running",
    "execution_data": {"number": 17},
    "log": {},
    "actions_count": 0,
    "idle_actions_count": 0,
    "running_actions_count": 0,
    "completed_actions_count": 0,
    "failed_actions_count": 0,
    "stopped_actions_count": 0,
    "created_at": "2025-08-19T11:19:18-04:00",
    "created_at_string": "Aug 19, 2025 11:19 am EDT",
    "created_at_utc": "2025-08-19T15:19:18Z",
}
STOMP = (b"CONNECT\n", b"STOMP\n", b"SEND\n", b"DISCONNECT\n")


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, delay: float | None, came: list[float]) -> None:
        self._delay = delay
        self._came = came
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Remember where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._received += data
        while self._received:
            if self._received.lstrip(b"\n").startswith(STOMP):
                frame, whole, rest = self._received.lstrip(b"\n").partition(b"\0")
                answer = self._frame
            else:
                frame, rest = _request(self._received)
                whole, answer = frame, self._request
            if not whole:
                break
            self._received = rest
            answer(frame)

    def _request(self, request: bytes) -> None:
        if request.startswith(b"POST"):
            self._came.append(time.monotonic())
            self._later(_http(201, {"id": str(uuid.uuid4()), **EXECUTION}))
            return
        forget = request.startswith(b"DELETE")
        self._transport.write(_http(200, self._came if forget else len(self._came)))
        if forget:
            self._came.clear()

    def _frame(self, frame: bytes) -> None:
        lines = frame.split(b"\n")
        receipt = next((line[8:] for line in lines if line.startswith(b"receipt:")), b"")
        if frame.startswith(b"SEND"):
            self._came.append(time.monotonic())
        elif frame.startswith((b"CONNECT", b"STOMP")):
            self._transport.write(b"CONNECTED\nversion:1.1\nheart-beat:0,0\n\n\0")
        if receipt:
            self._later(b"RECEIPT\nreceipt-id:" + receipt + b"\n\n\0")

    def _later(self, answer: bytes) -> None:
        if self._delay == 0:
            self._transport.write(answer)
        elif self._delay is not None:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)


def _request(received: bytes) -> tuple[bytes, bytes]:
    """Return a whole request and what follows it; nothing and all if it is not whole yet."""
    head, found, _body = received.partition(b"\r\n\r\n")
    length = int((head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) or 0)
    end = len(head) + 4 + length
    return (received[:end], received[end:]) if found and len(received) >= end else (b"", received)


def _http(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return (
        b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nX-Request-Id: r\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (status, len(body), body)
    )


async def serve(delay: float | None) -> None:
    """Answer for ever."""
    came: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay, came), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(None if sys.argv[1] == "dead" else float(sys.argv[1]) / 1000))
