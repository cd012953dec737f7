"""What an execute takes while the API is well, slow, dead or unreachable.

Run it alone: ``python tests/benchmarks/remote_down.py --database postgresql``.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, environments, workplace
from tests.benchmarks.contenders import OURS, WAYS

SENTENCE = (
    "An execute with its commit, some milliseconds apart, in processes that deliver by a thread of "
    "their own, each to a remote in another state; and in one where nobody delivers. They take "
    "turns; ratios are those of a round, to the process whose remote is well."
)
WELL = "well"
STATES = {WELL: 0, "slow: 2 s": 2000, "dead: never answers": "dead"}
UNREACHABLE, NOBODY = "unreachable", "nobody delivers"
THREAD = next(name for name in WAYS if name.endswith("thread"))


def nowhere() -> str:
    """Return the URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def draw(rows: list[dict], options) -> None:
    """Draw the bars."""
    bars.draw(
        f"execute and commit while the API is …, {options.database}",
        "microseconds, median (less is better)",
        [
            {
                "name": f"embedworkflow-django, {row['the API is']}",
                "value": row["p50 µs"],
                "text": f"{row['p50 µs']:,} µs, {row['ratio']:.2f} ({row['quartiles']})",
            }
            for row in rows
        ],
        options.chart,
    )


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, count=200, rounds=9, concurrency=8)
    environments.add_options(parser)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        urls = {
            name: stack.enter_context(workplace.remote(delay)).url for name, delay in STATES.items()
        }
        urls |= {UNREACHABLE: nowhere(), NOBODY: nowhere()}
        sides = {}
        for name, url in urls.items():
            way = OURS if name == NOBODY else THREAD
            asked = stack.enter_context(environments.sides([way], url, options))
            sides[name] = asked[way]
            sides[name].ask("execute 20")
        taken: dict[str, list[list[float]]] = {name: [] for name in sides}
        for number in range(options.rounds):
            for name in sides if number % 2 else reversed(sides):
                taken[name].append(sides[name].ask(f"execute {options.count}"))
    rows = []
    well = [p50 for p50, _ in taken[WELL]]
    for name, rounds in taken.items():
        ratio = workplace.ratio([p50 for p50, _ in rounds], well)
        rows.append(
            {
                "database": options.database,
                "the API is": name,
                "p50 µs": round(statistics.median(p50 for p50, _ in rounds) * 1e6),
                "p99 µs": round(statistics.median(p99 for _, p99 in rounds) * 1e6),
                "ratio": ratio["median"],
                "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
            }
        )
    workplace.report(SENTENCE, rows, as_json=options.json)
    if options.chart:
        draw(rows, options)


if __name__ == "__main__":
    main()
