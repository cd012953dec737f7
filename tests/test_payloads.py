"""The values that the client returns: typed where known, tolerant everywhere, whole in ``raw``."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from embedworkflow_django.client import payloads

EXAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parent / "api_examples").glob("*.json")
}
KINDS = {
    "account.update": payloads.Account,
    "account.usage": payloads.Usage,
    "actions.object": payloads.Action,
    "app_connections.create": payloads.AppConnection,
    "app_connections.retrieve": payloads.AppConnection,
    "data_fields.object": payloads.DataField,
    "executions.retrieve.partial": payloads.RemoteExecution,
    "installed_apps.install.partial": payloads.InstalledApp,
    "installed_apps.retrieve": payloads.InstalledApp,
    "installed_apps.update": payloads.InstalledApp,
    "triggers.object.partial": payloads.Trigger,
    "user_token.create": payloads.UserToken,
    "users.retrieve": payloads.User,
    "users.upsert": payloads.User,
    "workflows.clone": payloads.Workflow,
    "workflows.create": payloads.Workflow,
    "workflows.execute": payloads.RemoteExecution,
    "workflows.publish": payloads.Workflow,
    "workflows.retrieve": payloads.Workflow,
    "workflows.update": payloads.Workflow,
}
CLASSES = sorted({*KINDS.values(), payloads.ActionType}, key=lambda kind: kind.__name__)


def names(kind):
    """Return the names of a payload's properties."""
    return {field.name for field in dataclasses.fields(kind)} - {"raw"}


def as_json(value):
    """Return a value as the API would have written it, as far as its type tells."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple):
        return [item.raw for item in value]
    return value


def test_every_documented_example_has_its_payload():
    """No example is left out; the list of users is read item by item."""
    assert set(KINDS) == set(EXAMPLES) - {"users.list.partial"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_every_property_of_an_example_is_known(name, kind):
    """A documented property has an attribute of the same name."""
    assert set(EXAMPLES[name]) - names(kind) == set()


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_an_example_is_read_as_it_is_written(name, kind):
    """Each property reads as its value; a null reads as None or as an empty value."""
    example = EXAMPLES[name]
    payload = kind.from_json(example)

    for key, value in example.items():
        read = getattr(payload, key)
        if value is None:
            assert not read
        else:
            assert as_json(read) == value
    assert payload.raw is example


def test_the_listed_users_are_users():
    """The documented page of users is read user by user."""
    users = [payloads.User.from_json(item) for item in EXAMPLES["users.list.partial"]["collection"]]

    assert [user.key for user in users] == ["user-2", "user-1"]
    assert users[0].user_data_schema[0].display_label == "First Name"
    assert users[0].user_data_schema[0].required is False


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("value", [None, 7, -1.5, True, "", "text", [], [1], {}, {"a": [None]}])
def test_no_value_of_a_property_is_an_error(kind, value):
    """Whatever a property holds, reading it does not fail, and ``raw`` keeps it."""
    raw = dict.fromkeys(names(kind), value)
    raw |= {name: "x" for name in ("id", "user_token") if name in raw}
    payload = kind.from_json(raw)

    assert payload.raw == raw
    assert repr(payload)
    assert payload == kind.from_json(raw)


@pytest.mark.parametrize("kind", CLASSES)
def test_no_property_is_needed_but_the_one_that_says_which(kind):
    """An execution needs its id, a token itself; nothing else needs anything."""
    needed = {payloads.RemoteExecution: "id", payloads.UserToken: "user_token"}.get(kind)
    if needed is None:
        assert kind.from_json({}).raw == {}
        return
    assert getattr(kind.from_json({needed: "x"}), needed) == "x"
    for nothing in ({}, {needed: None}, {needed: ""}, {needed: 7}):
        with pytest.raises(ValueError, match=f"no '{needed}'"):
            kind.from_json(nothing)


@pytest.mark.parametrize("found", [None, [], "x", 7])
def test_what_is_no_object_is_refused(found):
    """A payload is read from a JSON object only."""
    with pytest.raises(ValueError, match="no JSON object where a User should be"):
        payloads.User.from_json(found)


def test_an_unknown_status_and_unknown_properties_are_kept():
    """The API may say more than its documentation."""
    raw = {"id": "e", "status": "marinating", "priority": {"level": 9}}
    execution = payloads.RemoteExecution.from_json(raw)

    assert execution.status == "marinating"
    assert execution.raw["priority"] == {"level": 9}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-07-13T05:01:14Z", datetime(2025, 7, 13, 5, 1, 14, tzinfo=UTC)),
        (
            "2025-07-13T01:01:14-04:00",
            datetime(2025, 7, 13, 1, 1, 14, tzinfo=timezone(-timedelta(hours=4))),
        ),
        ("2025-07-13T05:01:14.123Z", datetime(2025, 7, 13, 5, 1, 14, 123000, tzinfo=UTC)),
        ("2025-07-13T05:01:14", None),
        ("2025-07-13", None),
        ("Jul 13, 2025 01:01 am EDT", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (1752382874, None),
    ],
)
def test_a_time_is_an_aware_moment_or_none(text, moment):
    """A time without an offset, or outside of what UTC can show, could be anywhere: None."""
    execution = payloads.RemoteExecution.from_json({"id": "e", "created_at_utc": text})

    assert execution.created_at_utc == moment
    if moment:
        assert execution.created_at_utc.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(("value", "count"), [(3, 3), (None, None), ("3", None), (True, None)])
def test_a_counter_is_a_whole_number_or_none(value, count):
    """A counter that is missing or of another type is unknown, not zero."""
    raw = {"id": "e", "actions_count": value}

    assert payloads.RemoteExecution.from_json(raw).actions_count == count


def test_data_that_was_null_differs_from_empty_data():
    """``execution_data`` is null where nothing was passed."""
    read = payloads.RemoteExecution.from_json

    assert read({"id": "e", "execution_data": None}).execution_data is None
    assert read({"id": "e", "execution_data": {}}).execution_data == {}


def test_nested_fields_of_a_schema_are_fields():
    """A field of type List carries its children."""
    field = payloads.DataField.from_json(
        {"variable": "lines", "children": [{"variable": "sku"}, "nonsense"]}
    )

    assert [child.variable for child in field.children] == ["sku"]


def test_a_payload_cannot_be_changed():
    """What the API said stays what it said."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        payloads.RemoteExecution.from_json({"id": "e"}).status = "completed"


def test_a_repr_shows_no_data_and_no_token():
    """Personal data and tokens do not reach a log by way of a repr."""
    execution = payloads.RemoteExecution.from_json({"id": "e", "execution_data": {"a": "private"}})
    token = payloads.UserToken.from_json({"user_token": "private"})

    assert "private" not in repr(execution) + repr(token)
    assert "id='e'" in repr(execution)


def test_an_action_is_called_by_its_uuid():
    """An action has no ``id``; a page's cursor is its ``uuid``."""
    assert payloads.Action.from_json({"uuid": "u"}).cursor == "u"
    assert payloads.User.from_json({"id": "i", "key": "k"}).cursor == "i"


@pytest.mark.parametrize("value", ["true", 1, [], None])
def test_a_property_of_another_type_reads_as_none_or_empty(value):
    """Whoever reads it need not ask what it is; the answer is in ``raw``."""
    raw = {"id": "x", "log": value, "execution_data": value}
    execution = payloads.RemoteExecution.from_json(raw)

    assert ({}, None, raw) == (execution.log, execution.execution_data, execution.raw)
    assert payloads.Workflow.from_json({"id": "x", "on": value}).on is None


@pytest.mark.parametrize(
    "kind", [payloads.RemoteExecution, payloads.Workflow, payloads.ActionType], ids=str
)
def test_what_is_made_by_hand_is_what_is_read_of_as_little(kind):
    """A property that is not given is as one that was not answered."""
    assert kind.from_json({"id": "x"}) == kind(id="x", raw={"id": "x"})


def test_a_repr_shows_nothing_that_is_nested():
    """Objects, lists and what may be anything hold what a log must not."""
    execution = payloads.RemoteExecution.from_json({"id": "x", "log": {"a": "secret"}})
    kind = payloads.ActionType.from_json({"id": "x", "groups": ["secret"], "code": "secret"})

    assert "secret" not in f"{execution!r}{kind!r}"
