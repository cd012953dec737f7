"""The pages beside the list, as far as somebody may see them: links between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.text import capfirst

from .shell import ShellMixin


@dataclass(frozen=True, kw_only=True)
class Place:
    """A page that others lead to.

    Args:
        name: Its name among the admin's URLs.
        title: What it is called.
        url: Where it is.
    """

    name: str
    title: Any
    url: str


class PlacesMixin(ShellMixin):
    """Knows the pages that are not about one execution."""

    def places(self, request: HttpRequest) -> list[Place]:
        """Return the pages that the viewer may see; a subclass may add some."""
        if not self.has_view_permission(request):
            return []
        title = capfirst(str(self.opts.verbose_name_plural))
        return [Place(name="changelist", title=title, url=self.bare_url("changelist"))]
