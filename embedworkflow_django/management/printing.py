"""Printing: what a command writes to a stream that may not take every character."""

from __future__ import annotations

from django.core.management.base import OutputWrapper


def shown(text: str, stream: OutputWrapper) -> str:
    r"""Return a text with what a stream cannot encode escaped, such as ``\u2019``.

    Args:
        text: What is to be written.
        stream: Where to.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
