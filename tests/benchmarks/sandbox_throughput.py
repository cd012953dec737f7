"""Measures how many calls a second the sandbox answers over kept-alive connections.

Run it alone: `python tests/benchmarks/sandbox_throughput.py`. The sandbox is a process of its own,
the callers are threads of this one; every execute call carries an idempotency key of its own.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk_test_benchmark"
HEAD = "Host: sandbox\r\nAuthorization: Bearer " + KEY + "\r\nContent-Type: application/json\r\n"


def main() -> None:
    """Print one line for each kind of call and number of connections."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=10_000, help="calls of each measurement")
    calls = options.parse_args().calls
    server = subprocess.Popen(
        [sys.executable, "-m", "embedworkflow_django.sandbox", "--port=0", f"--secret-key={KEY}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        base = urlsplit(server.stdout.readline().split()[-1])
        print("Calls a second that the sandbox answers, callers in another process.\n")
        print(f"{'call':<24}{'connections':>12}{'calls':>8}{'seconds':>9}{'per second':>12}")
        started = _one(base, _execute)
        for name, make in (("POST execute", _execute), ("GET execution", _retrieve(started))):
            for connections in (1, 4, 16):
                seconds = _measure(base, make, connections, calls)
                rate = calls / seconds
                print(f"{name:<24}{connections:>12}{calls:>8}{seconds:>9.2f}{rate:>12,.0f}")
    finally:
        server.terminate()
        server.communicate()


def _execute(path: str) -> bytes:
    data = {"order_id": 7, "total": 120, "email": "somebody@example.com"}
    body = json.dumps({"id_type": "key", "execution_data": data})
    return (
        f"POST {path}/workflows/order-fulfilment/execute HTTP/1.1\r\n{HEAD}"
        f"Idempotency-Key: {uuid.uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _retrieve(execution_id: str) -> Callable[[str], bytes]:
    return lambda path: f"GET {path}/executions/{execution_id} HTTP/1.1\r\n{HEAD}\r\n".encode()


def _one(base, make) -> str:
    with socket.create_connection((base.hostname, base.port)) as connection:
        return json.loads(_exchange(connection, make(base.path)))["id"]


def _exchange(connection, request) -> bytes:
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return body


def _measure(base, make, connections, calls) -> float:
    def work() -> None:
        with socket.create_connection((base.hostname, base.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(calls // connections):
                _exchange(connection, make(base.path))

    threads = [threading.Thread(target=work) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
