"""Settings: the one dict ``EMBEDWORKFLOW``, read live through typed properties."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from . import values

if TYPE_CHECKING:
    from pathlib import Path

    from django.db import models


SETTING = "EMBEDWORKFLOW"
DEFAULT_ACCOUNT = "default"
#: What the column takes that keeps an account's alias.
LONGEST_ALIAS = 100
_T = TypeVar("_T")

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
    "NOTIFY": False,
    "CONCURRENCY": 8,
    "RATE": None,
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
    # The two are easily mistaken for each other.
    publishable_key: str = field(repr=False)
    base_url: str
    timeout: tuple[float, float]
    idempotency_header: str
    max_answer_size: int

    def __reduce__(self) -> NoReturn:
        raise TypeError("An account is never pickled, for it has the secret key.")


def is_test_run() -> bool:
    """Return whether Django's tests run: a test's database and its clock are its own."""
    # Not by mail.outbox: a project may keep its mails in memory, too.
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word of ``known`` that ``word`` may have been meant for, in whatever case."""
    folded = {each.casefold(): each for each in sorted(known)}
    near = difflib.get_close_matches(word.casefold(), folded)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the word of ``known`` nearest to ``word``, or lists them all."""
    near = nearest(word, known)
    return f"Did you mean {near!r}?" if near else f"Known: {', '.join(sorted(known))}."


# What an entry of ACCOUNTS may set for itself; it inherits the rest of these from the dict.
ACCOUNT_SETTINGS: dict[str, Callable[[object], Any]] = {
    "SECRET_KEY": values.text,
    "PUBLISHABLE_KEY": values.text,
    "BASE_URL": values.text,
    "TIMEOUT": values.timeout,
    "USER_KEY": values.user_key,
    "IDEMPOTENCY_HEADER": values.header,
    "MAX_ANSWER_SIZE": values.integer,
    "RATE": values.rate,
}
# What the client is not told: it is about who calls, and how often.
_NOT_THE_CLIENTS = ("USER_KEY", "RATE")


class Settings:
    """The settings of the whole project; every access reads ``django.conf.settings`` anew."""

    @property
    def given(self) -> Mapping[str, Any]:
        """What the project has written, unchecked but for its being a dict."""
        given = getattr(django_settings, SETTING, {})
        if not isinstance(given, (dict, Mapping)):
            kind = type(given).__name__
            del given
            raise ConfigurationError(f"{SETTING} should be a dict, not {kind}.")
        return given

    def _read(self, name: str, reader: Callable[[object], _T]) -> _T:
        try:
            return reader(self.given.get(name, DEFAULTS[name]))
        except values.UnfitError as unfit:
            raise ConfigurationError(f"{place(name)} {unfit}") from None

    @property
    def dispatcher(self) -> str:
        """A short name or a dotted path: what a commit wakes.

        Where none is given, a test run wakes nobody: a thread would meddle with the test database,
        and call the API with what a test commits.
        """
        if "DISPATCHER" not in self.given and is_test_run():
            return "worker"
        return self._read("DISPATCHER", values.text)

    @property
    def notify(self) -> bool:
        """Whether a commit tells the workers, where the database can carry it."""
        return self._read("NOTIFY", values.flag)

    @property
    def concurrency(self) -> int:
        """How many calls of an account a worker has in flight at once."""
        return self._read("CONCURRENCY", values.integer)

    @property
    def lease(self) -> timedelta:
        """How long a claimed row is left to the worker that claimed it."""
        if self.given.get("LEASE") is not None:
            return self._read("LEASE", values.duration)
        longest = max(sum(account_value(alias, "TIMEOUT")) for alias in self.accounts)
        return timedelta(seconds=2 * longest)

    @property
    def give_up_after(self) -> timedelta:
        """How long a queued row is tried before it is undeliverable."""
        return self._read("GIVE_UP_AFTER", values.duration)

    @property
    def on_lost_answer(self) -> str:
        """``resend`` under the same key, or ``hold`` for a person's decision."""
        return self._read("ON_LOST_ANSWER", values.choice("resend", "hold"))

    @property
    def poll(self) -> tuple[timedelta, timedelta, timedelta]:
        """The first interval, the longest one, and the age at which asking ends."""
        return self._read("POLL", values.poll)

    @property
    def trigger_errors(self) -> str:
        """``raise`` lets a trigger's error through to the caller, ``log`` does not."""
        if self.given.get("TRIGGER_ERRORS") is None:
            return "raise" if django_settings.DEBUG else "log"
        return self._read("TRIGGER_ERRORS", values.choice("raise", "log"))

    @property
    def max_data_size(self) -> int:
        """The largest execution data that is accepted, in bytes of JSON."""
        return self._read("MAX_DATA_SIZE", values.integer)

    @property
    def redact(self) -> tuple[str, ...]:
        """Parts of key names whose values admin, REST and logs hide."""
        return self._read("REDACT", values.texts)

    @property
    def retention(self) -> timedelta | None:
        """The age at which ``embedworkflow_prune`` deletes finished rows; ``None`` keeps them."""
        return (
            None
            if self.given.get("RETENTION") is None
            else self._read("RETENTION", values.duration)
        )

    @property
    def callback_url(self) -> str:
        """The public URL at which this project takes callbacks."""
        return self._read("CALLBACK_URL", values.text)

    @property
    def accounts(self) -> list[str]:
        """The aliases of all accounts, ``default`` first."""
        others = self.given.get("ACCOUNTS", {})
        if not isinstance(others, (dict, Mapping)) or not all(
            isinstance(alias, str) and isinstance(own, (dict, Mapping))
            for alias, own in others.items()
        ):
            del others
            raise ConfigurationError(f'{SETTING}["ACCOUNTS"] should be a dict of dicts.')
        unfit = [alias for alias in others if not _is_fit(alias)][:1]
        if unfit:
            said = values.without_keys(repr(unfit[0]))
            del others, unfit
            raise ConfigurationError(
                f'{SETTING}["ACCOUNTS"]: an alias should be 1 to {LONGEST_ALIAS} printable '
                f"characters, not {said}."
            )
        return [DEFAULT_ACCOUNT, *(alias for alias in others if alias != DEFAULT_ACCOUNT)]


settings = Settings()


# What raises in this module keeps no dict of the settings in its frame: an error's page and
# collectors of errors show the frames' locals, and would show the keys with them.


def _is_fit(alias: str) -> bool:
    return 0 < len(alias) <= LONGEST_ALIAS and alias.isprintable()


def _own(alias: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    accounts = given.get("ACCOUNTS", {})
    # The abstract class alone would cost more than all else here.
    own = accounts.get(alias) if isinstance(accounts, (dict, Mapping)) else None
    return own if isinstance(own, (dict, Mapping)) else {}


def place(name: str, alias: str = DEFAULT_ACCOUNT) -> str:
    """Return where in the settings an account's value of a setting is written."""
    if name in ACCOUNT_SETTINGS and name in _own(alias, settings.given):
        return f'{SETTING}["ACCOUNTS"]["{alias}"]["{name}"]'
    return f'{SETTING}["{name}"]'


def account_value(alias: str, name: str) -> Any:
    """Return an account's value of one of ``ACCOUNT_SETTINGS``, its own or the inherited one.

    Raises:
        ConfigurationError: The value makes no sense.
    """
    try:
        return ACCOUNT_SETTINGS[name](_written(alias, name))
    except values.UnfitError as unfit:
        raise ConfigurationError(f"{place(name, alias)} {unfit}") from None


def _written(alias: str, name: str) -> Any:
    given = settings.given
    own = _own(alias, given)
    return own[name] if name in own else given.get(name, DEFAULTS[name])


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
    names = (name for name in ACCOUNT_SETTINGS if name not in _NOT_THE_CLIENTS)
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
    has_others = alias != DEFAULT_ACCOUNT or "ACCOUNTS" in settings.given
    if has_others and alias not in settings.accounts:
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
    found: values.UserKey = account_value(alias, "USER_KEY")
    return found(source) if callable(found) else found


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

    try:
        return env.read(prefix, env_file)
    except ConfigurationError as error:
        refused = ConfigurationError(*error.args)
    # Raised here and not above, for the frames that failed hold the keys that were read before.
    raise refused from None
