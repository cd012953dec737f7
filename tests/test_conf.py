"""The settings: read live, typed, inherited by accounts; and errors that name the offender."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils import timezone

from embedworkflow_django import conf, exceptions
from embedworkflow_django.models import Execution


def configured(**values):
    """Return a context in which ``EMBEDWORKFLOW`` is the given values."""
    return override_settings(EMBEDWORKFLOW=values)


def whoever(source):
    """Return the end user of a source; a callable ``USER_KEY``."""
    return f"user of {source}"


# Defaults.


def test_a_test_run_wakes_nobody_unless_it_says_so(settings, python):
    """The default is ``thread``, in Django's test environment ``worker``; what is given holds.

    That a project keeps its mails in memory makes no test run of it.
    """
    settings.EMBEDWORKFLOW = {}
    assert conf.settings.dispatcher == "worker"
    settings.EMBEDWORKFLOW = {"DISPATCHER": "thread"}
    assert conf.settings.dispatcher == "thread"
    said = python(
        "from django.conf import settings; settings.configure()\n"
        "from django.core.mail.backends.locmem import EmailBackend; EmailBackend()\n"
        "from django.test import utils\n"
        "from embedworkflow_django import conf; print(conf.settings.dispatcher)\n"
        "utils.setup_test_environment(); print(conf.settings.dispatcher)\n"
        "utils.teardown_test_environment(); print(conf.settings.dispatcher)\n"
    )
    assert said == "thread\nworker\nthread\n"


def test_everything_has_a_default(settings):
    """Without any settings every property can be read and has the documented default."""
    del settings.EMBEDWORKFLOW
    settings.DEBUG = False
    assert conf.settings.concurrency == 8
    assert conf.settings.lease == timedelta(seconds=2 * 23.05)
    assert conf.settings.give_up_after == timedelta(days=3)
    assert conf.settings.on_lost_answer == "resend"
    assert conf.settings.poll == (
        timedelta(seconds=1),
        timedelta(minutes=5),
        timedelta(days=30),
    )
    assert conf.settings.trigger_errors == "log"
    assert conf.settings.max_data_size == 1024 * 1024
    assert "password" in conf.settings.redact
    assert conf.settings.retention is None
    assert conf.settings.callback_url == ""
    assert conf.settings.accounts == ["default"]
    assert conf.account() == conf.Account(
        alias="default",
        secret_key="",
        publishable_key="",
        base_url="https://embedworkflow.com/api/v1",
        timeout=(3.05, 20.0),
        idempotency_header="Idempotency-Key",
        max_answer_size=10 * 1024 * 1024,
    )
    assert conf.user_key("default", None) is None


def test_every_setting_has_a_reader():
    """A setting is a property of the project or belongs to accounts, so that none goes unread."""
    properties = {
        name.upper() for name, value in vars(conf.Settings).items() if isinstance(value, property)
    }
    assert properties - {"GIVEN"} | conf.ACCOUNT_SETTINGS.keys() == conf.DEFAULTS.keys()


# Read live.


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DISPATCHER", "worker", "worker"),
        ("NOTIFY", True, True),
        ("NOTIFY", False, False),
        ("CONCURRENCY", 3, 3),
        ("LEASE", 60, timedelta(minutes=1)),
        ("LEASE", timedelta(hours=1), timedelta(hours=1)),
        ("GIVE_UP_AFTER", 1.5, timedelta(seconds=1.5)),
        ("ON_LOST_ANSWER", "hold", "hold"),
        ("POLL", [2, 60, timedelta(days=1)], (*map(timedelta, (0, 0), (2, 60)), timedelta(days=1))),
        ("TRIGGER_ERRORS", "raise", "raise"),
        ("MAX_DATA_SIZE", 10, 10),
        ("REDACT", ["iban"], ("iban",)),
        ("REDACT", (), ()),
        ("RETENTION", timedelta(days=90), timedelta(days=90)),
        ("CALLBACK_URL", "https://shop.example/ewf/", "https://shop.example/ewf/"),
        ("ACCOUNTS", {"eu": {}, "default": {}, "us": {}}, ["default", "eu", "us"]),
    ],
)
def test_a_setting_is_read_live(name, value, expected):
    """A property follows the setting at once, and falls back when the override ends."""
    before = getattr(conf.settings, name.lower())
    with configured(**{name: value}):
        assert getattr(conf.settings, name.lower()) == expected
    assert getattr(conf.settings, name.lower()) == before


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY", "sk_test_1", "sk_test_1"),
        ("PUBLISHABLE_KEY", "pk_test_1", "pk_test_1"),
        ("BASE_URL", "http://localhost:8000", "http://localhost:8000"),
        ("TIMEOUT", (1, 2), (1.0, 2.0)),
        ("TIMEOUT", [timedelta(seconds=1), 2.5], (1.0, 2.5)),
        ("TIMEOUT", 5, (5.0, 5.0)),
        ("TIMEOUT", timedelta(minutes=1), (60.0, 60.0)),
        ("IDEMPOTENCY_HEADER", "X-Once", "X-Once"),
        ("MAX_ANSWER_SIZE", 10, 10),
    ],
)
def test_an_account_s_setting_is_read_live(name, value, expected):
    """The dict's own keys are the account ``default``."""
    with configured(**{name: value}):
        assert getattr(conf.account("default"), name.lower()) == expected


def test_errors_of_triggers_are_raised_in_development(settings):
    """``TRIGGER_ERRORS`` follows ``DEBUG`` unless it is set."""
    settings.EMBEDWORKFLOW = {}
    settings.DEBUG = True
    assert conf.settings.trigger_errors == "raise"


def test_the_longest_poll_is_no_shorter_than_the_first():
    """A cap below the first interval is lifted to it, for polling never speeds up by itself."""
    with configured(POLL=(10, 1, 100)):
        first, cap, _ = conf.settings.poll
        assert first == cap == timedelta(seconds=10)


@pytest.mark.parametrize("ever", [timedelta.max, 1e12], ids=["timedelta.max", "number"])
def test_for_ever_stays_within_the_calendar(ever):
    """Whoever never wants to give up may say so."""
    with configured(GIVE_UP_AFTER=ever, POLL=(1, ever, ever), LEASE=ever):
        for duration in (conf.settings.give_up_after, *conf.settings.poll, conf.settings.lease):
            assert timezone.now() + duration


def test_the_lease_covers_the_slowest_account():
    """The default lease is twice the longest call that any account allows."""
    with configured(TIMEOUT=(1, 2), ACCOUNTS={"slow": {"TIMEOUT": (5, 55)}}):
        assert conf.settings.lease == timedelta(seconds=120)


# Accounts.


def test_an_account_inherits_what_it_does_not_set():
    """An entry of ``ACCOUNTS`` overrides the dict's own keys one by one."""
    with configured(
        SECRET_KEY="sk_test_1",
        BASE_URL="https://one.example",
        USER_KEY="one",
        ACCOUNTS={"eu": {"SECRET_KEY": "sk_test_2", "USER_KEY": "two"}},
    ):
        eu = conf.account("eu")
        assert (eu.alias, eu.secret_key, eu.base_url) == ("eu", "sk_test_2", "https://one.example")
        assert conf.user_key("eu", None) == "two"
        assert conf.account().secret_key == "sk_test_1"


def test_an_unknown_account_is_refused_with_the_nearest_name():
    """The error names the account that was asked for and the one that was meant."""
    with (
        configured(ACCOUNTS={"europe": {}}),
        pytest.raises(
            conf.ConfigurationError,
            match=r"There is no account 'eurpe' in EMBEDWORKFLOW. Did you mean 'europe'\?",
        ),
    ):
        conf.account("eurpe")


def test_a_key_is_required():
    """An account that is unknown or has no key is refused; the error says what to do."""
    with configured(SECRET_KEY="sk_test_1", ACCOUNTS={"eu": {"SECRET_KEY": ""}, "us": {}}):
        conf.require_key("default")
        conf.require_key("us")
        with pytest.raises(conf.ConfigurationError, match="There is no account 'asia'"):
            conf.require_key("asia")
        with pytest.raises(conf.ConfigurationError) as caught:
            conf.require_key("eu")
    assert str(caught.value).startswith('EMBEDWORKFLOW["ACCOUNTS"]["eu"]["SECRET_KEY"] is not set.')
    assert "manage.py embedworkflow_sandbox" in str(caught.value)
    assert str(conf.missing_key("default")).startswith('EMBEDWORKFLOW["SECRET_KEY"] is not set.')


def test_the_key_is_not_in_the_repr_of_an_account():
    """An account in a log or a traceback shows no secret key."""
    with configured(SECRET_KEY="sk_test_geheim"):
        assert "geheim" not in repr(conf.account())


# The user.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("acme", "acme"),
        ("jane@example.com", "jane@example.com"),
        (whoever, "user of cake"),
        ("tests.test_conf.whoever", "user of cake"),
    ],
    ids=["none", "text", "address", "callable", "path"],
)
def test_the_user_is_text_or_a_callable_of_the_source(value, expected):
    """``USER_KEY`` is the user's key, a callable that gets the source, or the path of one."""
    with configured(USER_KEY=value):
        assert conf.user_key("default", "cake") == expected


@pytest.mark.parametrize("value", ["tests.nowhere.whoever", "tests.test_conf.nobody", 5])
def test_a_user_that_cannot_be_found_is_refused(value):
    """The error names the setting."""
    with (
        configured(USER_KEY=value),
        pytest.raises(conf.ConfigurationError, match=r'EMBEDWORKFLOW\["USER_KEY"\]'),
    ):
        conf.user_key("default", None)


def test_a_user_s_key_with_dots_is_given_by_a_callable():
    """Such text is read as a path; the error says the way out, and it works."""
    with (
        configured(USER_KEY="acme.com"),
        pytest.raises(conf.ConfigurationError, match=r"A key with dots in it .* lambda source: …"),
    ):
        conf.user_key("default", None)
    with configured(USER_KEY=lambda source: "acme.com"):
        assert conf.user_key("default", None) == "acme.com"


# Errors.


@pytest.mark.parametrize(
    ("name", "value", "should"),
    [
        ("DISPATCHER", 5, "a string"),
        ("NOTIFY", 1, "True or False"),
        ("CONCURRENCY", 0, "a whole number of at least 1"),
        ("CONCURRENCY", True, "a whole number"),
        ("CONCURRENCY", "8", "a whole number"),
        ("LEASE", 0, "a positive number of seconds or a timedelta"),
        ("LEASE", timedelta(0), "a positive number"),
        ("LEASE", float("inf"), "a positive number"),
        ("LEASE", float("nan"), "a positive number"),
        ("LEASE", True, "a positive number"),
        ("GIVE_UP_AFTER", "3d", "a positive number"),
        ("ON_LOST_ANSWER", "pray", "'resend' or 'hold'"),
        ("ON_LOST_ANSWER", ["hold"], "'resend' or 'hold'"),
        ("POLL", 1, "three durations"),
        ("POLL", (1, 2), "three durations"),
        ("POLL", "abc", "three durations"),
        ("POLL", (1, 2, "30d"), "a positive number"),
        ("TRIGGER_ERRORS", "ignore", "'raise' or 'log'"),
        ("MAX_DATA_SIZE", 1.5, "a whole number"),
        ("REDACT", "password", "a list of strings"),
        ("REDACT", [1], "a list of strings"),
        ("REDACT", [""], "a list of strings"),
        ("RETENTION", -1, "a positive number"),
        ("CALLBACK_URL", None, "a string"),
        ("ACCOUNTS", ["eu"], "a dict of dicts"),
        ("ACCOUNTS", {"eu": "sk_test_1"}, "a dict of dicts"),
        ("ACCOUNTS", {5: {}}, "a dict of dicts"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(name, value, should):
    """The error names the setting and says what it should be."""
    with configured(**{name: value}), pytest.raises(conf.ConfigurationError) as caught:
        getattr(conf.settings, name.lower())
    assert str(caught.value).startswith(f'EMBEDWORKFLOW["{name}"] should be ')
    assert should in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "should"),
    [
        ("SECRET_KEY", b"sk_test_1", "a string, not bytes"),
        ("PUBLISHABLE_KEY", None, "a string, not NoneType"),
        ("BASE_URL", 80, "a string"),
        ("TIMEOUT", "5", "a pair of seconds (connect, read)"),
        ("TIMEOUT", (1,), "a pair of seconds"),
        ("TIMEOUT", (1, -1), "a positive number"),
        ("TIMEOUT", False, "a positive number"),
        ("IDEMPOTENCY_HEADER", "Idempotency Key", "the name of an HTTP header"),
        ("IDEMPOTENCY_HEADER", "X\r\nY", "the name of an HTTP header"),
        ("IDEMPOTENCY_HEADER", None, "the name of an HTTP header"),
        ("MAX_ANSWER_SIZE", "10M", "a whole number"),
    ],
)
def test_an_account_s_value_is_named_where_it_stands(name, value, should):
    """The error names the setting in the account that sets it, or in the dict if inherited."""
    for values, where in (
        ({name: value, "ACCOUNTS": {"eu": {}}}, "EMBEDWORKFLOW"),
        ({"ACCOUNTS": {"eu": {name: value}}}, 'EMBEDWORKFLOW["ACCOUNTS"]["eu"]'),
    ):
        with configured(**values), pytest.raises(conf.ConfigurationError) as caught:
            conf.account("eu")
        assert str(caught.value).startswith(f'{where}["{name}"] should be ')
        assert should in str(caught.value)


@pytest.mark.parametrize("value", [None, [("SECRET_KEY", "")], "sk_test_1"])
def test_the_setting_is_a_dict(settings, value):
    """Anything but a dict is refused, and not shown."""
    settings.EMBEDWORKFLOW = value
    with pytest.raises(conf.ConfigurationError, match=r"EMBEDWORKFLOW should be a dict, not \w+\."):
        conf.settings.concurrency  # noqa: B018


@pytest.mark.parametrize("accounts", [["eu"], {"eu": None}])
def test_broken_accounts_are_named_by_whoever_reads_them(accounts):
    """An account cannot be had from ``ACCOUNTS`` that is no dict of dicts."""
    with (
        configured(ACCOUNTS=accounts),
        pytest.raises(conf.ConfigurationError, match="dict of dicts"),
    ):
        conf.account("eu")
    with configured(ACCOUNTS=accounts):
        assert conf.place("TIMEOUT", "eu") == 'EMBEDWORKFLOW["TIMEOUT"]'


@pytest.mark.parametrize(
    "alias", ["", "a" * 101, "eu\n", "eu\0", "\ud800", "sk_test_1\n"], ids=ascii
)
def test_an_alias_can_be_stored(alias):
    """An alias that no database would take, or nobody could read, is named, but for a key."""
    with (
        configured(ACCOUNTS={"us": {}, alias: {}}),
        pytest.raises(conf.ConfigurationError) as caught,
    ):
        conf.settings.accounts  # noqa: B018
    assert str(caught.value).startswith('EMBEDWORKFLOW["ACCOUNTS"]: an alias should be 1 to 100 ')
    assert "sk_test_1" not in str(caught.value)


def test_the_longest_alias_is_what_the_column_takes():
    """What the settings admit can be stored."""
    assert Execution._meta.get_field("account").max_length == conf.LONGEST_ALIAS
    with configured(ACCOUNTS={"é" * conf.LONGEST_ALIAS: {}}):
        assert conf.account("é" * conf.LONGEST_ALIAS)


def test_no_error_shows_a_key():
    """A key in a wrong place is cut to its prefix."""
    with (
        configured(ON_LOST_ANSWER="sk_live_geheim"),
        pytest.raises(conf.ConfigurationError, match=r"not 'sk_live_…'\.$"),
    ):
        conf.settings.on_lost_answer  # noqa: B018


def test_a_configuration_error_is_no_error_to_retry():
    """Code that retries the package's errors never retries a typo."""
    assert issubclass(conf.ConfigurationError, ImproperlyConfigured)
    assert not issubclass(conf.ConfigurationError, exceptions.EmbedWorkflowError)


def test_the_nearest_name_is_meant():
    """A near miss names one word; anything else lists all, sorted."""
    assert conf.did_you_mean("wroker", ["thread", "worker"]) == "Did you mean 'worker'?"
    assert conf.did_you_mean("secret_key", conf.DEFAULTS) == "Did you mean 'SECRET_KEY'?"
    assert conf.did_you_mean("EU", ["default", "eu"]) == "Did you mean 'eu'?"
    assert conf.did_you_mean("xyz", ["thread", "immediate"]) == "Known: immediate, thread."


def test_settings_may_import_it():
    """A settings module can import ``conf`` and build its dict with it."""
    code = "import django.conf; from embedworkflow_django import conf; conf.from_env('NO_SUCH_')\n"
    code += "assert not django.conf.settings.configured"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
