"""Pauses: which accounts are left alone, and when one is tried again."""

from __future__ import annotations

import time

import pytest

from embedworkflow_django import conf
from embedworkflow_django.exceptions import AuthenticationError, RateLimited, ServerError
from embedworkflow_django.pauses import FIRST, LONGEST, Pauses

REFUSED = AuthenticationError("bad key", status_code=401)


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
