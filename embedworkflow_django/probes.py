"""Probes: asks the API whether a trigger's workflow exists and is on."""

from __future__ import annotations

from enum import Enum

from . import conf
from .client import Client
from .connections import client, hurried
from .exceptions import APIError
from .triggers import Trigger


class Verdict(Enum):
    """What there is to know about a workflow."""

    ON = "on"
    OFF = "off"
    #: It does not exist, the API did not answer, or it could not be asked.
    FAILED = "failed"
    #: Each instance decides which workflow it is.
    OPEN = "open"


def probe(trigger: Trigger, *, seconds: float | None = None) -> tuple[Verdict, str]:
    """Ask the API about a trigger's workflow.

    Args:
        trigger: The trigger.
        seconds: How long the answer is waited for; as long as the settings say by default.

    Returns:
        The verdict, and the words that go with it: the workflow's name, or what went wrong.
    """
    if callable(trigger.workflow):
        return Verdict.OPEN, ""
    try:
        if seconds is None:
            return _asked(client(trigger.account), trigger, trigger.workflow)
        with hurried(trigger.account, seconds) as impatient:
            return _asked(impatient, trigger, trigger.workflow)
    except (APIError, ValueError, conf.ConfigurationError) as error:
        return Verdict.FAILED, str(error)


def _asked(api: Client, trigger: Trigger, workflow: str) -> tuple[Verdict, str]:
    user_key = trigger.user_key if isinstance(trigger.user_key, str) else None
    found = api.retrieve_workflow(workflow, id_type=trigger.id_type, user_key=user_key)
    return Verdict.OFF if found.on is False else Verdict.ON, str(found.name or "")
