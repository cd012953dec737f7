"""The app of the shop."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """``shop`` in ``INSTALLED_APPS``; its ``workflows`` module is found by embedworkflow_django."""

    name = "shop"
