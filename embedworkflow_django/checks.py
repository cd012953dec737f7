"""System checks: what is wrong with the settings and the triggers, before anything is sent.

All carry the tag ``embedworkflow`` (``manage.py check --tag embedworkflow``) and read nothing but
the settings and the registry of triggers: no database, no network. None shows a key.

====  ===========================================================================================
id    what it says
====  ===========================================================================================
E001  ``EMBEDWORKFLOW`` is no dict, or ``ACCOUNTS`` no dict of dicts
E002  a setting is of the wrong type, or makes no sense
E003  a publishable key stands in the secret key's place
E004  a key has white space or characters beyond ASCII in it
E005  a secret key stands in the publishable key's place, where browsers would get it
E006  the base URL has no scheme (``http``, ``https``) or no host
E007  the dispatcher is neither a short name nor the path of a dispatcher's class
E008  a trigger listens to a model that never sends signals: abstract, or swapped out
E009  two triggers have one name
E010  a trigger's account is not configured
E011  a trigger's database (``using``) is not configured
E012  a trigger's workflow or ``id_type`` cannot be one
W001  an account has no secret key
W002  SQLite without ``transaction_mode: IMMEDIATE`` or WAL, beside a dispatcher's own connection
W003  a live key with ``DEBUG``
W004  a test key without ``DEBUG`` (only with ``check --deploy``)
W005  plain ``http`` to another machine: the key travels in clear
W006  an unknown setting, at the top or in an account
W007  a setting of the whole project in an account, where it has no effect
W008  dispatcher ``thread`` under uWSGI without threads
W009  a trigger listens to an unmanaged model
W010  ``RETENTION`` is shorter than a day: seconds where days were meant?
W011  dispatcher ``immediate`` sends within requests (only with ``check --deploy``)
W012  ``LEASE`` is shorter than twice the longest ``TIMEOUT``: calls may outlast their lease
====  ===========================================================================================
"""

from __future__ import annotations

import importlib
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections, router
from django.db.models import Model

from . import conf, dispatchers, intake, triggers, values
from .exceptions import InvalidExecution
from .models import Execution

TAG = "embedworkflow"
_SQLITE = """\
"OPTIONS": {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
},"""
_WAL = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal\b", re.IGNORECASE)
_Check = Callable[[], Iterator[CheckMessage]]


def _check(*tags: str, deploy: bool = False) -> Callable[[_Check], _Check]:
    """Register a check that leaves a setting it cannot read to the checks E001 and E002."""

    def decorate(check: _Check) -> _Check:
        def run(**_kwargs: Any) -> list[CheckMessage]:
            messages: list[CheckMessage] = []
            with suppress(conf.ConfigurationError):
                messages.extend(check())
            return messages

        register(run, TAG, *tags, deploy=deploy)
        return check

    return decorate


def _error(number: int, message: str, hint: str | None = None) -> Error:
    return Error(values.without_keys(message), hint=hint, id=f"{TAG}.E{number:03}")


def _warning(number: int, message: str, hint: str | None = None) -> CheckWarning:
    return CheckWarning(values.without_keys(message), hint=hint, id=f"{TAG}.W{number:03}")


def _accounts() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield where each entry of ``ACCOUNTS`` stands, and the entry."""
    entries = conf.settings.given.get("ACCOUNTS", {})
    for alias in conf.settings.accounts:
        if alias in entries:
            yield f'{conf.SETTING}["ACCOUNTS"]["{alias}"]', entries[alias]


def _written(name: str) -> Iterator[tuple[str, str]]:
    """Yield each place where a setting of accounts is written as text, and the text."""
    for where, given in ((conf.SETTING, conf.settings.given), *_accounts()):
        if isinstance(given.get(name), str):
            yield f'{where}["{name}"]', given[name]


def _fault(read: Callable[[], object]) -> str | None:
    try:
        read()
    except conf.ConfigurationError as error:
        return str(error)
    return None


# The settings.


@_check()
def check_structure() -> Iterator[CheckMessage]:
    """E001: the settings are a dict, and ``ACCOUNTS`` is a dict of dicts."""
    if fault := _fault(lambda: conf.settings.accounts):
        yield _error(1, fault, f'Write {conf.SETTING} = {{"SECRET_KEY": …}} in the settings.')


@_check()
def check_values() -> Iterator[CheckMessage]:
    """E002: each setting, of each account too, can be read."""
    properties = [
        name for name, value in vars(conf.Settings).items() if isinstance(value, property)
    ]
    reads = [partial(getattr, conf.settings, name) for name in properties]
    for alias in conf.settings.accounts:
        reads += [partial(conf.account_value, alias, name) for name in conf.ACCOUNT_SETTINGS]
    # An account inherits its faults too: each is said once.
    yield from (_error(2, fault) for fault in dict.fromkeys(map(_fault, reads)) if fault)


@_check()
def check_names() -> Iterator[CheckMessage]:
    """W006, W007: each setting exists, where it stands."""
    for name in conf.settings.given:
        if name not in conf.DEFAULTS:
            yield _warning(6, f'{conf.SETTING}["{name}"] is no setting.', _meant(str(name)))
    for where, own in _accounts():
        for name in own:
            if name in conf.DEFAULTS.keys() - conf.ACCOUNT_SETTINGS.keys():
                yield _warning(
                    7,
                    f'{where}["{name}"] has no effect: it is a setting of the whole project.',
                    f'Move it to {conf.SETTING}["{name}"].',
                )
            elif name not in conf.ACCOUNT_SETTINGS:
                hint = conf.did_you_mean(str(name), conf.ACCOUNT_SETTINGS)
                yield _warning(6, f'{where}["{name}"] is no setting of an account.', hint)


def _meant(name: str) -> str:
    if any(name.endswith(f"_{own}") for own in conf.ACCOUNT_SETTINGS):
        return "Settings of an account stand in ACCOUNTS, whose variable names the accounts."
    return conf.did_you_mean(name, conf.DEFAULTS)


@_check(Tags.security)
def check_keys() -> Iterator[CheckMessage]:
    """E003, E004, E005: each key is whole, and in its own place."""
    for where, key in _written("SECRET_KEY"):
        if key.startswith("pk_"):
            yield _error(
                3,
                f"{where} is a publishable key (pk_…).",
                "The secret key begins with sk_. The publishable one goes into PUBLISHABLE_KEY.",
            )
        yield from _unclean(where, key)
    for where, key in _written("PUBLISHABLE_KEY"):
        if key.startswith("sk_"):
            yield _error(
                5,
                f"{where} is a secret key (sk_…), which pages would show to everybody.",
                "The publishable key begins with pk_. Replace the secret key: it may be known now.",
            )
        yield from _unclean(where, key)


def _unclean(where: str, key: str) -> Iterator[CheckMessage]:
    if not (key.isascii() and key.isprintable()) or " " in key:
        yield _error(
            4,
            f"{where} has white space, a line's end or a character beyond ASCII in it.",
            "Copy the key again. A key that is read from a file needs .strip().",
        )


@_check()
def check_key_present() -> Iterator[CheckMessage]:
    """W001: each account has a secret key; ``default`` need not if there are others."""
    first, *others = conf.settings.accounts
    for alias in others or [first]:
        if not conf.account_value(alias, "SECRET_KEY"):
            message, _, hint = str(conf.missing_key(alias)).partition(". ")
            yield _warning(1, f"{message}.", hint)


@_check(Tags.security)
def check_live_key() -> Iterator[CheckMessage]:
    """W003: real customers' workflows do not start from a developer's machine."""
    for where, key in _written("SECRET_KEY"):
        if django_settings.DEBUG and key.startswith("sk_live_"):
            yield _warning(
                3,
                f"{where} is a live key while DEBUG is on: workflows reach real people.",
                "Use the test key (sk_test_…), or the sandbox: manage.py embedworkflow_sandbox.",
            )


@_check(deploy=True)
def check_test_key() -> Iterator[CheckMessage]:
    """W004: a deployment does not send into the test environment."""
    for where, key in _written("SECRET_KEY"):
        if not django_settings.DEBUG and key.startswith("sk_test_"):
            yield _warning(
                4,
                f"{where} is a test key while DEBUG is off: no real workflow is started.",
                "Use the live key (sk_live_…) in production; elsewhere, silence this check.",
            )


@_check(Tags.security)
def check_base_url() -> Iterator[CheckMessage]:
    """E006, W005: the API's address is complete, and encrypted unless it is this machine."""
    for where, text in _written("BASE_URL"):
        url = _split(text)
        if url is None:
            yield _error(
                6,
                f"{where} should begin with https:// and a host, not {text!r}.",
                f"The hosted API is {conf.DEFAULTS['BASE_URL']}",
            )
        elif url.scheme == "http" and not _is_loopback(str(url.hostname)):
            yield _warning(
                5,
                f"{where} is plain http to {url.hostname}: the secret key travels in clear.",
                "Use https. Plain http is for this machine only (localhost, 127.0.0.1, [::1]).",
            )


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
    except ValueError:
        return None
    return url if url.scheme in {"http", "https"} and url.hostname else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@_check()
def check_retention() -> Iterator[CheckMessage]:
    """W010: a number that looks like days is not taken for seconds unnoticed."""
    value, age = conf.settings.given.get("RETENTION"), conf.settings.retention
    if age is not None and age < timedelta(days=1) and value is not age:
        yield _warning(
            10,
            f"{conf.place('RETENTION')} is {value} seconds: finished executions are pruned then.",
            f"If days are meant, write timedelta(days={value}).",
        )


@_check()
def check_lease() -> Iterator[CheckMessage]:
    """W012: nobody sends a row again while its call is still in flight."""
    longest = max(sum(conf.account(alias).timeout) for alias in conf.settings.accounts)
    if conf.settings.lease < timedelta(seconds=2 * longest):
        yield _warning(
            12,
            f"{conf.place('LEASE')} is shorter than twice the longest TIMEOUT, {longest:g} s: "
            "another worker may send what is still in flight.",
            f"Leave LEASE out, or make it at least {2 * longest:g} seconds.",
        )


# The dispatcher.


def _dispatches_by(short_name: str) -> bool:
    return conf.settings.dispatcher in {short_name, dispatchers.SHORT_NAMES[short_name]}


@_check()
def check_dispatcher() -> Iterator[CheckMessage]:
    """E007: the dispatcher can be imported; at the commit its absence would only be logged."""
    name = conf.settings.dispatcher
    if fault := _fault(lambda: dispatchers.dispatcher_class(name)):
        message, _, hint = fault.rstrip(".").partition(". ")
        yield _error(7, f"{message}.", hint or conf.did_you_mean("", dispatchers.SHORT_NAMES))


@_check()
def check_sqlite() -> Iterator[CheckMessage]:
    """W002: SQLite takes a second writer, which a dispatcher is."""
    if _dispatches_by("immediate"):
        return
    for alias in connections:
        connection = connections[alias]
        if connection.vendor != "sqlite" or not router.allow_migrate_model(alias, Execution):
            continue
        options = connection.settings_dict.get("OPTIONS", {})
        immediate = str(options.get("transaction_mode")).upper() in {"IMMEDIATE", "EXCLUSIVE"}
        if not (immediate and _WAL.search(str(options.get("init_command")))):
            yield _warning(
                2,
                f'The SQLite database "{alias}" would fail with "database is locked" while the '
                f'dispatcher "{conf.settings.dispatcher}" and requests write at once.',
                f'Add to DATABASES["{alias}"]:\n{_SQLITE}',
            )


@_check()
def check_uwsgi() -> Iterator[CheckMessage]:
    """W008: uWSGI lets the dispatcher's threads run."""
    if _dispatches_by("thread") and not _has_threads():
        yield _warning(
            8,
            'The dispatcher "thread" cannot run: this uWSGI has no threads, so nothing is sent.',
            'Start uWSGI with --enable-threads, or use DISPATCHER "worker" and run '
            "manage.py embedworkflow_worker.",
        )


def _has_threads() -> bool:
    try:
        uwsgi = importlib.import_module("uwsgi")
    except ImportError:
        return True
    options = {_text(name): _text(value) for name, value in uwsgi.opt.items()}
    return options.get("enable-threads") == "True" or int(options.get("threads", "0")) > 0


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@_check(deploy=True)
def check_immediate() -> Iterator[CheckMessage]:
    """W011: no request of a deployment waits for the API."""
    if _dispatches_by("immediate"):
        yield _warning(
            11,
            'The dispatcher "immediate" sends within the request, which waits for the API.',
            'Use "thread" or "worker"; "immediate" is for tests and scripts.',
        )


# The triggers.


@_check()
def check_triggers() -> Iterator[CheckMessage]:
    """E008, E010, E011, E012, W009: each trigger can fire, and what it asks for may exist."""
    for trigger in triggers.registry.values():
        title = f"The trigger {trigger.name} ({trigger.defined_at})"
        for sender in trigger.senders:
            if isinstance(sender, type) and issubclass(sender, Model):
                yield from _deaf(title, sender)
        if fault := _unaskable(trigger):
            yield _error(12, f"{title} cannot start a workflow: {fault}")
        if trigger.account not in conf.settings.accounts:
            hint = conf.did_you_mean(trigger.account, conf.settings.accounts)
            yield _error(10, f"{title} names an unknown account, {trigger.account!r}.", hint)
        if trigger.using is not None and trigger.using not in connections:
            hint = conf.did_you_mean(trigger.using, connections)
            yield _error(11, f"{title} names an unknown database, {trigger.using!r}.", hint)


def _unaskable(trigger: triggers.Trigger) -> str:
    if trigger.id_type not in intake.ID_TYPES:
        return f"id_type {trigger.id_type!r} is none of {', '.join(intake.ID_TYPES)}."
    try:
        if not callable(trigger.workflow):
            intake.identifier(trigger.workflow)
    except InvalidExecution as error:
        return str(error)
    return ""


def _deaf(title: str, model: type[Model]) -> Iterator[CheckMessage]:
    if model._meta.abstract or model._meta.swapped:
        kind = "abstract" if model._meta.abstract else "swapped out"
        yield _error(
            8,
            f"{title} listens to {model._meta.label}, which is {kind}: it never fires.",
            "Name the models that are saved; sender takes a list of them.",
        )
    elif not model._meta.managed:
        yield _warning(
            9,
            f"{title} listens to {model._meta.label}, which is unmanaged.",
            "Rows that something other than Django's save() writes fire nothing.",
        )


@_check()
def check_trigger_names() -> Iterator[CheckMessage]:
    """E009: each trigger has a name of its own, by which ``once`` and the admin know it."""
    for second in triggers.duplicates:
        first = triggers.registry[second.name]
        yield _error(
            9,
            f"There are two triggers {second.name}: {first.defined_at} and {second.defined_at}.",
            "Rename one of the two functions.",
        )
