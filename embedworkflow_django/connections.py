"""From an account's alias to its configured client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.core.signals import setting_changed
from requests.adapters import BaseAdapter

from . import conf
from .client import Client

_lock = threading.Lock()
# A child of a fork would wait for ever for a thread that it does not have.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_clients: dict[str, tuple[conf.Account, Client]] = {}
_adapters: dict[str, BaseAdapter] = {}


def client(alias: str = conf.DEFAULT_ACCOUNT) -> Client:
    """Return the client of an account, made once and remade when its settings change.

    Args:
        alias: The account's name in the settings.

    Raises:
        ConfigurationError: The account is unknown, or its settings make no sense.
    """
    account = conf.account(alias)
    with _lock:
        known = _clients.get(alias)
        if known is None or known[0] != account:
            known = _clients[alias] = account, _make(account)
        return known[1]


def _make(account: conf.Account) -> Client:
    if not account.secret_key:
        raise conf.missing_key(account.alias)
    try:
        return Client(
            secret_key=account.secret_key,
            base_url=account.base_url,
            timeout=account.timeout,
            idempotency_header=account.idempotency_header,
            max_answer_size=account.max_answer_size,
            adapters=dict(_adapters),
        )
    except ValueError as error:
        raise conf.ConfigurationError(f"Account {account.alias!r}: {error}") from None


@contextmanager
def hurried(alias: str, seconds: float) -> Iterator[Client]:
    """Have a client of an account that gives up early, for somebody who sits and waits.

    Args:
        alias: The account's name in the settings.
        seconds: What a call may take at the most, if the settings do not say less.

    Raises:
        ConfigurationError: The account is unknown, or its settings make no sense.
    """
    account = conf.account(alias)
    connect, read = (min(seconds / 2, each) for each in account.timeout)
    made = _make(replace(account, timeout=(connect, read)))
    try:
        yield made
    finally:
        made.close()


def drop() -> None:
    """Forget and close every client; the next call makes a new one."""
    with _lock:
        dropped = [client for _, client in _clients.values()]
        _clients.clear()
    for each in dropped:
        each.close()


@contextmanager
def mounted(prefix: str, adapter: BaseAdapter) -> Iterator[None]:
    """Have every client send what starts with a prefix through an adapter of ``requests``.

    Args:
        prefix: The beginning of the URLs, such as ``http://sandbox.invalid``.
        adapter: What answers them.
    """
    drop()
    _adapters[prefix] = adapter
    try:
        yield
    finally:
        _adapters.pop(prefix, None)
        drop()


def is_mounted(alias: str) -> bool:
    """Return whether what an account is sent goes through an adapter of ``mounted``.

    Args:
        alias: The account's name in the settings.

    Raises:
        ConfigurationError: The account is unknown, or its settings make no sense.
    """
    return conf.account(alias).base_url.startswith(tuple(_adapters))


def _setting_changed(*, setting: str, **kwargs: Any) -> None:
    if setting == conf.SETTING:
        drop()


setting_changed.connect(_setting_changed, dispatch_uid="embedworkflow_django.connections")
