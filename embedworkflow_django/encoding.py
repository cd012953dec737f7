"""Plain JSON: what a caller's execution data becomes, or an error that says where it cannot."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from . import conf
from .exceptions import InvalidExecution, UnencodableData

# MariaDB refuses JSON that is nested 32 levels deep.
DEEPEST = 30
# What PostgreSQL (NUL) or any database (a lone surrogate) cannot store.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What holds nothing else, and is most of any data.
_FLAT = frozenset({str, int, float, bool, type(None)})
# What is often meant for a list.
_SEVERAL = (AbstractSet, Iterator, ValuesView, QuerySet)
_ENCODER = DjangoJSONEncoder(allow_nan=False)


def encode(data: Any) -> dict[str, Any]:
    """Return execution data as plain JSON values; refuses what ``dumps`` refuses."""
    encoded: dict[str, Any] = json.loads(dumps(data))
    return encoded


def dumps(data: Any) -> str:
    """Return execution data as JSON.

    Args:
        data: A mapping with string keys; its values may be what JSON holds, and dates, times,
            durations, Decimals, UUIDs, lazy strings and tuples.

    Raises:
        UnencodableData: Something in it cannot be encoded; the message names the path.
        InvalidExecution: It is no mapping, or larger than the setting ``MAX_DATA_SIZE``.
    """
    if data is None:
        return "{}"
    if not isinstance(data, Mapping):
        raise InvalidExecution(
            _("Execution data should be a dict, not %s.") % type(data).__name__, argument="data"
        )
    data = dict(data)
    try:
        text = _ENCODER.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise _fault(data, "data", 0) or UnencodableData(str(error), path="data") from None
    # An emoji looks like a lone surrogate; which of them it is, takes a closer look.
    if "\\u0000" in text or "\\ud" in text or not _is_plain(data):
        fault = _fault(data, "data", 0)
        if fault is not None:
            raise fault
    limit = conf.settings.max_data_size
    if len(text) > limit:
        raise InvalidExecution(
            _(
                "Execution data is %(size)d bytes of JSON; at most %(limit)d are allowed "
                '(EMBEDWORKFLOW["MAX_DATA_SIZE"]). Send an id, and let the workflow fetch the rest.'
            )
            % {"size": len(text), "limit": limit},
            argument="data",
        )
    return text


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON, also where one comes back from a database.

    PostgreSQL gives a number such as 1e23 back as an integer, with all its digits.

    Args:
        one: A plain JSON value.
        other: Another one.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(_exact(one) == _exact(other))


def _exact(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Return whether nothing is nested too deeply, and all keys are strings."""
    if isinstance(value, dict):
        # json.dumps would write 1 and "1" as the same key, and the second would replace the first.
        if not all(isinstance(key, str) for key in value):
            return False
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return True
    if depth == DEEPEST:
        return not value
    return all(_is_plain(each, depth + 1) for each in value if type(each) not in _FLAT)


def _fault(value: Any, path: str, depth: int) -> UnencodableData | None:
    """Return the error of the first value that cannot be encoded."""
    if depth > DEEPEST:
        return _error(path, _("it is nested too deeply, or contains itself"))
    if isinstance(value, dict):
        return next(filter(None, (_entry(k, v, path, depth) for k, v in value.items())), None)
    if isinstance(value, (list, tuple)):
        faults = (_fault(v, f"{path}[{n}]", depth + 1) for n, v in enumerate(value))
        return next(filter(None, faults), None)
    return _leaf(value, path)


def _entry(key: Any, value: Any, path: str, depth: int) -> UnencodableData | None:
    if not isinstance(key, str):
        return _error(f"{path}[{key!r}]", _("its key is no string"))
    if _UNSTORABLE.search(key):
        return _error(f"{path}[{key!r}]", _("its key has a character that cannot be stored"))
    return _fault(value, f"{path}[{key!r}]", depth + 1)


def _leaf(value: Any, path: str) -> UnencodableData | None:
    if isinstance(value, Promise):
        value = str(value)
    if isinstance(value, str):
        unstorable = _UNSTORABLE.search(value)
        return _error(path, _("it has a character that cannot be stored")) if unstorable else None
    if isinstance(value, float) and not math.isfinite(value):
        return _error(path, _("%r is no JSON number") % value)
    try:
        _ENCODER.encode(value)
    except TypeError:
        kind = type(value).__name__
        if isinstance(value, _SEVERAL):
            return _error(path, _("a %s is no JSON; give a list of what is needed") % kind)
        return _error(path, _("a %s is no JSON; give its id, or a dict of what is needed") % kind)
    except ValueError as error:
        return _error(path, str(error).removesuffix("."))
    return None


def _error(path: str, why: str) -> UnencodableData:
    return UnencodableData(
        _("%(path)s cannot be sent: %(why)s.") % {"path": path, "why": why}, path=path
    )
