"""Bad input: what users get wrong ends in a clear message and an unharmed database."""

from __future__ import annotations

import copy

import pytest
from django.db import connections as databases
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from embedworkflow_django import connections, selection, services, testing
from embedworkflow_django.conf import ConfigurationError
from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.worker import Worker
from tests.bakery.models import Cake

from .databases import EVERY_DATABASE

every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)
KEY = "sk_test_of_the_tests"
ODD_NAMES = [
    "a/b",
    "a/../b",
    "../users",
    "a?b=c",
    "a#b",
    "a b",
    " a ",
    "🎂",
    "%2e%2e",
    "%2F",
    "é",
    "a;b",
]
# Nothing listens at port 1: a call that should not be made would be seen as a failure.
NOWHERE = "http://127.0.0.1:1/api/v1"


def work():
    """Let a worker do what is due."""
    worker = Worker(aliases=["default"])
    worker.run_until_idle()
    return worker


# What is wrong with a search


@every_database
def test_a_term_that_no_database_stores_finds_nothing(alias):
    """A NUL in what somebody types into an autocompleting field is no server's error."""
    services.execute("bake", using=alias)

    assert [] == list(selection.search(Execution.objects.using(alias), "ba\0ke"))


# What is wrong with the settings


@every_database
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r'EMBEDWORKFLOW\["SECRET_KEY"\] is not set\. Add your secret key .*_sandbox'),
        ({}, r'EMBEDWORKFLOW\["SECRET_KEY"\] is not set'),
        ({"SECRET_KEY": ""}, r'EMBEDWORKFLOW\["SECRET_KEY"\] is not set'),
        ({"SECRET_KEY": None}, r'EMBEDWORKFLOW\["SECRET_KEY"\] should be a string, not NoneType'),
        ("sk_test_1", "EMBEDWORKFLOW should be a dict, not str"),
        ({"SECRET_KEY": KEY, "MAX_DATA_SIZE": "1 MB"}, r'"MAX_DATA_SIZE"\] should be a whole'),
        ({"SECRET_KEY": KEY, "USER_KEY": "shop.nowhere.user"}, r'"USER_KEY"\] cannot be imported'),
        ({"SECRET_KEY": KEY, "ACCOUNTS": []}, r'"ACCOUNTS"\] should be a dict of dicts'),
        ({"SECRET_KEY": KEY, "ACCOUNTS": {"a" * 101: {}}}, "an alias should be 1 to 100 printable"),
    ],
    ids=["none", "empty", "empty key", "no key", "text", "size", "user", "accounts", "alias"],
)
def test_settings_that_make_no_sense_store_nothing(alias, settings, given, message):
    """``execute`` says which setting it is; the caller's transaction goes on without a row."""
    if given is None:
        del settings.EMBEDWORKFLOW
    else:
        settings.EMBEDWORKFLOW = given
    with transaction.atomic(using=alias):
        with pytest.raises(ConfigurationError, match=message):
            services.execute("bake", {"n": 1}, using=alias)
        Cake.objects.using(alias).create()
    assert Cake.objects.using(alias).count() == 1
    assert not Execution.objects.using(alias).exists()


FAULTY = [
    ({"SECRET_KEY": f"{KEY}\n"}, "secret_key holds a space, a line break or another character"),
    ({"SECRET_KEY": f" {KEY}"}, "secret_key holds a space"),
    ({"SECRET_KEY": f"{KEY}\0"}, "secret_key holds a space"),
    ({"SECRET_KEY": f"{KEY}é"}, "secret_key holds a space"),
    ({"SECRET_KEY": f"pk_{KEY}"}, "secret_key is a publishable key"),
    ({"BASE_URL": "embedworkflow.com/api/v1"}, "base_url must start with https://"),
    ({"BASE_URL": "//embedworkflow.com/api/v1"}, "base_url must start with https://"),
    ({"BASE_URL": "ftp://embedworkflow.com"}, "base_url must start with https://"),
    ({"BASE_URL": "https://"}, "base_url must start with https:// .* and name a host"),
    ({"BASE_URL": ""}, "base_url must start with https://"),
    ({"BASE_URL": "https://embedworkflow.com:port/api"}, "base_url is no URL"),
    ({"BASE_URL": "https://embedworkflow.com/api v1"}, "base_url holds a space"),
    ({"BASE_URL": f"https://{KEY}@embedworkflow.com/"}, "base_url holds a user name or password"),
    ({"BASE_URL": "https://embedworkflow.com/api?v=1"}, r"base_url must end before any \?"),
]
faulty = pytest.mark.parametrize(
    ("changes", "message"), FAULTY, ids=lambda value: ascii(value)[:60]
)


@faulty
@pytest.mark.parametrize("alias", ["default", "eu"])
def test_an_account_that_cannot_work_makes_no_client(settings, changes, message, alias):
    """The message names the account and what is wrong, and shows no key."""
    sound = {"SECRET_KEY": KEY, "BASE_URL": NOWHERE}
    if alias == "default":
        settings.EMBEDWORKFLOW = {**sound, **changes}
    else:
        settings.EMBEDWORKFLOW = {**sound, "ACCOUNTS": {"eu": changes}}
    with pytest.raises(ConfigurationError, match=message) as caught:
        connections.client(alias)
    assert f"Account '{alias}': " in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.django_db(transaction=True)
@faulty
def test_what_was_queued_waits_until_the_settings_are_mended(settings, changes, message):
    """No try is burnt, the row says what to mend, and it is sent as soon as it is."""
    settings.EMBEDWORKFLOW = {
        "SECRET_KEY": KEY,
        "BASE_URL": NOWHERE,
        "DISPATCHER": "worker",
    } | changes
    execution = services.execute("bake")
    work()
    execution.refresh_from_db()
    assert (execution.status, execution.attempts, execution.sent_at) == ("queued", 0, None)
    assert execution.claim == ""
    assert message.split(".*")[0].replace("\\", "").strip() in execution.last_error
    assert KEY not in execution.last_error
    with testing.sandbox() as sandbox:
        sandbox.add_workflow("bake")
        testing.deliver()
        execution.refresh_from_db()
        assert (execution.status, execution.last_error) == ("running", "")


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_gone_keeps_its_executions(settings):
    """Queued under an account that the settings no longer have, a row waits and says so."""
    sound = copy.deepcopy(settings.EMBEDWORKFLOW)
    settings.EMBEDWORKFLOW = {**sound, "ACCOUNTS": {"eu": {}}}
    execution = services.execute("bake", account="eu")
    settings.EMBEDWORKFLOW = sound
    work()
    execution.refresh_from_db()
    assert (execution.status, execution.attempts) == (Status.QUEUED, 0)
    assert "There is no account 'eu'" in execution.last_error


# What is wrong with the arguments


@pytest.mark.django_db
@pytest.mark.parametrize("workflow", ODD_NAMES)
def test_an_odd_workflow_is_asked_for_as_it_is_written(workflow):
    """Whatever stands in its name, the API is asked for that workflow and no other address."""
    with testing.sandbox() as sandbox:
        sandbox.add_workflow(workflow)
        execution = services.execute(workflow)
        testing.deliver()
        execution.refresh_from_db()
        assert execution.status == Status.RUNNING
        assert len(sandbox.executions) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("workflow", ODD_NAMES)
def test_an_odd_workflow_that_is_not_there_ends_with_the_apis_words(workflow):
    """One call is made, and its answer is what the row says; nothing is tried again."""
    with testing.sandbox() as sandbox:
        execution = services.execute(workflow)
        testing.deliver()
        testing.deliver()
        execution.refresh_from_db()
        assert execution.status == Status.UNDELIVERABLE
        assert "404" in execution.last_error
        assert len(sandbox.requests) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("workflow", [".", "..", "", " ", "a\nb", "a\x85b", "\ud800"], ids=ascii)
def test_a_name_that_no_address_can_carry_is_refused(workflow):
    """What could not be sent as it is written is not stored."""
    with pytest.raises(InvalidExecution, match="workflow"):
        services.execute(workflow)
    assert not Execution.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["k", "life-1", "!~", "x" * 255, "a:b/c?d=\"'\\"])
def test_every_idempotency_key_that_is_taken_can_be_sent(key):
    """The header carries what ``execute`` has accepted."""
    with testing.sandbox() as sandbox:
        sandbox.add_workflow("bake")
        services.execute("bake", idempotency_key=key)
        testing.deliver()
        assert Execution.objects.get().status == Status.RUNNING
        assert len(sandbox.requests) == 1


@every_database
def test_execution_data_as_a_list_is_refused(alias):
    """The API takes an object."""
    with transaction.atomic(using=alias):
        with pytest.raises(InvalidExecution, match="Execution data should be a dict, not list"):
            services.execute("bake", [{"n": 1}], using=alias)
        assert not Execution.objects.using(alias).exists()


@every_database
def test_a_payload_of_five_megabytes_is_refused(alias):
    """The message says how large it is, how large it may be, and what to do instead."""
    with transaction.atomic(using=alias):
        with pytest.raises(
            InvalidExecution, match=r"5000012 bytes .* at most 1048576 .* Send an id"
        ):
            services.execute("bake", {"text": "x" * 5_000_000}, using=alias)
        assert not Execution.objects.using(alias).exists()


@every_database
@pytest.mark.parametrize(
    ("size", "count"), [(1024 * 1024 - 12, 1), (1024 * 1024 - 12, 20), (20_000, 1000)]
)
def test_the_largest_payloads_are_stored(alias, size, count):
    """What the cap lets through fits into the statements of every database, many at a time too."""
    data = {"text": '"' * (size // 2)}
    call = {"workflow": "bake", "data": data, "using": alias}
    rows = services.execute_many([call] * count)
    assert Execution.objects.using(alias).count() == count
    assert Execution.objects.using(alias).get(pk=rows[-1].pk).execution_data == data


@every_database
def test_small_payloads_share_a_statement_with_large_ones(alias):
    """Only what is too much for one statement is split, and the order is kept."""
    sizes = [services.LARGEST_INSERT // 4 - 100] * 5 + [1] * 5
    calls = [{"workflow": "bake", "data": {"t": "x" * size}, "using": alias} for size in sizes]
    with CaptureQueriesContext(databases[alias]) as captured:
        rows = services.execute_many(calls)
    inserts = [query for query in captured if query["sql"].startswith("INSERT")]
    assert len(inserts) == 2
    assert [len(row.execution_data["t"]) for row in rows] == sizes
    assert Execution.objects.using(alias).count() == len(sizes)
