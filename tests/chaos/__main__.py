"""``python -m tests.chaos``: kill, drain, compare; print a table; exit code 1 on a violation."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from contextlib import contextmanager

DATABASES = ("sqlite", "sqlite-defaults", "postgresql", "mariadb")
KINDS = ("lost", "doubled", "phantom", "other key", "other data", "mirror", "history")
KINDS += ("unannounced",)
EVIDENCE_SHOWN = 10


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="in all (default: %(default)s)")
    parser.add_argument("--database", choices=(*DATABASES, "all"), default="all")
    who = ("saver", "worker", "both", "celery", "all")
    parser.add_argument("--who", choices=who, default="all", help="all: but for celery")
    parser.add_argument("--broker", choices=("rabbitmq", "redis"), default="rabbitmq")
    parser.add_argument("--faults", action="store_true", help="lose and refuse answers as well")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(words)


@contextmanager
def tables(alias: str):
    """Make a test database, and drop it afterwards."""
    from django.db import connections

    before = connections[alias].settings_dict["NAME"]
    connections[alias].creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connections[alias].creation.destroy_test_db(before, verbosity=0)


def run(database: str, kills: int, options: argparse.Namespace) -> tuple[dict, dict]:
    """Run on one database; return a row of the table, and the evidence of what went wrong."""
    from tests.databases import alias_of

    from .stage import CASTS, play

    alias, bare = alias_of(database.removesuffix("-defaults")), database == "sqlite-defaults"
    casts = [who for who in CASTS if who != "celery"] if options.who == "all" else [options.who]
    began = time.monotonic()
    with tables(alias):
        verdict, killed, log = play(
            alias=alias,
            kills=kills,
            casts=casts,
            seed=options.seed,
            bare=bare,
            faults=options.faults,
            broker=options.broker if options.who == "celery" else "",
        )
    evidence = {kind: found for kind, found in verdict.violations.items() if found}
    if crashes := log.count("Traceback"):
        evidence["tracebacks"] = [f"{crashes} tracebacks", log[-3000:]]
    row = {
        "database": database,
        "seed": options.seed,
        "savers killed": killed["save"],
        "workers killed": killed["work"] + killed["celery"],
        **{name.replace("_", " "): count for name, count in verdict.counts.items()},
        **{kind: len(verdict.violations[kind]) for kind in KINDS},
        "seconds": round(time.monotonic() - began),
    }
    return row, evidence


def main() -> int:
    """Run, and print."""
    options = arguments()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    chosen = DATABASES if options.database == "all" else (options.database,)
    rows, wrong = [], {}
    for number, database in enumerate(chosen):
        kills = options.kills // len(chosen) + (number < options.kills % len(chosen))
        row, evidence = run(database, kills, options)
        rows.append(row)
        if evidence:
            wrong[database] = evidence
        if not options.json:
            _print(row, heading=number == 0)
    if options.json:
        print(json.dumps({"rows": rows, "violations": wrong}, indent=2))
    for database, evidence in wrong.items():
        for kind, found in evidence.items():
            print(
                f"{database}, {kind}: {len(found)}",
                *found[:EVIDENCE_SHOWN],
                sep="\n  ",
                file=sys.stderr,
            )
    return 1 if wrong else 0


def _print(row: dict, *, heading: bool) -> None:
    widths = [max(len(name), 15 if name == "database" else 6) for name in row]
    lines = [list(row)] if heading else []
    for cells in [*lines, [str(value) for value in row.values()]]:
        print("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
