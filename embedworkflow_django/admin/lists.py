"""The list of executions at any size of the table: its order, its count and its search."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import capfirst

from ..models import Execution
from . import sources

if TYPE_CHECKING:
    _Paginator = Paginator[Execution]
else:
    _Paginator = Paginator

# Rows beyond this many are neither counted nor paged; a filter or a search brings them up.
MAX_COUNT = 10_000
# Large columns that no list shows.
HEAVY = ("execution_data", "last_error", "log", "stats", "template", "raw")

_SOURCE = re.compile(r"([a-z_]\w*\.[a-z_]\w*):(.+)", re.IGNORECASE)
_UUID_START = re.compile(r"[0-9a-f-]{8,36}", re.IGNORECASE)


class CappedPaginator(_Paginator):
    """A paginator whose count stops at ``MAX_COUNT``, so that its cost does too."""

    @cached_property
    def counted(self) -> int:
        """The number of rows, ``MAX_COUNT + 1`` standing for any larger one."""
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: MAX_COUNT + 1].count())

    @cached_property
    def count(self) -> int:
        """The number of rows that can be paged through."""
        return min(self.counted, MAX_COUNT)

    @property
    def capped(self) -> bool:
        """Whether there are more rows than can be paged through."""
        return self.counted > MAX_COUNT


class ExecutionChangeList(ChangeList):
    """The newest first, always; and each row with the URL of its source."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if not self.is_popup:
            self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the one order that the primary key answers, whatever the URL asks for."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page without its heavy columns, and find out where its sources are."""
        super().get_results(request)
        # Not in the queryset itself: the actions need what the list does not show.
        self.result_list = self.result_list.defer(*HEAVY)
        links = sources.SourceLinks(self.model_admin.admin_site, request)
        for execution in self.result_list:
            execution.source_url = links.url(execution)


def search(queryset: QuerySet[Execution], term: str) -> QuerySet[Execution]:
    """Return the executions that a search term means; an index answers each question.

    Args:
        queryset: The executions to search.
        term: A source as ``app.model:pk``; an id or its beginning, of eight digits at least; a
            remote id or an idempotency key; or else a workflow. All exactly.
    """
    exactly = Q(remote_id=term) | Q(idempotency_key=term)
    if source := _SOURCE.fullmatch(term):
        about = Q(source_type=source[1].lower(), source_id=source[2].strip())
        return queryset.filter(exactly | about)
    if _UUID_START.fullmatch(term) and (digits := term.replace("-", "")):
        return queryset.filter(exactly | Q(pk__range=_uuids_from(digits)))
    found = queryset.filter(exactly)
    # Not one more alternative: a workflow may have millions, and together they would be sorted.
    return found if found.exists() else queryset.filter(workflow=term)


def _uuids_from(digits: str) -> tuple[uuid.UUID, uuid.UUID]:
    digits = digits[:32]
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
