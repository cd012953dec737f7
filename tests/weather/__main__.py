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


def arguments(names: list[str], words: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m tests.weather", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"all of {', '.join(names)}")
    parser.add_argument("--database", default="sqlite", help="sqlite, postgresql or mariadb")
    parser.add_argument("--size", type=int, help="executions a scene; its own number by default")
    parser.add_argument("--packages", type=Path, help="where servers are installed, and kept")
    options = parser.parse_args(words)
    if unknown := set(options.scenes) - set(names):
        parser.error(f"There is no scene {', '.join(sorted(unknown))}.")
    return options


def install(names: set[str], folder: Path) -> str:
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
    # Whatever ends it, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    known = sys.argv[1:]
    kind = known[known.index("--database") + 1] if "--database" in known[:-1] else "sqlite"
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    import django

    django.setup()
    from tests.chaos.__main__ import tables

    from .scenes import SCENES, play

    options = arguments(list(SCENES))
    chosen = {name: SCENES[name] for name in options.scenes or SCENES}
    wrong = False
    with tempfile.TemporaryDirectory() as folder, tables("default"):
        needs = {need for scene in chosen.values() for need in scene.needs}
        packages = install(needs, options.packages or Path(folder))
        print("  ".join(HEADINGS))
        for name, scene in chosen.items():
            outcome = play(scene, options.size or scene.size, packages=packages)
            print("  ".join(cell.ljust(8) for cell in _cells(name, outcome)), flush=True)
            print(*(f"  {remark}\n" for remark in outcome.remarks), sep="", end="")
            if not outcome.is_sound:
                wrong = True
                print(*outcome.lost[:10], *outcome.doubled[:10], *outcome.complaints, sep="\n  ")
    return 1 if wrong else 0


def _cells(name, outcome) -> list[str]:
    requests = len(outcome.with_trigger.names)
    numbers = (requests, outcome.committed, outcome.started, len(outcome.lost))
    numbers += (len(outcome.doubled), outcome.left)
    times = []
    for percent in (50, 99):
        for answers in (outcome.with_trigger, outcome.without):
            timed = answers.names and outcome.without.names
            times.append(f"{answers.quantile(percent):.1f}" if timed else "–")
    ends = ", ".join(f"{seconds:.1f}" for seconds in outcome.exits)
    return [name.ljust(16), *map(str, numbers), *times, ends]


if __name__ == "__main__":
    sys.exit(main())
