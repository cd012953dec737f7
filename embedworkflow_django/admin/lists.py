"""The list of executions at any size of the table: its order, its counts and its pages."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import InvalidPage, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ..exceptions import escape_bidi
from ..figures import Count
from ..models import Execution
from . import questions, quick, sources

if TYPE_CHECKING:
    _Paginator = Paginator[Execution]
else:
    _Paginator = Paginator

# Rows beyond this many are neither counted nor paged; a filter or a search brings them up.
MAX_COUNT = 10_000
# Large columns that no list shows.
HEAVY = ("execution_data", "last_error", "log", "stats", "template", "raw")
# A key that no row has.
_NO_KEY = uuid.UUID(int=0)


class CappedPaginator(_Paginator):
    """A paginator whose count stops at ``MAX_COUNT``, so that its cost does too."""

    @cached_property
    def counted(self) -> Count:
        """How many rows there are, as far as they are counted."""
        return questions.counts({"": cast("Any", self.object_list)}, MAX_COUNT)[""]

    @cached_property
    def count(self) -> int:
        """The number of rows that can be paged through."""
        return self.counted.number

    @property
    def capped(self) -> bool:
        """Whether there are more rows than can be paged through."""
        return self.counted.capped


class ExecutionChangeList(ChangeList):
    """The newest first, always; with the quick views' counts, and each row's source's URL."""

    quick_views: list[quick.Shown]

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the one order that the primary key answers, whatever the URL asks for."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Count everything in one query, find the page's keys in an index, and fetch its rows."""
        self.paginator = cast(
            "CappedPaginator",
            self.model_admin.get_paginator(request, self.queryset, self.list_per_page),
        )
        asked = {"": self.queryset, **quick.querysets(self.root_queryset)}
        numbers = questions.counts(asked, MAX_COUNT)
        self.paginator.counted = numbers.pop("")
        chosen = quick.VIEWS.get(request.GET.get(quick.PARAMETER, ""))
        self.quick_views = quick.shown(numbers, chosen)
        self.result_count = self.paginator.count
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.result_count <= self.list_max_show_all
        self.multi_page = self.result_count > self.list_per_page
        arms = quick.arms(self.queryset, chosen)
        keys = questions.newest(arms, *self._bounds())
        self.result_list = self.root_queryset.filter(pk__in=keys).order_by("-pk").defer(*HEAVY)
        links = sources.SourceLinks(self.model_admin.admin_site, request)
        for execution in self.result_list:
            execution.source_url = links.url(execution)
            # Django shows the column as it is.
            execution.workflow = escape_bidi(execution.workflow)

    def url_for_result(self, result: Any) -> str:
        """Return the URL of a row's page, which was reversed once for all the rows."""
        return self._page_url.replace(str(_NO_KEY), str(result.pk))

    @cached_property
    def _page_url(self) -> str:
        model_admin: Any = self.model_admin
        return str(model_admin.bare_url("change", _NO_KEY))

    def _bounds(self) -> tuple[int, int]:
        if self.show_all and self.can_show_all:
            return 0, self.list_max_show_all
        try:
            number = self.paginator.validate_number(self.page_num)
        except InvalidPage as error:
            raise IncorrectLookupParameters from error
        start = (number - 1) * self.list_per_page
        return start, min(start + self.list_per_page, MAX_COUNT)
