"""The timeline of an execution: our own steps and the workflow's actions on one waterfall.

Each row of the waterfall is a row of a table, so that whoever does not see the bars reads the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..exceptions import escape_bidi
from ..models import Execution, ExecutionEvent, Status
from . import drawing, presentation
from .graph import START, Graph, Node

# The most actions that have a row; our own steps are bounded by whoever fetches the events.
MAX_ACTIONS = 100
_INSTANT = timedelta(seconds=1)
# What it may take from an answer to the event that is written of it.
_WRITING = timedelta(seconds=10)
# What an execution can be once the API has confirmed it.
_CONFIRMED = set(Status.values) - {Status.QUEUED, Status.UNCONFIRMED}
# The least width of a bar, of 100: one without any would not be drawn at all.
_THINNEST = 0.4

# What delivery called the outcome of an attempt.
_VERDICTS: dict[str, tuple[Promise, str]] = {
    "delivered": (gettext_lazy("delivered"), "good"),
    "retried": (gettext_lazy("failed, to be sent again"), "warn"),
    "lost": (gettext_lazy("the answer was lost"), "warn"),
    "rejected": (gettext_lazy("refused"), "bad"),
    "gave up": (gettext_lazy("given up"), "bad"),
}
# What services call the verbs.
_VERBS: dict[str, Promise] = {
    "refresh": gettext_lazy("refresh"),
    "run again": gettext_lazy("run again"),
    "cancel": gettext_lazy("cancel"),
    "stop": gettext_lazy("stop"),
    "resolve": gettext_lazy("resolve"),
}
# What an event's detail holds: columns of ours, and these.
_DETAILS: dict[str, Any] = {
    **{field.name: field.verbose_name for field in Execution._meta.concrete_fields},
    "error": gettext_lazy("error"),
    "run_again_as": gettext_lazy("run again as"),
    "status_code": gettext_lazy("status code"),
    "stop": gettext_lazy("stop"),
}
_TONES: dict[str, str] = {
    Status.COMPLETED: "good",
    Status.FAILED: "bad",
    Status.UNDELIVERABLE: "bad",
    Status.UNCONFIRMED: "warn",
}
# What tells the marks of instants apart without colour, on 12 by 12 around the origin.
_MARKS = {
    "step": "M0-5a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
    "delivery": "M-5 5L0-5L5 5z",
    "poll": "M0-5L5 0L0 5L-5 0z",
    "callback": "M-5-5L5-5L0 5z",
    "person": "M-4.5-4.5h9v9h-9z",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something that happened.

    Args:
        start: When it began.
        what: What it was.
        kind: Whose it is: ``step``, ``action``, or an event's source.
        tone: How it is to be taken: ``good``, ``busy``, ``warn``, ``bad`` or ``calm``.
        end: When it was over; the same as ``start`` for an instant.
        since: From when on it was waited for.
        status: The execution's status then.
        detail: What else is known, as (name, value).
        lasts: Whether it is not over.
    """

    start: datetime
    what: str
    kind: str = "step"
    tone: str = "calm"
    end: datetime
    since: datetime | None = None
    status: str = ""
    detail: list[tuple[str, str]] = field(default_factory=list)
    lasts: bool = False

    @property
    def first(self) -> datetime:
        """When it is first heard of."""
        return self.start if self.since is None else min(self.since, self.start)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """All that happened, in order.

    Args:
        rows: What the template shows of each.
        span: How long it took in all, in words.
        left_out: How many actions have no row.
    """

    rows: list[dict[str, Any]]
    span: str
    left_out: int


def draw(
    execution: Execution,
    events: Iterable[ExecutionEvent],
    graph: Graph,
    now: datetime,
    *,
    unredacted: bool,
) -> Timeline:
    """Return the timeline of an execution.

    Args:
        execution: The execution.
        events: Those of its events that are shown.
        graph: Its workflow.
        now: The time.
        unredacted: Whether the viewer may see secret values.
    """
    actions = list(_actions(execution, graph, now))
    begin, end = execution.created_at, execution.finished_at or now
    events = sorted(events, key=lambda event: event.at)
    asked = _recorded(execution.dispatched_at or begin, events, _CONFIRMED)
    ended = _recorded(execution.finished_at or begin, events, {execution.status})
    # What comes about at one moment stands as one thing led to the other. The API's times have
    # whole seconds: none of its actions came before it was asked.
    placed = [
        *((row.first, row) for row in _queued(execution, now)),
        *((event.at, _event(event, unredacted=unredacted)) for event in events),
        *((asked, row) for row in _sent(execution, now)),
        *((max(row.first, asked), row) for row in actions[:MAX_ACTIONS]),
        *((max(row.first, ended), row) for row in _ended(execution)),
    ]
    placed.sort(key=itemgetter(0))
    scale = Scale(begin, max(end, begin + _INSTANT))
    return Timeline(
        rows=[_shown(row, scale) for _at, row in placed],
        span=presentation.words(presentation.between(begin, scale.end)),
        left_out=max(0, len(actions) - MAX_ACTIONS),
    )


def _recorded(
    moment: datetime, events: list[ExecutionEvent], statuses: Collection[str]
) -> datetime:
    """Return when the event that tells of a moment was written, which is a little after it."""
    latest = moment + _WRITING
    return next((e.at for e in events if moment <= e.at <= latest and e.status in statuses), moment)


# What happened


def _queued(execution: Execution, now: datetime) -> Iterator[Row]:
    created = execution.created_at
    yield Row(start=created, end=created, what=_("Committed"), status=Status.QUEUED)
    queued_until = execution.dispatched_at or execution.finished_at or now
    is_queued = execution.status == Status.QUEUED
    yield Row(
        start=created,
        end=max(created, queued_until),
        what=_("In the queue"),
        lasts=is_queued,
        detail=[(_("to be started"), presentation.timestamp(execution.run_at))]
        if execution.run_at
        else [],
    )


def _sent(execution: Execution, now: datetime) -> Iterator[Row]:
    if sent := execution.dispatched_at:
        yield Row(
            start=sent,
            end=max(sent, execution.finished_at or now),
            what=_("At Embed Workflow"),
            tone="busy",
            lasts=not execution.is_final,
        )


def _ended(execution: Execution) -> Iterator[Row]:
    if execution.finished_at:
        yield _instant(execution.finished_at, _("The end"), execution.status)
    if execution.is_final and execution.announced_at:
        yield _instant(execution.announced_at, _("Receivers have been told"), "")


def _instant(when: datetime, what: str, status: str) -> Row:
    return Row(start=when, end=when, what=what, status=status, tone=_TONES.get(status, "calm"))


def _event(event: ExecutionEvent, *, unredacted: bool) -> Row:
    detail = event.detail if isinstance(event.detail, dict) else {"detail": event.detail}
    detail = dict(presentation.shown(detail, unredacted=unredacted))
    what, tone = _told(event, detail)
    return Row(
        start=event.at,
        end=event.at,
        what=what,
        tone=tone or _TONES.get(event.status, "calm"),
        kind=event.source if event.source in _MARKS else "step",
        status=event.status,
        detail=[(_label(key), _value(value)) for key, value in detail.items()],
    )


def _told(event: ExecutionEvent, detail: dict[str, Any]) -> tuple[str, str]:
    """Return what an event was, and its tone if it has one of its own; takes it from the detail."""
    if event.source == ExecutionEvent.Source.DELIVERY and "attempt" in detail:
        verdict = escape_bidi(str(detail.pop("verdict", "delivered")))
        words, tone = _VERDICTS.get(verdict, (verdict, ""))
        about = {"number": detail.pop("attempt"), "verdict": words}
        return _("Attempt %(number)s: %(verdict)s") % about, tone
    if event.source == ExecutionEvent.Source.PERSON and "verb" in detail:
        verb = escape_bidi(str(detail.pop("verb")))
        person = escape_bidi(str(detail.pop("by", ""))) or _("somebody")
        about = {"verb": _VERBS.get(verb, verb), "person": person}
        return _("%(person)s: %(verb)s") % about, ""
    if event.source == ExecutionEvent.Source.POLL:
        return (_("Asked: not known") if "misses" in detail else _("Asked: news")), ""
    if event.source == ExecutionEvent.Source.CALLBACK:
        return _("The workflow called back"), ""
    return event.get_source_display(), ""


def _label(key: str) -> str:
    return str(_DETAILS.get(key, escape_bidi(key.replace("_", " "))))


def _value(value: Any) -> str:
    return (
        escape_bidi(value)
        if isinstance(value, str)
        else presentation.pretty(value, unredacted=True)
    )


def _actions(execution: Execution, graph: Graph, now: datetime) -> Iterator[Row]:
    reached = _reached(execution, graph)
    for node in graph.actions:
        start = node.scheduled_at or node.ended_at
        if start is None:
            continue
        lasts = node.ended_at is None and not execution.is_final and start <= now
        yield Row(
            start=start,
            end=max(start, node.ended_at or (execution.finished_at or now)),
            since=reached.get(node.id),
            what=drawing.name(node),
            kind="action",
            tone=_tone(node),
            lasts=lasts,
            detail=[(_("action"), drawing.word(node))],
        )


def _tone(node: Node) -> str:
    looks = {"completed": "good", "failed": "bad", "running": "busy"}
    return looks.get(drawing.look(node), "calm")


def _reached(execution: Execution, graph: Graph) -> dict[str, datetime]:
    """Return when the way to each action opened: when the first one that leads there was done."""
    begun = execution.remote_created_at or execution.dispatched_at
    found: dict[str, datetime] = {}
    for (origin, target), is_taken in graph.edges.items():
        moment = begun if origin == START else graph.nodes[origin].ended_at
        if is_taken and moment:
            found[target] = min(moment, found.get(target, moment))
    return found


# How it is shown


@dataclass(frozen=True)
class Scale:
    """Times as places between 0 and 100, those outside moved to the edge."""

    begin: datetime
    end: datetime

    def place(self, when: datetime) -> float:
        """Return where a moment is."""
        begin = self.begin.timestamp()
        part = (when.timestamp() - begin) / (self.end.timestamp() - begin)
        return 100 * min(1.0, max(0.0, part))


def _shown(row: Row, scale: Scale) -> dict[str, Any]:
    took = presentation.between(row.start, row.end)
    duration = presentation.words(took) if took or row.lasts else ""
    return {
        "row": row,
        "when": row.first,
        "full": presentation.timestamp(row.first),
        "clock": _clock(row.first, scale.begin),
        "offset": presentation.words(presentation.between(scale.begin, row.first)),
        "mark": _mark(row.kind),
        "lane": _lane(row, scale),
        "took": presentation.so_far(duration) if row.lasts else duration,
        "badge": presentation.badge(row.status) if row.status else "",
    }


def _clock(when: datetime, begin: datetime) -> str:
    local = presentation.local(when)
    same_day = local.date() == presentation.local(begin).date()
    return f"{local:%H:%M:%S}" if same_day else presentation.timestamp(when)


def _mark(kind: str) -> SafeString:
    if kind not in _MARKS:
        return SafeString("")
    return format_html('<path class="ewf-mark" d="{}"/>', _MARKS[kind])


def _lane(row: Row, scale: Scale) -> SafeString:
    start, end = scale.place(row.start), scale.place(row.end)
    parts = [
        format_html('<line class="ewf-grid" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>', quarter)
        for quarter in (0, 25, 50, 75, 100)
    ]
    if row.since is not None and row.since < row.start:
        since = scale.place(row.since)
        parts.append(_bar("ewf-wait", since, start))
    if row.start == row.end and row.kind != "action":
        parts.append(
            format_html(
                '<svg x="{}%" y="50%" overflow="visible">{}</svg>', f"{start:.2f}", _mark(row.kind)
            )
        )
    else:
        parts.append(_bar("ewf-span ewf-lasts" if row.lasts else "ewf-span", start, end))
    return format_html(
        '<svg class="ewf-lane ewf-tone-{}" width="100%" height="22" aria-hidden="true"'
        ' focusable="false">{}</svg>',
        row.tone,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _bar(classes: str, start: float, end: float) -> SafeString:
    return format_html(
        '<rect class="{}" x="{}%" y="6" width="{}%" height="10" rx="2"/>',
        classes,
        f"{min(start, 100 - _THINNEST):.2f}",
        f"{max(end - start, _THINNEST):.2f}",
    )
