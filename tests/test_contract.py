"""The client against the sandbox: two independent readings of one contract, held together.

Neither imports the other. What both take from the documentation must agree here, over a real socket
and in process: for every endpoint, every fault and every documented example.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from embedworkflow_django import exceptions
from embedworkflow_django.client import Client, payloads
from embedworkflow_django.sandbox import Sandbox, application, endpoints

EXAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parent / "api_examples").glob("*.json")
}
WAIT = {"id": "aaaaaa", "type": "Delay", "name": "Wait", "delay_n": 1, "delay_unit": "hour"}
HOUR = 3_600.0
NOBODY = "01980228-0000-7000-8000-00000000abcd"


@pytest.fixture(params=["over a socket", "in process"])
def sandbox(request):
    """Return a sandbox with one workflow, in which time stands still."""
    made = Sandbox(frozen=True)
    made.add_workflow("welcome", nodes=[WAIT], edges=[], stop_event="left")
    if request.param == "over a socket":
        made.start()
    yield made
    made.stop()


def connect(sandbox, **options):
    """Return a client of the sandbox, by whichever way leads there."""
    served = not sandbox.base_url.startswith("http://127.0.0.1:1/")
    adapters = {} if served else {sandbox.base_url: sandbox.adapter()}
    options = {"secret_key": sandbox.secret_key, "timeout": (1.0, 5.0)} | options
    return Client(base_url=sandbox.base_url, adapters=adapters, **options)


@pytest.fixture
def client(sandbox):
    """Return a client of the sandbox."""
    with connect(sandbox) as made:
        yield made


def failure(call, *arguments, **options):
    """Return the APIError that a call ends in."""
    with pytest.raises(exceptions.APIError) as caught:
        call(*arguments, **options)
    return caught.value


# An execution's life


def test_an_execution_runs_and_completes(sandbox, client):
    """What was started is running, and completed once its actions are."""
    started = client.execute_workflow("welcome", id_type="key", execution_data={"a": [1, "é"]})
    assert (started.status, started.object, started.actions_count) == ("running", "execution", 0)
    assert started.execution_data == {"a": [1, "é"]}
    assert started.key == "welcome"

    waiting = client.retrieve_execution(started.id)
    assert (waiting.id, waiting.status) == (started.id, "running")
    assert waiting.stats["start_of_workflow-aaaaaa"] == {"status": "open"}
    assert [node["id"] for node in waiting.template["nodes"]][-1] == "aaaaaa"

    sandbox.advance(2 * HOUR)
    done = client.retrieve_execution(started.id)
    assert (done.status, done.completed_actions_count, done.actions_count) == ("completed", 1, 1)


def test_the_three_spellings_of_a_time_are_one_moment(client):
    """``created_at`` and ``created_at_utc`` are the same moment, and the sandbox's own time."""
    execution = client.execute_workflow("welcome", id_type="key")

    assert execution.created_at == execution.created_at_utc
    assert execution.created_at_utc.utcoffset() == datetime.now(UTC).utcoffset()
    assert execution.created_at_string.startswith(execution.created_at.strftime("%b %d, %Y"))


@pytest.mark.parametrize("status", ["failed", "stopped", "deleted", "marinating"])
def test_any_word_may_be_a_status(sandbox, client, status):
    """The vocabulary of statuses is open."""
    execution = client.execute_workflow("welcome", id_type="key")
    sandbox.set_status(execution.id, status)

    assert client.retrieve_execution(execution.id).status == status


def test_an_execution_of_the_future_is_upcoming(sandbox, client):
    """What starts in an hour says so until then."""
    later = sandbox.execute("welcome", starts_in=HOUR)
    assert client.retrieve_execution(later.id).status == "upcoming"

    sandbox.advance(HOUR + 1)
    assert client.retrieve_execution(later.id).status == "running"


def test_a_workflow_is_addressed_by_id_or_key(client):
    """``id_type`` says how the path is to be read, and ``id`` is the default."""
    (workflow,) = client.list_workflows()

    assert client.execute_workflow(workflow.id).key == "welcome"
    assert client.execute_workflow(workflow.key, id_type="key").key == "welcome"
    assert client.retrieve_workflow("welcome", id_type="key").id == workflow.id
    assert isinstance(failure(client.execute_workflow, "welcome"), exceptions.NotFound)


# Idempotency


def test_both_sides_call_the_idempotency_header_alike(sandbox):
    """The assumed name is one assumption, not two; and it can be changed on both sides."""
    with connect(sandbox) as client:
        client.execute_workflow("welcome", id_type="key", idempotency_key="k")

    assert sandbox.requests[-1].idempotency_key == "k"
    assert application.IDEMPOTENCY_HEADER == "Idempotency-Key"


@pytest.mark.parametrize("key", ["k", "life-1", "a b", "!~" * 100, NOBODY])
def test_one_key_starts_one_execution(sandbox, client, key):
    """A replay under one key returns the first execution; another key starts another."""

    def execute(idempotency_key):
        return client.execute_workflow("welcome", id_type="key", idempotency_key=idempotency_key).id

    assert execute(key) == execute(key)
    assert execute(key) != execute("another")
    assert len(sandbox.executions) == 2


def test_one_key_starts_one_execution_although_the_answer_was_lost(sandbox, client):
    """After a lost answer, the same call under the same key finds what it started."""
    sandbox.faults.add("lost")
    arguments = {"id_type": "key", "idempotency_key": "k"}
    with connect(sandbox, timeout=(1.0, 0.3)) as hasty:
        error = failure(hasty.execute_workflow, "welcome", **arguments)

    assert (type(error), error.ambiguous) == (exceptions.AnswerLost, True)
    (execution,) = sandbox.executions
    assert client.execute_workflow("welcome", **arguments).id == execution.id
    assert len(sandbox.executions) == 1


def test_one_key_starts_one_execution_from_many_threads(sandbox, client):
    """Whoever comes second gets the same execution, or hears that the first is still running."""
    outcomes = []

    def execute():
        try:
            found = client.execute_workflow("welcome", id_type="key", idempotency_key="k").id
        except exceptions.Conflict as conflict:
            found = type(conflict)
        outcomes.append(found)

    threads = [threading.Thread(target=execute) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (execution,) = sandbox.executions
    assert set(outcomes) - {exceptions.Conflict} == {execution.id}
    assert len(outcomes) == 8


def test_a_second_call_while_the_first_is_running_is_a_conflict(sandbox, client):
    """409 means that the first one is still at work, so it is ambiguous."""
    ended = threading.Event()
    slow = sandbox.faults.add("slow", seconds=5, until=ended)
    arguments = {"id_type": "key", "idempotency_key": "k"}
    first = threading.Thread(target=client.execute_workflow, args=("welcome",), kwargs=arguments)
    first.start()
    assert slow.met.wait(5)
    error = failure(client.execute_workflow, "welcome", **arguments)
    ended.set()
    first.join()

    assert (type(error), error.ambiguous) == (exceptions.Conflict, True)


# Errors


def test_a_wrong_key_is_the_accounts_fault(sandbox):
    """The sandbox knows its accounts by their secret keys, as the API does."""
    with connect(sandbox, secret_key="sk_test_of_somebody_else") as stranger:
        error = failure(stranger.execute_workflow, "welcome", id_type="key")

    assert (type(error), error.status_code) == (exceptions.AuthenticationError, 401)
    assert error.message == "unauthorized"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.execute_workflow(NOBODY),
        lambda c: c.retrieve_execution(NOBODY),
        lambda c: c.retrieve_workflow(NOBODY),
        lambda c: c.publish_workflow(NOBODY),
        lambda c: c.discard_workflow_draft(NOBODY),
        lambda c: c.clone_workflow(NOBODY),
        lambda c: c.update_workflow(NOBODY, name="n"),
        lambda c: c.retrieve_user("nobody"),
        lambda c: c.update_installed_app("nothing"),
    ],
)
def test_what_is_documented_to_be_missing_is_not_found(client, call):
    """Each endpoint that documents a 404 answers with one, in the API's words."""
    error = failure(call, client)

    assert (type(error), error.gone, error.message) == (exceptions.NotFound, True, "not found")
    assert error.request_id


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.create_workflow(name=""),
        lambda c: c.create_action_type(name=""),
        lambda c: c.create_app_connection(name="", app_type="slack", config={}),
        lambda c: c.install_app(""),
    ],
)
def test_what_is_documented_to_be_unprocessable_is(client, call):
    """Each endpoint that documents a 422 answers with one, and names the property."""
    error = failure(call, client)

    assert type(error) is exceptions.UnprocessableEntity
    assert "can't be blank" in error.message


FAULTS = {
    "400": exceptions.BadRequest,
    "401": exceptions.AuthenticationError,
    "403": exceptions.PermissionDenied,
    "404": exceptions.NotFound,
    "408": exceptions.RequestTimeout,
    "409": exceptions.Conflict,
    "410": exceptions.Gone,
    "418": exceptions.RequestRejected,
    "422": exceptions.UnprocessableEntity,
    "425": exceptions.TooEarly,
    "429": exceptions.RateLimited,
    "500": exceptions.ServerError,
    "502": exceptions.ServerError,
    "503": exceptions.ServiceUnavailable,
    "504": exceptions.ServerError,
    "redirect": exceptions.UnexpectedRedirect,
    "lost": exceptions.AnswerLost,
    "reset": exceptions.AnswerLost,
    "latency": exceptions.AnswerLost,
    "truncated": exceptions.InvalidAnswer,
    "html": exceptions.InvalidAnswer,
    "empty": exceptions.InvalidAnswer,
    "non_object": exceptions.InvalidAnswer,
    "garbage": exceptions.InvalidAnswer,
    "oversized": exceptions.InvalidAnswer,
}


@pytest.mark.parametrize(("fault", "kind"), FAULTS.items())
def test_each_fault_becomes_its_error(sandbox, fault, kind):
    """What goes wrong is told by the same class, over a socket and in process."""
    sandbox.faults.add(fault, **({"seconds": 0.6} if fault == "latency" else {}))
    # Only what is waited for in vain is waited for briefly.
    patience = 0.3 if kind is exceptions.AnswerLost else 10.0
    with connect(sandbox, timeout=(patience, patience), max_answer_size=100_000) as client:
        error = failure(client.execute_workflow, "welcome", id_type="key")

    assert type(error) is kind
    assert error.status_code in {None, 201, 302} or str(error.status_code) == fault


def test_an_answer_about_another_execution_is_told_by_asking(sandbox, client):
    """A strange id is noticed when an execution is retrieved, for then it is known."""
    execution = client.execute_workflow("welcome", id_type="key")
    sandbox.faults.add("wrong_id")

    assert type(failure(client.retrieve_execution, execution.id)) is exceptions.InvalidAnswer


def test_a_connection_that_does_not_come_about_was_not_sent():
    """In process, too, a refused connection and one that takes too long prove that."""
    sandbox = Sandbox(frozen=True)
    with connect(sandbox) as client:
        for fault in ("refused", "connect_timeout"):
            sandbox.faults.add(fault)

            assert type(failure(client.execute_workflow, "w")) is exceptions.NotSent
    sandbox.stop()


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7.0), ("date:30", pytest.approx(30, abs=5)), ("soon", None)],
)
@pytest.mark.parametrize("status", ["429", "503"])
def test_retry_after_is_understood_in_both_forms(sandbox, client, status, header, expected):
    """Seconds and dates arrive as seconds; nonsense as nothing."""
    sandbox.faults.add(status, retry_after=header)

    assert failure(client.execute_workflow, "welcome", id_type="key").retry_after == expected


# Pages


def test_pages_hold_every_object_once_in_both_directions(sandbox, client):
    """Newest first; the cursors miss nothing and repeat nothing, whatever the page's size."""
    for number in range(7):
        sandbox.add_user(f"user-{number}")
    every = [user.key for user in client.list_users()]
    ids = {user.key: user.id for user in client.list_users(limit=100)}

    assert every[:7] == [f"user-{number}" for number in reversed(range(7))]
    for limit in (1, 3, len(every), 100):
        assert [user.key for user in client.list_users(limit=limit)] == every
    older = [user.key for user in client.list_users(starting_after=ids["user-4"], limit=2)]
    newer = [user.key for user in client.list_users(ending_before=ids["user-4"], limit=1)]
    assert older == every[every.index("user-4") + 1 :]
    assert newer == ["user-5", "user-6"]


def test_executions_are_listed_by_user_workflow_and_status(sandbox, client):
    """The assumed filters mean the same on both sides."""
    (workflow,) = client.list_workflows()
    first = client.execute_workflow(workflow.id)
    sandbox.set_status(first.id, "stopped")
    second = client.execute_workflow(workflow.id)

    def ids(**filters):
        return [execution.id for execution in client.list_executions(**filters)]

    assert ids(limit=1) == [second.id, first.id]
    assert ids(status="stopped") == [first.id]
    assert ids(workflow_id=workflow.id, user_key="main", status="running") == [second.id]
    assert ids(workflow_id=NOBODY) == []


# Every endpoint


@pytest.mark.parametrize("key", ["a/b", "a b?c#d", "ü🙂", "%2e%2e", "a@b.example", "..."])
def test_any_key_reaches_its_user(client, key):
    """However a key is spelled, both sides mean the same user."""
    assert client.upsert_user(key, name="Somebody").key == key
    assert client.retrieve_user(key).name == "Somebody"
    client.delete_user(key)
    assert isinstance(failure(client.retrieve_user, key), exceptions.NotFound)


def test_null_unsets_and_what_is_not_given_stays(client):
    """UNSET leaves a property alone, None removes it."""
    client.upsert_user("u", name="Somebody", data={"first_name": "John"})
    assert client.upsert_user("u", time_zone="Europe/Berlin").name == "Somebody"
    assert client.upsert_user("u", name=None).name == ""


def tour(sandbox, client):
    """Call everything that is documented or in the vendor's SDK; return the answers by name."""
    hook = sandbox.add_trigger("paid").hook_id
    answers = {
        "workflows.create": client.create_workflow(name="My workflow", groups=[]),
        "users.upsert": client.upsert_user("user-1", name="John", data={"first_name": "J"}),
        "users.retrieve": client.retrieve_user("user-1"),
        "user_token.create": client.create_user_token(key="user-1"),
        "account.update": client.update_account(time_zone="America/New_York"),
        "account.usage": client.account_usage(),
        "installed_apps.install": client.install_app("slack"),
        "installed_apps.retrieve": client.retrieve_installed_app("slack"),
        "installed_apps.update": client.update_installed_app("slack", groups=["admins"]),
        "app_connections.create": client.create_app_connection(
            name="My Connection", app_type="gmail", config={"token": "x"}
        ),
        "action_types.create": client.create_action_type(
            name="Call", url_draft="https://x.invalid"
        ),
    }
    made = answers["workflows.create"].id
    connection = answers["app_connections.create"].id
    action_type = answers["action_types.create"].id
    answers |= {
        "workflows.retrieve": client.retrieve_workflow(made, expand=["stats"]),
        "workflows.update": client.update_workflow(made, name="Updated", details="d"),
        "workflows.publish": client.publish_workflow(made),
        "workflows.discard_draft": client.discard_workflow_draft(made),
        "workflows.clone": client.clone_workflow(made),
        "workflows.execute": client.execute_workflow("welcome", id_type="key"),
        "app_connections.retrieve": client.retrieve_app_connection(connection),
        "app_connections.update": client.update_app_connection(connection, name="Other"),
        "action_types.retrieve": client.retrieve_action_type(action_type),
    }
    execution = answers["workflows.execute"].id
    answers["executions.retrieve"] = client.retrieve_execution(execution)
    lists = {
        "workflows.list": client.list_workflows(user_key="main"),
        "users.list": client.list_users(),
        "action_types.list": client.list_action_types(),
        "app_connections.list": client.list_app_connections(),
    }
    answers |= {name: next(items) for name, items in lists.items()}
    client.trigger_event("paid", execution_data={"a": 1})
    client.catch_hook(hook, {"a": 1})
    client.workflow_activities("welcome")
    client.action_activities()
    client.stop_executions("left")
    client.delete_app_connection(connection)
    client.delete_action_type(action_type)
    client.delete_workflow(made)
    client.delete_user("user-1")
    return answers


def test_a_tour_visits_every_endpoint_that_a_source_shows(sandbox, client):
    """The client has a method for each endpoint of the sandbox that is not merely assumed."""
    tour(sandbox, client)
    visited = set()
    for call in sandbox.requests:
        found = endpoints.find(call.method, call.path.strip("/").removeprefix("api/v1/").split("/"))
        visited.add((found[0].method, found[0].path))

    assert visited >= {
        (route.method, route.path) for route in endpoints.ROUTES if route.known != "assumed"
    }


def test_what_the_sandbox_answers_the_client_knows(sandbox, client):
    """Each property of each answer has an attribute: neither side invents one."""
    for name, payload in tour(sandbox, client).items():
        known = {field.name for field in dataclasses.fields(payload)} - {"raw"}

        assert set(payload.raw) - known == set(), name


# Properties that newer answers no longer have (generation A), and the one that only they have.
OUTDATED = {"workflows": {"hashid", "default_template"}}


@pytest.mark.parametrize("name", sorted(name for name in EXAMPLES if ".object" not in name))
def test_the_sandbox_answers_what_the_examples_show(sandbox, client, name):
    """Each documented example and the sandbox's answer carry the same properties."""
    group, _, operation = name.removesuffix(".partial").partition(".")
    payload = tour(sandbox, client)[f"{group}.{operation}"]
    example = EXAMPLES[name]
    if operation == "list":
        example = example["collection"][0]

    assert set(example) - OUTDATED.get(group, set()) - set(payload.raw) == set()
    for key, value in payload.raw.items():
        shown = example.get(key)
        if shown is not None and value is not None:
            assert type(value) is type(shown), key


def test_an_execution_has_the_documented_properties(client):
    """``stats`` and ``template`` come with a retrieved execution, all else with a started one."""
    started = client.execute_workflow("welcome", id_type="key")
    properties = {field.name for field in dataclasses.fields(payloads.RemoteExecution)} - {"raw"}

    assert set(started.raw) == properties - {"stats", "template"}
    assert set(client.retrieve_execution(started.id).raw) == properties


def test_a_trigger_and_the_fields_of_its_schema_have_the_documented_properties(sandbox, client):
    """No endpoint of triggers is documented, but the object is."""
    schema = EXAMPLES["triggers.object.partial"]["data_input_schema"]
    sandbox.add_trigger("paid", data_input_schema=schema)
    answer = client._transport.call("GET", "triggers")
    (trigger,) = answer.collection(payloads.Trigger)

    assert set(EXAMPLES["triggers.object.partial"]) - set(trigger.raw) == set()
    assert set(trigger.raw) - {field.name for field in dataclasses.fields(trigger)} == set()
    for field in trigger.data_input_schema:
        assert set(field.raw) == set(EXAMPLES["data_fields.object"])
    assert [field.variable for field in trigger.data_input_schema] == [
        field["variable"] for field in schema
    ]


def test_an_action_has_the_documented_properties(sandbox, client):
    """The assumed endpoints of actions answer the documented object."""
    execution = client.execute_workflow("welcome", id_type="key")
    sandbox.advance(1)
    (action,) = client.list_actions(execution_id=execution.id)

    assert set(action.raw) == set(EXAMPLES["actions.object"])
    assert client.retrieve_action(action.uuid).execution_id == execution.id


def test_what_is_stopped_is_stopped(client):
    """By its own id, or by an event that its workflow listens to and data that match."""
    by_id = client.execute_workflow("welcome", id_type="key")
    by_event = client.execute_workflow("welcome", id_type="key", execution_data={"order": 1})
    spared = client.execute_workflow("welcome", id_type="key", execution_data={"order": 2})
    client.stop_execution(by_id.id)
    client.stop_executions("left", filters={"order": 1})

    statuses = [client.retrieve_execution(each.id).status for each in (by_id, by_event, spared)]
    assert statuses == ["stopped", "stopped", "running"]


def test_what_is_only_assumed_agrees_as_well(client):
    """The unconfirmed methods and the assumed endpoints make the same assumption."""
    action_type = client.create_action_type(name="Call")

    assert client.update_action_type(action_type.id, {"name": "Other"}).name == "Other"
    assert client.retrieve_account().id
