"""Databases: what a command says of one that fails it, and how it goes on with the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError

from ..worker import DATABASE_ERRORS


@contextmanager
def needed(alias: str | None) -> Iterator[None]:
    """Have a sentence, and no traceback, say that a database fails inside a ``with`` block.

    Args:
        alias: The database's alias; ``None`` for the one that the routers choose.

    Raises:
        CommandError: It has failed.
    """
    try:
        yield
    except DATABASE_ERRORS as error:
        name, option = (
            (f"Database {alias!r}", f" --database={alias}") if alias else ("The database", "")
        )
        raise CommandError(
            f"{name} failed: {str(error).strip()}\n"
            f"If its tables are missing, run: manage.py migrate{option}"
        ) from None


class Failures:
    """What has failed of several databases, each of which is worked on by itself."""

    def __init__(self) -> None:
        self._said: list[str] = []

    @contextmanager
    def of(self, alias: str) -> Iterator[None]:
        """Keep what a database's work in a ``with`` block fails with, until the others are done.

        Args:
            alias: The database's alias.
        """
        try:
            with needed(alias):
                yield
        except CommandError as error:
            self._said.append(str(error))

    def check(self) -> None:
        """Raise what was kept.

        Raises:
            CommandError: Something was.
        """
        if self._said:
            raise CommandError("\n".join(self._said))
