"""Where the nodes of a graph stand and how its edges run, in pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import combinations, pairwise

from .graph import Graph, Link, Point

# A node's box, and the least space around it.
WIDTH, HEIGHT = 196, 46
GAP_X, GAP_Y = 24, 38
MARGIN = 10
# Room at the side for the edges that lead back.
LOOP = 44
# More nodes than these do not stand side by side.
MAX_ABREAST = 10
# Where edges would have to make way for nodes more often, they run straight.
MAX_BENDS = 2_000
# Beyond these the template's own positions are of no use.
MAX_STRETCH = 6.0
MAX_SIZE = 20_000
_BEND = 14

# A node, or the place in a row where an edge passes by.
Item = str | tuple[str, str, int]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A graph in pixels.

    Args:
        places: The upper left corner of each node's box.
        bends: The points through which an edge has to run, from its beginning to its end.
        width: Of the whole.
        height: Of the whole.
    """

    places: dict[str, Point]
    bends: dict[Link, list[Point]]
    width: float
    height: float


def place(graph: Graph) -> Layout:
    """Return where everything is drawn: where the template says, or else in layers.

    Args:
        graph: The graph.
    """
    own = _own_places(graph)
    if own is not None:
        return _framed(graph, own, {})
    return _framed(graph, *_layers(graph))


def _framed(graph: Graph, places: dict[str, Point], bends: dict[Link, list[Point]]) -> Layout:
    sides = [x for points in bends.values() for x, _y in points]
    left = min([x for x, _y in places.values()] + sides, default=0) - MARGIN
    right = max([x + WIDTH for x, _y in places.values()] + sides, default=0) + MARGIN
    top = min((y for _x, y in places.values()), default=0) - MARGIN
    bottom = max((y + HEIGHT for _x, y in places.values()), default=0) + MARGIN
    if any(places[target][1] <= places[origin][1] for origin, target in graph.edges):
        right += LOOP
    return Layout(
        places={node: (x - left, y - top) for node, (x, y) in places.items()},
        bends={link: [(x - left, y - top) for x, y in points] for link, points in bends.items()},
        width=right - left,
        height=bottom - top,
    )


# The template's own positions


def _own_places(graph: Graph) -> dict[str, Point] | None:
    """Return the template's positions, stretched until no two boxes overlap, if that can be."""
    points = {node.id: node.position for node in graph.nodes.values() if node.position}
    if len(points) < len(graph.nodes) or not points:
        return None
    stretch = _stretch(points.values())
    xs, ys = zip(*points.values(), strict=True)
    largest = max(max(xs) - min(xs), max(ys) - min(ys)) * stretch
    if stretch > MAX_STRETCH or largest > MAX_SIZE:
        return None
    return {node: (x * stretch, y * stretch) for node, (x, y) in points.items()}


def _stretch(points: Iterable[Point]) -> float:
    """Return the least factor at which boxes at these points have space between them."""
    least = 0.0
    for (x, y), (other_x, other_y) in combinations(points, 2):
        wide, high = abs(x - other_x), abs(y - other_y)
        if wide * least >= WIDTH + GAP_X or high * least >= HEIGHT + GAP_Y:
            continue
        least = min(_ratio(WIDTH + GAP_X, wide), _ratio(HEIGHT + GAP_Y, high))
        if least > MAX_STRETCH:
            break
    return least or 1.0


def _ratio(needed: float, given: float) -> float:
    return needed / given if given else float("inf")


# Layers


def _layers(graph: Graph) -> tuple[dict[str, Point], dict[Link, list[Point]]]:
    forward = _without_cycles(graph)
    rows = _rows(graph, forward)
    row_of = {node: number for number, row in enumerate(rows) for node in row}
    ways = _ways(forward, row_of)
    centres = _centres(rows, ways)
    height = HEIGHT + GAP_Y
    places: dict[str, Point] = {
        node: (centres[node] - WIDTH / 2, row_of[node] * height) for node in graph.nodes
    }
    bends: dict[Link, list[Point]] = {
        (origin, target): [
            (centres[item], item[2] * height + edge)
            for item in inner
            if isinstance(item, tuple)
            for edge in (0, HEIGHT)
        ]
        for (origin, target), (_first, *inner, _last) in ways.items()
    }
    return places, bends


def _without_cycles(graph: Graph) -> list[Link]:
    """Return the edges but those that lead back to where one came from."""
    following = graph.following()
    reached = {target for _origin, target in graph.edges}
    roots = [node for node in graph.nodes if node not in reached]
    path: dict[str, Iterator[str]] = {}
    seen: set[str] = set()
    back: set[Link] = set()
    for root in [*roots, *graph.nodes]:
        if root in seen:
            continue
        seen.add(root)
        path[root] = iter(following[root])
        while path:
            node = next(reversed(path))
            target = next(path[node], None)
            if target is None:
                del path[node]
            elif target in path:
                back.add((node, target))
            elif target not in seen:
                seen.add(target)
                path[target] = iter(following[target])
    return [link for link in graph.edges if link not in back]


def _rows(graph: Graph, forward: list[Link]) -> list[list[str]]:
    before: dict[str, list[str]] = {node: [] for node in graph.nodes}
    for origin, target in forward:
        before[target].append(origin)
    level: dict[str, int] = {}
    for node in TopologicalSorter(before).static_order():
        level[node] = 1 + max((level[origin] for origin in before[node]), default=-1)
    layers: dict[int, list[str]] = defaultdict(list)
    for node in graph.nodes:
        layers[level[node]].append(node)
    return [
        layers[number][start : start + MAX_ABREAST]
        for number in sorted(layers)
        for start in range(0, len(layers[number]), MAX_ABREAST)
    ]


def _ways(forward: list[Link], row_of: dict[str, int]) -> dict[Link, list[Item]]:
    """Return what each edge passes on its way down, its ends included."""
    skipped = sum(row_of[target] - row_of[origin] - 1 for origin, target in forward)
    ways: dict[Link, list[Item]] = {}
    for origin, target in forward:
        between = range(row_of[origin] + 1, row_of[target]) if skipped <= MAX_BENDS else ()
        ways[origin, target] = [origin, *((origin, target, row) for row in between), target]
    return ways


def _centres(rows: list[list[str]], ways: dict[Link, list[Item]]) -> dict[Item, float]:
    """Return the middle of all that stands in a row, as near to what leads there as can be."""
    items: list[list[Item]] = [list(row) for row in rows]
    above: dict[Item, list[Item]] = defaultdict(list)
    for way in ways.values():
        for item in way:
            if isinstance(item, tuple):
                items[item[2]].append(item)
        for first, second in pairwise(way):
            above[second].append(first)
    centres: dict[Item, float] = {}
    for row in items:
        wanted = {item: _mean([centres[each] for each in above[item]]) for item in row}
        centres |= _spread(wanted)
    return centres


def _spread(wanted: dict[Item, float]) -> dict[Item, float]:
    """Return places beside each other, in the order and about where they are wanted."""
    found: dict[Item, float] = {}
    edge = float("-inf")
    for item in sorted(wanted, key=wanted.__getitem__):
        half = (WIDTH if isinstance(item, str) else _BEND) / 2
        found[item] = max(wanted[item], edge + half)
        edge = found[item] + half + GAP_X
    shift = _mean([found[item] - wanted[item] for item in wanted])
    return {item: x - shift for item, x in found.items()}


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
