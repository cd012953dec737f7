"""Checks of the settings: what can be read, where it stands, and whether it is wise."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags
from django.urls import Resolver404, resolve

from .. import conf
from ..client import Client
from ..client.api import TAKEN_HEADERS
from . import messages

_NOBODYS = "sk_test_of_a_check"


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


@messages.check()
def check_structure() -> Iterator[CheckMessage]:
    """E001: the settings are a dict, and ``ACCOUNTS`` is a dict of dicts, under fit aliases."""
    if fault := messages.fault(lambda: conf.settings.given):
        yield messages.error(
            1, fault, f'Write {conf.SETTING} = {{"SECRET_KEY": …}} in the settings.'
        )
    elif fault := messages.fault(lambda: conf.settings.accounts):
        yield messages.error(1, fault, 'Write "ACCOUNTS": {"eu": {"SECRET_KEY": …}} in it.')


@messages.check()
def check_values() -> Iterator[CheckMessage]:
    """E002: each setting, of each account too, can be read."""
    properties = [
        name for name, value in vars(conf.Settings).items() if isinstance(value, property)
    ]
    reads = [partial(getattr, conf.settings, name) for name in properties]
    for alias in conf.settings.accounts:
        reads += [partial(conf.account_value, alias, name) for name in conf.ACCOUNT_SETTINGS]
    # An account inherits its faults too: each is said once.
    yield from (
        messages.error(2, fault) for fault in dict.fromkeys(map(messages.fault, reads)) if fault
    )


@messages.check()
def check_user_key() -> Iterator[CheckMessage]:
    """E002: a callable ``USER_KEY`` takes the source."""
    # An account inherits it: it is said once.
    found = {conf.place("USER_KEY", alias): alias for alias in conf.settings.accounts}
    for where, alias in found.items():
        whose = conf.account_value(alias, "USER_KEY")
        if callable(whose) and not messages.takes_one(whose):
            yield messages.error(2, f"{where} cannot be called with the source alone.")


@messages.check()
def check_names() -> Iterator[CheckMessage]:
    """W006, W007: each setting exists, where it stands."""
    for name in conf.settings.given:
        if name not in conf.DEFAULTS:
            yield messages.warning(6, f'{conf.SETTING}["{name}"] is no setting.', _meant(str(name)))
    for where, own in _accounts():
        for name in own:
            if name in conf.DEFAULTS.keys() - conf.ACCOUNT_SETTINGS.keys():
                yield messages.warning(
                    7,
                    f'{where}["{name}"] has no effect: it is a setting of the whole project.',
                    f'Move it to {conf.SETTING}["{name}"].',
                )
            elif name not in conf.ACCOUNT_SETTINGS:
                hint = conf.did_you_mean(str(name), conf.ACCOUNT_SETTINGS)
                yield messages.warning(6, f'{where}["{name}"] is no setting of an account.', hint)


@messages.check()
def check_names_outside() -> Iterator[CheckMessage]:
    """W006: no setting stands beside the dict, named as its variable in the environment is."""
    written = {*conf.settings.given, *(name for _where, own in _accounts() for name in own)}
    lost = {f"{conf.SETTING}_{name}": f'{{"{name}": …}}' for name in conf.DEFAULTS.keys() - written}
    lost |= {
        name: "{…}"
        for name in dir(django_settings)
        if name != conf.SETTING and name.replace("_", "") == conf.SETTING
    }
    for name in sorted(lost):
        if hasattr(django_settings, name):
            yield messages.warning(
                6,
                f"{name} is no setting, and has no effect.",
                f"Write {conf.SETTING} = {lost[name]}.",
            )


def _meant(name: str) -> str:
    if any(name.endswith(f"_{own}") for own in conf.ACCOUNT_SETTINGS):
        return "Settings of an account stand in ACCOUNTS, whose variable names the accounts."
    return conf.did_you_mean(name, conf.DEFAULTS)


@messages.check(Tags.security)
def check_keys() -> Iterator[CheckMessage]:
    """E003, E004, E005: each key is whole, and in its own place."""
    for where, key in _written("SECRET_KEY"):
        if key.startswith("pk_"):
            yield messages.error(
                3,
                f"{where} is a publishable key (pk_…).",
                "The secret key begins with sk_. The publishable one goes into PUBLISHABLE_KEY.",
            )
        yield from _unclean(where, key)
    for where, key in _written("PUBLISHABLE_KEY"):
        if key.startswith("sk_"):
            yield messages.error(
                5,
                f"{where} is a secret key (sk_…), which pages would show to everybody.",
                "The publishable key begins with pk_. Replace the secret key: it may be known now.",
            )
        yield from _unclean(where, key)


def _unclean(where: str, key: str) -> Iterator[CheckMessage]:
    if not (key.isascii() and key.isprintable()) or " " in key:
        yield messages.error(
            4,
            f"{where} has white space, a line's end or a character beyond ASCII in it.",
            "Copy the key again. A key that is read from a file needs .strip().",
        )


@messages.check()
def check_key_present() -> Iterator[CheckMessage]:
    """W001: each account has a secret key; ``default`` need not if there are others."""
    first, *others = conf.settings.accounts
    for alias in others or [first]:
        if not conf.account_value(alias, "SECRET_KEY"):
            message, _, hint = str(conf.missing_key(alias)).partition(". ")
            yield messages.warning(1, f"{message}.", hint)


@messages.check(Tags.security)
def check_live_key() -> Iterator[CheckMessage]:
    """W003: real customers' workflows do not start from a developer's machine."""
    for where, key in _written("SECRET_KEY"):
        if django_settings.DEBUG and key.startswith("sk_live_"):
            yield messages.warning(
                3,
                f"{where} is a live key while DEBUG is on: workflows reach real people.",
                'Use the test key, "sk_test_…", or the sandbox: manage.py embedworkflow_sandbox.',
            )


@messages.check(deploy=True)
def check_test_key() -> Iterator[CheckMessage]:
    """W004: a deployment does not send into the test environment."""
    for where, key in _written("SECRET_KEY"):
        if not django_settings.DEBUG and key.startswith("sk_test_"):
            yield messages.warning(
                4,
                f"{where} is a test key while DEBUG is off: no real workflow is started.",
                'Use the live key, "sk_live_…", in production; elsewhere, silence this check.',
            )


@messages.check(Tags.security)
def check_base_url() -> Iterator[CheckMessage]:
    """E006, W005: the API's address is one, and encrypted unless it is this machine."""
    for where, text in _written("BASE_URL"):
        if refused := _refused(text):
            yield messages.error(
                6,
                f"{where} cannot be used: {refused}",
                f"The hosted API is {conf.DEFAULTS['BASE_URL']}",
            )
            continue
        url = urlsplit(text)
        if url.scheme == "http" and not _is_loopback(str(url.hostname)):
            yield messages.warning(
                5,
                f"{where} is plain http to {url.hostname}: the secret key travels in clear.",
                "Use https. Plain http is for this machine only (localhost, 127.0.0.1, [::1]).",
            )


@messages.check()
def check_idempotency_header() -> Iterator[CheckMessage]:
    """E013: the header that carries the idempotency key has no other meaning."""
    for where, name in _written("IDEMPOTENCY_HEADER"):
        if name.lower() in TAKEN_HEADERS:
            yield messages.error(
                13,
                f"{where} is {name!r}, a header with another meaning.",
                f"Leave it out for {conf.DEFAULTS['IDEMPOTENCY_HEADER']}.",
            )


@messages.check(Tags.urls)
def check_callback_url() -> Iterator[CheckMessage]:
    """E016, W014, W015: callbacks come in, encrypted, and the project's URLs lead to their door."""
    text, where = conf.settings.callback_url, conf.place("CALLBACK_URL")
    if not text:
        return
    url = _split(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        yield messages.error(
            16,
            f"{where} is no http(s) URL, or has a query or a fragment.",
            "Write the public URL that the API can reach, as "
            "https://shop.example.com/embedworkflow/callbacks/.",
        )
        return
    if url.scheme == "http" and not _is_loopback(url.hostname):
        yield messages.warning(
            14,
            f"{where} is plain http to {url.hostname}: whoever listens in may call it, too.",
            "Use https. Plain http is for this machine only (localhost, 127.0.0.1, [::1]).",
        )
    if hasattr(django_settings, "ROOT_URLCONF") and not _leads_to_callbacks(url.path):
        yield messages.warning(
            15,
            f"{where} leads to {url.path or '/'}, where the project's URLs take no callbacks.",
            f'Add path("{url.path.strip("/")}/", include("embedworkflow_django.callbacks")), '
            "or silence this where a proxy changes the path.",
        )


def _split(text: str) -> SplitResult:
    with suppress(ValueError):
        return urlsplit(text)
    return SplitResult("", "", "", "", "")


def _leads_to_callbacks(path: str) -> bool:
    try:
        return "embedworkflow_callbacks" in resolve(f"{path.removesuffix('/')}/token/").app_names
    except Resolver404:
        return False


def _refused(base_url: str) -> str:
    """Return why a client would refuse an address."""
    try:
        Client(secret_key=_NOBODYS, base_url=base_url).close()
    except ValueError as error:
        return str(error)
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@messages.check()
def check_retention() -> Iterator[CheckMessage]:
    """W010: a number that looks like days is not taken for seconds unnoticed."""
    value, age = conf.settings.given.get("RETENTION"), conf.settings.retention
    if age is not None and age < timedelta(days=1) and value is not age:
        yield messages.warning(
            10,
            f"{conf.place('RETENTION')} is {value} seconds: finished executions are pruned then.",
            f"If days are meant, write timedelta(days={value}), or {value}d in the environment.",
        )


@messages.check()
def check_lease() -> Iterator[CheckMessage]:
    """W012: nobody sends a row again while its call is still in flight."""
    longest = max(sum(conf.account(alias).timeout) for alias in conf.settings.accounts)
    if conf.settings.lease < timedelta(seconds=2 * longest):
        yield messages.warning(
            12,
            f"{conf.place('LEASE')} is shorter than twice the longest TIMEOUT, {longest:g} s: "
            "another worker may send what is still in flight.",
            f"Leave LEASE out, or make it at least {2 * longest:g} seconds.",
        )
