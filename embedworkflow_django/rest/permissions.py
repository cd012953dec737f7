"""Who may do what over REST: the admin's rights, no more and no less."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from ..models import Execution

VIEW = "view"


class ExecutionPermission(IsAuthenticated):
    """Seeing executions takes ``view_execution``; each verb takes its own right as well."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user may do this at all."""
        return bool(super().has_permission(request, view)) and all(
            may(request, right) for right in {VIEW, self.right(view)}
        )

    def right(self, view: Any) -> str:
        """Return the codename's first part that an action takes; to view, if it says nothing."""
        rights: dict[str, str] = view.rights
        return rights.get(view.action, VIEW)


def may(request: Request, right: str) -> bool:
    """Return whether whoever asks has ``embedworkflow.<right>_execution``."""
    return request.user.has_perm(f"{Execution._meta.app_label}.{right}_execution")


def may_see_data(request: Request) -> bool:
    """Return whether secret values are shown to whoever asks."""
    return request.user.has_perm(f"{Execution._meta.app_label}.view_execution_data")
