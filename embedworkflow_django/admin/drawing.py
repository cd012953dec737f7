"""The graph of a workflow as SVG, and the table that says the same.

Colour is one of four ways in which a node tells its status: there is a silhouette, a word and the
stroke of its box as well. The edges that were taken are solid, the others dashed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language_bidi, gettext_lazy
from django.utils.translation import gettext as _

from ..models import Status
from . import presentation
from .graph import Graph, Link, Node, Point
from .layout import HEIGHT, LOOP, WIDTH, Layout, place

# What the API says of an action (in its documentation), in our words and silhouettes.
_WORDS = {
    "idle": (gettext_lazy("idle"), Status.QUEUED),
    "running": (gettext_lazy("running"), Status.RUNNING),
    "completed": (gettext_lazy("completed"), Status.COMPLETED),
    "failed": (gettext_lazy("failed"), Status.FAILED),
    "stopped": (gettext_lazy("stopped"), Status.STOPPED),
}
# How many letters of usual width a box has room for, on its first line and on its second.
_FIRST_LINE, _SECOND_LINE = 23, 28
_BULGE = 24


def word(node: Node) -> str:
    """Return a node's status in our words; a word that is not ours is left as it is."""
    if node.is_missing:
        return _("not in the template")
    if node.status in _WORDS:
        return str(_WORDS[node.status][0])
    return node.status or ("" if node.is_start else _("nothing is known"))


def name(node: Node) -> str:
    """Return what a node is called."""
    return _("Start") if node.is_start else node.name


def look(node: Node) -> str:
    """Return the word after which a node's looks are called."""
    if node.is_start:
        return "start"
    return node.status if node.status in _WORDS and not node.is_missing else "unknown"


def icon(node: Node) -> SafeString:
    """Return the silhouette of a node's status."""
    return format_html(
        '<svg class="ewf-icon ewf-node-icon" viewBox="0 0 16 16" width="14" height="14"'
        ' aria-hidden="true" focusable="false"><path d="{}"/></svg>',
        _silhouette(node),
    )


def _silhouette(node: Node) -> str:
    if node.is_start:
        return presentation.silhouette(Status.RUNNING)
    return presentation.silhouette(_WORDS.get(look(node), ("", Status.UNKNOWN))[1])


# The table


def rows(graph: Graph) -> list[dict[str, Any]]:
    """Return what the table says of each node."""
    following = graph.following()
    return [
        {
            "name": name(node),
            "type": node.type,
            "word": word(node),
            "look": look(node),
            "icon": icon(node),
            "scheduled_at": presentation.timestamp(node.scheduled_at),
            "ended_at": presentation.timestamp(node.ended_at),
            "leads_to": [
                (name(graph.nodes[target]), graph.edges[node.id, target])
                for target in following[node.id]
            ],
        }
        for node in graph.nodes.values()
    ]


# The drawing


def svg(graph: Graph, label: str) -> SafeString:
    """Return the graph as SVG; nothing, if there is none.

    Args:
        graph: The graph.
        label: What it is called.
    """
    if not graph.nodes:
        return SafeString("")
    layout = place(graph)
    return format_html(
        '<svg viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}{4}'
        "</svg>",
        f"{layout.width:.0f}",
        f"{layout.height:.0f}",
        label,
        format_html_join("", "{}", ((edge,) for edge in _edges(graph, layout))),
        format_html_join("", "{}", ((_box(n, layout.places[n.id]),) for n in graph.nodes.values())),
    )


def _edges(graph: Graph, layout: Layout) -> Iterator[SafeString]:
    # What was taken is drawn last, above what was not.
    for (origin, target), is_taken in sorted(graph.edges.items(), key=lambda edge: edge[1]):
        line, head = _line(layout, (origin, target))
        yield format_html(
            '<g class="ewf-edge {}"><title>{}</title><path class="ewf-edge-line" d="{}"/>'
            '<path d="{}"/></g>',
            "ewf-taken" if is_taken else "ewf-untaken",
            _("%(origin)s → %(target)s: %(way)s")
            % {
                "origin": name(graph.nodes[origin]),
                "target": name(graph.nodes[target]),
                "way": _("taken") if is_taken else _("not taken"),
            },
            line,
            head,
        )


def _line(layout: Layout, link: Link) -> tuple[str, str]:
    """Return the path of an edge and that of its head."""
    (x, y), (end_x, end_y) = (layout.places[node] for node in link)
    if end_y > y + HEIGHT:
        via = layout.bends.get(link, [])
        points = [(x + WIDTH / 2, y + HEIGHT), *via, (end_x + WIDTH / 2, end_y)]
        return _down(points), _head(points[-1], (0, 1))
    middle, end_middle = y + HEIGHT / 2, end_y + HEIGHT / 2
    if abs(end_x - x) > WIDTH:
        way = 1 if end_x > x else -1
        start = (x + (WIDTH if way > 0 else 0), middle)
        end = (end_x + (0 if way > 0 else WIDTH), end_middle)
        return _curve(start, end, way * _BULGE, -way * _BULGE), _head(end, (way, 0))
    # Back to where it came from, or to itself: round the side.
    start, end = (x + WIDTH, middle + 8), (end_x + WIDTH, end_middle - 8)
    return _curve(start, end, LOOP, LOOP), _head(end, (-1, 0))


def _down(points: list[Point]) -> str:
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (end_x, end_y) in pairwise(points):
        half = (y + end_y) / 2
        path += f"C{x:.1f} {half:.1f} {end_x:.1f} {half:.1f} {end_x:.1f} {end_y:.1f}"
    return path


def _curve(start: Point, end: Point, out: float, back: float) -> str:
    (x, y), (end_x, end_y) = start, end
    bend = f"{x + out:.1f} {y:.1f} {end_x + back:.1f} {end_y:.1f}"
    return f"M{x:.1f} {y:.1f}C{bend} {end_x:.1f} {end_y:.1f}"


def _head(tip: Point, way: tuple[int, int]) -> str:
    (x, y), (right, down) = tip, way
    back_x, back_y = x - 6 * right, y - 6 * down
    return (
        f"M{back_x - 4 * down:.1f} {back_y - 4 * right:.1f}L{x:.1f} {y:.1f}"
        f"L{back_x + 4 * down:.1f} {back_y + 4 * right:.1f}"
    )


def _box(node: Node, corner: Point) -> SafeString:
    # Text begins where the page's does; an inner <svg> cuts off what is too wide after all.
    text, mark = (WIDTH - 32, WIDTH - 24) if get_language_bidi() else (32, 10)
    second = " · ".join(filter(None, (word(node), node.type)))
    return format_html(
        '<svg class="ewf-node ewf-node-{}" x="{}" y="{}" width="{}" height="{}">'
        '<title>{}</title><rect class="ewf-node-box" x="1.5" y="1.5" width="{}" height="{}"'
        ' rx="6"/><svg class="ewf-icon ewf-node-icon" viewBox="0 0 16 16" x="{}" y="8" width="14"'
        ' height="14"><path d="{}"/></svg><text class="ewf-node-name" x="{}" y="20">{}</text>'
        '<text class="ewf-node-word" x="{}" y="36">{}</text></svg>',
        look(node),
        *(f"{number:.1f}" for number in corner),
        WIDTH,
        HEIGHT,
        _hover(node),
        WIDTH - 3,
        HEIGHT - 3,
        mark,
        _silhouette(node),
        text,
        _shortened(name(node), _FIRST_LINE),
        text,
        _shortened(second, _SECOND_LINE),
    )


def _hover(node: Node) -> str:
    what = f"{name(node)} ({node.type})" if node.type else name(node)
    first = f"{what}: {word(node)}" if word(node) else what
    times = ((_("its turn"), node.scheduled_at), (word(node), node.ended_at))
    told = [f"{label}: {presentation.timestamp(moment)}" for label, moment in times if moment]
    return "\n".join([first, *told])


def _shortened(text: str, room: int) -> str:
    """Return as much of a text as there is room for; letters of East Asia take twice as much."""
    used = 0
    for place_, letter in enumerate(text):
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > room:
            return text[: max(0, place_ - 1)].rstrip() + "…"
    return text
