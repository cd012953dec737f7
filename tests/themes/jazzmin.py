"""The shop's settings under Jazzmin, which needs no base class."""

from __future__ import annotations

from .shop import *  # noqa: F403
from .shop import INSTALLED_APPS

INSTALLED_APPS = ["jazzmin", *INSTALLED_APPS]
