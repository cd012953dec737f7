"""Offers: the workflows that can be run for an object by hand, and with what data to begin."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import models

from .. import conf, encoding, redaction, triggers
from ..exceptions import UnencodableData, escape_bidi
from .forms import DataForm, OnceForm

logger = logging.getLogger("embedworkflow_django")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A workflow that can be run for an object, as a trigger of its model would have it run.

    Args:
        name: The trigger's name; the workflow itself where there is none.
        workflow: The workflow's identifier.
        id_type: How the API reads it.
        user_key: The end user; the setting ``USER_KEY`` by default.
        account: The account's alias.
    """

    # Two that differ in the trigger alone are one.
    name: str = field(compare=False)
    workflow: str
    id_type: str = "key"
    user_key: str | None = None
    account: str = conf.DEFAULT_ACCOUNT

    @property
    def title(self) -> str:
        """What people read."""
        return escape_bidi(self.workflow)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``execute`` that it stands for."""
        return {
            "workflow": self.workflow,
            "id_type": self.id_type,
            "user_key": self.user_key,
            "account": self.account,
        }


class RunForm(OnceForm, DataForm):
    """What a workflow is run with, as a person has edited it."""


def of_triggers(obj: models.Model) -> Iterator[Offer]:
    """Yield what the triggers of an object's model, and of the models that it inherits, start."""
    for name, trigger in triggers.registry.items():
        if any(_is_about(sender, obj) for sender in trigger.senders):
            try:
                yield Offer(
                    name=name,
                    workflow=_asked(trigger.workflow, obj),
                    id_type=trigger.id_type,
                    user_key=_asked(trigger.user_key, obj),
                    account=trigger.account,
                )
            except Exception:
                # The project's own functions: what they cannot answer keeps nobody off the page.
                logger.exception(
                    "Trigger %s does not say what it would start.",
                    name,
                    extra={"event_name": "trigger_silent", "trigger": name},
                )


def facts(obj: models.Model, shown: Collection[Any]) -> dict[str, Any]:
    """Return an object's key, and plain values of some of its fields, none of them secret.

    Args:
        obj: The object.
        shown: The names of the fields.
    """
    values = {
        each.name: _plain(each, obj)
        for each in obj._meta.concrete_fields
        if each.primary_key or each.name in shown
    }
    seen = redaction.redact(values)
    return {name: value for name, value in values.items() if seen[name] == value}


def _is_about(sender: Any, obj: models.Model) -> bool:
    try:
        model = apps.get_model(sender) if isinstance(sender, str) else sender
    except (LookupError, ValueError):
        return False
    if not isinstance(model, type) or not issubclass(model, models.Model):
        return False
    # A proxy's triggers are those of what it stands for.
    return isinstance(obj, model._meta.concrete_model or model)


def _asked(value: Any, obj: models.Model) -> Any:
    return value(obj) if callable(value) else value


def _plain(of: models.Field[Any, Any], obj: models.Model) -> Any:
    value = of.value_from_object(obj)
    try:
        return encoding.encode({of.name: value})[of.name]
    except UnencodableData:
        return of.value_to_string(obj)
