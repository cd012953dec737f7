"""Delivery: every way a POST can end, and the verdict that its row gets. Over real HTTP."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from embedworkflow_django import delivery, services
from embedworkflow_django.models import Status

from .databases import EVERY_DATABASE
from .river import WORKFLOW, open_river
from .wire import executed, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def db_alias():
    """The database of this file's tests, unless a test names others."""
    return "default"


def test_what_is_delivered_is_mirrored(river):
    """A 2xx makes the row running, with the API's id, and due for its first poll."""
    river.configure(POLL=(7, 60, 3600))
    river.execute({"cake": "🍰"}, user_key="main")
    river.work()

    row = river.row()
    (remote,) = river.sandbox.executions
    (call,) = river.executed
    assert (Status.RUNNING, remote.id, "running") == (row.status, row.remote_id, row.remote_status)
    assert (1, "", "") == (row.attempts, row.last_error, row.claim)
    assert row.created_at <= row.sent_at <= row.dispatched_at == row.synced_at
    assert timedelta(seconds=7) == row.due_at - row.dispatched_at
    assert str(row.pk) == call.idempotency_key
    assert {"cake": "🍰"} == remote.execution_data
    assert "main" == call.body["user_key"]


def test_the_callers_key_is_the_one_that_is_sent(river):
    """An idempotency key of the caller's own goes to the API."""
    river.execute(idempotency_key="life-of-brian")
    river.work()

    (call,) = river.executed
    assert "life-of-brian" == call.idempotency_key
    # Nor is a user key sent that nobody gave: the API has one of its own for that.
    assert "user_key" not in call.body


@pytest.mark.parametrize("kind", [429, 503])
def test_what_was_surely_not_received_is_tried_again(river, kind):
    """The row stays queued, the try counts, and no delivery is noted."""
    river.sandbox.faults.add(kind)
    river.execute()
    before = timezone.now()
    river.work()

    row = river.row()
    assert (Status.QUEUED, 1, None) == (row.status, row.attempts, row.sent_at)
    assert before <= row.due_at <= timezone.now() + timedelta(seconds=2)
    assert str(kind) in row.last_error
    river.make_due()
    river.work()
    assert (Status.RUNNING, 2, "") == (
        river.row().status,
        river.row().attempts,
        river.row().last_error,
    )


def test_a_refused_connection_is_tried_again(river):
    """Nobody listens: nothing was sent."""
    river.execute()
    river.sandbox.stop()
    river.configure(BASE_URL="http://127.0.0.1:9/api/v1")
    river.work()

    row = river.row()
    assert (Status.QUEUED, 1, None) == (row.status, row.attempts, row.sent_at)
    assert "127.0.0.1" in row.last_error
    # No answer, no status.
    assert {"attempt", "error", "verdict"} == row.events.get().detail.keys()


@pytest.mark.parametrize("given", ["90", "date:90"], ids=["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(river, status, given):
    """Both spellings of ``Retry-After`` put the next try off, and the account's other rows."""
    river.sandbox.faults.add(status, retry_after=given)
    first, second = river.execute(), river.execute()
    river.work(concurrency=1)

    waits = river.row(first).due_at - first.created_at
    assert timedelta(seconds=88) <= waits <= timedelta(seconds=95)
    assert (Status.QUEUED, 0) == (river.row(second).status, river.row(second).attempts)
    assert 1 == len(river.executed)


def test_patience_costs_a_row_no_more_of_its_place_than_was_asked_for(river):
    """Behind an hour's backlog it is the first again, and not the last."""
    river.sandbox.faults.add(429, retry_after=90)
    first = river.execute()
    river.make_due(created_at=timezone.now() - timedelta(hours=1))
    second = river.execute()
    river.work(concurrency=1)

    asked_at = river.row(first).created_at
    assert timedelta(seconds=90) <= river.row(first).due_at - asked_at <= timedelta(seconds=95)
    river.work(concurrency=1)
    assert [str(first.pk)] * 2 + [str(second.pk)] == [c.idempotency_key for c in river.executed]


@pytest.mark.parametrize(("age", "times"), [(3600, 3), (0, 1)], ids=["old", "young"])
def test_each_time_that_patience_is_asked_for_costs_as_much(river, age, times):
    """So that a row which alone meets it lets the others pass in the end; but no more than that."""
    river.sandbox.faults.add(503, retry_after=90)
    river.execute()
    river.make_due(created_at=timezone.now() - timedelta(seconds=age), attempts=2)
    river.work()

    waited = river.row().due_at - river.row().created_at
    assert timedelta(seconds=times * 90) <= waited <= timedelta(seconds=times * (90 + 8) + 20)


def test_without_being_asked_for_patience_a_row_waits_for_its_own_failures(river):
    """From now on, however old it is: what has waited for long is not tried without a pause."""
    river.sandbox.faults.add(429, times=None)
    services.execute_many([{"workflow": WORKFLOW}] * 40)
    before = timezone.now()
    river.make_due(created_at=before - timedelta(hours=1), attempts=2)
    river.work()

    waits = [row.due_at - before for row in river.rows()]
    assert timedelta(0) <= min(waits)
    assert timedelta(seconds=4) < max(waits)
    assert {3} == set(river.rows().values_list("attempts", flat=True))


def test_a_retry_after_without_sense_is_the_usual_back_off(river):
    """What cannot be read asks for nothing."""
    river.sandbox.faults.add(429, retry_after="soon")
    river.execute()
    river.work()

    assert river.row().due_at <= timezone.now() + timedelta(seconds=2)


@pytest.mark.parametrize("status", [400, 404, 410, 422, 418, 302])
def test_what_is_rejected_is_undeliverable_at_once(river, status):
    """In the API's own words, with a transition that is announced."""
    if status == 302:
        river.sandbox.faults.add("redirect", location="http://elsewhere.invalid/")
    else:
        river.sandbox.faults.add(status)
    river.execute()
    river.work()

    row = river.row()
    assert (Status.UNDELIVERABLE, 1, None) == (row.status, row.attempts, row.due_at)
    assert str(status) in row.last_error
    assert row.finished_at is not None
    assert row.announced_at is not None
    assert 1 == len(river.executed)


def test_a_workflow_that_does_not_exist_is_named(river):
    """The row says which, and in whose words."""
    river.execute(workflow="nope")
    river.work()

    assert "/workflows/nope/execute: 404 not found" in river.row().last_error


AMBIGUOUS = [
    pytest.param("lost", id="read timeout"),
    pytest.param("reset", id="reset before the work"),
    pytest.param(500, id="500"),
    pytest.param(502, id="502"),
    pytest.param(504, id="504"),
    pytest.param(409, id="409"),
    pytest.param("truncated", id="truncated"),
    pytest.param("html", id="html"),
    pytest.param("empty", id="empty"),
    pytest.param("non_object", id="list"),
    pytest.param("garbage", id="garbage"),
]


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_a_lost_answer_is_sent_again_under_the_same_key(river, kind):
    """The API may have it: the row keeps ``sent_at``, and the second POST carries the same key."""
    river.sandbox.faults.add(kind, path="*/execute")
    river.execute()
    river.work()

    row = river.row()
    assert (Status.QUEUED, 1) == (row.status, row.attempts)
    assert row.sent_at is not None
    assert row.last_error
    river.make_due()
    river.work()
    assert Status.RUNNING == river.row().status
    assert {str(row.pk)} == {call.idempotency_key for call in river.executed}
    assert 1 == len(river.sandbox.executions)


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_a_lost_answer_can_be_held(river, kind):
    """With ``ON_LOST_ANSWER = "hold"`` a person decides, and nothing is sent meanwhile."""
    river.configure(ON_LOST_ANSWER="hold")
    river.sandbox.faults.add(kind, path="*/execute")
    river.execute()
    river.work()

    row = river.row()
    assert (Status.UNCONFIRMED, None, 1) == (row.status, row.due_at, row.attempts)
    assert row.sent_at is not None
    river.work()
    assert 1 == len(river.executed)


def test_a_row_whose_worker_died_can_be_held(river):
    """Claimed, and perhaps sent: under ``hold`` that is a lost answer, too."""
    river.configure(ON_LOST_ANSWER="hold")
    river.execute()
    river.make_due(sent_at=timezone.now())
    river.work()

    row = river.row()
    assert (Status.UNCONFIRMED, None, "") == (row.status, row.due_at, row.claim)
    assert "may have been received" in row.last_error
    assert [] == river.executed


def test_a_key_that_the_api_has_forgotten_is_not_sent_again(river):
    """After 23 hours a second POST could start a second execution, so a person decides."""
    river.execute()
    river.make_due(sent_at=timezone.now() - timedelta(hours=23, seconds=1), last_error="500 oops")
    river.work()

    # What became of the last try stays on the row; why there is no other is in its history.
    assert (Status.UNCONFIRMED, "500 oops") == (river.row().status, river.row().last_error)
    assert "23 hours" in river.row().events.get().detail["error"]
    assert [] == river.executed


def test_a_key_without_end_is_sent_again_at_any_age(river):
    """The API never forgets a key that starts with ``life-``."""
    river.execute(idempotency_key="life-1")
    river.make_due(sent_at=timezone.now() - timedelta(days=2))
    river.work()

    assert Status.RUNNING == river.row().status


def test_a_young_key_is_sent_again(river):
    """Within 23 hours a second POST is safe."""
    river.execute()
    river.make_due(sent_at=timezone.now() - timedelta(hours=22))
    river.work()

    assert Status.RUNNING == river.row().status


@pytest.mark.parametrize("asked", [{}, {"retry_after": 60}], ids=["", "with Retry-After"])
def test_giving_up_ends_in_undeliverable(river, asked):
    """After ``GIVE_UP_AFTER`` a row that was surely never received is undeliverable."""
    river.sandbox.faults.add(503, **asked)
    river.execute()
    river.make_due(created_at=timezone.now() - timedelta(days=3))
    river.work()

    row = river.row()
    assert (Status.UNDELIVERABLE, None, 1) == (row.status, row.due_at, row.attempts)
    assert "503" in row.last_error


def test_giving_up_on_a_lost_answer_ends_in_unconfirmed(river):
    """Where a POST may have been received, a person decides."""
    river.sandbox.faults.add(500)
    river.execute()
    river.make_due(created_at=timezone.now() - timedelta(days=3))
    river.work()

    assert (Status.UNCONFIRMED, None) == (river.row().status, river.row().due_at)


def test_a_rejection_after_a_lost_answer_ends_in_unconfirmed(river):
    """The first POST may have started it, whatever the second one was told."""
    river.sandbox.faults.add(500)
    river.sandbox.faults.add(422)
    river.execute()
    river.work()
    river.make_due()
    river.work()

    assert Status.UNCONFIRMED == river.row().status
    assert "422" in river.row().last_error


def test_what_is_scheduled_is_not_given_up_for_its_age(river):
    """``GIVE_UP_AFTER`` counts from ``run_at``."""
    river.sandbox.faults.add(503)
    run_at = timezone.now() - timedelta(minutes=1)
    river.execute(run_at=run_at)
    river.make_due(created_at=timezone.now() - timedelta(days=30))
    river.work()

    assert Status.QUEUED == river.row().status


def test_what_is_scheduled_waits(river):
    """Nothing is sent before ``run_at``."""
    river.execute(run_at=timezone.now() + timedelta(hours=1))
    river.work()

    assert [] == river.executed


@pytest.mark.parametrize("status", [401, 403])
def test_an_accounts_fault_burns_no_attempt(river, status, caplog):
    """The account pauses after one call; its rows stay as they were, and say why."""
    river.sandbox.faults.add(status, times=None)
    rows = [river.execute() for _ in range(5)]
    # The machine that has stored it may have a clock that is ahead.
    river.rows().filter(pk=rows[0].pk).update(created_at=timezone.now() + timedelta(hours=1))
    river.work(concurrency=1)

    assert 1 == len(river.executed)
    for row in map(river.row, rows):
        assert (Status.QUEUED, 0, None) == (row.status, row.attempts, row.sent_at)
        assert row.due_at <= timezone.now()
    assert 1 == len([row for row in map(river.row, rows) if str(status) in row.last_error])
    assert "Account 'default' is paused" in caplog.text


def test_an_accounts_fault_takes_back_no_lost_answer(river):
    """That a call was refused proves nothing of the one before it, which may have been received."""
    river.sandbox.faults.add(500)
    river.sandbox.faults.add(401)
    river.execute()
    river.work()
    lost = river.row()
    river.make_due()
    river.work()

    row = river.row()
    assert (Status.QUEUED, 1, lost.sent_at) == (row.status, row.attempts, row.sent_at)
    assert "401" in row.last_error


def test_a_missing_key_pauses_like_a_refused_one(river, caplog):
    """A row whose account lost its key waits, and nothing is called."""
    river.execute()
    river.configure(SECRET_KEY="")
    river.work()

    row = river.row()
    assert (Status.QUEUED, 0, None) == (row.status, row.attempts, row.sent_at)
    assert "SECRET_KEY" in row.last_error


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_an_answer_with_another_rows_id_harms_neither(settings, alias):
    """Two rows never share a remote id: the second is refused and says so; the first stays."""
    with open_river(settings, alias) as river:
        first = river.execute()
        river.work()
        river.sandbox.faults.add("wrong_id", path="*/execute", times=1)
        river.rows().filter(pk=first.pk).update(
            remote_id="01980228-0000-7000-8000-000000000000", due_at=None
        )
        second, third = river.execute(), river.execute()
        river.work()

        rows = [river.row(second), river.row(third)]
        refused = next(row for row in rows if row.status == Status.QUEUED)
        assert "already belongs to another row" in refused.last_error
        assert [Status.QUEUED, Status.RUNNING] == sorted(row.status for row in rows)
        assert Status.RUNNING == river.row(first).status


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_an_answer_that_cannot_be_stored_is_a_lost_one(settings, alias):
    """An id that no column holds leaves the row queued; its neighbours are written."""
    with (
        open_river(settings, alias) as river,
        serving(executed(id="x" * 65), executed(id="y" * 64, status="running")) as wire,
    ):
        river.configure(BASE_URL=wire.base_url)
        refused, stored = river.execute(), river.execute()
        river.work(concurrency=1)

        assert (Status.RUNNING, "y" * 64) == (
            river.row(stored).status,
            river.row(stored).remote_id,
        )
        assert (Status.QUEUED, None) == (river.row(refused).status, river.row(refused).remote_id)
        assert river.row(refused).sent_at is not None
        assert "an id of 65 characters" in river.row(refused).last_error


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("count", [2_500_000, 5_000_000])
def test_an_answer_that_is_too_much_for_a_statement_harms_no_other(settings, alias, count, caplog):
    """MariaDB ends a connection for it, which would look like a database that has gone away."""
    marks = '"' * count  # Each takes four bytes there.
    with (
        open_river(settings, alias) as river,
        serving(executed(id="x", log={"marks": marks}), executed(id="y")) as wire,
    ):
        river.configure(BASE_URL=wire.base_url, TIMEOUT=20)
        large, small = river.execute(), river.execute()
        river.work(concurrency=1)

        assert "y" == river.row(small).remote_id
        assert "failed; trying again" not in caplog.text
        if connections[alias].vendor == "mysql" and count == 5_000_000:
            assert (Status.QUEUED, "") == (river.row(large).status, river.row(large).claim)
            words = "statement of 20,000,.* bytes, and the database's max_allowed_packet is 16,"
            assert re.search(words, river.row(large).last_error)
        else:
            assert {"marks": marks} == river.row(large).log


def test_the_back_off_has_full_jitter_under_a_cap():
    """It doubles, is drawn between nothing and its ceiling, and never exceeds an hour."""
    for failures, ceiling in [(1, 2), (3, 8), (20, 3600), (5000, 3600)]:
        waits = [delivery.backoff(failures, None).total_seconds() for _ in range(300)]
        assert 0 <= min(waits) < 0.2 * ceiling
        assert 0.8 * ceiling < max(waits) <= ceiling
    assert timedelta(seconds=30) <= delivery.backoff(1, 30.0) <= timedelta(seconds=32)


def test_events_tell_each_attempt(river):
    """The history has the verdict and the words of every delivery."""
    river.sandbox.faults.add(503)
    river.execute()
    river.work()
    river.make_due()
    river.work()

    events = list(river.row().events.all())
    assert [("queued", 1, "retried"), ("running", 2, None)] == [
        (e.status, e.detail["attempt"], e.detail.get("verdict")) for e in events
    ]
    assert 503 == events[0].detail["status_code"]
    assert "503" in events[0].detail["error"]
    assert "running" == events[1].detail["remote_status"]
    assert {"delivery"} == {e.source for e in events}


def test_an_unforeseen_error_is_a_lost_answer(river, caplog):
    """A bug in the way of a call loses nothing and stops nobody."""
    first = river.execute()
    river.rows().update(id_type="key", workflow="..")
    second = river.execute()
    river.work()

    assert (Status.QUEUED, Status.RUNNING) == (river.row(first).status, river.row(second).status)
    assert "could not be worked on" in caplog.text
    assert "ValueError" in river.row(first).last_error


def test_keys_are_never_shared(river):
    """Two executions have two keys."""
    river.execute()
    river.execute()
    river.work()

    keys = [uuid.UUID(call.idempotency_key) for call in river.executed]
    assert 2 == len(set(keys))
    assert WORKFLOW in river.executed[0].path
