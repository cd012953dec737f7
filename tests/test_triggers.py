"""Triggers: a signal, a function of the project's, and what it returns becomes an execution."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext, isolate_apps
from rest_framework import serializers

from embedworkflow_django import services, signals, triggers
from embedworkflow_django.conf import ConfigurationError
from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.models import Execution
from embedworkflow_django.triggers import suppressed, trigger
from tests.bakery.models import (
    Batch,
    Cake,
    CheapCake,
    Ingredient,
    Recipe,
    Tagged,
    WeddingCake,
)

from .databases import EVERY_DATABASE
from .declared import declaring
from .elsewhere import PATIENCE, elsewhere, held_open, wait_for_a_lock
from .routers import OTHER, two_databases

every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)
SERVERS = EVERY_DATABASE[1:]
Ordered = Signal()


@pytest.fixture(autouse=True)
def _declared():
    """Forget what a test has declared."""
    with declaring():
        yield


@pytest.fixture
def failures():
    """Return a list of what the signal ``trigger_failed`` says."""
    said = []

    def receive(**arguments):
        said.append(arguments)

    signals.trigger_failed.connect(receive)
    yield said
    signals.trigger_failed.disconnect(receive)


def on_saved_cakes(function, **options):
    """Have a function called with each cake that is saved, and return its trigger."""
    options = {"sender": Cake, "workflow": "bake", **options}
    trigger(post_save, **options)(function)
    return triggers.registry[f"{function.__module__}.{function.__qualname__}"]


def name_of(cake, **kwargs):
    """Return what most of these tests want to be sent."""
    return {"name": cake.name}


def executions(alias="default"):
    """Return the executions' data, the oldest first."""
    rows = Execution.objects.using(alias).order_by("pk")
    return list(rows.values_list("execution_data", flat=True))


def begun(captured):
    """Return what each statement begins with."""
    return [query["sql"].split()[0] for query in captured]


# What is heard


@every_database
def test_a_saved_object_becomes_an_execution(alias):
    """Function, source, workflow and trigger are kept with what the function returned."""
    made = on_saved_cakes(name_of, id_type="hashid", user_key="jane")
    cake = Cake.objects.using(alias).create(name="Sacher")
    execution = Execution.objects.using(alias).get()
    assert execution.execution_data == {"name": "Sacher"}
    assert execution.source == cake
    assert execution.trigger == made.name == "tests.test_triggers.name_of"
    assert (execution.workflow, execution.id_type, execution.user_key) == ("bake", "hashid", "jane")
    assert execution.idempotency_key is None


@every_database
def test_a_trigger_is_one_insert(alias):
    """A function that makes no query costs no savepoint either."""
    on_saved_cakes(name_of)
    with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as captured:
        Cake.objects.using(alias).create()
    assert begun(captured) == ["INSERT", "INSERT"]


@every_database
def test_a_trigger_that_fires_once_is_an_insert_and_a_select(alias):
    """``once`` costs what an idempotency key does."""
    on_saved_cakes(name_of, once=True)
    with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as captured:
        Cake.objects.using(alias).create()
    assert begun(captured) == ["INSERT", "INSERT", "SELECT"]


@every_database
def test_a_function_that_makes_queries_costs_one_savepoint(alias):
    """However many they are; and nothing else is added."""

    def counted(cake, **kwargs):
        rows = Cake.objects.using(alias)
        return {"cakes": rows.count(), "last": rows.last().pk}

    on_saved_cakes(counted)
    with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as captured:
        Cake.objects.using(alias).create()
    assert begun(captured) == ["INSERT", "SAVEPOINT", "SELECT", "SELECT", "RELEASE", "INSERT"]


@every_database
def test_a_failing_function_leaves_no_savepoint(alias):
    """What was begun for it is released once it is undone."""

    def fail(cake, **kwargs):
        raise ValueError(Cake.objects.using(alias).count())

    on_saved_cakes(fail)
    with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as captured:
        Cake.objects.using(alias).create()
    assert begun(captured) == ["INSERT", "SAVEPOINT", "SELECT", "ROLLBACK", "RELEASE"]


@pytest.mark.django_db
def test_the_function_gets_the_signals_arguments():
    """The instance comes first, then whatever the signal brings."""
    got = []

    def watch(cake, **kwargs):
        got.append((cake, kwargs))

    on_saved_cakes(watch)
    cake = Cake.objects.create()
    cake.save(update_fields=["name"])
    assert [instance for instance, _ in got] == [cake, cake]
    first, second = (arguments for _, arguments in got)
    assert first["sender"] is Cake
    assert first["signal"] is post_save
    assert (first["created"], first["raw"], first["using"]) == (True, False, "default")
    assert (second["created"], second["update_fields"]) == (False, frozenset({"name"}))


@pytest.mark.django_db
def test_none_lets_the_moment_pass(django_assert_num_queries):
    """A function that has nothing to send stores nothing."""
    on_saved_cakes(lambda cake, created, **kwargs: {} if created else None)
    cake = Cake.objects.create()
    with django_assert_num_queries(1):
        cake.save()
    assert executions() == [{}]


@every_database
@pytest.mark.parametrize("signal", [pre_delete, post_delete], ids=["pre_delete", "post_delete"])
def test_a_deleted_object_becomes_an_execution(alias, signal):
    """What is deleted is the source, by the key that it had."""
    trigger(signal, sender=Cake, workflow="clean-up")(name_of)
    cake = Cake.objects.using(alias).create(name="Sacher")
    source_id = str(cake.pk)
    cake.delete()
    execution = Execution.objects.using(alias).get()
    assert (execution.source_type, execution.source_id) == ("bakery.cake", source_id)
    assert execution.source is None


@every_database
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_changed_relation_becomes_an_execution(alias, reverse):
    """``m2m_changed`` fires for the side that was changed."""

    def added(instance, action, pk_set, **kwargs):
        return {"ids": sorted(pk_set)} if action == "post_add" else None

    trigger(m2m_changed, sender=Cake.ingredients.through, workflow="shop")(added)
    cake = Cake.objects.using(alias).create()
    flour = Ingredient.objects.using(alias).create(name="flour")
    if reverse:
        flour.cake_set.add(cake)
    else:
        cake.ingredients.add(flour)
    execution = Execution.objects.using(alias).get()
    assert execution.execution_data == {"ids": [cake.pk if reverse else flour.pk]}
    assert execution.source == (flour if reverse else cake)


@pytest.mark.django_db
def test_before_its_first_save_an_object_is_no_source(failures):
    """``pre_save`` can start a workflow for a known object, and says why not for a new one."""
    trigger(pre_save, sender=Cake, workflow="bake")(name_of)
    cake = Cake.objects.create(name="new")
    assert "bakery.Cake, is not saved" in str(failures[0]["exception"])
    cake.name = "known"
    cake.save()
    assert executions() == [{"name": "known"}]
    assert len(failures) == 1


@pytest.mark.django_db
def test_a_signal_of_the_projects_own_may_have_any_instance():
    """A model instance is the source, anything else is only handed to the function."""

    def ordered(order, *, sender, number=0, **kwargs):
        return {"about": str(order), "number": number}

    trigger(Ordered, sender=None, workflow="ship")(ordered)
    cake = Cake.objects.create(name="Sacher")
    Ordered.send(sender="shop", instance=cake, number=1)
    Ordered.send(sender="shop", instance="a text", number=2)
    Ordered.send(sender="shop", number=3)
    Ordered.send(sender=Signal, instance=4)
    assert executions() == [
        {"about": "Sacher", "number": 1},
        {"about": "a text", "number": 2},
        {"about": "shop", "number": 3},
        {"about": "4", "number": 0},
    ]
    assert [row.source for row in Execution.objects.order_by("pk")] == [cake, None, None, None]


@pytest.mark.django_db
@pytest.mark.parametrize("several", [list, tuple])
def test_one_function_hears_several_signals_of_several_senders(several):
    """Lists connect each signal with each sender, under one name."""

    def changed(instance, *, signal, **kwargs):
        return {"deleted": signal is post_delete, "of": type(instance).__name__}

    heard, senders = several((post_save, post_delete)), several((Cake, Recipe))
    trigger(heard, sender=senders, workflow="log")(changed)
    cake = Cake.objects.create()
    recipe = Recipe.objects.create()
    Ingredient.objects.create()
    cake.delete()
    recipe.delete()
    assert executions() == [
        {"deleted": False, "of": "Cake"},
        {"deleted": False, "of": "Recipe"},
        {"deleted": True, "of": "Cake"},
        {"deleted": True, "of": "Recipe"},
    ]
    made = triggers.registry[f"{changed.__module__}.{changed.__qualname__}"]
    assert made.signals == (post_save, post_delete)
    assert made.senders == (Cake, Recipe)


@pytest.mark.django_db
def test_a_sender_may_be_named_by_its_label():
    """Django's model signals take a label, and so does a trigger."""
    trigger(post_save, sender="bakery.Cake", workflow="bake")(name_of)
    Cake.objects.create(name="Sacher")
    assert executions() == [{"name": "Sacher"}]


@two_databases
def test_the_signals_database_is_where_it_is_stored():
    """Source and execution share a transaction, whatever the default database is."""
    on_saved_cakes(name_of)
    cake = Cake.objects.create(name="here")
    cake.save(using=OTHER)
    assert executions() == [{"name": "here"}]
    assert executions(OTHER) == [{"name": "here"}]


@two_databases
def test_the_signals_database_counts_where_there_is_no_source():
    """A signal of the project's own says by ``using`` whose transaction it belongs to."""
    trigger(Ordered, sender="shop", workflow="ship")(lambda order, **kwargs: {"order": order})
    Ordered.send(sender="shop", instance=17, using=OTHER)
    assert executions() == []
    assert executions(OTHER) == [{"order": 17}]


@two_databases
def test_an_object_that_was_read_from_a_replica_is_stored_where_it_is_written(settings):
    """A signal that names no database leaves it to the routers, as ``execute`` does."""
    trigger(Ordered, sender=None, workflow="ship")(name_of)
    settings.DATABASE_ROUTERS = ["tests.routers.CakesReadFromAReplica"]
    Cake.objects.create(pk=1, name="Sacher")
    Cake(pk=1, name="Sacher").save_base(using=OTHER, raw=True)
    Ordered.send(sender="shop", instance=Cake.objects.get())
    assert executions() == [{"name": "Sacher"}]


@two_databases
def test_a_trigger_may_name_another_database(settings, failures):
    """With ``using`` that one is asked for; a source elsewhere needs a router that admits it."""
    on_saved_cakes(name_of, using="default")
    cake = Cake(name="there")
    cake.save(using=OTHER)
    assert f"lives in database '{OTHER}'" in str(failures[0]["exception"])
    settings.DATABASE_ROUTERS = ["tests.routers.ExecutionsReferAnywhere"]
    cake.save(using=OTHER)
    assert executions() == [{"name": "there"}]
    assert executions(OTHER) == []


# The data


class CakeSerializer(serializers.ModelSerializer):
    """What the project's API says of a cake."""

    class Meta:
        model = Cake
        fields = ("id", "name", "price")


@every_database
def test_a_serializer_is_data(alias):
    """What the project's API shows can be what a workflow gets; its own queries are protected."""
    on_saved_cakes(lambda cake, **kwargs: CakeSerializer(cake))
    cake = Cake.objects.using(alias).create(name="Sacher", price="12.50")
    assert executions(alias) == [{"id": cake.pk, "name": "Sacher", "price": "12.50"}]


def test_a_project_without_rest_framework_has_triggers(python):
    """Nothing looks for a serializer where there can be none."""
    assert "[{'number': 7}] False\n" == python("""
import sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "embedworkflow_django"],
    EMBEDWORKFLOW={"SECRET_KEY": "sk_test_1", "DISPATCHER": "worker"},
)
django.setup()

from django.core.management import call_command
from django.dispatch import Signal
from embedworkflow_django.models import Execution
from embedworkflow_django.triggers import trigger

call_command("migrate", verbosity=0)
ordered = Signal()
trigger(ordered, sender=None, workflow="ship")(lambda number, **kwargs: {"number": number})
ordered.send(sender="shop", instance=7)
print(list(Execution.objects.values_list("execution_data", flat=True)), end=" ")
print("rest_framework" in sys.modules)
""")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1], "should be a dict, not list"),
        (CakeSerializer([Cake(name="a")], many=True), "should be a dict, not ReturnList"),
        ({"cake": Cake()}, r"data\['cake'\] cannot be sent"),
        (True, "should be a dict, not bool"),
    ],
    ids=["list", "list serializer", "model", "bool"],
)
def test_what_cannot_be_sent_is_a_failure(returned, message, failures):
    """The save goes on, nothing is queued, and the reason is told."""
    on_saved_cakes(lambda cake, **kwargs: returned)
    Cake.objects.create()
    assert executions() == []
    (failure,) = failures
    with pytest.raises(InvalidExecution, match=message):
        raise failure["exception"]


@pytest.mark.django_db
def test_workflow_and_user_may_follow_from_the_instance(settings):
    """Callables get the instance; a user of None is the setting's."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "USER_KEY": "shop"}
    on_saved_cakes(
        name_of,
        workflow=lambda cake: f"bake-{cake.name}",
        user_key=lambda cake: None if cake.name == "b" else f"user-{cake.pk}",
    )
    cake = Cake.objects.create(name="a")
    Cake.objects.create(name="b")
    rows = Execution.objects.order_by("pk").values_list("workflow", "user_key")
    assert list(rows) == [("bake-a", f"user-{cake.pk}"), ("bake-b", "shop")]


@pytest.mark.django_db
def test_callables_are_not_asked_when_the_moment_passes():
    """Without data there is nothing to name a workflow or a user for."""

    def unasked(cake):
        raise AssertionError("asked")

    on_saved_cakes(lambda cake, **kwargs: None, workflow=unasked, user_key=unasked)
    Cake.objects.create()
    assert executions() == []


@pytest.mark.django_db
def test_an_account_of_ones_own(settings):
    """A trigger may speak for another account."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "ACCOUNTS": {"eu": {"USER_KEY": "eu"}}}
    on_saved_cakes(name_of, account="eu")
    Cake.objects.create()
    row = Execution.objects.get()
    assert (row.account, row.user_key) == ("eu", "eu")


# The source


@every_database
@pytest.mark.parametrize(
    ("model", "label"),
    [
        (Cake, "bakery.cake"),
        (CheapCake, "bakery.cake"),
        (WeddingCake, "bakery.weddingcake"),
        (Recipe, "bakery.recipe"),
        (Tagged, "bakery.tagged"),
    ],
)
def test_the_instance_is_the_source(alias, model, label):
    """A proxy counts as what it stands for, a child by inheritance as itself."""
    trigger(post_save, sender=model, workflow="bake", once=True)(lambda instance, **kwargs: {})
    instance = model(**({"tag": "aB3"} if model is Tagged else {}))
    instance.save(using=alias)
    instance.save()
    execution = Execution.objects.using(alias).get()
    assert execution.source_type == label
    assert execution.source.pk == instance.pk
    assert Execution.objects.using(alias).for_source(instance).get() == execution
    assert execution.idempotency_key.endswith(f":{label}:{instance.pk}")


@pytest.mark.django_db
def test_a_composite_key_is_once_its_own():
    """Two rows whose keys share a part are two sources."""
    trigger(post_save, sender=Batch, workflow="bake", once=True)(lambda batch, **kwargs: {})
    for number in (1, 2, 1):
        Batch.objects.update_or_create(oven=1, number=number, defaults={})
    assert [str(row.source) for row in Execution.objects.order_by("pk")] == ["1/1", "1/2"]


# once


@pytest.mark.django_db
def test_once_is_once_however_the_key_was_written():
    """Before its first reading an object may have its key as text."""
    trigger(post_save, sender=Recipe, workflow="bake", once=True)(lambda recipe, **kwargs: {})
    Recipe.objects.create(id="0190F1C2000070008000000000000001")
    Recipe.objects.get().save()
    assert Execution.objects.count() == 1


@every_database
def test_once_is_once_for_a_source_and_a_trigger(alias):
    """However often it is saved, one trigger starts one execution of one source, ever."""
    on_saved_cakes(name_of, once=True)
    on_saved_cakes(lambda cake, **kwargs: {"other": True}, once=True)
    first = Cake.objects.using(alias).create(name="a")
    first.save()
    Cake.objects.using(alias).create(name="b")
    Execution.objects.using(alias).filter(status="queued").update(status="failed", due_at=None)
    first.save()
    data = sorted(executions(alias), key=str)
    assert data == [{"name": "a"}, {"name": "b"}, {"other": True}, {"other": True}]


@pytest.mark.parametrize("alias", SERVERS)
@pytest.mark.parametrize("error", [None, RuntimeError("rolled back")], ids=["commit", "rollback"])
def test_once_holds_under_two_transactions_at_once(alias, error):
    """The second waits for the first; it fires itself only if the first was rolled back."""
    cake = Cake.objects.using(alias).create(name="saved before")
    trigger(Ordered, sender=None, workflow="ship", once=True)(lambda cake, n, **kwargs: {"n": n})

    def order(number):
        with transaction.atomic(using=alias):
            Ordered.send(sender="shop", instance=cake, n=number)

    with held_open(alias, lambda: order(1), error=error) as first:
        second = elsewhere(order, 2)
        wait_for_a_lock(alias, second)
        first.end()
        second.result(PATIENCE)
    assert executions(alias) == [{"n": 2 if error else 1}]


@pytest.mark.django_db
def test_once_needs_a_source(failures):
    """Without a model instance there is nothing of which it could be the only time."""
    trigger(Ordered, sender=None, workflow="ship", once=True)(lambda order, **kwargs: {})
    Ordered.send(sender="shop")
    assert "has once=True, which needs a model instance" in str(failures[0]["exception"])


# What does not fire


@pytest.mark.django_db
def test_fixtures_never_fire(tmp_path):
    """What ``loaddata`` brings was somebody's moment long ago."""
    on_saved_cakes(name_of)
    with suppressed():
        Cake.objects.create(name="Sacher")
    fixture = tmp_path / "cakes.json"
    call_command("dumpdata", "bakery.cake", output=str(fixture))
    Cake.objects.all().delete()
    call_command("loaddata", str(fixture), verbosity=0)
    assert Cake.objects.get().name == "Sacher"
    assert executions() == []


@pytest.mark.django_db
def test_raw_means_a_fixture_where_it_is_a_flag():
    """A signal of the project's own may call something else so."""
    trigger(Ordered, sender=None, workflow="ship")(lambda order, raw, **kwargs: {"raw": raw})
    Ordered.send(sender="shop", raw='{"order": 1}')
    assert executions() == [{"raw": '{"order": 1}'}]


@every_database
def test_migrations_fire_nothing_for_everybody(alias):
    """Neither what Django notes of them, before there is a table perhaps, nor their models."""
    on_saved_cakes(lambda instance, **kwargs: {"of": instance._meta.label}, sender=None)
    connection = connections[alias]
    historical = MigrationLoader(connection).project_state().apps.get_model("auth", "Group")
    historical.objects.using(alias).create(name="bakers")
    recorder = MigrationRecorder(connection)
    recorder.record_applied("bakery", "0001_initial")
    recorder.record_unapplied("bakery", "0001_initial")
    Group.objects.using(alias).create(name="eaters")
    assert executions(alias) == [{"of": "auth.Group"}]


@pytest.mark.django_db
@isolate_apps("tests.bakery")
def test_a_model_of_another_registry_fires_when_it_is_named():
    """As those that a test of a project makes."""

    class Oven(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "bakery"

    trigger(post_delete, sender=Oven, workflow="bake")(lambda oven, **kwargs: {"oven": oven.pk})
    post_delete.send(Oven, instance=Oven.from_db("default", ["id"], [1]))
    assert executions() == [{"oven": 1}]


@pytest.mark.django_db
def test_suppressed_blocks_may_be_nested():
    """The outermost block decides when triggers fire again, an exception included."""
    on_saved_cakes(name_of)

    def broken_import():
        with suppressed():
            Cake.objects.create(name="b")
            raise ValueError("a faulty line")

    with suppressed():
        with pytest.raises(ValueError, match="a faulty line"):
            broken_import()
        Cake.objects.create(name="c")
    Cake.objects.create(name="d")
    assert executions() == [{"name": "d"}]


@pytest.mark.django_db
def test_suppressed_decorates_a_function():
    """An import that is a function need not be indented."""
    on_saved_cakes(name_of)

    @suppressed()
    def import_all(name, *, price):
        return Cake.objects.create(name=name, price=price)

    for price in (1, 2):
        cake = import_all("a", price=price)
        assert ("a", price) == (cake.name, cake.price)
    Cake.objects.create(name="b")
    assert executions() == [{"name": "b"}]


@pytest.mark.django_db(transaction=True)
def test_suppressed_decorates_a_coroutine_function():
    """It mutes what is awaited, and not only the making of the coroutine."""
    on_saved_cakes(name_of)

    @suppressed()
    async def import_all(name, *, price):
        cake = await Cake.objects.acreate(name=name, price=price)
        return cake.name, cake.price

    async def import_and_go_on():
        assert ("a", 1) == await import_all("a", price=1)
        await Cake.objects.acreate(name="b")

    async_to_sync(import_and_go_on)()
    assert executions() == [{"name": "b"}]
    assert "import_all" == import_all.__name__


@pytest.mark.django_db(transaction=True)
def test_suppressed_decorates_what_is_awaited_as_a_coroutine_function_is():
    """``sync_to_async`` makes such a thing, and Python 3.11 has no word for it."""
    on_saved_cakes(name_of)
    import_all = suppressed()(sync_to_async(Cake.objects.create))

    async_to_sync(import_all)(name="a")
    assert executions() == []


def generator():
    """Run when it is asked for its next value."""
    yield


async def asynchronous_generator():
    """Run when it is asked for its next value, and that is awaited."""
    yield


@pytest.mark.parametrize(
    "what",
    [generator, asynchronous_generator, Cake, "name_of"],
    ids=["generator", "asynchronous generator", "class", "text"],
)
def test_suppressed_decorates_nothing_else(what):
    """It would be over before a generator's body runs, and a class of tests would be none."""
    with pytest.raises(TypeError, match=r'suppressed\(\) decorates a function .* "with suppressed'):
        suppressed()(what)


@every_database
def test_suppressed_mutes_this_thread_only(alias):
    """An import mutes nothing of what others do meanwhile."""
    on_saved_cakes(name_of)
    with suppressed():
        elsewhere(Cake.objects.using(alias).create, name="theirs").result(PATIENCE)
        Cake.objects.using(alias).create(name="mine")
    assert executions(alias) == [{"name": "theirs"}]


@pytest.mark.django_db(transaction=True)
def test_suppressed_mutes_this_task_only():
    """A block around an await mutes what is awaited, in threads too, and no other task."""
    on_saved_cakes(name_of)

    async def mine(muted, done):
        with suppressed():
            muted.set()
            await done.wait()
            await Cake.objects.acreate(name="mine")
            await sync_to_async(Cake.objects.create)(name="mine, in a thread")

    async def theirs(muted, done):
        await muted.wait()
        await Cake.objects.acreate(name="theirs")
        done.set()

    async def both():
        muted, done = asyncio.Event(), asyncio.Event()
        await asyncio.gather(mine(muted, done), theirs(muted, done))
        await Cake.objects.acreate(name="later")

    async_to_sync(both)()
    assert executions() == [{"name": "theirs"}, {"name": "later"}]


# What fails


def failing(cake, **kwargs):
    """Fail as a project's function may."""
    raise KeyError("email")


@every_database
def test_a_failing_trigger_breaks_no_save(alias, failures, caplog):
    """With ``TRIGGER_ERRORS = "log"`` the object is saved, and the log has the traceback."""
    on_saved_cakes(failing)
    with caplog.at_level(logging.ERROR, "embedworkflow_django"), transaction.atomic(using=alias):
        cake = Cake.objects.using(alias).create(name="secret@example.com")
    assert Cake.objects.using(alias).get() == cake
    assert executions(alias) == []
    (record,) = caplog.records
    assert record.getMessage() == (
        f"Trigger tests.test_triggers.failing failed for Cake {cake.pk}; nothing was queued."
    )
    assert record.exc_info[0] is KeyError
    assert "in failing" in caplog.text
    assert "secret@example.com" not in caplog.text


@pytest.mark.django_db
def test_an_objects_key_forges_no_line_of_the_log(failures, caplog):
    """A key may be a text that somebody else has chosen."""
    trigger(Ordered, sender=None, workflow="ship")(failing)
    Ordered.send(sender="shop", instance=Recipe(pk="17\n\x1b[2JForged\u2028\u202e"))
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.isprintable()
    assert line.endswith("for Recipe 17\\n\\x1b[2JForged\\u2028\\u202e; nothing was queued.")


@pytest.mark.parametrize(
    ("sender", "said"), [(Cake, "Cake"), ("a\nlie", "str"), (None, "NoneType")], ids=repr
)
def test_what_is_no_object_is_told_by_its_kind(sender, said, caplog):
    """A signal without an instance: the class that sent it has a name, and nothing has a key."""

    def fail(cake, **kwargs):
        raise ValueError("boom")

    trigger(Ordered, sender=None, workflow="ship")(fail)
    Ordered.send(sender)
    assert f"fail failed for {said}; nothing was queued." in caplog.text


@pytest.mark.django_db
def test_a_failing_trigger_is_announced(failures):
    """``trigger_failed`` names trigger, instance and exception, and its sender is the function."""
    on_saved_cakes(failing)
    cake = Cake.objects.create()
    (failure,) = failures
    assert failure["sender"] is failing
    assert failure["trigger"] == "tests.test_triggers.failing"
    assert failure["instance"] is cake
    assert isinstance(failure["exception"], KeyError)
    assert failure["exception"].__traceback__ is not None


@pytest.mark.django_db
def test_other_triggers_fire_after_a_failing_one():
    """One function's fault is not another one's."""
    on_saved_cakes(failing)
    on_saved_cakes(name_of)
    Cake.objects.create(name="Sacher")
    assert executions() == [{"name": "Sacher"}]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "debug", "raised"),
    [
        (None, False, False),
        (None, True, True),
        ("log", True, False),
        ("raise", False, True),
        # What makes no sense breaks no save; a check names it.
        ("rise", False, False),
        ("rise", True, True),
    ],
)
def test_trigger_errors_reach_the_caller_on_demand(settings, value, debug, raised, failures):
    """``TRIGGER_ERRORS`` decides, and without it ``DEBUG``; the signal is sent in any case."""
    settings.DEBUG = debug
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_1", "TRIGGER_ERRORS": value}
    on_saved_cakes(failing)
    if raised:
        with pytest.raises(KeyError, match="email"):
            Cake.objects.create()
    else:
        Cake.objects.create()
    assert len(failures) == 1
    assert Cake.objects.count() == 1


@pytest.mark.django_db
def test_an_error_that_reaches_the_caller_names_the_trigger(settings):
    """The traceback of what was refused has no line of the function, so a note tells of it."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "TRIGGER_ERRORS": "raise"}
    made = on_saved_cakes(lambda cake, **kwargs: ["no dict"])
    with pytest.raises(InvalidExecution, match="should be a dict, not list") as caught:
        Cake.objects.create()
    assert caught.value.__notes__ == [f"The trigger {made.name} ({made.defined_at}) failed."]


@pytest.mark.django_db
def test_without_settings_a_trigger_fails_and_the_save_goes_on(settings, failures):
    """A project that has just installed the app can save its models, and learns what is missing."""
    del settings.EMBEDWORKFLOW
    on_saved_cakes(name_of)
    Cake.objects.create()
    assert isinstance(failures[0]["exception"], ConfigurationError)
    assert 'EMBEDWORKFLOW["SECRET_KEY"] is not set' in str(failures[0]["exception"])


@pytest.mark.django_db
def test_the_end_of_the_process_is_no_failure(failures):
    """``SystemExit`` and its kin go through, after what was done is undone."""

    def interrupted(cake, **kwargs):
        Ingredient.objects.create()
        raise KeyboardInterrupt

    on_saved_cakes(interrupted)
    with transaction.atomic():
        with pytest.raises(KeyboardInterrupt):
            Cake.objects.create()
        assert not Ingredient.objects.exists()
    assert failures == []


# What a failing function has done to the transaction


def duplicate(alias):
    """Break a unique constraint."""
    Recipe.objects.using(alias).bulk_create([Recipe(id=SAME), Recipe(id=SAME)])


def bad_query(alias):
    """Ask for what is not there."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


def duplicate_by_save(alias):
    """Break a unique constraint with ``save()``, which marks the transaction as broken."""
    Recipe.objects.using(alias).create(id=SAME)
    Recipe(id=SAME).save(using=alias, force_insert=True)


def in_atomic(alias):
    """Fail inside an atomic block of the function's own."""
    with transaction.atomic(using=alias):
        bad_query(alias)


def in_atomic_without_savepoint(alias):
    """Fail inside an atomic block that breaks the one around it."""
    with transaction.atomic(using=alias, savepoint=False):
        duplicate(alias)


def deleting(alias):
    """Delete, which opens an atomic block without a savepoint, and fail in the middle of it."""

    def refuse(**kwargs):
        bad_query(alias)

    post_delete.connect(refuse, sender=Ingredient)
    try:
        Ingredient.objects.using(alias).create().delete()
    finally:
        post_delete.disconnect(refuse, sender=Ingredient)


def after_good_work(alias):
    """Do much that goes well, and fail at the end."""
    with transaction.atomic(using=alias):
        Ingredient.objects.using(alias).create(name="flour")
    Ingredient.objects.using(alias).bulk_create([Ingredient(name="sugar")])
    Ingredient.objects.using(alias).filter(name="sugar").update(name="salt")
    services.execute("another", using=alias)
    raise ValueError("and then it failed")


SAME = "018f0000-0000-7000-8000-000000000000"
MISDEEDS = [
    duplicate,
    bad_query,
    duplicate_by_save,
    in_atomic,
    in_atomic_without_savepoint,
    deleting,
    after_good_work,
]


@every_database
@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_a_failing_function_leaves_the_callers_transaction_usable(alias, misdeed, failures):
    """What it has done is undone, its commit hooks included, and all around it goes on."""
    hooks = []

    def fail(cake, **kwargs):
        transaction.on_commit(lambda: hooks.append("the function's"), using=alias)
        misdeed(alias)

    on_saved_cakes(fail)
    with transaction.atomic(using=alias):
        transaction.on_commit(lambda: hooks.append("before"), using=alias)
        cake = Cake.objects.using(alias).create(name="Sacher")
        transaction.on_commit(lambda: hooks.append("after"), using=alias)
        cake.name = "Linzer"
        cake.save()
        assert Cake.objects.using(alias).get().name == "Linzer"
        assert not Ingredient.objects.using(alias).exists()
        assert not Recipe.objects.using(alias).exists()
    assert Cake.objects.using(alias).get().name == "Linzer"
    assert hooks == ["before", "after"]
    assert executions(alias) == []
    assert len(failures) == 2


@every_database
@pytest.mark.parametrize("misdeed", [bad_query, duplicate, in_atomic_without_savepoint])
def test_an_error_that_the_function_swallows_breaks_nothing(alias, misdeed, failures):
    """A caught database error must not reach the caller by way of the broken transaction.

    Where the database or Django holds the transaction for broken, the trigger has failed.
    """

    def swallow(cake, **kwargs):
        try:
            misdeed(alias)
        except DatabaseError:
            return {"swallowed": True}

    on_saved_cakes(swallow)
    with transaction.atomic(using=alias):
        Cake.objects.using(alias).create()
        assert Cake.objects.using(alias).count() == 1
    assert Cake.objects.using(alias).count() == 1
    fired = executions(alias) == [{"swallowed": True}]
    assert fired != bool(failures)
    if misdeed is in_atomic_without_savepoint:
        assert "caught a database error outside of an atomic() block" in str(
            failures[0]["exception"]
        )


@every_database
def test_an_error_that_is_caught_around_an_atomic_block_is_no_failure(alias, failures):
    """A function that does it as Django's documentation says goes on and fires."""

    def careful(cake, **kwargs):
        try:
            with transaction.atomic(using=alias):
                duplicate(alias)
        except IntegrityError:
            return {"careful": True}

    on_saved_cakes(careful)
    with transaction.atomic(using=alias):
        Cake.objects.using(alias).create()
    assert executions(alias) == [{"careful": True}]
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_a_rollback_that_was_wanted_before_stays_wanted():
    """A trigger decides nothing about the transaction around it."""

    def fail(cake, **kwargs):
        raise ValueError

    def pass_by(cake, **kwargs):
        return None

    with transaction.atomic():
        transaction.set_rollback(True)
        for function in (fail, pass_by):
            trigger(Ordered, sender=None, workflow="x")(function)
        Ordered.send(sender=Cake)
        assert transaction.get_rollback()


@two_databases
def test_every_database_of_the_caller_is_left_usable(failures):
    """The function may fail on another database than its signal's, in a transaction there."""

    def fail(order, **kwargs):
        Ingredient.objects.create(name="undone")
        bad_query(OTHER)

    trigger(Ordered, sender=None, workflow="ship")(fail)
    with transaction.atomic(), transaction.atomic(using=OTHER):
        Ordered.send(sender="shop")
        Cake.objects.using(OTHER).create()
        assert not Ingredient.objects.exists()
    assert Cake.objects.using(OTHER).exists()
    assert len(failures) == 1


@every_database
def test_outside_of_a_transaction_a_failing_function_keeps_what_it_did(alias, failures):
    """In autocommit mode there is nothing to undo, as ever in Django."""

    def fail(cake, **kwargs):
        Ingredient.objects.using(alias).create(name="kept")
        bad_query(alias)

    on_saved_cakes(fail)
    Cake.objects.using(alias).create()
    assert Ingredient.objects.using(alias).exists()
    assert len(failures) == 1


@every_database
def test_a_function_that_succeeds_keeps_what_it_did(alias):
    """Its queries and hooks are the caller's own, and committed with them."""
    hooks = []

    def work(cake, **kwargs):
        with transaction.atomic(using=alias):
            Ingredient.objects.using(alias).create(name="flour")
        Ingredient.objects.using(alias).create(name="sugar").delete()
        transaction.on_commit(lambda: hooks.append("done"), using=alias)
        return {"ingredients": Ingredient.objects.using(alias).count()}

    on_saved_cakes(work)
    with transaction.atomic(using=alias):
        Cake.objects.using(alias).create()
    assert executions(alias) == [{"ingredients": 1}]
    assert Ingredient.objects.using(alias).get().name == "flour"
    assert hooks == ["done"]


@every_database
def test_triggers_may_set_off_triggers(alias, failures):
    """An inner failure is undone by itself, and the outer function goes on."""

    def inner(ingredient, **kwargs):
        bad_query(alias)

    def outer(cake, **kwargs):
        return {"ingredient": Ingredient.objects.using(alias).create(name="flour").name}

    trigger(post_save, sender=Ingredient, workflow="buy")(inner)
    on_saved_cakes(outer)
    with transaction.atomic(using=alias):
        Cake.objects.using(alias).create()
    assert Ingredient.objects.using(alias).exists()
    assert executions(alias) == [{"ingredient": "flour"}]
    assert [failure["trigger"].split(".")[-1] for failure in failures] == ["inner"]


@pytest.mark.django_db
def test_a_trigger_may_set_itself_off_a_few_times():
    """As along a chain of objects, each of which is saved for the one before; and so each time."""

    def of_the_next(cake, **kwargs):
        if cake.price < triggers.DEEPEST - 1:
            Cake.objects.create(name="next", price=cake.price + 1)
        return {"price": cake.price}

    on_saved_cakes(of_the_next)
    for _ in range(2):
        Cake.objects.create(name="first", price=0)
    assert len(executions()) == 2 * triggers.DEEPEST


@every_database
@pytest.mark.parametrize("error", ["log", "raise"])
def test_a_trigger_that_sets_itself_off_for_ever_reaches_the_caller(alias, error, settings):
    """Were the innermost error only logged, each of the calls around would queue an execution."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "TRIGGER_ERRORS": error}

    def endless(cake, **kwargs):
        cake.save()
        return {}

    on_saved_cakes(endless)
    with transaction.atomic(using=alias):
        with pytest.raises(
            RecursionError, match=r"endless has set itself off .* save\(\)"
        ) as caught:
            Cake.objects.using(alias).create(name="a")
        Cake.objects.using(alias).update(name="b")
    assert executions(alias) == []
    (note,) = caught.value.__notes__
    assert "test_triggers.py" in note


@pytest.mark.parametrize("alias", [EVERY_DATABASE[1]])
def test_a_lost_connection_is_the_callers_to_know(alias, failures):
    """Where nothing can be undone any more the error goes through, whatever the settings say."""

    def lose(cake, **kwargs):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        elsewhere(terminate, alias, pid).result(PATIENCE)
        Ingredient.objects.using(alias).count()

    on_saved_cakes(lose)

    def save():
        with transaction.atomic(using=alias):
            Cake.objects.using(alias).create()

    with pytest.raises(DatabaseError):
        save()
    connections[alias].close()
    assert not Cake.objects.using(alias).exists()
    assert len(failures) == 1


@pytest.mark.parametrize("alias", [EVERY_DATABASE[1]])
def test_a_connection_that_was_lost_before_the_first_query_is_told_as_it_was(alias, failures):
    """The error is the one that lost it, and not that there is no savepoint to go back to."""

    def save():
        with transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pid = cursor.fetchone()[0]
            Cake.objects.using(alias).create()
            elsewhere(terminate, alias, pid).result(PATIENCE)
            order_returned.send(Cake, using=alias)

    order_returned = Signal()
    trigger(order_returned, sender=Cake, workflow="bake")(
        lambda cake, **kwargs: Ingredient.objects.using(alias).count()
    )
    with pytest.raises(DatabaseError, match="terminating connection"):
        save()
    connections[alias].close()
    assert len(failures) == 1


def terminate(alias, pid):
    """End another connection of PostgreSQL's."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize("alias", SERVERS)
def test_an_execution_that_cannot_be_stored_is_the_callers_to_know(alias, failures):
    """A failing INSERT has broken the caller's transaction, so it is not hidden in a log."""

    def refuse(execute, sql, params, many, context):
        if "embedworkflow_execution" in sql:
            sql, params = "SELECT nothing FROM nowhere", None
        return execute(sql, params, many, context)

    on_saved_cakes(name_of)

    def save():
        with transaction.atomic(using=alias), connections[alias].execute_wrapper(refuse):
            Cake.objects.using(alias).create()

    with pytest.raises(DatabaseError, match="nowhere"):
        save()
    assert not Cake.objects.using(alias).exists()
    assert len(failures) == 1


# How it is declared


def test_the_decorated_function_stays_itself():
    """It can be called and tested as it is written."""
    assert trigger(post_save, sender=Cake, workflow="bake")(name_of) is name_of


def test_a_declared_trigger_is_registered_under_its_dotted_name():
    """The registry tells the admin and the checks what there is, and where it is written."""
    made = on_saved_cakes(name_of, once=True, account="eu", using="other", user_key="jane")
    assert triggers.registry["tests.test_triggers.name_of"] is made
    assert made.function is name_of
    assert (made.signals, made.senders, made.workflow) == ((post_save,), (Cake,), "bake")
    assert (made.id_type, made.user_key, made.once) == ("key", "jane", True)
    assert (made.account, made.using) == ("eu", "other")
    path, line = made.defined_at.rsplit(":", 1)
    assert path.endswith("test_triggers.py")
    assert int(line) == name_of.__code__.co_firstlineno
    assert hash(made)


def test_a_second_trigger_of_one_name_is_kept_apart():
    """The first keeps the name; a system check reports the other."""
    first = on_saved_cakes(name_of)
    second = on_saved_cakes(name_of, workflow="other")
    assert second is first
    assert [each.workflow for each in triggers.duplicates] == ["other"]


def test_a_second_function_of_one_name_is_kept_apart():
    """It is another one, and not the first one loaded again: it stands elsewhere."""

    def placed(cake, **kwargs):
        return {"n": 1}

    first, before = on_saved_cakes(placed), placed

    def placed(cake, **kwargs):
        return {"n": 2}

    assert on_saved_cakes(placed) is first
    assert first.function is before
    assert [each.function for each in triggers.duplicates] == [placed]


@pytest.mark.django_db
def test_a_trigger_can_be_taken_back():
    """One of an app that is not one's own hears nothing any more, and its name is free again."""
    made = on_saved_cakes(name_of, sender=["bakery.Cake", WeddingCake])
    made.disconnect()
    made.disconnect()
    Cake.objects.create(name="a")
    WeddingCake.objects.create(name="b")
    assert executions() == []
    assert made.name not in triggers.registry
    assert on_saved_cakes(name_of) is not made
    assert triggers.duplicates == []


@pytest.mark.django_db
def test_a_second_trigger_of_one_name_can_be_taken_back():
    """Then the first one is alone."""
    first = on_saved_cakes(name_of)
    on_saved_cakes(name_of, workflow="other")
    triggers.duplicates[0].disconnect()
    Cake.objects.create(name="a")
    assert triggers.registry[first.name] is first
    assert triggers.duplicates == []
    assert ["bake"] == list(Execution.objects.values_list("workflow", flat=True))


@pytest.mark.django_db
def test_a_module_that_is_loaded_again_has_each_trigger_once(tmp_path, monkeypatch):
    """As ``importlib.reload`` in a test, or a notebook, does: the newer one counts."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "loaded_again.py"
    lines = (
        "from django.db.models.signals import post_save",
        "from embedworkflow_django.triggers import trigger",
        '@trigger(post_save, sender="bakery.Cake", workflow="bake")',
        "def saved(cake, **kwargs):",
        "    return {'loaded': 1}",
    )
    module.write_text("\n".join(lines))
    loaded = importlib.import_module("loaded_again")
    module.write_text("\n".join(lines).replace("1", "234"))
    importlib.reload(loaded)
    Cake.objects.create(name="a")
    assert executions() == [{"loaded": 234}]
    assert triggers.duplicates == []


def test_two_functions_of_one_line_are_two():
    """They share name and place, but not what they hear: neither replaces the other."""
    code = "a = lambda cake, **kwargs: {}; b = lambda cake, **kwargs: {}"
    names = {"__name__": "shop"}
    exec(code, names)
    for sender, function in ((Cake, names["a"]), (Recipe, names["b"])):
        trigger(post_save, sender=sender, workflow="bake")(function)
    assert [each.senders for each in triggers.duplicates] == [(Recipe,)]
    assert triggers.registry["shop.<lambda>"].senders == (Cake,)


def test_a_wrapped_function_is_found_where_it_is_written():
    """Another decorator below does not hide the place, nor the name."""

    @functools.wraps(name_of)
    def wrapped(*args, **kwargs):
        return name_of(*args, **kwargs)

    made = on_saved_cakes(wrapped)
    assert made.name == "tests.test_triggers.name_of"
    assert made.defined_at.endswith(f":{name_of.__code__.co_firstlineno}")


@pytest.mark.django_db
def test_what_a_wrapped_function_takes_is_its_wrappers_business():
    """Another decorator may keep the signal's arguments to itself."""

    def cake_alone(function):
        @functools.wraps(function)
        def called(cake, **kwargs):
            return function(cake)

        return called

    @trigger(post_save, sender=Cake, workflow="bake")
    @cake_alone
    def named(cake):
        return {"name": cake.name}

    Cake.objects.create(name="a")
    assert executions() == [{"name": "a"}]


async def coroutine(cake, **kwargs):
    """Be what a trigger cannot be."""


@functools.wraps(coroutine)
def disguised(*args, **kwargs):
    """Return a coroutine without being a coroutine function."""
    return coroutine(*args, **kwargs)


@pytest.mark.parametrize("function", [coroutine, disguised])
def test_a_coroutine_function_is_refused(function):
    """It could not run inside the transaction; the message says what to do."""
    with pytest.raises(TypeError, match=r"is a coroutine function\. .* make it a plain function"):
        trigger(post_save, sender=Cake, workflow="bake")(function)


@pytest.mark.parametrize(
    "function",
    [functools.partial(name_of), len, Cake, "name_of", classmethod(name_of)],
    ids=["partial", "builtin", "class", "text", "class method"],
)
def test_what_has_no_name_of_its_own_is_refused(function):
    """``once`` and the history know a trigger by its function's name."""
    with pytest.raises(TypeError, match=r"trigger\(\) decorates a plain function, not"):
        trigger(post_save, sender=Cake, workflow="bake")(function)


def test_a_function_without_keyword_arguments_is_refused():
    """It would fail at each save; so it is told where it is written, as Django does in DEBUG."""

    def forgetful(cake, created):
        return {}

    with pytest.raises(TypeError, match=r"forgetful does not take .* its own with \*\*kwargs\."):
        trigger(post_save, sender=Cake, workflow="bake")(forgetful)


def as_a_receiver(sender, instance, **kwargs):
    """Take the arguments in the order of Django's receivers."""


def by_name(*, instance, **kwargs):
    """Take the instance by its name only."""


def all_by_name(**kwargs):
    """Take no argument of its own."""


def instance_later(cake, instance, **kwargs):
    """Take the instance twice, as a method would."""


@functools.wraps(name_of)
def wrapped_by_name(*, cake, **kwargs):
    """Take the instance by its name, whatever the wrapped function does."""


@pytest.mark.parametrize(
    "function", [as_a_receiver, by_name, all_by_name, instance_later, wrapped_by_name]
)
def test_a_function_that_could_not_be_called_is_refused(function):
    """A receiver's own arguments, most likely; the message names the way to write them."""
    with pytest.raises(
        TypeError, match=rf"{function.__name__} .* def {function.__name__}\(instance, \*\*kwargs\)"
    ):
        trigger(post_save, sender=Cake, workflow="bake")(function)


@pytest.mark.django_db
def test_the_instance_may_be_called_so():
    """A function that suits several models may name its first argument for what all of them are."""
    on_saved_cakes(lambda instance, sender, *args, **kwargs: {"name": instance.name})
    Cake.objects.create(name="a")
    assert executions() == [{"name": "a"}]


@pytest.mark.django_db
def test_a_static_method_is_a_plain_function():
    """Whichever of the two decorators comes first."""

    class Kitchen:
        @trigger(post_save, sender=Cake, workflow="bake")
        @staticmethod
        def inner(cake, **kwargs):
            return {"inner": cake.name}

        @staticmethod
        @trigger(post_save, sender=Cake, workflow="bake")
        def outer(cake, **kwargs):
            return {"outer": cake.name}

    Cake.objects.create(name="a")
    assert executions() == [{"inner": "a"}, {"outer": "a"}]


@pytest.mark.parametrize("none", [[], ()], ids=repr)
def test_a_list_of_no_sender_is_refused(none):
    """It would hear nobody; whoever means everybody says ``None``."""
    with pytest.raises(TypeError, match=r"trigger\(\) needs a sender, .* None for everybody's"):
        trigger(post_save, sender=none, workflow="bake")


@pytest.mark.parametrize("signal", [None, "post_save", [], (), [post_save, None], Cake], ids=repr)
def test_what_is_no_signal_is_refused(signal):
    """Forgetting the signal is noticed where it is written."""
    with pytest.raises(TypeError, match=r"trigger\(\) needs a signal, or a list of them, not"):
        trigger(signal, sender=Cake, workflow="bake")


def test_nothing_is_declared_by_a_refusal():
    """A trigger that was refused hears nothing."""
    before = dict(triggers.registry)
    with pytest.raises(TypeError):
        trigger(post_save, sender=Cake, workflow="bake")(coroutine)
    assert triggers.registry == before
