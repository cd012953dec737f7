"""The worker: its loop, its leases, its threads, and what goes wrong around them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import embedworkflow_django.worker
from embedworkflow_django import pulse, services, signals
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.worker import Worker

from .databases import EVERY_DATABASE, alias_of
from .river import open_river

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def db_alias():
    """The database of this file's tests, unless a test names others."""
    return "default"


def wait_until(condition, timeout=20):
    """Wait until something holds, or fail."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_the_loop_takes_an_execution_from_queued_to_completed(settings, alias, heard):
    """On every database: delivered, asked after, mirrored, announced in order, once each."""
    with open_river(settings, alias) as river:
        river.configure(POLL=(0.05, 0.1, 3600))
        heard.connect("execution_dispatched", "execution_status_changed", "execution_finished")
        with river.running(interval=0.1):
            execution = river.execute()
            wait_until(lambda: river.row().status == Status.RUNNING)
            river.sandbox.advance(7200)
            heard.wait_for(4)
            wait_until(lambda: river.row().announced_at)

        row = river.row(execution)
        assert (Status.COMPLETED, None, "") == (row.status, row.due_at, row.claim)
        assert [
            ("execution_dispatched", execution.pk, {}),
            ("execution_status_changed", execution.pk, {"before": "queued", "after": "running"}),
            ("execution_status_changed", execution.pk, {"before": "running", "after": "completed"}),
            ("execution_finished", execution.pk, {}),
        ] == heard.said


def test_a_wake_up_is_heard_at_once(river):
    """Between two looks a commit need not wait for the next one."""
    with river.running(interval=60) as worker:
        time.sleep(0.2)
        river.execute()
        worker.wake()
        wait_until(lambda: river.executed, timeout=5)


def test_an_idle_loop_asks_the_database_about_once_a_second(river):
    """One statement for each look, and a sign of life now and then; also once it was woken."""
    statements = []

    def count(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    worker = Worker(aliases=["default"], interval=0.2)
    worker._strangers_at = 0.0  # It is time for that, too; once.

    def run():
        try:
            with connection.execute_wrapper(count):
                worker.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    worker.wake()
    began = time.monotonic()
    wait_until(lambda: len(statements) >= 17)
    took = time.monotonic() - began
    looks = [sql for sql in statements if "due_at" in sql and sql.startswith("SELECT")]
    worker.stop()
    thread.join(10)

    # Besides one look each time: who starts and who was woken claims at once, on MariaDB by a
    # SELECT, and looks then.
    assert len(looks) <= 5 + took / 0.2
    # These claims, and the first sign of life: its row, and what is older than it is kept.
    assert len(statements) - len(looks) <= 16
    assert 1 == len([sql for sql in statements if "account NOT IN" in sql])


@pytest.mark.parametrize("alias", EVERY_DATABASE[1:])
def test_what_another_transaction_holds_is_looked_at_now_and_then(settings, alias):
    """A row that is due but locked keeps nobody asking without a pause."""
    statements = []

    def count(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with open_river(settings, alias) as river:
        row = river.execute()
        worker = Worker(aliases=[alias], interval=0.2)

        def run():
            try:
                with connections[alias].execute_wrapper(count):
                    worker.run()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        with transaction.atomic(using=alias):
            river.rows().select_for_update().get()
            thread.start()
            time.sleep(1)
            asked = len(statements)
        wait_until(lambda: river.row(row).status == Status.RUNNING)
        worker.stop()
        thread.join(10)

    assert asked < 60


def test_many_are_delivered_in_few_statements(river):
    """Claims and results are written together."""
    services.execute_many([{"workflow": "bake"}] * 300)

    with CaptureQueriesContext(connection) as captured:
        worker = river.work(concurrency=8)

    assert 300 == worker.counts["delivered"]
    # However slow the machine: far from the four that each would cost alone.
    assert 300 * 0.5 > len(captured)
    assert 300 == river.rows().filter(status=Status.RUNNING).count()


def test_no_transaction_is_open_during_a_call(river):
    """While the API takes its time, the worker's connection is idle."""
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.execute()
    worker = Worker(aliases=["default"])
    seen = []

    def run():
        try:
            worker.run_until_idle()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert fault.met.wait(10)
    # Another writer of an SQLite database would be kept waiting by an open transaction.
    river.execute()
    seen.append(Execution.objects.count())
    fault.until.set()
    thread.join(10)

    assert [2] == seen


def test_an_answer_after_the_lease_is_lost(river):
    """A row that was taken over meanwhile is the other's to write."""
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.execute()
    worker = Worker(aliases=["default"])

    def run():
        try:
            worker.run_until_idle()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert fault.met.wait(10)
    Execution.objects.update(claim="another's", status=Status.CANCELED)
    fault.until.set()
    thread.join(10)

    assert (Status.CANCELED, "another's", None) == (
        river.row().status,
        river.row().claim,
        river.row().remote_id,
    )
    assert 1 == worker.counts["claim lost"]


def test_stop_finishes_what_is_in_flight_and_gives_back_the_rest(river):
    """A graceful end loses no answer, and leaves no lease on what has not begun."""
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    first = river.execute()
    with river.running(concurrency=1) as worker:
        assert fault.met.wait(10)
        # A pace at which more is claimed ahead than one thread can begin.
        worker._lane("default").measure([0.005])
        sent_at = timezone.now() - timedelta(minutes=1)
        with transaction.atomic():
            others = [river.execute() for _ in range(5)]
            river.rows().filter(pk=others[0].pk).update(sent_at=sent_at, last_error="500 oops")
        worker.wake()
        wait_until(lambda: river.rows().exclude(claim="").count() == 6)
        worker.stop()
        time.sleep(0.1)
        fault.until.set()

    assert Status.RUNNING == river.row(first).status
    for row in map(river.row, others):
        assert (Status.QUEUED, "", 0) == (row.status, row.claim, row.attempts)
        assert row.due_at <= timezone.now()
    # As they were: what may have been received before still may.
    assert [(sent_at, "500 oops"), *[(None, "")] * 4] == [
        (row.sent_at, row.last_error) for row in map(river.row, others)
    ]
    assert 1 == len(river.executed)


def test_a_second_stop_leaves_what_is_in_flight(river):
    """It does not wait; the row's lease brings it to the next worker."""
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.execute()
    with river.running() as worker:
        assert fault.met.wait(10)
        began = time.monotonic()
        worker.stop(now=True)
    took = time.monotonic() - began
    fault.until.set()

    row = river.row()
    assert took < 4
    assert (Status.QUEUED, worker.token) == (row.status, row.claim)


def test_run_until_idle_ends_with_its_timeout(river):
    """What has not begun by then is given back."""
    river.sandbox.faults.add("latency", seconds=0.3, times=None)
    services.execute_many([{"workflow": "bake"}] * 20)
    Worker(aliases=["default"], concurrency=1).run_until_idle(timeout=0.5)

    assert 0 < river.rows().filter(status=Status.RUNNING).count() < 20
    assert not river.rows().exclude(claim="").exists()


def test_a_slow_receiver_delays_no_delivery(river):
    """Receivers run on a thread of their own."""
    release, heard = threading.Event(), threading.Event()

    def slow(execution, **kwargs):
        heard.set()
        release.wait(20)

    signals.execution_dispatched.connect(slow)
    try:
        with river.running(interval=0.1):
            river.execute()
            assert heard.wait(10)
            second = river.execute()
            wait_until(lambda: river.row(second).status == Status.RUNNING)
            release.set()
    finally:
        signals.execution_dispatched.disconnect(slow)


def test_a_slow_receiver_keeps_its_lease(river):
    """While the end is being announced, no other worker announces it."""
    river.configure(LEASE=3, TIMEOUT=(0.3, 0.3))
    release, calls = threading.Event(), []

    def slow(execution, **kwargs):
        calls.append(execution.pk)
        release.wait(20)

    river.execute(workflow="nope")
    signals.execution_finished.connect(slow)
    try:
        with river.running(interval=0.1):
            wait_until(lambda: calls)
            with river.running(interval=0.1):
                time.sleep(4)
            release.set()
            wait_until(lambda: river.row().announced_at)
    finally:
        signals.execution_finished.disconnect(slow)

    assert 1 == len(calls)
    assert None is river.row().due_at


def test_an_end_that_is_being_told_is_not_told_again(river):
    """Also where its lease has run out meanwhile, as if it could not be prolonged."""
    release, calls = threading.Event(), []

    def slow(execution, **kwargs):
        calls.append(str(execution.status))
        release.wait(20)

    river.execute(workflow="nope")
    signals.execution_finished.connect(slow)
    try:
        with river.running(interval=0.1) as worker:
            wait_until(lambda: calls)
            # Whoever takes over from a worker that dies now tells it.
            row = river.row()
            assert (None, worker.token) == (row.announced_at, row.claim)
            assert timezone.now() < row.due_at
            river.rows().update(due_at=timezone.now())
            worker.wake()
            wait_until(lambda: river.row().due_at > timezone.now())
            release.set()
            wait_until(lambda: river.row().announced_at)
    finally:
        signals.execution_finished.disconnect(slow)

    assert ["undeliverable"] == calls


def test_a_receiver_that_raises_is_logged_and_hurts_nobody(river, caplog):
    """The row is announced all the same, and its neighbours."""

    def broken(execution, **kwargs):
        raise RuntimeError("a receiver's bug")

    signals.execution_finished.connect(broken)
    try:
        first, second = river.execute(workflow="nope"), river.execute(workflow="nope")
        river.work()
    finally:
        signals.execution_finished.disconnect(broken)

    assert "a receiver's bug" in caplog.text
    assert river.row(first).announced_at
    assert river.row(second).announced_at


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_an_end_that_a_dead_worker_left_is_announced(settings, alias, heard):
    """A final row stays due until its receivers have run."""
    with open_river(settings, alias) as river:
        river.execute(workflow="nope")
        river.work()
        now = timezone.now()
        river.rows().update(announced_at=None, due_at=now, claim="a dead worker's")
        heard.connect("execution_finished", "execution_status_changed")
        river.work()

        assert ["execution_finished"] == heard.names()
        assert (None, "") == (river.row().due_at, river.row().claim)
        assert river.row().announced_at >= now
        assert 1 == len(river.executed)


def test_a_canceled_execution_is_announced_by_the_worker(river, heard):
    """Cancelling is the caller's; the end is announced like any other."""
    heard.connect("execution_finished")
    services.cancel(river.execute())
    assert [] == heard.said
    river.work()

    assert ["execution_finished"] == heard.names()
    assert [] == river.executed


def test_an_account_that_is_let_in_again_goes_on(river, caplog):
    """One probe finds out; then all its rows go."""
    river.sandbox.faults.add(429, retry_after="0.3")
    rows = [river.execute() for _ in range(4)]
    with caplog.at_level(logging.INFO, "embedworkflow_django"), river.running(concurrency=1):
        wait_until(
            lambda: river.rows().filter(pk__in=[r.pk for r in rows], status="running").count() == 4
        )

    assert "is paused" in caplog.text
    assert "goes on" in caplog.text


def test_a_paused_account_holds_up_no_other(river):
    """Its neighbours' rows are delivered meanwhile."""
    other = river.sandbox.add_account("other", "sk_test_of_the_other")
    river.sandbox.add_workflow("bake", account=other)
    river.configure(ACCOUNTS={"other": {"SECRET_KEY": "sk_test_of_the_other"}})
    river.sandbox.faults.add(401, account="default", times=None)
    refused = [river.execute() for _ in range(5)]
    fine = [river.execute(account="other") for _ in range(5)]
    river.work(concurrency=2)

    assert {Status.QUEUED} == {river.row(row).status for row in refused}
    assert {Status.QUEUED} != {river.row(row).status for row in fine}


def test_run_inline_needs_no_thread(river, heard):
    """All of it in the caller's thread, announcements included."""
    heard.connect()
    river.execute()
    river.execute(workflow="nope")
    before = set(threading.enumerate())
    done = Worker(aliases=["default"]).run_inline("default")

    assert 2 == done
    started = set(threading.enumerate()) - before
    assert not [t.name for t in started if t.name.startswith("embedworkflow-")]
    assert {"execution_dispatched", "execution_finished"} <= set(heard.names())
    assert 1 == river.rows().filter(announced_at__isnull=False).count()


def test_run_inline_leaves_none_behind(river):
    """Each has a lease of its own, however long those before it take."""
    river.configure(DISPATCHER="immediate", LEASE=1, TIMEOUT=(0.2, 0.2))
    river.sandbox.faults.add("latency", seconds=0.1, times=None)
    services.execute_many([{"workflow": "bake"}] * 8)

    assert 8 == river.rows().filter(status=Status.RUNNING).count()


def test_run_inline_announces_what_was_final(river, heard):
    """A row whose end is still to be announced is no call."""
    river.execute(workflow="nope")
    river.work()
    river.rows().update(announced_at=None, due_at=timezone.now())
    heard.connect("execution_finished")
    calls = len(river.sandbox.requests)
    Worker(aliases=["default"]).run_inline("default", [river.row().pk])

    assert calls == len(river.sandbox.requests)
    assert ["execution_finished"] == heard.names()
    assert None is river.row().due_at


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_database_that_goes_away_during_a_call_loses_no_answer(settings, kind, request):
    """The worker reconnects, and writes the answer while its lease lasts."""
    alias = alias_of(kind)
    if alias not in connections:
        pytest.skip(f"{kind} does not answer")
    with open_river(settings, alias) as river:
        fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
        river.execute()
        with river.running(interval=0.1):
            assert fault.met.wait(10)
            _disconnect_others(alias)
            fault.until.set()
            wait_until(lambda: river.row().status == Status.RUNNING)

        assert 1 == len(river.executed)


def _disconnect_others(alias):
    """Have the server end every other connection to the test database."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        cursor.execute(
            "SELECT id FROM information_schema.processlist "
            "WHERE db = database() AND id <> connection_id()"
        )
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {number}")


def test_an_answer_that_cannot_be_written_in_time_is_left_to_the_lease(river, caplog):
    """When the database stays away, the next worker sends again under the same key."""
    river.configure(LEASE=0.6, TIMEOUT=(0.1, 0.2))
    fault = river.sandbox.faults.add("slow", seconds=0.1)
    row = river.execute()
    with connection.cursor() as cursor, river.running(interval=0.1):
        assert fault.met.wait(10)
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        wait_until(lambda: "left to its lease" in caplog.text)
        cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
        wait_until(lambda: Execution.objects.get(pk=row.pk).status == Status.RUNNING)

    assert {str(row.pk)} == {call.idempotency_key for call in river.executed}
    assert 1 == len(river.sandbox.executions)
    assert "Database 'default' failed" in caplog.text


def test_an_answer_that_waits_for_its_database_costs_no_processor(river):
    """The worker sleeps until it is time to try again."""
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    row = river.execute()
    with connection.cursor() as cursor, river.running(interval=1.0) as worker:
        assert fault.met.wait(10)
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        fault.until.set()
        wait_until(lambda: worker._failures["default"])
        used = time.process_time()
        time.sleep(0.8)
        used = time.process_time() - used
        cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
        wait_until(lambda: river.row(row).status == Status.RUNNING)

    assert used < 0.4


def test_a_database_that_stays_away_costs_no_processor(river, monkeypatch):
    """No sign of life is due to it."""
    monkeypatch.setattr(pulse, "EVERY", 0.1)
    row = river.execute()
    with connection.cursor() as cursor, river.running(interval=1.0) as worker:
        wait_until(lambda: river.row(row).status == Status.RUNNING)
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        wait_until(lambda: worker._failures["default"])
        time.sleep(0.2)
        used = time.process_time()
        time.sleep(0.7)
        used = time.process_time() - used
        cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")

    assert used < 0.35


def test_a_database_that_is_back_is_soon_seen_by_who_looks_seldom(river, caplog):
    """A worker that commits tell may look once a minute; a failure is no reason to wait as long."""
    first = river.execute()
    with connection.cursor() as cursor, river.running(interval=60.0) as worker:
        wait_until(lambda: river.row(first).status == Status.RUNNING)
        row = river.execute()
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        worker.wake()
        wait_until(lambda: worker._failures["default"])
        cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
        wait_until(lambda: river.row(row).status == Status.RUNNING)
    assert caplog.text.count("run: manage.py migrate --database=default") >= 1
    assert "chore" not in caplog.text


def test_a_database_that_is_away_for_a_day_ends_no_worker(river, monkeypatch):
    """However often it has failed in a row, the next try is not far."""
    monkeypatch.setattr(embedworkflow_django.worker, "LONGEST_DATABASE_PAUSE", 0.0)
    with connection.cursor() as cursor, river.running(interval=0.01) as worker:
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        wait_until(lambda: worker._failures["default"])
        # The worker counts, too, so that some of these may be lost.
        wait_until(lambda: worker._failures.update(default=100) or worker._failures.total() > 1050)
        failures = worker._failures.total()
        wait_until(lambda: worker._failures.total() > failures)
        cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
        row = river.execute()
        wait_until(lambda: river.row(row).status == Status.RUNNING)


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_an_answer_that_waits_for_its_database_holds_up_no_other(river):
    """Calls of another database are made, and their answers written, meanwhile."""
    other = next((alias for alias in connections if alias != "default"), None)
    if other is None:
        pytest.skip("There is no second database.")
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    row = river.execute()
    with connection.cursor() as cursor, river.running(interval=5.0) as worker:
        worker.aliases.append(other)
        assert fault.met.wait(10)
        cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
        fault.until.set()
        wait_until(lambda: worker._failures["default"])
        try:
            elsewhere = services.execute("bake", using=other)
            worker.wake()
            rows = Execution.objects.using(other)
            wait_until(lambda: rows.get(pk=elsewhere.pk).status == Status.RUNNING, timeout=3)
        finally:
            cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
        wait_until(lambda: river.row(row).status == Status.RUNNING)


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_rate_is_waited_for_whichever_database_goes_away(river):
    """What is due in another one is done before the worker ends, and it says which one failed."""
    other = next((alias for alias in connections if alias != "default"), None)
    if other is None:
        pytest.skip("There is no second database.")
    river.configure(RATE=5)
    for alias in ["default", *[other] * 8]:
        services.execute("bake", using=alias)
    worker = Worker(aliases=["default", other], interval=0.1)
    _rename("embedworkflow_execution", "away")
    worker.run_until_idle()
    _rename("away", "embedworkflow_execution")

    assert ["default"] == worker.unreached
    assert Execution.objects.get().status == Status.QUEUED
    assert not Execution.objects.using(other).queued().exists()


def _rename(table, name):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


def test_what_is_made_due_during_a_call_is_due_after_it(river):
    """A stop that comes while the API is being asked waits for that answer, and no longer."""
    river.configure(POLL=(600, 600, 36000))
    row = river.execute()
    river.work()
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.make_due()
    with river.running(interval=0.1) as worker:
        assert fault.met.wait(10)
        services.stop(river.row(row))
        worker.wake()
        wait_until(lambda: river.row(row).claim)
        fault.until.set()
        wait_until(lambda: river.row(row).status == Status.STOPPED)


@pytest.mark.parametrize("rate", [None, 100])
def test_hold_claims_nothing_ahead(river, rate):
    """A claim says that a POST may have been received, so only what can be sent at once is."""
    river.configure(ON_LOST_ANSWER="hold", RATE=rate)
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    services.execute_many([{"workflow": "bake"}] * 10)
    with river.running(concurrency=2) as worker:
        worker._lane("default").measure([0.001])
        assert fault.met.wait(10)
        wait_until(lambda: len(river.executed) > 5)
        assert river.rows().exclude(claim="").count() <= 2
        fault.until.set()


def test_a_claim_of_what_is_in_hand_prolongs_it(river):
    """A worker that outlives its own lease sends nothing twice, and asks no sooner for that."""
    river.configure(LEASE=2, TIMEOUT=(0.5, 10), POLL=(600, 600, 36000))
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.execute()
    with river.running(interval=0.1):
        assert fault.met.wait(10)
        lease = river.row().due_at
        wait_until(lambda: river.row().due_at > lease)
        fault.until.set()
        wait_until(lambda: river.row().status == Status.RUNNING)

    assert 1 == len(river.executed)
    assert timedelta(seconds=600) == river.row().due_at - river.row().dispatched_at


def test_what_came_too_late_to_the_front_is_not_sent(river):
    """A call that would outlive its lease is given back instead."""
    river.configure(LEASE=1, TIMEOUT=(1, 10))
    river.sandbox.faults.add("latency", seconds=0.7)
    first, second = river.execute(), river.execute()
    worker = Worker(aliases=["default"], concurrency=1)
    worker._lane("default").measure([0.005])
    worker.run_until_idle()

    assert {Status.RUNNING} == {river.row(first).status, river.row(second).status}
    assert 1 <= worker.counts["given back"]


def test_clocks_that_jump_back_lose_nothing(river):
    """A row that is due in the far future by another machine's clock is still there."""
    river.execute()
    river.rows().update(due_at=timezone.now() + timedelta(minutes=5))
    river.work()
    assert [] == river.executed
    services.refresh(river.row())
    river.work()

    assert Status.RUNNING == river.row().status


def test_a_lease_that_cannot_be_prolonged_is_tried_again(river, caplog):
    """A database that is away while a receiver runs ends nobody's loop."""
    river.configure(LEASE=3, TIMEOUT=(0.3, 0.3))
    release, calls = threading.Event(), []

    def slow(execution, **kwargs):
        calls.append(execution.pk)
        release.wait(20)

    river.execute(workflow="nope")
    signals.execution_finished.connect(slow)
    try:
        with river.running(interval=0.1), connection.cursor() as cursor:
            wait_until(lambda: calls)
            cursor.execute("ALTER TABLE embedworkflow_execution RENAME TO away")
            wait_until(lambda: "were not prolonged" in caplog.text)
            cursor.execute("ALTER TABLE away RENAME TO embedworkflow_execution")
            release.set()
            wait_until(lambda: Execution.objects.get().announced_at)
    finally:
        signals.execution_finished.disconnect(slow)

    assert 1 == len(calls)


@pytest.fixture
def refusing():
    """Have the database refuse to record, with an error, so many times."""

    @contextlib.contextmanager
    def refuse(error, times):
        left = [error] * times

        def execute(execute, sql, params, many, context):
            if left and sql.startswith("UPDATE") and " v" in sql:
                raise left.pop()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(execute):
            yield left
        assert [] == left

    return refuse


def test_an_answer_that_cannot_be_stored_harms_no_other(river, refusing):
    """Written one by one, the offender counts as a lost answer, and its neighbours are recorded."""
    rows = [river.execute(), river.execute()]
    with refusing(ValueError("a lone surrogate"), 2):
        river.work()

    statuses = {river.row(row).status: river.row(row) for row in rows}
    assert {Status.QUEUED, Status.RUNNING} == statuses.keys()
    lost = statuses[Status.QUEUED]
    assert (1, "") == (lost.attempts, lost.claim)
    assert "could not be stored: ValueError" in lost.last_error


def test_what_is_refused_twice_is_left_to_its_lease(river, refusing, caplog):
    """Nothing more can be said on the row; the loop goes on."""
    row = river.execute()
    with refusing(DataError("out of range"), 2):
        river.work()

    assert "was left to its lease: DataError" in caplog.text
    # The driver's own words may quote the row.
    assert "out of range" not in caplog.text
    assert (Status.QUEUED, 0) == (river.row(row).status, river.row(row).attempts)


def test_a_poll_that_cannot_be_stored_is_repeated(river, refusing):
    """Whatever the database objects to: the row says so without its words, which may be data."""
    row = river.execute()
    river.work()
    river.make_due()
    with refusing(IntegrityError("a rule of the project's own"), 1):
        river.work()

    after = river.row(row)
    assert (Status.RUNNING, 1, 1) == (after.status, after.attempts, after.polls)
    assert after.last_error.endswith("could not be stored: IntegrityError")
    assert after.due_at > timezone.now()


def test_all_receivers_have_run_when_a_worker_is_idle(river, heard):
    """It ends after the last one."""
    heard.connect("execution_status_changed")
    before = set(threading.enumerate())
    signals.execution_status_changed.connect(slow := lambda **kwargs: time.sleep(0.2))
    try:
        river.execute()
        river.work()
    finally:
        signals.execution_status_changed.disconnect(slow)

    started = set(threading.enumerate()) - before
    assert not [thread for thread in started if thread.name == "embedworkflow-announce"]
    assert ["execution_status_changed"] == heard.names()


def test_an_empty_default_database_is_left_alone(python, tmp_path):
    """Where all data is elsewhere, as Django's pages on several databases have it."""
    said = python(f"""
import types
import django
from django.conf import settings
all_in_primary = types.SimpleNamespace(
    db_for_read=lambda model, **hints: "primary", db_for_write=lambda model, **hints: "primary"
)
settings.configure(
    SECRET_KEY="tests",
    INSTALLED_APPS=["embedworkflow_django"],
    DATABASES={{
        "default": {{}},
        "primary": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "db")!r}}},
    }},
    DATABASE_ROUTERS=[all_in_primary],
)
django.setup()
from django.core.management import call_command
from embedworkflow_django import services, testing
from embedworkflow_django.worker import Worker
call_command("migrate", database="primary", verbosity=0)
with testing.sandbox() as sandbox:
    sandbox.add_workflow("bake")
    execution = services.execute("bake")
    Worker().run_until_idle()
    execution.refresh_from_db()
    print(execution.status)
""")
    assert said == "running\n"
