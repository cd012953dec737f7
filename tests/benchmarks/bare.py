"""The floor of ``delivery.py``: the same POSTs with ``requests``, and nothing recorded.

``bare.py URL COUNT THREADS``; no threads is a loop.
"""

from __future__ import annotations

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import local

import requests


def post_all(url: str, count: int, threads: int) -> None:
    """POST from each thread with a session of its own."""
    mine = local()

    def post(number: int) -> None:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
            mine.session.headers["Authorization"] = "Bearer sk_test_of_the_benchmarks"
        answer = mine.session.post(
            f"{url}/workflows/benchmark/execute",
            json={"id_type": "key", "execution_data": {"number": number}},
            headers={"Idempotency-Key": str(uuid.uuid4())},
            timeout=(3, 20),
        )
        answer.raise_for_status()
        answer.json()

    if not threads:
        for number in range(count):
            post(number)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, range(count)))


if __name__ == "__main__":
    post_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
