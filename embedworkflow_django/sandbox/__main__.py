"""Serves the sandbox from the command line: `python -m embedworkflow_django.sandbox`."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import authoring, facade, nodes
from . import engine as engines

EXIT_USAGE = 2
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: What an entry of a file of workflows may say.
WORKFLOW_FIELDS = frozenset(
    {"key", "template", "nodes", "edges", "name", "on", "user_key"}
    | {"event", "conditions", "match", "stop_event"}
)
LAST_PORT = 65_535


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that gives each option's default, unless that is said in words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default else action.help


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    result = argparse.ArgumentParser(
        prog="python -m embedworkflow_django.sandbox",
        description="Serve an imitation of the Embed Workflow API.",
        formatter_class=Help,
    )
    add = result.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=port, default=8765, help="port to listen on; 0 takes a free one")
    add(
        "--certificate",
        metavar="FILE",
        help="PEM: certificate and private key, to serve over TLS (default: plain HTTP)",
    )
    add(
        "--secret-key",
        default=engines.DEFAULT_SECRET_KEY,
        help="secret key of the account; not a real one, for this line shows to everybody here",
    )
    add(
        "--account",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="another account and its secret key (repeatable; default: none)",
    )
    add("--time-scale", type=float, default=1.0, help="workflow seconds in one real second")
    add(
        "--workflows",
        metavar="FILE",
        help="JSON: a list of objects with key, template and optionally name, on, user_key, event; "
        "in place of the example workflows, the default",
    )
    add(
        "--webhook-url", default="", help="where the example workflows report to (default: nowhere)"
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help='what goes wrong, such as "503,times=2,path=/workflows/*/execute,retry_after=3" or '
        '"lost,rate=0.05" (repeatable; default: nothing)',
    )
    add("--seed", type=int, help="makes ids and rates of faults repeatable (default: random)")
    add("--idempotency-header", default="Idempotency-Key", help="name of that header")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="host beyond loopback that webhooks may call, * for any (repeatable; default: none)",
    )
    return result


def build(options: argparse.Namespace) -> facade.Sandbox:
    """Return the sandbox that the command line asks for, not yet serving.

    Raises:
        ValueError: A fault, an account or a workflow makes no sense.
        OSError: The file of workflows cannot be read.
    """
    sandbox = facade.Sandbox(
        host=options.host,
        port=options.port,
        certificate=options.certificate,
        secret_key=options.secret_key,
        time_scale=options.time_scale,
        webhook_url=options.webhook_url,
        idempotency_header=options.idempotency_header,
        allow_hosts=options.allow_host,
        seed=options.seed,
        deliver=_print_email,
    )
    for entry in options.account:
        name, equals, key = entry.partition("=")
        if not (name and equals and key):
            raise ValueError(f'"{entry}" is no account. Write name=key.')
        sandbox.add_account(name, key)
    for spec in options.fault:
        sandbox.faults.add_spec(spec)
    if options.workflows:
        _add_workflows(sandbox, options.workflows)
    else:
        sandbox.add_examples()
    return sandbox


def main(arguments: Sequence[str] | None = None, stop: threading.Event | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM or *stop*.

    Args:
        arguments: Words of the command line.
        stop: Ends the serving when set.

    Returns:
        0, or 2 when the arguments make no sense or the address is taken.
    """
    options = parser().parse_args(arguments)
    stop = stop or threading.Event()
    try:
        sandbox = build(options).start()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    with _signals_set(stop), sandbox:
        _print_greeting(sandbox)
        stop.wait()
    _say("The sandbox has stopped.")
    return 0


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set *stop*; only the main thread may handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def port(text: str) -> int:
    """Return the port that *text* names.

    Raises:
        ValueError: There is no such port.
    """
    number = int(text)
    if not 0 <= number <= LAST_PORT:
        raise ValueError(f"{text} is no port.")
    return number


def _add_workflows(sandbox: facade.Sandbox, path: str) -> None:
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from None
    if not isinstance(entries, list):
        raise ValueError(f"{path} does not hold a list of workflows.")  # noqa: TRY004
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            raise ValueError(f"A workflow in {path} has no key.")  # noqa: TRY004
        unknown = set(entry) - WORKFLOW_FIELDS
        if unknown:
            raise ValueError(
                f'Workflow "{entry["key"]}" in {path} has an unknown property "{unknown.pop()}". '
                f"Use {', '.join(sorted(WORKFLOW_FIELDS))}."
            )
        try:
            sandbox.add_workflow(**entry)
        except authoring.InvalidWorkflowError as error:
            raise ValueError(f'Workflow "{entry["key"]}" in {path}: {error}.') from None


def _print_greeting(sandbox: facade.Sandbox) -> None:
    _say(f"Base URL         {sandbox.base_url}")
    for account in sandbox.engine.accounts.values():
        _say(f"Account          {account.name}")
        _say(f"Secret key       {account.secret_key}")
        _say(f"Publishable key  {account.publishable_key}")
    for workflow in sandbox.account.workflows:
        _say(f"Workflow         {workflow.key}  {workflow.id}")
    _say("Stop with Ctrl-C.")


def _print_email(email: nodes.Email) -> None:
    _say(_printable(f"E-mail to {email.recipient}: {email.subject}"))


def _printable(text: str) -> str:
    """Escape what a terminal would obey, or what would forge a line: data comes from anybody."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
