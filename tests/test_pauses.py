"""Pauses: which accounts are left alone, and when one is tried again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from embedworkflow_django import conf
from embedworkflow_django.exceptions import (
    AnswerLost,
    AuthenticationError,
    NotFound,
    NotSent,
    RateLimited,
    ServerError,
    ServiceUnavailable,
)
from embedworkflow_django.models import Status
from embedworkflow_django.pauses import (
    FIRST,
    FIRST_AWAY,
    LONGEST,
    LONGEST_AWAY,
    MISSED,
    Pauses,
)

from .databases import EVERY_DATABASE
from .river import open_river
from .test_worker import wait_until
from .wire import Close, serving

REFUSED = AuthenticationError("bad key", status_code=401)


@pytest.fixture
def db_alias():
    """The database of this file's tests, unless a test names others."""
    return "default"


@pytest.fixture
def pauses():
    """No account is paused."""
    return Pauses()


def test_nobody_is_paused_at_first(pauses):
    """There is nothing to wait for, and nobody to probe."""
    assert ([], [], None) == (pauses.accounts(), pauses.probes(), pauses.wait())
    assert not pauses.holds("default")


@pytest.mark.parametrize("error", [REFUSED, conf.ConfigurationError("no key")], ids=["401", "key"])
def test_a_refused_account_is_held_until_its_probe(pauses, error):
    """And only that account."""
    pauses.heard("default", error)

    assert ["default"] == pauses.accounts()
    assert pauses.holds("default")
    assert not pauses.holds("other")
    assert [] == pauses.probes()
    assert FIRST - 1 < pauses.wait() <= FIRST


def test_a_success_ends_the_pause(pauses):
    """Whoever is let in goes on."""
    pauses.heard("default", REFUSED)
    pauses.heard("default", None)

    assert [] == pauses.accounts()


def test_another_error_neither_begins_nor_ends_a_pause(pauses):
    """A server error says nothing about the account."""
    pauses.heard("default", ServerError("oops", status_code=500))
    assert [] == pauses.accounts()
    pauses.heard("default", REFUSED)
    pauses.heard("default", ServerError("oops", status_code=500))
    pauses.heard("default", ValueError())
    assert ["default"] == pauses.accounts()


def test_the_api_may_ask_for_patience(pauses):
    """``Retry-After`` pauses the account for as long; without it nothing is paused."""
    pauses.heard("default", RateLimited("slow down", status_code=429))
    assert [] == pauses.accounts()
    pauses.heard("default", RateLimited("slow down", status_code=429, retry_after=0.05))
    time.sleep(0.06)

    assert ["default"] == pauses.probes()
    assert not pauses.holds("default")
    assert [] == pauses.probes()
    pauses.heard("default", None)
    assert [] == pauses.accounts()


def test_the_next_probe_is_that_of_the_account_whose_turn_is_first(pauses):
    """However long another one pauses."""
    for account, seconds in (("patient", 60), ("hasty", 5), ("lazy", 90)):
        pauses.heard(account, RateLimited("slow down", status_code=429, retry_after=seconds))

    assert 4 < pauses.wait() <= 5


@pytest.mark.django_db(transaction=True)
def test_the_patience_that_the_api_asks_for_is_kept(river):
    """Also when a call that was under way already succeeds meanwhile."""
    river.configure(CONCURRENCY=2)
    slow = river.sandbox.faults.add("slow", seconds=5, until=threading.Event())
    first = river.execute()
    with river.running(interval=0.05) as worker:
        assert slow.met.wait(10)
        river.sandbox.faults.add(429, retry_after=2)
        for _ in range(4):
            river.execute()
        worker.wake()
        wait_until(worker._pauses.accounts)
        slow.until.set()
        wait_until(lambda: river.row(first).status == Status.RUNNING)
        time.sleep(0.5)
        assert 2 == len(river.executed)
        wait_until(lambda: river.rows().filter(status=Status.RUNNING).count() == 5)


@pytest.mark.django_db(transaction=True)
def test_what_is_told_meanwhile_is_no_answer_of_the_api(river, heard):
    """Calls that miss it are in a row, whatever ends are announced between them."""
    heard.connect("execution_finished")
    river.configure(CONCURRENCY=1, GIVE_UP_AFTER=0.001)
    river.sandbox.faults.add("latency", seconds=0.15, times=None)
    river.sandbox.faults.add(503, times=None)
    for _ in range(3 * MISSED):
        river.execute()
    river.work()

    # The next one may have begun before the last one was heard of.
    assert MISSED <= len(river.executed) <= MISSED + 2


def test_each_failed_probe_doubles_the_pause(pauses):
    """Up to five minutes; a call that was under way already does not count."""
    pauses.heard("default", REFUSED)
    pauses.heard("default", REFUSED)
    assert pauses.wait() <= FIRST
    for seconds in (2 * FIRST, 4 * FIRST):
        pauses._pauses["default"].until = 0.0
        assert ["default"] == pauses.probes()
        pauses.heard("default", REFUSED)
        assert seconds - 1 < pauses.wait() <= seconds
    for _ in range(10):
        pauses._pauses["default"].until = 0.0
        pauses.probes()
        pauses.heard("default", REFUSED)
    assert pauses.wait() <= LONGEST


AWAY = {
    "refused": NotSent("connection refused"),
    "timeout": AnswerLost("no answer"),
    "503": ServiceUnavailable("closed", status_code=503),
    "502": ServerError("bad gateway", status_code=502),
}


@pytest.mark.parametrize("error", AWAY.values(), ids=AWAY)
def test_an_api_that_is_away_is_left_alone(pauses, error):
    """Once some calls in a row have missed it, and longer after each probe that misses it."""
    for _ in range(MISSED - 1):
        pauses.heard("default", error)
    assert [] == pauses.accounts()
    pauses.heard("default", error)

    assert ["default"] == pauses.accounts()
    assert pauses.wait() <= FIRST_AWAY
    for _ in range(10):
        pauses._pauses["default"].until = 0.0
        pauses.probes()
        pauses.heard("default", error)
    assert FIRST_AWAY < pauses.wait() <= LONGEST_AWAY


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refused", REFUSED),
        ("settings", conf.ConfigurationError("no key")),
        ("rated", RateLimited("401 times slower", status_code=429, retry_after=60)),
        ("away", NotSent("connection refused")),
    ],
)
def test_operators_are_told_which_kind_of_pause_it_is(pauses, kind, error):
    """As a value beside the words, and until when by the clock of whoever is told."""
    for _ in range(MISSED):
        pauses.heard("default", error)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    told = pauses.told(now)["default"]

    assert (kind, str(error)) == (told["kind"], told["reason"])
    assert now < datetime.fromisoformat(told["until"]) <= now + timedelta(seconds=60)


@pytest.mark.parametrize(
    "error",
    [None, NotFound("no such workflow", status_code=404), ServerError("oops", status_code=500)],
    ids=["success", "404", "500"],
)
def test_whoever_answers_is_not_away(pauses, error):
    """Calls that miss the API count in a row only."""
    for _ in range(2 * MISSED):
        pauses.heard("default", NotSent("connection refused"))
        pauses.heard("default", error)
    for _ in range(MISSED - 1):
        pauses.heard("default", NotSent("connection refused"))

    assert [] == pauses.accounts()


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_an_outage_costs_few_rows_their_place(settings, alias):
    """The others are not even tried; when the API is back, they go out in order of age."""
    with open_river(settings, alias) as river:
        with serving(Close()) as dead:
            river.configure(BASE_URL=dead.base_url, CONCURRENCY=1)
            rows = [river.execute() for _ in range(10 * MISSED)]
            river.work()
        # On busy cores some have begun before the last one was heard of.
        assert MISSED <= sum(row.attempts for row in river.rows()) <= 4 * MISSED
        assert all(row.claim == "" for row in river.rows())
        untried = [str(row.pk) for row in rows if not river.row(row).attempts]

        river.configure(CONCURRENCY=1)
        river.work()
        keys = [call.headers["idempotency-key"] for call in river.executed]
        assert untried == [key for key in keys if key in untried]
        assert Status.RUNNING == river.row(rows[-1]).status
