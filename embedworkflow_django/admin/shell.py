"""What every page of ours has around it: the admin's frame, its URLs, the list's filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from .. import conf

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object

# What a form carries that was confirmed.
CONFIRMED = "confirmed"


class ShellMixin(_ModelAdmin):
    """Pages that stay on their own admin site and keep the list's filters.

    Nobody adds, edits or deletes anything there: what is shown changes by verbs.
    """

    # Large columns that no list shows; they never change alone.
    heavy: tuple[str, ...] = ()
    # Where the templates are, below "admin/embedworkflow".
    templates: str

    @property
    def media(self) -> forms.Media:
        """The style sheet that all the pages share."""
        return super().media + forms.Media(css={"all": ("embedworkflow_django/admin.css",)})

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Return ``False``."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``."""
        return False

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Return whether a lookup is a filter's: others could guess at data that is hidden."""
        for each in self.get_list_filter(request):
            # A filter's class, a field's name, or a field's name and its filter's class.
            of = each[0] if isinstance(each, (tuple, list)) else each
            name = getattr(of, "parameter_name", of)
            if lookup == name or lookup.startswith(f"{name}__"):
                return super().lookup_allowed(lookup, value, request)
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's own URLs."""
        urls = super().get_urls()
        for each in urls:
            each.callback = self._settled(each.callback)
        return urls

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """Return one of our templates inside the admin's frame.

        Args:
            request: The request that is answered.
            template: The template's file name.
            context: What it is given beside the frame's own; ``title`` at least.
        """
        return TemplateResponse(request, self.template(template), self._framed(request, context))

    def _framed(self, request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": True,
            "original": context["title"],
            **context,
        }

    def template(self, name: str) -> str:
        """Return the path of one of our templates.

        Args:
            name: Its file name.
        """
        return f"admin/embedworkflow/{self.templates}/{name}"

    def own_url(
        self, route: str, view: Callable[..., HttpResponse], page: str, method: str = "GET"
    ) -> URLPattern:
        """Return a URL beside those that the admin has, for whoever may enter its site.

        Args:
            route: Below the list's URL.
            view: What answers there; it asks for the rights itself.
            page: The name by which ``url_of`` knows it.
            method: The one that it answers.
        """
        view = self.admin_site.admin_view(require_http_methods([method])(view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_{page}"
        return path(route, self._settled(view), name=name)

    def _settled(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Return a view that says which setting is wrong where it cannot do without it."""

        @wraps(view)
        def settled(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except conf.ConfigurationError as error:
                about = {"title": _("A setting is wrong"), "problem": str(error)}
                return TemplateResponse(
                    request,
                    "admin/embedworkflow/misconfigured.html",
                    self._framed(request, about),
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                )

        return settled

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


def page_on(
    site: admin.AdminSite, request: HttpRequest, model: type[models.Model], key: Any
) -> str:
    """Return the URL of an object's page on an admin site; empty if there is none for the viewer.

    Args:
        site: The site.
        request: Whose user wants to see it.
        model: Of what the object is.
        key: The object's primary key.
    """
    if not site.is_registered(model):
        return ""
    if not site.get_model_admin(model).has_view_permission(request):
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(name, args=[key], current_app=site.name)
