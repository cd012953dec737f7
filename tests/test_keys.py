"""Keys: UUIDs of version 7 that never repeat and always grow."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime

from embedworkflow_django.keys import first_of, time_of, uuid7


def test_it_is_a_uuid_of_version_7():
    """The version and variant bits are those of RFC 9562, section 5.7."""
    for key in (uuid7() for _ in range(1000)):
        assert key.version == 7
        assert key.variant == uuid.RFC_4122


def test_it_begins_with_the_time():
    """The first 48 bits are the milliseconds of the Unix epoch."""
    before = time.time_ns() // 1_000_000
    stamp = uuid7().int >> 80
    # The counter may be ahead of the clock by what was made in one burst.
    assert before <= stamp <= time.time_ns() // 1_000_000 + 100


def test_a_key_tells_when_it_was_made():
    """To the millisecond; the first key of a moment tells that moment."""
    now = datetime(2026, 11, 25, 7, 30, 0, 123_000, tzinfo=UTC)
    assert now == time_of(first_of(now))


def test_keys_grow():
    """Each key of a thread is greater than the one before, within one millisecond too."""
    keys = [uuid7() for _ in range(20_000)]
    assert keys == sorted(keys)
    assert [str(key) for key in keys] == sorted(str(key) for key in keys)


def test_keys_are_unique_across_threads():
    """Threads that make keys at once never make the same, and none goes back in time."""
    made = [[] for _ in range(8)]
    start = threading.Barrier(len(made))

    def make(keys):
        start.wait()
        keys.extend(uuid7() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(keys,)) for keys in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(keys == sorted(keys) for keys in made)
    # The time and counter alone differ already; the random bits are not needed within a process.
    stamps = {key.int >> 64 for keys in made for key in keys}
    assert len(stamps) == 8 * 2_000


def test_keys_cannot_be_guessed():
    """The last 62 bits are random."""
    tails = {uuid7().int & (1 << 62) - 1 for _ in range(1000)}
    assert len(tails) == 1000
