"""Transactions: what becomes of an execution by each way that Django has to save something.

There is a test at least for each row of the README's table.
"""

from __future__ import annotations

import json

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path

from embedworkflow_django import services, signals
from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.models import Execution
from embedworkflow_django.triggers import trigger
from tests.bakery.models import Cake, CheapCake, Ingredient, WeddingCake

from .databases import EVERY_DATABASE
from .declared import declaring
from .elsewhere import PATIENCE, elsewhere, held_open
from .routers import OTHER, two_databases

every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)


@pytest.fixture(autouse=True)
def _declared():
    """Forget what a test has declared."""
    with declaring():
        yield


@pytest.fixture
def committed():
    """Return a list of the data of the executions that have been announced as committed."""
    said = []

    def receive(execution, **kwargs):
        said.append(execution.execution_data["n"])

    signals.execution_queued.connect(receive)
    yield said
    signals.execution_queued.disconnect(receive)


def named(instance, **kwargs):
    """Return what identifies a cake."""
    return {"name": instance.name}


def stored(alias="default"):
    """Return what each stored execution says, the oldest first."""
    rows = Execution.objects.using(alias).order_by("pk").values_list("execution_data", flat=True)
    return [data.get("n", data.get("name")) for data in rows]


# Nested blocks and savepoints


@every_database
def test_nested_atomic_blocks_commit_with_the_outermost(alias, committed):
    """Nothing is seen by others, nor announced, before the outermost block has ended."""
    with transaction.atomic(using=alias):
        services.execute("bake", {"n": 1}, using=alias)
        with transaction.atomic(using=alias):
            services.execute("bake", {"n": 2}, using=alias)
        assert elsewhere(stored, alias).result(PATIENCE) == []
        assert committed == []
    assert elsewhere(stored, alias).result(PATIENCE) == [1, 2]
    assert committed == [1, 2]


@every_database
def test_nested_atomic_blocks_are_undone_with_the_outermost(alias, committed):
    """An inner block that has ended well is undone with the one around it."""
    with transaction.atomic(using=alias):
        with transaction.atomic(using=alias):
            services.execute("bake", {"n": 1}, using=alias)
        transaction.set_rollback(True, using=alias)
    assert stored(alias) == []
    assert committed == []


@every_database
def test_savepoint_that_is_rolled_back_takes_its_executions_along(alias, committed):
    """What was queued before and after it is sent, what was queued inside it is not."""
    with transaction.atomic(using=alias):
        services.execute("bake", {"n": 1}, using=alias)
        with transaction.atomic(using=alias):
            services.execute("bake", {"n": 2}, using=alias)
            services.execute("bake", {"n": 3}, idempotency_key="k", using=alias)
            transaction.set_rollback(True, using=alias)
        services.execute("bake", {"n": 4}, idempotency_key="k", using=alias)
    assert stored(alias) == [1, 4]
    assert committed == [1, 4]


@every_database
def test_durable_blocks_may_execute(alias, committed):
    """Queuing opens no block that a durable one would forbid."""
    with transaction.atomic(using=alias, durable=True):
        services.execute("bake", {"n": 1}, using=alias)
        services.execute_many([{"workflow": "bake", "data": {"n": 2}, "using": alias}])
    assert stored(alias) == committed == [1, 2]


@every_database
def test_autocommit_stores_and_announces_at_once(alias, committed):
    """Without a transaction each statement is one."""
    services.execute("bake", {"n": 1}, using=alias)
    assert stored(alias) == committed == [1]


@pytest.mark.parametrize("alias", EVERY_DATABASE[1:])
def test_open_transactions_are_nobody_elses(alias, committed):
    """Whoever looks meanwhile sees nothing, and a rollback leaves nothing behind."""
    with held_open(
        alias,
        lambda: services.execute("bake", {"n": 1}, using=alias),
        error=RuntimeError("rolled back"),
    ) as held:
        assert stored(alias) == []
        held.end()
    assert stored(alias) == []
    assert committed == []


# Requests


def order(request):
    """Take an order, and fail if asked to."""
    services.execute("bake", {"n": 1})
    Cake.objects.create(name="ordered")
    if "fail" in request.GET:
        raise ValueError("the view's own fault")
    return HttpResponse("taken")


@transaction.non_atomic_requests
def order_without_transaction(request):
    """Take an order statement by statement."""
    return order(request)


async def order_asynchronously(request):
    """Take an order in a view that awaits."""
    execution = await services.aexecute("bake", {"n": 1})
    await Cake.objects.acreate(name="ordered")
    await execution.arefresh_from_db()
    return JsonResponse({"status": execution.status})


async def order_in_a_transaction(request):
    """Take an order in a transaction, which Django has in synchronous code alone."""

    def take():
        with transaction.atomic():
            services.execute("bake", {"n": 1})
            Cake.objects.create(name="ordered")
            if "fail" in request.GET:
                raise ValueError("the view's own fault")

    await sync_to_async(take)()
    return HttpResponse("taken")


urlpatterns = [
    path("order", order),
    path("without", order_without_transaction),
    path("async", order_asynchronously),
    path("async-atomic", order_in_a_transaction),
]


@pytest.fixture
def _urls(settings):
    """Serve this module's views."""
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def _atomic_requests():
    """Put each request into a transaction, as ``ATOMIC_REQUESTS`` does."""
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_urls", "_atomic_requests")
def test_atomic_requests_store_with_the_views_transaction(committed):
    """A view that ends well has queued, once its transaction has committed."""
    trigger(post_save, sender=Cake, workflow="bake")(lambda cake, **kwargs: {"n": 2})
    assert Client().get("/order").status_code == 200
    assert stored() == committed == [1, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_urls", "_atomic_requests")
def test_atomic_requests_leave_nothing_of_a_view_that_raises(committed):
    """An exception in the view undoes what was queued, by hand and by triggers."""
    trigger(post_save, sender=Cake, workflow="bake")(lambda cake, **kwargs: {"n": 2})
    response = Client(raise_request_exception=False).get("/order?fail=1")
    assert response.status_code == 500
    assert stored() == committed == []
    assert not Cake.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_urls", "_atomic_requests")
def test_atomic_requests_that_a_view_opts_out_of_keep_what_was_queued(committed):
    """Without the transaction an exception comes too late, as for any row."""
    assert Client(raise_request_exception=False).get("/without?fail=1").status_code == 500
    assert stored() == committed == [1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_urls")
def test_async_views_execute(committed):
    """``aexecute`` stores what ``execute`` does, and ``acreate`` fires triggers."""
    trigger(post_save, sender=Cake, workflow="bake")(lambda cake, **kwargs: {"n": 2})
    response = async_to_sync(AsyncClient().get)("/async")
    assert response.json() == {"status": "queued"}
    assert stored() == committed == [1, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_urls")
def test_async_views_have_transactions_in_synchronous_code(committed):
    """A block that runs by ``sync_to_async`` commits and rolls back as everywhere."""
    client = AsyncClient(raise_request_exception=False)
    assert async_to_sync(client.get)("/async-atomic?fail=1").status_code == 500
    assert stored() == committed == []
    assert async_to_sync(client.get)("/async-atomic").status_code == 200
    assert stored() == committed == [1]


# Several databases


@two_databases
def test_router_sends_the_source_and_the_execution_follows(settings, committed):
    """A trigger stores where its object was saved, in that transaction and no other."""
    settings.DATABASE_ROUTERS = ["tests.routers.CakesElsewhere"]
    trigger(post_save, sender=Cake, workflow="bake")(lambda cake, **kwargs: {"n": 1})
    with transaction.atomic(using=OTHER):
        cake = Cake.objects.create()
        with transaction.atomic():
            transaction.set_rollback(True)
        assert committed == []
    assert stored() == []
    assert stored(OTHER) == committed == [1]
    assert Execution.objects.using(OTHER).get().source == cake


@two_databases
def test_router_keeps_the_databases_transactions_apart(committed):
    """What is rolled back in one database says nothing about the other."""
    with transaction.atomic(), transaction.atomic(using=OTHER):
        services.execute("bake", {"n": 1})
        services.execute("bake", {"n": 2}, using=OTHER)
        transaction.set_rollback(True, using=OTHER)
    assert stored() == committed == [1]
    assert stored(OTHER) == []


@two_databases
def test_router_that_keeps_executions_out_is_named(settings, caplog):
    """The error says which database it is and what to write; the caller's save goes on."""
    settings.DATABASE_ROUTERS = ["tests.routers.ExecutionsInDefaultOnly"]
    trigger(post_save, sender=Cake, workflow="bake")(named)
    with transaction.atomic(using=OTHER):
        with pytest.raises(InvalidExecution, match=rf"out of '{OTHER}'.* using=…"):
            services.execute("bake", using=OTHER)
        Cake.objects.using(OTHER).create(name="saved")
    assert Cake.objects.using(OTHER).exists()
    assert f"keep executions out of '{OTHER}'" in caplog.text
    Cake.objects.create(name="here")
    assert stored() == ["here"]


# Models


@every_database
def test_proxy_models_have_signals_of_their_own(alias):
    """Django names the proxy as the sender; the source is what the proxy stands for."""
    trigger(post_save, sender=Cake, workflow="cake")(named)
    CheapCake.objects.using(alias).create(name="proxy")
    assert stored(alias) == []
    trigger(post_save, sender=[CheapCake], workflow="cheap")(named)
    cheap = CheapCake.objects.using(alias).create(name="proxy")
    execution = Execution.objects.using(alias).get()
    assert execution.workflow == "cheap"
    assert execution.source == Cake.objects.using(alias).get(pk=cheap.pk)
    assert list(Execution.objects.using(alias).for_source(cheap)) == [execution]


@every_database
def test_inherited_models_are_their_own_source(alias):
    """Saving a child is the child's signal only, deleting one the parent's too; each is found."""
    trigger(post_save, sender=Cake, workflow="cake")(named)
    WeddingCake.objects.using(alias).create(name="child")
    assert stored(alias) == []
    trigger(post_save, sender=[Cake, WeddingCake], workflow="any")(lambda cake, **kwargs: {"n": 1})
    child = WeddingCake.objects.using(alias).create(name="child")
    execution = Execution.objects.using(alias).get()
    assert execution.source == child
    assert not Execution.objects.using(alias).for_source(child.cake_ptr).exists()
    trigger(post_delete, sender=[Cake, WeddingCake], workflow="gone")(lambda cake, **kwargs: {})
    child.delete()
    gone = Execution.objects.using(alias).filter(workflow="gone")
    assert sorted(row.source_type for row in gone) == ["bakery.cake", "bakery.weddingcake"]


def test_custom_user_models_are_senders_and_sources(tmp_path, python):
    """Nothing of this package points at a user, so a project's own model is one like any other."""
    app = tmp_path / "people"
    app.mkdir()
    (app / "__init__.py").write_text("")
    (app / "models.py").write_text(
        "from django.contrib.auth.models import AbstractBaseUser, BaseUserManager\n"
        "from django.db import models\n"
        "class Person(AbstractBaseUser):\n"
        "    email = models.EmailField(primary_key=True)\n"
        "    USERNAME_FIELD = 'email'\n"
        "    objects = BaseUserManager()\n"
    )
    (app / "workflows.py").write_text(
        "from django.conf import settings\n"
        "from django.db.models.signals import post_save\n"
        "from embedworkflow_django.triggers import trigger\n"
        "@trigger(post_save, sender=settings.AUTH_USER_MODEL, workflow='welcome')\n"
        "def joined(person, created, **kwargs):\n"
        "    return {'email': person.email}\n"
    )
    said = python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(\n"
        "    SECRET_KEY='tests', USE_TZ=True, AUTH_USER_MODEL='people.Person',\n"
        "    DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',\n"
        "    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}},\n"
        "    INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes',\n"
        "                    'embedworkflow_django', 'people'],\n"
        "    EMBEDWORKFLOW={'SECRET_KEY': 'sk_test_1', 'DISPATCHER': 'worker'},\n"
        ")\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', run_syncdb=True, verbosity=0)\n"
        "call_command('makemigrations', 'embedworkflow', check=True, dry_run=True, verbosity=0)\n"
        "from django.contrib.auth import get_user_model\n"
        "from embedworkflow_django import services\n"
        "from embedworkflow_django.models import Execution\n"
        "person = get_user_model().objects.create(email='ann@example.com')\n"
        "row = Execution.objects.get()\n"
        "assert row.source == person and row.source_type == 'people.person', row.source_type\n"
        "services.cancel(row, by=person.get_username())\n"
        "print(row.execution_data['email'], row.events.get().detail['by'])\n"
    )
    assert said.split() == ["ann@example.com", "ann@example.com"]


@pytest.mark.django_db
def test_custom_user_or_not_a_user_is_a_source():
    """The default user model serves as well."""
    trigger(post_save, sender=User, workflow="welcome")(lambda user, **kwargs: {"n": user.username})
    user = User.objects.create_user("jane")
    assert Execution.objects.get().source == user


# What Django does not tell, or tells late


@every_database
def test_post_delete_keeps_the_sources_label_and_key(alias):
    """The execution outlives the object: what it was is known, where it was is empty."""
    trigger(post_delete, sender=[Cake, WeddingCake], workflow="refund")(named)
    cakes = [
        Cake.objects.using(alias).create(name="a"),
        Cake.objects.using(alias).create(name="b"),
        WeddingCake.objects.using(alias).create(name="c"),
    ]
    ids = {str(cake.pk) for cake in cakes}
    with transaction.atomic(using=alias):
        cakes[0].delete()
        Cake.objects.using(alias).all().delete()
    assert sorted(stored(alias)) == ["a", "b", "c", "c"]
    rows = Execution.objects.using(alias).all()
    assert {row.source_id for row in rows} == ids
    assert {row.source for row in rows} == {None}


FIXTURE = [
    {"model": "bakery.ingredient", "pk": 1, "fields": {"name": "flour"}},
    {"model": "bakery.cake", "pk": 1, "fields": {"name": "a", "ingredients": [1]}},
]


@every_database
def test_loaddata_fires_nothing(alias, tmp_path):
    """Fixtures are somebody's past."""
    trigger(post_save, sender=[Cake, Ingredient], workflow="bake")(named)
    fixture = tmp_path / "cakes.json"
    fixture.write_text(json.dumps(FIXTURE))
    call_command("loaddata", str(fixture), database=alias, verbosity=0)
    assert Cake.objects.using(alias).get().ingredients.count() == 1
    assert stored(alias) == []


@pytest.mark.skipif(django.VERSION < (6, 1), reason="m2m_changed does not tell before Django 6.1")
@every_database
def test_loaddata_fires_nothing_for_relations(alias, tmp_path):
    """Relations that come of a fixture are its past as well."""
    trigger(m2m_changed, sender=Cake.ingredients.through, workflow="shop")(
        lambda cake, **kwargs: {"n": 1}
    )
    fixture = tmp_path / "cakes.json"
    fixture.write_text(json.dumps(FIXTURE))
    call_command("loaddata", str(fixture), database=alias, verbosity=0)
    assert stored(alias) == []


@every_database
def test_bulk_create_and_update_fire_nothing(alias):
    """Django sends no signal for them; ``execute_many`` is what one calls instead."""
    trigger(post_save, sender=Cake, workflow="bake")(named)
    Cake.objects.using(alias).bulk_create([Cake(name="a"), Cake(name="b")])
    Cake.objects.using(alias).update(price=1)
    Cake.objects.using(alias).bulk_update(Cake.objects.using(alias).all(), ["name"])
    assert stored(alias) == []
    services.execute_many(
        {"workflow": "bake", "data": {"name": cake.name}, "source": cake}
        for cake in Cake.objects.using(alias).order_by("name")
    )
    assert stored(alias) == ["a", "b"]
