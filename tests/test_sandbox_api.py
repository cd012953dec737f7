"""The sandbox answers as the API is documented: forms, endpoints, pages, keys, errors."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import threading
import uuid
from wsgiref import validate

import pytest

from embedworkflow_django.sandbox import ManualClock, Sandbox, endpoints, engine

from .sandbox_calls import HOUR, NOON, Caller, example, in_process

NODES = [
    {"id": "yXvmVe", "name": "A", "type": "Email"},
    {"id": "G3kxmE", "name": "B", "type": "Delay", "delay_n": 1, "delay_unit": "day"},
]


@pytest.fixture
def sandbox():
    """Return a sandbox whose time stands still at noon."""
    return Sandbox(clock=ManualClock(NOON), seed=7)


@pytest.fixture
def call(sandbox):
    """Return a caller in process."""
    return in_process(sandbox)


def kinds(form):
    """Return the type of every property, so that forms can be compared."""
    return {name: type(value).__name__ for name, value in form.items()}


def keep(form, *names):
    """Return *form* without the properties that only older generations have."""
    return {name: value for name, value in form.items() if name not in names}


# Forms, against the documented examples


@pytest.fixture(params=["in process", "over HTTP"])
def anyhow(request, sandbox):
    """Return a caller in process, and again one over HTTP."""
    if request.param == "in process":
        yield in_process(sandbox)
    else:
        with sandbox:
            caller = Caller(sandbox)
            yield caller
            caller.session.close()


def test_executing_answers_the_documented_form(sandbox, anyhow):
    """Starting an execution answers 201 with exactly the documented properties."""
    sandbox.add_workflow("workflow_15", nodes=NODES)

    answer = anyhow(
        "POST",
        "/workflows/workflow_15/execute",
        {"id_type": "key", "execution_data": {"user_name": "John Doe"}},
    )

    documented = example("workflows.execute")
    assert (201, kinds(documented)) == (answer.status_code, kinds(answer.json()))
    assert list(documented) == list(answer.json())
    assert "running" == answer.json()["status"]


def test_retrieving_adds_stats_and_template(sandbox, anyhow):
    """One execution has all of the execute answer, and `stats` and `template` besides."""
    sandbox.add_workflow("one", nodes=NODES, edges=["yXvmVe-G3kxmE"])
    started = anyhow.execute("one")

    retrieved = anyhow.get(f"/executions/{started['id']}")

    assert {"stats", "template"} == set(retrieved) - set(started)
    documented = example("executions.retrieve.partial")["stats"]
    assert list(documented)[:4] == list(retrieved["stats"])
    assert kinds(documented["yXvmVe"]) == kinds(
        {**retrieved["stats"]["yXvmVe"], "scheduled_at": None}
    )
    assert {"status": "open"} == retrieved["stats"]["start_of_workflow-yXvmVe"]
    assert {"status": "closed"} == retrieved["stats"]["yXvmVe-G3kxmE"]
    assert {"action_types", "edges", "height", "nodes", "object", "positions", "width"} == set(
        retrieved["template"]
    )


@pytest.mark.parametrize("name", ["workflows.create", "workflows.update"])
def test_a_workflow_has_the_documented_form(call, name):
    """The full form is that of generation D: no hashid, two booleans for templates."""
    documented = keep(example(name), "hashid", "default_template")
    documented |= {"auto_clone_for_new_users": False, "is_template": False}

    created = call.post("/workflows", name="My workflow")

    assert kinds(documented) == kinds(created)
    assert ("my_workflow", False, "off", None, False) == tuple(
        created[name] for name in ("key", "on", "status", "last_published_at", "has_draft")
    )
    assert documented["template"] == created["template"]
    assert created == call.get(f"/workflows/{created['id']}")


def test_publishing_answers_the_documented_form(call):
    """Publishing sets `last_published_at` in its three spellings and ends the draft."""
    created = call.post("/workflows", name="A", template_draft={"nodes": NODES})
    published = call.post(f"/workflows/{created['id']}/publish")

    assert (True, 0) == (created["has_draft"], created["actions_count"])
    assert (False, 2) == (published["has_draft"], published["actions_count"])
    assert kinds(keep(example("workflows.publish"), "hashid", "default_template")) == kinds(
        keep(published, "auto_clone_for_new_users", "is_template")
    )


def test_a_clone_has_the_short_form(call):
    """Cloning answers 201 with the summary, off, under the source's key and a number."""
    source = call.post("/workflows", name="Workflow 18")

    answer = call("POST", f"/workflows/{source['id']}/clone", {})

    documented = example("workflows.clone")
    assert (201, kinds(documented)) == (answer.status_code, kinds(answer.json()))
    assert ("workflow_18_1", "Workflow 18", False) == tuple(
        answer.json()[name] for name in ("key", "name", "on")
    )


def test_a_user_has_the_documented_form(call):
    """A user's data come back inside the schema only, and its times are in UTC."""
    schema = [{"variable": "first_name", "display_label": "First Name"}]
    call.put("/account", user_data_schema=schema)
    upserted = call.put("/users/123", name="John Doe", data={"first_name": "John", "secret": 1})
    retrieved = call.get("/users/123")

    documented = example("users.retrieve")
    assert kinds({**documented, "groups": [], "name": ""}) == kinds(upserted)
    assert list(documented) == list(retrieved)
    assert upserted == retrieved
    [field] = retrieved["user_data_schema"]
    assert {**example("data_fields.object")} == field
    assert re.fullmatch(r"no-reply\+[0-9a-f]{19}@embedworkflow\.com", retrieved["email"])
    assert ("2026-01-15T12:00:00Z", "Jan 15, 2026 12:00 pm UTC", "2026-01-15T12:00:00Z") == tuple(
        retrieved[f"created_at{suffix}"] for suffix in ("", "_string", "_utc")
    )


def test_listed_users_have_times_in_the_accounts_zone(call):
    """In a list the same user's times bear the offset of the account's zone."""
    user = call.get("/users")["collection"][0]

    assert set(example("users.list.partial")["collection"][0]) == set(user)
    assert ("2026-01-15T07:00:00-05:00", "Jan 15, 2026 07:00 am EST", "2026-01-15T12:00:00Z") == (
        user["created_at"],
        user["created_at_string"],
        user["created_at_utc"],
    )


def test_an_action_has_the_documented_form(sandbox, call):
    """An action has `uuid` in place of `id`, and all its moments in three spellings."""
    sandbox.add_workflow("one", nodes=NODES)
    execution = call.execute("one")
    sandbox.advance(5)

    listed = call.get("/actions", execution_id=execution["id"])["collection"]
    action = call.get(f"/actions/{listed[1]['uuid']}")

    assert list(example("actions.object")) == list(action)
    assert ("yXvmVe", "completed", execution["id"]) == (
        action["node_id"],
        action["status"],
        action["execution_id"],
    )
    assert [] == call.get("/actions", execution_id=str(uuid.uuid4()))["collection"]
    assert 2 == len(call.get("/actions/activities")["collection"])
    assert 2 == len(call.get("/workflows/one/activities")["collection"])


def test_an_app_connection_never_shows_its_credentials(call):
    """Its form is as documented; `config` goes in and never comes out."""
    fields = {"name": "My Connection", "app_type": "gmail", "config": {"token": "s3cret"}}
    answer = call("POST", "/app_connections", fields)
    created = answer.json()
    path = f"/app_connections/{created['id']}"

    assert (201, kinds(example("app_connections.create"))) == (answer.status_code, kinds(created))
    assert created == call.get(path, user_key="main")
    assert "Other" == call.put(path, name="Other", config={})["name"]
    assert "slack" == call.put(path, app_type="slack")["app_type"]
    assert "s3cret" not in answer.text
    assert (404, {"error": "not found"}) == call.error("GET", path + "?user_key=customer")
    assert [created["id"]] == [c["id"] for c in call.get("/app_connections")["collection"]]
    assert [] == call.get("/app_connections", user_key="nobody")["collection"]
    assert call("DELETE", path).json()["deleted"]
    assert 404 == call("GET", path).status_code


def test_an_installed_app_has_the_documented_form(call):
    """Installing answers 201; groups can be changed; a second time is refused."""
    answer = call("POST", "/installed_apps", {"app_identifier": "slack"})
    updated = call.put("/installed_apps/slack", groups=["admins"])

    documented = example("installed_apps.update")
    assert (201, set(documented)) == (answer.status_code, set(answer.json()))
    assert kinds(documented) == kinds(updated)
    assert ("Slack", ["admins"]) == (updated["name"], updated["groups"])
    assert updated == call.get("/installed_apps/slack")
    assert 404 == call("PUT", "/installed_apps/other", {}).status_code
    assert (422, {"errors": {"app_identifier": ["has already been taken"]}}) == call.error(
        "POST", "/installed_apps", {"app_identifier": "slack"}
    )


def test_the_account_has_the_documented_form(call):
    """The account is that of generation E; what is not given stays."""
    updated = call.put("/account", company_name="Tea Ltd", data={"a": 1}, level=9)

    documented = example("account.update")
    assert list(documented) == list(updated)
    assert {**documented, "company_name": "Tea Ltd", "data": {"a": 1}} == {
        **updated,
        "id": documented["id"],
    }
    assert updated == call.get("/account")


def test_usage_counts_actions(sandbox, call):
    """Usage is of the last 30 days, in whole days, and counts executions and actions."""
    sandbox.add_workflow("one", nodes=NODES)
    call.execute("one")
    sandbox.advance(5)

    usage = call.get("/account/usage")

    assert kinds(example("account.usage")) == kinds(usage)
    assert ("2025-12-16T00:00:00Z", "2026-01-15T23:59:59Z") == (
        usage["start_time"],
        usage["end_time"],
    )
    assert (2, 1, 1, 1) == tuple(
        usage[n] for n in ("usage", "executions_count", "active_workflows_count", "users_count")
    )
    window = {"start_time": "2026-01-16T00:00:00", "end_time": "2026-01-17T00:00:00+01:00"}
    assert 0 == call.get("/account/usage", **window, user_key="main")["usage"]
    assert (400, {"error": "start_time must be ISO 8601"}) == call.error(
        "GET", "/account/usage?start_time=now"
    )


def test_a_user_token_looks_like_the_example(call):
    """The token is a signed global id of the user that expires after 48 hours."""
    user = call.put("/users/customer-1")
    token = call.post("/user_token", key="customer-1")["user_token"]

    def opened(text):
        data, _, signature = text.partition("--")
        rails = json.loads(base64.b64decode(data))["_rails"]
        return rails, base64.b64decode(rails["message"]), len(signature)

    rails, message, length = opened(token)
    documented, documented_message, documented_length = opened(
        example("user_token.create")["user_token"]
    )
    assert (set(documented), documented_length) == (set(rails), length)
    assert "2026-01-17T12:00:00.000Z" == rails["exp"]
    assert f"User/{user['id']}?expires_in=172800".encode() in message
    assert (documented_message[:4], documented_message[-6:]) == (message[:4], message[-6:])
    assert call.post("/user_token", id=user["id"])["user_token"] == token
    assert 404 == call("POST", "/user_token", {"id": "nobody"}).status_code


def test_a_trigger_has_the_documented_form(call):
    """A trigger shows its event, its hook and its schema of data fields."""
    schema = example("triggers.object.partial")["data_input_schema"]
    fields = {"event": "order.paid", "title": "Paid", "data_input_schema": schema}
    answer = call("POST", "/triggers", fields)
    created = answer.json()
    path = f"/triggers/{created['id']}"

    known = set(example("triggers.object.partial"))
    extra = {"description", "event", "groups", "hook_id", "icon", "object", "on", "title"}
    extra |= {"processed_count"}
    assert (201, known | extra) == (answer.status_code, set(created))
    assert set(schema[0]) < set(created["data_input_schema"][0])
    assert created == call.get(path) == call.get("/triggers")["collection"][0]
    assert (False, "Was paid") == (
        call.put(path, on=False, title="Was paid")["on"],
        call.get(path)["title"],
    )
    assert not call.put(path, description="Money came")["on"]
    assert call("DELETE", path).json()["deleted"]
    assert 404 == call("GET", path).status_code
    assert 422 == call("POST", "/triggers", {"event": "x", "data_input_schema": "y"}).status_code


def test_an_action_type_has_a_draft_and_a_published_side(call):
    """What is changed stays a draft until it is published."""
    created = call.post("/action_types", name="Write", url_draft="http://a", groups=["g"], on="1")
    path = f"/action_types/{created['id']}"
    updated = call.put(path, description="Writes", publish=True)

    assert (None, "http://a", True) == (
        created["url"],
        created["url_draft"],
        created["has_draft"],
    )
    assert ("http://a", False, "Writes", ["g"], True) == tuple(
        updated[name] for name in ("url", "has_draft", "description", "groups", "on")
    )
    assert updated == call.get(path) == call.get("/action_types")["collection"][0]
    assert call("DELETE", path).json()["deleted"]
    assert 404 == call("GET", path).status_code


def test_data_fields_are_listed(call):
    """The fields of the account and of its users are listed together."""
    call.put("/account", data_schema=[{"variable": "shop"}], user_data_schema=[{"variable": "age"}])

    listed = call.get("/data_fields")["collection"]

    assert [("age", "user"), ("shop", "account")] == [(f["variable"], f["source"]) for f in listed]


def test_what_is_only_assumed_is_listed():
    """Endpoints that no source shows are named in one place."""
    assert {"GET /executions", "POST /executions/*/stop"} < set(endpoints.ASSUMED)
    assert not {"POST /workflows/*/execute", "POST /trigger"} & set(endpoints.ASSUMED)


# Who may call


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer sk_test_wrong",
        "Basic sk_test_sandbox",
        "Bearer pk_test_sandbox",
        "Bearer sk_test_sandböx".encode(),
    ],
    ids=["none", "empty", "wrong", "basic", "publishable", "not ASCII"],
)
def test_without_the_secret_key_everything_is_401(sandbox, header):
    """A missing, a wrong and a publishable key are answered alike, also on unknown paths."""
    call = in_process(sandbox)
    call.session.headers["Authorization"] = header

    for path in ("/workflows", "/nowhere"):
        assert (401, {"error": "unauthorized"}) == call.error("GET", path)
    assert "pk_test_sandbox" == sandbox.publishable_key


def test_accounts_see_nothing_of_each_other(sandbox, call):
    """Every secret key opens an account of its own."""
    other = in_process(sandbox, key=sandbox.add_account("eu", "sk_live_eu").secret_key)
    sandbox.add_workflow("one")
    execution = call.execute("one")

    assert [] == other.get("/workflows")["collection"]
    assert 404 == other("GET", f"/executions/{execution['id']}").status_code
    assert 404 == other("POST", "/workflows/one/execute", {"id_type": "key"}).status_code
    assert ["default", "eu", "eu", "eu"] == [received.account for received in sandbox.requests]
    assert "pk_live_eu" == sandbox.engine.accounts["eu"].publishable_key


def test_every_answer_bears_a_request_id(call):
    """`x-request-id` is a new uuid on every answer, on errors too."""
    ids = [call("GET", path).headers["x-request-id"] for path in ("/workflows", "/nowhere")]

    assert 2 == len({str(uuid.UUID(text)) for text in ids})


# Finding things


def test_a_workflow_is_found_by_id_key_and_hashid(sandbox, call):
    """`id_type` says how the path is read, in the query and in the body."""
    workflow = sandbox.add_workflow("one")
    for kind, value in (("id", workflow.id), ("key", "one"), ("hashid", workflow.hashid)):
        assert workflow.id == call.get(f"/workflows/{value}", id_type=kind)["id"]
        assert "one" == call.post(f"/workflows/{value}/execute", id_type=kind)["key"]

    assert 404 == call("GET", "/workflows/one").status_code
    assert (400, {"error": "id_type must be one of id, key, hashid"}) == call.error(
        "GET", "/workflows/one?id_type=name"
    )


def test_a_key_may_contain_anything(sandbox, call):
    """A path segment is decoded after it was cut, so a key may contain a slash."""
    sandbox.add_workflow("a/b c")

    assert "a/b c" == call.get("/workflows/a%2Fb%20c", id_type="key")["key"]


def test_a_workflow_belongs_to_its_user(sandbox, call):
    """On behalf of another user it is not found; by update it is, whoever owns it."""
    workflow = sandbox.add_workflow("one", user_key="customer-1")
    path = f"/workflows/{workflow.id}"

    assert 404 == call("GET", path).status_code
    assert workflow.id == call.get(path, user_key="customer-1")["id"]
    assert 404 == call("POST", f"{path}/execute", {"user_key": "nobody"}).status_code
    assert 201 == call("POST", f"{path}/execute", {"user_key": "customer-1"}).status_code
    assert "Renamed" == call.put(path, name="Renamed")["name"]
    assert (
        "main"
        == sandbox.engine.find_workflow(sandbox.account, call.post(f"{path}/clone")["id"]).user.key
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/workflows/gone"),
        ("PUT", "/workflows/gone"),
        ("DELETE", "/workflows/gone"),
        ("POST", "/workflows/gone/publish"),
        ("POST", "/workflows/gone/execute"),
        ("POST", "/workflows/gone/clone"),
        ("POST", "/workflows//execute"),
        ("PATCH", "/workflows/gone"),
        ("GET", "/executions/gone"),
        ("GET", "/users/gone"),
        ("GET", "/app_connections/gone"),
        ("GET", "/installed_apps/gone"),
        ("POST", "/hooks/gone/catch"),
    ],
)
def test_what_does_not_exist_is_404(call, method, path):
    """An unknown path, method or object is answered with 404 in Rails' habit."""
    assert (404, {"error": "not found"}) == call.error(method, path, {"name": "x"})


# Writing


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": ["can't be blank"]}),
        ({"name": " "}, {"name": ["can't be blank"]}),
        ({"name": 5}, {"name": ["must be a string"]}),
        ({"name": "x", "groups": "a"}, {"groups": ["must be an array"]}),
        ({"name": "x", "template_draft": "a"}, {"template_draft": ["must be an object"]}),
        (
            {"name": "x", "trigger_conditions_draft": [1]},
            {"trigger_conditions_draft": ["must be an object"]},
        ),
        (
            {"name": "x", "template_draft": {"nodes": {}}},
            {"template_draft": ["nodes must be a list"]},
        ),
        (
            {"name": "x", "template_draft": {"nodes": [{"id": ""}]}},
            {"template_draft": ["every node needs an id"]},
        ),
        (
            {"name": "x", "template_draft": {"nodes": [{"id": "a"}, {"id": "a"}]}},
            {"template_draft": ["two nodes have the id a"]},
        ),
        (
            {"name": "x", "template_draft": {"edges": ["a-b"]}},
            {"template_draft": ["edge a-b joins no two known nodes"]},
        ),
        (
            {"name": "x", "template_draft": {"edges": [["a", "b"]]}},
            {"template_draft": ['edges must be a list of texts like "from-to"']},
        ),
    ],
)
def test_what_makes_no_sense_is_422(call, body, errors):
    """A 422 names the property and what is wrong with it."""
    assert (422, {"errors": errors}) == call.error("POST", "/workflows", body)


def test_an_update_changes_what_is_given(call):
    """Omitted properties stay, the key can be chosen, and a taken key is refused."""
    call.post("/workflows", name="Taken")
    created = call.post("/workflows", name="A", details="Text", match_conditions_draft="any")
    path = f"/workflows/{created['id']}"
    updated = call.put(
        path, name="B", key="b", on=True, is_template="true", groups=["g"], trigger_conditions=None
    )

    assert ("B", "b", "on", "Text", True, ["g"], "any") == tuple(
        updated[name]
        for name in (
            "name",
            "key",
            "status",
            "description",
            "is_template",
            "groups",
            "match_conditions_draft",
        )
    )
    assert call.put(path, name="B", key="b")["on"]
    assert (422, {"errors": {"key": ["has already been taken"]}}) == call.error(
        "PUT", path, {"name": "B", "key": "taken"}
    )


def test_two_workflows_of_one_name_get_two_keys(call):
    """The key made from a name gets a number when it is taken."""
    assert ["tea", "tea_2", "workflow"] == [
        call.post("/workflows", name=name)["key"] for name in ("Tea", "tea!", "…")
    ]


def test_a_draft_can_be_discarded(call):
    """Discarding brings the published side back."""
    created = call.post("/workflows", name="A")
    path = f"/workflows/{created['id']}"
    drafted = call.put(path, name="A", event_trigger="order.paid")
    discarded = call.post(f"{path}/discard_draft")

    assert ({"event": "order.paid"}, True) == (drafted["event_trigger_draft"], drafted["has_draft"])
    assert (None, False) == (discarded["event_trigger_draft"], discarded["has_draft"])


def test_publishing_switches_on_only_when_asked(call):
    """Whether a published workflow is on is another question than its draft."""
    path = f"/workflows/{call.post('/workflows', name='A')['id']}"

    assert [False, True, True] == [
        call.post(f"{path}/publish", **body)["on"] for body in ({}, {"on": True}, {})
    ]


def test_deleting_a_workflow_deletes_its_executions(sandbox, call):
    """An archived workflow is not found any more, and its executions say `deleted`."""
    sandbox.add_workflow("one", nodes=NODES)
    sandbox.add_workflow("two")
    execution, other = call.execute("one"), call.execute("two")
    answer = call("DELETE", "/workflows/one?id_type=key")

    assert (200, True) == (answer.status_code, answer.json()["deleted"])
    assert 404 == call("GET", "/workflows/one?id_type=key").status_code
    assert ["deleted", "completed"] == [
        call.get(f"/executions/{found['id']}")["status"] for found in (execution, other)
    ]


def test_a_new_user_gets_its_copies(sandbox, call):
    """Workflows with `auto_clone_for_new_users` are cloned for every new user."""
    workflow = sandbox.add_workflow("one", nodes=NODES)
    call.put(f"/workflows/{workflow.id}", name="One", auto_clone_for_new_users=True)
    call.put("/users/customer-1")
    call.put("/users/customer-1", name="Ann")

    [clone] = call.get("/workflows", user_key="customer-1")["collection"]

    assert ("one_1", "One", "off", 2) == tuple(
        clone[name] for name in ("key", "name", "status", "actions_count")
    )


def test_upserting_merges_data_and_unsets_with_null(sandbox, call):
    """What is not given stays, null unsets, data is merged."""
    call.put("/users/a", name="Ann", email="a@example.com", data={"x": 1, "y": 1})
    updated = call.put("/users/a", name=None, data={"y": 2}, time_zone=None, groups=["g"])

    assert (None, "a@example.com", ["g"], "America/New_York") == tuple(
        updated[name] for name in ("name", "email", "groups", "time_zone")
    )
    assert {"x": 1, "y": 2} == sandbox.account.user("a").data
    assert "Europe/Rome" == call.put("/users/a", time_zone="Europe/Rome")["time_zone"]


@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        ("/users/a", {"time_zone": "Mars/Base"}, {"time_zone": ["is not a known time zone"]}),
        ("/users/a", {"data": [1]}, {"data": ["must be an object"]}),
        ("/account", {"time_zone": "../x"}, {"time_zone": ["is not a known time zone"]}),
        ("/account", {"data": []}, {"data": ["must be an object"]}),
        ("/account", {"groups": {}}, {"groups": ["must be an array"]}),
        ("/account", {"data_schema": ["a"]}, {"data_schema": ["must be an array of objects"]}),
    ],
)
def test_users_and_accounts_refuse_nonsense(call, path, body, errors):
    """A value of the wrong kind is 422 and changes nothing."""
    assert (422, {"errors": errors}) == call.error("PUT", path, body)


def test_deleting_a_user_archives_its_workflows(sandbox, call):
    """A deleted user is gone with its workflows; `main` cannot be deleted."""
    sandbox.add_workflow("one", user_key="customer-1")
    sandbox.add_workflow("two")

    assert {"key": "customer-1", "object": "user", "deleted": True} == call(
        "DELETE", "/users/customer-1"
    ).json()
    assert 404 == call("GET", "/users/customer-1").status_code
    assert ["two"] == [w["key"] for w in call.get("/workflows")["collection"]]
    assert 422 == call("DELETE", "/users/main").status_code


@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        ("/app_connections", {"app_type": "x", "config": {}}, {"name": ["can't be blank"]}),
        ("/app_connections", {"name": "x", "app_type": "y"}, {"config": ["must be an object"]}),
        ("/action_types", {}, {"name": ["can't be blank"]}),
        ("/installed_apps", {}, {"app_identifier": ["can't be blank"]}),
        ("/executions/stop", {}, {"stop_event": ["can't be blank"]}),
        (
            "/trigger",
            {"event": "x", "execution_data": 1},
            {"execution_data": ["must be an object"]},
        ),
    ],
)
def test_what_is_required_is_asked_for(call, path, body, errors):
    """A POST without a required property is 422 and names it."""
    assert (422, {"errors": errors}) == call.error("POST", path, body)


def test_execution_data_must_be_an_object(sandbox, call):
    """A list as data starts nothing."""
    sandbox.add_workflow("one")

    assert (
        422
        == call(
            "POST", "/workflows/one/execute", {"id_type": "key", "execution_data": [1]}
        ).status_code
    )
    assert [] == sandbox.executions


# Bodies


def test_a_form_is_read_as_rails_reads_it(sandbox, call):
    """Form-encoded bodies nest with brackets."""
    sandbox.add_workflow("one")
    data = (
        "id_type=key&execution_data[order][id]=7&execution_data[tags][]=a&execution_data[tags][]=b"
    )

    answer = call(
        "POST",
        "/workflows/one/execute",
        data=data,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert {"order": {"id": "7"}, "tags": ["a", "b"]} == answer.json()["execution_data"]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b"\xff", "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b'{"a": 1e999}', "application/json"),
        (b"[" * 200_000, "application/json"),
        (b"a=1&a[b]=2", "application/x-www-form-urlencoded"),
        (b"a[]=1&a[b]=2", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_cannot_be_read_is_400(call, body, kind):
    """Broken JSON, JSON that is no object, and contradicting form fields are 400."""
    answer = call("POST", "/workflows", data=body, headers={"Content-Type": kind})

    assert 400 == answer.status_code


def test_a_body_may_be_streamed(sandbox, call):
    """In process, a body that comes in pieces is put together."""
    sandbox.add_workflow("one")

    answer = call("POST", "/workflows/one/execute", data=iter([b'{"id_type"', b': "key"}']))

    assert 201 == answer.status_code


def test_data_come_back_as_they_were_sent(sandbox, call):
    """Numbers, texts of any script, null and nesting survive."""
    sandbox.add_workflow("one")
    data = {"f": 1.5, "i": 10**20, "t": "ü\u2028🫖", "n": None, "l": [{"b": True}], "": {}}

    execution = call.execute("one", **data)

    assert data == execution["execution_data"]
    assert data == call.get(f"/executions/{execution['id']}")["execution_data"]


# Pages


def test_pages_are_walked_in_both_directions(sandbox, call):
    """Cursors are exclusive, the order is newest first in either direction."""
    for number in range(7):
        sandbox.add_workflow(f"w{number}")

    def page(**query):
        answer = call.get("/workflows", limit=3, **query)
        keys = "".join(w["key"][1] for w in answer["collection"])
        return keys, answer["meta"]["has_more"], answer["meta"]

    keys, more, meta = page()
    assert ("654", True) == (keys, more)
    keys, more, meta = page(starting_after=meta["starting_after"])
    assert ("321", True) == (keys, more)
    last_keys, last_more, last = page(starting_after=meta["starting_after"])
    assert ("0", False) == (last_keys, last_more)
    assert ("321", True) == page(ending_before=last["ending_before"])[:2]
    assert ("654", False) == page(ending_before=meta["ending_before"])[:2]
    assert {"has_more": False, "starting_after": None, "ending_before": None} == page(
        starting_after=last["starting_after"]
    )[2]


def test_a_page_has_25_and_at_most_100_objects(sandbox, call):
    """The default is 25, and more than 100 is not given."""
    for number in range(101):
        sandbox.add_workflow(f"w{number}")

    assert [25, 100] == [
        len(call.get("/workflows", **query)["collection"]) for query in ({}, {"limit": 500})
    ]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=many", "starting_after=qeorb", "starting_after={id}&ending_before={id}"],
)
def test_a_page_that_makes_no_sense_is_400(call, query):
    """Both cursors, a cursor that is no id, and a limit that is no number are refused."""
    answer = call("GET", "/users?" + query.format(id=uuid.uuid4()))

    assert 400 == answer.status_code


def test_a_removed_object_is_still_a_cursor(sandbox, call):
    """Paging goes on although the object at the cursor has been deleted meanwhile."""
    ids = [sandbox.add_workflow(f"w{number}").id for number in range(3)]
    call("DELETE", f"/workflows/{ids[1]}")

    assert ["w0"] == [w["key"] for w in call.get("/workflows", starting_after=ids[1])["collection"]]


def test_expand_adds_to_the_short_form(sandbox, call):
    """`expand` brings `template`, `template_draft` and `stats` into a list."""
    sandbox.add_workflow("one", nodes=NODES)

    plain = call.get("/workflows")["collection"][0]
    one = call.get("/workflows", expand="template")["collection"][0]
    all_three = call.get("/workflows?expand[]=stats&expand[]=template_draft")["collection"][0]

    assert {"template"} == set(one) - set(plain)
    assert {"stats", "template_draft"} == set(all_three) - set(plain)


def test_executions_are_listed_by_user_workflow_and_status(sandbox, call):
    """The assumed list filters by any of the three."""
    first = sandbox.add_workflow("one", nodes=NODES)
    sandbox.add_workflow("two", user_key="customer-1")
    execution = call.execute("one")
    sandbox.execute("two", user_key="customer-1")

    def keys(**query):
        return [e["key"] for e in call.get("/executions", **query)["collection"]]

    assert ["two", "one"] == keys()
    assert ["one"] == keys(workflow_id=first.id) == keys(status="running") == keys(user_key="main")
    assert ["two"] == keys(status="completed")
    assert "stopped" == call.post(f"/executions/{execution['id']}/stop")["status"]


# Events


def test_an_event_starts_what_listens_to_it(sandbox, call):
    """Only workflows that are on, of that user, and whose conditions hold are started."""
    big = [{"type": "greater_than", "field": "total", "value": 100}]
    sandbox.add_workflow("all", event="paid")
    sandbox.add_workflow("big", event="paid", conditions=big)
    sandbox.add_workflow("odd", event="paid", conditions=[{"type": "magic"}])
    sandbox.add_workflow("off", event="paid", on=False)
    sandbox.add_workflow("other", event="sent")
    hers = sandbox.add_workflow("hers", event="paid", user_key="customer-1")
    sandbox.add_trigger("paid")

    def started(**body):
        answer = call("POST", "/trigger", {"event": "paid", **body})
        assert 201 == answer.status_code
        return [execution["key"] for execution in answer.json()["collection"]]

    assert [] == started(event="nobody_listens")
    assert ["all"] == started(execution_data={"total": 5})
    assert ["all", "big"] == started(execution_data={"total": 500}, user_key=None)
    assert ["hers"] == started(user_key="customer-1")
    assert ["all", "hers"] == started(all_workflows=True)
    assert ["all"] == started(workflow_keys=["all", "off"])
    assert ["hers"] == started(all_workflows="true", workflow_hashids=[hers.hashid])
    assert 404 == call("POST", "/trigger", {"event": "x", "user_key": "nobody"}).status_code
    assert [6] == [t["processed_count"] for t in call.get("/triggers")["collection"]]
    assert "paid" == call.get("/workflows/all", id_type="key")["event_trigger"]["event"]


def test_a_hook_maps_its_data_and_needs_no_key(sandbox):
    """Data is picked by the trigger's schema; the hook is taken with and without the key."""
    schema = [
        {"variable": "user_name", "data_path": "user['primary']['name']"},
        {"variable": "zip_code", "data_path": "addresses[0]['zip']"},
        {"variable": "missing", "data_path": "nothing"},
    ]
    sandbox.add_workflow("greet", event="signed_up")
    trigger = sandbox.add_trigger("signed_up", data_input_schema=schema)
    call = in_process(sandbox)
    path = f"/hooks/{trigger.hook_id}/catch"
    del call.session.headers["Authorization"]

    data = {"user": {"primary": {"name": "Ann"}}, "addresses": [{"zip": "1010"}]}
    [execution] = call.post(path, user_key="main", **data)["collection"]

    assert {"user_name": "Ann", "zip_code": "1010", "missing": None} == execution["execution_data"]
    trigger.on = False
    assert [] == call.post(path)["collection"]


def test_a_hook_without_schema_passes_all_data(sandbox, call):
    """Without a schema, all pairs but `user_key` are the data."""
    sandbox.add_workflow("greet", event="signed_up")
    sandbox.add_trigger("other")
    trigger = sandbox.add_trigger("signed_up")

    [execution] = call.post(f"/hooks/{trigger.hook_id}/catch", a=1)["collection"]

    assert {"a": 1} == execution["execution_data"]


def test_a_stop_event_stops_what_matches(sandbox, call):
    """Event, user and all pairs of the filters must match."""
    sandbox.add_workflow("one", nodes=NODES, stop_event="canceled")
    sandbox.add_workflow("two", nodes=NODES, stop_event="canceled", user_key="customer-1")
    sandbox.add_workflow("three", nodes=NODES)
    first, second = call.execute("one", order=1), call.execute("one", order=2)
    sandbox.execute("two", {"order": 1}, user_key="customer-1")
    call.execute("three", order=1)

    def stopped(**body):
        answer = call.post("/executions/stop", stop_event="canceled", **body)
        return [execution["id"] for execution in answer["collection"]]

    assert [first["id"]] == stopped(user_key="main", filters={"order": 1})
    assert [] == stopped(filters={"order": 9}) + stopped(filters={"nothing": None})
    assert 2 == len(stopped(user_key=None, filters=None))
    assert [] == stopped()
    assert "stopped" == call.get(f"/executions/{second['id']}")["status"]


# Idempotency


def keyed(call, key, path="/workflows/one/execute", **body):
    """POST under an idempotency key and return status and JSON."""
    answer = call("POST", path, {"id_type": "key", **body}, headers={"Idempotency-Key": key})
    return answer.status_code, answer.json()


def test_a_key_replays_the_first_answer(sandbox, anyhow):
    """Status and body come again, also with another body, and nothing is started."""
    sandbox.add_workflow("one", nodes=NODES)
    first = keyed(anyhow, "k")
    sandbox.advance(5)

    assert first == keyed(anyhow, "k", execution_data={"other": True})
    assert 1 == len(sandbox.executions)
    assert [False, True] == [received.replayed for received in sandbox.requests]
    assert {first[1]["id"]} == {received.execution_id for received in sandbox.requests}


def test_a_key_is_scoped_to_account_and_path(sandbox, call):
    """The same key elsewhere is another key."""
    sandbox.add_workflow("one")
    sandbox.add_workflow("two")
    eu = sandbox.add_account("eu", "sk_test_eu")
    sandbox.add_workflow("one", account=eu)

    keyed(call, "k")
    keyed(call, "k", path="/workflows/two/execute")
    keyed(in_process(sandbox, key="sk_test_eu"), "k")

    assert 3 == len(sandbox.executions)


def test_a_key_expires_after_24_hours_unless_it_is_for_life(sandbox, call):
    """A day later a key starts anew; one that begins with `life-` still replays."""
    sandbox.add_workflow("one")
    before = [keyed(call, key)[1]["id"] for key in ("k", "life-k")]
    sandbox.advance(24 * HOUR - 1)
    almost = [keyed(call, key)[1]["id"] for key in ("k", "life-k")]
    sandbox.advance(1)
    after = [keyed(call, key)[1]["id"] for key in ("k", "life-k")]

    assert before == almost
    assert (False, True) == tuple(a == b for a, b in zip(before, after, strict=True))


def test_a_key_in_use_is_409(sandbox):
    """While the first call runs, a second one under its key is refused."""
    sandbox.add_workflow("one")
    release = threading.Event()
    slow = sandbox.faults.add("slow", seconds=20, until=release)
    answers = []
    first = threading.Thread(target=lambda: answers.append(keyed(in_process(sandbox), "k")))
    first.start()
    assert slow.met.wait(10)
    second = keyed(in_process(sandbox), "k")
    release.set()
    first.join()

    assert (409, {"error": "the first call is still running"}) == second
    assert answers == [keyed(in_process(sandbox), "k")]
    assert 1 == len(sandbox.executions)


def test_an_error_is_replayed_too(sandbox, call):
    """The answer that is kept may be a 404, though the workflow exists by now."""
    first = keyed(call, "k")
    sandbox.add_workflow("one")

    assert 404 == first[0]
    assert first == keyed(call, "k")


def test_the_key_counts_on_put_and_not_on_get(sandbox, call):
    """PUT is replayed like POST; GET takes no notice of a key."""
    headers = {"Idempotency-Key": "k"}

    names = [
        call("PUT", "/users/a", {"name": name}, headers=headers).json()["name"] for name in "xy"
    ]
    counts = []
    for key in ("one", "two"):
        sandbox.add_workflow(key)
        counts.append(len(call("GET", "/workflows", headers=headers).json()["collection"]))

    assert (["x", "x"], [1, 2]) == (names, counts)


def test_work_that_crashes_gives_the_key_back(sandbox, call):
    """Where no answer came about there is nothing to replay: the next call works."""

    class Crash(threading.Event):
        def wait(self, timeout=None):
            raise RuntimeError("crash")

    sandbox.add_workflow("one")
    sandbox.faults.add("slow", until=Crash())
    with pytest.raises(RuntimeError, match="crash"):
        keyed(call, "k")

    assert 201 == keyed(call, "k")[0]


def test_the_header_can_have_another_name():
    """The real header's name is not known, so it can be configured."""
    sandbox = Sandbox(frozen=True, idempotency_header="X-Once")
    sandbox.add_workflow("one")
    call = in_process(sandbox)
    for _ in range(2):
        headers = {"X-Once": "k"}
        call("POST", "/workflows/one/execute", {"id_type": "key"}, headers=headers)
    keyed(call, "k")
    keyed(call, "k")

    assert 3 == len(sandbox.executions)


# The log of calls


def test_received_calls_are_logged_without_the_key(sandbox, call):
    """Method, path, query, headers, body, key, status and execution are there to be asserted."""
    sandbox.add_workflow("one")
    _, execution = keyed(call, "k", execution_data={"a": 1})
    call("GET", "/workflows?limit=1")

    first, second = sandbox.requests
    assert (
        "POST",
        "/api/v1/workflows/one/execute",
        201,
        "k",
        execution["id"],
        "default",
        NOON,
    ) == (
        first.method,
        first.path,
        first.status,
        first.idempotency_key,
        first.execution_id,
        first.account,
        first.at,
    )
    assert {"id_type": "key", "execution_data": {"a": 1}} == first.body
    assert ("GET", "limit=1", {}) == (second.method, second.query, second.body)
    assert "application/json" == first.headers["content-type"]
    assert sandbox.secret_key not in repr(sandbox.requests)


def test_the_log_is_bounded():
    """Only the last calls are kept."""
    sandbox = Sandbox(frozen=True, calls_kept=2)
    call = in_process(sandbox)
    for path in ("/a", "/b", "/c"):
        call("GET", path)

    assert ["/api/v1/b", "/api/v1/c"] == [received.path for received in sandbox.requests]


# WSGI


def wsgi(sandbox, method, path, body=b"", **environ):
    """Call the application as a WSGI server does, with the standard's own validator between."""
    started = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "SERVER_NAME": "sandbox",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "HTTP_AUTHORIZATION": f"Bearer {sandbox.secret_key}",
        **environ,
    }
    app = validate.validator(sandbox.app)

    def start_response(status, headers, exc_info=None):
        started.append((status, dict(headers)))
        return lambda data: None

    answer = app(environ, start_response)
    received = b"".join(answer)
    answer.close()
    return (*started[0], received)


def test_it_can_be_mounted_in_any_wsgi_server(sandbox):
    """The application keeps to the WSGI standard."""
    sandbox.add_workflow("a b")
    body = b'{"id_type": "key"}'

    status, headers, received = wsgi(
        sandbox,
        "POST",
        "/api/v1/workflows/a b/execute",
        body,
        CONTENT_LENGTH=str(len(body)),
        CONTENT_TYPE="application/json",
        QUERY_STRING="",
    )

    assert ("201 Created", str(len(received))) == (status, headers["Content-Length"])
    assert "a b" == json.loads(received)["key"]


def test_over_wsgi_a_broken_wire_breaks_the_connection_off(sandbox):
    """A WSGI application cannot reset a connection, so it raises."""
    sandbox.faults.add("reset")

    with pytest.raises(ConnectionAbortedError, match="reset"):
        wsgi(sandbox, "GET", "/api/v1/workflows", QUERY_STRING="")


def test_what_is_not_found_says_what_was_looked_for(sandbox):
    """Without HTTP, the error names the thing."""
    with pytest.raises(engine.NotFoundError, match="workflow nothing"):
        sandbox.execute("nothing")
