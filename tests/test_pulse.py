"""The pulse: a sign of life for each process, and a tally of each hour."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from embedworkflow_django import __version__, pulse, worker
from embedworkflow_django.models import Status, Tally, WorkerProcess
from embedworkflow_django.worker import Worker

from . import programs
from .databases import EVERY_DATABASE
from .test_worker import wait_until


@pytest.fixture(params=EVERY_DATABASE)
def db_alias(request):
    """Each kind of database in turn."""
    return request.param


def tallies(alias):
    """Return what has been counted: status, and whether it was queued before, to the count."""
    return {
        (row.workflow, row.status, row.from_queue): row.count
        for row in Tally.objects.using(alias).all()
    }


def test_a_working_process_leaves_one_sign_of_life(river):
    """However many workers it runs, one after the other; each sets what it says anew."""
    river.work()
    river.work(concurrency=3)

    sign = WorkerProcess.objects.using(river.alias).get()
    assert sign.name.endswith(f":{os.getpid()}")
    assert str(sign) == sign.name
    assert (3, "worker", {}) == (sign.concurrency, sign.dispatcher, sign.pauses)
    assert __version__ == sign.version
    assert sign.started_at < sign.seen_at <= sign.ended_at


def test_a_worker_that_runs_has_not_ended(river, monkeypatch):
    """Its row says what it has in hand, and has no end."""
    monkeypatch.setattr(pulse, "EVERY", 0.05)
    fault = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    river.execute()
    signs = WorkerProcess.objects.using(river.alias)
    with river.running(interval=0.1):
        assert fault.met.wait(10)
        wait_until(lambda: signs.filter(in_flight=1, ended_at=None).exists())
        fault.until.set()

    assert (0, True) == (signs.get().in_flight, signs.get().ended_at is not None)


def test_another_process_has_another_row(river, settings):
    """It writes its own, and waits for nobody."""
    river.work()
    programs.run(
        """
        from embedworkflow_django.worker import Worker
        Worker(aliases=[ALIAS]).run_until_idle()
        """,
        configuration=settings.EMBEDWORKFLOW,
        alias=river.alias,
    )

    assert 2 == WorkerProcess.objects.using(river.alias).count()


def test_a_paused_account_is_told_with_its_reason(river):
    """Why the API does not let it in, and when it is tried again; not a word of the key."""
    river.configure(SECRET_KEY="sk_test_wrong")
    river.execute()
    river.work()

    told = WorkerProcess.objects.using(river.alias).get().pauses["default"]
    assert "refused" == told["kind"]
    assert "401" in told["reason"]
    assert "sk_test_wrong" not in told["reason"]
    assert told["until"] > timezone.now().isoformat()


def test_transitions_are_counted_by_the_hour(river):
    """By workflow and status; a second worker adds to what the first one has counted."""
    river.execute()
    river.execute()
    lost = river.execute(workflow="nope")
    river.work()
    assert {("bake", "running", True): 2, ("nope", "undeliverable", True): 1} == tallies(
        river.alias
    )

    last = river.execute()
    river.work()
    assert 3 == tallies(river.alias)["bake", "running", True]
    counted = Tally.objects.using(river.alias)
    assert last.pk == counted.get(workflow="bake").last_execution
    gone = counted.get(workflow="nope")
    assert lost.pk == gone.last_execution
    assert "404" in gone.last_error
    assert (0, 0) == (gone.hour.minute, gone.hour.second)
    assert str(gone).endswith("nope undeliverable: 1")

    river.sandbox.advance(7200)
    river.make_due()
    river.work()
    assert 3 == tallies(river.alias)["bake", "completed", False]


def test_what_is_done_inline_is_counted(river):
    """Also without threads, and without a sign of life: nobody is there to give the next one."""
    row = river.execute()
    Worker(aliases=[river.alias]).run_inline(river.alias, [row.pk])

    assert {("bake", "running", True): 1} == tallies(river.alias)
    assert not WorkerProcess.objects.using(river.alias).exists()


def test_old_signs_are_removed(river):
    """Tallies and processes that nobody asks for any more; not those of a week or of a day."""
    now, kept = timezone.now(), Tally.objects.using(river.alias)
    processes = WorkerProcess.objects.using(river.alias)
    for name, more in (("old", timedelta(hours=1)), ("young", -timedelta(hours=1))):
        kept.create(
            id=uuid.uuid4(),
            workflow=name,
            hour=now - pulse.KEEP_TALLIES - more,
            from_queue=True,
            status=Status.FAILED,
        )
        processes.create(name=name, concurrency=1, seen_at=now - pulse.KEEP_PROCESSES - more)
    river.work()

    assert ["young"] == [tally.workflow for tally in kept.all()]
    assert {"young", processes.latest("seen_at").name} == {each.name for each in processes.all()}
    assert 2 == processes.count()


class Chore:
    """A chore that counts how often it was done, and where."""

    def __init__(self, rounds, failing=None):
        self.done = []
        self._rounds = rounds
        self._failing = failing

    def __call__(self, using):
        """Take note; say whether more waits."""
        self.done.append((using, threading.current_thread().name))
        if self._failing:
            raise self._failing
        return len(self.done) < self._rounds

    def __enter__(self):
        worker.chores.append(self)
        return self

    def __exit__(self, *exception):
        worker.chores.remove(self)


def test_chores_go_on_while_more_waits(river):
    """A worker that runs until it is idle does them to their end."""
    with Chore(rounds=3) as chore:
        river.work()

    assert [river.alias] * 3 == [using for using, _thread in chore.done]


def test_chores_have_an_end_with_the_worker(river):
    """Its timeout counts for them as well."""
    with Chore(rounds=10**9) as chore:
        Worker(aliases=[river.alias]).run_until_idle(timeout=0.1)

    assert chore.done


def test_a_running_worker_does_chores_beside_its_calls(river):
    """On the thread that runs the receivers; soon again after it was woken."""
    with Chore(rounds=2) as chore, river.running() as running:
        for _ in range(400):
            if len(chore.done) > 2:
                break
            running.wake()
            threading.Event().wait(0.02)
        threads = {thread for _using, thread in chore.done}

    assert len(chore.done) > 2
    assert {"embedworkflow-announce"} == threads


def test_a_chore_that_fails_ends_nothing(river, caplog):
    """It is logged, and tried again another time."""
    row = river.execute()
    broken = RuntimeError("The broom is broken.")
    with Chore(rounds=1, failing=broken), Chore(rounds=1) as other:
        river.work()

    (failed,) = (record for record in caplog.records if record.event_name == "chore_failed")
    assert ("ERROR", broken) == (failed.levelname, failed.exc_info[1])
    assert other.done
    assert Status.RUNNING == river.row(row).status


def test_a_chore_whose_database_is_away_is_no_error(river, caplog):
    """It mends itself, so it is a warning of one line, as any other failure of a database."""
    with Chore(rounds=1, failing=OperationalError("connection refused\nIs it running?\n")):
        river.work()

    (failed,) = (record for record in caplog.records if record.event_name == "chore_failed")
    assert ("WARNING", False) == (failed.levelname, bool(failed.exc_info))
    assert "connection refused" in failed.getMessage()


def test_chores_are_done_inline_when_no_row_is_meant(river):
    """That is what wakes an immediate dispatcher without rows."""
    row = river.execute()
    with Chore(rounds=2) as chore:
        Worker(aliases=[river.alias]).run_inline(river.alias, [row.pk])
        assert not chore.done
        Worker(aliases=[river.alias]).run_inline(river.alias, [])

    assert 2 == len(chore.done)
    connections[river.alias].close()
