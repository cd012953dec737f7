"""Intake: every argument of ``execute`` is checked before anything is stored."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.utils import timezone as django_timezone
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from embedworkflow_django import intake, services
from embedworkflow_django.conf import ConfigurationError
from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.models import Execution
from tests.bakery.models import (
    Batch,
    Cake,
    CheapCake,
    Reading,
    Recipe,
    Seal,
    Tagged,
    Touchy,
    WeddingCake,
)

from .databases import EVERY_DATABASE
from .routers import OTHER, two_databases

KEY = "sk_test_of_the_tests"
LONG = "x" * 256
A_DATE = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)


def user_of(source):
    """Return the user of an order, as a project's own callable would."""
    return f"user-{source.pk}" if source is not None else None


def nobody(source):
    """Return no user, in the words of an anonymous one."""
    return ""


def somebody_odd(source):
    """Return what is no user key."""
    return 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workflow": ""}, "workflow is blank: ''. Give a workflow's key, id or hashid."),
        ({"workflow": " \n"}, r"workflow is blank: ' \\n'. Give a workflow's key"),
        ({"workflow": None}, "workflow should be a string, not None"),
        ({"workflow": 5}, "workflow should be a string, not 5"),
        ({"workflow": ("a", "b")}, r"not \('a', 'b'\)"),
        ({"workflow": b"bake"}, "not b'bake'"),
        ({"workflow": gettext_lazy("bake")}, "workflow should be a string, not "),
        ({"workflow": "bake\n"}, r"workflow has a control .*: '\\n' in 'bake\\n'. Leave it out"),
        ({"workflow": "a\0b"}, r"workflow has a control .*: '\\x00' in 'a\\x00b'"),
        ({"workflow": "a\x85b"}, r"workflow has a control .*: '\\x85' in 'a\\x85b'"),
        ({"workflow": "\ud800"}, r"workflow has .* half a character: '\\ud800' in '\\ud800'"),
        ({"workflow": "."}, "'.' cannot name a workflow. Give a workflow's key, id or hashid."),
        ({"workflow": ".."}, "'..' cannot name a workflow"),
        ({"workflow": LONG}, "workflow is 256 characters long; at most 255 are possible"),
        ({"id_type": "slug"}, "id_type should be one of id, key, hashid, not 'slug'"),
        ({"id_type": None}, "id_type should be one of id, key, hashid, not None"),
        ({"id_type": []}, r"id_type should be one of id, key, hashid, not \[\]"),
        ({"user_key": ""}, "user_key is blank: ''. Give one, or leave it out."),
        ({"user_key": 5}, "user_key should be a string, not 5"),
        ({"user_key": (1, 2)}, r"user_key should be a string, not \(1, 2\)"),
        ({"user_key": "a\r\nb"}, r"user_key has a control .*: '\\r' in 'a\\r\\nb'"),
        ({"user_key": LONG}, "user_key is 256 characters long"),
        ({"idempotency_key": ""}, "idempotency_key is blank: ''. Give one, or leave it out."),
        ({"idempotency_key": "a\nX-Evil: 1"}, r"idempotency_key .*, not 'a\\nX-Evil: 1'"),
        ({"idempotency_key": "a b"}, "idempotency_key travels in a header: .*, not 'a b'"),
        ({"idempotency_key": "é"}, "idempotency_key .* visible ASCII characters, not 'é'"),
        ({"idempotency_key": 7}, "idempotency_key should be a string, not 7"),
        ({"idempotency_key": (7,)}, r"idempotency_key should be a string, not \(7,\)"),
        ({"idempotency_key": LONG}, "idempotency_key is 256 characters long"),
        ({"account": None}, "account should be an account's alias, not None"),
        ({"account": ["eu"]}, r"account should be an account's alias, not \['eu'\]"),
        ({"run_at": datetime(2030, 1, 2)}, "run_at should be an aware datetime, not datetime"),  # noqa: DTZ001
        ({"run_at": date(2030, 1, 2)}, "run_at should be an aware datetime, not datetime.date"),
        ({"run_at": "2030-01-02"}, "run_at should be an aware datetime, not '2030-01-02'"),
        ({"run_at": 60}, "run_at should be an aware datetime, not 60"),
        (
            {"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))},
            "run_at is 9999-.*, which is beyond the calendar in UTC",
        ),
        ({"source": "bakery.cake:1"}, "source should be a model instance, not str"),
        ({"source": Cake.objects.all()}, "source should be a model instance, not QuerySet"),
        ({"source": Cake}, "source should be a model instance, not ModelBase"),
        ({"source": (1, 2)}, "source should be a model instance, not tuple"),
        ({"source": Cake()}, "The source, a bakery.Cake, is not saved, or was deleted"),
        ({"source": Recipe()}, "The source, a bakery.Recipe, is not saved, or was deleted"),
        ({"source": Touchy()}, "The source, a bakery.Touchy, is not saved, or was deleted"),
        ({"source": Batch(oven=1)}, "The source, a bakery.Batch, is not saved"),
        ({"using": "defualt"}, "There is no database 'defualt'. Did you mean 'default'"),
        ({"using": 5}, "There is no database 5. Known: .*default"),
        ({"data": [1]}, "Execution data should be a dict, not list"),
        ({"data": {"a": {1}}}, r"data\['a'\] cannot be sent"),
        ({"data": {"text": "x" * 5_000_000}}, "at most 1048576 are allowed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_that_makes_no_sense_is_refused(arguments, message, django_assert_num_queries):
    """The error names the offender, and nothing is stored, queried or done at the commit."""
    with django_assert_num_queries(0), pytest.raises(InvalidExecution, match=message) as caught:
        services.execute(**{"workflow": "bake", **arguments})
    assert [caught.value.argument] == list(arguments)
    assert connections["default"].run_on_commit == []


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize(
    "arguments", [{"data": []}, {"source": Cake()}, {"workflow": ".."}, {"account": "?"}], ids=repr
)
def test_a_refusal_leaves_the_callers_transaction_alone(alias, arguments):
    """Whoever catches the error goes on in the same transaction, and no row is left of it."""
    with transaction.atomic(using=alias):
        with pytest.raises((InvalidExecution, ConfigurationError)):
            services.execute(**{"workflow": "bake", "using": alias, **arguments})
        Cake.objects.using(alias).create(name="Sacher")
    assert Cake.objects.using(alias).count() == 1
    assert Execution.objects.using(alias).count() == 0


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize(("model", "key"), [(Cake, {}), (Batch, {"oven": 3, "number": 7})])
def test_a_deleted_source_is_refused(alias, model, key):
    """An object that has lost its key, or each part of it, cannot be referred to."""
    source = model.objects.using(alias).create(**key)
    source.delete()
    with pytest.raises(InvalidExecution, match="not saved, or was deleted"):
        services.execute("bake", source=source)


@two_databases
def test_a_source_of_another_database_is_refused():
    """One transaction cannot cover both; the message names both, and the ways out."""
    cake = Cake.objects.using(OTHER).create()
    with pytest.raises(InvalidExecution) as caught:
        services.execute("bake", source=cake, using="default")
    assert (
        f"The source, bakery.Cake {cake.pk}, lives in database '{OTHER}' and the execution in "
        "'default'; one transaction cannot cover both. Name the source's with using=…"
    ) in str(caught.value)


@two_databases
def test_a_router_may_let_sources_live_elsewhere(settings):
    """With ``allow_relation`` a source of another database is kept, and found again there."""
    settings.DATABASE_ROUTERS = [
        "tests.routers.ExecutionsReferAnywhere",
        "tests.routers.CakesElsewhere",
    ]
    cake = Cake.objects.create(name="Sacher")
    assert cake._state.db == OTHER
    execution = services.execute("bake", source=cake)
    assert execution._state.db == "default"
    assert execution.source == cake


@two_databases
def test_a_database_that_the_routers_keep_free_is_refused(settings):
    """Where no executions are kept, none can be stored with a transaction; the message says so."""
    settings.DATABASE_ROUTERS = ["tests.routers.ExecutionsInDefaultOnly"]
    cake = Cake.objects.using(OTHER).create()
    message = f"routers keep executions out of '{OTHER}'.* Name another database with using="
    for arguments in ({"using": OTHER}, {"source": cake}):
        with pytest.raises(InvalidExecution, match=message):
            services.execute("bake", **arguments)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "workflow", ["a/b", "a/../b", "..a", "a?b=c#d", "a b", " a ", "🎂", "%2e%2e", "x" * 255, "-"]
)
def test_any_visible_text_names_a_workflow(workflow):
    """What the API may call a workflow is the API's business; it is stored as it was given."""
    assert services.execute(workflow).workflow == workflow
    assert Execution.objects.get().workflow == workflow


@pytest.mark.django_db
def test_an_unknown_account_is_refused(settings):
    """The nearest alias is offered, and without a near one all are named."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY, "ACCOUNTS": {"europe": {}, "asia": {}}}
    with pytest.raises(ConfigurationError, match=r"no account 'eurpoe' .* Did you mean 'europe'"):
        services.execute("bake", account="eurpoe")
    with pytest.raises(ConfigurationError, match=r"no account '' .* Known: asia, default, europe"):
        services.execute("bake", account="")
    assert not Execution.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("user_key", "stored"),
    [
        (None, ""),
        ("", ""),
        ("jane", "jane"),
        (f"{__name__}.user_of", ""),
        (f"{__name__}.nobody", ""),
    ],
)
def test_the_settings_name_the_user_when_the_caller_does_not(settings, user_key, stored):
    """``USER_KEY`` is a string, a callable that gets the source, or says nobody."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY, "USER_KEY": user_key}
    assert services.execute("bake").user_key == stored
    assert services.execute("bake", user_key="joe").user_key == "joe"


@pytest.mark.django_db
def test_a_callable_user_key_gets_the_source(settings):
    """The user may follow from the object that an execution is about."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY, "USER_KEY": user_of}
    cake = Cake.objects.create()
    assert services.execute("bake", source=cake).user_key == f"user-{cake.pk}"


@pytest.mark.django_db
def test_a_callable_user_key_that_returns_no_text_is_refused(settings):
    """What a project's callable returns is checked like an argument; the setting is named."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY, "USER_KEY": somebody_odd}
    with pytest.raises(InvalidExecution, match=r'\["USER_KEY"\] should be a string, not 5'):
        services.execute("bake")


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_run_time_is_when_it_becomes_due(alias):
    """An execution for later is stored now, and due then, to the microsecond."""
    run_at = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    execution = services.execute("bake", run_at=run_at, using=alias)
    stored = Execution.objects.using(alias).get(pk=execution.pk)
    assert stored.run_at == stored.due_at == execution.run_at == run_at
    assert stored.created_at < run_at


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize(
    "run_at", [datetime.min.replace(tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)]
)
def test_a_run_time_in_the_past_is_now(alias, run_at):
    """The time after which it is given up counts from now, and not from years ago."""
    before = django_timezone.now()
    execution = services.execute("bake", run_at=run_at, using=alias)
    stored = Execution.objects.using(alias).get(pk=execution.pk)
    assert before <= stored.run_at == stored.due_at == stored.created_at


@pytest.mark.django_db
def test_without_time_zones_a_run_time_is_naive(settings):
    """With ``USE_TZ = False`` an aware datetime is what makes no sense."""
    settings.USE_TZ = False
    naive = datetime(2030, 1, 2)  # noqa: DTZ001
    assert services.execute("bake", run_at=naive).due_at == naive
    with pytest.raises(InvalidExecution, match="run_at should be a naive datetime"):
        services.execute("bake", run_at=A_DATE)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda: Cake(name="Sacher"), "bakery.cake"),
        (lambda: CheapCake(name="Gugelhupf"), "bakery.cake"),
        (lambda: WeddingCake(name="Croquembouche"), "bakery.weddingcake"),
        (lambda: Recipe(title="Dough"), "bakery.recipe"),
        (lambda: Tagged(tag="aB3"), "bakery.tagged"),
        (lambda: Batch(oven=3, number=7), "bakery.batch"),
    ],
    ids=["model", "proxy", "inherited", "uuid", "text", "composite"],
)
def test_any_saved_object_is_a_source(alias, make, label):
    """The source is found again from its execution, and its executions from it."""
    source, other = make(), make()
    source.save(using=alias)
    execution = services.execute("bake", source=source)
    assert execution._state.db == alias
    stored = Execution.objects.using(alias).get()
    assert stored.source_type == label
    assert stored.source.pk == source.pk
    assert isinstance(source, type(stored.source))
    assert list(Execution.objects.using(alias).for_source(source)) == [stored]
    if other.pk != source.pk:
        assert not Execution.objects.using(alias).for_source(other).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "make",
    [
        lambda: Recipe.objects.create(id="0190F1C2000070008000000000000001"),
        lambda: Cake.objects.create(id="07"),
        lambda: WeddingCake.objects.create(cake_ptr_id="07", id="07"),
        lambda: Batch.objects.create(oven="03", number="07"),
    ],
    ids=["uuid", "number", "inherited", "composite"],
)
def test_a_source_is_one_however_its_key_was_written(make):
    """A key that was given as text is the same one that is read from the database."""
    source = make()
    execution = services.execute("bake", source=source)
    read = type(source).objects.get()
    assert execution.source == read
    assert list(Execution.objects.for_source(read)) == [execution]


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("degrees", ["1.5", "1E+2", 100, Decimal("-0.500"), 0], ids=str)
def test_a_source_is_one_in_whatever_time_zone_and_with_whatever_places(alias, degrees):
    """A moment is read in UTC, and a number with the places of its column."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=5)))
    source = Reading.objects.using(alias).create(at=at, degrees=degrees)
    execution = services.execute("bake", source=source)
    read = Reading.objects.using(alias).get()
    assert execution.source == read
    assert list(Execution.objects.using(alias).for_source(read)) == [execution]


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_sources_that_differ_in_case_are_two(alias):
    """A key of text is compared by its characters, also where the database ignores case."""
    rows = Execution.objects.using(alias)
    rows.create(workflow="bake", source_type="bakery.tagged", source_id="aB3")
    assert rows.for_source(Tagged(tag="aB3")).exists()
    assert not rows.for_source(Tagged(tag="ab3")).exists()


@pytest.mark.parametrize("source", [None, Cake, "bakery.cake:1"], ids=["none", "class", "text"])
def test_what_is_no_object_has_no_executions(source):
    """A source that is gone, say; the message names what was given."""
    kind = type(source).__name__
    with pytest.raises(TypeError, match=rf"for_source\(\) needs a model instance, not {kind}\."):
        Execution.objects.for_source(source)


@pytest.mark.django_db
def test_a_lazy_object_is_a_source():
    """``request.user`` is one."""
    user = User.objects.create(username="jane")
    execution = services.execute("welcome", source=SimpleLazyObject(lambda: user))
    assert execution.source_type == "auth.user"
    assert execution.source == user


@pytest.mark.parametrize("alias", [each for each in EVERY_DATABASE if each.id != "mariadb"])
def test_a_source_whose_key_is_bytes_is_found_again(alias):
    """A key that databases read as bytes of one kind or another is kept as one text."""
    field = Seal._meta.pk
    with transaction.atomic(using=alias):
        with connections[alias].cursor() as cursor:
            kind = field.db_type(connections[alias])
            cursor.execute(
                f"CREATE TABLE {Seal._meta.db_table} ({field.column} {kind} PRIMARY KEY)"
            )
        seal = Seal(mark=b"\x00\xffseal")
        seal.save(using=alias)
        execution = services.execute("bake", source=seal)
        read = Seal.objects.using(alias).get()
        assert list(Execution.objects.using(alias).for_source(read)) == [execution]
        assert bytes(execution.source.mark) == seal.mark
        execution.source_id = "no base64"
        assert execution.source is None
        transaction.set_rollback(True, using=alias)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("source_type", "source_id"),
    [
        ("", ""),
        ("gone.model", "1"),
        ("bakery.cake", "1"),
        ("bakery.cake", "a text"),
        ("bakery.recipe", "1"),
        ("bakery.batch", "[1, 2]"),
        ("bakery.batch", "1"),
    ],
)
def test_a_source_that_is_not_found_is_none(source_type, source_id):
    """An execution outlives its source, its model, and the kind of its model's key."""
    execution = Execution.objects.create(
        workflow="bake", source_type=source_type, source_id=source_id
    )
    assert execution.source is None


@pytest.mark.django_db
def test_a_key_that_is_too_long_for_its_column_is_refused():
    """A source is refused before a database cuts its key."""
    source = Tagged.objects.create(tag="x" * 256)
    with pytest.raises(InvalidExecution, match="source is 256 characters long"):
        services.execute("bake", source=source)


def test_a_key_for_once_fits_into_a_header_and_its_column():
    """The key of ``once`` names trigger and source, and what is too long or odd is hashed."""
    plain = intake.once_key("shop.workflows.placed", "shop.order", "7")
    assert plain == "once:shop.workflows.placed:shop.order:7"
    odd = {
        intake.once_key("shop.workflows.placed", "shop.order", source_id)
        for source_id in ("é", "è", "a b", LONG, f"{LONG}x")
    }
    assert len(odd) == 5
    assert all(len(key) == 69 and key.isascii() for key in odd)
    room = "n" * (255 - len("once:t:s:"))
    assert intake.once_key("t", "s", room) == f"once:t:s:{room}"
    assert len(intake.once_key("t", "s", f"{room}n")) == 69
