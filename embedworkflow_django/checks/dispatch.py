"""Checks of the dispatcher: that it exists, and can do its work beside the project's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.db import connections, router

from .. import conf, dispatchers, outbox
from ..models import Execution
from . import messages

_SQLITE = """\
"OPTIONS": {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
},"""
_WAL = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal\b", re.IGNORECASE)


def _dispatches_by(short_name: str) -> bool:
    return conf.settings.dispatcher in {short_name, dispatchers.SHORT_NAMES[short_name]}


@messages.check()
def check_dispatcher() -> Iterator[CheckMessage]:
    """E007: the dispatcher can be imported; at the commit its absence would only be logged."""
    name = conf.settings.dispatcher
    if fault := messages.fault(lambda: dispatchers.dispatcher_class(name)):
        message, _, hint = fault.rstrip(".").partition(". ")
        yield messages.error(
            7, f"{message}.", hint or conf.did_you_mean("", dispatchers.SHORT_NAMES)
        )


@messages.check()
def check_sqlite() -> Iterator[CheckMessage]:
    """W002: SQLite takes a second writer, which a dispatcher is."""
    if _dispatches_by("immediate"):
        return
    for alias in connections:
        connection = connections[alias]
        if connection.vendor != "sqlite" or not router.allow_migrate_model(alias, Execution):
            continue
        options = connection.settings_dict.get("OPTIONS", {})
        immediate = str(options.get("transaction_mode")).upper() in {"IMMEDIATE", "EXCLUSIVE"}
        if not (immediate and _WAL.search(str(options.get("init_command")))):
            yield messages.warning(
                2,
                f'The SQLite database "{alias}" would fail with "database is locked" while the '
                f'dispatcher "{conf.settings.dispatcher}" and requests write at once.',
                f'Add to DATABASES["{alias}"]:\n{_SQLITE}',
            )


@messages.check()
def check_autocommit() -> Iterator[CheckMessage]:
    """E014: what a worker has written is committed, or it would be sent again and again."""
    for alias in outbox.databases():
        if not connections[alias].settings_dict["AUTOCOMMIT"]:
            yield messages.error(
                14,
                f'DATABASES["{alias}"]["AUTOCOMMIT"] is off: what became of executions would '
                "never be committed, and each be sent again.",
                "Leave it on, and have transactions by atomic() or ATOMIC_REQUESTS.",
            )


@messages.check()
def check_vendor() -> Iterator[CheckMessage]:
    """E015: what became of an execution can be written, or it would be sent again and again."""
    for alias in outbox.databases():
        if (vendor := connections[alias].vendor) not in outbox.VENDORS:
            yield messages.error(
                15,
                f"The database {alias!r} is of a kind ({vendor}) on which workers cannot record "
                "what became of executions: each would be sent again and again.",
                "Use SQLite, PostgreSQL or MariaDB; a router's allow_migrate() may keep executions "
                f"out of {alias!r}.",
            )


@messages.check()
def check_uwsgi() -> Iterator[CheckMessage]:
    """W008: uWSGI lets the dispatcher's threads run."""
    if _dispatches_by("thread") and not dispatchers.threads_run():
        yield messages.warning(
            8,
            'The dispatcher "thread" cannot run: this uWSGI has no threads, so nothing is sent.',
            'Start uWSGI with --enable-threads, or use DISPATCHER "worker" and run '
            "manage.py embedworkflow_worker.",
        )


@messages.check(deploy=True)
def check_immediate() -> Iterator[CheckMessage]:
    """W011: no request of a deployment waits for the API."""
    if _dispatches_by("immediate"):
        yield messages.warning(
            11,
            'The dispatcher "immediate" sends within the request, which waits for the API.',
            'Use "thread" or "worker"; "immediate" is for tests and scripts.',
        )
