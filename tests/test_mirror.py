"""The mirror: what the API says becomes columns, transitions and events."""

from __future__ import annotations

import json
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import timezone

from embedworkflow_django import mirror
from embedworkflow_django.client import RemoteExecution
from embedworkflow_django.encoding import DEEPEST
from embedworkflow_django.models import Execution, Status

from .databases import EVERY_DATABASE

EXAMPLE = {
    "id": "0198c2e9-cc9f-7277-af8a-40c7ef19273a",
    "hashid": "6opb4",
    "key": "workflow_15",
    "name": "Workflow 15",
    "object": "execution",
    "status": "running",
    "execution_data": {"user_name": "John Doe"},
    "log": {"line": 1},
    "actions_count": 5,
    "idle_actions_count": 1,
    "running_actions_count": 1,
    "completed_actions_count": 1,
    "failed_actions_count": 1,
    "stopped_actions_count": 1,
    "created_at": "2025-08-19T11:19:18-04:00",
    "created_at_string": "Aug 19, 2025 11:19 am EDT",
    "created_at_utc": "2025-08-19T15:19:18Z",
    "stats": {"a": {"status": "idle"}},
    "template": {"nodes": [], "edges": []},
}


def remote(**changes):
    """Return the API's example answer with some changes."""
    return RemoteExecution.from_json(json.loads(json.dumps({**EXAMPLE, **changes})))


def observed(execution=None, **changes):
    """Return the columns that an answer changes."""
    return mirror.observed(execution or Execution(workflow="bake"), remote(**changes))


def test_every_documented_property_is_mirrored():
    """The 17 properties of the execute answer and the two of retrieve are columns or in ``raw``."""
    values = observed()

    typed = {k: v for k, v in EXAMPLE.items() if k in values and k not in {"id", "status"}}
    assert typed == {k: values[k] for k in typed}
    assert EXAMPLE["id"] == values["remote_id"]
    assert ("running", Status.RUNNING) == (values["remote_status"], values["status"])
    assert datetime(2025, 8, 19, 15, 19, 18, tzinfo=UTC) == values["remote_created_at"]
    assert {"object", "created_at", "created_at_string"} == set(values["raw"])


def test_unknown_properties_are_kept():
    """What the API adds one day is not lost, until it takes it away again."""
    assert {"since": [2027]} == observed(novelty={"since": [2027]})["raw"]["novelty"]

    execution = Execution(workflow="bake", raw={"novelty": 1})
    assert {} == mirror.observed(execution, RemoteExecution.from_json({"id": "x"}))["raw"]


def test_only_what_differs_is_returned():
    """The same answer again changes nothing."""
    execution = Execution(workflow="bake")
    for name, value in observed(execution).items():
        setattr(execution, name, value)

    assert {} == observed(execution)
    assert {"failed_actions_count": 2} == observed(execution, failed_actions_count=2)


def test_an_answer_without_stats_leaves_them():
    """The execute answer has no ``stats`` and no ``template``; what retrieve has brought stays."""
    execution = Execution(workflow="bake", stats={"a": 1}, template={"nodes": []})

    values = observed(execution, stats=None, template=None)

    assert not {"stats", "template"} & set(values)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("running", Status.RUNNING),
        ("upcoming", Status.UPCOMING),
        ("completed", Status.COMPLETED),
        (" Completed\n", Status.COMPLETED),
        ("failed", Status.FAILED),
        ("stopped", Status.STOPPED),
        ("deleted", Status.DELETED),
    ],
)
def test_the_apis_words_become_ours(word, status):
    """Each word that the API is known or assumed to use has a status, however it is set."""
    values = observed(status=word)

    assert (status, word) == (values["status"], values["remote_status"])


def test_an_unheard_word_is_kept_and_logged_once(caplog):
    """It is stored verbatim, counts as unknown, and fills no log."""
    word = f"marinating-{uuid.uuid4()}"
    long = f"{word}{'.' * 1000}"
    with caplog.at_level(logging.WARNING, "embedworkflow_django"):
        first, second = observed(status=word), observed(status=word)
        observed(status=long)

    assert (Status.UNKNOWN, word) == (first["status"], second["remote_status"])
    assert [word, long[:64]] == [r.remote_status for r in caplog.records]


def test_without_a_word_what_is_confirmed_runs():
    """An answer that has no status says that the execution exists, and no more."""
    assert Status.RUNNING == observed(status=None)["status"]


def test_a_final_status_is_kept():
    """A late answer updates the counters of a final row and never its status."""
    values = observed(Execution(workflow="bake", status=Status.COMPLETED), status="running")

    assert "status" not in values
    assert ("running", 5) == (values["remote_status"], values["actions_count"])


@pytest.mark.parametrize("count", [-1, 2**31, "5", None, 1.5, True], ids=repr)
def test_a_counter_that_is_none_is_ignored(count):
    """What a column cannot hold changes nothing."""
    assert "idle_actions_count" not in observed(idle_actions_count=count)


@pytest.mark.parametrize("count", [0, 2**31 - 1])
def test_a_counter_is_what_a_column_can_hold(count):
    """From nothing to its largest number."""
    assert (
        count
        == observed(Execution(idle_actions_count=7), idle_actions_count=count)["idle_actions_count"]
    )


def test_times_are_naive_where_the_project_has_no_time_zones(settings):
    """``USE_TZ = False`` stores local times."""
    settings.USE_TZ, settings.TIME_ZONE = False, "America/New_York"

    assert datetime(2025, 8, 19, 11, 19, 18) == observed()["remote_created_at"]  # noqa: DTZ001
    assert "remote_created_at" not in observed(created_at_utc="yesterday")


NASTY = {
    "nul": "a\0b",
    "surrogate": "\ud800",
    "nested": ["\0", {"\0": 1.5}],
    "deep": json.loads("[" * 40 + "]" * 40),
}


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_what_no_database_can_store_is_replaced(alias):
    """NUL, lone surrogates and bottomless nesting in an answer end as text that can be stored."""
    values = observed(name="n\0me", key="\ud800", log=NASTY, hashid="h" * 100)
    values["raw"] = mirror.storable({"infinite": float("inf"), "emoji": "\U0001f370"})

    execution = Execution(workflow="bake", **values)
    execution.save(using=alias)
    row = Execution.objects.using(alias).get()

    assert ("n\ufffdme", "?", "h" * 64) == (row.name, row.key, row.hashid)
    assert ("a\ufffdb", "?") == (row.log["nul"], row.log["surrogate"])
    assert ["\ufffd", {"\ufffd": 1.5}] == row.log["nested"]
    assert '"\\u2026"' in json.dumps(row.log["deep"])
    assert {"infinite": None, "emoji": "\U0001f370"} == row.raw


def nested(start, end, depth, inside=""):
    """Return so many arrays or objects within each other."""
    return json.loads(start * depth + inside + end * depth)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud800", "?"),
        (float("nan"), None),
        (nested("[", "]", DEEPEST), nested("[", "]", DEEPEST - 1, '"…"')),
        (nested('{"a":', "}", DEEPEST, "1"), nested('{"a":', "}", DEEPEST - 1, '"…"')),
        (nested("[", "]", DEEPEST - 1, "1"), nested("[", "]", DEEPEST - 1, "1")),
    ],
    ids=["NUL", "lone surrogate", "no number", "arrays", "objects", "as deep as can be"],
)
@pytest.mark.parametrize("beside", [None, float("inf"), "\0"], ids=["alone", "infinity", "NUL"])
def test_nothing_else_is_needed_for_it_to_be_replaced(value, stored, beside):
    """Each that no database can store is found alone, and beside another one."""
    assert stored == mirror.storable({"x": value, "y": beside})["x"]


def test_news_is_what_a_person_would_call_so():
    """Counters, statuses and stats move an execution; a new template or log does not."""
    assert mirror.moved({"idle_actions_count": 1})
    assert mirror.moved({"stats": {}})
    assert mirror.moved({"status": Status.RUNNING})
    assert mirror.moved({"remote_status": "marinating"})
    assert not mirror.moved({"log": {}, "raw": {}})


def test_an_event_needs_a_reason():
    """A change without a transition and without detail is not worth a row of history."""
    execution = Execution(workflow="bake")
    now = timezone.now()
    quiet = mirror.change(execution, {"polls": 1}, source="poll", outcome="unchanged")
    moved = mirror.change(execution, {"status": Status.RUNNING}, source="poll", outcome="moved")
    told = mirror.change(execution, {}, source="poll", outcome="x", detail={"error": "\0"})

    assert None is quiet.event(now)
    assert (Status.RUNNING, {}) == (moved.event(now).status, moved.event(now).detail)
    assert {"error": "\ufffd"} == told.event(now).detail
    assert f"{now:%Y-%m-%d %H:%M:%S} poll: running" == str(moved.event(now))


def test_the_documented_examples_can_be_mirrored():
    """Both executions of the API's pages become columns."""
    for name in ("workflows.execute", "executions.retrieve.partial"):
        path = Path(__file__).parent / "api_examples" / f"{name}.json"
        values = mirror.observed(
            Execution(workflow="bake"), RemoteExecution.from_json(json.loads(path.read_text()))
        )
        assert values["remote_id"]
