"""The environment: each setting has its variable, and a slip is named without its value."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import pytest

from embedworkflow_django import checks, conf


@pytest.fixture
def variables(monkeypatch):
    """Return a function that makes the given variables the only ones of the package."""
    for name in list(os.environ):
        if name.startswith("EMBEDWORKFLOW_"):
            monkeypatch.delenv(name)

    def variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"EMBEDWORKFLOW_{name}", value)

    return variables


def test_an_empty_environment_gives_an_empty_dict(variables):
    """Where no variable is set the defaults of the settings hold."""
    assert conf.from_env() == {}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SECRET_KEY", "sk_test_1", "sk_test_1"),
        ("SECRET_KEY", " sk_test_1\n", "sk_test_1"),
        ("PUBLISHABLE_KEY", "pk_test_1", "pk_test_1"),
        ("BASE_URL", "http://127.0.0.1:8001/api/v1", "http://127.0.0.1:8001/api/v1"),
        ("TIMEOUT", "3.05,20", (timedelta(seconds=3.05), timedelta(seconds=20))),
        ("TIMEOUT", "5", timedelta(seconds=5)),
        ("USER_KEY", "shop.users.key_of", "shop.users.key_of"),
        ("IDEMPOTENCY_HEADER", "X-Once", "X-Once"),
        ("MAX_ANSWER_SIZE", "1000", 1000),
        ("DISPATCHER", "worker", "worker"),
        ("NOTIFY", "Yes", True),
        ("NOTIFY", "0", False),
        ("CONCURRENCY", "16", 16),
        ("RATE", "2.5", 2.5),
        ("LEASE", "2m", timedelta(minutes=2)),
        ("GIVE_UP_AFTER", "3d", timedelta(days=3)),
        ("GIVE_UP_AFTER", "90", timedelta(seconds=90)),
        ("GIVE_UP_AFTER", "1.5 h", timedelta(hours=1.5)),
        ("GIVE_UP_AFTER", "45s", timedelta(seconds=45)),
        ("ON_LOST_ANSWER", "hold", "hold"),
        (
            "POLL",
            "1, 5m, 30d",
            (timedelta(seconds=1), timedelta(minutes=5), timedelta(days=30)),
        ),
        ("TRIGGER_ERRORS", "log", "log"),
        ("MAX_DATA_SIZE", "1000", 1000),
        ("REDACT", "iban, password,", ["iban", "password"]),
        ("RETENTION", "90d", timedelta(days=90)),
        ("CALLBACK_URL", "https://shop.example/ewf/", "https://shop.example/ewf/"),
    ],
)
def test_each_setting_has_a_typed_variable(variables, settings, name, text, expected):
    """A variable becomes the setting's type, and the settings accept it."""
    variables(**{name: text})
    given = conf.from_env()
    assert given == {name: expected}
    settings.EMBEDWORKFLOW = given
    if name in conf.ACCOUNT_SETTINGS and name != "USER_KEY":
        conf.account()
        conf.account_value("default", name)
    elif name != "USER_KEY":
        getattr(conf.settings, name.lower())


def test_every_setting_can_be_given(variables):
    """No setting of the project or of accounts is without a variable."""
    texts = {"TIMEOUT": "1", "POLL": "1,2,3"}
    for name in conf.DEFAULTS.keys() - {"ACCOUNTS"}:
        variables(**{name: texts.get(name, "1")})
    assert conf.from_env().keys() == conf.DEFAULTS.keys() - {"ACCOUNTS"}


def test_an_empty_variable_counts_as_not_set(variables):
    """A line such as ``EMBEDWORKFLOW_CALLBACK_URL=`` leaves the default."""
    variables(CALLBACK_URL="", CONCURRENCY=" ", ACCOUNTS="")
    assert conf.from_env() == {}


def test_accounts_have_variables_of_their_own(variables, settings):
    """``ACCOUNTS`` names them; in the variables the names are in capitals, with ``_``."""
    variables(
        SECRET_KEY="sk_test_1",
        ACCOUNTS="eu-west, us",
        EU_WEST_SECRET_KEY="sk_test_2",
        EU_WEST_TIMEOUT="1,2",
    )
    settings.EMBEDWORKFLOW = conf.from_env()
    assert conf.settings.accounts == ["default", "eu-west", "us"]
    assert conf.account("eu-west").secret_key == "sk_test_2"
    assert conf.account("eu-west").timeout == (1.0, 2.0)
    assert conf.account("us").secret_key == "sk_test_1"


def test_accounts_may_not_share_their_variables(variables):
    """Two names that are one in capitals are refused."""
    variables(ACCOUNTS="eu-west,eu_west")
    with pytest.raises(conf.ConfigurationError, match="EMBEDWORKFLOW_EU_WEST_"):
        conf.from_env()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NOTIFY", "often"),
        ("CONCURRENCY", "many"),
        ("RATE", "often"),
        ("TIMEOUT", "3,"),
        ("TIMEOUT", "fast"),
        ("POLL", "1,2,3y"),
        ("LEASE", "-1"),
        ("GIVE_UP_AFTER", "3 days"),
        ("GIVE_UP_AFTER", "9" * 30),
        ("RETENTION", "d"),
        ("MAX_DATA_SIZE", "1M"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_variable(variables, name, text):
    """The error names the variable and says what it should be."""
    variables(ACCOUNTS="eu", **{name: text})
    with pytest.raises(conf.ConfigurationError, match=f"^EMBEDWORKFLOW_{name} should be .*, not "):
        conf.from_env()


def test_a_value_of_an_account_is_refused_by_its_variable(variables):
    """The error names the account's own variable."""
    variables(ACCOUNTS="eu", EU_TIMEOUT="fast")
    with pytest.raises(conf.ConfigurationError, match=r"^EMBEDWORKFLOW_EU_TIMEOUT should be "):
        conf.from_env()


def test_no_error_shows_a_key(variables):
    """A key in a wrong variable is cut to its prefix."""
    variables(CONCURRENCY="sk_live_geheim")
    with pytest.raises(conf.ConfigurationError) as caught:
        conf.from_env()
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_unknown_variable_is_reported_by_the_check(variables, settings):
    """A misspelt variable meets the check of misspelt settings, and its value is not kept."""
    variables(SECRET_KEI="sk_live_geheim", EU_TIMEOUT="5")
    settings.EMBEDWORKFLOW = given = conf.from_env()
    assert given == {"EU_TIMEOUT": None, "SECRET_KEI": None}
    first, second = checks.configuration.check_names()
    assert first.id == second.id == "embedworkflow.W006"
    assert "EU_TIMEOUT" in first.msg
    assert "ACCOUNTS" in first.hint
    assert second.hint == "Did you mean 'SECRET_KEY'?"


def test_a_value_may_stand_in_a_file(variables, tmp_path):
    """``…_FILE`` names a file that holds the value, which loses its line's end."""
    (tmp_path / "key").write_text("sk_test_of_a_file\n")
    variables(SECRET_KEY_FILE=str(tmp_path / "key"))
    assert conf.from_env() == {"SECRET_KEY": "sk_test_of_a_file"}


def test_a_file_that_cannot_be_read_is_named(variables, tmp_path):
    """The error names the variable of the file."""
    variables(SECRET_KEY_FILE=str(tmp_path / "nowhere"))
    with pytest.raises(conf.ConfigurationError, match=r"^EMBEDWORKFLOW_SECRET_KEY_FILE names a"):
        conf.from_env()


def test_a_file_of_variables_is_read_first(variables, tmp_path):
    """The environment wins over the file, and the file changes nothing in the environment."""
    file = tmp_path / ".env"
    file.write_text("# the shop\nEMBEDWORKFLOW_LEASE=60\nexport EMBEDWORKFLOW_CONCURRENCY='2'\n")
    variables(LEASE="30")
    assert conf.from_env(env_file=file) == {"LEASE": timedelta(seconds=30), "CONCURRENCY": 2}
    assert "EMBEDWORKFLOW_CONCURRENCY" not in os.environ


def test_a_line_that_cannot_be_read_is_logged_without_its_key(variables, tmp_path, caplog):
    """With spaces around the sign it is no line of such a file, and what is logged has no key."""
    file = tmp_path / ".env"
    file.write_text("EMBEDWORKFLOW_SECRET_KEY = sk_live_geheim%s\n")
    assert conf.from_env(env_file=file) == {}
    assert caplog.messages == ["Invalid line: EMBEDWORKFLOW_SECRET_KEY = sk_live_…"]


def test_a_retention_of_seconds_is_questioned(variables, settings):
    """A number that was meant as days is a warning before it empties the table; a unit is clear."""
    variables(RETENTION="90")
    settings.EMBEDWORKFLOW = conf.from_env()
    assert conf.settings.retention == timedelta(seconds=90)
    (warning,) = checks.configuration.check_retention()
    assert warning.id == "embedworkflow.W010"
    assert "90d" in warning.hint
    variables(RETENTION="90m")
    settings.EMBEDWORKFLOW = conf.from_env()
    assert list(checks.configuration.check_retention()) == []


def test_a_file_that_does_not_exist_is_no_error(variables, tmp_path):
    """A project runs without its ``.env`` where the environment itself is set."""
    variables(CONCURRENCY="2")
    assert conf.from_env(env_file=str(tmp_path / ".env")) == {"CONCURRENCY": 2}


def test_the_prefix_is_free(variables, monkeypatch):
    """Another prefix reads other variables; without one nothing is reported as unknown."""
    variables(CONCURRENCY="2")
    monkeypatch.setenv("EWF_CONCURRENCY", "3")
    assert conf.from_env(prefix="EWF_") == {"CONCURRENCY": 3}
    monkeypatch.setenv("CONCURRENCY", "4")
    assert conf.from_env(prefix="")["CONCURRENCY"] == 4
    assert "PATH" not in conf.from_env(prefix="")


def test_a_missing_library_is_named(variables, monkeypatch):
    """Without django-environ the error says what to install."""
    monkeypatch.setitem(sys.modules, "environ", None)
    with pytest.raises(conf.ConfigurationError, match=r'pip install "embedworkflow-django\[env\]"'):
        conf.from_env()
