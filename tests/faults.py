"""The faults of the API side, each with what it shall lead to; scripted for a real server.

A fault is what happens to one call. Which row of the verdict table it belongs to is written down
beside it, by hand, and not asked of the code under test.
"""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import wire

#: Certificates that are trusted, and still wrong: one is out of date, one is of another host.
EXPIRED = Path(__file__).with_name("expired.pem")
WRONG_HOST = Path(__file__).with_name("wrong_host.pem")

NOT_SENT, LOST, REJECTED, ACCOUNT = "not sent", "lost", "rejected", "account's fault"
DELIVERED, GONE = "delivered", "gone"

#: Long enough for any answer that comes at all, and short for those that never do.
PATIENT, SHORT = (2.0, 5.0), (0.25, 0.25)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong with a call.

    Args:
        name: What it is called in the table.
        verdict: What the verdict table says of a POST that ends so.
        plan: What the server does with the call; None if the call never reaches it.
        address: Opens a context that gives the base URL at which nothing good is to be had.
        certificate: The server speaks TLS with this certificate, which is trusted.
        timeout: Seconds to connect and to read.
        waits: Seconds until the next try that the answer asks for.
        words: What the row's ``last_error`` has to say.
        asking: What a GET that ends so means; as the POST does, unless it is given.
    """

    name: str
    verdict: str
    plan: Any = None
    address: Callable[[], Any] | None = None
    certificate: Path | None = None
    timeout: tuple[float, float] = PATIENT
    waits: float = 0.0
    words: str = ""
    asking: str = ""

    @contextlib.contextmanager
    def serving(self, monkeypatch):
        """Give a base URL at which this fault is met."""
        if self.address is not None:
            with self.address() as base_url:
                yield base_url
            return
        context = None
        if self.certificate is not None:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(self.certificate))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
        with wire.serving(self.plan or wire.executed(), context=context) as server:
            yield server.base_url


@contextlib.contextmanager
def _nobody():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}/api/v1"


@contextlib.contextmanager
def _nowhere():
    yield "http://nowhere.invalid/api/v1"


@contextlib.contextmanager
def _full():
    """A queue of connections that nobody takes any from."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"


@contextlib.contextmanager
def _no_tls():
    with wire.serving(wire.executed()) as server:
        yield server.base_url.replace("http:", "https:")


HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 900\r\n"
STATUS_LINE = b"HTTP/1.1 201 Created\r\n"
CHUNKED = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 10 * 1024 * 1024 + 1


def _status(code: int, verdict: str, **more: Any) -> Fault:
    return Fault(
        name=str(code),
        verdict=verdict,
        plan=wire.answer(code, {"error": f"in words: {code}"}),
        words=str(code),
        **more,
    )


def _limited(name: str, code: int, retry_after: str, waits: float) -> Fault:
    plan = wire.answer(code, {"error": "slow down"}, Retry_After=retry_after)
    return Fault(name=name, verdict=NOT_SENT, plan=plan, waits=waits, words=str(code))


def _shape(name: str, body: Any, words: str, **headers: Any) -> Fault:
    return Fault(name=name, verdict=LOST, plan=wire.answer(201, body, **headers), words=words)


def _chunk(name: str, size: bytes) -> Fault:
    plan = wire.Close(CHUNKED + size + b'\r\n{"id": "x"}\r\n0\r\n\r\n')
    return Fault(name=name, verdict=LOST, plan=plan, words="broke off")


def _in_seconds(seconds: int) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


FAULTS = [
    # Before anything is sent
    Fault(name="refused", verdict=NOT_SENT, address=_nobody, words="refused"),
    Fault(name="DNS", verdict=NOT_SENT, address=_nowhere, words="nowhere.invalid"),
    Fault(name="TLS expired", verdict=NOT_SENT, certificate=EXPIRED, words="expired"),
    Fault(name="TLS wrong host", verdict=NOT_SENT, certificate=WRONG_HOST, words="127.0.0.1"),
    Fault(name="TLS absent", verdict=NOT_SENT, address=_no_tls),
    Fault(name="connect timeout", verdict=NOT_SENT, address=_full, timeout=SHORT),
    # The answer is slow or breaks off
    Fault(name="read timeout", verdict=LOST, plan=wire.Silence(), timeout=SHORT),
    Fault(name="reset before the head", verdict=LOST, plan=wire.Reset()),
    Fault(name="closed before the head", verdict=LOST, plan=wire.Close()),
    Fault(name="reset in the status line", verdict=LOST, plan=wire.Reset(b"HTTP/1.1 2")),
    Fault(name="reset in the head", verdict=LOST, plan=wire.Reset(HEAD)),
    Fault(name="reset in the body", verdict=LOST, plan=wire.Reset(HEAD + b"\r\n{")),
    Fault(name="closed in the body", verdict=LOST, plan=wire.Close(HEAD + b"\r\n{")),
    Fault(name="drip in the head", verdict=LOST, plan=wire.Drip(b"", HEAD * 9), timeout=SHORT),
    Fault(
        name="drip in the body",
        verdict=LOST,
        plan=wire.Drip(HEAD + b"\r\n{", b" " * 899),
        timeout=SHORT,
    ),
    Fault(
        name="drip in chunks",
        verdict=LOST,
        plan=wire.Drip(CHUNKED, b"1\r\n \r\n" * 99),
        timeout=SHORT,
    ),
    _chunk("a chunk of less than nothing", b"-5"),
    _chunk("a chunk of all that comes", b"-1"),
    _chunk("a chunk of less than any machine holds", b"-" + b"9" * 400),
    _chunk("a chunk of more than any machine holds", b"9" * 400),
    # Statuses
    _status(400, REJECTED, asking=LOST),
    _status(401, ACCOUNT),
    _status(403, ACCOUNT),
    _status(404, REJECTED, asking=GONE),
    _status(405, REJECTED, asking=LOST),
    _status(408, LOST),
    _status(409, LOST),
    _status(410, REJECTED, asking=GONE),
    _status(413, REJECTED, asking=LOST),
    _status(422, REJECTED, asking=LOST),
    _status(425, NOT_SENT),
    _limited("429 with seconds", 429, "90", 90),
    _limited("429 with a date", 429, _in_seconds(7200), 3600),
    _limited("429 with a past date", 429, "Wed, 21 Oct 2015 07:28:00 GMT", 0),
    _limited("429 with nonsense", 429, "soon, \x1b[31mreally", 0),
    _limited("429 with a negative", 429, "-5", 0),
    _limited("429 with an age", 429, "9" * 400, 86_000),
    _status(500, LOST),
    _status(502, LOST),
    _status(503, NOT_SENT),
    _limited("503 with seconds", 503, "60", 60),
    _status(504, LOST),
    _status(599, LOST),
    _status(999, LOST),
    Fault(
        name="redirect",
        verdict=REJECTED,
        plan=wire.answer(302, b"", Location="http://127.0.0.1:1/elsewhere"),
        words="302",
        asking=LOST,
    ),
    Fault(
        name="redirect that keeps the method",
        verdict=REJECTED,
        plan=wire.answer(308, b"", Location="//elsewhere.invalid/\x1b[31m"),
        words="308",
        asking=LOST,
    ),
    # Success, but what?
    _shape("HTML", b"<html><script>alert(1)</script>", "not JSON", Content_Type="text/html"),
    _shape("empty", b"", "empty"),
    Fault(name="204", verdict=LOST, plan=wire.answer(204, b""), words="empty"),
    _shape("truncated JSON", b'{"id": "0198', "not JSON"),
    _shape("a list", ["0198"], "not a JSON object"),
    _shape("a string", "0198", "not a JSON object"),
    _shape("null", None, "empty"),
    _shape("no id", {"status": "running"}, "'id'"),
    _shape("an id that is a number", {"id": 7}, "'id'"),
    _shape("an id that is too long", {"id": "x" * 65}, ""),
    _shape("an id that is a lone surrogate", {"id": "\ud800"}, "can be no id"),
    _shape("an id that is NUL", {"id": "a\0b"}, "can be no id"),
    _shape("an id that leads elsewhere", {"id": ".."}, "can be no id"),
    _shape("an id that leads nowhere", {"id": "."}, "can be no id"),
    _shape("not UTF-8", b'{"id": "\xff"}', "not JSON"),
    _shape("NaN", b'{"id": "x", "actions_count": NaN}', "NaN"),
    _shape("too deep", b'{"id": ' + b"[" * 100_000, "not JSON"),
    _shape("oversized", b'{"id": "' + b"x" * LARGE + b'"}', "larger than"),
    _shape(
        "a bomb",
        gzip.compress(b'{"id": "' + b"x" * LARGE + b'"}'),
        "larger than",
        Content_Encoding="gzip",
    ),
    _shape("wrong Content-Encoding", {"id": "x"}, "", Content_Encoding="gzip"),
    _shape(
        "cut Content-Encoding",
        gzip.compress(json.dumps({"id": "x" * 40}).encode())[:-12],
        "",
        Content_Encoding="gzip",
    ),
]

EVERY_FAULT = [pytest.param(fault, id=fault.name) for fault in FAULTS]
