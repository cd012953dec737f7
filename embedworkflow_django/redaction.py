"""Redaction: JSON as it may be shown to those who may not see all of it."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

from django.utils.translation import gettext as _

from . import conf
from .exceptions import InvalidExecution

REDACTED = "••••••"
_NOTHING = object()


def redact(value: Any) -> Any:
    """Return a copy of a JSON value with every secret replaced.

    Args:
        value: Anything that JSON can hold.

    Returns:
        The same structure; the value under each key that contains one of the setting ``REDACT``'s
        patterns, in any case, is ``REDACTED``.
    """
    return _redact(value, [pattern.lower() for pattern in conf.settings.redact])


def restore(value: Any, original: Any) -> Any:
    """Return a redacted copy that somebody has edited, with the secrets back where they were.

    Args:
        value: What has become of the copy.
        original: What it was a copy of.

    Raises:
        InvalidExecution: A secret is hidden where there was none.
    """
    if value == REDACTED:
        if original is _NOTHING:
            raise InvalidExecution(
                _("%s stands for a hidden value, but there was none in this place.") % REDACTED
            )
        return original
    if isinstance(value, dict):
        before = original if isinstance(original, dict) else {}
        return {key: restore(item, before.get(key, _NOTHING)) for key, item in value.items()}
    if isinstance(value, list):
        olds = chain(original if isinstance(original, list) else [], repeat(_NOTHING))
        return [restore(item, old) for item, old in zip(value, olds, strict=False)]
    return value


def _redact(value: Any, patterns: list[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED if _is_secret(key, patterns) else _redact(item, patterns)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_redact(item, patterns) for item in value]
    return value


def _is_secret(key: str, patterns: list[str]) -> bool:
    key = key.lower()
    return any(pattern in key for pattern in patterns)
