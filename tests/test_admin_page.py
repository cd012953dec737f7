"""The page of an execution: what it tells of errors and runs, and how it renews itself."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from embedworkflow_django.admin import chains, errors, outlook
from embedworkflow_django.models import Execution, Status

from .bakery.models import Cake

NOW = timezone.now()
pytestmark = pytest.mark.django_db


@pytest.fixture
def chef(client):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("chef"))
    return client


def make(status=Status.FAILED, **values):
    """Return a saved execution; a final one wants no attention."""
    due = {} if status in (Status.QUEUED, Status.RUNNING) else {"due_at": None}
    return Execution.objects.create(workflow="order-fulfilment", status=status, **due, **values)


def url(page, execution):
    """Return the URL of a page of an execution."""
    return reverse(f"admin:embedworkflow_execution_{page}", args=[execution.pk])


def test_the_whole_page_takes_eight_queries(chef):
    """With a source, a graph, a chain of runs and others of the source, however many."""
    cake = Cake.objects.create(name="Sacher")
    about = {"source_type": "bakery.cake", "source_id": str(cake.pk)}
    stats = {"a": {"status": "failed", "failed_at": "2026-11-25T02:00:00Z"}}
    execution = make(**about, stats=stats)
    chef.get(url("change", execution))  # What a process asks once is known from here on.
    counts = []
    for more in (1, 30):
        for _ in range(more):
            execution.events.create(status=Status.FAILED, source="poll")
            make(run_again_of=execution, **about)
        with CaptureQueriesContext(connection) as queries:
            assert 200 == chef.get(url("change", execution)).status_code
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 8


def test_the_whole_chain_of_runs_is_shown(chef):
    """From any run to the first one, and to all that came of it, siblings too."""
    first = make()
    second = make(run_again_of=first)
    sibling = make(run_again_of=first)
    third = make(run_again_of=second)
    make()

    for run in (first, second, sibling, third):
        shown = chef.get(url("change", run)).context["chain"]
        assert [first, second, sibling, third] == [each["execution"] for each in shown]


def test_a_long_chain_is_bounded(chef):
    """It is followed some steps back, and one query finds it."""
    runs = [make()]
    for _ in range(chains.MAX_STEPS + 5):
        runs.append(make(run_again_of=runs[-1]))

    with CaptureQueriesContext(connection) as queries:
        found = chains.runs(Execution.objects.all(), runs[-1])

    assert 1 == len(queries)
    assert runs[-chains.MAX_STEPS - 1 :] == found


def test_the_latest_others_of_the_source_are_shown(chef):
    """The newest first, with a link to all."""
    cakes = [make(source_type="bakery.cake", source_id="1") for _ in range(chains.MAX_OTHERS + 2)]

    context = chef.get(url("change", cakes[0])).context

    assert cakes[:1:-1] == [each["execution"] for each in context["others"]]


ERRORS = {
    "data": (
        "POST /w/execute: 422 card (declined) (request id abc)",
        "run it again with other data",
    ),
    "key": ("401 unauthorized", "is not accepted"),
    "right": ("POST /w/execute: 403 no", "may not do this"),
    "workflow": ("POST /w/execute: 404 not found", "knows no workflow"),
    "busy": ("POST /w/execute: 409 wait", "still at work"),
    "many": ("POST /w/execute: 429 slow down", "too many requests"),
    "api": ("POST /w/execute: 500 oops", "on the side of the API"),
    "moved": ("POST /w/execute: 301 moved", "BASE_URL"),
    "network": ("POST /w/execute: The request was surely not received: refused", "network"),
    "ours": ("Asked until the end of POLL, and it was not final.", ""),
    "none": ("POST /w/execute: 199 odd", ""),
}


@pytest.mark.parametrize(("text", "advice"), ERRORS.values(), ids=ERRORS)
def test_each_kind_of_error_says_what_to_do(text, advice):
    """In the API's words, with a sentence for whoever is woken by it."""
    trouble = errors.explain(Execution(workflow="w", last_error=text))

    assert advice in trouble.advice
    assert bool(advice) == bool(trouble.advice)


def test_an_error_is_taken_apart():
    """The request, the status, the words and the request id each stand alone."""
    trouble = errors.explain(Execution(last_error=ERRORS["data"][0]))

    assert ("POST /w/execute", 422, "card (declined)", "abc") == (
        trouble.call,
        trouble.status_code,
        trouble.words,
        trouble.request_id,
    )
    assert errors.explain(Execution()) is None


def test_what_the_api_no_longer_knows_is_told_otherwise():
    """Whoever has a remote id was known once."""
    trouble = errors.explain(Execution(remote_id="r", last_error="GET /executions/r: 404 gone"))

    assert "does not know the execution" in trouble.advice


@pytest.mark.parametrize(
    ("values", "failed", "words"),
    [
        ({"status": Status.FAILED}, ["Ship"], "at “Ship”"),
        ({"status": Status.RUNNING}, ["Ship"], "the rest goes on"),
        ({"status": Status.QUEUED, "attempts": 2}, [], "not started yet: 2 attempts in"),
        (
            {"status": Status.QUEUED, "attempts": 2, "sent_at": NOW},
            [],
            "not confirmed yet: 2 attempts in",
        ),
        ({"status": Status.QUEUED}, [], "is not sent yet"),
        ({"status": "odd", "actions_count": 3}, [], "0 of 3 actions"),
    ],
)
def test_the_story_is_one_sentence(values, failed, words):
    """What has become of it, before anything else is read."""
    assert words in outlook.story(Execution(created_at=NOW, **values), NOW, failed)


def test_a_queued_row_of_an_account_that_is_not_let_in_says_so():
    """Also if it was never tried itself."""
    waiting = Execution(workflow="w", created_at=NOW, due_at=NOW, account="eu")

    assert "does not let the account eu in" in " ".join(
        outlook.sentences(waiting, NOW, refused={"eu"})
    )


# The live part


def test_the_live_part_is_the_pages_own(chef):
    """Each part that is renewed stands on the page as well, and says the same."""
    execution = make(Status.RUNNING, remote_id="r", stats={"a": {"status": "running"}})
    page = chef.get(url("change", execution)).text
    live = chef.get(url("live", execution))

    parts = re.findall(r'id="(ewf-part-\w+)"', live.text)
    assert parts == re.findall(r'id="(ewf-part-\w+)"', page)
    assert 6 == len(parts)
    assert 'data-ewf-status="running"' in live.text
    assert "csrfmiddlewaretoken" not in live.text


def test_what_has_not_changed_is_not_sent_again(chef):
    """The tag changes with the row and with its events."""
    execution = make(Status.RUNNING, remote_id="r")
    first = chef.get(url("live", execution))
    assert "no-cache" in first["Cache-Control"]

    execution.events.create(status=Status.RUNNING, source="person", detail={"verb": "stop"})
    second = chef.get(url("live", execution), headers={"If-None-Match": first["ETag"]})
    assert 200 == second.status_code

    # Relative times are renewed now and then, so that one of two must have been the same.
    seen = [chef.get(url("live", execution), headers={"If-None-Match": second["ETag"]})]
    seen.append(chef.get(url("live", execution), headers={"If-None-Match": seen[0]["ETag"]}))
    assert 304 in [answer.status_code for answer in seen]


def test_what_is_final_is_not_asked_for(chef):
    """A page of which nothing changes any more has no URL to renew it from."""
    assert "data-ewf-live=" not in chef.get(url("change", make())).text
    assert "data-ewf-still" in chef.get(url("live", make())).text
    assert "data-ewf-live=" in chef.get(url("change", make(Status.RUNNING))).text


def test_the_live_part_takes_the_right_to_view(as_staff):
    """As the page does; nothing can be posted to it."""
    execution = make(Status.RUNNING)
    assert 403 == as_staff().get(url("live", execution)).status_code

    client = as_staff("view_execution")
    assert 200 == client.get(url("live", execution)).status_code
    assert 405 == client.post(url("live", execution)).status_code
    assert 403 == client.post(url("change", execution)).status_code
    execution.delete()
    assert 404 == client.get(url("live", Execution())).status_code


def test_secrets_in_the_graph_are_hidden(as_staff, settings):
    """What REDACT names is hidden in the drawing as it is in the JSON."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "REDACT": ("name",)}
    execution = make(template={"nodes": [{"id": "a", "name": "hush"}]})

    assert "hush" not in as_staff("view_execution").get(url("change", execution)).text
