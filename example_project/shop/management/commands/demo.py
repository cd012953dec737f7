"""The command ``demo``: the shop, an API, orders, and what becomes of them, in one terminal."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections
from django.test import override_settings
from django.urls import reverse

from embedworkflow_django import conf, dispatchers
from embedworkflow_django.models import Execution
from embedworkflow_django.sandbox import Sandbox

from ...demo import goods, local_api
from ...demo.terminal import Terminal
from ...demo.website import Website

TITLE = "Leaf & Kettle, the example of embedworkflow-django"
DEFAULT_PORT = 8000
TICK = 0.1


class Command(BaseCommand):
    help = (
        "Run the shop: place orders, and show how the workflows that they start move on. Against "
        "the hosted API if EMBEDWORKFLOW_SECRET_KEY is set, otherwise against a sandbox."
    )
    # They run once it is known which API there is.
    requires_system_checks: list[str] = []  # noqa: RUF012 - as in Django

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--port", type=int, default=DEFAULT_PORT, help="Default: %(default)s. 0: a free one.")
        add("--orders", type=int, default=4, help="Orders to begin with. Default: %(default)s.")
        add(
            "--every",
            type=_positive,
            default=15.0,
            metavar="SECONDS",
            help="Time between further orders. Default: %(default)s.",
        )
        add(
            "--hours-per-second",
            type=_positive,
            default=4.0,
            metavar="HOURS",
            help="How much of a workflow's time passes in a second. Default: %(default)s.",
        )
        add(
            "--fault",
            action="append",
            default=[],
            metavar="SPEC",
            help='What goes wrong at the API, such as "503,times=3" or "lost,rate=0.2"; see '
            '"python -m embedworkflow_django.sandbox --help". May be repeated.',
        )
        add(
            "--headless",
            action="store_true",
            help="Wait until all is done, print a table, and exit with 0; with 1 if not every "
            "execution has completed.",
        )
        add(
            "--timeout",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="How long --headless waits. Default: %(default)s.",
        )
        add(
            "--database",
            metavar="FILE",
            help="The SQLite file, made if need be. Default: db.sqlite3 beside manage.py; a "
            "temporary one with --headless.",
        )

    def handle(self, *, headless: bool, port: int, **options: Any) -> None:
        with ExitStack() as stack:
            stopping = stack.enter_context(_signals())
            website = Website(0 if headless else port)
            stack.callback(website.stop)
            stack.enter_context(_database(options["database"], temporary=headless))
            self._run(website, stopping, stack, headless=headless, **options)

    def _run(
        self,
        website: Website,
        stopping: threading.Event,
        stack: ExitStack,
        *,
        headless: bool,
        **options: Any,
    ) -> None:
        terminal = Terminal(self.stdout, self.style)
        sandbox = self._sandbox(website, terminal, stack, options)
        api = local_api.settings_for(sandbox, website.url) if sandbox else {}
        # This terminal does the work and shows it, whoever does it elsewhere.
        shown = {**settings.EMBEDWORKFLOW, **api, "DISPATCHER": "thread"}
        stack.enter_context(override_settings(EMBEDWORKFLOW=shown))
        self.check(display_num_errors=False)
        call_command("migrate", verbosity=0, interactive=False)
        goods.fill_shelf()
        # In this order they end: no workflow calls a website that is not there any more.
        stack.callback(dispatchers.current().close)
        stack.callback(website.stop)
        if sandbox is not None:
            stack.callback(sandbox.stop)
        website.start()
        if not headless:
            terminal.greet(TITLE, _places(website.url, goods.hire_staff(), sandbox, options))
        terminal.follow()
        stack.callback(terminal.unfollow)
        if sandbox is not None:
            local_api.run_forgotten_again()
        if headless:
            self._wait(terminal, stopping, options["orders"], options["timeout"])
        else:
            _keep_ordering(stopping, options["orders"], options["every"])
            terminal.say("\n  The shop is closing.")

    def _sandbox(
        self, website: Website, terminal: Terminal, stack: ExitStack, options: dict[str, Any]
    ) -> Sandbox | None:
        """Start a sandbox, unless there is a key to the hosted API."""
        if conf.account().secret_key:
            if options["fault"]:
                raise CommandError("--fault needs the sandbox: unset EMBEDWORKFLOW_SECRET_KEY.")
            return None
        sandbox = local_api.build(
            hours_per_second=options["hours_per_second"],
            webhook_url=website.url + reverse("shop:webhook"),
            deliver=terminal.email,
        )
        try:
            local_api.add_faults(sandbox, options["fault"])
        except ValueError as error:
            raise CommandError(f"--fault: {error}") from None
        return stack.enter_context(sandbox)

    def _wait(
        self, terminal: Terminal, stopping: threading.Event, count: int, timeout: float
    ) -> None:
        ends = time.monotonic() + timeout
        for _, _order in zip(range(count), goods.orders(), strict=False):
            pass
        while not (interrupted := stopping.wait(TICK)) and time.monotonic() < ends:
            if not _unsettled():
                break
        executions = list(Execution.objects.order_by("id"))
        terminal.table(executions)
        completed = sum(execution.succeeded for execution in executions)
        summary = f"{completed} of {len(executions)} executions have completed"
        if interrupted:
            raise CommandError(f"Interrupted: {summary}.")
        if completed < len(executions):
            late = f" within {timeout:g} s (--timeout)" if _unsettled() else ""
            raise CommandError(f"Only {summary}{late}.")
        terminal.say(f"  {self.style.SUCCESS(summary)}.")


def _positive(text: str) -> float:
    if (value := float(text)) > 0:
        return value
    raise ArgumentTypeError(f"{text} should be more than 0.")


def _unsettled() -> bool:
    """Return whether anybody still has to look at an execution, or to tell its receivers."""
    return Execution.objects.exclude(due_at=None).exists()


def _keep_ordering(stopping: threading.Event, count: int, every: float) -> None:
    """Place some orders, and then one now and then."""
    for number, _order in enumerate(goods.orders(), 1):
        if stopping.wait(TICK if number < count else every):
            return


def _places(
    url: str, password: str, sandbox: Sandbox | None, options: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    yield "Shop", f"{url}/"
    yield "Admin", f"{url}{reverse('admin:embedworkflow_execution_changelist')}"
    yield "Log in", f"{goods.STAFF} / {password}"
    yield "REST", f"{url}{reverse('embedworkflow:execution-list')}"
    if sandbox is None:
        yield "API", f"{conf.account().base_url}, your account"
    else:
        pace = f"{options['hours_per_second']:g} hours of a workflow pass in a second"
        yield "API", f"{sandbox.base_url}, a sandbox; {pace}"
    yield "End", "Ctrl-C"


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set."""
    stopping = threading.Event()
    before = {
        each: signal.signal(each, lambda *_: stopping.set())
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopping
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _database(path: str | None, *, temporary: bool) -> Iterator[None]:
    """Use another SQLite file than the settings', in all threads."""
    with ExitStack() as stack:
        if path is None and temporary:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Windows, open files
            )
            path = str(Path(folder) / "demo.sqlite3")
        if path is not None:
            if not (parent := Path(path).resolve().parent).is_dir():
                raise CommandError(f"--database {path}: there is no folder {parent}.")
            # The handler gives each thread's connection these very dicts.
            settings.DATABASES["default"]["NAME"] = path
        yield
        connections.close_all()
