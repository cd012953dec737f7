"""What is wrong at large: accounts that the API does not let in."""

from __future__ import annotations

import re

from django.db.models.functions import Left

from ..models import Execution

# How many of the longest-due rows are looked at.
SAMPLE = 100
_REFUSED = re.compile(r"(?:[A-Z]+ \S+ )?(401|403)\b")


def refused(error: str) -> bool:
    """Return whether an execution's last error says that the API does not let its account in."""
    return _REFUSED.match(error) is not None


def refused_accounts() -> dict[str, str]:
    """Return the accounts that wait for a better key, each with the API's words.

    A worker gives such rows back as they were, so they are among those that are due longest:
    one query for a few rows, answered by the index on ``due_at``.
    """
    rows = (
        Execution.objects.filter(due_at__isnull=False)
        .order_by("due_at")
        .values_list("account", Left("last_error", 300))[:SAMPLE]
    )
    return {account: error for account, error in rows if refused(error)}
