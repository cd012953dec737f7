"""Reads a workflow's template: its nodes, its edges, and the order in which they are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

START = "start_of_workflow"
FULL_TEMPLATE: dict[str, Any] = {
    "action_types": [],
    "edges": [],
    "height": 600,
    "nodes": [],
    "object": "workflow_layout_template",
    "positions": {},
    "width": 1500,
}


class InvalidTemplateError(ValueError):
    """A template's nodes and edges do not make a graph."""


class Layout:
    """A template that does not change any more, and the graph it draws.

    Args:
        template: What was sent; only `nodes` and `edges` are needed (documented for input).

    Raises:
        InvalidTemplateError: It is not a graph; the message names the offender.
    """

    def __init__(self, template: Mapping[str, Any] | None = None) -> None:
        given = dict(template or {})
        nodes = _nodes(given.get("nodes"))
        if START not in nodes:
            nodes = {START: {"id": START, "type": "Start", "name": "Start Workflow"}, **nodes}
        edges = [_edge(text, nodes) for text in _strings(given.get("edges"))]
        self.nodes = nodes
        self.raw = {
            **FULL_TEMPLATE,
            **given,
            "nodes": list(nodes.values()),
            "edges": [f"{start}-{end}" for start, end in edges],
            "positions": given.get("positions") or {START: {"x": 450, "y": 0}},
        }
        self.successors = _successors(nodes, edges)
        self.reading_order = _reading_order(self.successors)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]  # equal by value, and the value is a dict

    @property
    def actions_count(self) -> int:
        """Count the nodes that can become actions."""
        return len(self.nodes) - 1


def _nodes(given: Any) -> dict[str, dict[str, Any]]:
    given = [] if given is None else given
    if not isinstance(given, list):
        raise InvalidTemplateError("nodes must be a list")
    nodes: dict[str, dict[str, Any]] = {}
    for node in given:
        if not isinstance(node, dict) or not isinstance(node.get("id"), str) or not node["id"]:
            raise InvalidTemplateError("every node needs an id")
        if node["id"] in nodes:
            raise InvalidTemplateError(f"two nodes have the id {node['id']}")
        nodes[node["id"]] = node
    return nodes


def _strings(given: Any) -> list[str]:
    given = [] if given is None else given
    if not isinstance(given, list) or not all(isinstance(edge, str) for edge in given):
        raise InvalidTemplateError('edges must be a list of texts like "from-to"')
    return given


def _edge(text: str, nodes: Mapping[str, Any]) -> tuple[str, str]:
    # A node id may contain a hyphen itself, so every way to cut the text is tried.
    for place, letter in enumerate(text):
        if letter == "-" and text[:place] in nodes and text[place + 1 :] in nodes:
            return text[:place], text[place + 1 :]
    raise InvalidTemplateError(f"edge {text} joins no two known nodes")


def _successors(
    nodes: Mapping[str, Any], edges: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, ...]]:
    following: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        following[start].append(end)
    reached = {end for ends in following.values() for end in ends}
    # Nodes that nothing leads to hang on the implicit start node (derived from the examples).
    following[START] += [node for node in nodes if node not in reached and node != START]
    return {node: tuple(dict.fromkeys(ends)) for node, ends in following.items()}


def _reading_order(successors: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    """Return (from, to) of every edge and ("", node) of every node, as `stats` lists them."""
    order: list[tuple[str, str]] = []
    seen: set[str] = set()
    pending = [(START, end) for end in reversed(successors[START])]
    while pending:
        edge = pending.pop()
        order.append(edge)
        if edge[1] not in seen:
            seen.add(edge[1])
            order.append(("", edge[1]))
            pending += [(edge[1], end) for end in reversed(successors[edge[1]])]
    return tuple(order)
