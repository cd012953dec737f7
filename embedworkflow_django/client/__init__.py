"""The hosted API: a method per endpoint, answers as frozen values, failures as one error tree.

It needs requests and nothing of Django, and can be used alone::

    from embedworkflow_django.client import Client

    with Client(secret_key="sk_test_…") as client:
        execution = client.execute_workflow("welcome-email", id_type="key")
"""

from __future__ import annotations

from .api import (
    DEFAULT_BASE_URL,
    DEFAULT_IDEMPOTENCY_HEADER,
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_TIMEOUT,
    Client,
)
from .payloads import (
    Account,
    Action,
    ActionType,
    AppConnection,
    DataField,
    InstalledApp,
    Payload,
    RemoteExecution,
    Trigger,
    Usage,
    User,
    UserToken,
    Workflow,
)
from .resource import UNSET

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_IDEMPOTENCY_HEADER",
    "DEFAULT_MAX_ANSWER_SIZE",
    "DEFAULT_TIMEOUT",
    "UNSET",
    "Account",
    "Action",
    "ActionType",
    "AppConnection",
    "Client",
    "DataField",
    "InstalledApp",
    "Payload",
    "RemoteExecution",
    "Trigger",
    "Usage",
    "User",
    "UserToken",
    "Workflow",
]
