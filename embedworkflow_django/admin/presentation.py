"""What a status, a progress, a duration and a piece of JSON look like, as escaped HTML.

No colour carries a meaning alone, and there is no inline style or script.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.utils import dateformat, timezone
from django.utils.formats import date_format, get_format, number_format
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext, ngettext_lazy
from django.utils.translation import gettext as _

from .. import redaction
from ..exceptions import escape_bidi
from ..figures import Count
from ..models import Execution, Status

# How much of a piece of JSON a page shows, in characters.
MAX_JSON = 100_000

_CIRCLE = "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13"
_QUESTION = "M6.2 6.5a1.8 1.8 0 1 1 2.7 1.5c-.6.4-.9.7-.9 1.3M8 11v.7"
# One silhouette for each status: it is told apart without colour and before it is read.
_ICONS: dict[str, str] = {
    Status.QUEUED: f"{_CIRCLE}M8 4.5V8l2.5 1.5",
    Status.RUNNING: "M4 2.2v11.6L13.8 8z",
    Status.UPCOMING: "M2 3.5h12V14H2zM2 6.8h12M5 1.5v3.3M11 1.5v3.3",
    Status.COMPLETED: f"{_CIRCLE}M5 8.2l2.2 2.2L11.2 6",
    Status.FAILED: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z"
    "M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6",
    Status.STOPPED: "M2 2h12v12H2zM6 6h4v4H6z",
    Status.DELETED: "M3.2 4.5h9.6l-.8 9.8H4zM1.5 4.5h13M6 4.5V2h4v2.5",
    Status.UNDELIVERABLE: "M8 1.5l7 12.7H1zM8 6.2v4M8 12v.4",
    Status.UNCONFIRMED: f"M8 .8L15.2 8L8 15.2L.8 8z{_QUESTION}",
    Status.CANCELED: f"{_CIRCLE}M3.5 12.5l9-9",
    Status.UNKNOWN: f"M1.5 5V1.5H5M11 1.5h3.5V5M14.5 11v3.5H11M5 14.5H1.5V11{_QUESTION}",
}
_PARTS = {
    "completed": ngettext_lazy("%(count)d completed", "%(count)d completed", "count"),
    "running": ngettext_lazy("%(count)d running", "%(count)d running", "count"),
    "idle": ngettext_lazy("%(count)d idle", "%(count)d idle", "count"),
    "failed": ngettext_lazy("%(count)d failed", "%(count)d failed", "count"),
    "stopped": ngettext_lazy("%(count)d stopped", "%(count)d stopped", "count"),
}


def badge(status: str) -> SafeString:
    """Return a status as icon, word and shape; a word that is not ours looks like ``unknown``."""
    return mark(status, str(Status(status).label) if status in _ICONS else escape_bidi(status))


def mark(status: str, word: str) -> SafeString:
    """Return a word as icon and shape of a status; of ``unknown`` for one that is not ours."""
    return _badge(status if status in _ICONS else Status.UNKNOWN, word)


# A list has a hundred of them, and few that differ.
@functools.lru_cache(maxsize=512)
def _badge(status: str, word: str) -> SafeString:
    return format_html(
        '<span class="ewf-badge ewf-{}"><svg class="ewf-icon" viewBox="0 0 16 16" width="14"'
        ' height="14" aria-hidden="true" focusable="false"><path d="{}"/></svg>{}</span>',
        status,
        _ICONS[status],
        word,
    )


def silhouette(status: str) -> str:
    """Return the path that draws a status, on 16 by 16."""
    return _ICONS.get(status, _ICONS[Status.UNKNOWN])


def counters(execution: Execution) -> list[tuple[str, str, int]]:
    """Return name, words and number of the actions in each of the API's five states."""
    return _counted(_counts(execution))


def _counts(execution: Execution) -> tuple[int, ...]:
    return tuple(getattr(execution, f"{name}_actions_count") for name in _PARTS)


def _counted(counts: Iterable[int]) -> list[tuple[str, str, int]]:
    parts = zip(_PARTS.items(), counts, strict=True)
    return [(name, words % {"count": count}, count) for (name, words), count in parts]


def bar(execution: Execution) -> SafeString:
    """Return the counters as a segmented bar with its reading beside it."""
    return _bar(_counts(execution), execution.actions_count, get_language())


@functools.lru_cache(maxsize=512)
def _bar(counts: tuple[int, ...], expected: int, _language: str | None) -> SafeString:
    parts = [part for part in _counted(counts) if part[-1]]
    total = max(expected, sum(counts))
    if not total:
        return format_html('<span class="ewf-quiet">{}</span>', "–")
    return format_html(
        '<span class="ewf-progress" title="{0}"><svg class="ewf-bar" viewBox="0 0 100 8" width="56"'
        ' height="8" preserveAspectRatio="none" role="img" aria-label="{0}">{1}</svg> '
        '<span class="ewf-number">{2}</span></span>',
        ", ".join(words for _name, words, _count in parts)
        or ngettext("%(count)d action", "%(count)d actions", total) % {"count": total},
        _segments(parts, total),
        _("%(done)d of %(total)d") % {"done": counts[0], "total": total},
    )


def _segments(parts: Iterable[tuple[str, str, int]], total: int) -> SafeString:
    placed, start = [], 0.0
    for name, _words, count in parts:
        width = 100 * count / total
        placed.append((name, f"{start:.2f}", f"{width:.2f}"))
        start += width
    return format_html_join(
        "", '<rect class="ewf-part ewf-part-{}" x="{}" y="0" width="{}" height="8"/>', placed
    )


def number(value: float) -> str:
    """Return a number as the viewer's language writes it, with its thousands apart."""
    return number_format(value, force_grouping=True)


def counted(count: Count) -> str:
    """Return a number of rows, "10,000+" for what was not counted to its end."""
    text = number(count.number)
    return _("%(count)s+") % {"count": text} if count.capped else text


def words(duration: timedelta) -> str:
    """Return a duration in its two largest units, from tenths of a second to days."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 9.95:  # noqa: PLR2004 - what is rounded to ten is written without tenths
        return _("%(s)s s") % {"s": number(round(seconds, 1))}
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _("%(s)d s") % {"s": rest}
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return _("%(m)d min %(s)d s") % {"m": minutes, "s": rest}
    days, hours = divmod(hours, 24)
    if not days:
        return _("%(h)d h %(m)d min") % {"h": hours, "m": minutes}
    return _("%(d)d d %(h)d h") % {"d": days, "h": hours}


def between(start: datetime, end: datetime) -> timedelta:
    """Return how much time has passed, where summer time has begun or ended meanwhile as well."""
    # Two moments of one zone are subtracted as its clocks show them.
    return timedelta(seconds=end.timestamp() - start.timestamp())


def elapsed(execution: Execution, now: datetime) -> str:
    """Return how long an execution took from its creation on, or has taken until now."""
    if execution.finished_at is not None:
        return words(between(execution.created_at, execution.finished_at))
    return "–" if execution.is_final else words(between(execution.created_at, now))


def duration(execution: Execution, now: datetime) -> str:
    """Return how long an execution took; if it has not ended, that this is not all."""
    if execution.is_final:
        return elapsed(execution, now)
    return so_far(elapsed(execution, now))


def so_far(duration: str) -> str:
    """Return that a duration is not all."""
    return _("%(duration)s so far") % {"duration": duration}


def local(when: datetime) -> datetime:
    """Return a point in time in the viewer's time zone, if it has any."""
    return timezone.localtime(when) if timezone.is_aware(when) else when


def brief(when: datetime) -> SafeString:
    """Return a point in time on one line, to the minute; to the second for whoever points at it."""
    seen, form = local(when), get_format("SHORT_DATETIME_FORMAT")
    return format_html(
        '<span class="ewf-line" title="{}">{}</span>',
        f"{seen:%Y-%m-%d %H:%M:%S}",
        _formatted(
            seen if _SECONDS & set(form) else seen.replace(second=0, microsecond=0),
            seen.tzinfo,
            form,
            get_language(),
        ),
    )


# What a format of a project's own writes more of than the minute.
_SECONDS = frozenset("sucrU")


@functools.lru_cache(maxsize=1000)
def _formatted(when: datetime, _zone: tzinfo | None, form: str, _language: str | None) -> str:
    # The rows of a page were made within few minutes. One moment is equal in every zone.
    return dateformat.format(when, form)


def timestamp(when: datetime | None) -> str:
    """Return a point in time to the second, in the viewer's time zone; empty for none."""
    if when is None:
        return ""
    return f"{date_format(local(when), 'DATE_FORMAT')}, {local(when):%H:%M:%S}"


def moment(when: datetime | None, now: datetime) -> str:
    """Return a point in time as seen from ``now``: "in 4 min 3 s", "5 h 2 min ago"."""
    if when is None:
        return ""
    if when > now:
        return _("in %(duration)s") % {"duration": words(when - now)}
    return _("%(duration)s ago") % {"duration": words(now - when)}


def shown(value: Any, *, unredacted: bool) -> Any:
    """Return a JSON value as its reader may see it."""
    return value if unredacted else redaction.redact(value)


def document(value: Any, *, unredacted: bool) -> str:
    """Return JSON as text that a reader may see, and edit; not escaped yet.

    Args:
        value: Anything that JSON can hold.
        unredacted: Whether the reader may see secret values.
    """
    text = json.dumps(shown(value, unredacted=unredacted), indent=2, ensure_ascii=False)
    # To JSON, it is the same.
    return escape_bidi(text)


def pretty(value: Any, *, unredacted: bool) -> str:
    """Return JSON for a ``<pre>``, not escaped yet.

    Args:
        value: Anything that JSON can hold.
        unredacted: Whether the reader may see secret values.
    """
    text = document(value, unredacted=unredacted)
    if len(text) <= MAX_JSON:
        return text
    return text[:MAX_JSON] + "\n… " + _("cut off after %(count)d characters") % {"count": MAX_JSON}


def lines(first: str, *others: str) -> SafeString:
    """Return a cell of several lines, the first one in plain view and the others quieter."""
    if not others:
        return conditional_escape(first)
    hints = ' <span class="ewf-under">{}</span>' * len(others)
    return format_html("{}" + hints, first, *others)
