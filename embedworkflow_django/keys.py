"""Primary keys: UUID version 7, so that newest first is ``-id``."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, datetime

_lock = threading.Lock()
# A child of a fork would wait for ever for a thread that it does not have.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_last = 0


def uuid7() -> uuid.UUID:
    """Return a UUID version 7 (RFC 9562), greater than any that this process made before."""
    global _last  # noqa: PLW0603 - one sequence for the whole process
    with _lock:
        # 48 bits of milliseconds, then 12 bits of the millisecond's fraction as a counter.
        now = time.time_ns() * 4096 // 1_000_000
        _last = now if now > _last else _last + 1
        stamp = _last
    tail = int.from_bytes(os.urandom(8)) >> 2
    milliseconds, fraction = stamp >> 12, stamp & 0xFFF
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)


def first_of(when: datetime) -> uuid.UUID:
    """Return the least UUID version 7 of a millisecond: keys made from then on are not below it."""
    milliseconds = int(when.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def time_of(key: uuid.UUID) -> datetime:
    """Return when a UUID version 7 was made, to the millisecond.

    Args:
        key: The key.
    """
    return datetime.fromtimestamp((key.int >> 80) / 1000, tz=UTC)
