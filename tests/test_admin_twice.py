"""Questions that are answered twice, by a double click or by going back, create one thing."""

from __future__ import annotations

import uuid
from concurrent.futures import wait
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path, reverse

from embedworkflow_django.admin import ExecutionAdmin, WorkflowsAdminMixin
from embedworkflow_django.models import Execution, Status

from .bakery.models import Cake
from .elsewhere import PATIENCE, elsewhere


class CakeAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """Cakes for which two workflows are offered."""

    run_workflows = ("taste", "bake")


site = admin.AdminSite(name="kitchen")
site.register(Execution, ExecutionAdmin)
site.register(Cake, CakeAdmin)
urlpatterns = [path("kitchen/", site.urls)]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

LIST = "/kitchen/embedworkflow/execution/"
DAMAGED = ["", "17", "x" * 5000, "{}", str(uuid.uuid4())[:-1]]


class Form(HTMLParser):
    """The fields of a page's last form, as a browser posts them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self._area = {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """Note a field, and begin anew with each form."""
        given = dict(attrs)
        if tag == "form":
            self.fields = {}
        if tag == "input" and given.get("name"):
            self.fields.setdefault(given["name"], []).append(given.get("value", ""))
        self._area = given["name"] if tag == "textarea" else ""

    def handle_data(self, data):
        """Note what stands in a text area."""
        if self._area:
            self.fields[self._area], self._area = [data.strip()], ""


def form_of(answer):
    """Return what the question of an answer posts when it is confirmed."""
    return Form(answer.text).fields


@pytest.fixture
def login():
    """Return a client of a superuser of that name."""

    def client(name):
        known, _new = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        own = Client()
        own.force_login(known)
        return own

    return client


@pytest.fixture
def chef(login):
    """A client logged in as a superuser."""
    return login("chef")


def make(**values):
    """Return an execution that has failed."""
    return Execution.objects.create(workflow="bake", status=Status.FAILED, due_at=None, **values)


def ask(client, *rows):
    """Ask the list to run the rows selected again; return what its question posts."""
    selected = {"action": "run_again", "_selected_action": [str(row.pk) for row in rows]}
    return form_of(client.post(LIST, selected))


def said(answer):
    """Return what the page that an answer leads to reports."""
    return [str(message) for message in answer.wsgi_request._messages]


def runs(row):
    """Return how often a row was run again."""
    return row.run_again_as.count()


def test_selected_rows_are_run_again_once(chef):
    """The second answer creates nothing, logs nothing, and says why."""
    rows = [make(), make()]
    form = ask(chef, *rows)

    first, second = chef.post(LIST, form), chef.post(LIST, form)

    assert [1, 1] == [runs(row) for row in rows]
    assert [1, 1] == [row.events.count() for row in rows]
    assert 2 == LogEntry.objects.count()
    assert ["2 executions were queued again, as new ones."] == said(first)
    warning = "2 executions were run again from this page before, so they were not run once more."
    assert [warning] == said(second)[1:]


def test_a_second_answer_does_what_the_first_one_left(chef):
    """Where the first request was cut off, the second one goes on."""
    done, left = make(), make()
    form = ask(chef, done, left)

    chef.post(LIST, form | {"_selected_action": [str(done.pk)]})
    second = chef.post(LIST, form)

    assert [1, 1] == [runs(done), runs(left)]
    assert [
        "1 execution was queued again, as a new one.",
        "1 execution was run again from this page before, so it was not run once more.",
    ] == said(second)[1:]


def test_each_question_is_a_wish_of_its_own(chef):
    """Asked again, it is done again."""
    row = make()

    chef.post(LIST, ask(chef, row))
    chef.post(LIST, ask(chef, row))

    assert 2 == runs(row)


@pytest.mark.parametrize("edited", [False, True], ids=["as it is", "edited"])
def test_one_execution_is_run_again_once(chef, edited):
    """Both answers lead to the one new execution, also if its data was edited."""
    row = make(execution_data={"order": 17})
    page = f"{LIST}{row.pk}/run-again/"
    form = form_of(chef.post(page))
    changed = {"execution_data": '{"order": 18}'} if edited else {}

    first, second = chef.post(page, form | changed), chef.post(page, form)

    again = Execution.objects.get(run_again_of=row)
    assert {"order": 18 if edited else 17} == again.execution_data
    assert [f"{LIST}{again.pk}/change/"] * 2 == [first.url, second.url]
    assert 1 == LogEntry.objects.count()
    assert "was run again from this page before" in said(second)[-1]


def test_a_question_that_was_asked_again_keeps_its_key(chef):
    """Data that makes no sense is corrected on the page on which it was typed."""
    row = make(execution_data={"order": 17})
    page = f"{LIST}{row.pk}/run-again/"
    form = form_of(chef.post(page))

    corrected = form_of(chef.post(page, form | {"execution_data": "{"}))
    chef.post(page, corrected | {"execution_data": "{}"})
    chef.post(page, form)

    assert form["key"] == corrected["key"]
    assert 1 == runs(row)


@pytest.mark.parametrize("key", [None, *DAMAGED])
def test_an_answer_without_its_key_is_asked_again(chef, key):
    """It says so, does nothing, and the question that comes instead can be answered."""
    row = make(execution_data={"order": 17})
    at = f"{LIST}{row.pk}/run-again/"
    for page, form in ((LIST, ask(chef, row)), (at, form_of(chef.post(at)))):
        before = runs(row)
        damaged = {name: value for name, value in form.items() if name != "key"}
        answer = chef.post(page, damaged if key is None else damaged | {"key": key})

        assert before == runs(row)
        assert "Nothing was done: the answer came without the key of its question." in answer.text
        chef.post(page, form_of(answer))
        assert before + 1 == runs(row)


def test_what_was_typed_survives_a_damaged_key(chef):
    """The question that comes instead has the edited data in its box."""
    row = make(execution_data={"order": 17})
    page = f"{LIST}{row.pk}/run-again/"
    form = form_of(chef.post(page)) | {"execution_data": '{"order": 18}', "key": "17"}

    chef.post(page, form_of(chef.post(page, form)))

    assert {"order": 18} == Execution.objects.get(run_again_of=row).execution_data


def test_a_key_is_one_persons(chef, login):
    """Whoever answers with another one's key takes nothing from him, and learns nothing."""
    row = make()
    form = ask(chef, row)

    first = login("rival").post(LIST, form)
    second = chef.post(LIST, form)

    assert ["1 execution was queued again, as a new one."] * 2 == [*said(first), *said(second)]
    assert 2 == runs(row)


def test_a_key_is_for_what_was_asked(chef):
    """The key of one execution's question does not keep another one from being run again."""
    one, other = make(), make()
    form = ask(chef, one)
    chef.post(LIST, form)

    chef.post(LIST, form | {"_selected_action": [str(other.pk)]})

    assert [1, 1] == [runs(one), runs(other)]


@pytest.mark.django_db(transaction=True)
def test_two_answers_at_once_are_one(login):
    """A double click is two requests side by side."""
    row = make()
    clients = [login("chef") for _ in range(2)]
    form = ask(clients[0], row)

    answers = [elsewhere(client.post, LIST, form) for client in clients]
    wait(answers, PATIENCE)

    assert {302} == {answer.result().status_code for answer in answers}
    assert 1 == runs(row) == row.events.count() == LogEntry.objects.count()


# From an object's own page


def test_a_workflow_is_run_once_from_an_objects_page(chef):
    """Both answers lead to the one execution."""
    page = reverse("kitchen:bakery_cake_run_workflow", args=[Cake.objects.create(name="a").pk])
    form = form_of(chef.get(page))

    first, second = chef.post(page, form), chef.post(page, form)

    again = Execution.objects.get()
    assert [f"{LIST}{again.pk}/change/"] * 2 == [first.url, second.url]
    assert "was not run again" in said(second)[-1]


@pytest.mark.parametrize("what", ["another person", "another object", "another workflow"])
def test_the_key_of_an_objects_page_is_for_what_it_asks(chef, login, what):
    """Nobody takes another one's key, and none is mistaken for that of another question."""
    one, other = (Cake.objects.create(name=name) for name in "ab")
    pages = [reverse("kitchen:bakery_cake_run_workflow", args=[cake.pk]) for cake in (one, other)]
    form = form_of(chef.get(pages[0]))
    chef.post(pages[0], form)

    answer = (login("rival") if what == "another person" else chef).post(
        pages[what == "another object"],
        form | ({"workflow": "bake"} if what == "another workflow" else {}),
    )

    assert 2 == Execution.objects.count()
    assert "was queued" in said(answer)[-1]


@pytest.mark.parametrize("key", DAMAGED)
def test_an_objects_page_asks_again_without_its_key(chef, key):
    """It says so, and its button works when it is pressed once more."""
    page = reverse("kitchen:bakery_cake_run_workflow", args=[Cake.objects.create(name="a").pk])
    form = form_of(chef.get(page)) | {"key": key, "execution_data": '{"n": 1}'}

    answer = chef.post(page, form)

    assert "Nothing was done: the answer came without the key of its question." in answer.text
    assert not Execution.objects.exists()
    chef.post(page, form_of(answer))
    assert {"n": 1} == Execution.objects.get().execution_data
