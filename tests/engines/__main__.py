"""``python -m tests.engines``: play trials; print a table; exit code 1 if one is not sound."""

from __future__ import annotations

import sys

from tests.weather.__main__ import played, prepared

HEADINGS = ("trial", "committed", "executed", "lost", "doubled", "left", "seconds", "a second")


def main() -> int:
    """Play, and print."""
    prepared("postgresql")
    from .trials import TRIALS, play

    return played("tests.engines", __doc__, TRIALS, HEADINGS, play=play, cells=_cells)


def _cells(outcome, seconds) -> list[str]:
    numbers = (outcome.committed, outcome.started, len(outcome.lost), len(outcome.doubled))
    return [
        *map(str, (*numbers, outcome.left)),
        f"{seconds:.1f}",
        f"{outcome.started / seconds:.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
