"""The link from an execution to the object that it is about, in that object's own admin."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from ..exceptions import escape_bidi
from ..models import Execution


class SourceLinks:
    """Links to the sources of many executions; asks for a right once per model, never per row."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self._site = site
        self._request = request
        self._admins: dict[str, ModelAdmin[Any] | None] = {}

    def url(self, execution: Execution) -> str:
        """Return the source's page, empty if it has none or the viewer may not see it.

        The object itself is not fetched: it may be gone, which its page then says.
        """
        model_admin = self.model_admin(execution.source_type)
        if model_admin is None:
            return ""
        opts = model_admin.model._meta
        name = f"{self._site.name}:{opts.app_label}_{opts.model_name}_change"
        try:
            return reverse(name, args=[quote(execution.source_id)], current_app=self._site.name)
        except NoReverseMatch:
            # The model's admin has URLs of its own making.
            return ""

    def model_admin(self, label: str) -> ModelAdmin[Any] | None:
        """Return the admin of a model, ``None`` if there is none or the viewer may not see it."""
        if label not in self._admins:
            self._admins[label] = self._find(label)
        return self._admins[label]

    def fetch(self, execution: Execution) -> Model | None:
        """Return the source as its own admin shows it to the viewer; costs one query."""
        model_admin = self.model_admin(execution.source_type)
        if model_admin is None:
            return None
        source: Model | None = model_admin.get_object(self._request, execution.source_id)
        if source is None or not model_admin.has_view_permission(self._request, source):
            return None
        return source

    def _find(self, label: str) -> ModelAdmin[Any] | None:
        try:
            model = apps.get_model(label) if label else None
        except LookupError:
            return None
        if model is None or not self._site.is_registered(model):
            return None
        model_admin = self._site.get_model_admin(model)
        return model_admin if model_admin.has_view_permission(self._request) else None


def title(execution: Execution) -> str:
    """Return a source in words, such as "order 17"; its label if the model is gone."""
    if not execution.source_type:
        return ""
    model = execution.source_model
    name = model._meta.verbose_name if model else escape_bidi(execution.source_type)
    return f"{name} {escape_bidi(execution.source_id)}"


def label(execution: Execution) -> str:
    """Return a source as the search and the REST API take it: ``app.model:pk``."""
    return f"{execution.source_type}:{execution.source_id}" if execution.source_type else ""


def link(execution: Execution, url: str) -> str:
    """Return the source's title, as a link if there is a URL."""
    if not url:
        return title(execution)
    return format_html('<a href="{}">{}</a>', url, title(execution))
