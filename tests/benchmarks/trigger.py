"""What one trigger costs the request: its statements, and its time against a bare INSERT.

Run it alone: ``python tests/benchmarks/trigger.py --database postgresql``; ``--peers`` adds other
packages, each in an environment of its own, and ``--chart FILE`` draws a picture.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, environments, workplace
from tests.benchmarks.environments import Peer
from tests.benchmarks.trigger_peers import PEERS

SENTENCE = (
    "One execute, with validation and encoding, inside a transaction, against the bare INSERT of "
    "the same row through a cursor, and against the ORM's create; alternating, p50 of each."
)

BLOCK = 100
BARE = "bare INSERT"
DATA = {"order_id": 17, "email": "ann@example.com", "total": "12.50"}


def prepared_insert(connection):
    """Return a function that gives the parameters of a new row, and one that inserts them."""
    from embedworkflow_django import outbox
    from embedworkflow_django.models import Execution

    head, _soon, placeholders, tail = outbox._insert_parts(connection.vendor, False, "%s")
    fields = [f for f in Execution._meta.concrete_fields if f.name in outbox.ASKED]

    def parameters() -> list:
        row = Execution(workflow="bake", execution_data=DATA)
        return [f.get_db_prep_save(getattr(row, f.attname), connection) for f in fields]

    def insert(prepared: list) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"{head}{placeholders} {tail}", prepared)

    return parameters, insert


def one_round(contenders, parameters, alias: str, count: int) -> dict[str, float]:
    """Return the median time of each contender, which take turns, in seconds."""
    from django.db import transaction

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(count // BLOCK):
        with transaction.atomic(using=alias):
            for _ in range(BLOCK):
                for name, contender in contenders.items():
                    prepared = parameters()
                    began = perf_counter()
                    contender(prepared)
                    times[name].append(perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


@contextlib.contextmanager
def peers(options) -> Iterator[dict[str, Peer]]:
    """Yield each peer of a kind of database, on the newest Django up to ours that it admits."""
    import django

    with contextlib.ExitStack() as stack:
        root = stack.enter_context(environments.folder(options.environments))
        found = {}
        for name, (_app, kinds) in PEERS.items():
            if options.database not in kinds:
                continue
            needs = (f"Django<={django.__version__}", "redis", *environments.DRIVERS)
            python = environments.environment(root / name, name, *needs)
            program = str(environments.HERE / "trigger_peers.py")
            found[name] = environments.start(stack, python, program, name, options.database)
        yield found


def rounds_of(options, alias: str, others: dict[str, Peer]) -> tuple[list[dict], int]:
    """Return each round's medians by contender, and what ``execute`` asks of the database."""
    from django.db import connections, transaction
    from django.test import override_settings
    from django.test.utils import CaptureQueriesContext

    from embedworkflow_django import services
    from embedworkflow_django.models import Execution

    parameters, insert = prepared_insert(connections[alias])
    contenders = {
        BARE: insert,
        "execute": lambda _: services.execute("bake", DATA),
        "objects.create": lambda _: Execution.objects.create(workflow="bake", execution_data=DATA),
    }
    rounds = []
    with override_settings(EMBEDWORKFLOW={"SECRET_KEY": "sk_test_x", "DISPATCHER": "worker"}):
        for _ in range(options.rounds):
            taken = one_round(contenders, parameters, alias, options.count)
            rounds.append(
                taken | {name: peer.seconds(str(options.count)) for name, peer in others.items()}
            )
        with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as said:
            services.execute("bake", DATA)
    return rounds, len(said)


def draw(rows: list[dict], options) -> None:
    """Draw the bars."""
    bars.draw(
        f"One trigger inside a transaction, {options.database}",
        "microseconds, median (less is better)",
        [{"name": r["what"], "value": r["µs"], "text": f"{r['µs']:,.0f} µs"} for r in rows],
        options.chart,
    )


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, count=1000, rounds=7)
    parser.add_argument("--peers", action="store_true", help=f"also {', '.join(PEERS)}")
    environments.add_options(parser)
    options = parser.parse_args()
    if options.count < BLOCK:
        parser.error(f"--count should be {BLOCK} at least: so many share a transaction.")
    with contextlib.ExitStack() as stack:
        others = stack.enter_context(peers(options)) if options.peers else {}
        alias = stack.enter_context(workplace.database(options.database))
        rounds, statements = rounds_of(options, alias, others)
    rows = []
    for name in rounds[0]:
        taken = [each[name] for each in rounds]
        ratio = workplace.ratio(taken, [each[BARE] for each in rounds])
        # Of a peer: what it has said of itself.
        peer = others[name].statements if name in others else {}
        rows.append(
            {
                "database": options.database,
                "what": f"{name} {peer['version']}, Django {peer['django']}" if peer else name,
                "µs": statistics.median(taken) * 1e6,
                "ratio to bare": ratio["median"],
                "quartiles": f"{ratio['lower']:.2f}-{ratio['upper']:.2f}",
                "statements": statements if name == "execute" else peer.get("statements", 1),
            }
        )
    workplace.report(SENTENCE, rows, as_json=options.json)
    if options.chart:
        draw(rows, options)


if __name__ == "__main__":
    main()
