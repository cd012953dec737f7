"""What the overview says: figures as numbers, bars and tables, each with its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import conf, figures
from ..exceptions import escape_bidi
from ..figures import Count, Outcomes, Overview, Pause, Sign
from ..models import Status
from ..pauses import Kind
from . import charts, presentation, quick

# How many processes are listed, those at work first.
MOST_PROCESSES = 20


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A number that an operator looks for first.

    Args:
        title: What it counts.
        number: How many there are.
        explanation: Which rows those are.
        hint: What else is known of them.
        url: The list of exactly these rows; empty if no list is.
        tone: ``warn`` or ``bad`` if somebody should look.
    """

    title: Any
    number: str
    explanation: Any
    hint: str = ""
    url: str = ""
    tone: str = ""


def told(found: Overview, list_url: str) -> dict[str, Any]:
    """Return what the template is given.

    Args:
        found: The figures.
        list_url: The list of executions; empty if it is not for the viewer.
    """
    return {
        "at": f"{presentation.local(found.at):%H:%M:%S}",
        "alerts": list(_alerts(found)),
        "tiles": list(_tiles(found, list_url)),
        "pauses": [_pause(each, found.at) for each in found.pauses],
        **_day(found, list_url),
        **_processes(found),
    }


# What is wrong at large


def _alerts(found: Overview) -> Iterator[dict[str, str]]:
    if not found.is_unserved:
        return
    count = found.due.number
    due = ngettext(
        "No worker is at work, and %(count)s execution is due.",
        "No worker is at work, and %(count)s executions are due.",
        count,
    )
    if found.processes:
        seen = presentation.moment(found.processes[0].seen_at, found.at)
        last = _("The last sign of life was %(ago)s.") % {"ago": seen}
    else:
        last = _("No worker has given a sign of life within the last day.")
    dispatcher = conf.settings.dispatcher
    wanted = _("The setting DISPATCHER is “%(dispatcher)s”.") % {"dispatcher": dispatcher}
    if dispatcher == "worker":
        wanted = _("Start “manage.py embedworkflow_worker”.")
    yield {"title": due % {"count": presentation.counted(found.due)}, "text": f"{last} {wanted}"}


# Numbers


def _tiles(found: Overview, list_url: str) -> Iterator[Tile]:
    unserved = "bad" if found.is_unserved else ""
    yield Tile(
        title=_("Due now"),
        number=presentation.counted(found.due),
        explanation=_("They wait for a worker: to be sent, asked after or announced"),
        hint=_oldest(found.oldest_due),
        tone=unserved,
    )
    yield Tile(
        title=_("In a worker’s hands"),
        number=presentation.counted(found.in_flight),
        explanation=_("Claimed by a worker that has not given them back yet"),
    )
    yield _of_view("queued", found, list_url, hint=_oldest(found.oldest_queued))
    yield _of_view("in_flight", found, list_url)
    yield _of_view("unconfirmed", found, list_url, title=_("Awaiting a decision"), tone="warn")
    yield _of_view("attention", found, list_url, tone="warn")


def _of_view(
    name: str, found: Overview, list_url: str, *, title: Any = "", hint: str = "", tone: str = ""
) -> Tile:
    """Return what a quick view of the list counts, too: the same words for the same rows."""
    view = quick.VIEWS[name]
    counts = [found.statuses[status] for status in view.statuses]
    total = Count(sum(each.number for each in counts), any(each.capped for each in counts))
    return Tile(
        title=title or view.title,
        number=presentation.counted(total),
        explanation=view.explanation,
        hint=hint,
        url=_listed(list_url, **{quick.PARAMETER: name}),
        tone=tone if total.number else "",
    )


def _oldest(age: float | None) -> str:
    if age is None:
        return ""
    return _("the oldest for %(duration)s") % {
        "duration": presentation.words(timedelta(seconds=age))
    }


def _listed(list_url: str, **filters: str) -> str:
    return list_url and f"{list_url}?{urlencode(filters)}"


# The last day


def _day(found: Overview, list_url: str) -> dict[str, Any]:
    hours = [presentation.local(hour) for hour in found.hours]
    everything = charts.bars(
        found.total,
        _("What has ended, hour by hour; the table below says the same."),
        "ewf-hours-large",
    )
    columns = [list(_cells(each)) for each in (found.total, *found.outcomes)]
    return {
        "since": presentation.timestamp(found.hours[0]),
        "first_hour": f"{hours[0]:%H:%M}",
        "last_hour": f"{hours[-1]:%H:%M}",
        "most": presentation.number(max(ended for ended, _failed in _ended(found.total))),
        "total": {**_sums(found.total), "chart": everything},
        "workflows": [_workflow(each, list_url) for each in found.outcomes],
        "workflows_left_out": len(found.outcomes) >= figures.MOST_WORKFLOWS,
        "hourly": [
            {"hour": f"{hour:%H:%M}", "cells": cells}
            for hour, *cells in zip(hours, *columns, strict=True)
        ],
    }


def _sums(outcomes: Outcomes) -> dict[str, Any]:
    rate = outcomes.failure_rate
    return {
        "sent": presentation.number(outcomes.sent),
        "completed": presentation.number(sum(outcomes.completed)),
        "failed": presentation.number(sum(outcomes.failed)),
        "has_failed": any(outcomes.failed),
        "others": presentation.number(sum(outcomes.others)),
        "rate": "" if rate is None else _percent(rate),
    }


def _percent(part: float) -> str:
    return _("%(number)s %%") % {"number": presentation.number(round(100 * part, 1))}


def _workflow(outcomes: Outcomes, list_url: str) -> dict[str, Any]:
    name = escape_bidi(outcomes.workflow)
    label = _("%(workflow)s, hour by hour") % {"workflow": name}
    return {
        "name": name,
        "url": _listed(list_url, workflow=outcomes.workflow),
        "chart": charts.bars(outcomes, label),
        **_sums(outcomes),
    }


def _ended(outcomes: Outcomes) -> list[tuple[int, int]]:
    """Return how many have ended in each hour, and how many of them have failed."""
    series = zip(outcomes.completed, outcomes.others, outcomes.failed, strict=True)
    return [(sum(each), each[-1]) for each in series]


def _cells(outcomes: Outcomes) -> Iterator[str]:
    for ended, failed in _ended(outcomes):
        text = presentation.number(ended) if ended else ""
        yield f"{text} ({presentation.number(failed)})" if failed else text


# Accounts and processes


def _pause(pause: Pause, now: datetime) -> dict[str, Any]:
    known = pause.kind in Kind
    return {
        "account": pause.account,
        "kind": Kind(pause.kind).label if known else "",
        "words": escape_bidi(pause.reason),
        "is_refused": pause.refused,
        "until": presentation.moment(pause.until, now),
        "until_when": presentation.timestamp(pause.until),
    }


def _processes(found: Overview) -> dict[str, Any]:
    ordered = sorted(found.processes, key=lambda sign: not sign.alive)
    return {
        "processes": [_process(sign, found.at) for sign in ordered[:MOST_PROCESSES]],
        "processes_left_out": len(ordered[MOST_PROCESSES:]),
    }


def _process(sign: Sign, now: datetime) -> dict[str, Any]:
    if sign.alive:
        state = presentation.mark(Status.RUNNING, _("at work"))
    elif sign.ended_at is not None:
        state = presentation.mark(Status.CANCELED, _("ended"))
    else:
        state = presentation.mark(Status.UNKNOWN, _("silent"))
    return {
        "sign": sign,
        "state": state,
        "seen": presentation.moment(sign.seen_at, now),
        "seen_when": presentation.timestamp(sign.seen_at),
        "in_hand": presentation.number(sign.in_flight) if sign.alive else "–",
        "started": presentation.timestamp(sign.started_at),
    }
