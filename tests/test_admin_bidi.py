"""Characters that turn the direction of text: no word turns what stands around it."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import path, reverse
from django.utils import timezone, translation

from embedworkflow_django.admin import ExecutionAdmin, JobAdmin, WorkflowsAdminMixin
from embedworkflow_django.keys import uuid7
from embedworkflow_django.models import Execution, ExecutionEvent, Job, Status, Tally, WorkerProcess

from .bakery.models import Cake

CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
#: Closes an isolate that it stands in, and turns what comes next.
TURNED = f"a\u2069\u202eb{CONTROLS}"
SHOWN = "a\\u2069\\u202eb" + CONTROLS.encode("unicode_escape").decode()


class CakeAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """Cakes for which a workflow is offered that is named by data."""

    run_workflows = (TURNED,)


site = admin.AdminSite(name="kitchen")
site.register(Execution, ExecutionAdmin)
site.register(Job, JobAdmin)
site.register(Cake, CakeAdmin)
urlpatterns = [path("kitchen/", site.urls)]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def chef(client):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("chef"))
    return client


def turned(status=Status.FAILED, **values):
    """Return an execution of which every word from elsewhere has each of the characters."""
    data = {TURNED: [TURNED], "nodes": [{"id": TURNED, "name": TURNED, "type": TURNED}]}
    texts = ("workflow", "user_key", "trigger", "last_error", "name", "key", "hashid")
    fields = {
        "status": status,
        "source_type": f"gone.{TURNED}",
        "source_id": TURNED,
        "remote_status": TURNED,
        "stats": {TURNED: {"status": TURNED, "scheduled_at": "2026-01-01T00:00:00Z"}},
        **dict.fromkeys(texts, TURNED),
        **dict.fromkeys(("execution_data", "log", "template", "raw"), data),
    }
    execution = Execution.objects.create(**fields | values)
    for source in ExecutionEvent.Source.values:
        detail = {"verb": TURNED, "by": TURNED, TURNED: TURNED, "attempt": 1, "verdict": TURNED}
        execution.events.create(status=TURNED[:20], source=source, detail=detail)
    return execution


def turned_job(newest):
    """Return a job of which every word from elsewhere has each of the characters."""
    outcomes = [{"reason": TURNED}, {"execution": str(newest), "reason": TURNED}]
    names = ("workflow", "trigger", "account", "q")
    filters = {**dict.fromkeys(names, TURNED), "statuses": [TURNED]}
    return Job.objects.create(
        verb="cancel", by=TURNED, filters=filters, newest=newest, outcomes=outcomes
    )


def pages(client, keys):
    """Yield each page and answer of the admins of executions and jobs, asked for and posted to."""
    for model, model_admin in site._registry.items():
        if model is Cake:
            continue
        for pattern in model_admin.get_urls():
            names = pattern.pattern.regex.groupindex
            for key in keys if pattern.name and names else keys[: bool(pattern.name)]:
                url = reverse(f"kitchen:{pattern.name}", kwargs=dict.fromkeys(names, str(key)))
                ids = {"ids": ",".join(map(str, keys))} if url.endswith("/live/") else {}
                yield url, client.get(url, ids, follow=True).text
                yield url, client.post(url, follow=True).text


def test_no_page_has_a_character_that_turns_text(chef):
    """Whatever row and column it comes from, it is shown by its number."""
    rows = [turned(status) for status in Status.values]
    job = turned_job(rows[0].pk)
    for status in Status.values:
        told = dict.fromkeys(("workflow", "trigger", "last_error"), TURNED)
        Tally.objects.create(
            id=uuid7(), hour=timezone.now(), status=status, from_queue=True, count=1, **told
        )
    paused = {"default": {"kind": "refused", "reason": TURNED, "until": None}}
    WorkerProcess.objects.create(name="host:1", dispatcher="t", concurrency=1, pauses=paused)

    shown = list(pages(chef, [*(row.pk for row in rows), job.pk]))

    assert 100 < len(shown)
    assert [] == [url for url, page in shown if set(CONTROLS) & set(page)]
    assert 50 < sum(SHOWN in page for _url, page in shown)


@pytest.mark.parametrize("name", ["workflow", "trigger", "account", "status"])
def test_what_a_list_is_filtered_by_turns_nothing(chef, name):
    """A filter's choice is shown by its numbers, and its link keeps the characters."""
    row = turned()
    query = {name: TURNED, "q": "x"}

    page = chef.get("/kitchen/embedworkflow/execution/", query).text
    # What is searched for, and found again with, is no text of the page.
    page = re.sub("<input.*?>", "", page)
    chosen = chef.get("/kitchen/embedworkflow/execution/", {"workflow": TURNED})

    assert not set(CONTROLS) & set(page)
    assert [row] == list(chosen.context["cl"].result_list)


def test_what_is_asked_and_reported_turns_nothing(chef):
    """The questions, the messages and the log, too."""
    rows = [turned(), turned(account="gone")]
    selected = {"action": "run_again", "_selected_action": [str(row.pk) for row in rows]}
    question = chef.post("/kitchen/embedworkflow/execution/", selected).text
    (key,) = re.findall('name="key" value="(.*?)"', question)

    answer = chef.post(
        "/kitchen/embedworkflow/execution/",
        selected | {"confirmed": "yes", "key": key},
        follow=True,
    )

    assert SHOWN in question
    assert not set(CONTROLS) & set(question + answer.text)
    assert 2 == len(answer.context["messages"])
    (entry,) = LogEntry.objects.all()
    assert not set(CONTROLS) & set(entry.object_repr + entry.get_change_message())


def test_edited_data_keeps_the_characters(chef):
    """JSON may name them by their numbers: what is run again with it is the same."""
    row = turned()
    url = f"/kitchen/embedworkflow/execution/{row.pk}/run-again/"
    page = chef.post(url).text
    (text,) = re.findall(r"<textarea.*?>(.*?)</textarea>", page, re.DOTALL)
    (key,) = re.findall('name="key" value="(.*?)"', page)

    chef.post(url, {"confirmed": "yes", "key": key, "execution_data": html.unescape(text)})

    assert not set(CONTROLS) & set(page)
    assert row.execution_data == row.run_again_as.get().execution_data


def test_nothing_is_turned_on_an_objects_pages(chef):
    """Neither in the section below its form, nor on the page on which a workflow is run."""
    cake = Cake.objects.create(name=TURNED)
    turned(source_type="bakery.cake", source_id=str(cake.pk))
    page = chef.get(reverse("kitchen:bakery_cake_change", args=[cake.pk])).text
    run_url = reverse("kitchen:bakery_cake_run_workflow", args=[cake.pk])
    question = chef.get(run_url)
    form = {"key": question.context["form"].question, "workflow": TURNED}
    text = question.context["form"]["execution_data"].value()

    answer = chef.post(run_url, form | {"execution_data": text}, follow=True)

    section = page.split('id="workflows"')[1] + page.split("ewf-host-latest")[1].split("</p>")[0]
    asked = re.sub("<input.*?>", "", question.text)
    assert 2 <= section.count(SHOWN)
    assert not set(CONTROLS) & set(section + asked + answer.text)
    execution = Execution.objects.latest("pk")
    assert (TURNED, TURNED) == (execution.workflow, execution.execution_data["name"])
    assert json.loads(text) == execution.execution_data
    assert not any(
        set(CONTROLS) & set(entry.get_change_message()) for entry in LogEntry.objects.all()
    )


def test_the_characters_of_a_translation_stay(chef):
    """Arabic isolates the words that it is given; those are ours."""
    row = turned(source_type="")
    with translation.override("ar"):
        said = site.get_model_admin(Execution).said(row)

    assert f"\u2068{SHOWN}\u2069: " in said


def test_the_marks_of_a_name_stay(chef):
    """They turn nothing around them, and belong to names in Arabic and Hebrew."""
    name = "\u061cخبز\u200f \u200eTrading"
    Execution.objects.create(workflow=name)

    assert name in chef.get("/kitchen/embedworkflow/execution/").text
