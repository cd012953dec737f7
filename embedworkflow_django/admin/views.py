"""The page of one execution: what it says to its viewer, and what may change while one looks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from ..exceptions import escape_bidi
from ..models import Execution, ExecutionEvent
from . import alerts, live, pages, sources
from .actions import VerbsMixin


class PageMixin(live.LivePageMixin, VerbsMixin):
    """An execution's page, with the verbs that make sense for it."""

    change_form_template = "admin/embedworkflow/execution/change_form.html"

    def page_about(self, request: HttpRequest, obj: Execution) -> live.Page:
        """Return what is said to a viewer about an execution."""
        return _Page(self, request, obj)


class _Page:
    def __init__(self, model_admin: PageMixin, request: HttpRequest, execution: Execution) -> None:
        self.title = _title(execution)
        self.is_still = execution.is_final and execution.due_at is None
        self._admin = model_admin
        self._request = request
        self._execution = execution

    def state(self) -> Any:
        return self._events[-1].pk if self._events else None

    def lasting(self) -> dict[str, Any]:
        links = sources.SourceLinks(self._admin.admin_site, self._request)
        visible = self._admin.get_queryset(self._request)
        return {
            "refused_accounts": self._viewer.refused,
            "plain_list_url": self._admin.bare_url("changelist"),
            **pages.lasting(self._execution, links, visible, self._viewer),
        }

    def moving(self) -> dict[str, Any]:
        return {
            "buttons": list(self._admin.buttons(self._request, self._execution)),
            "history_url": self._admin.bare_url("history", self._execution.pk),
            **pages.moving(self._execution, self._events, self._viewer, timezone.now()),
        }

    @cached_property
    def _events(self) -> list[ExecutionEvent]:
        return pages.latest_events(self._execution)

    @cached_property
    def _viewer(self) -> pages.Viewer:
        unredacted = self._admin.may_see_data(self._request, self._execution)
        return pages.Viewer(unredacted=unredacted, refused=alerts.refused_accounts())


def _title(execution: Execution) -> str:
    workflow = escape_bidi(execution.workflow)
    if not execution.source_type:
        return workflow
    about = {"workflow": workflow, "source": sources.title(execution)}
    return gettext("%(workflow)s for %(source)s") % about
