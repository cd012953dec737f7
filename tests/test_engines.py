"""Engines: what a shift does with wake-ups that come meanwhile, and which ones it sends."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connections

from embedworkflow_django import conf, dispatchers, signals
from embedworkflow_django.engines import Shifts
from embedworkflow_django.messenger import Messenger
from embedworkflow_django.models import Status

from . import programs

# Workers of other processes give signs of life to every database.
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def sent():
    """The wake-ups that were sent, each as the seconds after which it arrives."""
    return []


@pytest.fixture
def messenger(sent):
    """A messenger whose other end only remembers."""

    @contextmanager
    def opened():
        yield lambda using, after: sent.append(round(after))

    return Messenger(opened, towards="a list", spacing=0.01)


@contextmanager
def meanwhile(act):
    """Do something once, while the first execution of a shift is announced."""
    todo = [act]

    def receive(execution, **arguments):
        if todo:
            todo.pop()()

    signals.execution_dispatched.connect(receive)
    try:
        yield
    finally:
        signals.execution_dispatched.disconnect(receive)


def test_a_shift_without_work_sends_no_more_than_its_lease_s_timer(river, messenger, sent):
    """One for the case that it is killed, which serves the next shifts as well."""
    shifts = Shifts(messenger)
    shifts.work(river.alias)
    shifts.work(river.alias)

    assert [round(conf.settings.lease.total_seconds())] == sent


def test_a_database_that_is_unknown_is_refused_before_a_timer_is_set(messenger, sent):
    """Or the timer of each failure would bring the next one, for ever."""
    with pytest.raises(conf.ConfigurationError, match=r"'defualt'.*Did you mean 'default'\?"):
        Shifts(messenger).work("defualt")

    assert [] == sent


def test_a_wake_up_during_a_shift_has_it_look_again(river, messenger, sent):
    """What was committed meanwhile is sent by the same shift, without a message."""
    river.configure(POLL=(3600, 3600, 7200))
    shifts = Shifts(messenger)

    def commit():
        river.execute()
        shifts.work(river.alias)  # Leaves word, for this process has a shift on.

    river.execute()
    with meanwhile(commit):
        shifts.work(river.alias)

    assert 2 == river.rows().filter(status=Status.RUNNING).count()
    assert 0 not in sent


def test_what_became_due_without_a_wake_up_gets_one(river, messenger, sent):
    """Whoever finishes knows what comes next, and nobody needs a beat."""
    river.configure(POLL=(3600, 3600, 7200))
    river.execute()
    with meanwhile(river.execute):
        Shifts(messenger).work(river.alias)

    assert 1 == river.rows().queued().count()
    assert 0 in sent


def test_a_shift_that_has_lasted_long_leaves_the_rest_to_the_next(river, messenger, sent):
    """The engine has other tasks as well; word that was left becomes a wake-up."""
    river.configure(POLL=(3600, 3600, 7200))
    river.sandbox.faults.add("latency", seconds=0.5, times=None)
    shifts = Shifts(messenger, longest=0.3)

    def commit():
        river.execute()
        shifts.work(river.alias)

    river.execute()
    with meanwhile(commit):
        shifts.work(river.alias)

    assert 1 == river.rows().queued().count()
    assert 0 in sent


def test_a_database_that_is_away_is_not_waited_for(river, messenger, sent, log_watch):
    """Others need the engine's slot; what could not be written is done again by its timer."""
    river.configure(POLL=(3600, 3600, 7200), LEASE=100)
    row = river.execute()

    def away(execute, sql, *rest):
        if "remote_id" in sql.partition(" WHERE ")[0].partition(" SET ")[2]:
            raise OperationalError("away")
        return execute(sql, *rest)

    with connections[river.alias].execute_wrapper(away):
        Shifts(messenger).work(river.alias)

    assert "execution_left" in log_watch.seen
    assert round(conf.settings.lease.total_seconds()) in sent
    river.make_due()
    river.work()
    assert Status.RUNNING == river.row(row).status
    assert 1 == len(river.sandbox.executions)


def test_a_timer_is_left_to_a_backend_that_can_hold_it(river):
    """A task for later says when, also where it can be enqueued only at the second try."""
    printed = programs.run(
        """
        from importlib.util import find_spec
        from importlib import import_module
        tasks = "django.tasks" if find_spec("django.tasks") else "django_tasks"
        settings.TASKS = {"default": {"BACKEND": f"{tasks}.backends.dummy.DummyBackend"}}
        from embedworkflow_django.engines.tasks import _messenger, work
        said = []
        def say(task_result, **arguments):
            said.append(task_result)
            if len(said) == 1:
                raise OSError("The backend's database is away.")
            print(task_result.args == [ALIAS], task_result.task.run_after is not None)
        import_module(f"{tasks}.signals").task_enqueued.connect(say)
        work.call(ALIAS)
        assert _messenger.flush(20)
        """,
        configuration={"SECRET_KEY": river.sandbox.secret_key, "DISPATCHER": "worker"},
    )

    assert "True True\n" == printed


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    """Whoever sets the dispatcher is told what to install."""
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "embedworkflow_django.engines.celery", raising=False)
    with pytest.raises(conf.ConfigurationError, match=r"embedworkflow-django\[celery\]"):
        dispatchers.dispatcher_class("celery")
