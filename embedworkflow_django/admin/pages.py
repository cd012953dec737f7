"""What an execution's page says: what was asked, what happened, what happens next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

from ..models import Execution, ExecutionEvent
from . import outlook, presentation, sources

# The most events, and the most executions of a chain, that a page shows.
MAX_EVENTS = 100
MAX_CHAIN = 20
Facts = list[tuple[Any, Any]]


def context(
    execution: Execution, links: sources.SourceLinks, *, unredacted: bool
) -> dict[str, Any]:
    """Return what the template of an execution's page is given.

    Args:
        execution: The execution, with all its columns.
        links: Finds the source as far as the viewer may see it.
        unredacted: Whether the viewer may see secret values.
    """
    now = timezone.now()
    events = list(execution.events.order_by("-pk")[: MAX_EVENTS + 1])
    return {
        "execution": execution,
        "badge": presentation.badge(execution.status),
        "bar": presentation.bar(execution),
        "duration": presentation.duration(execution, now),
        "asked": _known(_asked(execution, links)),
        "happened": _known(_happened(execution, now)),
        "sentences": outlook.sentences(execution, now),
        "counters": [part for part in presentation.counters(execution) if execution.actions_count],
        "data": presentation.pretty(execution.execution_data, unredacted=unredacted),
        "documents": list(_documents(execution, unredacted=unredacted)),
        "events": [_event(event, unredacted=unredacted) for event in events[MAX_EVENTS - 1 :: -1]],
        "events_left_out": len(events) > MAX_EVENTS,
        "chain": _chain(execution),
        "source_label": sources.label(execution),
        "unredacted": unredacted,
    }


def _known(facts: Iterator[tuple[Any, Any]]) -> Facts:
    return [(label, value) for label, value in facts if value not in ("", None)]


def _asked(execution: Execution, links: sources.SourceLinks) -> Iterator[tuple[Any, Any]]:
    yield _("Workflow"), execution.workflow
    yield _("Identified by"), execution.id_type
    yield _("Account"), execution.account
    yield _("User key"), execution.user_key
    yield _("Source"), _source(execution, links)
    yield _("Trigger"), execution.trigger
    yield _("Created"), presentation.timestamp(execution.created_at)
    yield _("To be started"), presentation.timestamp(execution.run_at)
    yield _("Idempotency key"), execution.key_sent


def _source(execution: Execution, links: sources.SourceLinks) -> Any:
    source = links.fetch(execution)
    if source is not None:
        return format_html("{} ({})", sources.link(execution, links.url(execution)), str(source))
    if links.model_admin(execution.source_type) is not None:
        return _("%(source)s (gone, or not for you to see)") % {"source": sources.title(execution)}
    return sources.title(execution)


def _happened(execution: Execution, now: datetime) -> Iterator[tuple[Any, Any]]:
    yield _("Attempts"), execution.attempts or ""
    yield _("First sent"), presentation.timestamp(execution.sent_at)
    yield _("Confirmed"), presentation.timestamp(execution.dispatched_at)
    yield _("Last answer"), presentation.timestamp(execution.synced_at)
    yield _("Finished"), presentation.timestamp(execution.finished_at)
    yield _("Stop asked for"), presentation.timestamp(execution.stop_requested_at)
    yield _("Duration"), presentation.duration(execution, now)
    yield _("Remote id"), execution.remote_id
    yield _("Remote name"), execution.name
    yield _("Remote key"), execution.key
    yield _("Hashid"), execution.hashid
    yield _("Remote status"), execution.remote_status


def _documents(execution: Execution, *, unredacted: bool) -> Iterator[tuple[Any, str]]:
    for title, value in (
        (_("Log"), execution.log),
        (_("Nodes and edges (stats)"), execution.stats),
        (_("Layout (template)"), execution.template),
        (_("Other properties of the API's answer"), execution.raw),
    ):
        if value:
            yield title, presentation.pretty(value, unredacted=unredacted)


def _event(event: ExecutionEvent, *, unredacted: bool) -> dict[str, Any]:
    detail = event.detail if isinstance(event.detail, dict) else {"detail": event.detail}
    return {
        "at": presentation.timestamp(event.at),
        "source": event.get_source_display(),
        "badge": presentation.badge(event.status),
        "detail": [
            (
                name.replace("_", " "),
                value if isinstance(value, str) else presentation.pretty(value, unredacted=True),
            )
            for name, value in presentation.shown(detail, unredacted=unredacted).items()
        ],
    }


def _chain(execution: Execution) -> list[dict[str, Any]]:
    related = Q(run_again_of=execution.pk)
    if execution.run_again_of_id:
        related |= Q(pk=execution.run_again_of_id)
    rows = Execution.objects.filter(related).only(
        "status", "workflow", "created_at", "run_again_of"
    )
    return [
        {
            "execution": row,
            "badge": presentation.badge(row.status),
            "relation": _("run again of")
            if row.pk == execution.run_again_of_id
            else _("run again as"),
        }
        for row in rows.order_by("pk")[:MAX_CHAIN]
    ]
