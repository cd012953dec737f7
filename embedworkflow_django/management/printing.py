"""Printing: what a command writes to a stream that may not take every character."""

from __future__ import annotations

import unicodedata

from django.core.management.base import OutputWrapper

_WIDE = {"F", "W"}


def shown(text: str, stream: OutputWrapper) -> str:
    r"""Return a text with what a stream cannot encode escaped, such as ``\u2019``.

    Args:
        text: What is to be written.
        stream: Where to.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def padded(text: str, width: int) -> str:
    """Return a text with spaces after it, up to a width.

    Args:
        text: What is to be written.
        width: In columns of a terminal.
    """
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a character of Japanese."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in _WIDE)
        for each in text
    )
