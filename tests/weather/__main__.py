"""``python -m tests.weather``: play scenes; print a table; exit code 1 if one is not sound."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HEADINGS = ("scene", "requests", "committed", "started", "lost", "doubled", "left")
HEADINGS += ("p50 ms", "plain", "p99 ms", "plain", "seconds to end")


def prepared(kind: str) -> None:
    """Set Django up on a kind of database, unless the command line names another."""
    # Whatever ends the run, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    words = sys.argv[1:]
    kind = words[words.index("--database") + 1] if "--database" in words[:-1] else kind
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    import django

    django.setup()


def played(program: str, sentence: str, known: dict, headings: tuple, *, play, cells) -> int:
    """Play what the command line names, and print a row for each; return the exit code.

    Args:
        program: The name of the program.
        sentence: What it does.
        known: What may be played, by its name.
        headings: The heads of the table.
        play: Plays one of them; returns its outcome, and whatever else the row says.
        cells: Returns the row of what ``play`` has returned, without the name.
    """
    from tests.chaos.__main__ import tables

    options = _arguments(program, sentence, list(known))
    chosen = {name: known[name] for name in options.names or known}
    wrong = False
    with tempfile.TemporaryDirectory() as folder, tables("default"):
        needs = {need for each in chosen.values() for need in each.needs}
        packages = _install(needs, options.packages or Path(folder))
        _print(headings)
        for name, each in chosen.items():
            outcome, *more = play(each, options.size or each.size, packages=packages)
            _print([name, *cells(outcome, *more)])
            print(*(f"  {remark}\n" for remark in outcome.remarks), sep="", end="", flush=True)
            if not outcome.is_sound:
                wrong = True
                print(*outcome.lost[:10], *outcome.doubled[:10], *outcome.complaints, sep="\n  ")
    return 1 if wrong else 0


def _print(cells) -> None:
    first, *others = cells
    print(first.ljust(24), *(cell.ljust(9) for cell in others), flush=True)


def _arguments(program: str, sentence: str, names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=sentence)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of {', '.join(names)}")
    parser.add_argument("--database", help="sqlite, postgresql or mariadb")
    parser.add_argument("--size", type=int, help="executions of each; its own number by default")
    parser.add_argument(
        "--packages", type=Path, help="where what is missing is installed, and kept"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"There is no {', '.join(sorted(unknown))}.")
    return options


def _install(names: set[str], folder: Path) -> str:
    """Install what cannot be imported into a folder; return the folder, to be imported from."""
    sys.path.append(str(folder))
    missing = sorted(
        name for name in names if not (find_spec(name) or (folder / "bin" / name).exists())
    )
    if missing:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run([*pip, *missing], check=True)
    os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return str(folder)


def main() -> int:
    """Play, and print."""
    prepared("sqlite")
    from .scenes import SCENES, play

    def alone(scene, size, *, packages):
        return (play(scene, size, packages=packages),)

    return played("tests.weather", __doc__, SCENES, HEADINGS, play=alone, cells=_cells)


def _cells(outcome) -> list[str]:
    requests = len(outcome.with_trigger.names)
    numbers = (requests, outcome.committed, outcome.started, len(outcome.lost))
    numbers += (len(outcome.doubled), outcome.left)
    times = []
    for percent in (50, 99):
        for answers in (outcome.with_trigger, outcome.without):
            timed = answers.names and outcome.without.names
            times.append(f"{answers.quantile(percent):.1f}" if timed else "–")
    ends = ", ".join(f"{seconds:.1f}" for seconds in outcome.exits)
    return [*map(str, numbers), *times, ends]


if __name__ == "__main__":
    sys.exit(main())
