"""The list's filters: their choices are known beforehand, so that no query looks for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import conf, triggers
from ..models import Execution, Status


class _ExactFilter(SimpleListFilter):
    """Rows whose column is exactly the value chosen."""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Execution]
    ) -> QuerySet[Execution] | None:
        """Return the rows that match, or all of them when nothing is chosen."""
        value = self.value()
        return queryset if value is None else queryset.filter((self.parameter_name, value))


class StatusFilter(_ExactFilter):
    """By status."""

    title = _("status")
    parameter_name = "status"

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return all statuses."""
        return Status.choices


class WorkflowFilter(_ExactFilter):
    """By workflow, of those that the triggers declare; any other one can be given in the URL."""

    title = _("workflow")
    parameter_name = "workflow"

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return the workflows of the triggers, and the one that is looked at."""
        declared = {trigger.workflow for trigger in triggers.registry.values()}
        names = {name for name in declared if isinstance(name, str)}
        if chosen := request.GET.get(self.parameter_name):
            names.add(chosen)
        return [(name, name) for name in sorted(names)]


class AccountFilter(_ExactFilter):
    """By account, if the settings have more than one."""

    title = _("account")
    parameter_name = "account"

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return the accounts in the settings; none, and so no filter, if there is only one."""
        aliases = conf.settings.accounts
        return [(alias, alias) for alias in aliases] if len(aliases) > 1 else []
