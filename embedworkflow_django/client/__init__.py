"""The hosted API: a method per endpoint, answers as frozen values, failures as one error tree."""

from __future__ import annotations

from .api import Client
from .payloads import RemoteExecution

__all__ = ["Client", "RemoteExecution"]
