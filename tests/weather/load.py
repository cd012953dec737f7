"""The load: a few clients post at a time, each request under a name of its own, and are timed."""

from __future__ import annotations

import http.client
import itertools
import statistics
import threading
import time
from dataclasses import dataclass, field

CLIENTS = 4
PATIENCE = 30.0
PAUSE = 0.1


@dataclass
class Answers:
    """What the clients were told.

    Args:
        names: The names of the requests that were answered with 200.
        seconds: How long each of those took.
        failures: How the others failed.
    """

    names: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def quantile(self, percent: int) -> float:
        """Return how long the quickest so many per cent took at the most, in milliseconds."""
        return 1000 * statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


_numbers = itertools.count(1)


def get(port: int) -> bool:
    """Return whether the server serves."""
    try:
        return _ask(port, "GET", "/") == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def post(port: int, path: str, count: int, answers: Answers) -> None:
    """Post so many requests, and add what came of them to the answers."""
    names = iter([f"{path}-{next(_numbers)}" for _ in range(count)])
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                name = next(names, None)
            if name is None:
                return
            began = time.perf_counter()
            try:
                status = _ask(port, "POST", f"/{path}?name={name}")
            except (OSError, http.client.HTTPException) as error:
                answers.failures.append(f"{name}: {error!r}")
                time.sleep(PAUSE)  # It may be starting again.
                continue
            if status == http.client.OK:
                answers.seconds.append(time.perf_counter() - began)
                answers.names.append(name)
            else:
                answers.failures.append(f"{name}: {status}")

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
