"""Mutated answers: a documented one, spoilt in its structure, its bytes, and its head."""

from __future__ import annotations

import copy
import gzip
import json
import random
import zlib
from typing import Any

NODES = [
    {"id": "aaaaaa", "name": "Wait", "type": "Delay", "position": {"x": 0, "y": 1}},
    {"id": "bbbbbb", "name": "Post", "type": "Webhook", "description": "calls us"},
]
EXECUTION: dict[str, Any] = {
    "object": "execution",
    "id": "",
    "hashid": "p6Z",
    "key": "bake",
    "name": "Bake a cake",
    "status": "running",
    "execution_data": {"cake": 1},
    "log": {"items": [{"node": "aaaaaa", "message": "went well"}]},
    "actions_count": 2,
    "idle_actions_count": 0,
    "running_actions_count": 1,
    "completed_actions_count": 1,
    "failed_actions_count": 0,
    "stopped_actions_count": 0,
    "created_at": "2025-08-20T10:11:12-04:00",
    "created_at_string": "Aug 20, 10:11 AM",
    "created_at_utc": "2025-08-20T14:11:12Z",
    "stats": {
        "aaaaaa": {"status": "completed", "run_at": "2025-08-20T14:11:12Z"},
        "aaaaaa->bbbbbb": {"count": 1},
    },
    "template": {"nodes": NODES, "edges": [{"source": "aaaaaa", "target": "bbbbbb"}]},
}
WORDS = ["running", "upcoming", "completed", "failed", "stopped", "deleted", "marinating", ""]
MARK = "<script>alert(1)</script>"
NASTY: list[Any] = [
    *WORDS,
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**31 - 1,
    2**31,
    2**63,
    -(2**64),
    10**400,
    [],
    {},
    [[]],
    {"": ""},
    {"\0": "\0"},
    {"__class__": "x", "__proto__": 1},
    "\0",
    "\ud800",
    "\udfff\ud800",
    "\\ud800",
    "\\u0000",
    "\u202e\u2066\u200b",
    "\x1b[31;1m\x07\x9b",
    "\r\nX-Forged: 1\r\n\r\n",
    MARK,
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% debug %}",
    "=cmd|' /C calc'!A0",
    "%s%n%(key)s{0.__class__}",
    "../../etc/passwd",
    "x" * 300,
    "🍰" * 70,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "2025-02-30T25:61:00Z",
    "-271821-04-20T00:00:00Z",
    "2025-08-20",
    float("nan"),
    float("inf"),
    {"a": [{"b": [{"c": None}]}] * 3},
]
STATUSES = [200, 201] * 12 + [
    100, 101, 199, 202, 204, 206, 226, 300, 302, 304, 308, 400, 401, 403, 404, 405, 407, 408, 409,
    410, 413, 418, 422, 425, 429, 429, 499, 500, 502, 503, 503, 504, 599, 600, 999, 0, 99,
]  # fmt: skip
HEADERS: list[tuple[str, list[str]]] = [
    ("Retry-After", ["0", "-1", "5", "1e9", "9" * 400, "soon", "٣", " 7 ", "\x00", "1.5",
                     "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -9999"]),
    ("Content-Encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity", "x\x1b"]),
    ("Content-Type", ["text/html", "application/json; charset=utf-16", "\x1b[31m", "", "a" * 999]),
    ("Content-Length", ["0", "1", "99999", "-1", "x", "1, 2", "9" * 30]),
    ("Transfer-Encoding", ["chunked", "gzip", "Chunked", "identity"]),
    ("Location", ["http://elsewhere.invalid/", "//x", "\x1b]0;x\x07", "file:///etc/passwd", "?"]),
    ("Connection", ["close", "keep-alive", "upgrade"]),
    ("X-Request-Id", ["abc", "\x1b[2J", MARK, "x" * 5_000, "é\xff"]),
    ("Set-Cookie", ["a=b; Domain=.invalid", "\x00=\x00"]),
    ("X-Long", ["y" * 70_000]),
    ("", ["no name"]),
    ("Bad Name", ["1"]),
    ("Folded", ["a\r\n b"]),
    ("Colonless\r\nX", ["1"]),
]  # fmt: skip


def answer(rng: random.Random, remote_id: str) -> bytes:
    """Return the bytes of one answer, more or less about an execution."""
    document: Any = {**copy.deepcopy(EXECUTION), "id": remote_id}
    if rng.random() < 0.7:
        document["status"] = rng.choice(WORDS)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        document = _spoilt(rng, document)
    body = _body(rng, document)
    if rng.random() < 0.25:
        body = _bytes_spoilt(rng, body)
    return _message(rng, body)


def _spoilt(rng: random.Random, document: Any) -> Any:
    """Change one thing somewhere in a JSON document."""
    if not isinstance(document, (dict, list)) or rng.random() < 0.02:
        return copy.deepcopy(rng.choice(NASTY))
    parent, place = document, None
    while isinstance(parent, (dict, list)) and parent:
        place = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
        if not isinstance(parent[place], (dict, list)) or rng.random() < 0.4:
            break
        parent = parent[place]
    if place is None or not parent:
        return document
    match rng.randrange(6):
        case 0 if isinstance(parent, dict):
            del parent[place]
        case 1 if isinstance(parent, dict):
            parent[rng.choice(["new", "\0", MARK, "k" * 300, "é"])] = parent[place]
        case 2:
            parent[place] = [parent[place]] * rng.choice((0, 1, 50))
        case 3:
            parent[place] = _nested(rng, parent[place])
        case _:
            parent[place] = copy.deepcopy(rng.choice(NASTY))
    return document


def _nested(rng: random.Random, value: Any) -> Any:
    for _ in range(rng.choice((1, 5, 60, 200))):
        value = {"d": value} if rng.random() < 0.5 else [value]
    return value


def _body(rng: random.Random, document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    encoding = rng.choice(("utf-8",) * 9 + ("utf-16", "utf-8-sig", "latin-1"))
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def _bytes_spoilt(rng: random.Random, body: bytes) -> bytes:
    content = bytearray(body)
    for _ in range(rng.choice((1, 1, 3, 20))):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0:
                content[at:] = b""
            case 1:
                content[at:at] = rng.randbytes(rng.choice((1, 2, 40)))
            case 2:
                del content[at : at + rng.choice((1, 5, 100))]
            case 3:
                content[at:at] = content[at : at + 50]
            case _ if content:
                content[at % len(content)] ^= 1 << rng.randrange(8)
    return bytes(content)


def _message(rng: random.Random, body: bytes) -> bytes:
    fields = [("Content-Type", "application/json")]
    coding = rng.random()
    if coding < 0.06:
        body, name = (gzip.compress(body, 1), "gzip") if coding < 0.03 else (
            zlib.compress(body, 1), "deflate")  # fmt: skip
        fields.append(("Content-Encoding", name))
    if rng.random() < 0.08:
        fields.append(("Transfer-Encoding", "chunked"))
        body = _chunked(rng, body)
    else:
        fields.append(("Content-Length", str(len(body))))
    for _ in range(rng.choice((0, 0, 0, 1, 2, 5))):
        name, values = rng.choice(HEADERS)
        fields.insert(rng.randrange(len(fields) + 1), (name, rng.choice(values)))
    line = f"HTTP/1.1 {rng.choice(STATUSES)} Said"
    if rng.random() < 0.01:
        line = rng.choice(["HTTP/9.9 200", "ICY 200 OK", "", "HTTP/1.1 two OK", "HTTP/1.0 200 OK"])
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    message = f"{line}\r\n{head}\r\n".encode("latin-1", "replace") + body
    return _bytes_spoilt(rng, message) if rng.random() < 0.1 else message


def _chunked(rng: random.Random, body: bytes) -> bytes:
    parts, at = [], 0
    while at < len(body):
        size = rng.choice((1, 64, 4096))
        told = size if rng.random() < 0.98 else rng.choice((0, size + 1, 2**40))
        parts.append(b"%x\r\n%s\r\n" % (min(told, 2**40), body[at : at + size]))
        at += size
    return b"".join(parts) + (b"0\r\n\r\n" if rng.random() < 0.95 else b"")
