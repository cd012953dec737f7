"""What every page of ours has around it: the admin's frame, its URLs, the list's filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from ..models import Execution

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Execution]
else:
    _ModelAdmin = object


class ShellMixin(_ModelAdmin):
    """Pages and URLs that stay on their own admin site and keep the list's filters."""

    def may_see_data(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether secret values are shown to the viewer."""
        return request.user.has_perm(f"{self.opts.app_label}.view_execution_data")

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """Return one of our templates inside the admin's frame.

        Args:
            request: The request that is answered.
            template: The template's file name.
            context: What it is given beside the frame's own; ``title`` at least.
        """
        request.current_app = self.admin_site.name
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": True,
            "original": context["title"],
        }
        path = f"admin/embedworkflow/execution/{template}"
        return TemplateResponse(request, path, {**frame, **context})

    def url_of(self, request: HttpRequest, page: str, *args: Any) -> str:
        """Return the URL of one of the admin's pages; the list's filters go along.

        Args:
            request: The request that may carry the list's filters.
            page: The page's name, such as ``change``.
            args: The object's key.
        """
        filters = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return add_preserved_filters(cast("Any", filters), self.bare_url(page, *args))

    def bare_url(self, page: str, *args: Any) -> str:
        """Return the URL of one of the admin's pages, without the list's filters."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def not_found(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the admin's own answer to an object that is not there."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
            request, self.opts, object_id
        )
        return answer
