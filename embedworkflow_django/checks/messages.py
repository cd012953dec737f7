"""What the checks share: how one is registered, and how it says what it found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from .. import conf, values

TAG = "embedworkflow"
Check = Callable[[], Iterator[CheckMessage]]


def check(*tags: str, deploy: bool = False) -> Callable[[Check], Check]:
    """Register a check that leaves a setting it cannot read to the checks E001 and E002."""

    def decorate(function: Check) -> Check:
        def run(**_kwargs: Any) -> list[CheckMessage]:
            messages: list[CheckMessage] = []
            with suppress(conf.ConfigurationError):
                messages.extend(function())
            return messages

        register(run, TAG, *tags, deploy=deploy)
        return function

    return decorate


def error(number: int, message: str, hint: str = "") -> Error:
    """Return what check ``E…`` has found, with the way out, and without any key."""
    return Error(
        values.without_keys(message), hint=values.without_keys(hint), id=f"{TAG}.E{number:03}"
    )


def warning(number: int, message: str, hint: str = "") -> CheckWarning:
    """Return what check ``W…`` has found, with the way out, and without any key."""
    return CheckWarning(
        values.without_keys(message), hint=values.without_keys(hint), id=f"{TAG}.W{number:03}"
    )


def takes_one(function: Callable[..., object]) -> bool:
    """Return whether a callable takes one argument; one that does not tell, as ``str``, does."""
    with suppress(ValueError):
        try:
            inspect.signature(function).bind(None)
        except TypeError:
            return False
    return True


def fault(read: Callable[[], object]) -> str | None:
    """Return what is wrong with a setting when it is read; ``None`` if nothing is."""
    try:
        read()
    except conf.ConfigurationError as found:
        return str(found)
    return None
