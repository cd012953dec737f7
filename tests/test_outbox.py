"""The outbox: insert, what is due, claim and settle, on every database."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.safestring import SafeString

from embedworkflow_django import outbox
from embedworkflow_django.models import Execution, ExecutionEvent, Status

from .databases import EVERY_DATABASE, KINDS

LEASE = timedelta(seconds=30)
every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)


def make(alias, count=1, **values):
    """Insert rows that have been due since a minute ago, the first one longest."""
    since = timezone.now() - timedelta(minutes=1)
    rows = [
        Execution(workflow="bake", due_at=since + timedelta(milliseconds=n), **values)
        for n in range(count)
    ]
    outbox.insert(rows, using=alias)
    return rows


def claim(alias, token="a" * 32, **options):
    """Claim with this file's usual options."""
    options = {"limit": 100, "now": timezone.now(), "lease": LEASE, **options}
    return outbox.claim(alias, token=token, **options)


def stored(alias, pk):
    """Return a row as it is stored."""
    return Execution.objects.using(alias).get(pk=pk)


@every_database
def test_insert_stores_what_the_orm_would(alias):
    """A row that was inserted has the very values that ``create`` would have given it."""
    (ours,) = make(alias, execution_data={"ü": ["%s", "'", None]}, idempotency_key="k")
    asked = {
        name: getattr(ours, name) for name in outbox.ASKED if name not in {"id", "run_again_of"}
    }
    asked["idempotency_key"] = "other"
    theirs = Execution.objects.using(alias).create(**asked)
    differing = {"id", "idempotency_key", "_state"}
    expected = {k: v for k, v in vars(stored(alias, theirs.pk)).items() if k not in differing}

    found = {k: v for k, v in vars(stored(alias, ours.pk)).items() if k not in differing}

    assert expected == found
    assert (alias, False) == (ours._state.db, ours._state.adding)


@every_database
def test_insert_takes_one_statement_for_a_thousand(alias):
    """Rows are inserted a thousand at a time."""
    with CaptureQueriesContext(connections[alias]) as captured:
        make(alias, 1001)

    assert 2 == len(captured)
    assert 1001 == Execution.objects.using(alias).count()


@every_database
def test_an_insert_that_fails_is_like_a_save_that_does(alias):
    """The database's error is raised, and the transaction around it can only be undone."""
    (row,) = make(alias)

    with transaction.atomic(using=alias):
        with pytest.raises(IntegrityError):
            outbox.insert([row], using=alias)
        with pytest.raises(transaction.TransactionManagementError):
            stored(alias, row.pk)


@every_database
def test_claim_takes_the_longest_due_first(alias):
    """Rows are claimed by the time for which they have been due."""
    rows = make(alias, 3)

    first = claim(alias, limit=2)

    assert {rows[0].pk, rows[1].pk} == {c.execution.pk for c in first}
    assert [rows[2].pk] == [c.execution.pk for c in claim(alias)]


@every_database
def test_what_was_claimed_together_comes_in_order_of_age(alias):
    """Whatever has been due for longer, the oldest is sent first."""
    rows = make(alias, 3)
    for row, other in zip(rows, reversed(rows), strict=True):
        Execution.objects.using(alias).filter(pk=row.pk).update(due_at=other.due_at)

    assert [row.pk for row in rows] == [c.execution.pk for c in claim(alias)]


@every_database
def test_a_claimed_row_is_not_due_before_its_lease_ends(alias):
    """A claim moves the row's due time to the end of its lease."""
    make(alias)
    now = timezone.now()

    (mine,) = claim(alias, now=now)

    assert [] == claim(alias, token="b" * 32, now=now + LEASE - timedelta(seconds=1))
    (theirs,) = claim(alias, token="b" * 32, now=now + LEASE)
    assert mine.execution.pk == theirs.execution.pk


@every_database
def test_a_claim_notes_that_a_delivery_may_be_received(alias):
    """The first claim of a queued row sets ``sent_at``; later ones leave it."""
    (row,) = make(alias)
    now = timezone.now()

    (first,) = claim(alias, now=now)
    (second,) = claim(alias, now=now + LEASE)

    assert (True, now) == (first.first_send, first.execution.sent_at)
    assert (False, now) == (second.first_send, second.execution.sent_at)
    assert now == stored(alias, row.pk).sent_at


@every_database
def test_a_claim_of_an_active_row_sends_nothing(alias):
    """Asking after a row is no delivery."""
    (row,) = make(alias)
    Execution.objects.using(alias).update(status=Status.RUNNING)

    (mine,) = claim(alias)

    assert (False, None) == (mine.first_send, stored(alias, row.pk).sent_at)


@every_database
def test_a_claim_can_be_narrowed(alias):
    """By ids, by account, without accounts, and by when rows were due."""
    here, there = make(alias, account="here") + make(alias, account="there")
    tomorrow = timezone.now() + timedelta(days=1)
    (later,) = make(alias, account="later")
    Execution.objects.using(alias).filter(pk=later.pk).update(due_at=tomorrow)

    def claimed(**options):
        found = [c.execution.pk for c in claim(alias, **options)]
        Execution.objects.using(alias).filter(pk__in=found).update(due_at=timezone.now())
        return found

    assert [here.pk] == claimed(ids=[here.pk, later.pk])
    assert [there.pk] == claimed(account="there")
    assert [there.pk] == claimed(without=["here"])
    assert [] == claimed(due_before=timezone.now() - timedelta(hours=1))
    # What is not due yet is no more so for a clock that has been set back meanwhile.
    assert [here.pk, there.pk] == claimed(due_before=tomorrow)


@pytest.mark.parametrize("alias", [p for p in EVERY_DATABASE if p.id == "sqlite"])
def test_a_sqlite_whose_update_returns_no_rows_claims_as_well(alias, monkeypatch):
    """Before 3.35 it has no RETURNING: the lock is taken first, then it is read, then written."""
    monkeypatch.setattr(connections[alias].features, "can_return_columns_from_insert", False)
    now = timezone.now()
    queued, running = make(alias, 2)
    Execution.objects.using(alias).filter(pk=running.pk).update(status=Status.RUNNING)

    with CaptureQueriesContext(connections[alias]) as captured:
        claimed = claim(alias, now=now + timedelta(seconds=1))
    said = [query["sql"].split()[0] for query in captured]

    assert ["BEGIN", "UPDATE", "SELECT", "UPDATE", "COMMIT"] == said
    assert [queued.pk, running.pk] == [each.execution.pk for each in claimed]
    assert [True, False] == [each.first_send for each in claimed]
    for each in claimed:
        each.execution.refresh_from_db(fields=["claim", "due_at", "sent_at"])
        assert ("a" * 32, now + timedelta(seconds=1) + LEASE) == (
            each.execution.claim,
            each.execution.due_at,
        )
    assert [now + timedelta(seconds=1), None] == [each.execution.sent_at for each in claimed]
    assert [] == claim(alias, now=now + timedelta(seconds=1))


@every_database
def test_many_workers_never_claim_the_same_row(alias):
    """Four workers that claim at once share the rows out."""
    rows, lock, claims = make(alias, 60), threading.Lock(), []
    start = threading.Barrier(4)

    def work():
        token = uuid.uuid4().hex
        start.wait(10)
        try:
            while mine := claim(alias, token=token, limit=3):
                with lock:
                    claims.extend(c.execution.pk for c in mine)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(row.pk for row in rows) == sorted(claims)


@every_database
def test_next_due_is_the_earliest(alias):
    """What the loop sleeps for; rows without a due time and paused accounts do not count."""
    assert None is outbox.next_due(alias)
    first, second = make(alias, 2)
    Execution.objects.using(alias).filter(pk=first.pk).update(account="paused")
    (finished,) = make(alias)
    Execution.objects.using(alias).filter(pk=finished.pk).update(due_at=None)

    assert first.due_at == outbox.next_due(alias)
    assert second.due_at == outbox.next_due(alias, without=["paused"])
    assert second.due_at == outbox.next_due(alias, account="default")


@every_database
def test_settle_writes_every_kind_of_column(alias):
    """Texts, numbers, times, JSON and NULL arrive as they were, each row's in its row."""
    rows = make(alias, 3)
    claim(alias)
    now = timezone.now()
    values = {
        rows[0].pk: {
            "status": Status.RUNNING,
            "remote_id": "r-%s-\"'",
            "last_error": "ünï %d \\ ; DROP TABLE",
            "attempts": 7,
            "due_at": now,
            "claim": "",
            "stats": {"a-b": {"status": "open"}, "list": [1, 2.5, None, "ü"]},
            "raw": None,
        },
        rows[1].pk: {"status": Status.COMPLETED, "due_at": None, "claim": ""},
        rows[2].pk: {"status": Status.FAILED, "due_at": None, "claim": ""},
    }

    won = outbox.settle(alias, token="a" * 32, values=values)

    assert set(values) == won
    for pk, new in values.items():
        row = stored(alias, pk)
        assert new == {name: getattr(row, name) for name in new}


@every_database
def test_settle_takes_one_statement_for_each_set_of_columns(alias):
    """However many rows there are, up to a thousand; the order of the columns does not matter."""
    rows = make(alias, 1001)
    claim(alias, limit=1001)
    values = {row.pk: {"claim": "", "polls": n} for n, row in enumerate(rows)}
    values[rows[0].pk] = {"polls": 0, "claim": ""}

    with CaptureQueriesContext(connections[alias]) as captured:
        outbox.settle(alias, token="a" * 32, values=values)

    assert 2 == len([q for q in captured if q["sql"].startswith("UPDATE")])
    polls = Execution.objects.using(alias).filter(claim="").values_list("polls", flat=True)
    assert list(range(1001)) == sorted(polls)


@every_database
def test_settle_takes_texts_of_any_kind_together(alias):
    """A status may be a choice or its word, an error's words may be marked as safe, or missing."""
    plain, choice, safe = make(alias, 3)
    claim(alias)
    values = {
        plain.pk: {"status": "running", "last_error": "", "remote_id": None},
        choice.pk: {"status": Status.RUNNING, "last_error": "b", "remote_id": "b"},
        safe.pk: {"status": Status.RUNNING, "last_error": SafeString("c"), "remote_id": "c"},
    }

    assert set(values) == outbox.settle(alias, token="a" * 32, values=values)
    assert [("running", ""), ("running", "b"), ("running", "c")] == list(
        Execution.objects.using(alias).order_by("pk").values_list("status", "last_error")
    )


@every_database
def test_settle_takes_answers_that_are_too_much_for_one_statement(alias):
    """MariaDB takes statements of 16 MB only, and ends the connection of whoever sends more."""
    values = {row.pk: {"polls": 1, "log": {"text": '"' * 500_000}} for row in make(alias, 12)}
    claim(alias)

    assert set(values) == outbox.settle(alias, token="a" * 32, values=values)
    assert 12 == Execution.objects.using(alias).filter(polls=1, log__isnull=False).count()


@pytest.mark.parametrize("alias", EVERY_DATABASE[KINDS.index("postgresql") :][:1])
def test_settle_joins_by_key_whatever_was_claimed_when_statistics_were_taken(alias):
    """Statistics of a table at rest know of no claim: the planner must not take one for rare."""
    rows = make(alias, 10_000)
    with connections[alias].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE embedworkflow_execution")
    claim(alias, limit=1000)
    values = {row.pk: {"claim": "", "polls": n} for n, row in enumerate(rows[:1000])}

    with CaptureQueriesContext(connections[alias]) as captured:
        assert set(values) == outbox.settle(alias, token="a" * 32, values=values)
    (update,) = [q["sql"] for q in captured if q["sql"].startswith("UPDATE")]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"EXPLAIN {update.replace('%', '%%')}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    # A loop over claimed rows would run through all of the new values for each of them.
    assert "Join Filter" not in plan


@pytest.mark.parametrize("alias", EVERY_DATABASE[KINDS.index("postgresql") :][:1])
def test_claim_sorts_nothing_whatever_was_due_when_statistics_were_taken(alias):
    """Statistics of a table at rest know of nothing due: a backlog must not be sorted for that."""
    make(alias, 5_000)
    Execution.objects.using(alias).update(due_at=None)
    with connections[alias].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE embedworkflow_execution")
    make(alias, 5_000)

    with CaptureQueriesContext(connections[alias]) as captured:
        assert 50 == len(claim(alias, limit=50))
    with connections[alias].cursor() as cursor:
        cursor.execute(f"EXPLAIN {captured[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "ewf_execution_due" in plan
    assert "Sort" not in plan


@every_database
def test_settle_keeps_apart_what_python_takes_for_equal(alias):
    """True is not 1 in JSON, though all of a column's values are equal."""
    rows = make(alias, 3)
    claim(alias)
    stats = [{"a": True}, {"a": 1}, {"a": 1}]
    values = {row.pk: {"stats": one} for row, one in zip(rows, stats, strict=True)}

    assert set(values) == outbox.settle(alias, token="a" * 32, values=values)
    assert [repr(one) for one in stats] == [repr(stored(alias, row.pk).stats) for row in rows]


@every_database
def test_settle_writes_what_all_rows_have_in_common(alias):
    """Also when they differ in nothing but their keys; a row of another worker is left alone."""
    *ours, other = make(alias, 4)
    claim(alias)
    Execution.objects.using(alias).filter(pk=other.pk).update(claim="b" * 32)
    values = {row.pk: {"claim": "", "synced_at": None, "misses": 2} for row in [*ours, other]}

    assert {row.pk for row in ours} == outbox.settle(alias, token="a" * 32, values=values)
    assert [2, 2, 2, 0] == [stored(alias, row.pk).misses for row in [*ours, other]]


@every_database
def test_settle_writes_nothing_of_rows_that_are_lost(alias):
    """A worker that has lost its lease writes neither row nor event; the others are kept."""
    kept, lost = make(alias, 2)
    claim(alias)
    Execution.objects.using(alias).filter(pk=lost.pk).update(claim="b" * 32)
    events = [
        ExecutionEvent(execution_id=row.pk, status=Status.RUNNING, source="delivery")
        for row in (kept, lost)
    ]

    won = outbox.settle(
        alias,
        token="a" * 32,
        values={row.pk: {"status": Status.RUNNING} for row in (kept, lost)},
        events=events,
    )

    assert {kept.pk} == won
    assert (Status.RUNNING, Status.QUEUED) == (
        stored(alias, kept.pk).status,
        stored(alias, lost.pk).status,
    )
    assert [kept.pk] == list(
        ExecutionEvent.objects.using(alias).values_list("execution_id", flat=True)
    )


@every_database
def test_settle_of_nothing_is_nothing(alias):
    """No rows, no statement."""
    with CaptureQueriesContext(connections[alias]) as captured:
        assert set() == outbox.settle(alias, token="a" * 32, values={})

    assert 0 == len(captured)


@every_database
def test_renew_prolongs_only_ones_own_leases(alias):
    """Another worker's rows are left alone, and those of one's own that are not named."""
    mine, over, theirs = make(alias, 3)
    claim(alias, ids=[mine.pk, over.pk])
    claim(alias, token="b" * 32)
    until = timezone.now() + timedelta(hours=1)

    outbox.renew(alias, token="a" * 32, ids=[mine.pk, theirs.pk], until=until)

    assert until == stored(alias, mine.pk).due_at
    assert until > stored(alias, over.pk).due_at
    assert until > stored(alias, theirs.pk).due_at


@every_database
def test_by_key_finds_the_first_of_each_key(alias):
    """A second row of one key gives way to the first; another account's is another one.

    It is asked once, whether or not all have keys.
    """
    make(alias, idempotency_key="k")
    first = Execution.objects.using(alias).get()
    rows = [
        Execution(workflow="bake", idempotency_key="k"),
        Execution(workflow="bake"),
        Execution(workflow="bake", idempotency_key="k", account="other"),
    ]

    with transaction.atomic(using=alias):
        outbox.insert(rows, using=alias, ignore_conflicts=True)
        with CaptureQueriesContext(connections[alias]) as captured:
            found = outbox.by_key(rows, using=alias)

    assert 1 == len(captured)
    assert [first.pk, rows[1].pk, rows[2].pk] == [row.pk for row in found]
    assert 3 == Execution.objects.using(alias).count()


@pytest.mark.parametrize("alias", [p for p in EVERY_DATABASE if p.id == "mariadb"])
def test_by_key_reads_past_an_old_snapshot(alias):
    """Under REPEATABLE READ the row of a key may be newer than all that a transaction sees."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    rows = [Execution(workflow="bake", idempotency_key="k")]
    try:
        with transaction.atomic(using=alias):
            assert not Execution.objects.using(alias).exists()
            elsewhere = threading.Thread(target=_insert_elsewhere, args=(alias, "k"))
            elsewhere.start()
            elsewhere.join(10)
            outbox.insert(rows, using=alias, ignore_conflicts=True)
            (found,) = outbox.by_key(rows, using=alias)
    finally:
        connections[alias].close()

    assert found.pk != rows[0].pk
    assert [found.pk] == list(Execution.objects.using(alias).values_list("pk", flat=True))


def _insert_elsewhere(alias, key):
    try:
        make(alias, idempotency_key=key)
    finally:
        connections.close_all()


@every_database
def test_what_is_finished_leaves_the_index(alias):
    """The plan of a claim reads the index of what is due, and on databases that can, only that."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, Execution._meta.db_table)

    assert ["due_at"] == constraints["ewf_execution_due"]["columns"]
    if connection.features.supports_partial_indexes:
        make(alias, 50)
        Execution.objects.using(alias).update(due_at=None)
        with CaptureQueriesContext(connection) as captured:
            claim(alias)
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")  # So few rows need no index.
            cursor.execute(f"{connection.ops.explain_query_prefix()} {captured[-1]['sql']}")
            # By account or not, as the planner likes.
            assert "_due" in str(cursor.fetchall())
