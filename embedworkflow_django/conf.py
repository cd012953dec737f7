"""Settings: the one dict ``EMBEDWORKFLOW``, read live through typed properties."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from pathlib import Path

    from django.db import models

    UserKey = str | Callable[[models.Model | None], str | None] | None

SETTING = "EMBEDWORKFLOW"
DEFAULT_ACCOUNT = "default"
_DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KEY = re.compile(r"(?P<kind>[sp]k_(live|test)_)[^\s'\"]*")

DEFAULTS: dict[str, Any] = {
    "SECRET_KEY": "",
    "PUBLISHABLE_KEY": "",
    "BASE_URL": "https://embedworkflow.com/api/v1",
    "TIMEOUT": (3.05, 20.0),
    "USER_KEY": None,
    "IDEMPOTENCY_HEADER": "Idempotency-Key",
    "MAX_ANSWER_SIZE": 10 * 1024 * 1024,
    "ACCOUNTS": {},
    "DISPATCHER": "thread",
    "CONCURRENCY": 8,
    "LEASE": None,
    "GIVE_UP_AFTER": timedelta(days=3),
    "ON_LOST_ANSWER": "resend",
    "POLL": (1, 300, timedelta(days=30)),
    "TRIGGER_ERRORS": None,
    "MAX_DATA_SIZE": 1024 * 1024,
    "REDACT": ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization"),
    "RETENTION": None,
    "CALLBACK_URL": "",
}


class ConfigurationError(ImproperlyConfigured):
    """A setting is missing or makes no sense.

    It is deliberately no ``EmbedWorkflowError``: code that retries those must never retry a typo.
    """


@dataclass(frozen=True, kw_only=True)
class Account:
    """How to reach one account of the hosted API.

    Args:
        alias: The account's name in the settings; ``default`` for the dict's own keys.
        secret_key: The key that the client sends; never shown.
        publishable_key: The key that a browser may see.
        base_url: Where the API lives.
        timeout: Seconds to wait for a connection, and for an answer.
        idempotency_header: The name of the header that carries the idempotency key.
        max_answer_size: The largest answer that is read, in bytes.
    """

    alias: str
    secret_key: str = field(repr=False)
    publishable_key: str
    base_url: str
    timeout: tuple[float, float]
    idempotency_header: str
    max_answer_size: int


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the word of ``known`` nearest to ``word``, or lists them all."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def without_keys(text: str) -> str:
    """Return a text with whatever looks like an API key cut to its prefix."""
    return _KEY.sub(r"\g<kind>…", text)


def _faulty(where: str, should: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{where} should be {should}, not {without_keys(repr(value))}.")


def _duration(where: str, value: object) -> timedelta:
    if isinstance(value, timedelta) and value > timedelta(0):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        with suppress(OverflowError):
            return timedelta(seconds=value)
    raise _faulty(where, "a positive number of seconds or a timedelta", value)


def _integer(where: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise _faulty(where, "a whole number of at least 1", value)


def _text(where: str, value: object) -> str:
    if isinstance(value, str):
        return value
    # The value may be a key in a wrong type, so it is not shown.
    raise ConfigurationError(f"{where} should be a string, not {type(value).__name__}.")


def _header(where: str, value: object) -> str:
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value
    raise _faulty(where, "the name of an HTTP header", value)


def _choice(where: str, value: object, *choices: str) -> str:
    if isinstance(value, str) and value in choices:
        return value
    raise _faulty(where, " or ".join(repr(choice) for choice in choices), value)


def _timeout(where: str, value: object) -> tuple[float, float]:
    match value:
        case int() | float() | timedelta():
            connect = read = value
        case [connect, read]:
            pass
        case _:
            raise _faulty(where, "a pair of seconds (connect, read)", value)
    return _duration(where, connect).total_seconds(), _duration(where, read).total_seconds()


def _user_key(where: str, value: object) -> UserKey:
    if isinstance(value, str) and _DOTTED_PATH.fullmatch(value):
        try:
            value = import_string(value)
        except ImportError as error:
            raise ConfigurationError(f"{where} cannot be imported: {error}") from None
    if value is None or isinstance(value, str) or callable(value):
        return value
    raise _faulty(where, "a string or the dotted path of a callable", value)


# What an entry of ACCOUNTS may set for itself; it inherits the rest of these from the dict.
ACCOUNT_SETTINGS: dict[str, Callable[[str, object], Any]] = {
    "SECRET_KEY": _text,
    "PUBLISHABLE_KEY": _text,
    "BASE_URL": _text,
    "TIMEOUT": _timeout,
    "USER_KEY": _user_key,
    "IDEMPOTENCY_HEADER": _header,
    "MAX_ANSWER_SIZE": _integer,
}


def place(name: str, alias: str = DEFAULT_ACCOUNT) -> str:
    """Return where in the settings an account's value of a setting is written."""
    if name in _own(alias):
        return f'{SETTING}["ACCOUNTS"]["{alias}"]["{name}"]'
    return f'{SETTING}["{name}"]'


class Settings:
    """The settings of the whole project; every access reads ``django.conf.settings`` anew."""

    @property
    def given(self) -> Mapping[str, Any]:
        """What the project has written, unchecked but for its being a dict."""
        given = getattr(django_settings, SETTING, {})
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"{SETTING} should be a dict, not {type(given).__name__}.")
        return given

    def _get(self, name: str) -> Any:
        return self.given.get(name, DEFAULTS[name])

    @property
    def dispatcher(self) -> str:
        """A short name or a dotted path: what a commit wakes."""
        return _text(place("DISPATCHER"), self._get("DISPATCHER"))

    @property
    def concurrency(self) -> int:
        """How many calls a worker has in flight at once."""
        return _integer(place("CONCURRENCY"), self._get("CONCURRENCY"))

    @property
    def lease(self) -> timedelta:
        """How long a claimed row is left to the worker that claimed it."""
        lease = self._get("LEASE")
        if lease is not None:
            return _duration(place("LEASE"), lease)
        return timedelta(seconds=2 * max(sum(account(alias).timeout) for alias in self.accounts))

    @property
    def give_up_after(self) -> timedelta:
        """How long a queued row is tried before it is undeliverable."""
        return _duration(place("GIVE_UP_AFTER"), self._get("GIVE_UP_AFTER"))

    @property
    def on_lost_answer(self) -> str:
        """``resend`` under the same key, or ``hold`` for a person's decision."""
        return _choice(place("ON_LOST_ANSWER"), self._get("ON_LOST_ANSWER"), "resend", "hold")

    @property
    def poll(self) -> tuple[timedelta, timedelta, timedelta]:
        """The first interval, the longest one, and the age at which asking ends."""
        match self._get("POLL"):
            case [_, _, _] as parts:
                first, cap, end = (_duration(place("POLL"), part) for part in parts)
                return first, max(first, cap), end
            case value:
                raise _faulty(place("POLL"), "three durations (first, cap, end)", value)

    @property
    def trigger_errors(self) -> str:
        """``raise`` lets a trigger's error through to the caller, ``log`` does not."""
        value = self._get("TRIGGER_ERRORS")
        if value is None:
            return "raise" if django_settings.DEBUG else "log"
        return _choice(place("TRIGGER_ERRORS"), value, "raise", "log")

    @property
    def max_data_size(self) -> int:
        """The largest execution data that is accepted, in bytes of JSON."""
        return _integer(place("MAX_DATA_SIZE"), self._get("MAX_DATA_SIZE"))

    @property
    def redact(self) -> tuple[str, ...]:
        """Parts of key names whose values admin, REST and logs hide."""
        value = self._get("REDACT")
        if not isinstance(value, (tuple, list)) or not all(isinstance(v, str) and v for v in value):
            raise _faulty(place("REDACT"), "a list of strings", value)
        return tuple(value)

    @property
    def retention(self) -> timedelta | None:
        """The age at which ``embedworkflow_prune`` deletes finished rows; ``None`` keeps them."""
        value = self._get("RETENTION")
        return None if value is None else _duration(place("RETENTION"), value)

    @property
    def callback_url(self) -> str:
        """The public URL at which this project takes callbacks."""
        return _text(place("CALLBACK_URL"), self._get("CALLBACK_URL"))

    @property
    def accounts(self) -> list[str]:
        """The aliases of all accounts, ``default`` first."""
        others = self._get("ACCOUNTS")
        if not isinstance(others, Mapping) or not all(
            isinstance(alias, str) and isinstance(own, Mapping) for alias, own in others.items()
        ):
            raise ConfigurationError(f'{SETTING}["ACCOUNTS"] should be a dict of dicts.')
        return [DEFAULT_ACCOUNT, *(alias for alias in others if alias != DEFAULT_ACCOUNT)]


settings = Settings()


def _own(alias: str) -> Mapping[str, Any]:
    accounts = settings.given.get("ACCOUNTS", {})
    own = accounts.get(alias, {}) if isinstance(accounts, Mapping) else {}
    return own if isinstance(own, Mapping) else {}


def account_value(alias: str, name: str) -> Any:
    """Return an account's value of one of ``ACCOUNT_SETTINGS``, its own or the inherited one.

    Raises:
        ConfigurationError: The value makes no sense.
    """
    value = _own(alias).get(name, settings.given.get(name, DEFAULTS[name]))
    return ACCOUNT_SETTINGS[name](place(name, alias), value)


def account(alias: str = DEFAULT_ACCOUNT) -> Account:
    """Return how to reach an account.

    Args:
        alias: The account's name in the settings.

    Raises:
        ConfigurationError: There is no such account, or one of its settings makes no sense.
    """
    if alias not in settings.accounts:
        raise ConfigurationError(
            f"There is no account {alias!r} in {SETTING}. {did_you_mean(alias, settings.accounts)}"
        )
    names = ACCOUNT_SETTINGS.keys() - {"USER_KEY"}
    return Account(alias=alias, **{name.lower(): account_value(alias, name) for name in names})


def missing_key(alias: str) -> ConfigurationError:
    """Return the error that says how to give an account its secret key."""
    where = SETTING if alias == DEFAULT_ACCOUNT else f'{SETTING}["ACCOUNTS"]["{alias}"]'
    return ConfigurationError(
        f'{where}["SECRET_KEY"] is not set. Add your secret key to the settings, or start a local '
        'API with "manage.py embedworkflow_sandbox".'
    )


def require_key(alias: str) -> None:
    """Refuse an account that is unknown or has no secret key; cheaper than ``account``.

    Raises:
        ConfigurationError: The account is not configured.
    """
    if alias not in settings.accounts:
        account(alias)
    if not account_value(alias, "SECRET_KEY"):
        raise missing_key(alias)


def user_key(alias: str, source: models.Model | None) -> str | None:
    """Return the user on whose behalf an account's calls are made when the caller names none.

    Args:
        alias: The account's name in the settings.
        source: The object that an execution is about; a callable ``USER_KEY`` gets it.

    Raises:
        ConfigurationError: ``USER_KEY`` is neither a string nor a callable, nor a path to one.
    """
    value: UserKey = account_value(alias, "USER_KEY")
    return value(source) if callable(value) else value


def from_env(prefix: str = "EMBEDWORKFLOW_", env_file: str | Path | None = None) -> dict[str, Any]:
    """Return the dict ``EMBEDWORKFLOW`` as the environment's variables have it.

    The module ``env`` lists the variables. Needs django-environ, the extra ``env``.

    Args:
        prefix: What the variables' names begin with.
        env_file: A file of ``NAME=value`` lines to read first; the environment wins, and a file
            that does not exist is no error.

    Raises:
        ConfigurationError: django-environ is missing, or a variable makes no sense.
    """
    from . import env  # noqa: PLC0415 - most projects read no environment

    return env.read(prefix, env_file)
