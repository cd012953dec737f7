"""Connections: an account's client is one for all threads, over real HTTP."""

from __future__ import annotations

import sys
import threading

import pytest

from embedworkflow_django import connections, exceptions

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


def test_a_client_is_what_the_settings_say(server, settings):
    """Each of them that is about the wire reaches the wire."""
    settings.EMBEDWORKFLOW = {
        **settings.EMBEDWORKFLOW,
        "IDEMPOTENCY_HEADER": "X-Once",
        "MAX_ANSWER_SIZE": 1_000,
        "TIMEOUT": (0.3, 0.2),
    }
    connections.client().execute_workflow("w", idempotency_key="k")
    assert server.request.headers["x-once"] == "k"
    server.plan(wire.answer(201, b" " * 1_001), wire.Silence())
    with pytest.raises(exceptions.InvalidAnswer, match="larger than 1000 bytes"):
        connections.client().execute_workflow("w")
    with pytest.raises(exceptions.AnswerLost, match=r"read timeout=0\.2"):
        connections.client().execute_workflow("w")


def test_a_client_is_made_anew_when_its_settings_change(server, settings):
    """Also where nobody is told of it, as by a project that renews its key in the dict."""
    first = connections.client()
    first.execute_workflow("w")
    assert connections.client() is first
    settings.EMBEDWORKFLOW["SECRET_KEY"] = "sk_test_y"
    connections.client().execute_workflow("w")

    authorizations = [request.headers["authorization"] for request in server.requests]
    assert authorizations == ["Bearer sk_test_x", "Bearer sk_test_y"]
