"""The system checks: each finds its fault, says the way out, and touches nothing but settings."""

from __future__ import annotations

import re
import socket
import sys
import types
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import checks as django_checks
from django.db import connections, models
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import Signal
from django.test.utils import isolate_apps

from embedworkflow_django import checks, conf, triggers
from tests.bakery.models import Baked, Cake

SECRET = "sk_test_a_secret_of_the_tests"


def check(*, deploy=False):
    """Run the package's checks and return what they found."""
    return django_checks.run_checks(tags=[checks.TAG], include_deployment_checks=deploy)


def ids(**kwargs):
    """Run the package's checks and return the ids of what they found, without the prefix."""
    return [message.id.removeprefix("embedworkflow.") for message in check(**kwargs)]


@pytest.fixture
def configure(settings):
    """Return a function that sets ``EMBEDWORKFLOW`` to a sound dict with some changes."""

    def configure(**changes):
        settings.EMBEDWORKFLOW = {"SECRET_KEY": SECRET, "DISPATCHER": "worker", **changes}

    configure()
    return configure


@pytest.fixture
def register(monkeypatch):
    """Return a function that registers a trigger, out of reach of the project's own."""
    monkeypatch.setattr(triggers, "registry", {})
    monkeypatch.setattr(triggers, "duplicates", [])

    def register(name="shop.workflows.placed", sender=Cake, **changes):
        values = {
            "name": name,
            "function": print,
            "signals": (post_save,),
            "senders": (sender,),
            "workflow": "bake",
            "id_type": "key",
            "user_key": None,
            "once": False,
            "account": "default",
            "using": None,
            "defined_at": "shop/workflows.py:12",
        } | changes
        trigger = triggers.Trigger(**values)
        if name in triggers.registry:
            triggers.duplicates.append(trigger)
        else:
            triggers.registry[name] = trigger

    return register


@pytest.fixture
def sqlite():
    """Return a function that adds an SQLite database with some options to the project."""

    def add(**options):
        connections.settings["scratch"] = {
            **connections.settings["default"],
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": ":memory:",
            "OPTIONS": options,
        }

    yield add
    connections.settings.pop("scratch", None)
    if hasattr(connections._connections, "scratch"):
        del connections["scratch"]


def test_a_sound_project_passes(configure, register):
    """With sound settings and triggers no check says anything."""
    configure(
        ACCOUNTS={"eu": {"SECRET_KEY": SECRET, "PUBLISHABLE_KEY": "pk_test_1"}},
        RETENTION=timedelta(hours=2),
    )
    register()
    assert ids() == []


def test_the_checks_touch_neither_database_nor_network(configure, register, monkeypatch):
    """No check connects to anything, whatever it finds."""

    def refuse(*args, **kwargs):
        raise AssertionError("A check opened a socket.")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    configure(BASE_URL="http://api.example.com", DISPATCHER="thraed", ACCOUNTS={"eu": {}})
    register(account="us")
    # A test without the mark django_db cannot query: it would raise here.
    assert sorted(ids(deploy=True)) == ["E007", "E010", "W004", "W005"]


@pytest.mark.parametrize("value", [None, [], "sk_test_1"], ids=["none", "list", "text"])
def test_the_setting_is_a_dict(settings, value):
    """``EMBEDWORKFLOW`` that is no dict is one error, and no other check stumbles over it."""
    settings.EMBEDWORKFLOW = value
    assert ids(deploy=True) == ["E001"]


@pytest.mark.parametrize(
    "value",
    [["eu"], {"eu": SECRET}, {1: {}}, {"a" * 101: {}}],
    ids=["list", "text", "number", "long"],
)
def test_accounts_is_a_dict_of_dicts(configure, value):
    """``ACCOUNTS`` that is no dict of dicts is an error, and no other check stumbles over it."""
    configure(ACCOUNTS=value)
    assert "E001" in ids(deploy=True)
    (message,) = (each for each in check() if each.id == "embedworkflow.E001")
    assert message.hint == 'Write "ACCOUNTS": {"eu": {"SECRET_KEY": …}} in it.'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", 1),
        ("PUBLISHABLE_KEY", None),
        ("BASE_URL", 1),
        ("TIMEOUT", "fast"),
        ("TIMEOUT", (1, 2, 3)),
        ("USER_KEY", 5),
        ("USER_KEY", "tests.nowhere.to_be_found"),
        ("IDEMPOTENCY_HEADER", "Idempotency Key"),
        ("MAX_ANSWER_SIZE", "1M"),
        ("DISPATCHER", None),
        ("CONCURRENCY", 0),
        ("LEASE", -1),
        ("GIVE_UP_AFTER", "3d"),
        ("ON_LOST_ANSWER", "pray"),
        ("POLL", 5),
        ("TRIGGER_ERRORS", True),
        ("MAX_DATA_SIZE", 1.5),
        ("REDACT", "password"),
        ("RETENTION", 0),
        ("CALLBACK_URL", b"https://shop.example"),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error(configure, name, value):
    """Each setting of a wrong type is reported once, under its name."""
    configure(ACCOUNTS={"eu": {}}, **{name: value})
    (message,) = (message for message in check() if message.id == "embedworkflow.E002")
    assert f'EMBEDWORKFLOW["{name}"]' in message.msg


def test_every_setting_is_checked(configure):
    """No setting escapes: an object of no use at all is an error in each of them."""
    for name in conf.DEFAULTS.keys() - {"ACCOUNTS"}:
        configure(**{name: object()})
        assert "E002" in ids(), name


def test_an_account_s_own_value_is_named_as_its_own(configure):
    """The error of an account's own setting says in which account it stands."""
    configure(ACCOUNTS={"eu": {"TIMEOUT": "fast"}})
    messages = [message.msg for message in check() if message.id == "embedworkflow.E002"]
    assert len(messages) == 1
    assert messages[0].startswith('EMBEDWORKFLOW["ACCOUNTS"]["eu"]["TIMEOUT"] should be')


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DISPACHER", "Did you mean 'DISPATCHER'?"), ("XYZZY", "Known: ACCOUNTS, BASE_URL")],
)
def test_an_unknown_setting_is_reported_with_the_nearest_name(configure, name, meant):
    """A setting that does not exist is a warning that names the one that was meant."""
    configure(**{name: 1})
    (message,) = check()
    assert message.id == "embedworkflow.W006"
    assert name in message.msg
    assert meant in message.hint


def test_a_variable_of_an_unnamed_account_is_explained(configure):
    """``EU_SECRET_KEY``, as from the environment, is told that the account must be named."""
    configure(EU_SECRET_KEY=None)
    (message,) = check()
    assert message.id == "embedworkflow.W006"
    assert "ACCOUNTS" in message.hint


def test_an_unknown_setting_of_an_account_is_reported(configure):
    """The settings of accounts are checked for slips too."""
    configure(ACCOUNTS={"eu": {"SECRET_KEI": ""}})
    (message,) = check()
    assert message.id == "embedworkflow.W006"
    assert message.hint == "Did you mean 'SECRET_KEY'?"


def test_a_setting_of_the_project_has_no_place_in_an_account(configure):
    """A setting that accounts do not have is a warning that says where it belongs."""
    configure(ACCOUNTS={"eu": {"CONCURRENCY": 4}})
    (message,) = check()
    assert message.id == "embedworkflow.W007"
    assert message.hint == 'Move it to EMBEDWORKFLOW["CONCURRENCY"].'


def test_a_setting_outside_of_the_dict_is_reported(configure, settings):
    """Names as the environment has them do nothing in the settings; the hint has the line."""
    settings.EMBEDWORKFLOW_DISPATCHER = "worker"
    settings.EMBEDWORKFLOW_TIMEOUT = 5
    settings.EMBEDWORKFLOW_USER_KEY = "europe"
    settings.EMBEDWORKFLOW_OF_OURS = 5
    # As steps on the way to the dict they are sound.
    configure(TIMEOUT=settings.EMBEDWORKFLOW_TIMEOUT, ACCOUNTS={"eu": {"USER_KEY": "europe"}})
    del settings.EMBEDWORKFLOW["DISPATCHER"]
    (message,) = check()
    assert message.id == "embedworkflow.W006"
    assert message.msg == "EMBEDWORKFLOW_DISPATCHER is no setting, and has no effect."
    assert message.hint == 'Write EMBEDWORKFLOW = {"DISPATCHER": …}.'


def test_a_misspelt_dict_is_reported(configure, settings):
    """Without its underscore it is the one."""
    settings.EMBED_WORKFLOW = {"SECRET_KEY": SECRET}
    (message,) = check()
    assert message.id == "embedworkflow.W006"
    assert message.msg == "EMBED_WORKFLOW is no setting, and has no effect."
    assert message.hint == "Write EMBEDWORKFLOW = {…}."


def test_a_missing_key_is_reported(settings):
    """A project without any settings is told how to get a key or do without."""
    settings.EMBEDWORKFLOW = {"DISPATCHER": "worker"}
    (message,) = check()
    assert message.id == "embedworkflow.W001"
    assert message.msg == 'EMBEDWORKFLOW["SECRET_KEY"] is not set.'
    assert "embedworkflow_sandbox" in message.hint


def test_the_default_account_may_be_unused(configure):
    """With other accounts the dict itself needs no key, but each of the others does."""
    configure(SECRET_KEY="", ACCOUNTS={"eu": {"SECRET_KEY": SECRET}, "us": {}})
    (message,) = check()
    assert message.id == "embedworkflow.W001"
    assert '"us"' in message.msg


def test_a_publishable_key_is_no_secret_key(configure):
    """``pk_…`` where the secret key belongs is an error."""
    configure(SECRET_KEY="pk_test_1")
    assert ids() == ["E003"]


def test_a_secret_key_is_not_for_browsers(configure):
    """``sk_…`` where the publishable key belongs is an error."""
    configure(ACCOUNTS={"eu": {"PUBLISHABLE_KEY": SECRET}})
    assert ids() == ["E005"]


@pytest.mark.parametrize("name", ["SECRET_KEY", "PUBLISHABLE_KEY"])
@pytest.mark.parametrize("dirt", ["\n", "\r", " ", "\t", "\x00", "é", "\u00a0"], ids=ascii)
def test_a_key_is_plain(configure, name, dirt):
    """A line's end, white space or a letter beyond ASCII in a key is an error."""
    kind = "sk" if name == "SECRET_KEY" else "pk"
    configure(ACCOUNTS={"eu": {name: f"{kind}_test_1{dirt}"}})
    (message,) = check()
    assert message.id == "embedworkflow.E004"
    assert message.msg.startswith(f'EMBEDWORKFLOW["ACCOUNTS"]["eu"]["{name}"]')


def test_a_live_key_is_not_for_development(configure, settings):
    """A live key with ``DEBUG`` is a warning; a test key is none."""
    settings.DEBUG = True
    assert ids() == []
    configure(SECRET_KEY="sk_live_1")
    (message,) = check()
    assert message.id == "embedworkflow.W003"
    assert 'the test key, "sk_test_…", or the sandbox' in message.hint
    settings.DEBUG = False
    assert ids() == []


def test_a_test_key_is_not_for_deployment(configure, settings):
    """A test key without ``DEBUG`` is a warning of ``check --deploy``; a live one is none."""
    (message,) = check(deploy=True)
    assert message.id == "embedworkflow.W004"
    assert 'the live key, "sk_live_…", in production' in message.hint
    settings.DEBUG = True
    assert "W004" not in ids(deploy=True)
    settings.DEBUG = False
    configure(SECRET_KEY="sk_live_1")
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "localhost:8000/api",
        "ftp://example.com",
        "https://",
        "http://[::1",
        "https://api.example.com:port/v1",
        "https://api.example.com/v1?version=2",
        "https://shop:geheim@api.example.com/v1",
    ],
)
def test_a_base_url_is_one_that_the_client_takes(configure, url):
    """One without ``http(s)`` or a host, or with more than a path, is an error; nothing leaks."""
    configure(BASE_URL=url)
    (message,) = check()
    assert message.id == "embedworkflow.E006"
    assert 'EMBEDWORKFLOW["BASE_URL"]' in message.msg
    assert "geheim" not in message.msg
    assert conf.DEFAULTS["BASE_URL"] in message.hint


@pytest.mark.parametrize("name", ["Authorization", "content-length"])
def test_the_idempotency_header_has_no_other_meaning(configure, name):
    """The client would refuse it at the first delivery."""
    configure(IDEMPOTENCY_HEADER=name)
    (message,) = check()
    assert message.id == "embedworkflow.E013"
    assert repr(name) in message.msg
    assert conf.DEFAULTS["IDEMPOTENCY_HEADER"] in message.hint


@pytest.mark.parametrize(
    "url",
    [
        "shop.example.com/callbacks/",
        "ftp://shop.example.com/callbacks/",
        "https:///callbacks/",
        "https://[shop/callbacks/",
        "https://shop:geheim@shop.example.com/callbacks/?token=1",
        "https://shop.example.com/callbacks/#here",
    ],
)
def test_a_callback_url_is_one(configure, url):
    """No workflow could call it, or each would leave the token out; nothing leaks."""
    configure(CALLBACK_URL=url)
    (message,) = check()
    assert message.id == "embedworkflow.E016"
    assert 'EMBEDWORKFLOW["CALLBACK_URL"]' in message.msg
    assert "geheim" not in message.msg


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://shop.example.com/callbacks/", []),
        ("https://shop.example.com/callbacks", []),
        ("http://127.0.0.1:8000/callbacks/", []),
        ("http://shop.example.com/callbacks/", ["W014"]),
        ("https://shop.example.com", ["W015"]),
        ("https://shop.example.com/api/", ["W015"]),
        ("https://shop.example.com/api/executions/", ["W015"]),
    ],
)
def test_a_callback_url_is_encrypted_and_leads_to_the_door(configure, url, found):
    """Else strangers hear it, or each callback meets a page that does not exist."""
    configure(CALLBACK_URL=url)
    assert ids() == found


def test_a_process_without_urls_may_tell_of_another_ones(configure, settings):
    """As one that only runs workers."""
    configure(CALLBACK_URL="https://shop.example.com/elsewhere/")
    del settings.ROOT_URLCONF
    assert ids() == []


@pytest.mark.parametrize("host", ["api.example.com", "10.0.0.1", "0.0.0.0", "localhost.evil.com"])
def test_plain_http_to_another_machine_is_reported(configure, host):
    """The key would travel in clear."""
    configure(BASE_URL=f"http://{host}:8000/api/v1")
    (message,) = check()
    assert message.id == "embedworkflow.W005"
    assert host in message.msg


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/api/v1",
        "http://api.localhost",
        "http://127.0.0.2",
        "http://[::1]:80",
        "https://api.example.com",
    ],
)
def test_plain_http_on_this_machine_is_sound(configure, url):
    """A sandbox on a loopback address needs no certificate."""
    configure(BASE_URL=url)
    assert ids() == []


def test_no_check_shows_a_key(configure, settings):
    """Whatever place a key stands in, no message, hint or repr has more than its prefix."""
    settings.DEBUG = True
    for name in conf.DEFAULTS:
        for key in ("sk_live_geheim", "pk_live_geheim\n", "sk_test_geheim é", "sk_test_geheim.x"):
            configure(**{name: key})
            assert "geheim" not in repr(check(deploy=True)), name
            configure(ACCOUNTS={"eu": {name: key}})
            assert "geheim" not in repr(check(deploy=True)), name
            configure(**{name: [key, key, key]})
            assert "geheim" not in repr(check(deploy=True)), name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("thraed", "Did you mean 'thread'?"),
        ("tests.nowhere.Dispatcher", "No module named 'tests.nowhere'"),
        ("embedworkflow_django.dispatchers.Nowhere", 'does not define a "Nowhere"'),
        (
            "embedworkflow_django.dispatchers.Worker",
            "Known: celery, immediate, tasks, thread, worker.",
        ),
    ],
)
def test_a_misspelt_dispatcher_is_an_error(configure, name, hint):
    """A dispatcher that does not exist is found before a commit wakes it."""
    configure(DISPATCHER=name)
    message = next(message for message in check() if message.id == "embedworkflow.E007")
    assert name in message.msg
    assert hint in message.hint


@pytest.mark.parametrize("dispatcher", ["thread", "worker"])
def test_sqlite_needs_immediate_transactions_and_wal(configure, sqlite, dispatcher):
    """SQLite as ``startproject`` leaves it is a warning with the lines to paste."""
    configure(DISPATCHER=dispatcher)
    sqlite()
    (message,) = check()
    assert message.id == "embedworkflow.W002"
    assert '"scratch"' in message.msg
    assert '"transaction_mode": "IMMEDIATE"' in message.hint
    assert "PRAGMA journal_mode = WAL" in message.hint


@pytest.mark.parametrize(
    "options",
    [
        {"transaction_mode": "IMMEDIATE"},
        {"transaction_mode": "DEFERRED", "init_command": "PRAGMA journal_mode=WAL;"},
        {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=DELETE;"},
    ],
    ids=["no WAL", "deferred", "another journal"],
)
def test_sqlite_with_half_of_it_is_reported_too(configure, sqlite, options):
    """Immediate transactions and WAL are needed both."""
    sqlite(**options)
    assert ids() == ["W002"]


@pytest.mark.parametrize("wal", ["journal_mode=wal", "journal_mode = 'WAL'", "journal_mode(WAL)"])
def test_sqlite_with_the_lines_passes(configure, sqlite, wal):
    """The lines of the hint, however they are written, end the warning."""
    sqlite(transaction_mode="immediate", init_command=f"PRAGMA {wal}; PRAGMA synchronous=NORMAL;")
    assert ids() == []


def test_the_lines_to_paste_work(configure, sqlite):
    """What the hint of the SQLite warning says ends it."""
    sqlite()
    (message,) = check()
    pasted = eval("{" + message.hint.split("\n", 1)[1] + "}")
    del connections["scratch"]
    sqlite(**pasted["OPTIONS"])
    assert ids() == []


def test_sqlite_without_a_second_writer_is_sound(configure, sqlite):
    """``immediate`` writes over the connection of the transaction itself."""
    configure(DISPATCHER="immediate")
    sqlite()
    assert ids() == []


def test_a_database_without_autocommit_is_reported(sqlite):
    """Nothing that a worker writes to it would be committed."""
    sqlite(transaction_mode="IMMEDIATE", init_command="PRAGMA journal_mode=WAL;")
    connections["scratch"].settings_dict["AUTOCOMMIT"] = False

    (message,) = check()

    assert message.id == "embedworkflow.E014"
    assert 'DATABASES["scratch"]["AUTOCOMMIT"]' in message.msg


def test_a_database_of_another_kind_is_an_error(sqlite):
    """No worker could record there what it has sent."""
    sqlite(transaction_mode="IMMEDIATE", init_command="PRAGMA journal_mode=WAL;")
    connections["scratch"].vendor = "oracle"

    (message,) = check()

    assert message.id == "embedworkflow.E015"
    assert "The database 'scratch' is of a kind (oracle)" in message.msg


def test_a_database_that_holds_no_executions_is_left_alone(configure, sqlite, settings):
    """SQLite beside the database that the router gives executions to is nobody's business."""
    settings.DATABASE_ROUTERS = [
        types.SimpleNamespace(allow_migrate=lambda db, app_label, **hints: db != "scratch")
    ]
    sqlite()
    assert ids() == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["W008"]),
        ({"enable-threads": False}, ["W008"]),
        ({b"enable-threads": b"True"}, []),
        ({"enable-threads": True}, []),
        ({b"threads": b"4"}, []),
        ({"threads": 0}, ["W008"]),
    ],
)
def test_uwsgi_must_have_threads(configure, monkeypatch, options, found):
    """The thread dispatcher under uWSGI without threads is a warning."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt=options))
    configure(DISPATCHER="thread")
    assert ids() == found
    configure(DISPATCHER="worker")
    assert ids() == []


def test_threads_run_outside_uwsgi(configure):
    """Without uWSGI the thread dispatcher is sound, by its short name and by its path."""
    configure(DISPATCHER="thread")
    assert ids() == []


def test_immediate_is_not_for_deployment(configure):
    """Sending within requests is a warning of ``check --deploy``."""
    configure(DISPATCHER="immediate", SECRET_KEY="sk_live_1")
    assert ids() == []
    assert ids(deploy=True) == ["W011"]


@pytest.mark.parametrize(
    ("retention", "found"), [(90, ["W010"]), (86_400, []), (timedelta(hours=1), []), (None, [])]
)
def test_a_retention_of_seconds_is_questioned(configure, retention, found):
    """A number that was meant as days is a warning before it empties the table."""
    configure(RETENTION=retention)
    assert ids() == found


def test_a_trigger_on_an_abstract_model_is_an_error(configure, register):
    """A model that is never saved itself never fires."""
    register(sender=Baked)
    (message,) = check()
    assert message.id == "embedworkflow.E008"
    assert "shop.workflows.placed (shop/workflows.py:12)" in message.msg
    assert "abstract" in message.msg


@isolate_apps("tests.bakery")
def test_a_trigger_on_a_swapped_model_is_an_error(configure, register, settings):
    """A model that another one replaces never fires."""
    settings.BAKERY_OVEN = "bakery.Cake"

    class Oven(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "bakery"
            swappable = "BAKERY_OVEN"

    register(sender=Oven)
    (message,) = check()
    assert message.id == "embedworkflow.E008"
    assert "swapped out" in message.msg


def test_a_trigger_on_the_label_of_a_swapped_model_is_an_error(configure, register, settings):
    """As on the model itself."""
    settings.AUTH_USER_MODEL = "bakery.Cake"
    register(sender="auth.User")
    (message,) = check()
    assert message.id == "embedworkflow.E008"
    assert "swapped out" in message.msg


@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ("bakery.Cak", "Did you mean 'bakery.Cake'?"),
        ("bakry.Cake", "Did you mean 'bakery.Cake'?"),
        ("xyzzy.Plugh", "Name an installed model"),
    ],
)
def test_a_trigger_on_the_label_of_no_model_is_an_error(configure, register, label, hint):
    """Django's own check names what all triggers have in common, and not the trigger."""
    register(sender=label)
    (message,) = check()
    assert message.id == "embedworkflow.E008"
    assert "shop.workflows.placed (shop/workflows.py:12)" in message.msg
    assert repr(label) in message.msg
    assert message.hint.startswith(hint)


@isolate_apps("tests.bakery")
def test_a_trigger_on_an_unmanaged_model_is_questioned(configure, register):
    """Rows of an unmanaged model are likely to be written by others."""

    class Legacy(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "bakery"
            managed = False

    register(sender=Legacy)
    (message,) = check()
    assert message.id == "embedworkflow.W009"
    assert "Legacy" in message.msg


def test_a_sender_need_not_be_a_model(configure, register):
    """A custom signal's sender may be anything."""
    register(sender=None)
    register(name="shop.workflows.other", sender=object, signals=(Signal(),))
    register(name="shop.workflows.named", sender="a text", signals=(Signal(),))
    assert ids() == []


Shipped = Signal()
THROUGH = Cake.ingredients.through


@pytest.mark.parametrize(
    ("signals", "senders", "said"),
    [
        ([m2m_changed], [Cake], "m2m_changed of bakery.Cake"),
        ([m2m_changed], ["bakery.Cake"], "m2m_changed of bakery.Cake"),
        ([post_save, m2m_changed], [Cake], "m2m_changed of bakery.Cake"),
        ([m2m_changed], [THROUGH, Cake], "m2m_changed of bakery.Cake"),
        ([post_save, post_delete], [THROUGH], "bakery.Cake_ingredients"),
        ([Shipped], ["bakery.Cake"], "a signal of 'bakery.Cake'"),
        ([post_save], [object], f"a model's signal of {object!r}"),
        ([post_save], [{Cake}], "a model's signal of a set"),
        ([post_save, Shipped], [Cake, object], ""),
        ([m2m_changed], [THROUGH], ""),
        ([post_save, m2m_changed], [Cake, THROUGH], ""),
        ([post_save, Shipped], ["bakery.Cake", Cake], ""),
        ([m2m_changed, Shipped], [None], ""),
        ([Shipped], [Cake, object, "a text"], ""),
    ],
)
def test_a_trigger_that_hears_nothing_is_questioned(configure, register, signals, senders, said):
    """What Django never sends is told once, and what one of several sends is left alone."""
    register(signals=tuple(signals), senders=tuple(senders))
    found = check()
    assert [message.id for message in found] == ["embedworkflow.W013"] * bool(said)
    assert all(f"listens to {said}" in message.msg for message in found)


def test_two_triggers_of_one_name_are_an_error(configure, register):
    """The second one is named with its place, and so is the first."""
    register()
    register(defined_at="shop/workflows.py:40")
    (message,) = check()
    assert message.id == "embedworkflow.E009"
    assert "shop/workflows.py:12" in message.msg
    assert "shop/workflows.py:40" in message.msg
    assert "__qualname__" in message.hint


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"workflow": ""}, "''"),
        ({"workflow": ".."}, "'..'"),
        ({"workflow": None}, "None"),
        ({"id_type": "name"}, "'name'"),
        ({"user_key": 5}, "user_key"),
        ({"user_key": ""}, "user_key"),
        ({"workflow": lambda: "bake"}, "workflow cannot be called with the instance alone"),
        ({"user_key": lambda cake, **kwargs: cake, "workflow": lambda a, b: a}, "workflow cannot"),
        ({"user_key": lambda cake, account: cake}, "user_key cannot be called with the instance"),
    ],
    ids=["empty", "dots", "none", "id_type", "user", "no user", "less", "more", "more user"],
)
def test_a_trigger_s_workflow_can_be_one(configure, register, values, named):
    """An identifier that ``execute`` would refuse is an error before the first save."""
    register(**values)
    (message,) = check()
    assert message.id == "embedworkflow.E012"
    assert named in message.msg


def test_a_trigger_s_workflow_may_depend_on_the_instance(configure, register):
    """A callable is asked when the time comes."""
    register(workflow=lambda instance: "", user_key=lambda instance: "")
    register(name="shop.workflows.other", workflow=str, user_key=lambda instance, other=None: "")
    assert ids() == []


@pytest.mark.parametrize("where", ["project", "account"])
def test_a_callable_user_key_takes_the_source(configure, where):
    """One that does not would fail at the first execution; it is named where it stands."""
    given = {"USER_KEY": lambda: "acme"}
    configure(**given if where == "project" else {"ACCOUNTS": {"eu": given}})
    (message,) = check()
    assert message.id == "embedworkflow.E002"
    place = '["USER_KEY"]' if where == "project" else '["ACCOUNTS"]["eu"]["USER_KEY"]'
    assert message.msg == f"EMBEDWORKFLOW{place} cannot be called with the source alone."
    configure(USER_KEY=lambda source: "acme", ACCOUNTS={"eu": {}})
    assert ids() == []


@pytest.mark.parametrize(("lease", "found"), [(9.9, ["W012"]), (10, []), (None, [])])
def test_a_lease_covers_the_longest_call(configure, lease, found):
    """A lease that calls may outlast is a warning that says how long it has to be."""
    configure(LEASE=lease, ACCOUNTS={"slow": {"TIMEOUT": (1, 4)}}, TIMEOUT=1)
    messages = check()
    assert [message.id.removeprefix("embedworkflow.") for message in messages] == found
    assert all("10 seconds" in message.hint for message in messages)


def test_a_trigger_s_account_exists(configure, register):
    """A trigger that sends into an unknown account is an error with the nearest name."""
    configure(ACCOUNTS={"europe": {}})
    register(account="eurpe")
    (message,) = check()
    assert message.id == "embedworkflow.E010"
    assert message.hint == "Did you mean 'europe'?"


def test_a_trigger_s_database_exists(configure, register):
    """A trigger that writes into an unknown database is an error with the nearest name."""
    register(using="defualt")
    (message,) = check()
    assert message.id == "embedworkflow.E011"
    assert message.hint == "Did you mean 'default'?"


@pytest.mark.parametrize(
    ("values", "number"), [({"account": None}, "E010"), ({"using": 5}, "E011")]
)
def test_what_is_no_name_is_unknown(configure, register, values, number):
    """An account or a database of the wrong type is reported like a misspelt one."""
    register(**values)
    assert [number] == ids()


def test_every_id_is_documented():
    """The table of the package's docstring has exactly the ids that the checks use."""
    documented = set(re.findall(r"^([EW]\d{3})  ", checks.__doc__, re.MULTILINE))
    sources = (path.read_text() for path in Path(checks.__file__).parent.glob("*.py"))
    used = {
        f"{kind[0].upper()}{int(number):03}"
        for source in sources
        for kind, number in re.findall(r"messages\.(error|warning)\(\s*(\d+)", source)
    }
    assert documented == used
