"""The workflow of an execution as a graph, read from the API's template and stats.

What they may hold is known from a few examples only, so nothing is taken for granted: whatever is
no node, no edge, no status and no time is passed over, and what is left makes a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..exceptions import escape_bidi

# The most nodes and edges that are drawn, and entries of stats that are read.
MAX_NODES = 500
MAX_EDGES = 2_000
MAX_ENTRIES = 5_000
# The longest id, name and word that are taken for one.
MAX_TEXT = 200
# The most places at which an edge is cut, for a try.
MAX_HYPHENS = 40
# The node at which every workflow begins, as documented; it is no action, and has no status.
START = "start_of_workflow"

_OPEN = "open"
_EDGE_STATUSES = (_OPEN, "closed")
_ENDS = ("completed_at", "failed_at", "stopped_at")
_TIMES = frozenset({"scheduled_at", *_ENDS})
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_FARTHEST = 1_000_000

Point = tuple[float, float]
Link = tuple[str, str]
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Node:
    """An action of the workflow, and what became of it.

    Args:
        id: Its id.
        name: What it is called; its id, if it has no name.
        type: What it does, in the API's word.
        status: The API's word; empty if it says none.
        scheduled_at: When its turn comes, or came.
        ended_at: When it completed, failed or was stopped.
        position: Where the template puts it.
        is_missing: Whether nothing but an edge knows of it.
    """

    id: str
    name: str
    type: str = ""
    status: str = ""
    scheduled_at: datetime | None = None
    ended_at: datetime | None = None
    position: Point | None = None
    is_missing: bool = False

    @property
    def is_start(self) -> bool:
        """Whether it is where the workflow begins."""
        return self.id == START


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes by their ids, and whether the way from one to the other was taken.

    Args:
        nodes: At most ``MAX_NODES``, in the template's order.
        edges: At most ``MAX_EDGES``; both ends are among the nodes.
        left_out: How many nodes are not among them.
    """

    nodes: dict[str, Node]
    edges: dict[Link, bool]
    left_out: int = 0

    @property
    def actions(self) -> list[Node]:
        """The nodes at which something happens."""
        return [node for node in self.nodes.values() if not node.is_start]

    def following(self) -> dict[str, list[str]]:
        """Return for each node the nodes that it leads to."""
        found: dict[str, list[str]] = {node: [] for node in self.nodes}
        for origin, target in self.edges:
            found[origin].append(target)
        return found


def read(template: Any, stats: Any, *, shown: Callable[[Any], Any]) -> Graph:
    """Return the graph that a template and stats make; an empty one, if they make none.

    Args:
        template: An execution's ``template``, or anything else that JSON can hold.
        stats: An execution's ``stats``, or anything else that JSON can hold.
        shown: Returns a piece of JSON as the viewer may see it.
    """
    template = _mapping(template)
    drawn = _drawn(template.get("nodes"))
    told = islice(_mapping(stats).items(), MAX_ENTRIES)
    entries = {key: entry for key, entry in told if isinstance(entry, dict)}
    known = {START, *drawn, *(key for key, entry in entries.items() if _TIMES & entry.keys())}
    ends_of = {key: _told_ends(key, entry, known) for key, entry in entries.items()}
    taken = {ends: entries[key].get("status") == _OPEN for key, ends in ends_of.items() if ends}
    links = {**dict.fromkeys(_drawn_ends(template.get("edges"), known), False), **taken}
    told_nodes = (key for key, ends in ends_of.items() if not ends and _is_id(key))
    ids = dict.fromkeys([*drawn, *told_nodes, *(end for ends in links for end in ends)])
    positions = _mapping(template.get("positions"))
    nodes = {
        node: _node(
            node,
            shown({**_part(drawn.get(node), "name", "type"), **_part(entries.get(node), *_NODE)}),
            _position(positions.get(node)),
            is_missing=node not in drawn and node not in entries and node != START,
        )
        for node in islice(ids, MAX_NODES)
    }
    return Graph(nodes=nodes, edges=_between(nodes, links), left_out=max(0, len(ids) - MAX_NODES))


_NODE = ("status", *sorted(_TIMES))


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _part(value: Any, *keys: str) -> dict[str, Any]:
    return {key: value[key] for key in keys if key in value} if value else {}


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _drawn(nodes: Any) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for node in _list(nodes):
        if isinstance(node, dict) and _is_id(node.get("id")):
            found.setdefault(node["id"], node)
    return found


def _drawn_ends(edges: Any, known: Iterable[str]) -> Iterator[Link]:
    for text in islice(_list(edges), MAX_EDGES):
        ends = _split(text, known) if isinstance(text, str) else None
        if ends:
            yield ends


def _told_ends(key: str, entry: Document, known: Iterable[str]) -> Link | None:
    """Return the ends of the edge that an entry of stats is about; none if it is a node's."""
    if _TIMES & entry.keys():
        return None
    ends = _split(key, known)
    if ends is None or entry.get("status") in _EDGE_STATUSES:
        return ends
    return ends if key not in known and ends[0] in known and ends[1] in known else None


def _split(text: str, known: Iterable[str]) -> Link | None:
    """Return both ends of an edge ``from-to``; an id may contain a hyphen itself."""
    if len(text) > 2 * MAX_TEXT:
        return None
    hyphens = (place for place, letter in enumerate(text) if letter == "-")
    places = list(islice(hyphens, MAX_HYPHENS))
    ways = [(text[:place], text[place + 1 :]) for place in places]
    ways = [(origin, target) for origin, target in ways if _is_id(origin) and _is_id(target)]
    # Both known first, then one, then none.
    return max(ways, key=lambda ends: (ends[0] in known) + (ends[1] in known), default=None)


def _node(node: str, facts: Document, position: Point | None, *, is_missing: bool) -> Node:
    return Node(
        id=node,
        name=_text(facts.get("name")) or _text(node),
        type=_text(facts.get("type")),
        status=_text(facts.get("status")),
        scheduled_at=_moment(facts.get("scheduled_at")),
        ended_at=next(filter(None, (_moment(facts.get(name)) for name in _ENDS)), None),
        position=position,
        is_missing=is_missing,
    )


def _between(nodes: dict[str, Node], links: dict[Link, bool]) -> dict[Link, bool]:
    """Return the edges between nodes, and those to the ones that nothing else leads to."""
    edges = {ends: is_open for ends, is_open in links.items() if nodes.keys() >= set(ends)}
    if START in nodes:
        reached = {START, *(target for _origin, target in links)}
        roots = ((START, node) for node in nodes if node not in reached)
        edges = {**dict.fromkeys(roots, False), **edges}
    return dict(islice(edges.items(), MAX_EDGES))


def _text(value: Any) -> str:
    return escape_bidi(value[:MAX_TEXT]) if isinstance(value, str) else ""


def _position(value: Any) -> Point | None:
    place = _mapping(value)
    if not all(_is_place(place.get(axis)) for axis in "xy"):
        return None
    return float(place["x"]), float(place["y"])


def _is_place(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # False for what is infinite or no number, too.
    return number and abs(value) <= _FARTHEST


def _moment(value: Any) -> datetime | None:
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    # What no clock tells today is no time, and at the edge of the calendar no zone can be told.
    if moment is None or not _FIRST_YEAR < moment.year < _LAST_YEAR:
        return None
    if timezone.is_naive(moment):
        moment = moment.replace(tzinfo=UTC)
    return moment if settings.USE_TZ else timezone.make_naive(moment)
