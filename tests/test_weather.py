"""The short form of ``python -m tests.weather``, and what forks of this process ask of us."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from django.db import connection

from embedworkflow_django.sandbox import Sandbox

from . import programs
from .weather.scenes import SCENES, SLOW, play

SHORT = {
    "autoreload": (SCENES["autoreload"], 40),
    "sigterm": (SCENES["sigterm"], 40),
    # Of so many, most are not sent in the two seconds that a process goes on.
    "exit": (replace(SCENES["exit"], latency=SLOW), 150),
    "fork": (SCENES["fork"], 100),
}


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize(("scene", "size"), SHORT.values(), ids=SHORT)
def test_whatever_the_weather_nothing_is_lost_and_nothing_doubled(scene, size):
    """Each process ends in time, and what it has left is executed once, by others."""
    outcome = play(scene, size)

    assert outcome.is_sound, outcome
    assert outcome.committed == outcome.started >= len(outcome.answered) > 0


USED = {
    "keys": """
        from embedworkflow_django.keys import uuid7 as use
    """,
    "connections": """
        from embedworkflow_django import connections
        def use():
            connections.drop()
            connections.client()
    """,
    "lanes": """
        from embedworkflow_django import lanes
        def use():
            lanes.Lane("default", concurrency=1).room()
    """,
    "messengers": """
        from contextlib import nullcontext
        from embedworkflow_django.messenger import Messenger
        messenger = Messenger(lambda: nullcontext(print), towards="nobody", spacing=60)
        use = lambda: messenger.wake("default", after=60)
    """,
}


@pytest.mark.parametrize("use", USED.values(), ids=USED)
def test_a_child_of_a_fork_waits_for_no_thread_of_its_parent(use, monkeypatch):
    """Whatever a thread of the parent is in at that moment, the child does not have it."""
    # Coverage has locks of its own, which a fork leaves held.
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        monkeypatch.delenv(name)
    programs.run(
        f"""{use}
        import signal, threading
        def use_on():
            while True:
                use()
        sys.setswitchinterval(1e-6)
        threading.Thread(target=use_on, daemon=True).start()
        for _ in range(100):
            if (child := os.fork()) == 0:
                signal.alarm(30)
                use()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        os._exit(0)
        """,
        configuration={"SECRET_KEY": "sk_test_fork", "DISPATCHER": "worker", "RATE": 5},
    )


IMPORTS = """
from embedworkflow_django import connections, exceptions
client = connections.client()
loaded = set(sys.modules)
client.execute_workflow("welcome", id_type="key")
try:
    client.execute_workflow("nowhere")
except exceptions.NotFound:
    pass
assert loaded == set(sys.modules), set(sys.modules) - loaded
"""


def test_a_call_imports_nothing():
    """A child of a fork in the middle of an import would have half of a module for ever."""
    with Sandbox() as sandbox:
        sandbox.add_workflow("welcome")
        configuration = {"SECRET_KEY": sandbox.secret_key, "BASE_URL": sandbox.base_url}
        programs.run(IMPORTS, configuration=configuration)


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_receiver_forks_and_a_slow_one_holds_up_no_fork(river):
    """Who forks does not wait for himself, nor for long for anybody else."""
    connection.close()
    printed = programs.run(
        """
        import threading, time
        from embedworkflow_django import signals
        busy, forked = threading.Event(), threading.Event()
        def fork():
            if (child := os.fork()) == 0:
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        def receive(execution, **kwargs):
            if execution.execution_data["does"] == "fork":
                print("receiver", fork())
            else:
                busy.set()
                assert forked.wait(30)
        signals.execution_finished.connect(receive)
        def announced():
            return not Execution.objects.filter(announced_at=None).exists()
        services.execute("nowhere", {"does": "fork"})
        while not announced(): time.sleep(0.01)
        services.execute("nowhere", {"does": "wait"})
        assert busy.wait(30)
        print("meanwhile", fork())
        forked.set()
        while not announced(): time.sleep(0.01)
        """,
        configuration={
            "SECRET_KEY": river.sandbox.secret_key,
            "BASE_URL": river.sandbox.base_url,
            "DISPATCHER": "thread",
        },
    )

    assert "receiver 7\nmeanwhile 7\n" == printed
    assert [1, 1] == [row.attempts for row in river.rows()]
