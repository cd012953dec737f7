"""The shop's settings under Unfold."""

from __future__ import annotations

from .shop import *  # noqa: F403
from .shop import INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
ROOT_URLCONF = "tests.themes.unfold_urls"
