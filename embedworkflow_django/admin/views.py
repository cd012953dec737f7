"""The page of one execution as views: the whole of it, and what may change while one looks."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext

from ..models import Execution, ExecutionEvent
from . import alerts, lists, pages, sources
from .actions import VerbsMixin

# While nothing moves, what is said relative to now is renewed this often, in seconds.
FRESH = 15
LIVE_TEMPLATE = "admin/embedworkflow/execution/live.html"


class PageMixin(VerbsMixin):
    """An execution's page, which nothing can be posted to, and which keeps itself up to date."""

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the part that changes."""
        live = path(
            "<path:object_id>/live/",
            self.admin_site.admin_view(self.live_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_live",
        )
        return [live, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Return an execution's page.

        Args:
            request: A GET.
            object_id: The execution's id, quoted.
            form_url: Not used: there is no form.
            extra_context: For the template.
        """
        if request.method != "GET":
            raise PermissionDenied
        execution = self._visible(request, object_id)
        if execution is None:
            return self.not_found(request, object_id)
        links = sources.SourceLinks(self.admin_site, request)
        refused = alerts.refused_accounts()
        viewer = self._viewer(request, execution, refused)
        now, events = timezone.now(), pages.latest_events(execution)
        own = forms.Media(
            css={"all": ["embedworkflow_django/page.css"]}, js=["embedworkflow_django/page.js"]
        )
        context = {
            "title": _title(execution),
            "original": execution,
            "media": self.media + own,
            "refused_accounts": refused,
            "list_url": self.url_of(request, "changelist"),
            "plain_list_url": self.bare_url("changelist"),
            "live_url": "" if _is_still(execution) else self.url_of(request, "live", execution.pk),
            "live_etag": _etag(execution, events, now),
            **pages.lasting(execution, links, self.get_queryset(request), viewer),
            **self._moving(request, execution, events, viewer, now),
            **(extra_context or {}),
        }
        return self.page(request, "change_form.html", context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the parts of an execution's page that may have changed, or that none has.

        Args:
            request: A GET; its ``If-None-Match`` is what the viewer has.
            object_id: The execution's id, quoted.
        """
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        execution = self._visible(request, object_id)
        if execution is None:
            return HttpResponse(status=404)
        now, events = timezone.now(), pages.latest_events(execution)
        etag = _etag(execution, events, now)
        answer = get_conditional_response(request, etag=etag)
        if answer is None:
            viewer = self._viewer(request, execution, alerts.refused_accounts())
            context = self._moving(request, execution, events, viewer, now)
            request.current_app = self.admin_site.name
            answer = HttpResponse(render_to_string(LIVE_TEMPLATE, context, request))
        answer["ETag"] = etag
        patch_cache_control(answer, private=True, no_cache=True)
        return answer

    def _visible(self, request: HttpRequest, object_id: str) -> Execution | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        execution: Execution | None = self.get_object(request, unquote(object_id))
        if execution is not None and not self.has_view_permission(request, execution):
            raise PermissionDenied
        return execution

    def _viewer(
        self, request: HttpRequest, execution: Execution, refused: dict[str, str]
    ) -> pages.Viewer:
        return pages.Viewer(unredacted=self.may_see_data(request, execution), refused=refused)

    def _moving(
        self,
        request: HttpRequest,
        execution: Execution,
        events: list[ExecutionEvent],
        viewer: pages.Viewer,
        now: datetime,
    ) -> dict[str, Any]:
        return {
            "buttons": self.buttons(request, execution),
            "history_url": self.bare_url("history", execution.pk),
            "is_still": _is_still(execution),
            **pages.moving(execution, events, viewer, now),
        }


def _is_still(execution: Execution) -> bool:
    """Return whether nothing on the page will change by itself."""
    return execution.is_final and execution.due_at is None


def _etag(execution: Execution, events: list[ExecutionEvent], now: datetime) -> str:
    """Return what changes whenever the page does; the large columns never change alone."""
    small = [field for field in Execution._meta.concrete_fields if field.name not in lists.HEAVY]
    state = [getattr(execution, field.attname) for field in small]
    newest = events[-1].pk if events else None
    seen = repr((state, newest, int(now.timestamp()) // FRESH))
    return f'"{hashlib.sha256(seen.encode()).hexdigest()[:32]}"'


def _title(execution: Execution) -> str:
    if not execution.source_type:
        return execution.workflow
    about = {"workflow": execution.workflow, "source": sources.title(execution)}
    return gettext("%(workflow)s for %(source)s") % about
