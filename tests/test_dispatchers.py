"""Dispatchers: what a commit wakes, in processes that end, fork, and never look back."""

from __future__ import annotations

import sys
import threading
import types
from typing import ClassVar

import pytest
from django.core.signals import request_started
from django.db import connection, transaction
from django.test import Client

from embedworkflow_django import conf, dispatchers, services
from embedworkflow_django.models import Execution, Status

from . import programs
from .databases import EVERY_DATABASE
from .river import open_river

# Workers of other processes give signs of life to every database.
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def configuration(river):
    """The settings of a program that uses the thread dispatcher."""
    return {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "DISPATCHER": "thread",
        "TIMEOUT": [1, 2],
        "POLL": [60, 60, 3600],
    }


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_immediate_delivers_in_the_commit_hook(settings, alias):
    """This transaction's rows only, and not before it commits."""
    with open_river(settings, alias) as river:
        other = river.execute()
        river.configure(DISPATCHER="immediate")
        with transaction.atomic(using=alias):
            first = river.execute()
            assert [] == river.executed

        assert (Status.RUNNING, Status.QUEUED) == (river.row(first).status, river.row(other).status)


def test_immediate_asks_when_refreshed(river):
    """A verb's own row is worked on as well."""
    river.configure(DISPATCHER="immediate")
    row = river.execute()
    river.sandbox.advance(7200)
    services.refresh(row)

    assert Status.COMPLETED == river.row().status


def test_a_failing_dispatcher_does_not_reach_the_caller(river, caplog):
    """The row is committed; who will wake up will find it."""
    river.execute()
    river.configure(DISPATCHER="nobody")
    river.execute()

    assert 2 == Execution.objects.count()
    assert "nobody" in caplog.text


@pytest.mark.parametrize("given", ["sk_test", {"DISPATCHER": 5}, {"DISPATCHER": "nobody"}])
def test_a_dispatcher_that_there_is_not_breaks_no_request(settings, given):
    """The project's pages are there, whatever is wrong with our settings."""
    settings.EMBEDWORKFLOW = given

    assert 404 == Client().get("/nowhere/").status_code


def test_worker_wakes_nobody(river):
    """Only the worker command does the work."""
    threads = set(threading.enumerate())
    river.execute()

    assert (set(), []) == (set(threading.enumerate()) - threads, river.executed)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("thraed", "Did you mean 'thread'?"),
        ("nobody", "Known: celery, immediate, tasks, thread, worker."),
        ("nowhere.Dispatcher", "nowhere"),
        ("embedworkflow_django.conf.Account", "no subclass"),
        ("embedworkflow_django.conf.SETTING", "no subclass"),
    ],
)
def test_an_unknown_dispatcher_is_named(name, words):
    """With the way out."""
    with pytest.raises(conf.ConfigurationError, match=name) as caught:
        dispatchers.dispatcher_class(name)

    assert words in str(caught.value)


def test_a_dotted_path_is_a_dispatcher(river, settings):
    """A project may bring its own."""
    river.configure(DISPATCHER="tests.test_dispatchers.Remembering")
    with transaction.atomic():
        row = river.execute()
        assert [] == Remembering.woken
    Client().get("/nowhere/")

    assert [("default", [row.pk]), "request"] == Remembering.woken


class Remembering(dispatchers.Dispatcher):
    """Remembers what it was told."""

    woken: ClassVar[list] = []

    def wake(self, using, ids):
        """Remember the rows."""
        self.woken.append((using, list(ids)))

    def request(self):
        """Remember the request."""
        self.woken.append("request")


def test_a_dispatcher_has_to_wake_somebody():
    """The base class is no dispatcher."""
    with pytest.raises(NotImplementedError):
        dispatchers.Dispatcher().wake("default", [])


def test_a_script_with_one_save_delivers_before_it_ends(river, configuration):
    """A short-lived process goes on for a moment."""
    programs.run('services.execute("bake")', configuration=configuration)

    assert Status.RUNNING == river.row().status
    assert "" == river.row().claim


def test_a_script_does_not_wait_for_ever(river, configuration):
    """What cannot be delivered in a moment is left to others, and the process ends."""
    river.sandbox.faults.add("latency", seconds=0.4, times=None)
    programs.run(
        'services.execute_many([{"workflow": "bake"}] * 100)',
        configuration=configuration | {"CONCURRENCY": 2},
    )

    delivered = river.rows().filter(status=Status.RUNNING).count()
    assert 0 < delivered < 100
    # At most what was in flight keeps its lease.
    assert river.rows().queued().exclude(claim="").count() <= 2


def test_a_fork_after_the_first_commit_delivers(river, configuration):
    """A child has none of its parent's threads, and makes its own."""
    connection.close()
    programs.run(
        """
        import time
        services.execute("bake", {"who": "parent"})
        while Execution.objects.queued().exists(): time.sleep(0.01)
        connection.close()
        child = os.fork()
        services.execute("bake", {"who": "child" if child == 0 else "parent again"})
        if child == 0:
            while Execution.objects.queued().filter(execution_data__who="child").exists():
                time.sleep(0.01)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        configuration=configuration,
    )

    assert 3 == river.rows().filter(status=Status.RUNNING).count()
    assert 3 == len(river.executed)


def test_a_child_that_python_does_not_know_of_delivers(river, configuration):
    """A server may fork without Python's hooks; its child has no thread, whatever Python says."""
    connection.close()
    programs.run(
        """
        import ctypes, time
        from embedworkflow_django import dispatchers
        services.execute("bake")
        while Execution.objects.queued().exists(): time.sleep(0.01)
        connection.close()
        # Its threads are at no database, and on their way there.
        worker, libc = dispatchers.current()._thread.worker, ctypes.PyDLL(None)
        with worker._desk._lock, worker._lectern._lock:
            worker.wake()
            time.sleep(0.1)
            child = libc.fork()
        if child == 0:
            services.execute("bake", {"who": "child"})
            ends = time.monotonic() + 20
            while Execution.objects.queued().exists() and time.monotonic() < ends:
                time.sleep(0.01)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        dispatchers.current().close()
        """,
        configuration=configuration,
    )

    assert [1, 1] == [row.attempts for row in river.rows()]
    assert 2 == len(river.executed)


def test_a_request_starts_the_worker(river, configuration):
    """What an earlier process left goes on without a commit in this one."""
    river.execute()
    programs.run(
        """
        import time
        from django.core.signals import request_started
        request_started.send(None)
        while Execution.objects.queued().exists(): time.sleep(0.01)
        """,
        configuration=configuration,
    )

    assert Status.RUNNING == river.row().status


def test_a_server_without_threads_is_told(river, caplog, monkeypatch):
    """Nobody runs the system checks under uWSGI, so the log has it as well."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt={}))
    dispatcher = dispatchers.ThreadDispatcher()
    dispatcher.request()
    dispatcher.close()

    assert "--enable-threads" in caplog.text


def test_the_thread_is_started_once(river, configuration):
    """However many commits and requests there are."""
    printed = programs.run(
        """
        import threading
        from django.core.signals import request_started
        for _ in range(20):
            services.execute("bake")
            request_started.send(None)
        print([t.name for t in threading.enumerate()].count("embedworkflow-worker"))
        """,
        configuration=configuration,
    )

    assert "1" == printed.strip()
    assert 20 == river.rows().filter(status=Status.RUNNING).count()


def test_a_thread_that_has_died_is_replaced(river, configuration):
    """A worker that cannot even begin is logged, and the next commit tries anew."""
    programs.run(
        """
        settings.EMBEDWORKFLOW["CONCURRENCY"] = 2
        services.execute("bake")
        import time
        from embedworkflow_django import dispatchers
        running = dispatchers.current()
        while Execution.objects.queued().exists(): time.sleep(0.01)
        running._thread.worker.stop()
        running._thread.join(10)
        services.execute("bake")
        while Execution.objects.queued().exists(): time.sleep(0.01)
        """,
        configuration=configuration,
    )

    assert 2 == river.rows().filter(status=Status.RUNNING).count()


def test_request_started_is_heard():
    """The receiver is connected when the app is ready."""
    assert request_started.has_listeners()


def test_what_never_ran_can_be_closed():
    """Every dispatcher can be told to end, whether or not it has begun."""
    threads = set(threading.enumerate())
    for name in dispatchers.SHORT_NAMES:
        dispatchers.dispatcher_class(name)().close()

    assert set() == set(threading.enumerate()) - threads


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_worker_that_cannot_go_on_is_replaced(river, caplog):
    """A setting without sense ends it with a log entry; once mended, the next commit goes out."""
    river.configure(LEASE="soon")
    dispatcher = dispatchers.ThreadDispatcher()
    river.execute()
    dispatcher.wake("default", [])
    dispatcher._thread.join(20)
    river.configure()
    dispatcher.wake("default", [])
    dispatcher.close()

    assert "The worker has ended" in caplog.text
    assert "LEASE" in caplog.text
    assert Status.RUNNING == river.row().status


NO_MORE_THREADS = {
    "an interpreter that is ending": """
        atexit.register(drain)
    """,
    "a machine without memory for a stack": """
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, resource.RLIM_INFINITY))
        threading.stack_size(2**40)
        drain()
    """,
}


@pytest.mark.parametrize("ending", NO_MORE_THREADS.values(), ids=NO_MORE_THREADS)
def test_what_gets_no_more_threads_does_without(river, configuration, ending):
    """Some Pythons start none while they end: calls and receivers run in the caller's thread."""
    printed = programs.run(
        """
        import atexit, resource, threading
        from embedworkflow_django import signals
        from embedworkflow_django.worker import Worker
        def receive(execution, **kwargs):
            print("finished", execution.workflow, flush=True)
        signals.execution_finished.connect(receive)
        services.execute("bake")
        services.execute("nope")
        def drain():
            Worker(aliases=[ALIAS]).run_until_idle()
        """
        + ending,
        configuration=configuration | {"DISPATCHER": "worker"},
    )

    assert "finished nope\n" == printed
    assert {Status.RUNNING, Status.UNDELIVERABLE} == {row.status for row in river.rows()}
    assert 1 == river.rows().filter(announced_at__isnull=False).count()
