"""Whether what looks for work, and whoever looks at it, stays as fast however much has been done.

Run it alone: ``python tests/benchmarks/growth.py --database postgresql --sizes 1000 1000000``.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import bars, environments, workplace
from tests.benchmarks.admin_list import executions
from tests.benchmarks.filling import ANALYZE, Dialect, fill

SENTENCE = (
    "Milliseconds (median and least), statements, and what these have read, of what a worker does, "
    "an operator asks and the admin shows, beside more and more finished rows and as many live. "
    "Read are rows of tables and indexes; on SQLite, steps of its virtual machine."
)
LIVE = 1000
CLAIMED = 50


def operations(alias: str) -> dict[str, Callable[[], object]]:
    """Return what is done, by name."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client
    from django.utils import timezone

    from embedworkflow_django import figures, outbox

    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    lease = timedelta(seconds=60)

    def claim(later: timedelta) -> int:
        at = timezone.now() + later
        return len(outbox.claim(alias, token="t", now=at, lease=lease, limit=CLAIMED))

    def page(tail: str) -> None:
        answer = client.get(f"/admin/embedworkflow/execution/{tail}")
        assert answer.status_code == 200

    def status() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            call_command("embedworkflow_status", "--database", alias)

    return {
        f"claim {CLAIMED}": lambda: claim(timedelta(seconds=1)),
        "claim, nothing due": lambda: claim(timedelta(days=-1)),
        "when is the next due?": lambda: outbox.next_due(alias),
        "figures.overview()": lambda: figures.overview(alias),
        "embedworkflow_status": status,
        "admin: list": lambda: page(""),
        "admin: completed ones": lambda: page("?status=completed"),
        "admin: one source's": lambda: page("?q=bakery.cake:17"),
    }


def undone(alias: str, operation: Callable[[], object]) -> None:
    """Do something, and have the database forget it."""
    from django.db import transaction

    with transaction.atomic(using=alias):
        operation()
        transaction.set_rollback(True, using=alias)


def read(alias: str, operation: Callable[[], object]) -> tuple[int, int]:
    """Return the number of statements of an operation, and what they have read."""
    from django.db import connections, transaction
    from django.test.utils import CaptureQueriesContext

    from tests.test_admin_plans import read_postgresql

    connection = connections[alias]
    steps = [0]

    def step() -> None:
        steps[0] += 1

    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("FLUSH STATUS")
        elif connection.vendor == "sqlite":
            connection.connection.set_progress_handler(step, 1)
        with CaptureQueriesContext(connection) as said:
            undone(alias, operation)
        asked = [each["sql"] for each in said if each["sql"].startswith(("SELECT", "UPDATE"))]
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(None, 0)
            return len(asked), steps[0]
        if connection.vendor == "mysql":
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            return len(asked), sum(int(number) for _name, number in cursor.fetchall())
        with transaction.atomic(using=alias):
            found = sum(read_postgresql(cursor, sql) for sql in asked)
            transaction.set_rollback(True, using=alias)
        return len(asked), found


def filled(alias: str, rows: int) -> None:
    """Leave so many finished rows in the table, and as many live ones as ever."""
    from django.db import connections

    from embedworkflow_django import services
    from embedworkflow_django.models import Execution

    connection = connections[alias]
    with connection.cursor() as cursor:
        word = "DELETE FROM" if connection.vendor == "sqlite" else "TRUNCATE"
        tail = " CASCADE" if connection.vendor == "postgresql" else ""
        foreign_keys = connection.vendor == "mysql"
        if foreign_keys:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"{word} {Execution._meta.db_table}{tail}")
        if foreign_keys:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    dialect = Dialect(connection.vendor, rows)
    finished = {
        "status": "CASE WHEN n % 300 = 0 THEN 'failed' ELSE 'completed' END",
        "due_at": "NULL",
        "finished_at": dialect.moment(),
    }
    fill(connection, Execution, rows, executions(dialect, rows) | finished)
    services.execute_many({"workflow": "order-fulfilment"} for _ in range(LIVE))
    with connection.cursor() as cursor:
        cursor.execute(f"{ANALYZE[connection.vendor]} {Execution._meta.db_table}")


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, rounds=15)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1000, 100_000, 1_000_000], help="finished rows"
    )
    environments.add_options(parser)
    options = parser.parse_args()
    table = []
    with workplace.database(options.database) as alias:
        from django.test.utils import teardown_test_environment

        teardown_test_environment()  # It copies each template's context.
        found = operations(alias)
        for rows in options.sizes:
            filled(alias, rows)
            taken: dict[str, list[float]] = {name: [] for name in found}
            for number in range(options.rounds + 1):
                for name, operation in found.items():
                    spent = workplace.timed(lambda operation=operation: undone(alias, operation))
                    taken[name] += [spent] if number else []
            for name, operation in found.items():
                statements, rows_read = read(alias, operation)
                table.append(
                    {
                        "database": options.database,
                        "what": name,
                        "finished": rows,
                        "ms": statistics.median(taken[name]) * 1000,
                        "least ms": min(taken[name]) * 1000,
                        "statements": statements,
                        "read": rows_read,
                    }
                )
            print(f"{rows:,} rows measured.", file=sys.stderr)
    workplace.report(SENTENCE, table, as_json=options.json)
    if options.chart:
        draw(table, options)


def draw(table: list[dict[str, Any]], options: Any) -> None:
    """Draw a line for each operation: its time, and beside it what it reads."""
    plt = bars.pyplot()
    read = f"{'steps' if options.database == 'sqlite' else 'rows'} read"
    figure, places = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharex=True)
    for axes, column, title in zip(
        places,
        ("least ms", "read"),
        (f"milliseconds, the least of {options.rounds}", read),
        strict=True,
    ):
        for name in dict.fromkeys(line["what"] for line in table):
            line = [each for each in table if each["what"] == name]
            axes.plot(
                [each["finished"] for each in line],
                [each[column] for each in line],
                marker="o",
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("symlog" if column == "read" else "log")
        axes.set_title(title, loc="left")
        axes.set_xlabel("finished rows in the table")
        axes.spines[["top", "right"]].set_visible(False)
    places[1].set_ylim(bottom=-0.2)
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(f"{options.database}, {LIVE:,} live rows", x=0.01, ha="left")
    figure.savefig(options.chart, dpi=110)


if __name__ == "__main__":
    main()
