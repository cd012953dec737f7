"""Checks of the triggers: that each can fire, and that what it asks for may exist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.db import connections
from django.db.models import Model

from .. import conf, intake, triggers
from ..exceptions import InvalidExecution
from . import messages


@messages.check()
def check_triggers() -> Iterator[CheckMessage]:
    """E008, E010, E011, E012, W009: each trigger can fire, and what it asks for may exist."""
    for trigger in triggers.registry.values():
        title = f"The trigger {trigger.name} ({trigger.defined_at})"
        for sender in trigger.senders:
            if (model := _model(sender)) is not None:
                yield from _deaf(title, model)
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
    """Return the model that a sender is or names; of a label that names none Django tells."""
    if isinstance(sender, str):
        with suppress(LookupError, ValueError):
            sender = apps.get_model(sender)
    return sender if isinstance(sender, type) and issubclass(sender, Model) else None


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
def check_trigger_names() -> Iterator[CheckMessage]:
    """E009: each trigger has a name of its own, by which ``once`` and the admin know it."""
    for second in triggers.duplicates:
        first = triggers.registry[second.name]
        yield messages.error(
            9,
            f"There are two triggers {second.name}: {first.defined_at} and {second.defined_at}.",
            "Rename one of the two functions.",
        )
