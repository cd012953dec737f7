"""The quick views: what an operator asks for first, each with its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from ..figures import Count
from ..models import Execution, Status
from . import days, presentation

PARAMETER = "view"


@dataclass(frozen=True, kw_only=True)
class View:
    """Some statuses, perhaps of today only.

    Args:
        title: What it is called.
        explanation: Which rows those are.
        statuses: The statuses that rows of it have.
        today: Whether they were created today.
    """

    title: Any
    explanation: Any
    statuses: tuple[str, ...]
    today: bool = False

    def of(self, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        """Return those rows of a queryset that are in this view."""
        if self.today:
            queryset = days.RANGES["today"].of(queryset)
        if len(self.statuses) == 1:
            return queryset.filter(status=self.statuses[0])
        return queryset.filter(status__in=self.statuses)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A quick view as the list shows it."""

    name: str
    view: View
    number: str
    is_empty: bool
    is_chosen: bool


VIEWS = {
    "attention": View(
        title=gettext_lazy("Needs attention"),
        explanation=gettext_lazy("Nothing more happens by itself: unconfirmed, given up, unknown"),
        statuses=(Status.UNCONFIRMED, Status.UNDELIVERABLE, Status.UNKNOWN),
    ),
    "in_flight": View(
        title=gettext_lazy("In flight"),
        explanation=gettext_lazy("Embed Workflow has them: running, or upcoming"),
        statuses=(Status.RUNNING, Status.UPCOMING),
    ),
    "queued": View(
        title=gettext_lazy("Queued"),
        explanation=gettext_lazy("Not delivered yet"),
        statuses=(Status.QUEUED,),
    ),
    "unconfirmed": View(
        title=gettext_lazy("Unconfirmed"),
        explanation=gettext_lazy("Sent, but the answer was lost: they await a decision"),
        statuses=(Status.UNCONFIRMED,),
    ),
    "failed_today": View(
        title=gettext_lazy("Failed today"),
        explanation=gettext_lazy("Created today, and failed"),
        statuses=(Status.FAILED,),
        today=True,
    ),
}


def querysets(queryset: QuerySet[Execution]) -> dict[str, QuerySet[Execution]]:
    """Return the rows of each view, of those that the viewer may see."""
    return {name: view.of(queryset) for name, view in VIEWS.items()}


def arms(queryset: QuerySet[Execution], chosen: View | None) -> list[QuerySet[Execution]]:
    """Return a list's rows by status where a view of several is chosen, else together.

    Each status has a place of its own in the index, in which its rows are in order.
    """
    if chosen is None or len(chosen.statuses) == 1:
        return [queryset]
    return [queryset.filter(status=status) for status in chosen.statuses]


def shown(counts: Mapping[str, Count], chosen: View | None = None) -> list[Shown]:
    """Return the views with their numbers.

    Args:
        counts: How many rows each view has.
        chosen: The view that is looked at.
    """
    return [
        Shown(
            name=name,
            view=view,
            number=presentation.counted(counts[name]),
            is_empty=not counts[name].number,
            is_chosen=view is chosen,
        )
        for name, view in VIEWS.items()
    ]
