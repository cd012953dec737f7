"""The outbox: insert, what is due, claim and settle; SQL only."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

from django.db import DataError, connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.constants import OnConflict
from django.utils import timezone

from . import conf
from .models import Execution, ExecutionEvent, Status

#: The columns that a new row brings; the others start at the same value in every row.
ASKED = (
    "id",
    "account",
    "workflow",
    "id_type",
    "user_key",
    "execution_data",
    "idempotency_key",
    "trigger",
    "source_type",
    "source_id",
    "run_again_of",
    "run_at",
    "due_at",
    "created_at",
)
#: Rows in one statement.
BATCH = 1000
#: How much JSON one UPDATE carries on MariaDB, in bytes: it takes statements of 16 MB, in which
#: each quotation mark counts twice.
LARGEST_UPDATE = 4 * 1024 * 1024
_NO_ENGINE = "django.db.backends.dummy"
#: What every database takes as it is, but for JSON.
_AS_IT_IS = (str, int)
Values = Mapping[str, Any]


class _ClaimLost(Exception):  # noqa: N818 - not an error: another worker was there
    """Some of the rows are no longer ours."""


class StatementTooLargeError(DataError):
    """MariaDB takes no statement as large as a row's new values make it.

    Args:
        size: The statement's size, in bytes.
        limit: The server's ``max_allowed_packet``, in bytes.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size:,} bytes are more than max_allowed_packet, {limit:,}.")
        self.size, self.limit = size, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A row that is ours until its lease ends.

    Args:
        execution: The row as it was claimed.
        using: The database that it lives in.
        first_send: Whether no delivery may have been received before this claim.
        begin_by: When it is too late for its call to begin, which takes half a lease at the most;
            on this process's monotonic clock, in seconds.
        expires: When the lease ends, on the same clock.
    """

    execution: Execution
    using: str
    first_send: bool
    begin_by: float
    expires: float


def databases() -> list[str]:
    """Return the aliases of the databases whose router admits executions.

    Where all data is in databases of other names, ``DATABASES`` may have an empty ``default``.
    """
    given = [alias for alias in connections if connections.settings[alias]["ENGINE"] != _NO_ENGINE]
    return [alias for alias in given if router.allow_migrate_model(alias, Execution)]


# Insert


# What is due at once is so by the database's clock, not by one that is ahead of it: this is told in
# the statement itself, for whoever commits asks nothing before.
_DUE_BY = {
    "postgresql": "LEAST(%s, statement_timestamp())",
    "mysql": "LEAST(CAST(%s AS DATETIME(6)), UTC_TIMESTAMP(6))",
}


def _due(connection: BaseDatabaseWrapper) -> str:
    """Return the placeholder of when a row is due that is not for later."""
    # The clock of a test run may stand still, or be set at will.
    if conf.is_test_run() or (connection.vendor == "mysql" and connection.timezone_name != "UTC"):
        return "%s"
    return _DUE_BY.get(connection.vendor, "%s")


@lru_cache(maxsize=64)
def _insert_parts(vendor: str, ignore: bool, due: str) -> tuple[str, str, str, str]:
    """Return the statement's head, the placeholders of a row, of one for later, and its tail."""
    connection = next(c for c in connections.all() if c.vendor == vendor)
    fields: list[Any] = [
        f for f in Execution._meta.concrete_fields if f.name in ASKED or not f.null
    ]
    quote = connection.ops.quote_name
    later = [_constant(f) for f in fields]
    soon = [due if f.name == "due_at" else each for f, each in zip(fields, later, strict=True)]
    conflict = OnConflict.IGNORE if ignore else None
    head = connection.ops.insert_statement(on_conflict=conflict)
    columns = ", ".join(quote(f.column) for f in fields)
    return (
        f"{head} {quote(Execution._meta.db_table)} ({columns}) VALUES ",
        f"({', '.join(soon)})",
        f"({', '.join(later)})",
        connection.ops.on_conflict_suffix_sql(fields, conflict, [], []),
    )


def _constant(field: models.Field[Any, Any]) -> str:
    # A number in quotation marks is a number to all of them.
    return "%s" if field.name in ASKED else f"'{field.get_default()}'"


def insert(rows: Sequence[Execution], *, using: str, ignore_conflicts: bool = False) -> None:
    """Store new rows, one statement for every ``BATCH`` of them.

    Args:
        rows: Executions that have only what was asked.
        using: The database's alias.
        ignore_conflicts: Whether a row whose idempotency key is taken is passed over.
    """
    connection = connections[using]
    head, soon, later, tail = _insert_parts(connection.vendor, ignore_conflicts, _due(connection))
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            parameters = list(chain.from_iterable(_asked(row, connection) for row in batch))
            rowset = ", ".join(soon if row.run_at is None else later for row in batch)
            cursor.execute(f"{head}{rowset} {tail}", parameters)
    for row in rows:
        row._state.adding = False
        row._state.db = using


@lru_cache(maxsize=1)
def _asked_fields() -> list[tuple[str, Any]]:
    fields = Execution._meta.concrete_fields
    return [(field.attname, field) for field in fields if field.name in ASKED]


class _AsItIs(json.JSONEncoder):
    """Takes what is JSON already."""

    def encode(self, o: str) -> str:
        return o


def _asked(row: Execution, connection: BaseDatabaseWrapper) -> list[Any]:
    """Return what a new row was asked, as the driver takes it."""
    values = vars(row)
    text = values.pop("_data_json", None)
    asked, before, moment = [], None, None
    for name, field in _asked_fields():
        value = values[name]
        if type(value) is datetime:
            # Most rows are due when they are made, and a moment is dear to adapt.
            if value is not before:
                before, moment = value, _stored(field, value, connection)
            value = moment
        elif text is not None and name == "execution_data":
            value = connection.ops.adapt_json_value(text, _AsItIs)
        else:
            value = _stored(field, value, connection)
        asked.append(value)
    return asked


def _stored(field: Any, value: Any, connection: BaseDatabaseWrapper) -> Any:
    """Return a value as the driver takes it."""
    kind = type(value)
    if value is None or (kind in _AS_IT_IS and not isinstance(field, models.JSONField)):
        return value
    if kind is datetime and value.tzinfo is not None:
        # What the field would ask further has been seen to.
        return connection.ops.adapt_datetimefield_value(value)
    return field.get_db_prep_save(value, connection)


def by_key(rows: Sequence[Execution], *, using: str) -> list[Execution]:
    """Return, in the same order, each row, or the one that had its idempotency key first.

    Args:
        rows: Rows that were inserted with ``ignore_conflicts``.
        using: The database's alias.
    """
    keys = {row.idempotency_key for row in rows if row.idempotency_key}
    having = Execution.objects.using(using).filter(idempotency_key__in=keys)
    found = _by_account_and_key(having)
    if any(row.idempotency_key and _account_and_key(row) not in found for row in rows):
        # A snapshot that is older than the other transaction's commit: a lock reads past it.
        with transaction.atomic(using=using):
            found |= _by_account_and_key(having.select_for_update())
    return [found.get(_account_and_key(row), row) for row in rows]


def _account_and_key(row: Execution) -> tuple[str, str | None]:
    return row.account, row.idempotency_key


def _by_account_and_key(
    rows: models.QuerySet[Execution],
) -> dict[tuple[str, str | None], Execution]:
    return {_account_and_key(row): row for row in rows}


# The clock: a row's times are the database's, a worker's are its process's. Here they are turned
# into each other, so that workers whose clocks differ agree on when a lease ends.

#: How old a comparison of the two clocks may be, in seconds.
CLOCK_AGE = 30.0
#: How far this process's clock may have been set meanwhile, in seconds.
CLOCK_JUMP = 0.1
# Microseconds since 1970. SQLite's clock is the process's own.
_CLOCKS = {
    "postgresql": "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
}
#: The columns of a worker's own times.
_TIMES = ("due_at", "dispatched_at", "synced_at", "finished_at", "announced_at")


@dataclass(frozen=True, slots=True)
class _Comparison:
    ahead: timedelta
    wall: float
    monotonic: float

    @property
    def holds(self) -> bool:
        passed = time.monotonic() - self.monotonic
        return passed < CLOCK_AGE and abs(_wall() - self.wall - passed) < CLOCK_JUMP


_comparisons: dict[str, _Comparison] = {}


def _wall() -> float:
    return timezone.now().timestamp()


def ahead(using: str) -> timedelta:
    """Return how far the database's clock is ahead of this process's; a query now and then.

    Args:
        using: The database's alias.
    """
    known = _comparisons.get(using)
    if known is None or not known.holds:
        connection = connections[using]
        # The clock of a test run may stand still, or be set at will.
        if connection.vendor not in _CLOCKS or conf.is_test_run():
            return timedelta(0)
        known = _comparisons[using] = _compared(connection)
    return known.ahead


def _compared(connection: BaseDatabaseWrapper) -> _Comparison:
    with connection.cursor() as cursor:
        before = _wall()
        cursor.execute(_CLOCKS[connection.vendor])
        (microseconds,) = cursor.fetchone()
        wall, monotonic = _wall(), time.monotonic()
    # It was read between the two, and half-way on average. A difference that may be none is none,
    # so that processes with the same clock agree, however long each has waited for its answer.
    read = microseconds / 1_000_000
    seconds = 0.0 if before <= read <= wall else read - (before + wall) / 2
    return _Comparison(timedelta(seconds=seconds), wall, monotonic)


# Claim


def next_due(
    using: str, *, account: str | None = None, without: Collection[str] = ()
) -> datetime | None:
    """Return when the next row becomes due, by this process's clock; ``None`` when none will.

    Args:
        using: The database's alias.
        account: The only account that is looked at.
        without: The accounts that are passed over.
    """
    waiting = Execution.objects.using(using).filter(due_at__isnull=False)
    if account is not None:
        waiting = waiting.filter(account=account)
    if without:
        waiting = waiting.exclude(account__in=without)
    due_at = waiting.order_by("due_at").values_list("due_at", flat=True).first()
    return due_at and due_at - ahead(using)


def claim(
    using: str,
    *,
    token: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    due_before: datetime | None = None,
    without: Collection[str] = (),
    account: str | None = None,
    ids: Collection[uuid.UUID] | None = None,
) -> list[Claimed]:
    """Claim rows that are due, the longest due first.

    Args:
        using: The database's alias.
        token: Whose they shall be.
        now: The time, by this process's clock.
        lease: How long they shall be.
        limit: The most to claim.
        due_before: Only those that were due then, by this process's clock.
        without: The accounts that are passed over.
        account: The only account whose rows are taken.
        ids: The only rows that are taken.
    """
    began, seconds = time.monotonic(), lease.total_seconds()
    difference = ahead(using)
    now, due_before = now + difference, due_before and due_before + difference
    connection = connections[using]
    # Asked for in a way that says nothing of how many rows there are: PostgreSQL's statistics of a
    # time at which nothing was due would have it sort all that is.
    due = [("due_at <= (SELECT %s)", [_time(min(now, due_before or now), connection)])]
    if account is not None:
        due.append(("account = %s", [account]))
    if without:
        due.append((f"account NOT IN ({_places(without)})", [*without]))
    if ids is not None:
        key = Execution._meta.pk
        due.append((f"id IN ({_places(ids)})", [_stored(key, pk, connection) for pk in ids]))
    chosen = f"WHERE {' AND '.join(sql for sql, _ in due)} ORDER BY due_at LIMIT {limit:d}"
    parameters = [value for _, values in due for value in values]
    take = _take_at_once if _returns_rows(connection) else _take_in_turn
    rows = take(connection, chosen, parameters, (token, now, now + lease))
    return [
        Claimed(
            execution=row,
            using=using,
            first_send=row.sent_at == now,
            begin_by=began + seconds / 2,
            expires=began + seconds,
        )
        # Within a claim, in order of age.
        for row in sorted(rows, key=lambda row: row.pk)
    ]


def _places(values: Collection[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _time(moment: datetime, connection: BaseDatabaseWrapper) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


# A queued row's delivery may be received from now on, also if this process dies.
_TAKE = (
    "claim = %s, due_at = %s, "
    f"sent_at = CASE WHEN status = '{Status.QUEUED}' AND sent_at IS NULL THEN %s ELSE sent_at END"
)
_Terms = tuple[str, datetime, datetime]


def _returns_rows(connection: BaseDatabaseWrapper) -> bool:
    """Return whether an UPDATE can: MariaDB's cannot, though its INSERT does; nor an old SQLite."""
    return connection.vendor != "mysql" and connection.features.can_return_columns_from_insert


def _take_at_once(
    connection: BaseDatabaseWrapper, chosen: str, parameters: list[Any], terms: _Terms
) -> list[Execution]:
    """Choose, claim and read rows by one UPDATE, which is a transaction of its own."""
    token, now, until = terms
    table, columns = _columns(connection.vendor)
    chosen = f"SELECT id FROM {table} {chosen}"  # noqa: S608
    if connection.features.has_select_for_update_skip_locked:
        # As an array it is chosen once; what follows IN might be chosen anew for each row.
        chosen = f"= ANY(ARRAY({chosen} FOR UPDATE SKIP LOCKED))"
    else:
        chosen = f"IN ({chosen})"
    with (
        transaction.mark_for_rollback_on_error(using=connection.alias),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"UPDATE {table} SET {_TAKE} WHERE id {chosen} RETURNING {columns}",  # noqa: S608
            [token, _time(until, connection), _time(now, connection), *parameters],
        )
        return _read(connection, cursor.fetchall())


def _take_in_turn(
    connection: BaseDatabaseWrapper, chosen: str, parameters: list[Any], terms: _Terms
) -> list[Execution]:
    """Do the same where an UPDATE returns no rows."""
    token, now, until = terms
    table, columns = _columns(connection.vendor)
    lock = ""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.features.has_select_for_update_skip_locked:
            lock = "FOR UPDATE SKIP LOCKED"
        else:
            # SQLite's lock, before anything is read.
            cursor.execute(f"UPDATE {table} SET claim = claim WHERE id IS NULL")  # noqa: S608
        cursor.execute(f"SELECT {columns} FROM {table} {chosen} {lock}", parameters)  # noqa: S608
        rows = _read(connection, cursor.fetchall())
        if rows:
            key = Execution._meta.pk
            cursor.execute(
                f"UPDATE {table} SET {_TAKE} WHERE id IN ({_places(rows)})",  # noqa: S608
                [
                    token,
                    _time(until, connection),
                    _time(now, connection),
                    *(_stored(key, row.pk, connection) for row in rows),
                ],
            )
    for row in rows:
        row.claim, row.due_at = token, until
        if row.status == Status.QUEUED:
            row.sent_at = row.sent_at or now
    return rows


@lru_cache(maxsize=8)
def _columns(vendor: str) -> tuple[str, str]:
    """Return the quoted name of the table, and those of all its columns."""
    connection = next(c for c in connections.all() if c.vendor == vendor)
    columns = _names(connection, Execution._meta.concrete_fields)
    return connection.ops.quote_name(Execution._meta.db_table), ", ".join(columns)


@lru_cache(maxsize=8)
def _converters(vendor: str) -> tuple[list[str], dict[int, Any]]:
    """Return the names of a row's attributes, and what makes their values of a database's."""
    connection = next(c for c in connections.all() if c.vendor == vendor)
    compiler = Execution.objects.using(connection.alias).query.get_compiler(connection.alias)
    fields: list[Any] = list(Execution._meta.concrete_fields)
    columns = [field.get_col(Execution._meta.db_table) for field in fields]
    return [field.attname for field in fields], compiler.get_converters(columns)


def _read(connection: BaseDatabaseWrapper, rows: list[Any]) -> list[Execution]:
    """Return rows of all columns as a query would."""
    names, converters = _converters(connection.vendor)
    compiler = Execution.objects.using(connection.alias).query.get_compiler(connection.alias)
    return [
        Execution.from_db(connection.alias, names, row)
        for row in compiler.apply_converters(rows, converters)
    ]


# Settle


def settle(
    using: str,
    *,
    token: str,
    values: Mapping[uuid.UUID, Values],
    events: Iterable[ExecutionEvent] = (),
) -> set[uuid.UUID]:
    """Write what became of claimed rows, and their events, in one transaction.

    Args:
        using: The database's alias.
        token: Who claimed them; a row whose claim is another's by now is left alone.
        values: New values of columns, by the rows' ids; times are by this process's clock.
        events: Events of those rows.

    Returns:
        The ids of the rows that were still ours.
    """
    pending = {pk: in_its_time(using, new) for pk, new in values.items()}
    events, difference = list(events), ahead(using)
    for event in events:
        event.at += difference
    while pending:
        try:
            with transaction.atomic(using=using):
                if _write(using, token, pending) != len(pending):
                    raise _ClaimLost
                _record(using, [event for event in events if event.execution_id in pending])
            break
        except _ClaimLost:
            ours = set(
                Execution.objects.using(using)
                .filter(pk__in=pending, claim=token)
                .values_list("pk", flat=True)
            )
            pending = {pk: new for pk, new in pending.items() if pk in ours}
    return set(pending)


def in_its_time(using: str, values: Values) -> dict[str, Any]:
    """Return new values of columns with the database's times instead of this process's.

    Args:
        using: The database's alias.
        values: The values, by the columns' names.
    """
    difference = ahead(using)
    times = {name: values[name] + difference for name in _TIMES if values.get(name)}
    return {**values, **times}


def renew(using: str, *, token: str, ids: Collection[uuid.UUID], until: datetime) -> None:
    """Prolong the lease of rows that are still in hand."""
    until += ahead(using)
    Execution.objects.using(using).filter(pk__in=ids, claim=token).update(due_at=until)


def _write(using: str, token: str, values: Mapping[uuid.UUID, Values]) -> int:
    """Update many rows to different values, one statement for each set of columns."""
    groups: dict[tuple[str, ...], list[tuple[uuid.UUID, Values]]] = defaultdict(list)
    for pk, new in values.items():
        groups[tuple(sorted(new))].append((pk, new))
    connection = connections[using]
    written = 0
    with connection.cursor() as cursor:
        for names, rows in groups.items():
            fields = [Execution._meta.get_field(name) for name in names]
            for batch in _batches(rows, connection):
                same: dict[Any, Any] = {}
                each: dict[Any, list[Any]] = {Execution._meta.pk: [pk for pk, _ in batch]}
                for field in fields:
                    column = [new[field.name] for _, new in batch]
                    if _is_one(field, column):
                        same[field] = _stored(field, column[0], connection)
                    else:
                        each[field] = column
                sql, parameters = _UPDATES[connection.vendor](connection, same, each)
                parameters = [*parameters, token]
                if connection.vendor == "mysql":
                    _require_room(cursor, sql, parameters)
                cursor.execute(sql, parameters)
                written += cursor.rowcount
    return written


def _batches(
    rows: list[tuple[uuid.UUID, Values]], connection: BaseDatabaseWrapper
) -> Iterator[list[tuple[uuid.UUID, Values]]]:
    """Split rows that are too many, or too much, for one statement."""
    start = size = 0
    for number, (_, new) in enumerate(rows):
        own = _size(new) if connection.vendor == "mysql" else 0
        if number > start and (number - start == BATCH or size + own > LARGEST_UPDATE):
            yield rows[start:number]
            start, size = number, 0
        size += own
    yield rows[start:]


def _size(new: Values) -> int:
    return sum(len(json.dumps(value)) for value in new.values() if isinstance(value, dict))


def _require_room(cursor: Any, sql: str, parameters: Sequence[Any]) -> None:
    """Refuse what MariaDB would end the connection for, as if the database were to blame."""
    texts = [sql, *(value for value in parameters if isinstance(value, str))]
    if sum(map(len, texts)) <= LARGEST_UPDATE:
        return
    cursor.execute("SELECT @@max_allowed_packet")
    (room,) = cursor.fetchone()
    # Each of these is escaped.
    size = sum(len(text.encode()) + sum(map(text.count, "\"'\\")) for text in texts)
    if size > room:
        raise StatementTooLargeError(size, room)


def _record(using: str, events: Sequence[ExecutionEvent]) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql" or not events:
        ExecutionEvent.objects.using(using).bulk_create(events)
        return
    fields = [field for field in ExecutionEvent._meta.concrete_fields if not field.primary_key]
    table = connection.ops.quote_name(ExecutionEvent._meta.db_table)
    columns = ", ".join(_names(connection, fields))
    rows = ([getattr(event, field.attname) for field in fields] for event in events)
    recordset, document = _recordset(connection, fields, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {recordset}",  # noqa: S608
            [document],
        )


def _is_one(field: Any, column: list[Any]) -> bool:
    # JSON has values that Python takes for equal: true and 1, 1 and 1.0.
    return not isinstance(field, models.JSONField) and column.count(column[0]) == len(column)


def _names(connection: BaseDatabaseWrapper, fields: Iterable[Any]) -> list[str]:
    return [connection.ops.quote_name(field.column) for field in fields]


def _rows(connection: BaseDatabaseWrapper, each: Mapping[Any, list[Any]]) -> Iterable[Any]:
    """Return all values as the driver takes them, row by row."""
    columns = ([_stored(f, value, connection) for value in each[f]] for f in each)
    return chain.from_iterable(zip(*columns, strict=True))


def _recordset(
    connection: BaseDatabaseWrapper, fields: Iterable[Any], rows: Iterable[Sequence[Any]]
) -> tuple[str, str]:
    """Return rows as PostgreSQL takes them apart from one parameter, and that parameter."""
    fields = list(fields)
    # Without its length: a cast to varchar(20) would cut what the column would refuse.
    types = [field.db_type(connection).split("(")[0] for field in fields]
    typed = map(" ".join, zip(_names(connection, fields), types, strict=True))
    names = [field.column for field in fields]
    document = [dict(zip(names, row, strict=True)) for row in rows]
    return f"json_to_recordset(%s) AS v ({', '.join(typed)})", json.dumps(document, default=str)


def _update_postgresql(
    connection: BaseDatabaseWrapper, same: Mapping[Any, Any], each: Mapping[Any, list[Any]]
) -> tuple[str, Iterable[Any]]:
    table = connection.ops.quote_name(Execution._meta.db_table)
    key, *columns = _names(connection, each)
    new = [f"{c} = %s" for c in _names(connection, same)] + [f"{c} = v.{c}" for c in columns]
    recordset, document = _recordset(connection, each, zip(*each.values(), strict=True))
    # The claim is told in a way for which there are no statistics: those of a table at rest call it
    # rare, and the join would become a double loop.
    return (
        f"UPDATE {table} SET {', '.join(new)} FROM {recordset} "  # noqa: S608
        f"WHERE {table}.{key} = v.{key} AND {table}.claim || '' = %s"
    ), [*same.values(), document]


def _update_sqlite(
    connection: BaseDatabaseWrapper, same: Mapping[Any, Any], each: Mapping[Any, list[Any]]
) -> tuple[str, Iterable[Any]]:
    table = connection.ops.quote_name(Execution._meta.db_table)
    key, *columns = _names(connection, each)
    new = [f"{c} = %s" for c in _names(connection, same)]
    new += [f"{c} = v.column{n}" for n, c in enumerate(columns, start=2)]
    row, count = f"({', '.join(['%s'] * len(each))})", len(each[Execution._meta.pk])
    return (
        f"UPDATE {table} SET {', '.join(new)} "  # noqa: S608
        f"FROM (VALUES {', '.join([row] * count)}) AS v "
        f"WHERE {table}.{key} = v.column1 AND {table}.claim = %s"
    ), chain(same.values(), _rows(connection, each))


def _update_mysql(
    connection: BaseDatabaseWrapper, same: Mapping[Any, Any], each: Mapping[Any, list[Any]]
) -> tuple[str, Iterable[Any]]:
    table = connection.ops.quote_name(Execution._meta.db_table)
    key, *columns = _names(connection, each)
    new = [f"{table}.{c} = v.{c}" for c in columns]
    new += [f"{table}.{c} = %s" for c in _names(connection, same)]
    # Compared as what the column is: a string of another collation could not be compared at all.
    native = connection.features.has_native_uuid_field
    pk = "CAST(%s AS UUID)" if native else "CONVERT(%s USING utf8mb4) COLLATE utf8mb4_bin"
    first = ", ".join([f"{pk} AS {key}", *(f"%s AS {c}" for c in columns)])
    others = ", ".join([pk, *["%s"] * len(columns)])
    union = " UNION ALL SELECT ".join([first] + [others] * (len(each[Execution._meta.pk]) - 1))
    return (
        f"UPDATE {table} JOIN (SELECT {union}) AS v ON {table}.{key} = v.{key} "  # noqa: S608
        f"SET {', '.join(new)} WHERE {table}.claim = %s"
    ), chain(_rows(connection, each), same.values())


_UPDATES = {
    "postgresql": _update_postgresql,
    "sqlite": _update_sqlite,
    "mysql": _update_mysql,
}
#: The kinds of databases on which all of this runs, by Django's names; MariaDB is a MySQL.
VENDORS = frozenset(_UPDATES)
