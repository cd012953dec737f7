"""Makes the identifiers of the API: uuids of version 7, hashids, keys made from names."""

from __future__ import annotations

import random
import re
import uuid

from . import clock as clocks

HASHID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
HASHID_LENGTH = 5
#: Coprime to 36, so that multiplying by it visits every five-character word exactly once.
HASHID_STRIDE = 39_916_801

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_COUNTER_LIMIT = 1 << 12


class Uuid7Maker:
    """Makes uuids of version 7 that always ascend, also when the clock stands still or jumps back.

    Not thread-safe by itself: the engine calls it under its lock.
    """

    def __init__(self, clock: clocks.Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._millisecond = 0
        self._counter = 0

    def __call__(self) -> str:
        """Return the next uuid as text."""
        self._step()
        number = (
            (self._millisecond << 80)
            | (0x7 << 76)
            | (self._counter << 64)
            | (0b10 << 62)
            | self._rng.getrandbits(62)
        )
        return str(uuid.UUID(int=number))

    def _step(self) -> None:
        millisecond = int(self._clock.now() * 1000)
        if millisecond > self._millisecond:
            self._millisecond = millisecond
            self._counter = self._rng.getrandbits(11)
            return
        self._counter += 1
        if self._counter == _COUNTER_LIMIT:
            self._millisecond += 1
            self._counter = 0


class HashidMaker:
    """Makes short ids that look random and never repeat within 60 million."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> str:
        """Return the next hashid."""
        self._count += 1
        rest = self._count * HASHID_STRIDE % len(HASHID_ALPHABET) ** HASHID_LENGTH
        letters = []
        for _ in range(HASHID_LENGTH):
            rest, index = divmod(rest, len(HASHID_ALPHABET))
            letters.append(HASHID_ALPHABET[index])
        return "".join(letters)


def is_uuid(text: str) -> bool:
    """Tell whether *text* is spelled like a uuid."""
    return _UUID.fullmatch(text) is not None


def key_from_name(name: str) -> str:
    """Return the key that a workflow gets from its name: "My workflow" becomes `my_workflow`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "workflow"
