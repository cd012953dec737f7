"""Services: each verb stores what is wanted in the caller's transaction, and calls nobody."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError, connections, transaction
from django.db.models.signals import post_init, pre_init
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from embedworkflow_django import outbox, services, signals
from embedworkflow_django.conf import ConfigurationError
from embedworkflow_django.exceptions import InvalidExecution, InvalidTransition
from embedworkflow_django.models import FINAL, Execution, ExecutionEvent, Status
from tests.bakery.models import Cake

from .databases import EVERY_DATABASE
from .elsewhere import PATIENCE, elsewhere, held_open, wait_for_a_lock
from .routers import OTHER, two_databases

LEASE = timedelta(minutes=1)
SQLITE, POSTGRESQL, MARIADB = EVERY_DATABASE
#: SQLite lets one writer in at a time, so nothing can be held open beside another.
SERVERS = [POSTGRESQL, MARIADB]
VERBS = {
    "cancel": services.cancel,
    "stop": services.stop,
    "refresh": services.refresh,
    "resolve": lambda execution, **options: services.resolve(execution, resend=True, **options),
}


@pytest.fixture
def heard():
    """Return a list of what the signals say: name, execution, before and after."""
    said, receivers = [], []
    for name in ("execution_queued", "execution_status_changed"):

        def receive(execution, signal, before="", after="", name=name, **kwargs):
            said.append((name, execution.pk, str(before), str(after)))

        getattr(signals, name).connect(receive)
        receivers.append((getattr(signals, name), receive))
    yield said
    for signal, receive in receivers:
        signal.disconnect(receive)


def stored(status, alias="default", **columns):
    """Return a stored execution that has a status, with what such a one has in life."""
    now = timezone.now()
    sent = status not in {Status.QUEUED, Status.CANCELED, Status.UNDELIVERABLE}
    at_the_api = sent and status != Status.UNCONFIRMED
    values = {
        "due_at": None if status in {*FINAL, Status.UNCONFIRMED} else now + LEASE,
        "sent_at": now if sent else None,
        "remote_id": f"remote-{next(_numbers)}" if at_the_api else None,
        "dispatched_at": now if at_the_api else None,
        "finished_at": now if status in FINAL else None,
        "announced_at": now if status in FINAL else None,
    } | columns
    return Execution.objects.using(alias).create(workflow="bake", status=status, **values)


_numbers = itertools.count()


def statements(alias):
    """Capture the SQL statements of a database's connection."""
    return CaptureQueriesContext(connections[alias])


def begun(captured):
    """Return what each statement begins with."""
    return [query["sql"].split()[0] for query in captured]


# execute


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_execute_is_one_insert(alias):
    """The request path pays one statement, whatever else is asked."""
    cake = Cake.objects.using(alias).create(name="Sacher")
    with transaction.atomic(using=alias), statements(alias) as captured:
        services.execute("bake", {"cake": 1}, source=cake, user_key="jane", run_at=timezone.now())
    assert begun(captured) == ["INSERT"]


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_keyed_execute_is_an_insert_and_a_select(alias):
    """An idempotency key costs one more statement, for the row that may have it already."""
    for _ in range(2):
        with transaction.atomic(using=alias), statements(alias) as captured:
            services.execute("bake", idempotency_key="welcome-1", using=alias)
        assert begun(captured) == ["INSERT", "SELECT"]


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_execute_returns_the_stored_row(alias):
    """The returned execution is what the database has, and can be worked with at once."""
    cake = Cake.objects.using(alias).create(name="Sacher")
    execution = services.execute(
        "bake", {"cake": "é 🎂"}, source=cake, user_key="jane", id_type="hashid", using=alias
    )
    row = Execution.objects.using(alias).get()
    for field in Execution._meta.concrete_fields:
        assert getattr(execution, field.attname) == getattr(row, field.attname), field.name
    assert row.status == Status.QUEUED
    assert row.due_at == row.created_at
    assert (row.account, row.workflow, row.id_type) == ("default", "bake", "hashid")
    assert (row.user_key, row.execution_data) == ("jane", {"cake": "é 🎂"})
    services.cancel(execution)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_the_returned_row_is_an_instance_like_any_other(alias):
    """It has what a constructed one has, and can be checked, copied, pickled and fetched anew."""
    execution = services.execute("bake", {"cake": 1}, using=alias)
    assert vars(execution).keys() == vars(Execution()).keys()
    assert vars(execution._state).items() >= {"adding": False, "db": alias}.items()
    assert execution.get_deferred_fields() == set()
    execution.full_clean()
    for twin in (copy.deepcopy(execution), pickle.loads(pickle.dumps(execution))):
        assert twin == execution
        assert twin.execution_data == {"cake": 1}
    again = services.run_again(execution)
    assert again.run_again_of == execution
    again.execution_data["cake"] = 2
    again.save()
    again.refresh_from_db()
    assert again.execution_data == {"cake": 2}


def test_django_tells_of_the_row_that_is_made(db):
    """The signals of a model's making are sent as for any instance, once each."""
    said = []

    def before(sender, kwargs, **rest):
        said.append((sender, kwargs["workflow"]))

    def after(instance, **rest):
        said.append((type(instance), instance.workflow))

    pre_init.connect(before, sender=Execution)
    post_init.connect(after, sender=Execution)
    try:
        services.execute("bake")
    finally:
        pre_init.disconnect(before, sender=Execution)
        post_init.disconnect(after, sender=Execution)
    assert said == [(Execution, "bake")] * 2


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("keyed", [{}, {"idempotency_key": "welcome-1"}], ids=["plain", "keyed"])
def test_execute_is_announced_once_committed(alias, keyed, heard):
    """The signal ``execution_queued`` waits for the commit, and is sent once for a row."""
    with transaction.atomic(using=alias):
        execution = services.execute("bake", using=alias, **keyed)
        assert heard == []
    assert heard == [("execution_queued", execution.pk, "", "")]
    if keyed:
        services.execute("bake", using=alias, **keyed)
        assert len(heard) == 1


@pytest.mark.django_db(transaction=True)
def test_a_failing_receiver_hurts_nobody(heard, caplog):
    """The row is stored and the caller goes on, whatever a receiver of a signal does."""

    def fail(**kwargs):
        raise RuntimeError("a receiver's own fault")

    signals.execution_queued.connect(fail)
    try:
        services.execute("bake")
    finally:
        signals.execution_queued.disconnect(fail)
    assert Execution.objects.exists()
    assert "a receiver's own fault" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_misspelt_dispatcher_loses_nothing(settings, caplog):
    """What nobody can be woken for stays queued, and the log has the reason."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "DISPATCHER": "thred"}
    services.execute("bake")
    assert Execution.objects.queued().count() == 1
    assert "Did you mean 'thread'" in caplog.text


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_who_commits_by_hand_may_execute(alias):
    """Django runs no hooks then; the row is stored with the rest, and found when it is due."""
    transaction.set_autocommit(False, using=alias)
    try:
        services.execute("bake", using=alias)
        transaction.commit(using=alias)
    finally:
        transaction.set_autocommit(True, using=alias)
    assert Execution.objects.using(alias).due().count() == 1


# execute, with an idempotency key


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_second_call_under_a_key_returns_the_first_row(alias):
    """There is one execution for a key, whatever the second call asks for."""
    first = services.execute("bake", {"n": 1}, idempotency_key="k", using=alias)
    with transaction.atomic(using=alias):
        second = services.execute("wrap", {"n": 2}, idempotency_key="k", using=alias)
    assert second == first
    assert (second.workflow, second.execution_data) == ("bake", {"n": 1})
    assert Execution.objects.using(alias).count() == 1


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_keys_that_differ_in_case_are_two(alias):
    """Keys are compared by their characters, also where the database ignores case."""
    keys = ["abc", "ABC", "Abc", "abc-"]
    rows = [services.execute("bake", idempotency_key=key, using=alias) for key in keys]
    assert [row.idempotency_key for row in rows] == keys
    assert Execution.objects.using(alias).count() == len(keys)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_key_is_an_accounts_own(alias, settings):
    """The same key in another account is another execution, also if only the case differs."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "ACCOUNTS": {"eu": {}, "EU": {}}}
    accounts = ["default", "eu", "EU"]
    for _ in range(2):
        rows = [
            services.execute("bake", idempotency_key="k", account=account, using=alias)
            for account in accounts
        ]
        assert [row.account for row in rows] == accounts
    assert Execution.objects.using(alias).count() == len(accounts)


@pytest.mark.parametrize("alias", SERVERS)
def test_a_key_holds_under_two_transactions_at_once(alias, heard):
    """The second waits for the first one's commit, and returns the first one's row."""

    def execute(number):
        with transaction.atomic(using=alias):
            return services.execute("bake", {"n": number}, idempotency_key="k", using=alias)

    with held_open(alias, lambda: execute(1)) as first:
        second = elsewhere(execute, 2)
        wait_for_a_lock(alias, second)
        winner = first.result()
    assert second.result(PATIENCE) == winner
    assert [row.execution_data for row in Execution.objects.using(alias)] == [{"n": 1}]
    assert [name for name, *_ in heard] == ["execution_queued"]


@pytest.mark.parametrize("alias", SERVERS)
def test_a_key_is_free_again_after_a_rollback(alias, heard):
    """The second waits, and stores its own row when the first one's transaction is undone."""

    def execute(number):
        with transaction.atomic(using=alias):
            return services.execute("bake", {"n": number}, idempotency_key="k", using=alias)

    with held_open(alias, lambda: execute(1), error=RuntimeError("rolled back")) as first:
        second = elsewhere(execute, 2)
        wait_for_a_lock(alias, second)
        first.end()
        assert second.result(PATIENCE).execution_data == {"n": 2}
    assert [row.execution_data for row in Execution.objects.using(alias)] == [{"n": 2}]
    assert [name for name, *_ in heard] == ["execution_queued"]


@pytest.mark.parametrize("alias", [MARIADB])
def test_a_key_holds_before_an_older_snapshot(alias):
    """A transaction that began before the other's commit gets the other's row all the same."""

    def late():
        with transaction.atomic(using=alias):
            assert Execution.objects.using(alias).count() == 0
            first = elsewhere(services.execute, "bake", idempotency_key="k", using=alias)
            first = first.result(PATIENCE)
            return first, services.execute("bake", idempotency_key="k", using=alias)

    first, second = late()
    assert first == second


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_many_threads_under_one_key_are_one_execution(alias):
    """However many come at once, there is one row, and all of them get it."""
    futures = [
        elsewhere(services.execute, "bake", {"n": n}, idempotency_key="k", using=alias)
        for n in range(6)
    ]
    rows = {future.result(3 * PATIENCE).pk for future in futures}
    assert rows == {Execution.objects.using(alias).get().pk}


@pytest.mark.parametrize("alias", [POSTGRESQL])
def test_under_repeatable_read_a_taken_key_is_the_callers_to_retry(alias):
    """PostgreSQL calls a key that was taken after the snapshot a serialization failure."""

    def late():
        with transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            Execution.objects.using(alias).count()
            elsewhere(services.execute, "bake", idempotency_key="k", using=alias).result(PATIENCE)
            services.execute("bake", idempotency_key="k", using=alias)

    with pytest.raises(OperationalError, match="could not serialize access"):
        late()
    again = services.execute("bake", idempotency_key="k", using=alias)
    assert again == Execution.objects.using(alias).get()


# execute_many


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_execute_many_is_one_insert_for_a_thousand(alias):
    """Many calls cost few statements, and the rows come in the order of the calls."""
    calls = [{"workflow": "bake", "data": {"n": n}, "using": alias} for n in range(1001)]
    with transaction.atomic(using=alias), statements(alias) as captured:
        rows = services.execute_many(calls)
    assert begun(captured) == ["INSERT", "INSERT"]
    assert [row.execution_data["n"] for row in rows] == list(range(1001))
    assert sorted(rows, key=lambda row: row.pk) == rows
    assert Execution.objects.using(alias).count() == 1001


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_execute_many_takes_keyed_calls_too(alias, heard):
    """Taken keys bring their rows, new ones are stored, and each row is announced once."""
    first = services.execute("bake", idempotency_key="taken", using=alias)
    del heard[:]
    keys = ["new", None, "taken", "new"]
    rows = services.execute_many(
        {"workflow": "bake", "idempotency_key": key, "using": alias} for key in keys
    )
    assert [row.idempotency_key for row in rows] == keys
    assert rows[0] == rows[3]
    assert rows[2] == first
    assert sorted(heard) == sorted(("execution_queued", row.pk, "", "") for row in rows[:2])


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_keyed_calls_are_two_statements_for_a_thousand(alias):
    """However many keys there are, no statement names more of them than a database takes."""
    count = 2 * outbox.BATCH + 1
    calls = [{"workflow": "bake", "idempotency_key": f"k{n}", "using": alias} for n in range(count)]
    for _ in range(2):
        with transaction.atomic(using=alias), statements(alias) as captured:
            rows = services.execute_many(calls)
        assert begun(captured) == ["INSERT", "SELECT"] * 3
        assert [row.idempotency_key for row in rows] == [f"k{n}" for n in range(count)]
    assert Execution.objects.using(alias).count() == count


@two_databases
def test_execute_many_serves_several_databases():
    """Each call goes into its source's database, and the order of the calls is kept."""
    cakes = [Cake.objects.using(alias).create() for alias in ("default", OTHER) * 2]
    rows = services.execute_many({"workflow": "bake", "source": cake} for cake in cakes)
    assert [row.source for row in rows] == cakes
    assert [row._state.db for row in rows] == ["default", OTHER] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({}, r"Call 1 should be a mapping of execute's own arguments, not \[\]"),
        ({"data": {}}, r"Call 1 should be a mapping .*, not \['data'\]"),
        ({"workflow": "bake", "wokflow": 1}, r"Call 1 should be .*, not \['workflow', 'wokflow'\]"),
        ({"workflow": "bake", 5: 1}, r"Call 1 should be a mapping .*, not \['workflow', 5\]"),
        ({"workflow": "bake", "trigger": "x"}, "Call 1 should be a mapping"),
        ("bake", "Call 1 should be a mapping of execute's own arguments, not 'bake'"),
        (("bake", {}), r"Call 1 should be a mapping .*, not \('bake', \{\}\)"),
        ({"workflow": ".."}, r"Call 1: '\.\.' cannot name a workflow"),
        ({"workflow": "bake", "data": {"a": b""}}, r"Call 1: data\['a'\] cannot be sent"),
        ({"workflow": "bake", "account": "eu"}, "Call 1: There is no account 'eu'"),
    ],
    ids=repr,
)
def test_one_bad_call_refuses_all(call, message):
    """The message says which call it was, and nothing is stored of the others."""
    with pytest.raises((InvalidExecution, ConfigurationError), match=message):
        services.execute_many([{"workflow": "bake"}, call])
    assert not Execution.objects.exists()


@pytest.mark.django_db
def test_calls_that_are_one_mapping_are_refused():
    """Whoever forgets the list is told."""
    with pytest.raises(InvalidExecution, match=r"Call 0 should be a mapping .*, not 'workflow'"):
        services.execute_many({"workflow": "bake"})


@pytest.mark.django_db
def test_no_calls_are_no_statement(django_assert_num_queries):
    """Nothing to do is nothing done."""
    with django_assert_num_queries(0):
        assert services.execute_many([]) == []


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_execute_many_stores_all_or_nothing(alias, heard):
    """When a later INSERT fails, the earlier ones are undone: the caller may simply repeat."""
    failing = outbox.BATCH + 1

    def fail(execute, sql, params, many, context):
        if sql.startswith("INSERT") and len(params) < failing:
            raise OperationalError("the database has gone away")
        return execute(sql, params, many, context)

    calls = [{"workflow": "bake", "using": alias}] * failing
    with (
        connections[alias].execute_wrapper(fail),
        pytest.raises(OperationalError, match="gone away"),
    ):
        services.execute_many(calls)
    assert not Execution.objects.using(alias).exists()
    assert heard == []


# run_again


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("status", Status.values)
def test_any_execution_can_be_run_again(alias, status, heard, settings):
    """A new row asks for the same; the old one is left alone, and both know of each other."""
    settings.EMBEDWORKFLOW = {"ACCOUNTS": {"eu": {"SECRET_KEY": "sk_test_eu"}}}
    cake = Cake.objects.using(alias).create()
    old = stored(
        status,
        alias,
        account="eu",
        execution_data={"n": 1},
        user_key="jane",
        id_type="id",
        trigger="shop.placed",
        idempotency_key="k",
        source_type="bakery.cake",
        source_id=str(cake.pk),
    )
    before, begun_at = Execution.objects.using(alias).values().get(), timezone.now()
    again = services.run_again(old, by="Ann")
    assert Execution.objects.using(alias).values().get(pk=old.pk) == before
    row = Execution.objects.using(alias).get(pk=again.pk)
    assert row.run_again_of == old
    assert row.status == Status.QUEUED
    assert begun_at <= row.created_at == row.due_at
    assert (row.account, row.workflow) == ("eu", "bake")
    assert row.execution_data == {"n": 1}
    assert row.idempotency_key is None
    assert row.source == cake
    assert (row.user_key, row.id_type, row.trigger) == ("jane", "id", "shop.placed")
    assert heard == [("execution_queued", again.pk, "", "")]
    event = old.events.get()
    assert (event.source, event.status) == ("person", status)
    assert event.detail == {"verb": "run again", "by": "Ann", "run_again_as": str(again.pk)}


@pytest.mark.django_db
def test_a_run_again_without_a_person_leaves_no_event():
    """A program that repeats an execution needs no history of it beside the link."""
    services.run_again(stored(Status.FAILED))
    assert not ExecutionEvent.objects.exists()


@pytest.mark.django_db
def test_another_run_may_have_other_data():
    """The data can be mended before it is sent again, and is checked like any."""
    old = stored(Status.FAILED, execution_data={"n": 1})
    assert services.run_again(old, data={"n": 2}).execution_data == {"n": 2}
    assert services.run_again(old, data=None).execution_data == {}
    with pytest.raises(InvalidExecution, match=r"data\['n'\] cannot be sent"):
        services.run_again(old, data={"n": b""})
    assert Execution.objects.filter(run_again_of=old).count() == 2


def user_of(source):
    """Return the user of an order; a project's own callable may insist on one."""
    return f"user-{source.pk}"


@pytest.mark.django_db
@pytest.mark.parametrize("user_key", ["", "jane"])
def test_another_run_is_on_behalf_of_the_same_user(settings, user_key):
    """The setting ``USER_KEY`` is not asked again: it may say something else by now."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "USER_KEY": user_of}
    assert services.run_again(stored(Status.FAILED, user_key=user_key)).user_key == user_key


@pytest.mark.django_db
def test_another_run_needs_its_account(settings):
    """An execution of an account that is gone cannot be repeated."""
    old = stored(Status.FAILED, account="eu")
    with pytest.raises(ConfigurationError, match="There is no account 'eu'"):
        services.run_again(old)


@pytest.mark.django_db
def test_another_run_repeats_the_row_and_not_a_stale_instance():
    """What is repeated is what is stored, even if the caller's instance is older."""
    old = stored(Status.FAILED, execution_data={"n": 1})
    Execution.objects.update(execution_data={"n": 2})
    assert services.run_again(old).execution_data == {"n": 2}


# cancel, stop, refresh, resolve

ALLOWED = {
    "cancel": {"queued": "canceled"},
    "stop": {
        "queued": "canceled",
        "running": "running",
        "upcoming": "upcoming",
        "unknown": "unknown",
    },
    "refresh": {
        status: status
        for status in Status.values
        if status not in {"canceled", "undeliverable", "unconfirmed"}
    },
    "resolve": {"unconfirmed": "queued"},
}


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_changes_what_it_may(alias, verb, heard):
    """From every status: what is allowed happens, is due now, noted, and announced; else nothing.

    A refusal says verb, execution and status, and leaves the caller's transaction alone.
    """
    for status in Status.values:
        row = stored(status, alias)
        before = Execution.objects.using(alias).values().get(pk=row.pk)
        del heard[:]
        if status not in ALLOWED[verb]:
            with transaction.atomic(using=alias):
                with pytest.raises(InvalidTransition, match=f"execution {row.pk} is {status}; "):
                    VERBS[verb](row, by="Ann")
                assert Execution.objects.using(alias).values().get(pk=row.pk) == before
            assert not row.events.exists()
            assert heard == []
            continue
        after = ALLOWED[verb][status]
        assert VERBS[verb](row, by="Ann") is row
        now = Execution.objects.using(alias).get(pk=row.pk)
        assert now.status == row.status == after
        assert now.due_at == row.due_at <= timezone.now()
        assert now.claim == ""
        event = row.events.get()
        assert (event.source, event.status, event.detail["by"]) == ("person", after, "Ann")
        said = [("execution_status_changed", row.pk, status, after)] if after != status else []
        assert heard == said


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("verb", [*VERBS, "run_again"])
def test_a_verb_refuses_what_is_not_there(alias, verb):
    """A row that was never saved, or was deleted meanwhile or before, cannot be changed."""
    call = VERBS.get(verb, services.run_again)
    with pytest.raises(InvalidTransition, match="not saved, or was deleted"):
        call(Execution(workflow="bake"))
    row = stored(Status.QUEUED, alias)
    other = Execution.objects.using(alias).get()
    other.delete()
    with pytest.raises(InvalidTransition, match="not saved, or was deleted"):
        call(other)
    with transaction.atomic(using=alias):
        with pytest.raises(InvalidTransition, match=f"Execution {row.pk} was deleted"):
            call(row)
        assert not Execution.objects.using(alias).exists()


WRONG = [None, "01a22d78", Execution.objects.all(), Execution]


@pytest.mark.parametrize("what", WRONG, ids=lambda what: type(what).__name__)
@pytest.mark.parametrize("verb", [*VERBS, "run_again"])
def test_a_verb_is_about_an_execution(verb, what):
    """Not about its key, nor about several; nothing is asked of the database to say so."""
    call = VERBS.get(verb, services.run_again)
    kind = type(what).__name__
    with pytest.raises(TypeError, match=rf"should be an Execution, not of type {kind}\."):
        call(what)


@pytest.mark.parametrize("by", [None, 5, User(username="ann")], ids=["none", "key", "user"])
@pytest.mark.parametrize("verb", [*VERBS, "run_again"])
@pytest.mark.django_db
def test_who_wants_it_is_a_name(verb, by):
    """The history keeps the person's name, and nothing is done for whoever has none."""
    row = stored(next(iter(ALLOWED.get(verb, {Status.FAILED: ""}))))
    before = Execution.objects.values().get()
    call = VERBS.get(verb, services.run_again)
    with pytest.raises(
        TypeError, match=rf"by should be .* get_username\(\), not {type(by).__name__}"
    ):
        call(row, by=by)
    assert Execution.objects.values().get() == before


@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_judges_the_row_and_not_a_stale_instance(verb):
    """The stored status decides, and the caller's instance gets the row's present values."""
    allowed = next(iter(ALLOWED[verb]))
    row = stored(allowed, name="new")
    stale = Execution.objects.get()
    stale.status, stale.name = Status.FAILED, "old"
    VERBS[verb](stale)
    assert (stale.status, stale.name) == (ALLOWED[verb][allowed], "new")
    row.delete()

    stored(Status.CANCELED, name="new")
    stale = Execution.objects.get()
    stale.status, stale.name = allowed, "old"
    with pytest.raises(InvalidTransition, match="is canceled; "):
        VERBS[verb](stale)
    assert (stale.status, stale.name) == (Status.CANCELED, "new")


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_rolled_back_leaves_nothing(alias, verb, heard):
    """Row, event and signal belong to the caller's transaction."""
    row = stored(next(iter(ALLOWED[verb])), alias)
    before = Execution.objects.using(alias).values().get()
    with transaction.atomic(using=alias):
        VERBS[verb](row)
        transaction.set_rollback(True, using=alias)
    assert Execution.objects.using(alias).values().get() == before
    assert not ExecutionEvent.objects.using(alias).exists()
    assert heard == []


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["cancel", "stop"])
def test_what_may_have_been_received_is_not_canceled(verb):
    """A queued row of which a POST is under way, or was lost, may run at the API."""
    row = stored(Status.QUEUED, sent_at=timezone.now())
    with pytest.raises(InvalidTransition, match="no delivery may have been received"):
        VERBS[verb](row)
    row.refresh_from_db()
    assert row.status == Status.QUEUED


@pytest.mark.django_db
def test_a_canceled_execution_has_finished():
    """It is final at once, and due once more for its end to be announced."""
    row = services.cancel(stored(Status.QUEUED))
    assert row.is_final
    assert row.finished_at == row.due_at
    assert row.announced_at is None


@pytest.mark.django_db
def test_stopping_asks_the_worker():
    """No verb calls the API: the row says what is wanted, and steals a poll's claim."""
    row = services.stop(stored(Status.RUNNING, claim="a worker's"))
    assert row.stop_requested_at <= timezone.now() >= row.due_at
    assert row.claim == ""


@pytest.mark.django_db
def test_a_refresh_starts_the_polls_anew():
    """The next answers are asked for quickly again, and earlier misses are forgotten."""
    row = services.refresh(stored(Status.RUNNING, polls=9, misses=2, claim="a worker's"))
    assert (row.polls, row.misses, row.claim) == (0, 0, "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "columns"),
    [
        (Status.QUEUED, {"claim": "a worker's"}),
        (Status.QUEUED, {"run_at": timezone.now() + timedelta(days=1)}),
        (Status.COMPLETED, {"announced_at": None}),
        (Status.UNKNOWN, {"remote_id": None}),
    ],
    ids=["being sent", "scheduled", "not announced", "without remote id"],
)
def test_what_is_in_hand_or_has_its_time_is_not_refreshed(status, columns):
    """A delivery is not doubled, a schedule not overtaken, an end's announcement not skipped."""
    row = stored(status, **columns)
    with pytest.raises(InvalidTransition, match=r"refresh: .* nothing to ask the API"):
        services.refresh(row)


@pytest.mark.django_db
def test_a_queued_execution_that_backs_off_is_tried_at_once_by_a_refresh():
    """Whoever has mended the cause need not wait for the back-off's end."""
    run_at = timezone.now() - timedelta(hours=1)
    row = stored(Status.QUEUED, run_at=run_at, due_at=timezone.now() + LEASE, last_error="503")
    assert services.refresh(row).due_at <= timezone.now()


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_an_unconfirmed_execution_is_resolved_by_its_remote_id(alias, heard):
    """It did happen: the row runs from now on, and is asked after at once."""
    row = stored(Status.UNCONFIRMED, alias, last_error="lost", claim="x")
    services.resolve(row, remote_id=" 0190-abc ", by="Ann")
    now = Execution.objects.using(alias).get()
    assert (now.status, now.remote_id, now.last_error) == (Status.RUNNING, "0190-abc", "")
    assert now.dispatched_at == now.due_at
    assert now.sent_at == row.sent_at is not None
    assert heard == [("execution_status_changed", row.pk, "unconfirmed", "running")]


@pytest.mark.django_db
def test_an_unconfirmed_execution_is_resolved_by_sending_it_again():
    """It did not happen: it is sent under the same key, and its time to give up counts anew."""
    long_ago = timezone.now() - timedelta(days=9)
    row = stored(Status.UNCONFIRMED, created_at=long_ago, idempotency_key="k", last_error="lost")
    services.resolve(row, resend=True)
    assert (row.status, row.sent_at, row.key_sent, row.last_error) == ("queued", None, "k", "")
    assert row.run_at == row.due_at > long_ago


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give either remote_id=… .* or resend=True"),
        ({"remote_id": "a", "resend": True}, "Give either remote_id=… .* or resend=True"),
        ({"remote_id": ""}, "'' cannot be the id of an execution"),
        ({"remote_id": "  "}, "'  ' cannot be the id of an execution"),
        ({"remote_id": ".."}, r"'\.\.' cannot be the id of an execution"),
        ({"remote_id": "a\nb"}, r"'a\\nb' cannot be the id of an execution"),
        ({"remote_id": "x" * 65}, "'x{65}' cannot be the id of an execution"),
        ({"remote_id": 5}, "5 cannot be the id of an execution"),
        ({"remote_id": (1, 2)}, r"\(1, 2\) cannot be the id of an execution"),
    ],
    ids=repr,
)
def test_a_resolution_that_makes_no_sense_is_refused(arguments, message):
    """A person must say one thing, and an id that may be one."""
    row = stored(Status.UNCONFIRMED)
    with pytest.raises(InvalidTransition, match=message):
        services.resolve(row, **arguments)
    row.refresh_from_db()
    assert row.status == Status.UNCONFIRMED


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_two_rows_are_never_one_remote_execution(alias, heard):
    """A remote id that another row has is refused, and the caller's transaction goes on."""
    other = stored(Status.RUNNING, alias)
    row = stored(Status.UNCONFIRMED, alias)
    with transaction.atomic(using=alias):
        with pytest.raises(InvalidTransition, match=f"{other.remote_id} is already the remote id"):
            services.resolve(row, remote_id=other.remote_id)
        assert Execution.objects.using(alias).filter(status=Status.UNCONFIRMED).count() == 1
    foreign = stored(Status.RUNNING, alias, account="eu")
    services.resolve(row, remote_id=foreign.remote_id)
    assert row.status == Status.RUNNING


# Verbs and workers at once


def claim(alias):
    """Claim all that is due, as a worker does."""
    return outbox.claim(alias, token="worker", now=timezone.now(), lease=LEASE, limit=9)


@pytest.mark.parametrize("alias", SERVERS)
def test_a_claim_that_comes_first_wins_over_cancel(alias):
    """The cancellation waits for the claim's commit, and is refused then."""
    row = services.execute("bake", using=alias)
    with held_open(alias, lambda: claim(alias)) as worker:
        canceled = elsewhere(services.cancel, Execution.objects.using(alias).get())
        wait_for_a_lock(alias, canceled)
        assert [each.execution for each in worker.result()] == [row]
    assert isinstance(canceled.exception(PATIENCE), InvalidTransition)
    assert Execution.objects.using(alias).get().status == Status.QUEUED


@pytest.mark.parametrize("alias", SERVERS)
def test_a_cancel_that_comes_first_wins_over_a_claim(alias):
    """While it is not committed the claim passes over the row; then it finds a final one."""
    services.execute("bake", using=alias)
    row = Execution.objects.using(alias).get()
    with held_open(alias, lambda: services.cancel(row)) as canceled:
        assert claim(alias) == []
        canceled.result()
    assert [(each.execution.status, each.first_send) for each in claim(alias)] == [
        ("canceled", False)
    ]


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_of_cancel_and_claim_one_wins(alias):
    """However close they come, a canceled row is never handed out to be sent."""
    for _ in range(5):
        row = services.execute("bake", using=alias)
        canceled = elsewhere(services.cancel, Execution.objects.using(alias).get(pk=row.pk))
        claimed = [each for each in claim(alias) if each.execution.status == Status.QUEUED]
        lost = isinstance(canceled.exception(3 * PATIENCE), InvalidTransition)
        assert bool(claimed) == lost
        Execution.objects.using(alias).all().delete()


@pytest.mark.parametrize("alias", SERVERS)
def test_of_two_resolutions_one_wins(alias, heard):
    """The second person is told what the first one has decided."""
    row = stored(Status.UNCONFIRMED, alias)
    mine, theirs = (Execution.objects.using(alias).get() for _ in range(2))
    with held_open(alias, lambda: services.resolve(mine, remote_id="a")) as first:
        second = elsewhere(services.resolve, theirs, resend=True)
        wait_for_a_lock(alias, second)
        first.result()
        assert "is running; only an unconfirmed" in str(second.exception(PATIENCE))
    assert heard == [("execution_status_changed", row.pk, "unconfirmed", "running")]
    assert row.events.count() == 1


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_refresh_outruns_a_late_answer(alias):
    """A worker whose claim was taken from it writes nothing of what it has learnt."""
    row = stored(Status.RUNNING, alias, due_at=timezone.now())
    assert claim(alias)
    services.refresh(row)
    assert not outbox.settle(alias, token="worker", values={row.pk: {"status": Status.FAILED}})
    row.refresh_from_db()
    assert row.status == Status.RUNNING


# The signal is sent by the winner


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_transition_is_announced_after_the_commit(alias, heard):
    """Nobody hears of a change that may yet be undone."""
    row = services.execute("bake", using=alias)
    del heard[:]
    with transaction.atomic(using=alias):
        services.cancel(row)
        assert heard == []
    assert heard == [("execution_status_changed", row.pk, "queued", "canceled")]


# The async twins


@pytest.mark.django_db(transaction=True)
def test_every_verb_has_an_async_twin():
    """An async view awaits the same verbs, and gets the same answers and errors."""

    async def view():
        row = await services.aexecute("bake", {"n": 1})
        many = await services.aexecute_many([{"workflow": "bake"}])
        again = await services.arun_again(row, by="Ann")
        await services.arefresh(row)
        await services.astop(many[0])
        await services.acancel(again)
        with pytest.raises(InvalidTransition):
            await services.acancel(again)
        await Execution.objects.filter(pk=row.pk).aupdate(status=Status.UNCONFIRMED)
        return await services.aresolve(row, remote_id="a")

    assert async_to_sync(view)().status == Status.RUNNING
    assert sorted(Execution.objects.values_list("status", flat=True)) == [
        "canceled",
        "canceled",
        "running",
    ]


def test_the_async_twins_are_complete():
    """Each verb that is public has one, and each is made to be awaited."""
    verbs = {name for name in services.__all__ if not name.startswith("a")}
    assert {f"a{name}" for name in verbs} | verbs == set(services.__all__)
    assert all(
        inspect.iscoroutinefunction(getattr(services, f"a{name}").__call__) for name in verbs
    )


def test_an_unset_argument_says_so():
    """The default of ``run_again``'s data can be told from None in a signature."""
    assert "= UNSET" in str(inspect.signature(services.run_again))


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_the_adjectives_part_executions_by_what_they_wait_for(alias):
    """Some wait for a person, and are in none of the parts."""
    for status in Status:
        Execution.objects.using(alias).create(workflow="bake", status=status)
    Execution.objects.using(alias).create(workflow="bake", status=Status.UNKNOWN, due_at=None)
    rows = Execution.objects.using(alias)

    parts = {
        name: sorted(getattr(rows, name)().values_list("status", flat=True))
        for name in ("queued", "active", "finished")
    }
    assert parts == {
        "queued": [Status.QUEUED],
        "active": sorted([Status.RUNNING, Status.UPCOMING, Status.UNKNOWN]),
        "finished": sorted(FINAL),
    }
    # The others: nobody knows whether they happened, or whether they have ended.
    assert rows.count() == sum(map(len, parts.values())) + 2
