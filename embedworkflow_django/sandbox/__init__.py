"""Imitates the hosted API for development and tests, with nothing but the standard library.

It knows neither Django nor this package's client: a second, independent reading of the contract.
`python -m embedworkflow_django.sandbox` serves it; `Sandbox` is the same from Python::

    with Sandbox() as sandbox:
        sandbox.add_workflow("welcome-email", nodes=[...], edges=[...])
        sandbox.faults.add("503", retry_after=2)
        ...  # talk to sandbox.base_url with sandbox.secret_key
        sandbox.advance(3600)

Which endpoints are only assumed is listed in `endpoints.ASSUMED`.
"""

from __future__ import annotations

from .application import ReceivedCall
from .clock import Clock, ManualClock, SystemClock
from .facade import Sandbox
from .faults import Fault, UnknownFaultError
from .nodes import Email

__all__ = [
    "Clock",
    "Email",
    "Fault",
    "ManualClock",
    "ReceivedCall",
    "Sandbox",
    "SystemClock",
    "UnknownFaultError",
]
