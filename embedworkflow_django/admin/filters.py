"""The list's filters: their choices are known beforehand, so that no query looks for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import conf, triggers
from ..exceptions import escape_bidi
from ..models import Execution, Status
from . import days, quick


class _ExactFilter(SimpleListFilter):
    """Rows whose column is exactly the value chosen."""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Execution]
    ) -> QuerySet[Execution] | None:
        """Return the rows that match, or all of them when nothing is chosen."""
        value = self.value()
        if value and "\0" in value:
            raise IncorrectLookupParameters
        return queryset.filter((self.parameter_name, value)) if value else queryset


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
        declared = (trigger.workflow for trigger in triggers.registry.values())
        names = {name for name in declared if isinstance(name, str)}
        return _choices(names, request.GET.get(self.parameter_name))


class TriggerFilter(_ExactFilter):
    """By the trigger that asked for it; one that is gone can be given in the URL."""

    title = _("trigger")
    parameter_name = "trigger"

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return the triggers, and the one that is looked at."""
        return _choices(set(triggers.registry), request.GET.get(self.parameter_name))


class AccountFilter(_ExactFilter):
    """By account, if the settings have more than one."""

    title = _("account")
    parameter_name = "account"

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return the accounts, and the one that is looked at; none if there is only one."""
        chosen = request.GET.get(self.parameter_name)
        aliases = dict.fromkeys([*conf.settings.accounts, *([chosen] if chosen else [])])
        return (
            [(alias, escape_bidi(alias)) for alias in aliases] if chosen or len(aliases) > 1 else []
        )


class _NamedFilter(SimpleListFilter):
    """Rows of one of several choices that have names."""

    named: Mapping[str, days.Days | quick.View]

    def lookups(
        self, request: HttpRequest, model_admin: ModelAdmin[Any]
    ) -> Iterable[tuple[str, Any]]:
        """Return the choices."""
        return [(name, each.title) for name, each in self.named.items()]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Execution]
    ) -> QuerySet[Execution] | None:
        """Return the rows of the one chosen, or all of them when none is."""
        chosen = self.named.get(self.value() or "")
        return chosen.of(queryset) if chosen else queryset


class CreatedFilter(_NamedFilter):
    """By the day of creation, which the primary key tells."""

    title = _("created")
    parameter_name = "created"
    named = days.RANGES


class QuickViewFilter(_NamedFilter):
    """By quick view; the links to them stand above the list, not among the filters."""

    title = _("quick view")
    parameter_name = quick.PARAMETER
    named = quick.VIEWS
    template = "admin/embedworkflow/execution/no_filter.html"


def _choices(declared: set[str], chosen: str | None) -> list[tuple[str, str]]:
    return [
        (name, escape_bidi(name)) for name in sorted(declared | ({chosen} if chosen else set()))
    ]
