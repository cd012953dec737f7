"""The short form of ``python -m tests.chaos``: nothing lost, nothing doubled, under kill -9."""

from __future__ import annotations

import random

import pytest

from .chaos import stage
from .databases import DEFAULT, EVERY_DATABASE, alias_of

KILLS = 6
NOTHING = {}


def wrong(verdict):
    """Return the evidence of a verdict, by kind."""
    return {kind: found for kind, found in verdict.violations.items() if found}


def play(alias, **options):
    """Kill a few savers and workers; return what the comparison has found."""
    seed = random.randrange(10**6)
    verdict, killed, log = stage.play(
        alias=alias, kills=KILLS, casts=["both"], seed=seed, faults=True, **options
    )
    assert KILLS == sum(killed.values())
    assert "Traceback" not in log, log
    return verdict


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_what_was_committed_is_executed_once_whoever_is_killed(alias):
    """Rows, calls, executions, history and announcements agree item by item, lost answers or no."""
    verdict = play(alias)

    assert NOTHING == wrong(verdict)
    assert verdict.counts["committed"] <= verdict.counts["calls"]
    assert verdict.counts["committed"]


@pytest.mark.skipif(DEFAULT != "sqlite", reason="This run is about another database.")
@pytest.mark.django_db(transaction=True, databases=[alias_of("sqlite")])
def test_sqlite_without_wal_and_with_deferred_transactions_loses_nothing_either():
    """The settings that ``startproject`` writes are enough."""
    verdict = play(alias_of("sqlite"), bare=True)

    assert NOTHING == wrong(verdict)
    assert verdict.counts["committed"]
