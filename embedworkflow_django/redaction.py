"""Redaction: JSON as it may be shown to those who may not see all of it."""

from __future__ import annotations

from typing import Any

from . import conf

REDACTED = "••••••"


def redact(value: Any) -> Any:
    """Return a copy of a JSON value with every secret replaced.

    Args:
        value: Anything that JSON can hold.

    Returns:
        The same structure; the value under each key that contains one of the setting ``REDACT``'s
        patterns, in any case, is ``REDACTED``.
    """
    return _redact(value, [pattern.lower() for pattern in conf.settings.redact])


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
