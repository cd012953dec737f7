"""The app: registers the checks and discovers each app's ``workflows`` module.

It touches neither the database nor the network.
"""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class EmbedWorkflowConfig(AppConfig):
    """``embedworkflow_django`` in ``INSTALLED_APPS``."""

    name = "embedworkflow_django"
    label = "embedworkflow"
    verbose_name = _("Embed Workflow")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and what drops cached clients; import each app's ``workflows``."""
        from . import checks, conf, connections, dispatchers, jobs  # noqa: F401, PLC0415 - they register

        # An engine's worker has to know its task.
        with suppress(conf.ConfigurationError):
            dispatchers.dispatcher_class(conf.settings.dispatcher)
        autodiscover_modules("workflows")
