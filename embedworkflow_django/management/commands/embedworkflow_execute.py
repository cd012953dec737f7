"""``embedworkflow_execute``: starts a workflow from the command line.

Exit codes: 0 when it is stored (with ``--wait``: completed); 1 when an argument makes no sense, a
database fails, or it has ended otherwise; 2 when the command line cannot be read; 3 when it has not
ended within the time of ``--wait``, or a signal has ended the waiting.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ... import conf, services, worker
from ...exceptions import InvalidExecution
from ...models import Execution
from .. import arguments, databases, interruption, printing

STILL_RUNNING = 3


class Command(BaseCommand):
    """Start a workflow."""

    help = (
        "Have a workflow executed, and print the execution's id. Exit code: 0 when it is stored, "
        "or has completed with --wait; 1 when it makes no sense, a database fails or it has ended "
        "otherwise; 3 when it has not ended within the time of --wait."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        add = parser.add_argument
        add("workflow", help="The workflow's identifier.")
        data = parser.add_mutually_exclusive_group()
        data.add_argument("--data", metavar="JSON", help="The data, an object. Default: {}.")
        data.add_argument(
            "--data-file",
            metavar="FILE",
            help="A file that holds the data; - is the standard input. Default: none.",
        )
        add("--user-key", metavar="KEY", help="The end user. Default: the setting USER_KEY.")
        add(
            "--id-type",
            default="key",
            help="How the API reads the identifier: key, id or hashid. Default: %(default)s.",
        )
        add(
            "--idempotency-key",
            metavar="KEY",
            help="There is one execution per account and key. Default: a new execution.",
        )
        add(
            "--account",
            default=conf.DEFAULT_ACCOUNT,
            help="The account's alias. Default: %(default)s.",
        )
        add(
            "--source",
            metavar="APP.MODEL:PK",
            help="The object it is about, such as shop.order:17. Default: none.",
        )
        add(
            "--run-at",
            metavar="TIME",
            help="When to send it, such as 2031-05-17T09:00+02:00; without an offset in the "
            "current time zone. Default: at once.",
        )
        add("--database", metavar="ALIAS", help="Where to store it. Default: the source's.")
        add(
            "--wait",
            nargs="?",
            const=60.0,
            type=arguments.seconds,
            metavar="SECONDS",
            help="Deliver it, and wait for its end; 60 seconds unless given. Default: do not wait.",
        )

    def handle(
        self,
        *,
        workflow: str,
        data: str | None,
        data_file: str | None,
        user_key: str | None,
        id_type: str,
        idempotency_key: str | None,
        account: str,
        source: str | None,
        run_at: str | None,
        database: str | None,
        wait: float | None,
        **_options: Any,
    ) -> None:
        """Start a workflow; see the class's ``help``.

        Args:
            workflow: The workflow's identifier.
            data: The data as JSON.
            data_file: A file that holds it.
            user_key: The end user.
            id_type: How the API reads the identifier.
            idempotency_key: There is one execution per account and key.
            account: The account's alias.
            source: The object that it is about, as ``app.model:pk``.
            run_at: When to send it, in ISO format.
            database: The database's alias.
            wait: Seconds to wait for its end; ``None`` not to wait.

        Raises:
            CommandError: An argument makes no sense, a database failed, or the execution has not
                completed.
        """
        arguments.databases([database] if database else None)
        with databases.needed(database):
            try:
                execution = services.execute(
                    workflow,
                    _data(data, data_file),
                    source=_source(source, database) if source else None,
                    user_key=user_key,
                    id_type=id_type,
                    idempotency_key=idempotency_key,
                    account=account,
                    run_at=_time(run_at) if run_at else None,
                    using=database,
                )
            except (InvalidExecution, conf.ConfigurationError) as error:
                raise CommandError(str(error)) from None
            self.stdout.write(str(execution.pk))
            if wait is not None:
                self._wait(execution, wait)

    def _wait(self, execution: Execution, seconds: float) -> None:
        ends, interrupted = time.monotonic() + seconds, threading.Event()
        with interruption.handled(interrupted.set, interrupted.set):
            while not _at_rest(execution) and not interrupted.is_set():
                remaining = ends - time.monotonic()
                if remaining <= 0:
                    break
                interrupted.wait(min(remaining, _until_due(execution)))
                _drive(execution)
        outcome = f"{execution.workflow} is {execution.status}: {_progress(execution)}"
        if not _at_rest(execution):
            raise CommandError(f"{outcome}; it goes on.", returncode=STILL_RUNNING)
        if not execution.succeeded:
            raise CommandError(f"{outcome}. {execution.last_error}".strip())
        self.stdout.write(printing.shown(outcome, self.stdout))


def _drive(execution: Execution) -> None:
    """Do what is due for one row, here; another worker may have been faster."""
    using = str(execution._state.db)
    worker.Worker(aliases=[using]).run_inline(using, [execution.pk])
    execution.refresh_from_db()


def _at_rest(execution: Execution) -> bool:
    return execution.is_final or execution.due_at is None


def _until_due(execution: Execution) -> float:
    # Another worker may do it meanwhile, so that nobody sleeps for long; nor calls in a rush an
    # account that is not let in, whose row stays due.
    if execution.last_error:
        return 1.0
    due_at = execution.due_at or timezone.now()
    return min(1.0, max(0.0, (due_at - timezone.now()).total_seconds()))


def _progress(execution: Execution) -> str:
    return f"{execution.completed_actions_count} of {execution.actions_count} actions done"


def _data(text: str | None, file: str | None) -> Any:
    if file is not None:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--data-file {file} cannot be read: {error}") from None
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"The data is no JSON: {error}.") from None


def _source(text: str, database: str | None) -> models.Model:
    label, _, pk = text.partition(":")
    sentence = f"--source {text!r} should be app.model:pk of a row that exists"
    app, _, name = label.partition(".")
    try:
        model = apps.get_model(app, name)
    except LookupError as error:
        raise CommandError(f"{sentence}: {error}") from None
    # As the admin and the REST API write it, so that keys of several parts are read too.
    named = Execution(source_type=model._meta.label_lower, source_id=pk)
    named._state.db = database
    found: models.Model | None = named.source
    if found is None:
        raise CommandError(f"{sentence}; there is none.")
    return found


def _time(text: str) -> datetime:
    try:
        time = parse_datetime(text)
    except ValueError:
        time = None
    if time is None:
        raise CommandError(f"--run-at {text!r} is no time, such as 2031-05-17T09:00+02:00.")
    if settings.USE_TZ:
        return timezone.make_aware(time) if timezone.is_naive(time) else time
    return timezone.make_naive(time) if timezone.is_aware(time) else time
