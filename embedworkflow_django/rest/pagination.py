"""Pages of executions: a cursor on the primary key, the same speed at any depth."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class ExecutionPagination(CursorPagination):
    """Newest first, 100 to a page; ``?page_size=`` asks for up to 500."""

    ordering = "-id"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 500

    def decode_cursor(self, request: Request) -> Any:
        """Return the cursor that a request names, if it is one of ours.

        Raises:
            NotFound: It is none.
        """
        cursor: Any = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                uuid.UUID(cursor.position)
            except ValueError:
                raise NotFound(self.invalid_cursor_message) from None
        return cursor
