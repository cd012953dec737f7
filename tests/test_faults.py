"""Faults times databases: each ends as the verdict table of the architecture's page says.

Every test drives the package from outside: an execution is queued, a worker runs, a real server
does to its call what the fault is, and the row, its history and what was sent are looked at. Then
the fault is over, and the row has to arrive: under its first key, and once.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from embedworkflow_django import exceptions, services
from embedworkflow_django.client import Client
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.worker import Worker

from . import wire
from .databases import EVERY_DATABASE
from .faults import ACCOUNT, EVERY_FAULT, GONE, LOST, NOT_SENT, PATIENT, REJECTED
from .river import open_river

every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)
KEY = "sk_test_of_the_fault_table"
ID = wire.EXECUTION["id"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Keep the proxies of the machine out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def call(settings, alias):
    """Return what points the settings at a base URL and has a worker do what is due."""

    def work(base_url, timeout=PATIENT, **changes):
        settings.EMBEDWORKFLOW = {
            "SECRET_KEY": KEY,
            "BASE_URL": base_url,
            "DISPATCHER": "worker",
            "TIMEOUT": timeout,
            "LEASE": 20,
            **changes,
        }
        Worker(aliases=[alias], concurrency=1).run_until_idle()

    return work


def stored(alias):
    """Return the only execution, as it is stored."""
    return Execution.objects.using(alias).get()


def make_due(alias, **values):
    """Let the waiting row's time come."""
    now = timezone.now() - timedelta(seconds=1)
    Execution.objects.using(alias).filter(due_at__isnull=False).update(due_at=now, **values)


@every_database
@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_a_delivery_ends_as_the_table_says(fault, alias, call, monkeypatch, heard):
    """Status, attempts, ``sent_at``, due time, words and history; and what follows the fault."""
    heard.connect("execution_status_changed", "execution_finished")
    before = services.execute("bake", {"cake": 1}, using=alias).created_at
    with fault.serving(monkeypatch) as base_url:
        call(base_url, fault.timeout)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)

    row = stored(alias)
    assert fault.words in row.last_error
    assert row.last_error.isprintable()
    assert "" == row.claim
    if fault.verdict == REJECTED:
        assert (Status.UNDELIVERABLE, 1, None) == (row.status, row.attempts, row.due_at)
        assert row.finished_at is not None
        assert ["execution_status_changed", "execution_finished"] == heard.names(row)
        assert ["undeliverable"] == [event.status for event in row.events.all()]
        return

    assert [] == heard.names(row)
    assert Status.QUEUED == row.status
    assert (row.sent_at is not None) == (fault.verdict == LOST)
    if fault.verdict == ACCOUNT:
        assert (0, 0) == (row.attempts, row.events.count())
        assert row.due_at <= timezone.now()
    else:
        (event,) = row.events.all()
        verdict = {LOST: "lost", NOT_SENT: "retried"}[fault.verdict]
        assert (1, 1, verdict) == (row.attempts, event.detail["attempt"], event.detail["verdict"])
        waits = (row.due_at - before).total_seconds()
        assert fault.waits <= waits <= 2 * fault.waits + 12

    make_due(alias)
    with wire.serving(wire.executed(status="running")) as server:
        call(server.base_url)
    after = stored(alias)
    assert (Status.RUNNING, ID, "") == (after.status, after.remote_id, after.last_error)
    assert row.attempts + 1 == after.attempts
    assert [str(row.pk)] == [each.headers["idempotency-key"] for each in server.requests]
    heard.wait_for(1)
    assert ["execution_status_changed"] == heard.names(row)


@every_database
@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_asking_ends_as_the_table_says(fault, alias, call, monkeypatch, heard):
    """Whatever goes wrong with asking, the execution is as it was, and asked after again."""
    services.execute("bake", using=alias)
    with wire.serving(wire.executed(status="running", actions_count=3)) as server:
        call(server.base_url)
    make_due(alias)
    heard.connect("execution_status_changed", "execution_finished")
    with fault.serving(monkeypatch) as base_url:
        call(base_url, fault.timeout)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)

    row = stored(alias)
    means = fault.asking or fault.verdict
    assert (Status.RUNNING, ID, 3, 1) == (
        row.status,
        row.remote_id,
        row.actions_count,
        row.attempts,
    )
    assert (int(means == GONE), int(means in {LOST, NOT_SENT})) == (row.misses, row.polls)
    assert row.last_error
    assert row.last_error.isprintable()
    assert "" == row.claim
    assert row.due_at is not None

    make_due(alias)
    with wire.serving(wire.answer(200, {"id": ID, "status": "completed"})) as server:
        call(server.base_url)
    row = stored(alias)
    assert (Status.COMPLETED, None, "") == (row.status, row.due_at, row.last_error)
    assert ["execution_status_changed", "execution_finished"] == heard.names(row)


# One execution at the API, whatever became of its answer


@every_database
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "lost", "seconds": 1}, id="read timeout after the work"),
        pytest.param({"kind": "latency", "seconds": 0.6}, id="read timeout before the work"),
        pytest.param({"kind": "reset", "after": True}, id="reset after the work"),
        pytest.param({"kind": "reset"}, id="reset before the work"),
        pytest.param({"kind": "truncated"}, id="truncated after the work"),
        pytest.param({"kind": "500", "after": True}, id="500 after the work"),
    ],
)
def test_the_api_has_one_execution(settings, alias, fault):
    """A resend under the first key finds what the lost call did, or does it now."""
    with open_river(settings, alias) as river:
        river.configure(TIMEOUT=(2, 0.3), LEASE=20)
        river.sandbox.faults.add(path="*/execute", **fault)
        row = river.execute()
        river.work()
        lost = river.row(row)
        river.configure()
        river.make_due()
        river.work()

        assert (Status.QUEUED, 1) == (lost.status, lost.attempts)
        assert (Status.RUNNING, 2) == (river.row(row).status, river.row(row).attempts)
        assert {str(row.pk)} == {call.idempotency_key for call in river.executed}
        assert 1 == len(river.sandbox.executions)


# Answers that are whole, and strange


def asked(alias, call, **says):
    """Have the API say something of the execution, and return the row."""
    make_due(alias)
    with wire.serving(wire.answer(200, {"id": ID, **says})) as server:
        call(server.base_url)
    return stored(alias)


@pytest.fixture
def running(alias, call):
    """An execution that the API runs, with five of nine actions done."""
    services.execute("bake", using=alias)
    counts = {"actions_count": 9, "completed_actions_count": 5}
    with wire.serving(wire.executed(status="running", **counts)) as server:
        call(server.base_url)


@every_database
def test_an_answer_for_another_execution_changes_nothing(alias, call, running):
    """Asking after one and hearing of another is no answer."""
    make_due(alias)
    other = {"id": "0198c2e9-0000-7000-8000-000000000000", "status": "completed"}
    with wire.serving(wire.answer(200, other)) as server:
        call(server.base_url)

    row = stored(alias)
    assert (Status.RUNNING, ID, 1) == (row.status, row.remote_id, row.polls)
    assert "another" in row.last_error or "about the execution" in row.last_error


@every_database
def test_an_unknown_status_is_kept_and_asked_after(alias, call, running):
    """An unheard word is shown, is not an end, and does not stay."""
    row = asked(alias, call, status="\u202emari\x1b[31mnating\0" + "x" * 100)

    assert Status.UNKNOWN == row.status
    assert row.remote_status.startswith("\u202emari")
    assert 64 == len(row.remote_status)
    assert row.due_at is not None
    assert Status.RUNNING == asked(alias, call, status="running").status


@every_database
@pytest.mark.parametrize(
    "says",
    [
        pytest.param({"completed_actions_count": 2}, id="falls"),
        pytest.param({"completed_actions_count": 12}, id="passes the whole"),
    ],
)
def test_counters_follow_the_api_wherever_they_go(alias, call, running, says):
    """The last answer is the truth, and the progress stays between nothing and all."""
    row = asked(alias, call, status="running", actions_count=9, **says)

    assert says["completed_actions_count"] == row.completed_actions_count
    assert 0 <= row.progress <= 1


@every_database
@pytest.mark.parametrize("count", [-1, 2**31, 2**80, 1.5, "7", True, None, [7]])
def test_a_counter_that_is_none_is_not_taken_over(alias, call, running, count):
    """What no column holds, or is no count, leaves the last good one."""
    row = asked(alias, call, status="running", completed_actions_count=count)

    assert (Status.RUNNING, 5) == (row.status, row.completed_actions_count)


@every_database
def test_a_status_that_goes_back_is_followed_until_it_is_final(alias, call, running, heard):
    """Running to upcoming and back are transitions; from an end nothing leads back."""
    heard.connect("execution_status_changed", "execution_finished")
    for word in ("upcoming", "running", "completed"):
        assert word == asked(alias, call, status=word).status
    services.refresh(stored(alias))
    row = asked(alias, call, status="running")

    assert (Status.COMPLETED, "running", None) == (row.status, row.remote_status, row.due_at)
    heard.wait_for(4)
    assert ["execution_status_changed"] * 3 + ["execution_finished"] == heard.names(row)
    assert ["running", "upcoming", "running", "completed"] == [
        event.status for event in row.events.all()
    ][:4]


def test_a_slow_drip_meets_the_deadline_of_the_whole_answer():
    """A byte just before the read timeout ends does not start it anew, not even once."""
    plan = wire.Drip(b"HTTP/1.1 201 X\r\nX-A: ", b"aaa", gap=0.9)
    with (
        wire.serving(plan) as server,
        Client(secret_key=KEY, base_url=server.base_url, timeout=(1, 1)) as client,
    ):
        begun = time.monotonic()
        with pytest.raises(exceptions.AnswerLost):
            client.execute_workflow("bake")

        assert time.monotonic() - begun < 1.5


# The database


class Saboteur:
    """Harms the worker's connection once, just before a statement of a certain kind."""

    def __init__(self, stage, harm, server):
        self._stage, self._harm, self._server = stage, harm, server
        self._seen = []
        self.done = False

    def __call__(self, execute, sql, params, many, context):
        """Pass a statement on."""
        self._seen.append(sql)
        if not self.done and STAGES[self._stage](self._seen, self._server):
            self.done = True
            self._harm(context["connection"])
        return execute(sql, params, many, context)


def _is_update(sql):
    return sql.startswith("UPDATE") and "embedworkflow_execution" in sql


STAGES = {
    "at the look": lambda seen, server: seen[-1].startswith("SELECT"),
    "at the claim": lambda seen, server: _is_update(seen[-1]),
    "after the claim": lambda seen, server: len(seen) > 1 and _is_update(seen[-2]),
    "during HTTP": lambda seen, server: bool(server.requests),
    "at recording": lambda seen, server: bool(server.requests) and _is_update(seen[-1]),
    "at the event": lambda seen, server: "embedworkflow_executionevent" in seen[-1],
}


def _end(connection):
    """Have the server end the connection; SQLite's becomes one that cannot write."""
    if connection.vendor == "sqlite":
        connection.connection.execute("PRAGMA query_only = ON")
        return
    other = connection.copy()
    with other.cursor() as cursor:
        if connection.vendor == "postgresql":
            pid = connection.connection.info.backend_pid
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        else:
            cursor.execute(f"KILL {connection.connection.thread_id()}")
    other.close()


#: What the server itself raises: SQLSTATE on PostgreSQL, number on MariaDB. A full disk of a
#: server cannot be had in a test without being its administrator; SQLite's is a real one.
RAISED = {
    "deadlock": ("40P01", 1213),
    "serialization failure": ("40001", 1020),
    "lock timeout": ("55P03", 1205),
    "disk full": ("53100", 1021),
    "server shuts down": ("57P01", 1053),
}


def _raise(name):
    state, number = RAISED[name]

    def harm(connection):
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
            else:
                cursor.execute(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}")

    return harm


def _fill(connection):
    """Leave no page to SQLite's file."""
    used = connection.connection.execute("PRAGMA page_count").fetchone()[0]
    connection.connection.execute(f"PRAGMA max_page_count = {used}")


@pytest.fixture
def sabotaged(settings, alias, call):
    """Return what delivers one execution on a connection that is harmed once."""

    def run(stage, harm, **says):
        row = services.execute("bake", using=alias)
        with wire.serving(wire.executed(status="running", **says)) as server:
            settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "BASE_URL": server.base_url}
            saboteur = Saboteur(stage, harm, server)
            with connections[alias].execute_wrapper(saboteur):
                Worker(aliases=[alias], concurrency=1, interval=0.05).run_until_idle()
            assert saboteur.done
            make_due(alias, claim="")
            if stored(alias).status == Status.QUEUED:
                Worker(aliases=[alias], concurrency=1).run_until_idle()
        after = stored(alias)
        assert [str(row.pk)] == [each.headers["idempotency-key"] for each in server.requests]
        assert (Status.RUNNING, ID, 1) == (after.status, after.remote_id, after.attempts)
        assert ["running"] == [event.status for event in after.events.all()]

    return run


@every_database
@pytest.mark.parametrize("stage", STAGES)
def test_a_database_that_goes_away_costs_nothing(sabotaged, stage, caplog):
    """At whichever statement: one POST, one transition, one event; and the log says what failed."""
    sabotaged(stage, _end)

    if stage != "at the look":
        assert "failed; trying again in" in caplog.text


@pytest.mark.parametrize("alias", EVERY_DATABASE[1:])
@pytest.mark.parametrize("stage", ["at the claim", "at recording", "at the event"])
@pytest.mark.parametrize("name", RAISED)
def test_what_a_database_refuses_for_now_is_tried_again(sabotaged, stage, name):
    """Deadlock, serialization, lock timeout, full disk: nothing is sent twice, nothing is lost."""
    sabotaged(stage, _raise(name))


@pytest.mark.parametrize("alias", EVERY_DATABASE[:1])
def test_a_full_disk_loses_no_answer(sabotaged, alias, caplog):
    """What could not be written is written as soon as there is room."""
    with connections[alias].cursor() as cursor:
        # Room that earlier tests have left inside the file would be used first.
        cursor.execute("VACUUM")
    sabotaged("at recording", _fill, log={"much": "x" * 4_000_000})

    assert "full" in caplog.text


@every_database
def test_a_lock_that_is_held_too_long_loses_no_answer(sabotaged, caplog):
    """Somebody holds the row while it is to be recorded; the worker comes back later."""
    with contextlib.ExitStack() as held:

        def hold(connection):
            other = connection.copy()
            held.callback(other.close)
            other.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            threading.Timer(1.3 if connection.vendor == "mysql" else 0.4, release, [other]).start()
            with connection.cursor() as cursor, other.cursor() as others:
                cursor.execute(PATIENCE[connection.vendor])
                lock = "" if connection.vendor == "sqlite" else " FOR UPDATE"
                others.execute(f"SELECT id FROM embedworkflow_execution{lock}")

        def release(other):
            other.connection.rollback()

        sabotaged("during HTTP", hold)

    assert "failed; trying again in" in caplog.text


PATIENCE = {
    "sqlite": "PRAGMA busy_timeout = 20",
    "postgresql": "SET lock_timeout = '20ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",
}


@every_database
def test_no_statement_relies_on_its_session(alias, call, heard):
    """A pooler may give each transaction another connection: nothing is set, locked or prepared."""
    heard.connect()
    said = []

    def listen(execute, sql, params, many, context):
        said.append(sql)
        return execute(sql, params, many, context)

    with connections[alias].execute_wrapper(listen):
        row = services.execute("bake", idempotency_key="once", using=alias)
        with wire.serving(wire.executed(status="running")) as server:
            call(server.base_url)
        services.refresh(stored(alias))
        with wire.serving(wire.answer(200, {"id": ID, "status": "completed"})) as server:
            call(server.base_url)

    assert ["execution_finished"] == heard.names(row)[-1:]
    assert 10 < len(said)
    words = r"(?i)\b(SET LOCAL|LISTEN|PREPARE|DECLARE|ADVISORY|TEMP|LOCK TABLE|GET_LOCK)\b"
    assert [] == [sql for sql in said if re.search(words, sql)]
