"""Probes: asks the API whether a trigger's workflow exists and is on."""

from __future__ import annotations

from enum import Enum

from . import conf
from .client import Client
from .connections import client, hurried
from .exceptions import MAX_MESSAGE, APIError, printable
from .triggers import Trigger


class Verdict(Enum):
    """What there is to know about a workflow."""

    ON = "on"
    OFF = "off"
    #: It does not exist, the API did not answer, or it could not be asked.
    FAILED = "failed"
    #: Each instance decides which workflow it is, or whose.
    OPEN = "open"


def probe(trigger: Trigger, *, seconds: float | None = None) -> tuple[Verdict, str]:
    """Ask the API about a trigger's workflow.

    Args:
        trigger: The trigger.
        seconds: How long the answer is waited for; as long as the settings say by default.

    Returns:
        The verdict, and the words that go with it: the workflow's name, or what went wrong.
    """
    workflow, user_key = trigger.workflow, trigger.user_key
    try:
        if user_key is None:
            user_key = conf.account_value(trigger.account, "USER_KEY") or None
        if callable(workflow) or callable(user_key):
            return Verdict.OPEN, ""
        if seconds is None:
            return _asked(client(trigger.account), workflow, trigger.id_type, user_key)
        with hurried(trigger.account, seconds) as impatient:
            return _asked(impatient, workflow, trigger.id_type, user_key)
    except (APIError, ValueError, conf.ConfigurationError) as error:
        return Verdict.FAILED, str(error)


def _asked(api: Client, workflow: str, id_type: str, user_key: str | None) -> tuple[Verdict, str]:
    found = api.retrieve_workflow(workflow, id_type=id_type, user_key=user_key)
    return Verdict.OFF if found.on is False else Verdict.ON, printable(found.name[:MAX_MESSAGE])
