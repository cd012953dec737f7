"""Redaction: JSON as it may be shown to those who may not see all of it."""

from __future__ import annotations

import re
from itertools import chain, repeat
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from . import conf
from .exceptions import InvalidExecution

REDACTED = "••••••"
# What a node or an action type says in lines of ``name: value``, as documented.
LINES = frozenset({"headers", "params"})
_LINE = re.compile(r"^([^:\r\n]*):(.*)$", re.MULTILINE)
_HIDDEN_LINE = f": {REDACTED}"
_NOTHING = object()
_REARRANGED = gettext_noop(
    "entries were added, removed or moved, so that nobody can tell whose the hidden "
    "values are. Keep their number and order, or type the values instead of %(hidden)s."
)


def redact(value: Any) -> Any:
    """Return a copy of a JSON value with every secret replaced.

    Args:
        value: Anything that JSON can hold.

    Returns:
        The same structure; the value under each key that contains one of the setting ``REDACT``'s
        patterns, in any case and with hyphens for underscores, is ``REDACTED``. So is the value of
        each such header or parameter in ``LINES``.
    """
    return _redact(value, [_plain(pattern) for pattern in conf.settings.redact])


def restore(value: Any, original: Any) -> Any:
    """Return a redacted copy that somebody has edited, with the secrets back where they were.

    Args:
        value: What has become of the copy.
        original: What it was a copy of.

    Raises:
        InvalidExecution: A secret is hidden where there was none, or in a list whose entries were
            added, removed or moved, so that it could be another's; the message names the path. Or
            the copy is nested too deeply to be looked through.
    """
    try:
        return _restore(value, original, redact(original), "data")
    except RecursionError:
        raise _refused("data", _("it is nested too deeply.")) from None


def _restore(value: Any, original: Any, shown: Any, path: str) -> Any:
    if value == REDACTED:
        if original is _NOTHING:
            why = _("%(hidden)s stands for a hidden value, but there was none in this place.")
            raise _refused(path, why)
        return original
    if isinstance(value, str) and _HIDDEN_LINE in value:
        if value != shown:
            raise _refused(path, _(_REARRANGED))
        return original
    # What is hidden as a whole has no parts.
    if isinstance(value, dict):
        before, seen = (original, shown) if isinstance(shown, dict) else ({}, {})
        return {
            key: _restore(item, before.get(key, _NOTHING), seen.get(key), f"{path}[{key!r}]")
            for key, item in value.items()
        }
    if isinstance(value, list):
        if _is_rearranged(value, shown):
            raise _refused(path, _(_REARRANGED))
        olds, views = (original, shown) if isinstance(shown, list) else ([], [])
        items = zip(value, chain(olds, repeat(_NOTHING)), chain(views, repeat(None)), strict=False)
        return [_restore(*each, f"{path}[{n}]") for n, each in enumerate(items)]
    return value


def _is_rearranged(value: list[Any], shown: Any) -> bool:
    """Return whether a hidden value in a list may stand for another one than at its position."""
    hiding = [n for n, item in enumerate(value) if _hides(item)] if _hides(shown) else []
    if not isinstance(shown, list) or len(value) != len(shown):
        return bool(hiding)
    return any(value[n] != shown[n] and value[n] in shown for n in hiding)


def _hides(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_hides, value.values()))
    if isinstance(value, list):
        return any(map(_hides, value))
    return isinstance(value, str) and (value == REDACTED or _HIDDEN_LINE in value)


def _refused(path: str, why: str) -> InvalidExecution:
    return InvalidExecution(f"{path}: {why % {'hidden': REDACTED}}", argument="data")


def _redact(value: Any, patterns: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _redact_entry(key, item, patterns) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item, patterns) for item in value]
    return value


def _redact_entry(key: str, value: Any, patterns: list[str]) -> Any:
    if _is_secret(key, patterns):
        return REDACTED
    if key in LINES and isinstance(value, str):
        return _LINE.sub(
            lambda line: f"{line[1]}{_HIDDEN_LINE}" if _is_secret(line[1], patterns) else line[0],
            value,
        )
    return _redact(value, patterns)


def _is_secret(key: str, patterns: list[str]) -> bool:
    key = _plain(key)
    return any(pattern in key for pattern in patterns)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
