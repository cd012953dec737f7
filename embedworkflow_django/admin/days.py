"""Days as ranges of the primary key, which begins with the time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import keys, selection
from ..models import Execution


@dataclass(frozen=True, kw_only=True)
class Days:
    """Some whole days in the viewer's time zone, today or before.

    Args:
        title: What they are called.
        first: How many days ago the first of them was.
        last: How many days ago the last of them was.
    """

    title: Any
    first: int
    last: int = 0

    def bounds(self) -> dict[str, uuid.UUID]:
        """Return the ids between which those rows are that were created within these days."""
        bounds = {"since": keys.first_of(_midnight(self.first))}
        if self.last:
            bounds["before"] = keys.first_of(_midnight(self.last - 1))
        return bounds

    def of(self, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        """Return those rows of a queryset that were created within these days."""
        return selection.matching(queryset, self.bounds())


RANGES = {
    "today": Days(title=_("Today"), first=0),
    "yesterday": Days(title=_("Yesterday"), first=1, last=1),
    "week": Days(title=_("Past 7 days"), first=7),
}


def _midnight(days_ago: int) -> datetime:
    today = timezone.localdate() if settings.USE_TZ else datetime.now().date()  # noqa: DTZ005
    midnight = datetime.combine(today - timedelta(days=days_ago), time.min)
    return timezone.make_aware(midnight) if settings.USE_TZ else midnight
