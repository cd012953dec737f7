"""Connections: an account's client is one for all threads, over real HTTP."""

from __future__ import annotations

import sys
import threading

import pytest

from embedworkflow_django import connections

from . import wire

THREADS = 8


@pytest.fixture
def server(settings):
    """An API that knows every execution, and settings that lead to it."""
    with wire.serving(wire.executed()) as serving:
        settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_x", "BASE_URL": serving.base_url}
        yield serving
    connections.drop()


@pytest.fixture(autouse=True)
def busy_interpreter():
    """Let threads take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_that_come_together_share_a_client(server):
    """Each connects once, for whoever makes the client makes it for all of them."""
    for _ in range(10):
        connections.drop()
        before = server.connections
        start = threading.Barrier(THREADS)

        def call(start=start):
            start.wait()
            for _ in range(2):
                connections.client().execute_workflow("w")

        threads = [threading.Thread(target=call) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert server.connections - before == THREADS
