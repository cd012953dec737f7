"""Measures what the client costs beside a bare requests loop and a bare prepared request.

Three contenders send the same POST over a kept-alive connection to one stub server in a process of
its own, in turns, so that a noisy machine is noisy for all of them. Run it with::

    python -m tests.benchmarks.client_floor [--rounds 15] [--calls 300] [--json]

It prints calls per second and, per contender, the median and quartiles of the per-round ratio of
its rate to that of the bare ``Session.post`` loop. It asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import threading
import time
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

from embedworkflow_django.client import Client

EXAMPLE = {
    "id": "0198c2e9-cc9f-7277-af8a-40c7ef19273a",
    "hashid": "6opb4",
    "key": "workflow_15",
    "name": "Workflow 15",
    "object": "execution",
    "status": "running",
    "execution_data": {"user_name": "John Doe"},
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
KEY = "sk_test_benchmark"
DATA = {"user_name": "John Doe", "order": 4711}
PATH = "/workflows/0198c2e9-c1a7-776d-99a1-9416552d184f/execute"


def serve(listener):
    """Answer every request with the documented example, for as little as Python allows."""
    body = json.dumps(EXAMPLE).encode()
    answer = (
        b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Request-Id: r\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer_all, args=(connection, answer), daemon=True).start()


def _answer_all(connection, answer):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
        head, found, rest = received.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(rest) >= length:
                received = rest[length:]
                connection.sendall(answer)


def session_post(base_url):
    """Return the bare loop that most people would write."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {KEY}"

    def call(number):
        response = session.post(
            base_url + PATH,
            json={"execution_data": DATA},
            headers={"Idempotency-Key": f"key-{number}"},
            timeout=(3.05, 20),
        )
        response.raise_for_status()
        return response.json()["id"]

    return call


def prepared(base_url):
    """Return the floor: one prepared request, sent again and again through the adapter."""
    session = requests.Session()
    url = base_url + PATH
    request = session.prepare_request(
        requests.Request(
            "POST",
            url,
            data=json.dumps({"execution_data": DATA}),
            headers={
                "Authorization": f"Bearer {KEY}",
                "Content-Type": "application/json",
                "Idempotency-Key": "key",
            },
        )
    )
    options = session.merge_environment_settings(url, {}, False, None, None)
    adapter = HTTPAdapter()

    def call(number):
        response = adapter.send(request, timeout=(3.05, 20), **options)
        return json.loads(response.content)["id"]

    return call


def ours(base_url):
    """Return the client, with all that it checks."""
    client = Client(secret_key=KEY, base_url=base_url)
    workflow = PATH.split("/")[2]

    def call(number):
        return client.execute_workflow(
            workflow, execution_data=DATA, idempotency_key=f"key-{number}"
        ).id

    return call


def measure(call, calls):
    """Return calls per second."""
    begun = time.perf_counter()
    for number in range(calls):
        call(number)
    return calls / (time.perf_counter() - begun)


def main():
    """Run the contenders in turns, forwards and backwards, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds should be 2 at least: quartiles need them.")
    listener = socket.create_server(("127.0.0.1", 0))
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener,), daemon=True
    )
    server.start()
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
    contenders = {
        "Session.post": session_post(base_url),
        "HTTPAdapter.send": prepared(base_url),
        "Client": ours(base_url),
    }
    rates = {name: [] for name in contenders}
    for call in contenders.values():
        measure(call, 50)
    for turn in range(arguments.rounds):
        for name in sorted(contenders, reverse=bool(turn % 2)):
            rates[name].append(measure(contenders[name], arguments.calls))
    server.terminate()
    report(rates, as_json=arguments.json)


def report(rates, *, as_json):
    """Print rates, and the ratios round by round."""
    rows = []
    for name, values in rates.items():
        ratios = [value / floor for value, floor in zip(values, rates["Session.post"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rate = round(statistics.median(values))
        rows.append({"name": name, "rate": rate, "ratio": middle, "low": low, "high": high})
    if as_json:
        print(json.dumps({"source": Path(__file__).name, "rows": rows}))
        return
    print(f"{'':18}{'calls/s':>9}{'ratio':>8}{'quartiles':>14}")
    for row in rows:
        print(
            f"{row['name']:18}{row['rate']:>9}{row['ratio']:>8.2f}"
            f"{row['low']:>8.2f} to {row['high']:.2f}"
        )


if __name__ == "__main__":
    main()
