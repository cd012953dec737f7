"""Callbacks: a workflow's call is a hint, at which the API is asked; over real HTTP."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

import pytest
import requests
from asgiref.sync import async_to_sync
from django.core.signing import Signer
from django.test import AsyncClient, Client
from django.utils import timezone

from embedworkflow_django import tokens
from embedworkflow_django.models import Execution, ExecutionEvent, Status

from .databases import EVERY_DATABASE
from .river import WAIT

BASE = "https://shop.example/callbacks/"
CALL = {"id": "call01", "name": "Tell", "type": "Webhook", "url": "{{ callback_url }}"}
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
every_database = pytest.mark.parametrize("db_alias", EVERY_DATABASE)


@pytest.fixture
def db_alias():
    """The database of the tests that are about one alone."""
    return "default"


@pytest.fixture(scope="session")
def live_server(django_db_setup, live_server):
    """A server that starts once the test databases have their names: before, it shares them."""
    return live_server


@pytest.fixture(autouse=True)
def _callbacks(settings):
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "CALLBACK_URL": BASE}


def path_of(execution):
    """Return the path at which an execution's workflow calls."""
    url = tokens.callback_url(execution._state.db, execution.pk)
    return url.removeprefix("https://shop.example")


def call(execution, client=None):
    """Call back as a workflow does, and return the row as it is then."""
    assert (client or Client()).post(path_of(execution)).status_code == 202
    return Execution.objects.using(execution._state.db).get(pk=execution.pk)


def made(alias="default", **values):
    """Store an execution that is asked after in an hour."""
    later = timezone.now() + timedelta(hours=1)
    values = {"status": Status.RUNNING, "remote_id": str(uuid.uuid4()), "due_at": later, **values}
    return Execution.objects.using(alias).create(workflow="bake", **values)


def noted(execution):
    """Return what the history says of callbacks, as the statuses."""
    events = ExecutionEvent.objects.using(execution._state.db).filter(execution=execution)
    return list(events.filter(source="callback").values_list("status", flat=True))


def is_due(execution):
    """Return whether a row's time has come."""
    return execution.due_at is not None and execution.due_at <= timezone.now()


# The way there and back


@every_database
def test_a_workflow_that_calls_back_is_looked_at_at_once(river, live_server):
    """A step calls the URL in its data; the row, whose turn was in an hour, is asked after."""
    url = f"{live_server.url}/callbacks/"
    river.configure(CALLBACK_URL=url, POLL=(0.2, 0.2, 7200))
    edges = [f"{WAIT['id']}-{CALL['id']}"]
    river.sandbox.add_workflow("tell", nodes=[WAIT, CALL], edges=edges)
    execution = river.execute({"cake": 1}, workflow="tell")
    river.work()
    river.rows().update(due_at=timezone.now() + timedelta(hours=1))

    river.sandbox.finish()
    deadline = time.monotonic() + 20
    while not river.row(execution).is_final:
        assert time.monotonic() < deadline
        river.work()
    assert river.row(execution).status == Status.COMPLETED
    assert noted(execution) == [Status.RUNNING]
    assert river.row(execution).execution_data == {"cake": 1}


@every_database
def test_a_call_wakes_whoever_does_the_work(river):
    """Nobody waits for a worker's next look at the table."""
    river.configure(CALLBACK_URL=BASE)
    execution = river.execute()
    river.work()
    river.rows().update(due_at=timezone.now() + timedelta(hours=1))

    river.sandbox.finish()
    river.configure(CALLBACK_URL=BASE, DISPATCHER="immediate")
    assert call(execution).status == Status.COMPLETED


def test_a_delivery_that_is_repeated_sends_the_same_url(river):
    """It belongs to the body, which must not change under one idempotency key."""
    river.configure(CALLBACK_URL="https://shop.example/callbacks")
    river.sandbox.faults.add("lost")
    execution = river.execute({"cake": 1})
    river.work()
    river.make_due()
    river.work()

    first, again = (call.body["execution_data"] for call in river.executed)
    assert first == again
    assert first == {"cake": 1, "callback_url": f"https://shop.example{path_of(execution)}"}
    assert river.row(execution).status == Status.RUNNING


@pytest.mark.parametrize("base", ["", BASE])
def test_nothing_is_added_unasked(river, base):
    """Without the setting the data is sent as it is; the caller's own entry stays."""
    river.configure(CALLBACK_URL=base)
    data = {"callback_url": "mine"} if base else {"cake": 1}
    river.execute(data)
    river.work()
    assert [data] == [call.body["execution_data"] for call in river.executed]


# Who may call, and how


def test_a_token_is_good_for_its_execution_only(client):
    """Whoever forges, cuts or borrows one is told no more than that it is none."""
    execution, other = made(), made()
    token = path_of(execution).split("/")[2]
    named, proof = token.rsplit(".", 1)
    for each in [
        f"default.{other.pk}.{proof}",
        named,
        token[:-1],
        f"{token}x",
        Signer(sep=".").sign(named),
        "x",
        "%00",
        "ä" * 5000,
    ]:
        answer = client.post(f"/callbacks/{each}/")
        assert answer.status_code == 404, each
        assert answer.json() == {"error": "This is no execution's callback URL."}
    for row in (execution, other):
        row.refresh_from_db()
        assert not is_due(row)
    for using in ("default", "gone", "a database that was/is no more"):
        path = tokens.callback_url(using, uuid.uuid4()).removeprefix("https://shop.example")
        assert client.post(path).status_code == 404


def test_a_key_that_was_replaced_is_still_good_for_what_runs(settings):
    """As with all that Django signs, it stays in ``SECRET_KEY_FALLBACKS`` for a while."""
    execution = made()
    path = path_of(execution)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    assert Client().post(path).status_code == 404
    settings.SECRET_KEY_FALLBACKS = [old]
    assert Client().post(path).status_code == 202


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
def test_a_step_may_call_by_any_method(method):
    """Without a session, a CSRF token, or a body that anybody could read."""
    execution = made()
    strict = Client(enforce_csrf_checks=True)
    body = b"\xff" * 5_000_000
    answer = strict.generic(method, path_of(execution), body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (202, {})
    assert "no-store" in answer["Cache-Control"]
    execution.refresh_from_db()
    assert is_due(execution)


def test_a_question_about_the_door_changes_nothing(client):
    """Neither do methods that no step calls by."""
    execution = made()
    for method in ("head", "options", "delete"):
        assert getattr(client, method)(path_of(execution)).status_code == 405
    execution.refresh_from_db()
    assert not is_due(execution)


def test_a_site_that_asks_for_a_login_lets_callbacks_in(settings):
    """So does one whose requests are transactions."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    assert is_due(call(made()))


def test_an_asynchronous_site_takes_callbacks():
    """The door is a plain view."""
    execution = made()
    answer = async_to_sync(AsyncClient().post)(path_of(execution))
    execution.refresh_from_db()
    assert (answer.status_code, is_due(execution)) == (202, True)


# What comes of it


@every_database
@pytest.mark.parametrize(
    "values",
    [
        {"polls": 7, "misses": 2},
        {"status": Status.UPCOMING},
        {"status": Status.UNKNOWN},
        {"claim": "somebody"},
        # Nobody asks after it any more.
        {"status": Status.UNKNOWN, "due_at": None},
        # Its answer was lost.
        {"status": Status.QUEUED, "remote_id": None, "sent_at": timezone.now(), "attempts": 3},
    ],
    ids=["running", "upcoming", "unknown", "being asked after", "given up", "lost"],
)
def test_what_is_waited_for_is_due_now(db_alias, values):
    """It is asked after, or sent again under its key; the history tells why, once."""
    execution = made(db_alias, **values)
    called = call(execution)
    assert is_due(called)
    assert (called.status, called.claim, called.polls, called.misses) == (
        execution.status,
        "",
        0,
        0,
    )
    again = call(execution)
    assert again.due_at == called.due_at
    assert noted(execution) == [execution.status]


@every_database
@pytest.mark.parametrize(
    "values",
    [
        {"status": Status.COMPLETED, "due_at": None, "announced_at": timezone.now()},
        {"status": Status.COMPLETED},
        {"status": Status.CANCELED, "remote_id": None, "due_at": None},
        {"status": Status.QUEUED, "remote_id": None},
        {"status": Status.QUEUED, "remote_id": None, "sent_at": timezone.now(), "claim": "x"},
    ],
    ids=["final", "to be announced", "canceled", "not sent", "being sent"],
)
def test_what_is_not_waited_for_stays_as_it_is(db_alias, values):
    """A workflow's call changes neither an end nor a delivery."""
    execution = made(db_alias, **values)
    called = call(execution)
    columns = [field.attname for field in Execution._meta.concrete_fields]
    stored = Execution.objects.using(db_alias).get(pk=execution.pk)
    assert [getattr(called, name) for name in columns] == [
        getattr(stored, name) for name in columns
    ]
    assert (called.status, is_due(called), called.claim) == (
        execution.status,
        False,
        execution.claim,
    )
    assert noted(execution) == []


@every_database
def test_that_an_unconfirmed_execution_has_called_is_noted_once(db_alias):
    """It did happen: whoever decides reads it in the history."""
    execution = made(db_alias, status=Status.UNCONFIRMED, remote_id=None, due_at=None)
    call(execution)
    assert call(execution).status == Status.UNCONFIRMED
    assert noted(execution) == [Status.UNCONFIRMED]


def test_a_lost_answer_is_fetched_by_the_call_of_what_it_told_about(river, live_server):
    """The workflow has started, and says so, while the row still waits for its next try."""
    river.configure(CALLBACK_URL=f"{live_server.url}/callbacks/")
    river.sandbox.faults.add("lost")
    execution = river.execute()
    river.work()
    river.rows().update(due_at=timezone.now() + timedelta(hours=1))
    (sent,) = river.executed
    url = sent.body["execution_data"]["callback_url"]
    assert requests.post(url, timeout=10).status_code == 202
    river.work()
    assert river.row(execution).status == Status.RUNNING
    assert len(river.sandbox.executions) == 1
    assert noted(execution) == [Status.QUEUED]
