"""Lanes: one account's calls delay no other's, and a rate is kept."""

from __future__ import annotations

import re
import threading
import time

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from embedworkflow_django import conf, services, worker
from embedworkflow_django.exceptions import RateLimited
from embedworkflow_django.lanes import Lane
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.pauses import Pauses
from embedworkflow_django.worker import Worker

from .databases import EVERY_DATABASE
from .wire import Silence, serving


@pytest.fixture(params=EVERY_DATABASE)
def db_alias(request):
    """Each kind of database in turn."""
    return request.param


def wait_until(condition, timeout=20):
    """Wait until something holds, or fail."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends
        threading.Event().wait(0.01)


def queue(river, count, **options):
    """Queue many executions of the account ``default``."""
    services.execute_many([{"workflow": "bake", "using": river.alias, **options}] * count)


def eu(river, **changes):
    """Return the settings of an account ``eu`` that reaches the sandbox."""
    return {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "RATE": None,
        **changes,
    }


def of_one_account(captured):
    """Return the statements that ask for the rows of one account."""
    return [q["sql"] for q in captured if re.search(r"WHERE .*\baccount\b\W* = ", q["sql"])]


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_an_account_that_never_answers_delays_no_other(river, policy):
    """Its backlog fills its own lane; another account's fresh execution goes out meanwhile."""
    with serving(Silence()) as dead:
        river.configure(
            BASE_URL=dead.base_url,
            TIMEOUT=(1, 30),
            CONCURRENCY=2,
            ON_LOST_ANSWER=policy,
            ACCOUNTS={"eu": eu(river)},
        )
        queue(river, 50)
        with river.running(interval=0.1) as running:
            wait_until(lambda: len(dead.requests) == 2)
            fresh = river.execute(account="eu")
            running.wake()
            wait_until(lambda: river.row(fresh).status == Status.RUNNING)
            assert 2 == len(dead.requests)
            running.stop(now=True)


def test_a_backlog_is_not_ahead_of_another_account(river):
    """Fifty that came before are still waiting when the other account's one is delivered."""
    river.configure(RATE=10, ACCOUNTS={"eu": eu(river)})
    queue(river, 50)
    fresh = river.execute(account="eu")
    with river.running(interval=0.05):
        wait_until(lambda: river.row(fresh).status == Status.RUNNING)
        assert river.rows().filter(account="default", status=Status.QUEUED).count() > 10


def test_a_rate_is_kept_to_the_end(river):
    """A worker that runs until it is idle waits for its turns, and leaves nothing behind."""
    river.configure(RATE=100)
    queue(river, 220)
    began = time.monotonic()
    river.work()

    assert 220 == river.rows().filter(status=Status.RUNNING).count()
    # A hundred may have been saved up; the others wait for theirs.
    assert time.monotonic() - began > (220 - 100 - 1) / 100


def test_a_rate_of_less_than_one_a_second_is_kept(river):
    """One goes out at once, the next one when its turn comes; another account's waits for none."""
    account = f"slow_{river.alias}"
    river.configure(ACCOUNTS={account: eu(river, RATE=0.01)})
    queue(river, 2, account=account)
    with river.running(interval=0.05) as running:
        wait_until(lambda: river.rows().filter(status=Status.RUNNING).exists())
        fresh = river.execute()
        running.wake()
        wait_until(lambda: river.row(fresh).status == Status.RUNNING)

    assert 2 == len(river.executed)


def test_a_turn_is_waited_for_only_where_it_is_what_holds_a_call_up(settings):
    """Not while one is left, nor while all threads have something to do."""
    accounts = {"waits": {"SECRET_KEY": "sk_test_1", "RATE": 0.5}}
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "ACCOUNTS": accounts}
    lane = Lane("waits", concurrency=1)
    assert None is lane.wait()
    lane.take()
    assert None is lane.wait()
    lane.put_down()

    assert 1 < lane.wait() <= 2


def test_what_is_sent_inline_counts_towards_a_rate(river):
    """It waits for no turn of its own, and whoever comes next waits for those that it took."""
    account = f"inline_{river.alias}"
    river.configure(ACCOUNTS={account: eu(river, RATE=0.01)})
    queue(river, 1, account=account)
    river.work()
    queue(river, 3, account=account)
    assert 3 == Worker(aliases=[river.alias]).run_inline(river.alias)
    queue(river, 1, account=account)
    late = Worker(aliases=[river.alias])
    late.run_until_idle(timeout=0.2)

    assert (4, []) == (len(river.executed), late.unreached)


def test_accounts_that_are_at_rest_cost_no_further_statements(river):
    """It is asked for all of them at once."""
    river.configure(ACCOUNTS={"eu": eu(river)})
    with CaptureQueriesContext(connections[river.alias]) as captured:
        river.work()

    assert [] == of_one_account(captured)


def test_a_rate_ends_nothing_early_where_nothing_is_due(river):
    """What is due later does not keep a worker that runs until it is idle."""
    river.configure(RATE=1, POLL=(60, 60, 3600))
    river.execute()
    river.work()

    assert Status.RUNNING == river.row().status
    assert river.row().due_at is not None


def test_all_workers_of_a_process_share_a_rate(river):
    """The second one finds the turns used up that the first one took."""
    river.configure(RATE=2)
    queue(river, 4)
    Worker(aliases=[river.alias]).run_until_idle(timeout=0.05)
    Worker(aliases=[river.alias]).run_until_idle(timeout=0.05)

    assert len(river.executed) <= 3


def test_a_probe_waits_for_what_was_claimed_ahead(river):
    """That is older, and given back first; a younger row would overtake it."""
    pauses = Pauses()
    pauses.heard("default", RateLimited("slow down", retry_after=0.001))
    running = Worker(aliases=[river.alias], concurrency=1, pauses=pauses)
    lane = running._lane("default")
    row = river.execute()
    wait_until(lambda: pauses.wait() == 0)
    for _ in range(2):
        lane.take()
    assert 0 == running._claim()
    assert river.row(row).claim == ""
    for _ in range(2):
        lane.put_down()
    running.run_until_idle()

    assert Status.RUNNING == river.row(row).status


def test_rows_of_an_account_that_is_no_more_are_found(river, monkeypatch):
    """Also while another account is paused: they say what is wrong with them."""
    monkeypatch.setattr(worker, "STRANGERS", 0.0)
    river.configure(ACCOUNTS={"eu": eu(river, SECRET_KEY="sk_test_wrong")})
    with river.running(interval=0.05) as running:
        refused = river.execute(account="eu")
        wait_until(lambda: "401" in river.row(refused).last_error)
        stray = Execution(account="gone", workflow="bake")
        stray.save(using=river.alias)
        running.wake()
        wait_until(lambda: "'gone'" in river.row(stray).last_error)


def test_who_looks_for_them_leaves_a_paused_account_alone(river, monkeypatch):
    """Its rows are not what is looked for."""
    monkeypatch.setattr(worker, "STRANGERS", 0.0)
    pauses = Pauses()
    pauses.heard("default", RateLimited("slow down", retry_after=60))
    row = river.execute()

    assert 0 == Worker(aliases=[river.alias], pauses=pauses)._claim()
    assert None is river.row(row).sent_at


def test_one_account_costs_no_further_statements(river):
    """Where there is no other account, nothing is asked for one."""
    queue(river, 20)
    with CaptureQueriesContext(connections[river.alias]) as captured:
        river.work()

    assert [] == of_one_account(captured)


def test_no_account_has_more_threads_than_one_claim_brings():
    """However many are asked for."""
    assert 500 == Worker(aliases=[], concurrency=501).concurrency


@pytest.mark.parametrize("rate", [0, -1, True, "5", float("inf"), float("nan")])
def test_a_rate_that_makes_no_sense_is_refused(settings, rate):
    """The error names the setting."""
    settings.EMBEDWORKFLOW = {"RATE": rate}
    with pytest.raises(conf.ConfigurationError, match=r'\["RATE"\] should be a positive number'):
        conf.account_value("default", "RATE")
