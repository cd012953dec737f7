"""How fast a backlog is delivered, against bare requests and against other packages.

Run it alone: ``python tests/benchmarks/delivery.py --database postgresql --peers --delay 50``.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, environments, processor, workplace
from tests.benchmarks.contenders import OURS, PEERS

SENTENCE = (
    "Calls a second that arrive at the remote, which is a process of its own, from the first tenth "
    "of a backlog to its end; workers have been started and are warm by then. They take turns; "
    "ratios are those of a round. The floor is the fastest of bare requests in the same round, "
    "which record nothing. Processor time is that of the workers without the database."
)
LOOP, THREADS = "bare requests, a loop", "bare requests, threads"
PATIENCE = 300.0


@dataclass
class Turns:
    """A contender's turns."""

    name: str
    workers: int
    peer: environments.Peer | None = None
    rates: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the table calls it."""
        count = f", {self.workers} workers" if self.workers > 1 else ""
        return f"{environments.title(self.name, self.peer)}{count}"

    def take(self, remote: workplace.Remote, options: Any) -> None:
        """Deliver a backlog once."""
        remote.forget()
        with self._running(remote.url, options) as pids:
            self._wait_for(remote, options.count // 10)
            began, before = remote.count(), processor.seconds(pids)
            self._wait_for(remote, options.count)
            used = processor.seconds(pids) - before
        came = remote.forget()[: options.count]
        first = options.count // 10
        self.rates.append((options.count - first - 1) / (came[-1] - came[first]))
        self.processor.append(used / max(1, options.count - began))

    def _wait_for(self, remote: workplace.Remote, count: int) -> None:
        if not workplace.wait(lambda: remote.count() >= count, PATIENCE):
            said = self.peer.ask("said") if self.peer else ""
            raise SystemExit(f"{self.title} has made {remote.count()} calls and no more. {said}")

    @contextlib.contextmanager
    def _running(self, url: str, options: Any) -> Iterator[list[int]]:
        if self.peer is not None:
            self.peer.ask(f"enqueue {options.count}")
            yield self.peer.ask(f"start {self.workers}")
            self.counted = self.peer.ask("stop")
            return
        threads = 0 if self.name == LOOP else options.concurrency
        each = -(-options.count // self.workers)
        command = [sys.executable, environments.HERE / "bare.py", url, str(each), str(threads)]
        processes = [subprocess.Popen(command) for _ in range(self.workers)]
        yield [process.pid for process in processes]
        for process in processes:
            process.wait()


@contextlib.contextmanager
def sides(url: str, options: Any) -> Iterator[list[Turns]]:
    """Yield everybody who delivers."""
    names = [OURS, *(options.peers or ())]
    found = [Turns(THREADS, options.workers)]
    if not options.delay:  # A loop waits for each answer.
        found.append(Turns(LOOP, options.workers))
    with environments.sides(names, url, options) as peers:
        for name, peer in peers.items():
            counts = {1, options.workers} if name == OURS else {options.workers}
            found += [Turns(name, workers, peer) for workers in sorted(counts)]
        yield found


def table(turns: list[Turns], options: Any) -> list[dict[str, Any]]:
    """Return a line for each contender."""
    bare = [each for each in turns if each.peer is None]
    floor = [max(rates) for rates in zip(*(each.rates for each in bare), strict=True)]
    rows = []
    for each in turns:
        ratio = workplace.ratio(each.rates, floor)
        rows.append(
            {
                "database": "" if each.peer is None else options.database,
                "what": each.title,
                "a second": round(statistics.median(each.rates)),
                "to the floor": ratio["median"],
                "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
                "processor µs each": round(statistics.median(each.processor) * 1e6),
                **{
                    f"{name} each": f"{each.counted[name] / options.count:.3f}"
                    if name in each.counted
                    else ""
                    for name in ("statements", "commits")
                },
            }
        )
    return rows


def draw(rows: list[dict], options) -> None:
    """Draw the bars."""
    bars.draw(
        f"Delivering {options.count:,} calls to a remote that takes {options.delay} ms, "
        f"{options.database}, {options.concurrency} at once",
        "calls a second, median (more is better)",
        [
            {
                "name": row["what"],
                "value": row["a second"],
                "text": f"{row['a second']:,}, {row['to the floor']:.2f} of the floor",
            }
            for row in rows
        ],
        options.chart,
    )


def main() -> None:
    """Measure, print, and draw."""
    defaults = {"count": 1000, "rounds": 5, "concurrency": 8, "workers": 1, "delay": 0}
    parser = workplace.parser(SENTENCE, **defaults)
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, help="other packages too; all unless named"
    )
    environments.add_options(parser)
    options = parser.parse_args()
    options.peers = PEERS if options.peers == [] else options.peers
    with workplace.remote(options.delay) as remote, sides(remote.url, options) as turns:
        for number in range(options.rounds):
            for each in turns if number % 2 else reversed(turns):
                began = time.monotonic()
                each.take(remote, options)
                spent = time.monotonic() - began
                print(f"{each.title}: {each.rates[-1]:.0f}, {spent:.0f} s", file=sys.stderr)
        for each in turns:
            if each.name == OURS and not each.counted:  # The database does not count.
                each.counted = each.peer.ask(f"inside {options.count}")
        rows = table(turns, options)
    workplace.report(SENTENCE, rows, as_json=options.json)
    if options.chart:
        draw(rows, options)


if __name__ == "__main__":
    main()
