"""Sync: how an execution that the API runs is asked after, and until when. Over real HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from embedworkflow_django import services, sync
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.worker import Worker

from . import wire

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def db_alias():
    """The database of this file's tests."""
    return "default"


@pytest.fixture
def running(river):
    """An execution that the API runs, due to be asked after."""
    execution = river.execute()
    river.work()
    river.make_due()
    return execution


def asked(river):
    """Return the calls that asked after an execution."""
    return [c for c in river.sandbox.requests if c.method == "GET" and "/executions/" in c.path]


def test_an_execution_is_asked_after_until_it_is_final(river, running):
    """Counters, stats and template come with the polls, and the end ends them."""
    river.work()
    first = river.row()
    river.sandbox.advance(7200)
    river.make_due()
    river.work()
    row = river.row()

    assert (Status.RUNNING, 1, 0.0) == (first.status, first.actions_count, first.progress)
    assert {"aaaaaa"} <= set(first.stats)
    assert first.template["nodes"]
    assert (Status.COMPLETED, 1, 1.0) == (row.status, row.completed_actions_count, row.progress)
    assert (True, None, "") == (row.succeeded, row.due_at, row.claim)
    assert row.finished_at >= row.dispatched_at
    told = row.events.latest("at").detail
    assert (1, "completed") == (told["completed_actions_count"], told["remote_status"])
    river.work()
    assert 2 == len(asked(river))


def test_the_interval_doubles_up_to_the_cap(settings):
    """From the first to the cap, whatever the number of polls."""
    settings.EMBEDWORKFLOW = {"POLL": (1, 300, 86400)}

    seconds = [sync.interval(polls).total_seconds() for polls in (0, 1, 2, 8, 9, 10_000)]

    assert [1, 2, 4, 256, 300, 300] == seconds


def test_the_interval_of_days_ends_at_the_cap_too(settings):
    """However long the first is, and however often nothing was new."""
    day = 86400
    settings.EMBEDWORKFLOW = {"POLL": (day, 7 * day, 365 * day)}

    days = [sync.interval(polls) / timedelta(days=1) for polls in (0, 1, 2, 3, 31, 10_000)]

    assert [1, 2, 4, 7, 7, 7] == days


def three_waits(river):
    """Return how long the row waits after each of three turns, in seconds."""
    waits = []
    for _ in range(3):
        river.work()
        waits.append((river.row().due_at - river.row().synced_at).total_seconds())
        river.make_due()
    return waits


def test_polls_slow_down_while_nothing_moves_and_speed_up_when_something_does(river, running):
    """``polls`` counts the answers in a row that brought nothing."""
    assert [1, 2, 4] == three_waits(river)
    assert 2 == river.row().polls
    river.sandbox.advance(1800)
    river.sandbox.advance(7200)
    river.work()
    assert 0 == river.row().polls


def test_an_unchanged_poll_makes_no_event(river, running):
    """The history has what has moved, and so have the counts."""
    assert 1 == river.work().counts["moved"]
    count = river.row().events.count()
    for _ in range(3):
        river.make_due()
        assert 1 == river.work().counts["unchanged"]

    assert count == river.row().events.count()


@pytest.mark.parametrize("kind", [500, 503, "html", "lost", "truncated", "wrong_id", 429, 400])
def test_an_unanswered_poll_is_asked_again(river, running, kind):
    """Whatever goes wrong with asking changes nothing of the execution."""
    river.sandbox.faults.add(kind, method="GET")
    before = timezone.now()
    river.work()

    row = river.row()
    assert (Status.RUNNING, 1) == (row.status, row.polls)
    assert row.last_error
    # As after one answer that brought nothing.
    assert before + sync.interval(1) < row.due_at <= timezone.now() + timedelta(seconds=3)
    river.make_due()
    river.work()
    assert "" == river.row().last_error


def test_a_poll_honours_retry_after(river, running):
    """The API says when it wants to be asked."""
    river.sandbox.faults.add(429, method="GET", retry_after=120)
    river.work()

    assert timezone.now() + timedelta(seconds=115) < river.row().due_at


@pytest.mark.parametrize("status", [404, 410])
def test_an_execution_that_is_gone_three_times_over_an_hour_is_unknown(river, running, status):
    """It is no longer asked after, and says so; twice is not enough, and an answer forgives."""
    river.sandbox.faults.add(status, method="GET", times=2)
    for misses in (1, 2):
        river.work()
        row = river.row()
        assert (Status.RUNNING, misses) == (row.status, row.misses)
        assert timezone.now() + timedelta(minutes=29) < row.due_at
        river.make_due()
    river.work()
    assert (Status.RUNNING, 0) == (river.row().status, river.row().misses)
    river.sandbox.faults.add(status, method="GET", times=3)
    for _ in range(3):
        river.make_due()
        river.work()
    row = river.row()
    assert (Status.UNKNOWN, None, 3) == (row.status, row.due_at, row.misses)
    assert str(status) in row.last_error
    misses = [e.detail for e in row.events.order_by("pk") if "misses" in e.detail]
    assert [1, 2, 1, 2, 3] == [detail["misses"] for detail in misses]
    assert row.last_error == misses[-1]["error"]


def test_an_unheard_status_is_asked_after(river, running):
    """It is kept verbatim, shown as unknown, and counts as active."""
    river.sandbox.faults.add("unknown_status", method="GET")
    river.work()

    row = river.row()
    assert (Status.UNKNOWN, "marinating") == (row.status, row.remote_status)
    assert [row.pk] == [active.pk for active in river.rows().active()]
    river.make_due()
    river.work()
    assert Status.RUNNING == river.row().status


@pytest.mark.parametrize("fault", [None, 500], ids=["answered", "unanswered"])
def test_asking_ends_with_poll(river, running, fault):
    """After ``POLL``'s end, and not before, an execution is unknown; a refresh asks once more."""
    if fault:
        river.sandbox.faults.add(fault, method="GET", times=2)
    river.make_due(dispatched_at=timezone.now() - timedelta(days=29))
    river.work()
    assert (Status.RUNNING, True) == (river.row().status, river.row().due_at is not None)
    river.make_due(dispatched_at=timezone.now() - timedelta(days=30, seconds=1))
    river.work()

    row = river.row()
    assert (Status.UNKNOWN, None) == (row.status, row.due_at)
    assert row.last_error
    river.sandbox.advance(7200)
    services.refresh(row)
    river.work()
    assert Status.COMPLETED == river.row().status


def test_a_final_row_is_asked_once_more(river, running):
    """A refresh brings what the API says later; the status stays, and so does the end."""
    river.sandbox.advance(7200)
    river.work()
    row = river.row()
    river.sandbox.set_status(row.remote_id, "failed")
    services.refresh(row)
    river.work()

    after = river.row()
    assert (Status.COMPLETED, "failed", None) == (after.status, after.remote_status, after.due_at)
    assert (row.finished_at, row.announced_at) == (after.finished_at, after.announced_at)
    river.sandbox.faults.add(500, method="GET")
    services.refresh(after)
    river.work()
    assert (Status.COMPLETED, None) == (river.row().status, river.row().due_at)


def test_a_running_execution_can_be_stopped(river, running):
    """The worker has the API stop it, and then asks what became of it."""
    services.stop(river.row(), by="ann")
    river.work()

    row = river.row()
    assert (Status.STOPPED, None, "") == (row.status, row.stop_requested_at, row.last_error)
    assert 1 == row.stopped_actions_count
    assert ["stop"] == [e.detail["verb"] for e in row.events.filter(source="person")]
    assert ["stopped"] == [e.detail["stop"] for e in row.events.filter(source="poll")]


def test_an_api_that_cannot_stop_one_says_so(river, running):
    """The endpoint is unconfirmed: without it the execution runs on, and the row says why."""
    three_waits(river)
    river.sandbox.faults.add(404, method="POST", path="*/stop")
    services.stop(river.row())
    river.work()

    row = river.row()
    assert (Status.RUNNING, None, 0) == (row.status, row.stop_requested_at, row.polls)
    assert row.last_error.startswith("Not stopped: ")
    assert "404" in row.last_error
    assert row.last_error == row.events.latest("at").detail["stop"]


@pytest.mark.parametrize("status", [503, 502, 401])
def test_a_stop_that_got_no_answer_is_tried_again(river, running, status):
    """Until the API has said something of it; nor is one asked that is away."""
    river.sandbox.faults.add(status, method="POST", path="*/stop")
    services.stop(river.row())
    river.work()
    assert river.row().stop_requested_at is not None
    assert [] == asked(river)
    river.make_due()
    river.work()

    assert (Status.STOPPED, None) == (river.row().status, river.row().stop_requested_at)


@pytest.mark.parametrize("status", [500, 409])
def test_an_api_that_fails_to_stop_one_is_asked_what_becomes_of_it(river, running, status):
    """What cannot be stopped ends all the same, and then nothing more is to be stopped."""
    river.sandbox.faults.add(status, method="POST", path="*/stop", times=None)
    services.stop(river.row())
    river.work()
    row = river.row()
    assert (Status.RUNNING, True) == (row.status, row.stop_requested_at is not None)
    assert row.last_error.startswith("Not stopped: ")
    river.sandbox.advance(7200)
    river.make_due()
    river.work()

    row = river.row()
    assert (Status.COMPLETED, None) == (row.status, row.due_at)
    calls = len(river.sandbox.requests)
    services.refresh(row)
    river.work()
    assert ["GET"] == [call.method for call in river.sandbox.requests[calls:]]


def test_stopping_is_tried_no_more_often_than_is_asked(river, running):
    """The longer nothing moves, the longer is the wait between two tries."""
    river.sandbox.faults.add(500, method="POST", path="*/stop", times=None)
    services.stop(river.row())

    assert [1, 2, 4] == three_waits(river)


def test_a_refused_account_does_not_lose_what_runs(river, running):
    """Asking is put off while the account pauses, and nothing is counted."""
    river.sandbox.faults.add(401, method="GET")
    river.work()

    row = river.row()
    assert (Status.RUNNING, 0, 0, "") == (row.status, row.polls, row.misses, row.claim)
    assert row.due_at <= timezone.now()
    assert "401" in row.last_error


@pytest.mark.parametrize("word", ["failed", "stopped", "deleted", "completed"])
def test_every_end_is_an_end(river, running, heard, word):
    """Each final word of the API ends the execution, and is announced."""
    heard.connect("execution_finished")
    river.sandbox.set_status(river.row().remote_id, word)
    river.work()

    row = river.row()
    assert (word, None, word == "completed") == (row.status, row.due_at, row.succeeded)
    assert ["execution_finished"] == heard.names()


def test_a_number_that_the_database_writes_otherwise_is_no_news(settings):
    """PostgreSQL gives 1e23 back as an integer; what has not moved is asked after less often."""
    said = wire.executed(status="running", stats={"a": {"n": 1e23}}, log={"n": [1e23]}, more=-1e23)
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "DISPATCHER": "worker"}
    execution = services.execute("bake")
    with wire.serving(said) as server:
        settings.EMBEDWORKFLOW |= {"BASE_URL": server.base_url}
        for _ in range(4):
            Execution.objects.update(due_at=timezone.now())
            Worker(aliases=["default"]).run_until_idle()

    execution.refresh_from_db()
    assert (Status.RUNNING, 3, 1) == (execution.status, execution.polls, execution.events.count())
