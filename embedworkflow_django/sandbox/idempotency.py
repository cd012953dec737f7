"""Remembers the answers to calls with an idempotency key, and replays them.

Documented: a header on POST and PUT, valid for 24 hours, scoped to one path; keys that start with
`life-` do not expire. Assumed: the stored status and body are replayed whatever the new body says,
409 while the first call is running. Faults on demand are outside: they spoil what the caller sees,
not what is kept, and a status answered before the work leaves the key unused.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from . import clock as clocks
from . import messages

VALID_SECONDS = 24 * 3600.0
LASTING_PREFIX = "life-"
METHODS = frozenset({"POST", "PUT"})

#: Account id, path, key.
Scope = tuple[str, str, str]


@dataclass(slots=True)
class Kept:
    """The answer to the first call under a key; `answer` is None while that call runs."""

    answer: messages.Answer | None = None
    execution_id: str | None = None


class Ledger:
    """All keys in use.

    Args:
        clock: Tells when a key expires.
    """

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Scope, Kept] = {}
        self._expiring: deque[tuple[float, Scope]] = deque()

    def claim(self, scope: Scope) -> Kept | None:
        """Take the key for a call about to run; return what is kept if it is taken already."""
        with self._lock:
            self._purge()
            kept = self._kept.get(scope)
            if kept is None:
                self._kept[scope] = Kept()
            return kept

    def keep(self, scope: Scope, answer: messages.Answer, execution_id: str | None) -> None:
        """Store the answer of the call that claimed the key."""
        with self._lock:
            self._kept[scope] = Kept(answer, execution_id)
            if not scope[2].startswith(LASTING_PREFIX):
                self._expiring.append((self._clock.now() + VALID_SECONDS, scope))

    def release(self, scope: Scope) -> None:
        """Give the key back, because the call that claimed it left nothing to replay."""
        with self._lock:
            self._kept.pop(scope, None)

    def clear(self) -> None:
        """Forget all keys."""
        with self._lock:
            self._kept.clear()
            self._expiring.clear()

    def _purge(self) -> None:
        now = self._clock.now()
        while self._expiring and self._expiring[0][0] <= now:
            _, scope = self._expiring.popleft()
            self._kept.pop(scope, None)
