"""``embedworkflow_sandbox``: serves the API's imitation, and prints the settings that lead to it.

Exit codes: 0 after Ctrl-C or SIGTERM; 1 when an argument makes no sense or the address is taken.
"""

from __future__ import annotations

import argparse
import threading
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.core.management.base import DjangoHelpFormatter

from ...sandbox import __main__ as command_line
from .. import interruption


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, DjangoHelpFormatter):
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
            self.stdout.write(settings_lines(sandbox.base_url, sandbox.secret_key))
            self.stdout.flush()
            try:
                stopped.wait()
            finally:
                sandbox.stop()
        self.stdout.write("The sandbox has stopped.")


def settings_lines(base_url: str, secret_key: str) -> str:
    """Return the lines that lead a project to a sandbox.

    Args:
        base_url: Where it listens.
        secret_key: The key that it takes; it opens nothing else.
    """
    return f"""\
The sandbox is listening. In the settings of your project:

EMBEDWORKFLOW = {{
    "BASE_URL": "{base_url}",
    "SECRET_KEY": "{secret_key}",
}}

or in its environment:

EMBEDWORKFLOW_BASE_URL={base_url}
EMBEDWORKFLOW_SECRET_KEY={secret_key}

Stop with Ctrl-C."""
