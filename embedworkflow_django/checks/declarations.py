"""Checks of the triggers: that each can fire, and that what it asks for may exist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.db import connections
from django.db.models import Model
from django.db.models.signals import (
    ModelSignal,
    m2m_changed,
    post_delete,
    post_save,
    pre_delete,
    pre_save,
)
from django.dispatch import Signal

from .. import conf, intake, triggers
from ..exceptions import InvalidExecution
from . import messages

_SAVES_AND_DELETES = (pre_save, post_save, pre_delete, post_delete)


@messages.check()
def check_triggers() -> Iterator[CheckMessage]:
    """E008, E010, E011, E012, W009: each trigger can fire, and what it asks for may exist."""
    for trigger in triggers.registry.values():
        title = f"The trigger {trigger.name} ({trigger.defined_at})"
        for sender in trigger.senders:
            if (model := _model(sender)) is not None:
                yield from _deaf(title, model)
            elif isinstance(sender, str) and any(
                isinstance(s, ModelSignal) for s in trigger.signals
            ):
                yield _nobodys(title, sender)
        if fault := _unaskable(trigger):
            yield messages.error(12, f"{title} cannot start a workflow: {fault}")
        if trigger.account not in conf.settings.accounts:
            hint = conf.did_you_mean(str(trigger.account), conf.settings.accounts)
            yield messages.error(
                10, f"{title} names an unknown account, {trigger.account!r}.", hint
            )
        if trigger.using is not None and trigger.using not in connections:
            hint = conf.did_you_mean(str(trigger.using), connections)
            yield messages.error(11, f"{title} names an unknown database, {trigger.using!r}.", hint)


def _model(sender: Any) -> type[Model] | None:
    """Return the model that a sender is, or names by its label."""
    if isinstance(sender, str):
        with suppress(LookupError, ValueError):
            sender = apps.get_model(sender)
    return sender if isinstance(sender, type) and issubclass(sender, Model) else None


def _nobodys(title: str, label: str) -> CheckMessage:
    labels = [model._meta.label for model in apps.get_models()]
    return messages.error(
        8,
        f"{title} listens to {label!r}, which is no model's label: it never fires.",
        conf.did_you_mean(label, labels)
        if conf.nearest(label, labels)
        else "Name an installed model, as in shop.Order.",
    )


def _unaskable(trigger: triggers.Trigger) -> str:
    if trigger.id_type not in intake.ID_TYPES:
        return f"id_type {trigger.id_type!r} is none of {', '.join(intake.ID_TYPES)}."
    try:
        if not callable(trigger.workflow):
            intake.identifier(trigger.workflow)
    except InvalidExecution as error:
        return str(error)
    for name, given in (("workflow", trigger.workflow), ("user_key", trigger.user_key)):
        if callable(given) and not messages.takes_one(given):
            return f"its {name} cannot be called with the instance alone."
    whose: Any = trigger.user_key
    if whose is not None and not callable(whose) and not (isinstance(whose, str) and whose.strip()):
        return f"user_key {whose!r} names nobody; it is a string, or a callable of the instance."
    return ""


def _deaf(title: str, model: type[Model]) -> Iterator[CheckMessage]:
    if model._meta.abstract or model._meta.swapped:
        kind = "abstract" if model._meta.abstract else "swapped out"
        yield messages.error(
            8,
            f"{title} listens to {model._meta.label}, which is {kind}: it never fires.",
            "Name the models that are saved; sender takes a list of them.",
        )
    elif not model._meta.managed:
        yield messages.warning(
            9,
            f"{title} listens to {model._meta.label}, which is unmanaged.",
            "Rows that something other than Django's save() writes fire nothing.",
        )


@messages.check()
def check_trigger_signals() -> Iterator[CheckMessage]:
    """W013: each sender sends one of the signals, and each signal comes of one of the senders."""
    for trigger in triggers.registry.values():
        title = f"The trigger {trigger.name} ({trigger.defined_at})"
        table = [[_silence(each, signal) for signal in trigger.signals] for each in trigger.senders]
        found = [line[0] for line in (*table, *zip(*table, strict=True)) if all(line)]
        for reason, hint in filter(None, dict.fromkeys(found)):
            yield messages.warning(13, f"{title} listens to {reason}: it never hears that.", hint)


def _silence(sender: Any, signal: Signal) -> tuple[str, str] | None:
    """Return why a sender never sends a signal, and what to write instead; ``None`` if it may."""
    model = _model(sender)
    if model is None:
        return _nothing(sender, signal)
    label = model._meta.label
    if isinstance(sender, str) and not isinstance(signal, ModelSignal):
        hint = "Name the class itself: only the signals of Django's models take a model's name."
        return f"a signal of {sender!r}, which is a text", hint
    if signal is m2m_changed and model not in _between_models():
        hint = "Name the table between the two models: the field's through, as Order.tags.through."
        return f"m2m_changed of {label}, which is no such field's table", hint
    if signal in _SAVES_AND_DELETES and model._meta.auto_created:
        hint = "Django reads and writes it unheard; listen to m2m_changed of it."
        return f"{label}, which Django has made for a field", hint
    return None


def _nothing(sender: Any, signal: Signal) -> tuple[str, str] | None:
    """Return why what is no model never sends a signal; ``None`` if it may, or if E008 tells."""
    if sender is None or isinstance(sender, str) or not isinstance(signal, ModelSignal):
        return None
    shown = repr(sender) if isinstance(sender, type) else f"a {type(sender).__name__}"
    hint = "Name the model, or a list of models; None listens to everybody's."
    return f"a model's signal of {shown}, which is no model", hint


def _between_models() -> set[Any]:
    fields = (field for model in apps.get_models() for field in model._meta.many_to_many)
    return {field.remote_field.through for field in fields}


@messages.check()
def check_trigger_names() -> Iterator[CheckMessage]:
    """E009: each trigger has a name of its own, by which ``once`` and the admin know it."""
    for second in triggers.duplicates:
        first = triggers.registry[second.name]
        yield messages.error(
            9,
            f"There are two triggers {second.name}: {first.defined_at} and {second.defined_at}.",
            "Rename one of the two functions; one that is made in a loop is told apart by its "
            "__qualname__, one that is decorated by functools.wraps.",
        )
