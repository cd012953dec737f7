"""How a trigger's declaration reads: what it listens to, what it starts, and where it stands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from django.db.models import Model
from django.db.models import signals as models_signals
from django.dispatch import Signal
from django.utils.translation import gettext as _

from .. import conf, signals
from ..triggers import Trigger


def title(trigger: Trigger) -> str:
    """Return what a trigger does in one sentence."""
    about = {
        "signals": ", ".join(_signal(each, trigger.function) for each in trigger.signals),
        "senders": ", ".join(_sender(each) for each in trigger.senders),
        "workflow": workflow(trigger),
    }
    if trigger.senders == (None,):
        return _("%(signals)s of anything starts %(workflow)s") % about
    return _("%(signals)s of %(senders)s starts %(workflow)s") % about


def workflow(trigger: Trigger) -> str:
    """Return which workflow it starts, or what decides that."""
    return _value(trigger.workflow)


def where(trigger: Trigger) -> str:
    """Return the module and the line of a trigger's function; no path, which is the server's."""
    _file, _colon, line = trigger.defined_at.rpartition(":")
    return f"{inspect.unwrap(trigger.function).__module__}:{line}"


def purpose(trigger: Trigger) -> str:
    """Return the first line of the function's docstring, if it has any."""
    return (inspect.getdoc(trigger.function) or "").partition("\n")[0]


def options(trigger: Trigger) -> Iterator[tuple[str, str]]:
    """Yield what was said of a trigger beside signal, sender and workflow."""
    if trigger.once:
        yield _("Once"), _("one execution for each object, ever")
    if trigger.user_key is not None:
        yield _("User key"), _value(trigger.user_key)
    if trigger.id_type != "key":
        yield _("Identified by"), trigger.id_type
    if trigger.account != conf.DEFAULT_ACCOUNT:
        yield _("Account"), trigger.account
    if trigger.using is not None:
        yield _("Database"), trigger.using


def _value(value: str | Callable[..., Any]) -> str:
    if not callable(value):
        return value
    known = getattr(value, "__qualname__", type(value).__qualname__)
    return _("what %(function)s decides") % {"function": f"{value.__module__}.{known}"}


def _signal(signal: Signal, function: Callable[..., Any]) -> str:
    """Return the name under which a signal is known to Django, to us, or to the function."""
    known: Mapping[str, Any] = inspect.unwrap(function).__globals__
    modules = [each for each in known.values() if isinstance(each, ModuleType)]
    for names in (vars(models_signals), vars(signals), known, *map(vars, modules)):
        for name, value in list(names.items()):
            if value is signal:
                return name
    return _("a signal")


def _sender(sender: Any) -> str:
    if isinstance(sender, type) and issubclass(sender, Model):
        return sender._meta.label
    if isinstance(sender, str):
        return sender
    return getattr(sender, "__qualname__", type(sender).__qualname__)
