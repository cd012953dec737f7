"""Databases: what a command says of one that fails it."""

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
