"""The graph of a workflow: what is read from the API's JSON, where it stands, how it is drawn."""

from __future__ import annotations

import re
import time
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from embedworkflow_django.admin import drawing, graph, layout

START = graph.START
TIME = "2026-11-25T02:00:00Z"


def read(template=None, stats=None):
    """Return the graph of a template and stats, with nothing hidden."""
    return graph.read(template, stats, shown=lambda value: value)


def chain(count, **template):
    """Return a template of so many nodes, one after the other."""
    nodes = [{"id": f"n{number}", "name": f"Step {number}"} for number in range(count)]
    edges = [f"n{number}-n{number + 1}" for number in range(count - 1)]
    return {"nodes": nodes, "edges": edges, **template}


def svg(drawn):
    """Return the SVG of a graph as a tree, which proves that it is well formed."""
    return ET.fromstring(str(drawing.svg(drawn, "graph")))


def test_nodes_and_edges_are_read_from_template_and_stats():
    """The template names them, stats say what became of them."""
    template = {"nodes": [{"id": START}, {"id": "a", "name": "A", "type": "Email"}, {"id": "b"}]}
    stats = {
        f"{START}-a": {"status": "open"},
        "a": {"status": "completed", "scheduled_at": TIME, "completed_at": TIME},
        "a-b": {"status": "closed"},
    }

    drawn = read({**template, "edges": ["a-b"]}, stats)

    assert {(START, "a"): True, ("a", "b"): False} == drawn.edges
    assert ("A", "Email", "completed") == (
        drawn.nodes["a"].name,
        drawn.nodes["a"].type,
        drawn.nodes["a"].status,
    )
    assert TIME == f"{drawn.nodes['a'].ended_at:%Y-%m-%dT%H:%M:%SZ}"


def test_stats_alone_make_a_graph():
    """As in the documentation's example, which has no template."""
    stats = {
        f"{START}-yXvmVe": {"status": "open"},
        "yXvmVe": {"status": "idle", "scheduled_at": None},
        "yXvmVe-G3kxmE": {"status": "closed"},
        "G3kxmE": {"status": "idle", "scheduled_at": None},
        "odd": {"status": "idle"},
    }

    drawn = read(None, stats)

    assert {"yXvmVe", "G3kxmE", "odd", START} == set(drawn.nodes)
    assert drawn.edges[START, "yXvmVe"] is True
    assert drawn.edges["yXvmVe", "G3kxmE"] is False


def test_ids_may_contain_hyphens():
    """An edge is cut where both of its ends are known."""
    template = {"nodes": [{"id": "a"}, {"id": "b-c"}, {"id": "b"}, {"id": "c"}]}

    drawn = read({**template, "edges": ["a-b-c"]}, {"b-c": {"status": "idle"}, "b": {}})

    assert {("a", "b-c"): False} == drawn.edges
    assert "idle" == drawn.nodes["b-c"].status


def test_an_edge_between_known_nodes_may_have_any_status():
    """A word that is not known yet makes no node of it."""
    drawn = read({"nodes": [{"id": "a"}, {"id": "b"}]}, {"a-b": {"status": "pending"}})

    assert {("a", "b"): False} == drawn.edges
    assert ["a", "b"] == list(drawn.nodes)


def test_a_node_that_only_an_edge_knows_is_shown_as_missing():
    """It is drawn, and says that it is not in the template."""
    drawn = read({"nodes": [{"id": "a"}], "edges": ["a-gone"]})

    assert drawn.nodes["gone"].is_missing
    assert "not in the template" in str(drawing.svg(drawn, "graph"))


def test_nodes_that_nothing_leads_to_hang_on_the_start():
    """As the API starts them in parallel."""
    drawn = read({"nodes": [{"id": START}, {"id": "a"}, {"id": "b"}]})

    assert {(START, "a"): False, (START, "b"): False} == drawn.edges


@pytest.mark.parametrize(
    "moment", ["nonsense", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00Z", 17, None, [TIME]]
)
def test_what_is_no_time_is_none(moment):
    """No time is made up."""
    assert read(None, {"a": {"completed_at": moment}}).nodes["a"].ended_at is None


def test_times_without_a_zone_are_utc_and_follow_the_project(settings):
    """A project without time zones is told local times."""
    aware = read(None, {"a": {"failed_at": "2026-11-25T02:00:00"}}).nodes["a"].ended_at
    assert "2026-11-25T02:00:00+00:00" == aware.isoformat()

    settings.USE_TZ = False
    assert read(None, {"a": {"failed_at": TIME}}).nodes["a"].ended_at.tzinfo is None


def test_a_graph_is_capped_and_says_how_much_is_left_out():
    """Nodes beyond the cap are counted, and edges to them are not drawn."""
    drawn = read(chain(graph.MAX_NODES + 7))

    assert (graph.MAX_NODES, 7) == (len(drawn.nodes), drawn.left_out)
    assert graph.MAX_NODES - 1 == len(drawn.edges)


def places_of(template, stats=None):
    """Return where the nodes of a graph stand."""
    return layout.place(read(template, stats)).places


def test_nodes_stand_below_what_leads_to_them():
    """In layers, if the template has no positions of its own for all."""
    places = places_of({**chain(3), "positions": {"n0": {"x": 0, "y": 900}}})

    assert places["n0"][1] < places["n1"][1] < places["n2"][1]


def test_the_templates_own_positions_are_kept():
    """Stretched as a whole, so that no two boxes overlap."""
    positions = {"n0": {"x": 50, "y": 0}, "n1": {"x": 0, "y": 100}, "n2": {"x": 100, "y": 100}}

    places = places_of(chain(3, positions=positions))

    assert places["n1"][0] < places["n0"][0] < places["n2"][0]
    assert places["n1"][1] == places["n2"][1] > places["n0"][1]
    assert_apart(places)


@pytest.mark.parametrize(
    "positions",
    [
        {"n0": {"x": 1, "y": 1}, "n1": {"x": 1, "y": 1}},
        {"n0": {"x": 0, "y": 0}, "n1": {"x": "1", "y": True}},
        {"n0": {"x": 0, "y": 0}, "n1": {"x": 10**400, "y": 0}},
        {"n0": 7},
        "nonsense",
    ],
)
def test_positions_that_are_of_no_use_give_way_to_layers(positions):
    """What overlaps, is no number or is out of sight is not drawn like that."""
    places = places_of(chain(2, positions=positions))

    assert places["n0"][1] < places["n1"][1]


def assert_apart(places):
    """No two boxes overlap."""
    for (x, y), (other_x, other_y) in combinations(places.values(), 2):
        assert abs(x - other_x) >= layout.WIDTH or abs(y - other_y) >= layout.HEIGHT


SHAPES = {
    "cycle": {"nodes": [{"id": i} for i in "abc"], "edges": ["a-b", "b-c", "c-a", "b-b"]},
    "skip": {"nodes": [{"id": i} for i in "abcd"], "edges": ["a-b", "b-c", "c-d", "a-d", "a-c"]},
    "star": {
        "nodes": [{"id": f"n{i}"} for i in range(40)],
        "edges": [f"n0-n{i}" for i in range(40)],
    },
    "sides": {
        "nodes": [{"id": i} for i in "abc"],
        "edges": ["a-b", "b-a", "a-c", "c-a"],
        "positions": {i: {"x": x, "y": 0} for i, x in (("a", 0), ("b", 300), ("c", 600))},
    },
}


@pytest.mark.parametrize("template", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_drawn_whole(template):
    """Cycles, loops, long edges and wide layers: each box apart, each edge there."""
    drawn = read(template)
    tree = svg(drawn)

    assert_apart(layout.place(drawn).places)
    assert len(drawn.edges) == len(tree.findall("g"))
    assert len(drawn.nodes) == len(tree.findall("svg"))


def test_status_is_told_by_silhouette_word_and_stroke_and_edges_by_dashes():
    """No colour carries a meaning alone."""
    words = ["idle", "running", "completed", "failed", "stopped", "odd", ""]
    stats = {f"n{i}": {"status": word, "failed_at": None} for i, word in enumerate(words)}
    drawn = read(chain(len(words)), {**stats, "n0-n1": {"status": "open"}})

    text = str(drawing.svg(drawn, "graph"))

    assert 1 == text.count("ewf-taken")
    assert 5 == text.count("ewf-untaken")
    for word in words[:5]:
        assert f"ewf-node-{word}" in text
        assert f">{word}</text>" in text
    assert ">odd</text>" in text
    assert ">nothing is known</text>" in text
    assert 6 == len(set(re.findall(r'<path d="(M[^"]+)"/></svg><text', text)))


def test_the_table_says_what_the_graph_shows():
    """Name, type, status, times, and where each leads to."""
    stats = {"n0": {"status": "completed", "completed_at": TIME}, "n0-n1": {"status": "open"}}

    first, second = drawing.rows(read(chain(2), stats))

    assert ("Step 0", "completed", [("Step 1", True)]) == (
        first["name"],
        first["word"],
        first["leads_to"],
    )
    assert ":00:00" in first["ended_at"]
    assert "nothing is known" == second["word"]


def test_long_names_are_cut_and_told_on_hover():
    """Letters of East Asia take twice the room."""
    drawn = read({"nodes": [{"id": "a", "name": "x" * 60}, {"id": "b", "name": "文" * 60}]})

    names = re.findall(r'ewf-node-name"[^>]*>([^<]+)<', str(drawing.svg(drawn, "graph")))

    assert ["x" * 22 + "…", "文" * 10 + "…"] == names
    assert "x" * 60 in str(drawing.svg(drawn, "graph"))


def test_text_begins_at_the_right_where_the_page_does():
    """Geometry follows the language's direction."""
    with translation.override("ar"):
        arabic = str(drawing.svg(read(chain(1)), "graph"))

    assert f'x="{layout.WIDTH - 32}"' in arabic
    assert f'x="{layout.WIDTH - 32}"' not in str(drawing.svg(read(chain(1)), "graph"))


def test_nothing_makes_no_graph():
    """Without nodes there is nothing to draw."""
    assert "" == drawing.svg(read(None, None), "graph")


WORDS = st.sampled_from([START, "a", "b", "a-b", "b-a", "", "-", "open", "closed", "completed"])
KEYS = st.one_of(
    WORDS,
    st.sampled_from(["nodes", "edges", "positions", "id", "name", "x", "y", "status"]),
    st.text(),
)
GARBAGE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(KEYS, inner)),
    max_leaves=20,
)
TEMPLATES = st.fixed_dictionaries(
    {},
    optional={
        "nodes": st.one_of(
            st.lists(st.one_of(st.fixed_dictionaries({"id": WORDS}), GARBAGE)), GARBAGE
        ),
        "edges": st.one_of(st.lists(WORDS), GARBAGE),
        "positions": GARBAGE,
    },
)


@given(template=st.one_of(TEMPLATES, GARBAGE), stats=GARBAGE)
@settings(max_examples=60, deadline=None)
def test_no_garbage_breaks_the_drawing(template, stats):
    """Whatever JSON the API sends, a graph comes of it, and an SVG without overlaps."""
    drawn = read(template, stats)
    text = str(drawing.svg(drawn, "graph"))
    drawing.rows(drawn)

    assert len(drawn.nodes) <= graph.MAX_NODES
    assert_apart(layout.place(drawn).places)
    assert ("<svg" in text) == bool(drawn.nodes)


LARGE = {
    "chain": chain(500),
    "complete": {**chain(500), "edges": [f"n{i}-n{j}" for i in range(60) for j in range(500)]},
    "one-point": chain(500, positions={f"n{i}": {"x": 1, "y": 1} for i in range(500)}),
    "endless": {"nodes": [{"id": str(i)} for i in range(50_000)], "edges": ["-" * 400] * 50_000},
}


@pytest.mark.parametrize("template", LARGE.values(), ids=LARGE)
def test_large_graphs_are_drawn_in_bounded_time(template):
    """500 nodes take a fraction of a second, and so does what is larger."""
    began = time.process_time()
    drawn = read(template)
    text = str(drawing.svg(drawn, "graph"))

    assert time.process_time() - began < 5
    assert 500 == len(drawn.nodes)
    assert len(text) < 2_000_000


def test_what_is_no_node_and_no_edge_is_passed_over():
    """Ids and edges that are too long, empty or of another kind are none."""
    nodes = [7, {"id": ""}, {"id": "a"}, {"id": "x" * 300}, {"id": "a", "name": "twin"}]

    drawn = read({"nodes": nodes, "edges": ["-" * 500, 7, "a", "a-", "a-a"]})

    assert ["a"] == list(drawn.nodes)
    assert {("a", "a"): False} == drawn.edges
