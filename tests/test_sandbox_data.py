"""The sandbox's small parts: placeholders, conditions, identifiers, times, layouts."""

from __future__ import annotations

import datetime as dt
import random
import re

import pytest

from embedworkflow_django.sandbox import (
    ManualClock,
    SystemClock,
    conditions,
    identifiers,
    layouts,
    nodes,
    placeholders,
    records,
    times,
)

from .sandbox_calls import NOON, example

DATA = {
    "Name": "Ann",
    "items": [{"name": "Tea", "price": 4.5}, {"name": "Pot"}],
    "user": {"home": {"zip": "1010"}},
    "empty": "",
    "no": False,
    "nothing": None,
    "count": 0,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hi {{ Name }}!", "Hi Ann!"),
        ("{{name}}{{NAME}}", "AnnAnn"),
        ("{{ items[0].name }}", "Tea"),
        ("{{ items[-1]['name'] }}", "Pot"),
        ("{{ items.1.name }}", "Pot"),
        ("{{ items[7].name }}{{ items.x }}{{ name.x }}{{ }}", ""),
        ('{{ user[home]["zip"] }}', "1010"),
        ("{{ items[0].price }}{{ no }}{{ nothing }}{{ count }}", "4.5false0"),
        ("{{ user.home }}", '{"zip": "1010"}'),
        ('{{ missing | default: "x y" }}', "x y"),
        ("{{ empty | default: 'x' }}{{ no | default: 3 }}{{ nothing|default:name }}", "x3Ann"),
        ('{{ count | default: "x" }}{{ name | default: "x" }}', "0Ann"),
        ("{{ name | upcase }}", "Ann"),
        ("{% redact name %}{% name %}", "AnnAnn"),
        ("{{ a\n}}{ {name} }", "{ {name} }"),
        (7, "7"),
        (None, ""),
    ],
)
def test_placeholders_are_filled(text, filled):
    """Paths, any case, the default filter; what is missing becomes an empty text."""
    assert filled == placeholders.render(text, [DATA])


def test_secrets_are_filtered_in_logs():
    """Only values marked as secret are filtered, and only where it is asked for."""
    text = "{{ name }}:{% redact name %}:{% name %}"

    assert "Ann:<FILTERED>:<FILTERED>" == placeholders.render(text, [DATA], redact=True)


def test_the_strongest_source_wins():
    """Data of the node beat an answer's, then the run's, the user's, the account's."""
    user = records.User(id="1", key="main", created_at=0, time_zone="UTC", data={"c": 4, "d": 4})
    workflow = records.Workflow(
        id="2", hashid="x", key="k", name="n", user=user, created_at=0, updated_at=0
    )
    account = records.Account(
        id="3", name="a", secret_key="sk", publishable_key="pk", settings={"data": {"d": 5, "e": 5}}
    )
    execution = records.Execution(
        id="4",
        hashid="y",
        account=account,
        workflow=workflow,
        layout=layouts.Layout(),
        created_at=0,
        execution_data={"b": 3, "c": 3},
        action_data={"a": 2, "b": 2},
    )
    action = records.Action(
        id="5", hashid="z", execution=execution, node={"id": "n", "action_data": {"a": 1}}
    )

    text = "{{ a }}{{ b }}{{ c }}{{ d }}{{ e }}{{ user.d }}{{ user.key }}"

    assert "123454main" == placeholders.render(text, nodes.sources(action))


@pytest.mark.parametrize(
    ("kind", "field", "value", "held"),
    [
        ("equal", "name", "Ann", True),
        ("equal", "count", "0", True),
        ("equal", "no", False, True),
        ("equal", "no", 0, False),
        ("equal", "missing", "", True),
        ("not_equal", "name", "Bob", True),
        ("greater_than", "items[0].price", "4", True),
        ("greater_than", "name", 4, False),
        ("greater_than", "missing", 4, False),
        ("greater_than", "count", 10**400, False),
        ("greater_than_or_equal", "count", 0, True),
        ("less_than", "count", 1, True),
        ("less_than_or_equal", "count", -1, False),
        ("contains", "name", "nn", True),
        ("contains", "tags", "a", False),
        ("not_contains", "name", "x", True),
        ("present", "name", None, True),
        ("present", "empty", None, False),
        ("blank", "missing", None, True),
        ("blank", "count", None, False),
        ("equal", "name", "{{ NAME }}", True),
    ],
)
def test_a_condition_holds_or_not(kind, field, value, held):
    """Values are compared as a person would read them."""
    condition = {"type": kind, "field": field, "value": value}

    assert held is conditions.hold([condition], "all", [DATA])


def test_a_list_contains_an_item():
    """`contains` looks into lists."""
    condition = {"type": "contains", "field": "tags", "value": "2"}

    assert conditions.hold([condition], "all", [{"tags": [1, 2]}])


@pytest.mark.parametrize(("match", "held"), [("all", False), ("any", True), (None, False)])
def test_conditions_match_all_or_any(match, held):
    """`any` needs one, everything else needs all."""
    given = [{"field": "name", "value": "Ann"}, {"field": "name", "value": "Bob"}]

    assert held is conditions.hold(given, match, [DATA])


@pytest.mark.parametrize("given", [[], None, "nonsense", ["nonsense"]])
@pytest.mark.parametrize("match", ["all", "any"])
def test_no_conditions_hold(given, match):
    """Where nothing is asked nothing fails."""
    assert conditions.hold(given, match, [DATA])


def test_ids_are_version_7_and_ascend():
    """Ids bear the time they were made, and ascend even when the clock stands or jumps back."""
    clock = ManualClock(NOON)
    make = identifiers.Uuid7Maker(clock, random.Random(1))
    ids = [make() for _ in range(9000)]
    clock.advance(-60)
    ids += [make(), make()]
    clock.advance(120)
    ids.append(make())

    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab].{16}", i) for i in ids)
    assert int(NOON * 1000) == int(ids[0].replace("-", "")[:12], 16)
    assert int((NOON + 60) * 1000) == int(ids[-1].replace("-", "")[:12], 16)


def test_hashids_are_short_and_unique():
    """Five lower-case letters or digits, none of them twice."""
    make = identifiers.HashidMaker()
    made = [make() for _ in range(20_000)]

    assert len(made) == len(set(made))
    assert all(re.fullmatch("[0-9a-z]{5}", text) for text in made)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("workflows.execute", "America/New_York"),
        ("workflows.update", "America/New_York"),
        ("users.retrieve", "UTC"),
        ("users.upsert", "UTC"),
        ("executions.retrieve.partial", "America/New_York"),
    ],
)
def test_times_are_spelled_as_in_the_examples(name, zone):
    """From the UTC spelling of an example, all three of its spellings follow."""
    documented = {n: v for n, v in example(name).items() if n.startswith("created_at")}
    moment = dt.datetime.fromisoformat(documented["created_at_utc"]).timestamp()

    assert documented == times.spelled("created_at", moment, zone)


def test_no_time_is_null_three_times():
    """All three spellings are null together."""
    assert {"x": None, "x_string": None, "x_utc": None} == times.spelled("x", None, "UTC")


def test_an_unknown_zone_is_utc():
    """Without a time zone database times are given in UTC."""
    assert times.spelled("x", NOON, "Mars/Base") == times.spelled("x", NOON, "UTC")
    assert [True, False, False, False] == [
        times.is_zone(name) for name in ("Europe/Rome", "Mars/Base", "../x", 5)
    ]


def test_midnight_and_noon_are_twelve():
    """The spelling for people has twelve hours, and no hour zero."""
    assert ["12:00 am", "12:00 pm", "01:00 pm"] == [
        times.spelled("x", NOON + hours * 3600, "UTC")["x_string"][13:21] for hours in (-12, 0, 1)
    ]


def test_stats_read_in_the_order_of_the_graph():
    """Every edge comes before its node, every node once, several roots hang on the start."""
    layout = layouts.Layout(
        {
            "nodes": [{"id": n} for n in ("a-1", "b", "c", "d")],
            "edges": ["a-1-b", "a-1-c", "b-c", "c-a-1"],
        }
    )

    assert ("d",) == layout.successors["start_of_workflow"]
    assert (("start_of_workflow", "d"), ("", "d")) == layout.reading_order
    assert ["a-1-b", "a-1-c", "b-c", "c-a-1"] == layout.raw["edges"]


def test_a_start_node_that_is_given_is_kept():
    """A full template comes back as it is, and edges from its start are not doubled."""
    given = {
        "nodes": [{"id": "start_of_workflow", "type": "Start", "name": "Go"}, {"id": "a"}],
        "edges": ["start_of_workflow-a"],
        "positions": {"a": {"x": 1, "y": 2}},
        "extra": 1,
    }
    layout = layouts.Layout(given)

    assert given == {name: layout.raw[name] for name in given}
    assert ("a",) == layout.successors["start_of_workflow"]
    assert 1 == layout.actions_count


def test_layouts_are_equal_by_value():
    """A draft equal to what is published is no draft."""
    assert layouts.Layout({"nodes": [{"id": "a"}]}) == layouts.Layout({"nodes": [{"id": "a"}]})
    assert layouts.Layout() != layouts.Layout({"nodes": [{"id": "a"}]})
    assert layouts.Layout() != {}


def test_the_system_clock_can_be_put_forward():
    """It is the machine's time, and ahead of it by what was added."""
    clock = SystemClock()
    before = clock.now()
    clock.advance(100)

    assert 100 <= clock.now() - before < 110
