"""Rows by the million, made inside the database: one statement for each half a million."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

BATCH = 500_000
# What is oldest was created so long ago, in seconds; the rest is spread evenly up to now.
SPAN = 90 * 86_400
# What numbers the rows of a batch, by Django's names of the databases.
_NUMBERS = {
    "postgresql": "generate_series({first}, {last}) AS numbers(n)",
    "mysql": "(SELECT seq AS n FROM seq_{first}_to_{last}) numbers",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s"
    " WHERE n < {last}) SELECT n FROM s) numbers",
}
ANALYZE = {"postgresql": "VACUUM ANALYZE", "mysql": "ANALYZE TABLE", "sqlite": "ANALYZE"}


class Dialect:
    """SQL that gives a row its values, as functions of its number ``n``, which begins at 1."""

    def __init__(self, vendor: str, rows: int) -> None:
        self.vendor = vendor
        self._seconds = f"({int(time.time()) - SPAN} + n * ({SPAN}.0 / {rows}))"

    def moment(self) -> str:
        """Return SQL of the moment at which a row was created."""
        return {
            "postgresql": f"to_timestamp({self._seconds})",
            "mysql": f"FROM_UNIXTIME({self._seconds})",
            "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', {self._seconds}, 'unixepoch')",
        }[self.vendor]

    def named(self, prefix: str) -> str:
        """Return SQL of a text that ends with the row's number."""
        return f"CONCAT('{prefix}', n)" if self.vendor == "mysql" else f"'{prefix}' || n"

    def identity(self) -> str:
        """Return SQL of a UUIDv7 of that moment."""
        if self.vendor == "postgresql":
            return (
                f"(lpad(to_hex(({self._seconds} * 1000)::bigint), 12, '0') || '70008'"
                " || lpad(to_hex(n::bigint), 15, '0'))::uuid"
            )
        if self.vendor == "sqlite":
            return f"printf('%012x70008%015x', CAST({self._seconds} * 1000 AS INTEGER), n)"
        digits = f"LOWER(LPAD(HEX(FLOOR({self._seconds} * 1000)), 12, '0'))"
        tail = "LOWER(LPAD(HEX(n), 15, '0'))"
        return (
            f"CONCAT(LEFT({digits}, 8), '-', RIGHT({digits}, 4), '-7000-8', LEFT({tail}, 3), '-',"
            f" RIGHT({tail}, 12))"
        )


def fill(connection: Any, model: Any, rows: int, known: dict[str, str]) -> None:
    """Make rows of a model, and let the database look at them.

    Args:
        connection: Django's connection to the database.
        model: Whose table, which is empty.
        rows: How many.
        known: SQL for each field that is not simply null, empty or zero, by its name.
    """
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    columns, values = [], []
    for field in model._meta.concrete_fields:
        if "Auto" not in type(field).__name__:
            columns.append(quote(field.column))
            values.append(known.get(field.name, _nothing(field)))
    with connection.cursor() as cursor, _without_indexes(cursor, connection.vendor, model):
        for first in range(1, rows + 1, BATCH):
            numbers = _NUMBERS[connection.vendor].format(
                first=first, last=min(first + BATCH - 1, rows)
            )
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
                f" FROM {numbers}"
            )
    with connection.cursor() as cursor:
        cursor.execute(f"{ANALYZE[connection.vendor]} {table}")


@contextlib.contextmanager
def _without_indexes(cursor: Any, vendor: str, model: Any) -> Iterator[None]:
    """On PostgreSQL, make the indexes after the rows, and check no foreign key: much faster."""
    if vendor != "postgresql":
        yield
        return
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        [model._meta.db_table],
    )
    indexes = dict(cursor.fetchall())
    for name in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    cursor.execute("SET session_replication_role = replica")
    yield
    cursor.execute("RESET session_replication_role")
    for definition in indexes.values():
        cursor.execute(definition)


def _nothing(field: Any) -> str:
    if field.null:
        return "NULL"
    if "Boolean" in type(field).__name__:
        return "false"
    return "0" if "Integer" in type(field).__name__ else "''"
