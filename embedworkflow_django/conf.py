"""Settings: the one dict ``EMBEDWORKFLOW``, read live through typed properties."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.module_loading import import_string

SETTING = "EMBEDWORKFLOW"
DEFAULT_ACCOUNT = "default"
_DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
UserKey = str | Callable[[models.Model | None], str | None] | None

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
# What an entry of ACCOUNTS may set for itself; it inherits the rest of these from the dict.
ACCOUNT_SETTINGS = frozenset(
    {
        "SECRET_KEY",
        "PUBLISHABLE_KEY",
        "BASE_URL",
        "TIMEOUT",
        "USER_KEY",
        "IDEMPOTENCY_HEADER",
        "MAX_ANSWER_SIZE",
    }
)


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


def _faulty(name: str, should: str, value: object) -> ConfigurationError:
    return ConfigurationError(f'{SETTING}["{name}"] should be {should}, not {value!r}.')


def _duration(name: str, value: object) -> timedelta:
    if isinstance(value, timedelta) and value > timedelta(0):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return timedelta(seconds=value)
    raise _faulty(name, "a positive number of seconds or a timedelta", value)


def _integer(name: str, value: object, *, least: int = 1) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise _faulty(name, f"a whole number of at least {least}", value)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    # The value may be a key in a wrong type, so it is not shown.
    raise _faulty(name, "a string", type(value))


def _choice(name: str, value: object, *choices: str) -> str:
    if isinstance(value, str) and value in choices:
        return value
    raise _faulty(name, " or ".join(repr(choice) for choice in choices), value)


def _timeout(name: str, value: object) -> tuple[float, float]:
    if isinstance(value, (int, float, timedelta)):
        value = (value, value)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise _faulty(name, "a pair of seconds (connect, read)", value)
    connect, read = (_duration(name, part).total_seconds() for part in value)
    return connect, read


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
        return _text("DISPATCHER", self._get("DISPATCHER"))

    @property
    def concurrency(self) -> int:
        """How many calls a worker has in flight at once."""
        return _integer("CONCURRENCY", self._get("CONCURRENCY"))

    @property
    def lease(self) -> timedelta:
        """How long a claimed row is left to the worker that claimed it."""
        lease = self._get("LEASE")
        if lease is not None:
            return _duration("LEASE", lease)
        return timedelta(seconds=2 * max(sum(account(alias).timeout) for alias in self.accounts))

    @property
    def give_up_after(self) -> timedelta:
        """How long a queued row is tried before it is undeliverable."""
        return _duration("GIVE_UP_AFTER", self._get("GIVE_UP_AFTER"))

    @property
    def on_lost_answer(self) -> str:
        """``resend`` under the same key, or ``hold`` for a person's decision."""
        return _choice("ON_LOST_ANSWER", self._get("ON_LOST_ANSWER"), "resend", "hold")

    @property
    def poll(self) -> tuple[timedelta, timedelta, timedelta]:
        """The first interval, the longest one, and the age at which asking ends."""
        value = self._get("POLL")
        if not isinstance(value, (tuple, list)) or len(value) != 3:
            raise _faulty("POLL", "three durations (first, cap, end)", value)
        first, cap, end = (_duration("POLL", part) for part in value)
        return first, max(first, cap), end

    @property
    def trigger_errors(self) -> str:
        """``raise`` lets a trigger's error through to the caller, ``log`` does not."""
        value = self._get("TRIGGER_ERRORS")
        if value is None:
            return "raise" if django_settings.DEBUG else "log"
        return _choice("TRIGGER_ERRORS", value, "raise", "log")

    @property
    def max_data_size(self) -> int:
        """The largest execution data that is accepted, in bytes of JSON."""
        return _integer("MAX_DATA_SIZE", self._get("MAX_DATA_SIZE"))

    @property
    def redact(self) -> tuple[str, ...]:
        """Parts of key names whose values admin, REST and logs hide."""
        value = self._get("REDACT")
        if not isinstance(value, (tuple, list)) or not all(isinstance(v, str) and v for v in value):
            raise _faulty("REDACT", "a list of strings", value)
        return tuple(value)

    @property
    def retention(self) -> timedelta | None:
        """The age at which ``embedworkflow_prune`` deletes finished rows; ``None`` keeps them."""
        value = self._get("RETENTION")
        return None if value is None else _duration("RETENTION", value)

    @property
    def callback_url(self) -> str:
        """The public URL at which this project takes callbacks."""
        return _text("CALLBACK_URL", self._get("CALLBACK_URL"))

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


def _account_value(alias: str, name: str) -> Any:
    own = settings.given.get("ACCOUNTS", {}).get(alias, {})
    return own.get(name, settings.given.get(name, DEFAULTS[name]))


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
    return Account(
        alias=alias,
        secret_key=_text("SECRET_KEY", _account_value(alias, "SECRET_KEY")),
        publishable_key=_text("PUBLISHABLE_KEY", _account_value(alias, "PUBLISHABLE_KEY")),
        base_url=_text("BASE_URL", _account_value(alias, "BASE_URL")),
        timeout=_timeout("TIMEOUT", _account_value(alias, "TIMEOUT")),
        idempotency_header=_text("IDEMPOTENCY_HEADER", _account_value(alias, "IDEMPOTENCY_HEADER")),
        max_answer_size=_integer("MAX_ANSWER_SIZE", _account_value(alias, "MAX_ANSWER_SIZE")),
    )


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
    if not _account_value(alias, "SECRET_KEY"):
        raise missing_key(alias)


def user_key(alias: str, source: models.Model | None) -> str | None:
    """Return the user on whose behalf an account's calls are made when the caller names none.

    Args:
        alias: The account's name in the settings.
        source: The object that an execution is about; a callable ``USER_KEY`` gets it.

    Raises:
        ConfigurationError: ``USER_KEY`` is neither a string nor a callable, nor a path to one.
    """
    value: UserKey = _account_value(alias, "USER_KEY")
    if isinstance(value, str) and _DOTTED_PATH.fullmatch(value):
        try:
            value = import_string(value)
        except ImportError as error:
            raise ConfigurationError(f'{SETTING}["USER_KEY"] cannot be imported: {error}') from None
    if callable(value):
        return value(source)
    if value is None or isinstance(value, str):
        return value
    raise _faulty("USER_KEY", "a string or the dotted path of a callable", value)
