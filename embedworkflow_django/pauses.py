"""Pauses: the accounts that the API refuses, asks for patience, or does not answer; when to try.

While the API is away, one row at a time finds out whether it is back; the others keep their place
in the queue, instead of each going through a back-off of its own.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from . import conf
from .exceptions import APIError

logger = logging.getLogger("embedworkflow_django")

FIRST = 5.0
LONGEST = 300.0
# How many calls in a row must miss the API for it to be away, and how long it is then left alone.
MISSED = 5
FIRST_AWAY = 1.0
LONGEST_AWAY = 60.0


class Kind(TextChoices):
    """Why an account is paused."""

    REFUSED = "refused", _("the API does not let it in")
    SETTINGS = "settings", _("its settings are wrong")
    RATED = "rated", _("the API asks for patience")
    AWAY = "away", _("the API does not answer")


@dataclass(slots=True)
class _Pause:
    kind: Kind
    reason: str
    seconds: float
    until: float
    probing: bool = False


class Pauses:
    """The paused accounts of one worker; its threads may ask at any time."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}
        self._missed: Counter[str] = Counter()

    def accounts(self) -> list[str]:
        """Return the accounts whose rows are not to be claimed, but for a probe."""
        return list(self._pauses)

    def told(self, now: datetime) -> dict[str, dict[str, str]]:
        """Return the paused accounts for operators: why, and until when nothing is sent.

        Args:
            now: The time by the clock of whoever is told.
        """
        ticks = time.monotonic()
        return {
            account: {
                "kind": str(pause.kind),
                "reason": pause.reason,
                "until": (now + timedelta(seconds=pause.until - ticks)).isoformat(),
            }
            for account, pause in self._pauses.items()
        }

    def holds(self, account: str) -> bool:
        """Return whether a row of an account must not be sent now."""
        pause = self._pauses.get(account)
        return pause is not None and not pause.probing

    def wait(self) -> float | None:
        """Return the seconds until the next probe; ``None`` when no account is paused."""
        if not self._pauses:
            return None
        return max(0.0, min(p.until for p in self._pauses.values()) - time.monotonic())

    def probes(self, *, without: Collection[str] = ()) -> list[str]:
        """Return the accounts of which one row is to be tried now, and begin their probes.

        Args:
            without: Accounts whose probes have to wait.
        """
        now = time.monotonic()
        due = [a for a, pause in self._pauses.items() if pause.until <= now and a not in without]
        for account in due:
            pause = self._pauses[account]
            pause.probing, pause.until = True, now + pause.seconds
        return due

    def heard(self, account: str, error: Exception | None) -> None:
        """Take note of how a call of an account has ended.

        Args:
            account: The account's alias.
            error: What the call raised; ``None`` when the API answered.
        """
        missed = isinstance(error, APIError) and error.away
        self._missed[account] = self._missed[account] + 1 if missed else 0
        if error is None:
            self._succeeded(account)
        elif isinstance(error, conf.ConfigurationError):
            self._failed(account, Kind.SETTINGS, error)
        elif isinstance(error, APIError):
            if error.account_fault:
                self._failed(account, Kind.REFUSED, error)
            elif error.retry_after:
                self._pause(account, Kind.RATED, str(error), error.retry_after)
            elif self._missed[account] >= MISSED:
                self._failed(account, Kind.AWAY, error)

    def _succeeded(self, account: str) -> None:
        pause = self._pauses.get(account)
        # A call that was under way already does not shorten the time that the API asked for.
        if pause is None or (pause.kind == Kind.RATED and not pause.probing):
            return
        del self._pauses[account]
        logger.info(
            "Account %r goes on.",
            account,
            extra={"event_name": "account_resumed", "account": account},
        )

    def _failed(self, account: str, kind: Kind, error: Exception) -> None:
        first, longest = (FIRST_AWAY, LONGEST_AWAY) if kind == Kind.AWAY else (FIRST, LONGEST)
        known = self._pauses.get(account)
        if known is None or known.probing:
            seconds = min(longest, 2 * known.seconds) if known else first
            self._pause(account, kind, str(error), seconds)

    def _pause(self, account: str, kind: Kind, reason: str, seconds: float) -> None:
        self._pauses[account] = _Pause(kind, reason, seconds, time.monotonic() + seconds)
        logger.warning(
            "Account %r is paused for %.0f s: %s",
            account,
            seconds,
            reason,
            extra={
                "event_name": "account_paused",
                "account": account,
                "kind": kind.value,
                "seconds": seconds,
            },
        )
