"""``embedworkflow_sandbox``: serves the API's imitation, and prints the settings that lead to it.

Exit codes: 0 after Ctrl-C or SIGTERM; 1 when an argument makes no sense or the address is taken; 2
when the command line cannot be read.
"""

from __future__ import annotations

import argparse
import json
import threading
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.core.management.base import DjangoHelpFormatter

from ...sandbox import Sandbox
from ...sandbox import __main__ as command_line
from .. import interruption


class _Formatter(command_line.Help, DjangoHelpFormatter):
    """Django's help with each option's default."""


class Command(BaseCommand):
    """Serve the sandbox."""

    help = (
        "Serve an imitation of the Embed Workflow API on this machine, with the options of "
        "python -m embedworkflow_django.sandbox. Exit code: 0 after Ctrl-C or SIGTERM, 1 when an "
        "argument makes no sense or the address is taken."
    )
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Take over the options of the sandbox's own command line."""
        kwargs.setdefault("formatter_class", _Formatter)
        return super().create_parser(
            prog_name,
            subcommand,
            parents=[command_line.parser()],
            conflict_handler="resolve",
            **kwargs,
        )

    def handle(self, **options: Any) -> None:
        """Serve until a signal comes; see the class's ``help``.

        Args:
            options: Those of the sandbox's own command line.

        Raises:
            CommandError: An argument makes no sense, or the address is taken.
        """
        try:
            sandbox = command_line.build(argparse.Namespace(**options)).start()
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from None
        stopped = threading.Event()
        with interruption.handled(stopped.set, stopped.set):
            self.stdout.write(greeting(sandbox, options["idempotency_header"]))
            self.stdout.flush()
            try:
                stopped.wait()
            finally:
                sandbox.stop()
        self.stdout.write("The sandbox has stopped.")


def greeting(sandbox: Sandbox, idempotency_header: str) -> str:
    """Return the lines that lead a project to a sandbox, and what it finds there.

    Args:
        sandbox: The sandbox; its keys open nothing else.
        idempotency_header: The header's name that it listens to.
    """
    given: dict[str, Any] = {
        "BASE_URL": sandbox.base_url,
        "SECRET_KEY": sandbox.secret_key,
        "PUBLISHABLE_KEY": sandbox.publishable_key,
        "IDEMPOTENCY_HEADER": idempotency_header,
    }
    first, *others = sandbox.engine.accounts.values()
    accounts = {account.name: {"SECRET_KEY": account.secret_key} for account in others}
    lines = [
        "The sandbox is listening. In the settings of your project:",
        "",
        "EMBEDWORKFLOW = {",
        *(f"    {json.dumps(name)}: {json.dumps(value)}," for name, value in given.items()),
        *([f'    "ACCOUNTS": {json.dumps(accounts)},'] if accounts else ()),
        "}",
        "",
        "or in its environment:",
        "",
        *(f"EMBEDWORKFLOW_{name}={value}" for name, value in given.items()),
        "",
        f"Workflows: {', '.join(str(workflow.key) for workflow in first.workflows)}",
        "Stop with Ctrl-C.",
    ]
    return "\n".join(lines)
