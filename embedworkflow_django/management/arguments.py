"""Arguments: what the words of a command line mean, the same in each command."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import timedelta

from django.core.management import CommandError
from django.db import connections

from .. import conf, env, outbox


def add_databases(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the option whose values ``databases`` takes.

    Args:
        parser: The command's.
        what: What is done with each database, such as ``to prune``.
    """
    parser.add_argument(
        "--database",
        action="append",
        metavar="ALIAS",
        help=f"Database {what}; repeatable. Default: all that hold executions.",
    )


def databases(given: Iterable[str] | None) -> list[str]:
    """Return the databases to work on: those given, or all that admit executions.

    Raises:
        CommandError: A database is not configured, or its router keeps executions out.
    """
    admitting = outbox.databases()
    for alias in given or []:
        if alias not in connections:
            hint = conf.did_you_mean(alias, connections)
            raise CommandError(f"There is no database {alias!r}. {hint}")
        if alias not in admitting:
            raise CommandError(
                f"DATABASE_ROUTERS keep executions out of {alias!r}. "
                f"They are in: {', '.join(admitting)}."
            )
    return list(dict.fromkeys(given or admitting))


def seconds(text: str) -> float:
    """Return a number of seconds, none below 0, that may be written with a unit, as ``5m``."""
    return _age(text).total_seconds()


def positive_seconds(text: str) -> float:
    """Return a number of seconds greater than 0."""
    if not (value := seconds(text)):
        raise argparse.ArgumentTypeError("It should be more than 0.")
    return value


def days(text: str) -> timedelta:
    """Return an age in days, or with another unit, as ``12h``."""
    return _age(text, unit="d")


def _age(text: str, *, unit: str = "") -> timedelta:
    try:
        return env.duration(f"{text}{unit}" if text.strip()[-1:].isdigit() else text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a number that is not negative, or one and one of s, m, h, d."
        ) from None


#: Databases limit the values in one statement, SQLite to some 32,000.
LARGEST_BATCH = 10_000


def batch(text: str) -> int:
    """Return a number of rows that one statement can name."""
    if (value := count(text)) > LARGEST_BATCH:
        raise argparse.ArgumentTypeError(f"{text} rows are too many: {LARGEST_BATCH} at the most.")
    return value


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number of at least 1.")
    return int(text)
