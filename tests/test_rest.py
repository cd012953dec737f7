"""The REST API: what it shows, what it takes, and who may."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.asserts import assertContains
from rest_framework.test import APIClient

from embedworkflow_django.intake import once_key
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.redaction import REDACTED
from embedworkflow_django.rest.permissions import ExecutionPermission
from embedworkflow_django.rest.serializers import ExecuteSerializer, ResolveSerializer
from embedworkflow_django.rest.views import ExecutionViewSet
from embedworkflow_django.services import execute

from .bakery.models import Batch, Cake
from .routers import OTHER, two_databases

pytestmark = pytest.mark.django_db

LIST = "/api/executions/"
VERBS = ("refresh", "run_again", "cancel", "stop", "resolve")
FITTING = {
    "refresh": {"status": Status.RUNNING, "remote_id": "r-1"},
    "run_again": {"status": Status.FAILED, "due_at": None, "execution_data": {"order": 17}},
    "cancel": {"status": Status.QUEUED},
    "stop": {"status": Status.RUNNING, "remote_id": "r-2"},
    "resolve": {"status": Status.UNCONFIRMED, "due_at": None},
}
BODY = {"resolve": {"resend": True}}
USERS = {
    "nobody": (),
    "view": ("view_execution",),
    "execute": ("view_execution", "execute_execution"),
    "execute-alone": ("execute_execution",),
    **{verb: ("view_execution", f"{verb}_execution") for verb in VERBS},
    **{f"{verb}-alone": (f"{verb}_execution",) for verb in VERBS},
}
VISITORS = ("anonymous", *USERS, "superuser")


@pytest.fixture
def visit():
    """Return a client of a visitor; nobody has to be staff for the REST API."""

    def log_in(name):
        client = APIClient()
        if name == "superuser":
            client.force_authenticate(User.objects.create_superuser(name))
        elif name != "anonymous":
            user = User.objects.create_user(name)
            user.user_permissions.set(Permission.objects.filter(codename__in=USERS[name]))
            client.force_authenticate(user)
        return client

    return log_in


@pytest.fixture
def api(visit):
    """A client that may do everything."""
    return visit("superuser")


def make(verb="run_again", **values):
    """Return an execution that suits a verb."""
    return Execution.objects.create(**{"workflow": "w", **FITTING[verb], **values})


def url(execution, verb=""):
    """Return an execution's URL, or that of a verb."""
    return f"{LIST}{execution.pk}/" + (f"{verb.replace('_', '-')}/" if verb else "")


def listed(api, **query):
    """Return the ids on a page of the list."""
    answer = api.get(LIST, query)
    assert 200 == answer.status_code
    return [row["id"] for row in answer.json()["results"]]


def ids(*executions):
    """Return ids as the API writes them."""
    return [str(execution.pk) for execution in executions]


# Rights


def may(visitor, right=None):
    """Return whether a visitor may see executions and has a right."""
    own = USERS.get(visitor, ())
    return visitor == "superuser" or (
        "view_execution" in own and (right is None or f"{right}_execution" in own)
    )


@pytest.mark.parametrize("visitor", VISITORS)
def test_reading_takes_the_right_to_view(visit, visitor):
    """List and detail are for those with ``view_execution``."""
    client, execution = visit(visitor), make()

    codes = {client.get(LIST).status_code, client.get(url(execution)).status_code}

    assert {200 if may(visitor) else 403} == codes


@pytest.mark.parametrize("visitor", VISITORS)
def test_executing_takes_its_right(visit, visitor):
    """Only those who may execute start a workflow."""
    answer = visit(visitor).post(LIST, {"workflow": "w"}, format="json")

    assert (201 if may(visitor, "execute") else 403) == answer.status_code
    assert int(may(visitor, "execute")) == Execution.objects.count()


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_its_right(visit, visitor, verb):
    """Each verb is for those with its right, who are named in the history."""
    execution = make(verb)

    answer = visit(visitor).post(url(execution, verb), BODY.get(verb, {}), format="json")

    done = 201 if verb == "run_again" else 200
    assert (done if may(visitor, verb) else 403) == answer.status_code
    assert ([visitor] if may(visitor, verb) else []) == [
        event.detail["by"] for event in execution.events.all()
    ]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_nothing_is_changed_or_deleted(api, method):
    """There are verbs, and no other way to change an execution."""
    execution = make()

    answer = getattr(api, method)(url(execution), {"status": "completed"}, format="json")

    assert 405 == answer.status_code
    assert Status.FAILED == Execution.objects.get().status


def test_what_can_be_asked_for_is_described_to_whoever_may(visit):
    """``OPTIONS`` tells what a POST takes, and nothing of one that is not allowed."""
    execution, api = make("resolve"), visit("superuser")

    paths = {LIST: ExecuteSerializer, url(execution, "resolve"): ResolveSerializer}
    for path, serializer in paths.items():
        assert set(serializer().fields) == set(api.options(path).json()["actions"]["POST"])
        assert "actions" not in visit("view" if path == LIST else "cancel").options(path).json()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_nothing_on_get(api, verb):
    """A link cannot carry a verb out."""
    execution = make(verb)

    assert 405 == api.get(url(execution, verb)).status_code
    assert 0 == execution.events.count()


@pytest.mark.parametrize("visitor", ["view", "superuser"])
def test_secrets_take_a_right_of_their_own(visit, visitor):
    """Values under secret-looking names are hidden without ``view_execution_data``."""
    secret = {"api_token": "tok", "city": "Berlin"}
    execution = make(execution_data=secret, log=secret, stats=secret, template=secret, raw=secret)

    shown = visit(visitor).get(url(execution)).json()

    wanted = {"api_token": "tok" if visitor == "superuser" else REDACTED, "city": "Berlin"}
    assert [wanted] * 5 == [
        shown[name] for name in ("execution_data", "log", "stats", "template", "raw")
    ]


def test_a_subclass_reaches_only_its_own_executions(rf):
    """What ``get_queryset`` hides is not there for verbs either."""

    class OwnViewSet(ExecutionViewSet):
        """Executions of one user key."""

        def get_queryset(self):
            """Hide those of others."""
            return super().get_queryset().filter(user_key="mine")

    user = User.objects.create_superuser("chef")
    codes = []
    for execution in (make("cancel", user_key="mine"), make("cancel", user_key="other")):
        request = rf.post("/")
        request.user, request._dont_enforce_csrf_checks = user, True
        view = OwnViewSet.as_view({"post": "cancel"})
        codes.append(view(request, pk=str(execution.pk)).status_code)

    assert [200, 404] == codes


@two_databases
def test_a_subclass_shows_another_database(rf):
    """Its list, its pages and its verbs are about the executions there, and about no others."""

    class OtherViewSet(ExecutionViewSet):
        """Executions of the other database."""

        queryset = Execution.objects.using(OTHER)

    here, there = make("cancel"), Execution.objects.using(OTHER).create(workflow="w")
    user = User.objects.create_superuser("chef")

    def ask(actions, **arguments):
        request = rf.generic(next(iter(actions)), "/")
        request.user, request._dont_enforce_csrf_checks = user, True
        return OtherViewSet.as_view(actions)(request, **arguments)

    assert ids(there) == [row["id"] for row in ask({"get": "list"}).data["results"]]
    assert "canceled" == ask({"post": "cancel"}, pk=str(there.pk)).data["status"]
    assert 404 == ask({"post": "cancel"}, pk=str(here.pk)).status_code


# Reading


def test_the_urls_have_names():
    """A project links to the API by name."""
    assert LIST == reverse("embedworkflow:execution-list")


def test_an_execution_is_shown_in_the_models_words(api, django_assert_num_queries):
    """The detail has the model's fields, the source in one word, and its JSON."""
    execution = make(source_type="bakery.cake", source_id="17", actions_count=4)

    with django_assert_num_queries(1):
        shown = api.get(url(execution)).json()

    assert str(execution.pk) == shown["id"]
    assert ("failed", True, 0.0) == (shown["status"], shown["is_final"], shown["progress"])
    assert "bakery.cake:17" == shown["source"]
    assert {"order": 17} == shown["execution_data"]
    assert "claim" not in shown


def test_the_list_leaves_the_json_out(api):
    """What may be large is on the detail page only, and not fetched for the list."""
    make()
    with CaptureQueriesContext(connection) as queries:
        (row,) = api.get(LIST).json()["results"]

    assert row["source"] is None
    assert "execution_data" not in row
    assert not any("execution_data" in query["sql"] for query in queries)


def test_the_list_takes_as_many_queries_for_100_rows_as_for_one(api):
    """No query is made per row; a page of any size is one."""
    first, counts = make(), []
    for rows in (1, 100):
        Execution.objects.bulk_create(
            Execution(workflow="w", run_again_of=first, source_type="bakery.cake", source_id="1")
            for _ in range(rows - 1)
        )
        with CaptureQueriesContext(connection) as queries:
            assert rows == len(listed(api))
        counts.append(len(queries))

    assert [1, 1] == counts


def test_pages_follow_a_cursor_on_the_key(api):
    """Newest first, and each page begins where the last one ended."""
    rows = [make() for _ in range(5)][::-1]

    page = api.get(LIST, {"page_size": 2}).json()
    assert ids(*rows[:2]) == [row["id"] for row in page["results"]]
    page = api.get(page["next"]).json()
    assert ids(*rows[2:4]) == [row["id"] for row in page["results"]]
    page = api.get(page["next"]).json()
    assert (ids(rows[4]), None) == ([row["id"] for row in page["results"]], page["next"])
    page = api.get(page["previous"]).json()
    assert ids(*rows[2:4]) == [row["id"] for row in page["results"]]
    # From the other end: a cursor of the right form that names no row.
    assert ids(*rows[3:]) == listed(api, page_size=2, cursor="cj0x")


def test_a_page_has_500_rows_at_the_most(api):
    """Whoever asks for more gets the next page for the rest."""
    Execution.objects.bulk_create(Execution(workflow="w") for _ in range(501))

    assert 500 == len(listed(api, page_size=1000))
    assert 100 == len(listed(api))


@pytest.mark.parametrize("cursor", ["cD1ub25zZW5zZQ==", "nonsense", "cD0x"])
def test_a_cursor_that_is_not_ours_is_not_found(api, cursor):
    """A cursor that was made up is a clear answer, not a server error."""
    assert 404 == api.get(LIST, {"cursor": cursor}).status_code


@pytest.mark.parametrize("pk", ["nonsense", "019a0000-0000-7000-8000-000000000000"])
def test_an_unknown_execution_is_not_found(api, pk):
    """Neither a wrong nor a malformed id is a server error."""
    assert 404 == api.get(f"{LIST}{pk}/").status_code


def test_the_filters_filter(api):
    """By status, one or several, by workflow and by source."""
    one = make(workflow="a", source_type="bakery.cake", source_id="1:2")
    two = make("cancel", workflow="b", source_type="bakery.cake", source_id="1")
    three = make("stop", workflow="b", source_type="bakery.recipe", source_id="1:2")

    assert ids(one) == listed(api, status="failed")
    assert ids(two, one) == listed(api, status=["failed", "queued"])
    assert ids(three, two) == listed(api, workflow="b")
    assert ids(two) == listed(api, workflow="b", status="queued")
    assert ids(one) == listed(api, source="Bakery.Cake:1:2")
    assert ids(one) == listed(api, source="bakery.cheapcake:1:2")
    assert [] == listed(api, source="gone.cake:1:2")
    assert ids(three, two, one) == listed(api, status="", workflow="", source="")
    assert 200 == api.get(url(one), {"workflow": "b"}).status_code


@pytest.mark.parametrize("query", [{"workflow": "a\0b"}, {"source": "bakery.cake:\0"}])
def test_a_filter_that_no_database_can_hold_finds_nothing(api, query):
    """PostgreSQL refuses the character, which is no server error."""
    make(workflow="a")

    assert [] == listed(api, **query)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"status": "faild"}, "There is no status 'faild'. Did you mean 'failed'?"),
        ({"status": ["failed", "odd"]}, "There is no status 'odd'. Known: canceled, "),
        ({"source": "cake"}, "Write a source as app.model:key, such as shop.order:17, not 'cake'."),
        ({"source": "cake:1"}, "Write a source as app.model:key"),
        ({"source": "bakery.cake:"}, "Write a source as app.model:key"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(api, query, sentence):
    """A misspelt filter is a 400 with the way out, not an empty or a full list."""
    answer = api.get(LIST, query)

    assert 400 == answer.status_code
    assert query.keys() == answer.json().keys()
    assert sentence in str(answer.json())


# Executing


def test_execute_stores_what_was_asked(api):
    """All that the service takes can be given."""
    cake = Cake.objects.create(name="Sacher")
    body = {
        "workflow": "cake-ordered",
        "execution_data": {"price": 24.5, "lines": [1, None, {"a": "ü"}]},
        "user_key": "customer-17",
        "id_type": "id",
        "account": "default",
        "run_at": "2040-01-01T12:00:00-06:00",
        "source": f"bakery.cake:{cake.pk}",
    }

    answer = api.post(LIST, body, format="json")

    assert 201 == answer.status_code
    # The tests' time zone, as the API tells times in the project's own.
    assert body == {name: answer.json()[name] for name in body}
    execution = Execution.objects.get(pk=answer.json()["id"])
    assert (Status.QUEUED, cake) == (execution.status, execution.source)


def test_execute_needs_a_workflow_only(api):
    """The rest has defaults; null means the same."""
    nulls = {"workflow": "w", "source": None, "run_at": None, "user_key": None}

    for body in ({"workflow": "w"}, nulls):
        answer = api.post(LIST, body, format="json")
        assert (201, {}) == (answer.status_code, answer.json()["execution_data"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param({}, "This field is required.", id="nothing"),
        pytest.param({"workflow": ".."}, "'..' cannot name a workflow.", id="dots"),
        pytest.param(
            {"workflow": "w", "execution_data": ["x"]}, "Expected a dictionary", id="no-dict"
        ),
        pytest.param(
            {"workflow": "w", "id_type": "slug"}, "id_type should be one of", id="id-type"
        ),
        pytest.param(
            {"workflow": "w", "account": "defualt"}, "Did you mean 'default'?", id="account"
        ),
        pytest.param({"workflow": "w", "run_at": "soon"}, "Datetime has wrong format", id="run-at"),
        pytest.param(
            {"workflow": "w", "executon_data": {}}, "Did you mean 'execution_data'?", id="misspelt"
        ),
        pytest.param({"workflow": "w", "source": "cake"}, "Write a source as", id="source-form"),
        pytest.param(
            {"workflow": "w", "source": "bakery.cake:999"}, "There is no", id="source-gone"
        ),
        pytest.param({"workflow": "w", "source": "bakery.cake:x"}, "There is no", id="source-key"),
        pytest.param(
            {"workflow": "w", "source": "bakery.recipe:x"}, "There is no", id="source-uuid"
        ),
        pytest.param({"workflow": "w", "source": "no.model:1"}, "There is no", id="source-model"),
        pytest.param(
            {"workflow": "w", "source": "bakery.batch:[[1], 2]"}, "There is no", id="source-parts"
        ),
        pytest.param(
            {"workflow": "w", "source": "bakery.batch:" + "[" * 9_999}, "There", id="source-deep"
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(api, body, sentence):
    """A wrong request is a 400 that says what is wrong, and nothing is stored."""
    answer = api.post(LIST, body, format="json")

    assert 400 == answer.status_code
    assert sentence in str(answer.json())
    assert 0 == Execution.objects.count()


def test_a_form_can_start_a_workflow(api):
    """As that of the browsable API, with its token."""
    answer = api.post(LIST, {"workflow": "w", "csrfmiddlewaretoken": "x"})

    assert (201, {}) == (answer.status_code, answer.json()["execution_data"])


def test_data_that_a_form_cannot_carry_is_refused(api):
    """Rather than to start the workflow without it."""
    answer = api.post(LIST, {"workflow": "w", "execution_data": '{"a": 1}'})

    assert 400 == answer.status_code
    assert "Expected a dictionary" in str(answer.json())


@pytest.fixture
def browser():
    """Whoever may do everything, in a browser: an error that nobody caught is a page, too."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("visitor"))
    return client


NO_TEXT = (True, [], ["x"], {}, {"a": 1})
UNPRINTABLE = ("", " ", "a\0b")
#: What each field does not take; half a character can be written in JSON, and in no form.
MALFORMED = {
    "workflow": (
        *(*UNPRINTABLE, "\n", "a\nb", "a\x85b", ".", "..", "x" * 256, "\ud800", None, *NO_TEXT),
    ),
    "user_key": (*UNPRINTABLE[1:], "a\nb", "x" * 256, "\ud800", *NO_TEXT),
    "id_type": (*UNPRINTABLE[1:], "slug", "KEY", "x" * 21, "\ud800", 5, None, *NO_TEXT),
    "account": (*UNPRINTABLE[1:], "Default", "x" * 300, "\ud800", 5, None, *NO_TEXT),
    "run_at": (
        *(*UNPRINTABLE[1:], "soon", "12:00", "2030-13-01T00:00", "\ud800", 5),
        *("9999-12-31T23:59:59", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00+14:00", *NO_TEXT),
    ),
    "source": (
        *(*UNPRINTABLE[1:], "cake", "cake:1", "bakery.cake:", "bakery.cake:x", "no.model:1", ".:1"),
        *("bakery.cake:\0", "bakery.tagged:\ud800", "bakery.cake:" + 5_000 * "1", 5, *NO_TEXT),
        *(f"bakery.batch:{key}" for key in ("5", "null", "[1]", "[1, null]", "[[1], 2]", "{}")),
        *(f"bakery.batch:[1, {part}]" for part in ("1e999", "NaN", "1" + 30 * "0", '"\\u0000"')),
    ),
    "execution_data": ("x", "{}", 5, True, None, ["x"], {"a": "\0"}, {"\0": 1}, {"a": "\ud800"}),
    "missing": ("", "x", "\ud800", 5, None, *NO_TEXT),
    "a.b": ("x",),
    "a[0]": ("x",),
}


def as_bodies(values):
    """Return a body in JSON and, as far as browsers could send it, those of forms."""
    yield "application/json", json.dumps(values)
    if all(isinstance(value, str) and value.isascii() for value in values.values()):
        yield "application/x-www-form-urlencoded", urlencode(values)
        yield MULTIPART_CONTENT, encode_multipart(BOUNDARY, values)


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
@pytest.mark.parametrize("field", MALFORMED)
def test_what_a_field_does_not_take_is_its_own_error(browser, accept, field):
    """In JSON or in a form, to a program or a person: a 400 that names the field, and only it."""
    for value in MALFORMED[field]:
        for kind, body in as_bodies({"workflow": "w", field: value}):
            answer = browser.generic("POST", LIST, body, kind, headers={"accept": accept})

            assert 400 == answer.status_code, (value, kind)
            assert [field] == list(answer.data), (value, kind)
            assert all(isinstance(sentence, str) for sentence in answer.data[field])
            assert field in answer.content.decode()
    assert 0 == Execution.objects.count()


def test_a_form_shows_again_what_was_written(browser):
    """What is no date stands where it was written, with the sentence that says so."""
    answer = browser.post(
        LIST, {"workflow": "w", "run_at": "soon"}, headers={"accept": "text/html"}
    )

    assertContains(answer, 'value="soon"', status_code=400)
    assertContains(answer, "Datetime has wrong format", 2, status_code=400)


@pytest.mark.parametrize("body", [["workflow"], "workflow"])
def test_a_body_that_is_no_object_is_refused(api, body):
    """Lists and strings are a 400 too."""
    assert 400 == api.post(LIST, body, format="json").status_code


def test_data_that_is_too_large_is_refused(api, settings):
    """The service's own limits hold over REST, in its own words."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "MAX_DATA_SIZE": 10}

    answer = api.post(LIST, {"workflow": "w", "execution_data": {"a": "b" * 20}}, format="json")

    assert 400 == answer.status_code
    assert "MAX_DATA_SIZE" in answer.json()["execution_data"][0]


def test_a_source_is_taken_as_it_is_shown(api):
    """What the answer calls the source is what a request may call it, of several parts too."""
    shown = url(execute("w", source=Batch.objects.create(oven=3, number=7)))
    body = {"workflow": "w", "source": api.get(shown).json()["source"]}

    answer = api.post(LIST, body, format="json")

    assert (201, body["source"]) == (answer.status_code, answer.json()["source"])
    body["source"] = body["source"].replace("bakery.batch", "Bakery.Batch")
    assert answer.json()["source"] == api.post(LIST, body, format="json").json()["source"]


def test_a_source_that_one_may_not_see_is_not_there(visit):
    """Nobody finds out by trial which objects exist."""
    cake = Cake.objects.create(name="Sacher")
    body = {"workflow": "w", "source": f"bakery.cake:{cake.pk}"}

    answer = visit("execute").post(LIST, body, format="json")

    assert 400 == answer.status_code
    assert f"There is no bakery.cake:{cake.pk}, or you may not see it." in str(answer.json())


def test_a_missing_key_is_nobody_elses_fault(api, settings):
    """As long as the settings have no secret key, the service is unavailable, and says why."""
    settings.EMBEDWORKFLOW = {"DISPATCHER": "worker"}

    answer = api.post(LIST, {"workflow": "w"}, format="json")

    assert 503 == answer.status_code
    assert "is not set" in answer.json()["detail"]


def test_an_idempotency_key_makes_it_safe_to_repeat(api):
    """The first request creates, a second one finds what the first one created."""
    body, headers = {"workflow": "w", "execution_data": {"a": 1.5}}, {"Idempotency-Key": "order-17"}

    answers = [api.post(LIST, body, format="json", headers=headers) for _ in range(2)]

    assert [201, 200] == [answer.status_code for answer in answers]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert "order-17" == Execution.objects.get().idempotency_key


@pytest.mark.parametrize(
    "number", ["1e23", "-1e23", "1.7976931348623157e308", "1e-7", "5e-324", "1e15", "-0.0", "1.0"]
)
def test_a_number_that_a_database_writes_otherwise_is_the_same(api, number):
    """PostgreSQL gives some floats back as integers; the second request is no other for that."""
    headers = {"Idempotency-Key": "order-17"}
    body = f'{{"workflow": "w", "execution_data": {{"a": [{{"b": {number}}}, true]}}}}'

    answers = [
        api.post(LIST, each, content_type="application/json", headers=headers)
        for each in (body, body, body.replace("true", "1"), body.replace(number, "1e22"))
    ]

    assert [201, 200, 422, 422] == [answer.status_code for answer in answers]
    assert answers[0].json()["id"] == answers[1].json()["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"workflow": "other"},
        {"execution_data": {"a": 2}},
        {"user_key": "ada"},
        {"id_type": "hashid"},
        {"source": None},
        {"source": "auth.group:18"},
        {"source": "auth.user:17"},
    ],
    ids=lambda changes: "-".join(map(str, next(iter(changes.items())))),
)
def test_an_idempotency_key_is_not_for_something_else(api, changes):
    """The same key with another request is refused, instead of answered with the wrong thing."""
    headers = {"Idempotency-Key": "order-17"}
    first = {"workflow": "w", "execution_data": {"a": 1}, "source": "auth.group:17"}
    Group.objects.bulk_create(Group(pk=pk, name=pk) for pk in (17, 18))
    User.objects.create(pk=17)
    api.post(LIST, first, format="json", headers=headers)

    answer = api.post(LIST, first | changes, format="json", headers=headers)

    assert 422 == answer.status_code
    assert 1 == Execution.objects.count()


@two_databases
def test_an_idempotency_key_is_known_wherever_the_source_lives(visit, settings):
    """An execution is stored beside its source, and a second request finds it there."""
    settings.DATABASE_ROUTERS = ["tests.routers.CakesElsewhere"]
    api, cake = visit("superuser"), Cake.objects.create(name="Sacher")
    body, headers = {"workflow": "w", "source": f"bakery.cake:{cake.pk}"}, {"Idempotency-Key": "k"}

    answers = [api.post(LIST, body, format="json", headers=headers) for _ in range(2)]

    assert [201, 200] == [answer.status_code for answer in answers]


def test_an_idempotency_key_shows_nobody_elses_execution(rf):
    """What ``get_queryset`` hides, or a permission guards, is not shown to who guesses its key."""

    class Permission(ExecutionPermission):
        """Guards executions whose name says so."""

        def has_object_permission(self, request, view, obj):
            """Refuse those."""
            return obj.name != "guarded"

    class OwnViewSet(ExecutionViewSet):
        """Executions that are not hidden."""

        permission_classes = (Permission,)

        def get_queryset(self):
            """Hide those whose name says so."""
            return super().get_queryset().exclude(name="hidden")

    user = User.objects.create_superuser("chef")
    codes = []
    for name in ("", "guarded", "hidden"):
        make("cancel", name=name, idempotency_key=f"key-{name}")
        request = rf.post("/", {"workflow": "w"}, headers={"Idempotency-Key": f"key-{name}"})
        request.user, request._dont_enforce_csrf_checks = user, True
        codes.append(OwnViewSet.as_view({"post": "create"})(request).status_code)

    assert [200, 403, 422] == codes


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
def test_an_idempotency_key_that_cannot_be_one_is_refused(api, key):
    """A key that could not be sent on is a 400."""
    answer = api.post(LIST, {"workflow": "w"}, format="json", headers={"Idempotency-Key": key})

    assert 400 == answer.status_code
    assert "idempotency_key" in answer.json()["detail"]


def test_nobody_takes_a_triggers_key(api):
    """A trigger that fires once for an object would be silent for it, as if it had fired."""
    key = once_key("shop.workflows.order_placed", "auth.group", "17")

    answer = api.post(LIST, {"workflow": "w"}, format="json", headers={"Idempotency-Key": key})

    assert 422 == answer.status_code
    assert not Execution.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        '{"workflow": "w", "execution_data": ' + '{"a":' * 100_000 + "1" + "}" * 100_001,
        "[" * 100_000,
        '{"workflow": "w", "\\ud800": 1}',
        '{"workflow": "w", "execution_data": {"\\ud800": 1}}',
        '{"workflow": "\\ud800"}',
        '{"workflow": "w", "execution_data": {"a": 1e400}}',
    ],
    ids=["deep", "deeper", "a field's name", "a key", "a value", "a number"],
)
def test_a_body_that_nobody_can_read_is_the_callers_fault(api, body):
    """What is nested without end, or has half a character in it, is a 400 that says so."""
    execution = make("run_again")
    for url in (LIST, f"{LIST}{execution.pk}/run-again/"):
        answer = api.post(url, body, content_type="application/json")
        assert 400 == answer.status_code
        assert answer.json()
    assert 1 == Execution.objects.count()


# Verbs


def test_what_the_verbs_do(api):
    """Each verb is the service of that name, and answers with the execution that came of it."""
    rows = {verb: make(verb) for verb in VERBS}

    shown = {
        verb: api.post(url(row, verb), BODY.get(verb, {}), format="json").json()
        for verb, row in rows.items()
    }

    assert "canceled" == shown["cancel"]["status"]
    assert shown["stop"]["stop_requested_at"] is not None
    assert "queued" == shown["resolve"]["status"]
    assert str(rows["refresh"].pk) == shown["refresh"]["id"]
    assert str(rows["run_again"].pk) == shown["run_again"]["run_again_of"]
    assert {"order": 17} == shown["run_again"]["execution_data"]


def test_whoever_may_only_stop_cancels_nothing(visit):
    """What was not sent is taken back by those who may cancel; others are told that it waits."""
    queued = make("cancel")
    refused = visit("stop").post(url(queued, "stop"))
    queued.refresh_from_db()
    taken_back = visit("superuser").post(url(queued, "stop"))

    assert (409, Status.QUEUED) == (refused.status_code, queued.status)
    assert (200, "canceled") == (taken_back.status_code, taken_back.json()["status"])


def test_run_again_takes_other_data(api):
    """The data can be corrected on the way."""
    answer = api.post(url(make(), "run_again"), {"execution_data": {"order": 18}}, format="json")

    assert {"order": 18} == answer.json()["execution_data"]


@pytest.mark.parametrize("form", ["multipart", "json"])
def test_run_again_without_data_takes_the_same(api, form):
    """Also for a form, which says nothing of data."""
    answer = api.post(url(make(), "run_again"), {}, format=form)

    assert {"order": 17} == answer.json()["execution_data"]


def test_run_again_puts_back_what_was_hidden(visit):
    """Who corrects the data as it is shown sends no dots in a secret's place."""
    execution = make(execution_data={"token": "tok", "order": 17})
    api = visit("run_again")
    data = api.get(url(execution)).json()["execution_data"] | {"order": 18}

    answer = api.post(url(execution, "run_again"), {"execution_data": data}, format="json")

    assert {"token": REDACTED, "order": 18} == answer.json()["execution_data"]
    assert {"token": "tok", "order": 18} == Execution.objects.first().execution_data


def test_resolve_takes_the_remote_id(api):
    """It did happen, and this is it."""
    answer = api.post(url(make("resolve"), "resolve"), {"remote_id": "r-9"}, format="json")

    assert ("running", "r-9") == (answer.json()["status"], answer.json()["remote_id"])


@pytest.mark.parametrize(
    "body", [{}, {"resend": False}, {"remote_id": "r-9", "resend": True}, {"resent": True}]
)
def test_resolve_takes_one_answer(api, body):
    """Neither none nor both is an answer."""
    execution = make("resolve")

    answer = api.post(url(execution, "resolve"), body, format="json")

    assert 400 == answer.status_code
    assert Status.UNCONFIRMED == Execution.objects.get().status


def test_a_state_that_does_not_allow_it_is_a_conflict(api):
    """What comes too late is a 409 in the service's words."""
    execution = make("cancel", sent_at=timezone.now())

    answer = api.post(url(execution, "cancel"))

    assert 409 == answer.status_code
    assert "may have been received" in answer.json()["detail"]
