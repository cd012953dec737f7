"""What an execution's page says: what was asked, what happened, what happens next."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.translation import gettext as _

from ..exceptions import escape_bidi
from ..models import Execution, ExecutionEvent, Status
from . import chains, drawing, errors, graph, outlook, presentation, sources, timeline

# The most events that a page shows.
MAX_EVENTS = 100
Facts = list[tuple[Any, Any]]


def latest_events(execution: Execution) -> list[ExecutionEvent]:
    """Return the events to show, oldest first, and one more if there are more; one query."""
    return list(execution.events.order_by("-pk")[: MAX_EVENTS + 1])[::-1]


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who looks at a page, as far as it decides what is on it.

    Args:
        unredacted: Whether secret values are shown.
        refused: The accounts that the API does not let in.
    """

    unredacted: bool
    refused: Container[str] = ()

    def shown(self, value: Any) -> Any:
        """Return a piece of JSON as the viewer may see it."""
        return presentation.shown(value, unredacted=self.unredacted)

    def pretty(self, value: Any) -> str:
        """Return a piece of JSON for a ``<pre>``, as the viewer may see it."""
        return presentation.pretty(value, unredacted=self.unredacted)


def lasting(
    execution: Execution,
    links: sources.SourceLinks,
    visible: QuerySet[Execution],
    viewer: Viewer,
) -> dict[str, Any]:
    """Return what the template is given that does not change while the execution runs.

    Args:
        execution: The execution, with all its columns.
        links: Finds the source as far as the viewer may see it.
        visible: The executions that the viewer may see.
        viewer: Who looks at it.
    """
    runs = chains.runs(visible, execution)
    return {
        "asked": _known(_asked(execution, links)),
        "data": viewer.pretty(execution.execution_data),
        "chain": [chains.described(run) for run in runs[: chains.MAX_CHAIN]] if runs[1:] else [],
        "chain_left_out": len(runs) > chains.MAX_CHAIN,
        "others": [chains.described(other) for other in chains.others(visible, execution)],
        "source_label": sources.label(execution),
        "unredacted": viewer.unredacted,
    }


def moving(
    execution: Execution, events: list[ExecutionEvent], viewer: Viewer, now: datetime
) -> dict[str, Any]:
    """Return what the template is given that may change at any moment; makes no query.

    Args:
        execution: The execution, with all its columns.
        events: What ``latest_events`` has returned.
        viewer: Who looks at it.
        now: The time.
    """
    workflow = graph.read(execution.template, execution.stats, shown=viewer.shown)
    failed = [node.name for node in workflow.actions if node.status == "failed"]
    return {
        "execution": execution,
        "badge": presentation.badge(execution.status),
        "status_label": str(execution.get_status_display()),
        "bar": presentation.bar(execution),
        "duration": presentation.duration(execution, now),
        "story": outlook.story(execution, now, failed),
        "sentences": outlook.sentences(execution, now, refused=viewer.refused),
        "trouble": errors.explain(execution),
        "is_over": execution.is_final or execution.status in (Status.UNCONFIRMED, Status.UNKNOWN),
        "happened": _known(_happened(execution, now)),
        "counters": [part for part in presentation.counters(execution) if execution.actions_count],
        "graph": drawing.svg(workflow, _("The workflow as a graph; the table says the same.")),
        "nodes": drawing.rows(workflow),
        "nodes_left_out": workflow.left_out,
        "timeline": timeline.draw(
            execution, events[-MAX_EVENTS:], workflow, now, unredacted=viewer.unredacted
        ),
        "events_left_out": len(events) > MAX_EVENTS,
        "documents": list(_documents(execution, viewer)),
    }


def _known(facts: Iterable[tuple[Any, Any]]) -> Facts:
    return [(label, value) for label, value in facts if value not in ("", None)]


def _asked(execution: Execution, links: sources.SourceLinks) -> Iterator[tuple[Any, Any]]:
    yield _("Workflow"), escape_bidi(execution.workflow)
    yield _("Identified by"), execution.id_type
    yield _("Account"), execution.account
    yield _("User key"), escape_bidi(execution.user_key)
    yield _("Source"), _source(execution, links)
    yield _("Trigger"), escape_bidi(execution.trigger)
    yield _("Created"), presentation.timestamp(execution.created_at)
    yield _("To be started"), presentation.timestamp(execution.run_at)
    yield _("Idempotency key"), execution.key_sent


def _source(execution: Execution, links: sources.SourceLinks) -> Any:
    source = links.fetch(execution)
    if source is not None:
        name = escape_bidi(str(source))
        return format_html("{} ({})", sources.link(execution, links.url(execution)), name)
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
    yield _("Remote name"), escape_bidi(execution.name)
    yield _("Remote key"), escape_bidi(execution.key)
    yield _("Hashid"), escape_bidi(execution.hashid)
    yield _("Remote status"), escape_bidi(execution.remote_status)


def _documents(execution: Execution, viewer: Viewer) -> Iterator[dict[str, Any]]:
    for name, title, value in (
        ("log", _("Log"), execution.log),
        ("stats", _("Nodes and edges (stats)"), execution.stats),
        ("template", _("Layout (template)"), execution.template),
        ("raw", _("Other properties of the API's answer"), execution.raw),
    ):
        if value:
            yield {"name": name, "title": title, "text": viewer.pretty(value)}
