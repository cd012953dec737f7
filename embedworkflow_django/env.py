"""The environment: what ``conf.from_env`` makes of ``EMBEDWORKFLOW_*`` variables.

Every setting ``X`` has a variable ``EMBEDWORKFLOW_X``; an empty one counts as not set.

* Durations (``LEASE``, ``GIVE_UP_AFTER``, ``RETENTION``, each part of ``TIMEOUT`` and ``POLL``) are
  numbers of seconds, or a number and a unit: ``s``, ``m``, ``h``, ``d``. So ``GIVE_UP_AFTER=3d``,
  ``TIMEOUT=3.05,20`` (or one number for both), ``POLL=1,5m,30d``.
* ``REDACT`` is a list with commas. Sizes are bytes.
* ``ACCOUNTS=eu,us`` names further accounts; the settings of ``eu`` are ``EMBEDWORKFLOW_EU_…``, such
  as ``EMBEDWORKFLOW_EU_SECRET_KEY``. In the variables' names an alias is in capitals, and whatever
  is neither a letter nor a digit is ``_``.
* ``EMBEDWORKFLOW_X_FILE`` names a file that holds the value, as for Docker's secrets.

A variable that means nothing is kept under its name, without its value, so that the system check
for unknown settings reports it and can be silenced.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from . import conf, values

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Lookup = Callable[[str], str]


def duration(text: str) -> timedelta:
    """Return what ``90``, ``1.5h`` or ``30d`` stands for; a number alone is seconds.

    Raises:
        ValueError: The text is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def _age(text: str) -> timedelta | int:
    # Left a number, as in the settings, the check asks whether days were meant.
    return int(text) if text.strip().isdecimal() else duration(text)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _durations(text: str) -> Any:
    parts = tuple(duration(part) for part in text.split(","))
    return parts if len(parts) > 1 else parts[0]


def _flag(text: str) -> bool:
    if (word := text.strip().lower()) not in _FLAGS:
        raise ValueError(text)
    return _FLAGS[word]


_DURATION_WORDS = "seconds, or a number and one of s, m, h, d"
_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "TIMEOUT": (_durations, f'"connect,read", each {_DURATION_WORDS}'),
    "POLL": (_durations, f'"first,cap,end", each {_DURATION_WORDS}'),
    "LEASE": (duration, _DURATION_WORDS),
    "GIVE_UP_AFTER": (duration, _DURATION_WORDS),
    "RETENTION": (_age, _DURATION_WORDS),
    "CONCURRENCY": (int, "a whole number"),
    "NOTIFY": (_flag, "true or false"),
    "RATE": (float, "a number of calls a second"),
    "MAX_ANSWER_SIZE": (int, "a whole number of bytes"),
    "MAX_DATA_SIZE": (int, "a whole number of bytes"),
    "REDACT": (_words, "a list with commas"),
}
_TEXT = (str, "text")


def read(prefix: str, env_file: str | Path | None) -> dict[str, Any]:
    """Return the settings that the environment holds; see ``conf.from_env``.

    Raises:
        ConfigurationError: django-environ is missing, or a variable makes no sense.
    """
    names, lookup = _environment(env_file)
    aliases = _aliases(prefix, lookup)
    plain = {f"{prefix}{name}": name for name in conf.DEFAULTS if name != "ACCOUNTS"}
    settings = _settings(plain, lookup)
    known = {*plain, f"{prefix}ACCOUNTS"}
    accounts = {}
    for part, alias in aliases.items():
        own = {f"{prefix}{part}_{name}": name for name in conf.ACCOUNT_SETTINGS}
        accounts[alias] = _settings(own, lookup)
        known.update(own)
    if accounts:
        settings["ACCOUNTS"] = accounts
    return settings | _unknown(prefix, names, known)


def _environment(env_file: str | Path | None) -> tuple[list[str], Lookup]:
    try:
        import environ  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
        from environ.fileaware_mapping import (  # type: ignore[import-untyped] # noqa: PLC0415
            FileAwareMapping,
        )
    except ImportError:
        raise conf.ConfigurationError(
            'from_env() needs django-environ: pip install "embedworkflow-django[env]".'
        ) from None

    class Environment(environ.Env):  # type: ignore[misc]
        """A copy of the environment, so that reading a file leaves the process's own alone."""

        ENVIRON = FileAwareMapping({**os.environ})

    if env_file is not None:
        # It logs a line that it cannot read, and that may hold a key.
        theirs = logging.getLogger(environ.Env.__module__)
        theirs.addFilter(_without_keys)
        try:
            Environment.read_env(str(env_file))
        finally:
            theirs.removeFilter(_without_keys)
    lookup = Environment()
    return list(lookup.ENVIRON), lambda name: str(lookup.str(name, default="")).strip()


def _without_keys(record: logging.LogRecord) -> bool:
    record.msg, record.args = values.without_keys(record.getMessage()), None
    return True


def _aliases(prefix: str, lookup: Lookup) -> dict[str, str]:
    variable = f"{prefix}ACCOUNTS"
    aliases: dict[str, str] = {}
    for alias in _words(lookup(variable)):
        part = re.sub(r"[^A-Z0-9]", "_", alias.upper())
        if part in aliases:
            raise conf.ConfigurationError(
                f"{variable} names {aliases[part]!r} and {alias!r}, whose variables would both "
                f"begin with {prefix}{part}_. Rename one of them."
            )
        aliases[part] = alias
    return aliases


def _settings(variables: dict[str, str], lookup: Lookup) -> dict[str, Any]:
    given = {}
    for variable, name in variables.items():
        try:
            text = lookup(variable)
        except OSError as error:
            raise conf.ConfigurationError(
                f"{variable}_FILE names a file that cannot be read: {error.strerror}."
            ) from None
        if text:
            given[name] = _value(variable, name, text)
    return given


def _value(variable: str, name: str, text: str) -> Any:
    reader, should = _READERS.get(name, _TEXT)
    try:
        return reader(text)
    except (ValueError, OverflowError):
        raise conf.ConfigurationError(
            f"{variable} should be {should}, not {values.without_keys(repr(text))}."
        ) from None


def _unknown(prefix: str, names: list[str], known: set[str]) -> dict[str, None]:
    known = known | {f"{name}_FILE" for name in known}
    strange = sorted(name for name in names if name.startswith(prefix) and name not in known)
    # Without a prefix every variable of the machine would be strange.
    return {name.removeprefix(prefix): None for name in strange if prefix}
