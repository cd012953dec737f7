"""The figures for operators: right, bounded, and computed once for many who look."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from embedworkflow_django import figures
from embedworkflow_django.models import Execution, Status, Tally, WorkerProcess
from embedworkflow_django.worker import Worker

from .databases import EVERY_DATABASE
from .river import open_river

on_every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)
QUERIES = 19


@pytest.fixture(autouse=True)
def _own_cache():
    cache.clear()
    yield
    cache.clear()


def made(alias="default", **values):
    """Store an execution."""
    return Execution.objects.using(alias).create(**{"workflow": "bake"} | values)


def process(alias="default", *, age=0.0, **values):
    """Store a worker process's sign of life of some seconds ago."""
    seen = timezone.now() - timedelta(seconds=age)
    values = {"name": "oven:1", "dispatcher": "worker", "concurrency": 8} | values
    return WorkerProcess.objects.using(alias).create(seen_at=seen, **values)


def tally(alias="default", *, ago=0, **values):
    """Store a tally of some hours ago."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago)
    values = {"account": "default", "workflow": "bake", "from_queue": False, "count": 1} | values
    return Tally.objects.using(alias).create(id=uuid.uuid4(), hour=hour, **values)


# What waits


@on_every_database
def test_an_empty_table_has_no_figures(alias):
    """Nothing is nothing: no age, no rate, no process."""
    found = figures.overview(alias)

    assert figures.Count(0) == found.due == found.in_flight
    assert dict.fromkeys(Status.values, figures.Count(0)) == found.statuses
    assert found.oldest_due is found.oldest_queued is found.unseen is None
    assert () == found.processes == found.alive == found.pauses == found.outcomes
    assert (0, None) == (found.total.ended, found.total.failure_rate)
    assert figures.HOURS == len(found.hours) == len(found.total.failed)


@on_every_database
def test_what_waits_and_what_is_in_hand(alias):
    """Due rows, rows under a lease, and for how long the oldest has waited."""
    now = timezone.now()
    made(alias, due_at=now - timedelta(hours=1), created_at=now - timedelta(hours=2))
    made(alias, due_at=now + timedelta(seconds=5), claim="somebody")
    made(alias, due_at=now + timedelta(seconds=5), status=Status.RUNNING)
    made(alias, due_at=now + timedelta(days=1), run_at=now + timedelta(days=1))
    made(alias, due_at=None, run_at=now - timedelta(hours=3), created_at=now - timedelta(hours=4))
    found = figures.overview(alias)

    assert (1, 1) == (found.due.number, found.in_flight.number)
    assert (4, 1) == tuple(found.statuses[each].number for each in ("queued", "running"))
    assert pytest.approx(3600, abs=30) == found.oldest_due
    assert pytest.approx(3 * 3600, abs=30) == found.oldest_queued


@pytest.mark.django_db
def test_counts_have_an_end():
    """Each count ends at 10,000 rows, and says so."""
    rows = (Execution(workflow="bake") for _ in range(figures.CAP + 1))
    Execution.objects.bulk_create(rows, batch_size=1000)
    found = figures.overview()

    assert figures.Count(figures.CAP, capped=True) == found.due == found.statuses["queued"]


@on_every_database
def test_the_number_of_queries_is_fixed(alias):
    """More rows of any kind cost no more queries."""
    counts = []
    for more in (0, 30):
        for number in range(more):
            made(alias, workflow=f"w-{number}")
            process(alias, pauses={f"a-{number}": {"reason": "401 no", "until": ""}})
            tally(alias, workflow=f"w-{number}", status=Status.COMPLETED)
        with CaptureQueriesContext(connections[alias]) as queries:
            figures.overview(alias)
        counts.append(len(queries))

    # One asks which accounts are not let in, if no worker lives; one is about the workflows' hours.
    assert [QUERIES, QUERIES] == counts


# What became of it


@on_every_database
def test_outcomes_are_summed_by_workflow_and_hour(alias):
    """The tallies of the last day, whatever their accounts, triggers and earlier statuses."""
    tally(alias, ago=1, status=Status.COMPLETED, count=3)
    tally(alias, ago=1, status=Status.COMPLETED, count=2, account="eu", from_queue=True)
    tally(alias, status=Status.FAILED, count=1)
    tally(alias, status=Status.UNDELIVERABLE, count=1, from_queue=True)
    tally(alias, status=Status.STOPPED, count=1)
    tally(alias, status=Status.RUNNING, count=9, from_queue=True)
    tally(alias, workflow="mail", status=Status.COMPLETED, count=4)
    tally(alias, ago=figures.HOURS, status=Status.FAILED, count=100)
    found = figures.overview(alias)

    bake, mail = found.outcomes
    assert ("bake", "mail") == (bake.workflow, mail.workflow)
    assert (5, 0) == bake.completed[-2:]
    assert (0, 2) == bake.failed[-2:]
    assert (0, 1) == bake.others[-2:]
    assert (12, 8, 2 / 8) == (bake.sent, bake.ended, bake.failure_rate)
    assert {"completed": 5, "failed": 1, "undeliverable": 1, "stopped": 1, "running": 9} == (
        bake.statuses
    )
    assert (12, 4, 0.0) == (found.total.ended, mail.ended, mail.failure_rate)
    assert found.hours[-1] <= found.at < found.hours[-1] + timedelta(hours=1)


@pytest.mark.django_db
def test_the_busiest_workflows_are_told_apart():
    """The others are in the total, so that ten thousand workflows make no page of that length."""
    for number in range(figures.MOST_WORKFLOWS + 2):
        tally(workflow=f"w-{number}", status=Status.COMPLETED, count=number + 1)
    found = figures.overview()

    assert figures.MOST_WORKFLOWS == len(found.outcomes)
    assert f"w-{figures.MOST_WORKFLOWS + 1}" == found.outcomes[0].workflow
    assert sum(range(figures.MOST_WORKFLOWS + 3)) == found.total.ended


@pytest.mark.django_db
def test_a_clock_that_is_ahead_counts_in_the_last_hour():
    """A worker whose clock is minutes ahead of ours may have begun the next hour."""
    tally(ago=-1, status=Status.FAILED)

    assert 1 == figures.overview().total.failed[-1]


# Who is at work


@on_every_database
def test_a_process_lives_while_it_gives_signs(alias):
    """One that has ended, or has been silent, is none that works."""
    process(alias, name="works", age=2, in_flight=3)
    process(alias, name="ended", age=4, ended_at=timezone.now())
    process(alias, name="silent", age=120)
    found = figures.overview(alias)

    assert ["works", "ended", "silent"] == [sign.name for sign in found.processes]
    assert [("works", 3)] == [(sign.name, sign.in_flight) for sign in found.alive]
    assert pytest.approx(2, abs=5) == found.unseen


@on_every_database
def test_pauses_are_those_of_the_living_workers(alias):
    """Each account once, with the latest time; what a dead process said counts no more."""
    later = {"kind": "refused", "reason": "no key", "until": "2030-01-01T00:02:00+00:00"}
    earlier = {"kind": "away", "reason": "what key", "until": "2030-01-01T00:01:00+00:00"}
    busy = {"kind": "rated", "reason": "slow down", "until": "2030-01-01T00:03:00+00:00"}
    unset = {"kind": "settings", "reason": "no key is set", "until": earlier["until"]}
    process(alias, pauses={"eu": later, "us": busy})
    process(alias, pauses={"eu": earlier, "jp": unset})
    process(alias, age=90, pauses={"dead": later})
    made(alias, account="row", last_error="401 no", due_at=timezone.now())
    found = figures.overview(alias).pauses

    assert [("eu", True), ("jp", True), ("us", False)] == [(p.account, p.refused) for p in found]
    eu = found[0]
    assert later == {"kind": eu.kind, "reason": eu.reason, "until": eu.until.isoformat()}
    assert found == figures.pauses(alias)


@on_every_database
def test_without_a_worker_the_rows_say_who_is_not_let_in(alias):
    """The errors of those due longest are all there is."""
    process(alias, age=90, pauses={"dead": {"reason": "401 no", "until": ""}})
    made(alias, account="eu", last_error="POST /x: 403 no", due_at=timezone.now())
    made(alias, account="us", last_error="POST /x: 503 later", due_at=timezone.now())
    (pause,) = figures.pauses(alias)

    said = {"kind": "refused", "reason": "POST /x: 403 no", "until": None}
    assert figures.Pause(account="eu", **said) == pause
    assert pause.refused
    assert (pause,) == figures.overview(alias).pauses


@on_every_database
def test_a_worker_that_works_is_seen(alias, settings):
    """What a real worker leaves is what the figures are made of."""
    with open_river(settings, alias) as river:
        river.execute()
        river.execute(workflow="none of that name")
        Worker(aliases=[alias]).run_until_idle()
        found = figures.overview(alias)

    assert 1 == len(found.processes)
    assert {"running": 1, "undeliverable": 1} == found.total.statuses
    assert (2, 1, 1.0) == (found.total.sent, found.total.ended, found.total.failure_rate)


# Triggers


@on_every_database
def test_what_became_of_a_triggers_executions(alias):
    """How many left the queue, each status, and the latest error with its execution."""
    now, execution = timezone.now(), uuid.uuid4()
    mine = {"trigger": "shop.placed"}
    tally(alias, **mine, status=Status.RUNNING, from_queue=True, count=5, last_at=now)
    tally(alias, **mine, status=Status.COMPLETED, count=3, last_at=now - timedelta(minutes=1))
    failed = {"status": Status.FAILED, "last_execution": execution, "last_error": "422 no oven"}
    tally(alias, **mine, **failed, last_at=now - timedelta(minutes=2))
    tally(alias, **mine, **failed | {"last_error": "old"}, ago=1, last_at=now - timedelta(hours=1))
    tally(alias, **mine, status=Status.FAILED, ago=30, count=100)
    tally(alias, trigger="shop.paid", status=Status.FAILED, last_error="x", last_at=now)
    tally(alias, trigger="shop.paid", **failed, last_at=now - timedelta(minutes=2))
    tally(alias, status=Status.FAILED, count=100)
    with CaptureQueriesContext(connections[alias]) as queries:
        found = figures.triggers(["shop.placed", "shop.never"], alias)

    placed, never = found["shop.placed"], found["shop.never"]
    assert {"running": 5, "completed": 3, "failed": 2} == placed.statuses
    assert ("422 no oven", str(execution)) == (placed.last_error, placed.last_execution)
    assert now - timedelta(minutes=3) < placed.last_error_at < now - timedelta(minutes=1)
    assert figures.Fired(statuses={}) == never
    assert 3 == len(queries)


@on_every_database
def test_a_trigger_that_fails_meanwhile_has_an_error(alias):
    """Its first tally may be written between two of the queries."""
    first = []

    def meanwhile(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if not first and Tally._meta.db_table in sql:
            first.append(sql)
            tally(alias, trigger="shop.placed", status=Status.FAILED, last_error="422 no oven")
        return answer

    with connections[alias].execute_wrapper(meanwhile):
        found = figures.triggers(["shop.placed"], alias)

    assert "422 no oven" == found["shop.placed"].last_error
    assert {} == found["shop.placed"].statuses


# The cache


@pytest.mark.django_db
def test_many_who_look_cost_one_computation(django_assert_num_queries):
    """Within ``max_age``, everybody gets the same answer."""
    first = figures.overview(max_age=60)
    made()
    with django_assert_num_queries(0):
        assert first == figures.overview(max_age=60)
        assert first == figures.overview(max_age=60)

    assert 1 == figures.overview().due.number


@on_every_database
def test_each_database_has_its_own_answer(alias):
    """What is kept of one is not told of another."""
    made(alias)

    assert alias == figures.overview(alias, max_age=60).using
    assert cache.get(f"embedworkflow:figures:1:overview:{alias}")
    assert 0 == len(figures.triggers([], alias, max_age=60))


@pytest.mark.django_db
def test_the_cache_can_be_off(django_assert_num_queries):
    """``max_age=0`` asks the database, and keeps nothing."""
    figures.overview()
    with django_assert_num_queries(QUERIES):
        figures.overview()
    with django_assert_num_queries(QUERIES):
        figures.overview(max_age=60)


@pytest.mark.django_db
def test_a_stale_answer_serves_while_another_computes(django_assert_num_queries):
    """Of many who find it stale, one asks the database; he lets the next one do so in turn."""
    key = "embedworkflow:figures:1:overview:default"
    figures.overview(max_age=60)
    cache.set(key, cache.get(key) | {"at": 0})
    cache.set(f"{key}:lock", 1)
    with django_assert_num_queries(0):
        figures.overview(max_age=60)
    cache.delete(f"{key}:lock")
    with django_assert_num_queries(QUERIES):
        figures.overview(max_age=60)

    assert cache.get(f"{key}:lock") is None


@pytest.mark.django_db
def test_what_is_kept_is_plain_text():
    """No class of ours is in the cache: another version may read it, and nothing is unpickled."""
    made()
    process(pauses={"eu": {"reason": "401", "until": timezone.now().isoformat()}})
    tally(status=Status.FAILED)
    figures.overview(max_age=60)

    kept = cache.get("embedworkflow:figures:1:overview:default")
    assert {"at": float, "text": str} == {name: type(value) for name, value in kept.items()}


class BrokenCache(LocMemCache):
    """A cache whose server does not answer."""

    def _refuse(self, *args, **kwargs):
        raise ConnectionError

    get = add = set = delete = clear = _refuse


@pytest.mark.django_db
def test_a_cache_that_is_down_costs_no_figures(django_assert_num_queries):
    """Then everybody computes, and nobody sees an error."""
    broken = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}
    with override_settings(CACHES=broken), django_assert_num_queries(QUERIES):
        assert 0 == figures.overview(max_age=60).due.number
