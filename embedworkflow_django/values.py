"""Values: what each setting may be, and what becomes of it; whose it is, ``conf`` knows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.db import models

    UserKey = str | Callable[[models.Model | None], str | None] | None

_DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# For ever: what is longer leads out of the calendar.
_LONGEST = timedelta(days=36_500)
_KEY = re.compile(r"(?P<kind>[sp]k_(live|test)_)[^\s'\"]*")


def without_keys(text: str) -> str:
    """Return a text with whatever looks like an API key cut to its prefix."""
    return _KEY.sub(r"\g<kind>…", text)


class UnfitError(Exception):
    """Says what a value should be; the setting is named by whoever knows it."""


def _unfit(should: str, value: object) -> UnfitError:
    return UnfitError(f"should be {should}, not {without_keys(repr(value))}.")


def duration(value: object) -> timedelta:
    """Return a positive number of seconds, or a timedelta, as a timedelta."""
    if isinstance(value, timedelta) and value > timedelta(0):
        return min(value, _LONGEST)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        with suppress(OverflowError):
            return min(timedelta(seconds=value), _LONGEST)
    raise _unfit("a positive number of seconds or a timedelta", value)


def flag(value: object) -> bool:
    """Return ``True`` or ``False``."""
    if isinstance(value, bool):
        return value
    raise _unfit("True or False", value)


def integer(value: object) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise _unfit("a whole number of at least 1", value)


def rate(value: object) -> float | None:
    """Return a positive number, or ``None``."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise _unfit("a positive number of calls a second, or None", value)


def text(value: object) -> str:
    """Return a string."""
    if isinstance(value, str):
        return value
    # The value may be a key in a wrong type, so neither the sentence nor this frame shows it.
    kind = type(value).__name__
    del value
    raise UnfitError(f"should be a string, not {kind}.")


def texts(value: object) -> tuple[str, ...]:
    """Return a list of strings, none empty, as a tuple."""
    if isinstance(value, (tuple, list)) and all(isinstance(v, str) and v for v in value):
        return tuple(value)
    raise _unfit("a list of strings", value)


def header(value: object) -> str:
    """Return the name of an HTTP header."""
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value
    raise _unfit("the name of an HTTP header", value)


def choice(*choices: str) -> Callable[[object], str]:
    """Return a reader of one of some strings."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise _unfit(" or ".join(repr(choice) for choice in choices), value)

    return read


def timeout(value: object) -> tuple[float, float]:
    """Return the seconds for connecting and for reading; one number is both."""
    match value:
        case int() | float() | timedelta():
            connect = read = value
        case [connect, read]:
            pass
        case _:
            raise _unfit("a pair of seconds (connect, read)", value)
    return duration(connect).total_seconds(), duration(read).total_seconds()


def poll(value: object) -> tuple[timedelta, timedelta, timedelta]:
    """Return the first interval, the longest one, and the age at which polling ends."""
    match value:
        case [first, cap, end]:
            return duration(first), max(duration(first), duration(cap)), duration(end)
        case _:
            raise _unfit("three durations (first, cap, end)", value)


def user_key(value: object) -> UserKey:
    """Return a string, a callable, or ``None``; a dotted path is imported."""
    if isinstance(value, str) and _DOTTED_PATH.fullmatch(value):
        try:
            value = import_string(value)
        except ImportError as error:
            raise UnfitError(
                f"cannot be imported: {error}. A key with dots in it is given by a callable: "
                "lambda source: …"
            ) from None
    if value is None or isinstance(value, str) or callable(value):
        return value
    raise _unfit("a string or the dotted path of a callable", value)
