"""The timeline of an execution: what has a row, in which order, and where its bar stands."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from embedworkflow_django.admin import graph, timeline
from embedworkflow_django.models import Execution, ExecutionEvent, Status

BEGIN = timezone.now().replace(hour=12, microsecond=0)


def at(seconds):
    """Return a moment after the beginning."""
    return BEGIN + timedelta(seconds=seconds)


def execution(**values):
    """Return an execution that was asked for at the beginning, not saved."""
    return Execution(**{"workflow": "w", "created_at": BEGIN, "status": Status.RUNNING} | values)


def event(seconds, source, status=Status.RUNNING, **detail):
    """Return an event, not saved."""
    return ExecutionEvent(at=at(seconds), source=source, status=status, detail=detail)


def draw(run, *events, stats=None, now=100, template=None):
    """Return the timeline as seen after so many seconds."""
    workflow = graph.read(template, stats, shown=lambda value: value)
    return timeline.draw(run, events, workflow, at(now), unredacted=True)


def whats(drawn):
    """Return what the rows are about."""
    return [row["row"].what for row in drawn.rows]


def places(row):
    """Return where the bars of a row begin and how long they are."""
    return [
        (float(x), float(width))
        for x, width in re.findall(r'<rect[^>]* x="([\d.]+)%"[^>]* width="([\d.]+)%"', row["lane"])
    ]


def test_our_own_steps_stand_in_their_order():
    """Committed, queued, each attempt with its verdict, news, who pressed what, the end."""
    run = execution(
        status=Status.COMPLETED, dispatched_at=at(20), finished_at=at(100), announced_at=at(101)
    )
    events = [
        event(5, "delivery", Status.QUEUED, attempt=1, verdict="retried", error="503 busy"),
        event(20, "delivery", attempt=2, remote_status="running"),
        event(30, "poll", completed_actions_count=1),
        event(40, "callback"),
        event(50, "person", verb="refresh", by="ada"),
        event(60, "poll", misses=1, error="404"),
    ]

    assert [
        "Committed",
        "In the queue",
        "Attempt 1: failed, to be sent again",
        "Attempt 2: delivered",
        "At Embed Workflow",
        "Asked: news",
        "The workflow called back",
        "ada: refresh",
        "Asked: not known",
        "The end",
        "Receivers have been told",
    ] == whats(draw(run, *events))


def test_what_came_about_at_one_moment_stands_as_it_led_to_it():
    """The attempt was refused, so it ended, and receivers were told."""
    run = execution(status=Status.UNDELIVERABLE, finished_at=at(5), announced_at=at(5))

    assert ["In the queue", "Attempt 1: refused", "The end", "Receivers have been told"] == whats(
        draw(run, event(5, "delivery", Status.UNDELIVERABLE, attempt=1, verdict="rejected"))
    )[1:]


def test_what_is_written_a_little_later_stands_before_what_it_brought():
    """An answer's event is written after the answer: the attempt came first all the same."""
    run = execution(
        status=Status.COMPLETED, dispatched_at=at(20), finished_at=at(60), announced_at=at(60.02)
    )
    stats = {"a": {"status": "completed", "scheduled_at": f"{at(20):%FT%TZ}"}}
    events = [
        event(60.03, "poll", Status.COMPLETED, completed_actions_count=1),
        event(20.2, "delivery", attempt=1, remote_status="running"),
        event(75, "person", Status.COMPLETED, verb="refresh", by="ada"),
    ]

    assert [
        "Attempt 1: delivered",
        "At Embed Workflow",
        "a",
        "Asked: news",
        "The end",
        "Receivers have been told",
        "ada: refresh",
    ] == whats(draw(run, *events, stats=stats))[2:]


def test_bars_are_to_scale():
    """From the commit to the end, or to now."""
    rows = draw(execution(dispatched_at=at(25))).rows

    assert [(0.0, 25.0)] == places(rows[1])
    assert [(25.0, 75.0)] == places(rows[2])
    assert "so far" in rows[2]["took"]


def test_an_action_waits_for_its_turn_and_then_runs():
    """The wait begins when what leads to it was done; it is drawn more lightly."""
    run = execution(dispatched_at=BEGIN, remote_created_at=at(10))
    stats = {
        f"{graph.START}-a": {"status": "open"},
        "a": {"status": "completed", "scheduled_at": f"{at(20):%FT%TZ}", "completed_at": None},
        "b": {"status": "idle", "scheduled_at": None},
    }
    stats["a"]["completed_at"] = f"{at(40):%FT%TZ}"

    drawn = draw(run, stats=stats)

    (row,) = (row for row in drawn.rows if row["row"].kind == "action")
    assert [(10.0, 10.0), (20.0, 20.0)] == places(row)
    assert "b" not in whats(drawn)


def test_an_action_under_way_lasts():
    """It has begun and has not ended."""
    stats = {"a": {"status": "running", "scheduled_at": f"{at(50):%FT%TZ}"}}

    (row,) = (r for r in draw(execution(), stats=stats).rows if r["row"].kind == "action")

    assert "ewf-lasts" in row["lane"]
    assert "50 s so far" == row["took"]


def test_what_lies_outside_stands_at_the_edge():
    """A time of long ago or of next year leaves the scale as it is."""
    stats = {
        "a": {"status": "completed", "completed_at": "1999-01-01T00:00:00Z"},
        "b": {"status": "idle", "scheduled_at": f"{BEGIN + timedelta(days=400):%FT%TZ}"},
    }

    found = {
        row["row"].what: places(row)
        for row in draw(execution(), stats=stats).rows
        if "rect" in row["lane"]
    }

    assert [(0.0, 0.4)] == found["a"]
    assert [(99.6, 0.4)] == found["b"]


def test_no_more_actions_than_the_cap_have_a_row():
    """The others are counted."""
    count = timeline.MAX_ACTIONS + 3
    stats = {f"n{i}": {"completed_at": f"{at(i):%FT%TZ}"} for i in range(count)}

    drawn = draw(execution(), stats=stats)

    assert 3 == drawn.left_out
    assert timeline.MAX_ACTIONS == sum(row["row"].kind == "action" for row in drawn.rows)


@pytest.mark.parametrize(
    ("source", "detail", "what"),
    [
        ("delivery", {"attempt": 1, "verdict": "odd"}, "Attempt 1: odd"),
        ("delivery", {"error": "too late"}, "delivery"),
        ("person", {"verb": "odd", "by": ""}, "somebody: odd"),
        ("person", ["odd"], "person"),
        ("odd", {}, "odd"),
    ],
)
def test_what_is_not_expected_is_told_as_it_is(source, detail, what):
    """Neither words nor shapes that are new break the timeline."""
    happened = ExecutionEvent(at=at(1), source=source, status="odd", detail=detail)

    assert what in whats(draw(execution(), happened))


def test_other_days_are_named():
    """A time of the day is enough for the first day only."""
    rows = draw(execution(), event(3 * 86_400, "callback"), now=4 * 86_400).rows

    assert re.fullmatch(r"[\d:]{8}", rows[0]["clock"])
    assert ", 20" in rows[-1]["clock"]
