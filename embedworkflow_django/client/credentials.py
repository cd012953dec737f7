"""The secret key: how it travels, and why it never shows."""

from __future__ import annotations

import re
from typing import Any, NoReturn

_VISIBLE_ASCII = re.compile(r"[!-~]+")


class SecretKey:
    """Holds the key so that neither a repr, nor a traceback with locals, nor a pickle shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: Any) -> None:
        """Keep the key unseen; ``check`` it before it is used."""
        self._text = text

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret key is never pickled.")

    def check(self) -> None:
        """Refuse what cannot be a secret key, without showing it.

        Raises:
            ValueError: the key is empty, publishable, or holds what no header may hold.
        """
        if not isinstance(self._text, str) or not self._text:
            raise ValueError("secret_key must be your account's secret key, a string.")
        if not _VISIBLE_ASCII.fullmatch(self._text):
            raise ValueError(
                "secret_key holds a space, a line break or another character that no key has; "
                "copy it once more."
            )
        if self._text.startswith("pk_"):
            raise ValueError(
                "secret_key is a publishable key (pk_…); use the secret one (sk_…) of its pair."
            )

    def scrub(self, text: str) -> str:
        """Return the text without the key, for a server that repeats what it was sent."""
        return text.replace(str(self._text), "…")

    def header(self) -> str:
        """Return the value of the ``Authorization`` header, whose repr is not its value."""
        return _HiddenText(f"Bearer {self._text}")


class _HiddenText(str):
    """A string for the wire only: where it is shown, as in a dict of headers, it shows dots."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret key is never pickled.")
