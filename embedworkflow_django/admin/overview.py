"""The overview as views: the whole page, and what of it may have changed meanwhile."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import figures
from . import board, live
from .places import Place, PlacesMixin

# For how long the figures serve everybody who looks, and how often a page asks, in seconds.
FRESH = 5
LIVE_TEMPLATE = "admin/embedworkflow/execution/overview_live.html"


class OverviewMixin(PlacesMixin):
    """A page of figures about all executions, which keeps itself up to date."""

    def has_view_overview_permission(self, request: HttpRequest) -> bool:
        """Return whether the viewer may see the overview, which is about all executions."""
        return request.user.has_perm(f"{self.opts.app_label}.view_overview")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return what the admin's index goes by; whoever may see the overview gets a link, too."""
        rights = super().get_model_perms(request)
        may = self.has_view_overview_permission(request)
        return {**rights, "view": rights["view"] or may, "overview": may}

    def places(self, request: HttpRequest) -> list[Place]:
        """Return the pages that the viewer may see."""
        own = Place(name="overview", title=_("Overview"), url=self.bare_url("overview"))
        return super().places(request) + [own] * self.has_view_overview_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, that of the overview, and that of the part that changes."""
        return [
            self.own_url("overview/", self.overview_view, "overview"),
            self.own_url("overview/live/", self.overview_live_view, "overview_live"),
            *super().get_urls(),
        ]

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Return the overview.

        Args:
            request: A GET.
        """
        if not self.has_view_overview_permission(request):
            raise PermissionDenied
        figures_now = self._overview_now(request)
        own = forms.Media(
            css={"all": ["embedworkflow_django/figures.css"]}, js=["embedworkflow_django/page.js"]
        )
        context = {
            "title": _("Overview"),
            "media": self.media + own,
            "has_view_permission": self.has_view_permission(request),
            "places": self.places(request),
            "place": "overview",
            "figures": figures_now,
            "live_url": self.bare_url("overview_live"),
            "live_etag": live.etag(figures_now),
            "live_every": str(1000 * FRESH),
        }
        return self.page(request, "overview.html", context)

    def overview_live_view(self, request: HttpRequest) -> HttpResponse:
        """Return the overview's figures, or that they are still the same.

        Args:
            request: A GET; its ``If-None-Match`` is what the viewer has.
        """
        if not self.has_view_overview_permission(request):
            raise PermissionDenied
        figures_now = self._overview_now(request)
        return live.answer_if_new(request, figures_now, lambda: figures_now)

    def _overview_now(self, request: HttpRequest) -> SafeString:
        found = figures.overview(max_age=FRESH)
        list_url = self.bare_url("changelist") if self.has_view_permission(request) else ""
        context: dict[str, Any] = board.told(found, list_url)
        return render_to_string(LIVE_TEMPLATE, context, request)
