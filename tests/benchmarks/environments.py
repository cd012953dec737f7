"""Other packages from PyPI, each in an environment and a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import EVERYBODY, PEERS

HERE = Path(__file__).resolve().parent
# What tests/databases.py asks for.
DRIVERS = ("psycopg[binary]", "PyMySQL", "pytest")


class Peer:
    """A program that says something of itself in its first line, and then answers each line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.statements = self._read()

    def ask(self, what: str) -> Any:
        """Return its answer."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        return self._read()

    seconds = ask  # What most of them are asked for.

    def _read(self) -> Any:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"{self._process.args} has ended.")
        return json.loads(line)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let the command line say where environments are kept, and where a picture goes."""
    parser.add_argument(
        "--environments", metavar="FOLDER", help="keep the peers' environments there"
    )
    parser.add_argument("--chart", metavar="FILE", help="draw a picture")


def environment(folder: Path, *packages: str) -> str:
    """Return the Python of a virtual environment that has packages; it is made if it is new."""
    python = str(folder / "bin" / "python")
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *packages], check=True, stdout=sys.stderr)
    return python


@contextlib.contextmanager
def folder(kept: str | None) -> Iterator[Path]:
    """Yield where environments are made: a folder that is kept, or one that is not."""
    if kept:
        yield Path(kept).resolve()
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def start(stack: contextlib.ExitStack, *command: str, **variables: str) -> Peer:
    """Start a program on databases that are its own, until the stack unwinds."""
    own = {**os.environ, "PYTHONPATH": "", **variables}
    own.pop("EMBEDWORKFLOW_TEST_RUN", None)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own
    )
    stack.enter_context(process)  # Which closes its input: it says good-bye.
    return Peer(process)


@contextlib.contextmanager
def sides(names: Iterable[str], url: str, options: Any) -> Iterator[dict[str, Peer]]:
    """Yield each contender that the database suits, ready to be asked for calls to a remote."""
    import django

    found = {}
    variables = {"BENCHMARK_REMOTE": url, "BENCHMARK_CALLS": str(options.concurrency)}
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(folder(options.environments))
        for name in names:
            contender, python = EVERYBODY[name], sys.executable
            if options.database not in contender.kinds:
                continue
            if name in PEERS:
                needs = (f"Django<={django.__version__}", *contender.needs, *DRIVERS)
                python = environment(root / name, name, *needs)
            command = (python, str(HERE / "delivery_side.py"), name, options.database)
            found[name] = start(stack, *command, **variables)
        yield found


def title(name: str, peer: Peer | None) -> str:
    """Return what tables call a contender: peers with what they run on."""
    if peer is None or name not in PEERS:
        return name
    return f"{name} {peer.statements['version']}, Django {peer.statements['django']}"
