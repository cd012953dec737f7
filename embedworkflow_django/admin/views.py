"""The page of one execution as a view: who may see it, and what it is rendered from."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from ..models import Execution
from . import alerts, pages, sources
from .actions import VerbsMixin


class PageMixin(VerbsMixin):
    """An execution's page, which nothing can be posted to."""

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
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        execution = self.get_object(request, unquote(object_id))
        if execution is None:
            return self.not_found(request, object_id)
        if not self.has_view_permission(request, execution):
            raise PermissionDenied
        links = sources.SourceLinks(self.admin_site, request)
        unredacted = self.may_see_data(request, execution)
        context = {
            "title": _title(execution),
            "original": execution,
            "refused_accounts": alerts.refused_accounts(),
            "buttons": self.buttons(request, execution),
            "list_url": self.url_of(request, "changelist"),
            "history_url": self.bare_url("history", execution.pk),
            "plain_list_url": self.bare_url("changelist"),
            **pages.context(execution, links, unredacted=unredacted),
            **(extra_context or {}),
        }
        return self.page(request, "change_form.html", context)


def _title(execution: Execution) -> str:
    if not execution.source_type:
        return execution.workflow
    about = {"workflow": execution.workflow, "source": sources.title(execution)}
    return gettext("%(workflow)s for %(source)s") % about
