"""The client's methods: what each sends, what each returns, and what construction refuses."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from embedworkflow_django import exceptions
from embedworkflow_django.client import UNSET, Client, payloads

from . import wire

KEY = "sk_test_never_to_be_seen"
ID = wire.EXECUTION["id"]


@pytest.fixture
def server():
    """Return a server that answers whatever is asked with an object that suits all of it."""
    with wire.serving(wire.answer(200, {"id": ID, "user_token": "t"})) as serving:
        yield serving


@pytest.fixture
def client(server):
    """Return a client of that server."""
    with Client(secret_key=KEY, base_url=server.base_url, timeout=(2.0, 5.0)) as made:
        yield made


# Endpoints: the call, then method, path, query and body of the request.

CALLS = [
    (lambda c: c.create_workflow(name="n"), "POST", "/workflows", [], {"name": "n"}),
    (
        lambda c: c.create_workflow(
            name="n",
            user_key="u",
            details="d",
            template_draft={"nodes": []},
            trigger_conditions_draft={},
            event_trigger_draft="e",
            match_conditions_draft="any",
            groups=["g"],
        ),
        "POST",
        "/workflows",
        [],
        {
            "name": "n",
            "user_key": "u",
            "details": "d",
            "template_draft": {"nodes": []},
            "trigger_conditions_draft": {},
            "event_trigger_draft": "e",
            "match_conditions_draft": "any",
            "groups": ["g"],
        },
    ),
    (lambda c: c.retrieve_workflow("w"), "GET", "/workflows/w", [], None),
    (
        lambda c: c.retrieve_workflow("w", id_type="key", user_key="u&", expand=["a", "b"]),
        "GET",
        "/workflows/w",
        [("id_type", "key"), ("user_key", "u&"), ("expand[]", "a"), ("expand[]", "b")],
        None,
    ),
    (lambda c: c.update_workflow("w", name="n"), "PUT", "/workflows/w", [], {"name": "n"}),
    (
        lambda c: c.update_workflow("w", name="n", on=False, details=None, key="k"),
        "PUT",
        "/workflows/w",
        [],
        {"name": "n", "on": False, "details": None, "key": "k"},
    ),
    (lambda c: c.delete_workflow("w"), "DELETE", "/workflows/w", [], None),
    (
        lambda c: c.delete_workflow("w", id_type="key", user_key="u"),
        "DELETE",
        "/workflows/w",
        [("id_type", "key"), ("user_key", "u")],
        None,
    ),
    (lambda c: c.publish_workflow("w"), "POST", "/workflows/w/publish", [], {}),
    (
        lambda c: c.publish_workflow("w", user_key="u"),
        "POST",
        "/workflows/w/publish",
        [],
        {"user_key": "u"},
    ),
    (
        lambda c: c.discard_workflow_draft("w", user_key="u", expand=["stats"]),
        "POST",
        "/workflows/w/discard_draft",
        [],
        {"user_key": "u", "expand": ["stats"]},
    ),
    (
        lambda c: c.clone_workflow("w", user_key="u", expand=["stats"]),
        "POST",
        "/workflows/w/clone",
        [],
        {"user_key": "u", "expand": ["stats"]},
    ),
    (lambda c: c.execute_workflow("w"), "POST", "/workflows/w/execute", [], {}),
    (
        lambda c: c.execute_workflow("w", id_type="key", user_key="u", execution_data={"a": 1}),
        "POST",
        "/workflows/w/execute",
        [],
        {"id_type": "key", "user_key": "u", "execution_data": {"a": 1}},
    ),
    (
        lambda c: c.execute_workflow("w", execution_data={}),
        "POST",
        "/workflows/w/execute",
        [],
        {"execution_data": {}},
    ),
    (lambda c: c.retrieve_execution(ID), "GET", f"/executions/{ID}", [], None),
    (
        lambda c: c.stop_executions("paid", user_key="u", filters={"order": 1}),
        "POST",
        "/executions/stop",
        [],
        {"stop_event": "paid", "user_key": "u", "filters": {"order": 1}},
    ),
    (lambda c: c.stop_executions("paid"), "POST", "/executions/stop", [], {"stop_event": "paid"}),
    (lambda c: c.stop_execution("e"), "POST", "/executions/e/stop", [], {}),
    (
        lambda c: c.trigger_event("paid"),
        "POST",
        "/trigger",
        [],
        {"event": "paid", "all_workflows": False},
    ),
    (
        lambda c: c.trigger_event(
            "paid",
            user_key="u",
            execution_data={"a": 1},
            all_workflows=True,
            workflow_hashids=["h"],
            workflow_keys=["k"],
        ),
        "POST",
        "/trigger",
        [],
        {
            "event": "paid",
            "user_key": "u",
            "execution_data": {"a": 1},
            "all_workflows": True,
            "workflow_hashids": ["h"],
            "workflow_keys": ["k"],
        },
    ),
    (lambda c: c.catch_hook("h"), "POST", "/hooks/h/catch", [], {}),
    (
        lambda c: c.catch_hook("h", {"a": 1}, user_key="u"),
        "POST",
        "/hooks/h/catch",
        [],
        {"a": 1, "user_key": "u"},
    ),
    (lambda c: c.retrieve_action("a"), "GET", "/actions/a", [], None),
    (lambda c: c.workflow_activities("h"), "GET", "/workflows/h/activities", [], None),
    (lambda c: c.action_activities(), "GET", "/actions/activities", [], None),
    (lambda c: c.retrieve_user("u@x"), "GET", "/users/u%40x", [], None),
    (lambda c: c.upsert_user("u"), "PUT", "/users/u", [], {}),
    (
        lambda c: c.upsert_user(
            "u", name="n", email=None, data={"a": 1}, groups=[], time_zone="Europe/Berlin"
        ),
        "PUT",
        "/users/u",
        [],
        {"name": "n", "email": None, "data": {"a": 1}, "groups": [], "time_zone": "Europe/Berlin"},
    ),
    (lambda c: c.delete_user("u"), "DELETE", "/users/u", [], None),
    (lambda c: c.create_user_token(), "POST", "/user_token", [], {}),
    (
        lambda c: c.create_user_token(key="u", id="i"),
        "POST",
        "/user_token",
        [],
        {"key": "u", "id": "i"},
    ),
    (lambda c: c.retrieve_account(), "GET", "/account", [], None),
    (
        lambda c: c.update_account(
            company_name="c",
            user_name="u",
            theme="t",
            time_zone="z",
            custom_domain=None,
            groups=[],
            action_type_categories_enabled=True,
            action_type_categories=[],
            data={},
            user_data_schema=[],
            data_schema=[],
        ),
        "PUT",
        "/account",
        [],
        {
            "company_name": "c",
            "user_name": "u",
            "theme": "t",
            "time_zone": "z",
            "custom_domain": None,
            "groups": [],
            "action_type_categories_enabled": True,
            "action_type_categories": [],
            "data": {},
            "user_data_schema": [],
            "data_schema": [],
        },
    ),
    (lambda c: c.account_usage(), "GET", "/account/usage", [], None),
    (
        lambda c: c.account_usage(
            start_time=datetime(2026, 1, 1, tzinfo=UTC), end_time="2026-02-01", user_key="u"
        ),
        "GET",
        "/account/usage",
        [
            ("start_time", "2026-01-01T00:00:00+00:00"),
            ("end_time", "2026-02-01"),
            ("user_key", "u"),
        ],
        None,
    ),
    (
        lambda c: c.create_action_type(name="n", on=False, url_draft="u", extra={"publish": True}),
        "POST",
        "/action_types",
        [],
        {"name": "n", "on": False, "url_draft": "u", "publish": True},
    ),
    (lambda c: c.create_action_type(name="n"), "POST", "/action_types", [], {"name": "n"}),
    (lambda c: c.retrieve_action_type("a"), "GET", "/action_types/a", [], None),
    (lambda c: c.update_action_type("a", {"n": 1}), "PUT", "/action_types/a", [], {"n": 1}),
    (lambda c: c.delete_action_type("a"), "DELETE", "/action_types/a", [], None),
    (
        lambda c: c.create_app_connection(name="n", app_type="slack", config={"k": "v"}),
        "POST",
        "/app_connections",
        [],
        {"name": "n", "app_type": "slack", "config": {"k": "v"}},
    ),
    (
        lambda c: c.retrieve_app_connection("a", user_key="u"),
        "GET",
        "/app_connections/a",
        [("user_key", "u")],
        None,
    ),
    (
        lambda c: c.update_app_connection("a", config={}, user_key="u"),
        "PUT",
        "/app_connections/a",
        [],
        {"config": {}, "user_key": "u"},
    ),
    (
        lambda c: c.delete_app_connection("a", user_key="u"),
        "DELETE",
        "/app_connections/a",
        [("user_key", "u")],
        None,
    ),
    (
        lambda c: c.install_app("slack", groups=["g"]),
        "POST",
        "/installed_apps",
        [],
        {"app_identifier": "slack", "groups": ["g"]},
    ),
    (lambda c: c.retrieve_installed_app("slack"), "GET", "/installed_apps/slack", [], None),
    (
        lambda c: c.update_installed_app("slack", groups=["g"]),
        "PUT",
        "/installed_apps/slack",
        [],
        {"groups": ["g"]},
    ),
    (lambda c: c.update_installed_app("slack"), "PUT", "/installed_apps/slack", [], {}),
]


@pytest.mark.parametrize(("call", "expected"), [(call, expected) for call, *expected in CALLS])
def test_each_method_sends_what_its_endpoint_asks_for(client, server, call, expected):
    """Method, path, query and body are the documented ones; what is not given is not sent."""
    method, path, query, body = expected
    call(client)

    request = server.request
    target = urlsplit(request.target)
    assert (request.method, target.path) == (method, f"/api/v1{path}")
    assert parse_qsl(target.query) == query
    assert (request.json if request.body else None) == body
    length = None if method == "GET" else str(len(request.body))
    assert request.headers.get("content-length") == length


LISTS = {
    "list_workflows": ("/workflows", payloads.Workflow, {"user_key": "u"}),
    "list_executions": (
        "/executions",
        payloads.RemoteExecution,
        {"user_key": "u", "workflow_id": "w", "status": "running"},
    ),
    "list_actions": ("/actions", payloads.Action, {"execution_id": "e"}),
    "list_users": ("/users", payloads.User, {}),
    "list_action_types": ("/action_types", payloads.ActionType, {}),
    "list_app_connections": ("/app_connections", payloads.AppConnection, {"user_key": "u"}),
}


@pytest.mark.parametrize(("method", "expected"), LISTS.items())
def test_each_list_asks_for_its_collection(client, server, method, expected):
    """A list sends its filters and page arguments, and returns its payloads."""
    path, kind, filters = expected
    server.plan(wire.answer(200, {"collection": [{"id": "i", "uuid": "u"}]}))
    found = list(getattr(client, method)(**filters, starting_after="s", limit=100))

    target = urlsplit(server.request.target)
    assert target.path == f"/api/v1{path}"
    assert dict(parse_qsl(target.query)) == filters | {"starting_after": "s", "limit": "100"}
    assert [type(each) for each in found] == [kind]


def test_every_method_is_in_one_of_the_tables():
    """No endpoint is left untested."""
    tested = {name for call, *_ in CALLS for name in call.__code__.co_names} | set(LISTS)
    methods = {
        name
        for name, _ in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_")
    }

    assert methods - tested == {"close"}


def test_every_post_and_put_takes_an_idempotency_key():
    """The documentation offers the header on all of them."""
    takers = {
        name
        for name, method in inspect.getmembers(Client, inspect.isfunction)
        if "idempotency_key" in inspect.signature(method).parameters and not name.startswith("_")
    }
    writers = {
        name
        for call, method, *_ in CALLS
        if method in {"POST", "PUT"}
        for name in call.__code__.co_names
        if hasattr(Client, name)
    }

    assert takers == writers


@pytest.mark.parametrize(
    "name",
    [
        "list_executions",
        "stop_execution",
        "retrieve_action",
        "list_actions",
        "update_action_type",
        "retrieve_account",
    ],
)
def test_what_no_source_shows_says_so(name):
    """A method of an endpoint that is only assumed calls itself unconfirmed."""
    assert "Unconfirmed" in getattr(Client, name).__doc__


def test_a_retrieved_execution_is_the_one_that_was_asked_for(client, server):
    """An answer about another execution is no answer."""
    with pytest.raises(exceptions.InvalidAnswer, match=f"about the execution {ID}"):
        client.retrieve_execution("0198c2e9-0000-7000-8000-000000000000")

    assert client.retrieve_execution(ID.upper()).id == ID


@pytest.mark.parametrize("data", [[], ["a"], "a", 7, ()])
def test_execution_data_must_be_a_mapping(client, server, data):
    """A list or a string is refused before anything is sent."""
    for call in (
        lambda: client.execute_workflow("w", execution_data=data),
        lambda: client.trigger_event("e", execution_data=data),
        lambda: client.catch_hook("h", data),
    ):
        with pytest.raises(exceptions.InvalidExecution, match="must be a mapping"):
            call()

    assert server.requests == []


def test_the_data_of_a_hook_cannot_stand_in_for_its_user(client, server):
    """``user_key`` is an argument, so that no data overrides it by accident."""
    with pytest.raises(exceptions.InvalidExecution, match="user_key"):
        client.catch_hook("h", {"user_key": "eve"})


def test_the_usage_of_a_naive_while_is_refused(client):
    """A moment without an offset could be anywhere."""
    with pytest.raises(ValueError, match="aware"):
        client.account_usage(start_time=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", None), ({"collection": []}, {"collection": []}), ([1], [1]), (b"null", None)],
)
def test_an_undocumented_answer_is_returned_as_it_is(client, server, body, expected):
    """Where the documentation shows no answer, any JSON will do, and none as well."""
    server.plan(wire.answer(200, body))

    assert client.trigger_event("e") == expected
    assert client.stop_executions("e") == expected
    assert client.catch_hook("h") == expected


def test_a_deletion_needs_no_body_but_no_garbage_either(client, server):
    """An empty answer is success; a page of HTML is somebody else's answer."""
    server.plan(b"HTTP/1.1 204 X\r\n\r\n")
    client.delete_user("u")
    server.plan(wire.answer(200, b"<html>"))

    with pytest.raises(exceptions.InvalidAnswer):
        client.delete_user("u")


def test_unset_is_recognised_when_it_is_shown():
    """The default of an optional argument reads as what it is."""
    assert repr(UNSET) == "UNSET"


# Pages


def page(*ids, **meta):
    """Plan one page of users."""
    return wire.answer(200, {"collection": [{"id": each} for each in ids], "meta": meta})


def cursors(server, name):
    """Return the cursors that were sent."""
    return [dict(parse_qsl(urlsplit(each.target).query)).get(name) for each in server.requests]


def test_a_list_asks_for_nothing_until_it_is_read(client, server):
    """An iterator that nobody reads costs no request, and a page is asked for in its turn."""
    server.plan(page("3", "2", has_more=True), page("1", has_more=False))
    users = client.list_users(limit=2)
    assert server.requests == []

    assert [next(users).id, next(users).id] == ["3", "2"]
    assert len(server.requests) == 1
    assert [user.id for user in users] == ["1"]
    assert cursors(server, "starting_after") == [None, "2"]


def test_newer_pages_are_walked_from_their_first_object(client, server):
    """``ending_before`` goes the other way: its next cursor is the newest object seen."""
    server.plan(page("5", "4"), page("7", "6"), page())
    users = client.list_users(ending_before="3", limit=2)

    assert [user.id for user in users] == ["5", "4", "7", "6"]
    assert cursors(server, "ending_before") == ["3", "5", "7"]


@pytest.mark.parametrize(
    ("limit", "plans", "asked"),
    [
        pytest.param(2, [page("2", "1", has_more=False)], 1, id="has_more says no"),
        pytest.param(3, [page("2", has_more=True), page("1", has_more=False)], 2, id="says yes"),
        pytest.param(2, [page("2", "1"), page()], 2, id="an empty page"),
        pytest.param(2, [page("3", "2"), page("1")], 2, id="a short page"),
        pytest.param(2, [page("2", "1", has_more="no"), page()], 2, id="has_more is no boolean"),
        pytest.param(None, [page("2"), page("1"), page()], 3, id="no limit given"),
        pytest.param(2, [page("2", "1"), page("2", "1")], 2, id="a cursor that comes back"),
        pytest.param(1, [page(None), page("1")], 1, id="an object without an id"),
        pytest.param(1, [page(has_more=True)], 1, id="more of nothing"),
        pytest.param(
            1, [wire.answer(200, {"collection": [{"id": "1"}], "meta": []}), page()], 2, id="meta"
        ),
        pytest.param(1, [wire.answer(200, {"collection": [{"id": "1"}]}), page()], 2, id="no meta"),
    ],
)
def test_a_list_ends(client, server, limit, plans, asked):
    """Whatever ``meta`` says or does not say, the last page is found."""
    server.plan(*plans)
    list(client.list_users(limit=limit))

    assert len(server.requests) == asked


@pytest.mark.parametrize(
    "body", [{}, {"collection": None}, {"collection": {}}, {"collection": ["x"]}, {"data": []}]
)
def test_a_page_without_a_collection_is_an_invalid_answer(client, server, body):
    """A page carries a list of objects, or it is no page."""
    server.plan(wire.answer(200, body))

    with pytest.raises(exceptions.InvalidAnswer):
        list(client.list_users())


def test_a_page_of_executions_without_ids_is_an_invalid_answer(client, server):
    """What is needed of one execution is needed of each in a list."""
    server.plan(wire.answer(200, {"collection": [{"status": "running"}]}))

    with pytest.raises(exceptions.InvalidAnswer, match="no 'id'"):
        list(client.list_executions())


@pytest.mark.parametrize(
    "arguments",
    [
        {"starting_after": "a", "ending_before": "b"},
        {"limit": 0},
        {"limit": 101},
        {"limit": 1.5},
        {"limit": "25"},
    ],
)
def test_page_arguments_that_make_no_sense_are_refused_at_once(client, server, arguments):
    """Both cursors, or a limit outside 1 to 100, raise where the list is asked for."""
    with pytest.raises(ValueError, match=r"starting_after|limit"):
        client.list_users(**arguments)

    assert server.requests == []


# Construction


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret_key": ""}, "secret_key must be"),
        ({"secret_key": None}, "secret_key must be"),
        ({"secret_key": f"{KEY}\n"}, "secret_key holds"),
        ({"secret_key": f"{KEY} "}, "secret_key holds"),
        ({"secret_key": f"{KEY}é"}, "secret_key holds"),
        ({"secret_key": "pk_test_never_to_be_seen"}, "secret_key is a publishable key"),
        ({"base_url": "embedworkflow.com/api/v1"}, "base_url must start with https://"),
        ({"base_url": "ftp://embedworkflow.com"}, "base_url must start with https://"),
        ({"base_url": "https:///api/v1"}, "base_url must start with https://"),
        ({"base_url": "https://x:0/api"}, "base_url must start with https://"),
        ({"base_url": ""}, "base_url must start with https://"),
        ({"base_url": None}, "base_url must be a string"),
        ({"base_url": "https://eve:never_to_be_seen@x/"}, "base_url holds a user name"),
        ({"base_url": "https://x/?a=never_to_be_seen"}, r"base_url must end before any \?"),
        ({"base_url": "https://x/#a"}, r"base_url must end before any \?"),
        ({"base_url": "https://x/?"}, r"base_url must end before any \?"),
        ({"base_url": "https://x/a b"}, "base_url holds a space"),
        ({"base_url": "https://x/\n"}, "base_url holds a space"),
        ({"base_url": "https://x:port/"}, "base_url is no URL"),
        ({"base_url": "https://[::1/"}, "base_url is no URL"),
        ({"base_url": f"https://{'a' * 70}é.com/"}, "base_url is no URL"),
        ({"timeout": 5}, "timeout"),
        ({"timeout": (5,)}, "timeout"),
        ({"timeout": (0, 5)}, "timeout"),
        ({"timeout": (1, -5)}, "timeout"),
        ({"timeout": (1, float("inf"))}, "timeout"),
        ({"timeout": (float("nan"), 1)}, "timeout"),
        ({"timeout": (True, 5)}, "timeout"),
        ({"timeout": ("1", "5")}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"idempotency_header": ""}, "idempotency_header"),
        ({"idempotency_header": "X Y"}, "idempotency_header"),
        ({"idempotency_header": "X:\r\nY"}, "idempotency_header"),
        ({"idempotency_header": None}, "idempotency_header"),
        ({"idempotency_header": "authorization"}, "another meaning"),
        ({"max_answer_size": 0}, "max_answer_size"),
        ({"max_answer_size": -1}, "max_answer_size"),
        ({"max_answer_size": True}, "max_answer_size"),
        ({"max_answer_size": 1.5}, "max_answer_size"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named_and_no_secret_shown(options, words):
    """The sentence names the argument; neither it nor the traceback's locals show a secret."""
    with pytest.raises(ValueError, match=words) as caught:
        Client(**{"secret_key": KEY} | options)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "embedworkflow_django" in frame.filename]
    assert ours
    assert "never_to_be_seen" not in str(caught.value)
    assert KEY not in "".join(str(frame.locals) for frame in ours)
    assert "repr() failed" not in "".join(shown.format())


def test_positional_arguments_are_refused():
    """A key that slips into the place of a URL would be shown; every argument has its name."""
    with pytest.raises(TypeError):
        Client(KEY)


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://embedworkflow.com/api/v1/", "https://embedworkflow.com/api/v1"),
        ("HTTP://Localhost:8001", "http://localhost:8001"),
        ("https://bücher.example/api", "https://xn--bcher-kva.example/api"),
        ("http://[::1]:80/api", "http://[::1]:80/api"),
    ],
)
def test_the_base_url_is_normalised_and_the_repr_shows_it_alone(base_url, shown):
    """The repr tells which API is spoken to, and never the key."""
    assert repr(Client(secret_key=KEY, base_url=base_url)) == f"Client(base_url={shown!r})"


def test_the_client_works_without_django():
    """The client can be used where Django is not installed."""
    code = (
        "import sys; sys.modules['django'] = None; import embedworkflow_django.client;"
        "print([name for name in sys.modules if name.split('.')[0] == 'django'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "['django']"
