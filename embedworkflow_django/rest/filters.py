"""The list's filters, plain query parameters: ``status``, ``workflow`` and ``source``."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from .. import intake, selection
from ..models import Status


class ExecutionFilter(BaseFilterBackend):
    """``?status=failed&status=undeliverable&workflow=order-fulfilment&source=shop.order:17``.

    A status may be given several times; an index answers each filter alone.
    """

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the executions that a request asks for; those of a detail page are all."""
        if view.detail:
            return queryset
        parameters = request.query_params
        if any("\0" in parameters.get(name, "") for name in ("workflow", "source")):
            return queryset.none()  # No database stores it, and not every one takes it.
        if statuses := [_status(word) for word in parameters.getlist("status") if word]:
            queryset = queryset.filter(status__in=statuses)
        if workflow := parameters.get("workflow"):
            queryset = queryset.filter(workflow=workflow)
        if source := parameters.get("source"):
            label, key = _source(source)
            label = selection.source_label(label)
            queryset = queryset.filter(source_type=label, source_id=key)
        return queryset


def _status(word: str) -> str:
    if word in Status.values:
        return word
    message = _("There is no status %(word)s. %(hint)s") % {
        "word": repr(word),
        "hint": intake.did_you_mean(word, Status.values),
    }
    raise ValidationError({"status": [message]})


def _source(text: str) -> tuple[str, str]:
    try:
        return split_source(text)
    except ValidationError as error:
        raise ValidationError({"source": error.detail}) from None


def split_source(source: str) -> tuple[str, str]:
    """Return model label and key of a source such as ``shop.order:17``.

    Raises:
        ValidationError: It is not written like that.
    """
    label, _colon, key = source.partition(":")
    if not key or label.count(".") != 1:
        message = _("Write a source as app.model:key, such as shop.order:17, not %(source)s.")
        raise ValidationError(message % {"source": repr(source)})
    return label.lower(), key
