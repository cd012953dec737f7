"""What renews itself while one looks: a list's rows that move, and a page, until nothing does.

Each is asked for anew by a script, and the small answer often says: nothing new. It holds whole
cells and whole parts of a page, so that the script knows nothing but where to put them.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from django import forms
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import display_for_value, lookup_field, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from .shell import ShellMixin

# More rows than this are not renewed; it keeps the URL within what servers take.
MAX_ROWS = 100
# While nothing moves, what is said relative to now is renewed this often, in seconds.
FRESH = 15
SCRIPT: Any = forms.Script("embedworkflow_django/live.js", defer=True)
ROWS_TEMPLATE = "admin/embedworkflow/live_rows.html"
PAGE_MEDIA = forms.Media(
    css={"all": ["embedworkflow_django/page.css"]}, js=["embedworkflow_django/page.js"]
)


class LiveListMixin(ShellMixin):
    """A list whose rows that move by themselves are renewed while one looks."""

    # The columns of ``list_display`` that change while a row moves.
    live_display: tuple[str, ...] = ()

    @abstractmethod
    def moves(self, obj: Any) -> bool:
        """Return whether a row changes by itself."""

    @abstractmethod
    def said(self, obj: Any) -> str:
        """Return what is said to those who cannot see that a row's status has changed."""

    def live_numbers(self, visible: QuerySet[Any]) -> Mapping[str, Any]:
        """Return what else the answer's template is given; it is news when it changes.

        Args:
            visible: All the rows that the viewer may see.
        """
        return {}

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the rows that move."""
        return [self.own_url("live/", self.live_rows_view, "live_rows"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the list; a script keeps its rows up to date."""
        own = {"title": capfirst(str(self.opts.verbose_name_plural))}
        if IS_POPUP_VAR in request.GET:
            own = {}
        answer = super().changelist_view(request, {**own, **(extra_context or {})})
        context = answer.context_data if isinstance(answer, TemplateResponse) else None
        if context and "cl" in context:
            context["media"] += forms.Media(js=[SCRIPT])
        return answer

    def live_cell(self, obj: Any, cell: SafeString) -> SafeString:
        """Return a cell that tells the script that its row moves by itself, if it does."""
        if not self.moves(obj):
            return cell
        return format_html(
            '<span data-ewf-moves="{}" data-ewf-status="{}">{}</span>',
            obj.pk.hex,
            obj.status,
            cell,
        )

    def live_rows_view(self, request: HttpRequest) -> HttpResponse:
        """Return the cells of the rows asked for, or that none is new.

        Args:
            request: A GET with the ids as ``ids``, separated by commas; its ``If-None-Match`` is
                what the viewer has. Rows that are gone, or are not for the viewer, are left out.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        visible = self.get_queryset(request)
        found = visible.filter(pk__in=[*_keys(request.GET.get("ids", ""))]).defer(*self.heavy)
        rows = [row for row in found if self.has_view_permission(request, row)]
        numbers = self.live_numbers(visible)
        state = _digest([_small(row, self.heavy) for row in rows], numbers)

        def html() -> str:
            live = [self._row(request, row) for row in rows]
            context = {"state": state, "rows": live, **numbers}
            return render_to_string(ROWS_TEMPLATE, context, request)

        # What rests does not age.
        return answer_if_new(request, [state, any(map(self.moves, rows)) and _now()], html)

    def _row(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {"obj": obj, "said": self.said(obj), "cells": list(self._cells(request, obj))}

    def _cells(self, request: HttpRequest, obj: Any) -> Iterator[tuple[str, Any]]:
        empty = self.get_empty_value_display()
        for name in self.get_list_display(request):
            if name in self.live_display:
                _field, attribute, value = lookup_field(name, obj, self)
                nothing = getattr(attribute, "empty_value_display", empty)
                yield f"field-{name}", display_for_value(value, nothing)


class Page(Protocol):
    """What the page of one object says to one viewer.

    Attributes:
        title: The page's heading.
        is_still: Whether nothing on it will change by itself.
    """

    title: str
    is_still: bool

    def state(self) -> Any:
        """Return what changes whenever the page does, beside the object's small columns."""

    def lasting(self) -> dict[str, Any]:
        """Return what the template is given that stays as it is."""

    def moving(self) -> dict[str, Any]:
        """Return what the template is given that may change at any moment."""


class LivePageMixin(ShellMixin):
    """An object's page, which is the admin's change form without a form, and renews itself."""

    # Nothing is edited; a form of all the columns would be made for nothing.
    fields = readonly_fields = ("id",)

    @abstractmethod
    def page_about(self, request: HttpRequest, obj: Any) -> Page:
        """Return what is said to a viewer about an object that he may see."""

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the parts that change."""
        live = self.own_url("<path:object_id>/live/", self.live_view, "live")
        return [live, *super().get_urls()]

    def render_change_form(  # noqa: PLR0917 - Django's own, which overrides call by position
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Return an object's page."""
        page = self.page_about(request, obj)
        own = {
            "title": page.title,
            "subtitle": None,
            "media": context["media"] + PAGE_MEDIA,
            "live_url": "" if page.is_still else self.url_of(request, "live", obj.pk),
            "live_etag": etag(self._state(obj, page)),
            "list_url": self.url_of(request, "changelist"),
            "is_still": page.is_still,
            **page.lasting(),
            **page.moving(),
        }
        answer: HttpResponse = super().render_change_form(
            request, {**context, **own}, add, change, form_url, obj
        )
        return answer

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return who did what to it; without the right nobody learns whether there is one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the parts of an object's page that may have changed, or that none has.

        Args:
            request: A GET; its ``If-None-Match`` is what the viewer has.
            object_id: The object's id, quoted.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return HttpResponse(status=404)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        page = self.page_about(request, obj)

        def html() -> str:
            request.current_app = self.admin_site.name
            context = {"opts": self.opts, "is_still": page.is_still, **page.moving()}
            return render_to_string(self.template("live.html"), context, request)

        return answer_if_new(request, self._state(obj, page), html)

    def _state(self, obj: Any, page: Page) -> list[Any]:
        return [_small(obj, self.heavy), page.state(), _now()]


def answer_if_new(request: HttpRequest, state: Any, html: Callable[[], str]) -> HttpResponse:
    """Return an answer for those who have another state, and for the others that nothing is new.

    Args:
        request: A GET; its ``If-None-Match`` is what the viewer has.
        state: What the answer is made of.
        html: Makes the answer.
    """
    tag = etag(state)
    answer = get_conditional_response(request, etag=tag) or HttpResponse(html())
    answer["ETag"] = tag
    patch_cache_control(answer, private=True, no_cache=True)
    return answer


def _now() -> int:
    return int(timezone.now().timestamp()) // FRESH


def _keys(text: str) -> Iterator[uuid.UUID]:
    """Yield the ids in a text, without what is none."""
    for word in text.split(",")[:MAX_ROWS]:
        with contextlib.suppress(ValueError):
            yield uuid.UUID(word)


def _small(obj: Any, heavy: tuple[str, ...]) -> list[Any]:
    fields = obj._meta.concrete_fields
    return [getattr(obj, field.attname) for field in fields if field.name not in heavy]


def etag(state: Any) -> str:
    """Return the entity tag of a state."""
    return f'"{_digest(state)}"'


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
