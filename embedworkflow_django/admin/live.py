"""The rows of the list that move by themselves, as one small answer that often says: nothing new.

The answer holds whole cells, so that the script knows nothing but where to put them.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin.utils import display_for_value, lookup_field
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..models import Execution, Status
from . import lists, questions, quick, sources
from .shell import ShellMixin

# More rows than this are not renewed; it keeps the URL within what servers take.
MAX_ROWS = 100
# While nothing moves, what is said relative to now is renewed this often, in seconds.
FRESH = 15
SCRIPT: Any = forms.Script("embedworkflow_django/live.js", defer=True)
TEMPLATE = "admin/embedworkflow/execution/live_rows.html"


class LiveListMixin(ShellMixin):
    """A list whose rows in flight are renewed while one looks."""

    # The columns of ``list_display`` that change while an execution runs.
    live_display: tuple[str, ...] = ("status_badge", "progress_bar", "tries", "duration")

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the rows that move."""
        rows = path(
            "live/",
            self.admin_site.admin_view(self.live_rows_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_live_rows",
        )
        return [rows, *super().get_urls()]

    def live_cell(self, execution: Execution, cell: SafeString) -> SafeString:
        """Return a cell that tells the script that its row moves by itself, if it does."""
        if execution.is_final or execution.due_at is None:
            return cell
        return format_html(
            '<span data-ewf-moves="{}" data-ewf-status="{}">{}</span>',
            execution.pk.hex,
            execution.status,
            cell,
        )

    def live_rows_view(self, request: HttpRequest) -> HttpResponse:
        """Return the cells of the rows asked for and the quick views' numbers, or that none is new.

        Args:
            request: A GET with the ids as ``ids``, separated by commas; its ``If-None-Match`` is
                what the viewer has. Rows that are gone, or are not for the viewer, are left out.
        """
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        visible = self.get_queryset(request)
        found = visible.filter(pk__in=[*_keys(request.GET.get("ids", ""))]).defer(*lists.HEAVY)
        rows = [row for row in found if self.has_view_permission(request, row)]
        numbers = questions.counts(quick.querysets(visible), lists.MAX_COUNT)
        state = _digest([_state(row) for row in rows], numbers)
        # What has ended does not age.
        ages = any(not row.is_final for row in rows)
        etag = f'"{_digest(state, ages and int(timezone.now().timestamp()) // FRESH)}"'
        answer = get_conditional_response(request, etag=etag)
        if answer is None:
            context = {
                "state": state,
                "views": quick.shown(numbers, lists.MAX_COUNT),
                "rows": [self._row(request, row) for row in rows],
            }
            answer = HttpResponse(render_to_string(TEMPLATE, context, request))
        answer["ETag"] = etag
        patch_cache_control(answer, private=True, no_cache=True)
        return answer

    def _row(self, request: HttpRequest, execution: Execution) -> dict[str, Any]:
        known = Status(execution.status).label if execution.status in Status else execution.status
        return {
            "execution": execution,
            "source": sources.title(execution),
            "word": known,
            "cells": list(self._cells(request, execution)),
        }

    def _cells(self, request: HttpRequest, execution: Execution) -> Iterator[tuple[str, Any]]:
        empty = self.get_empty_value_display()
        for name in self.get_list_display(request):
            if name in self.live_display:
                _field, _attribute, value = lookup_field(name, execution, self)
                yield f"field-{name}", display_for_value(value, empty)


def _keys(text: str) -> Iterator[uuid.UUID]:
    """Yield the ids in a text, without what is none."""
    for word in text.split(",")[:MAX_ROWS]:
        with contextlib.suppress(ValueError):
            yield uuid.UUID(word)


def _state(execution: Execution) -> list[Any]:
    fields = Execution._meta.concrete_fields
    return [getattr(execution, each.attname) for each in fields if each.name not in lists.HEAVY]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
