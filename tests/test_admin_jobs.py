"""Jobs in the admin: list and page say how far each is, and renew themselves while it goes on."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from embedworkflow_django import admin as our_admin
from embedworkflow_django import jobs
from embedworkflow_django.admin import actions
from embedworkflow_django.keys import uuid7
from embedworkflow_django.models import Execution, Job, Status


class DeskAdmin(our_admin.JobAdminMixin, admin.ModelAdmin):
    """Jobs, but for those of the night shift."""

    def has_view_permission(self, request, obj=None):
        """Hide the night's."""
        return super().has_view_permission(request, obj) and not (obj and obj.by == "night")


desk = admin.AdminSite(name="desk")
desk.register(Job, DeskAdmin)
desk.register(Execution, our_admin.ExecutionAdmin)
#: Executions without jobs, and jobs without executions.
bare, lone = admin.AdminSite(name="bare"), admin.AdminSite(name="lone")
bare.register(Execution, our_admin.ExecutionAdmin)
lone.register(Job, our_admin.JobAdmin)
SITES = {"admin": admin.site, "desk": desk, "bare": bare, "lone": lone}
urlpatterns = [path(f"{name}/", site.urls) for name, site in SITES.items()]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def clerk(client):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("clerk"))
    return client


def make(status=Job.Status.RUNNING, **values):
    """Return a saved job."""
    fields = {"verb": "cancel", "newest": uuid7(), "by": "ann", "status": status}
    return Job.objects.create(**fields | values)


def url(page, *args, site="desk"):
    """Return the URL of a page of a site."""
    return reverse(f"admin:embedworkflow_job_{page}", args=args, current_app=site)


def parts(text):
    """Return the text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.mark.parametrize(
    ("values", "value", "most", "words"),
    [
        ({"total": 4, "done_count": 1}, 1, 4, "1 of 4 1 done, 0 skipped, 0 failed"),
        ({"total": 4, "skipped_count": 9}, 4, 4, "4 of 4 0 done, 9 skipped, 0 failed"),
        ({"total": 4, "failed_count": 2, "status": "done"}, 2, 2, "2 of 2 0 done, 0 skipped"),
    ],
    ids=["running", "more than were counted", "fewer matched in the end"],
)
def test_progress_is_a_bar_with_a_name_and_words(clerk, values, value, most, words):
    """It never runs over, and is full when the job is done."""
    job = make(**values)

    for page in (url("changelist"), url("change", job.pk)):
        text = clerk.get(page).text
        assert f'<progress value="{value}" max="{most}" aria-label="Progress">' in text
        assert words in parts(text)


@pytest.mark.parametrize("values", [{"total": None}, {"total": 3, "status": "done"}])
def test_without_a_total_there_are_words_alone(clerk, values):
    """Of what was not counted, or was nothing, no part is drawn."""
    text = clerk.get(url("change", make(**values).pk)).text

    assert "<progress" not in text
    assert "0 done, 0 skipped, 0 failed" in text


@pytest.mark.parametrize(
    ("filters", "said"),
    [({"workflow": "bake", "statuses": ["queued"]}, "queued bake ann"), ({}, "– ann")],
)
def test_the_list_says_what_each_job_is_about(clerk, filters, said):
    """In few words; a job without a filter is about all there was."""
    make(filters=filters, done_count=1)
    text = parts(clerk.get(url("changelist")).text)

    assert f"0 failed {said}" in text
    assert "Jobs | Django site admin" in text


def test_a_list_without_jobs_says_what_one_is(clerk):
    """Whoever has none has perhaps never seen one."""
    words = "what is asked for all executions that match a filter"
    assert words in clerk.get(url("changelist")).text
    make()
    assert words not in clerk.get(url("changelist")).text


@pytest.mark.parametrize(
    "query",
    ["?trigger=", "?q=bake+", "?q=+", "?account=default", "?workflow=bake&q=+fry"],
)
def test_a_job_is_about_the_rows_that_the_list_shows(clerk, monkeypatch, query):
    """No fewer, and above all no more, however the URL is written."""
    monkeypatch.setattr(actions, "MAX_SELECTED", 1)
    for n in range(6):
        Execution.objects.create(
            workflow="bake" if n % 2 else "fry",
            hashid="fry" if n in (3, 5) else "",
            trigger="t" if n < 3 else "",
            account="default" if n else "gone",
        )
    page = reverse("admin:embedworkflow_execution_changelist") + query
    rows = list(clerk.get(page).context["cl"].result_list)
    form = {"action": "cancel", "select_across": "1", "_selected_action": [str(rows[0].pk)]}
    question = clerk.post(page, form)

    assert f"Cancel {len(rows)} executions?" == question.context["title"]
    signed = {"frozen": question.context["signed"], "confirmed": "yes"}
    clerk.post(page, form | signed)
    while jobs.work("default"):
        pass
    done = Execution.objects.filter(status=Status.CANCELED).values_list("pk", flat=True)
    assert {row.pk for row in rows} == set(done)


def test_a_search_that_is_refused_makes_no_job(clerk, monkeypatch):
    """The list shows everything then, which nobody has asked for."""
    monkeypatch.setattr(actions, "MAX_SELECTED", 1)
    rows = [Execution.objects.create(workflow="bake") for _ in range(2)]
    page = reverse("admin:embedworkflow_execution_changelist") + "?q=%00"
    form = {"action": "cancel", "select_across": "1", "_selected_action": [str(rows[0].pk)]}
    answer = clerk.post(page, form, follow=True)

    assert "at a time" in str([str(each) for each in answer.context["messages"]])
    assert 0 == Job.objects.count()


def test_the_list_renews_the_rows_that_move(clerk):
    """Open jobs are marked; the answer holds their cells, and then says that nothing is new."""
    running, done = make(total=3), make(Job.Status.DONE, due_at=None)
    text = clerk.get(url("changelist")).text
    assert [running.pk.hex] == re.findall(r'data-ewf-moves="(\w+)"', text)
    assert f'data-ewf-live="{url("live_rows")}"' in text
    assert "live.js" in text

    ids = {"ids": f"{running.pk.hex},{done.pk.hex}"}
    first = clerk.get(url("live_rows"), ids)
    again = clerk.get(url("live_rows"), ids, headers={"If-None-Match": first["ETag"]})
    Job.objects.filter(pk=running.pk).update(done_count=2)
    news = clerk.get(url("live_rows"), ids, headers={"If-None-Match": first["ETag"]})

    assert {running.pk.hex, done.pk.hex} == set(re.findall(r'data-ewf-row="(\w+)"', first.text))
    assert 'data-ewf-cell="field-progress"' in first.text
    assert 'data-ewf-said="Cancel: running"' in first.text
    assert "–" in re.findall(r'"field-finished[^"]*">([^<]*)<', text)
    assert "–" in re.findall(r'"field-finished">([^<]*)<', first.text)
    assert 304 == again.status_code
    assert "2 done" in news.text
    assert first["ETag"] != news["ETag"]


def test_the_page_renews_itself_until_the_job_has_ended(clerk):
    """Its state is news; the last answer says that there will be no more."""
    job = make(total=3)
    page = clerk.get(url("change", job.pk))
    etag = page.context["live_etag"]
    assert f'data-ewf-live="{url("live", job.pk)}"' in page.text
    assert "Cancel this job" in page.text

    same = clerk.get(url("live", job.pk), headers={"If-None-Match": etag})
    Job.objects.update(status=Job.Status.DONE, done_count=3, due_at=None)
    ended = clerk.get(url("live", job.pk), headers={"If-None-Match": etag})

    assert 304 == same.status_code
    assert "data-ewf-still" in ended.text
    assert "3 done" in ended.text
    assert "Cancel this job" not in ended.text
    assert "data-ewf-live" not in clerk.get(url("change", job.pk)).text


def test_the_live_parts_answer_to_nothing_but_a_get(clerk):
    """And of a job that is gone there is nothing to see."""
    job = make()

    assert 405 == clerk.post(url("live", job.pk)).status_code
    assert 404 == clerk.get(url("live", uuid7())).status_code


def test_object_permissions_hold_on_every_page(clerk):
    """What a subclass hides is neither opened, renewed nor canceled."""
    hidden = make(by="night", total=3)

    assert 403 == clerk.get(url("change", hidden.pk)).status_code
    assert 403 == clerk.get(url("live", hidden.pk)).status_code
    assert 403 == clerk.post(url("cancel", hidden.pk)).status_code
    renewed = clerk.get(url("live_rows"), {"ids": hidden.pk.hex}).text
    assert "data-ewf-row" not in renewed
    assert jobs.cancel(hidden)


def test_a_job_stays_on_its_own_site(clerk):
    """Links, buttons and redirects of a custom site lead to that site, with the list's filters."""
    job = make(outcomes=[{"execution": str(uuid7()), "reason": "late"}], skipped_count=1)
    filters = "?_changelist_filters=p%3D1"

    page = clerk.get(url("change", job.pk) + filters).text
    question = clerk.post(url("cancel", job.pk) + filters).text
    canceled = clerk.post(url("cancel", job.pk) + filters, {"confirmed": "yes"})

    assert f'formaction="{url("cancel", job.pk)}{filters}"' in page
    assert f'action="{url("cancel", job.pk)}{filters}"' in question
    assert f'href="{url("change", job.pk)}{filters}"' in question
    assert "/admin/embedworkflow" not in page + question
    assert url("change", job.pk) + filters == canceled.url


@pytest.mark.parametrize(
    ("site", "rights", "linked"),
    [
        ("desk", ["view_job", "view_execution"], True),
        ("desk", ["view_job"], False),
        ("lone", ["view_job", "view_execution"], False),
    ],
    ids=["linked", "not for the viewer", "not on the site"],
)
def test_what_was_left_out_is_a_link_for_whoever_may_follow_it(as_staff, site, rights, linked):
    """The reason is for everybody who may see the job."""
    key = str(uuid7())
    job = make(outcomes=[{"execution": key, "reason": "too late"}], skipped_count=2)

    page = as_staff(*rights).get(url("change", job.pk, site=site)).text

    assert linked == (f'href="/{site}/embedworkflow/execution/{key}/change/"' in page)
    assert "too late" in page
    assert "Only the first ones are kept" in page


def test_the_page_says_how_it_stands_and_why_it_failed(clerk):
    """A sentence for each status; a job that ended as a whole says so in red."""
    failed = make(Job.Status.FAILED, outcomes=[{"reason": "ann has no right"}])
    ending = make(cancel_requested_at=failed.created_at)

    said = parts(clerk.get(url("change", failed.pk)).text)
    assert "It has ended before its time" in said
    assert "What went wrong ann has no right" in said
    assert "Skipped and failed None" in said
    assert "It ends before its next execution." in clerk.get(url("change", ending.pk)).text


@pytest.mark.parametrize(("site", "page"), [("desk", "job"), ("bare", "execution")])
def test_whoever_starts_a_job_is_led_to_it_on_his_own_site(clerk, monkeypatch, site, page):
    """Where the site has no jobs, back to the list."""
    monkeypatch.setattr(actions, "MAX_SELECTED", 1)
    rows = [Execution.objects.create(workflow="bake", status=Status.QUEUED) for _ in range(2)]
    form = {"action": "cancel", "select_across": "1", "_selected_action": [str(rows[0].pk)]}
    at = reverse("admin:embedworkflow_execution_changelist", current_app=site)

    question = clerk.post(at, form).text
    token = re.search(r'name="frozen" value="([^"]+)"', question)[1]
    answer = clerk.post(at, {**form, "frozen": token, "confirmed": "yes"})

    assert answer.url.startswith(f"/{site}/embedworkflow/{page}/")


def test_list_and_page_take_as_many_queries_for_many_jobs_as_for_one(clerk):
    """No query is made per row, nor per outcome."""
    counts = []
    for more in (1, 30):
        outcomes = [{"execution": str(uuid7()), "reason": "late"}] * more
        made = [make(outcomes=outcomes) for _ in range(more)]
        pages = (url("changelist"), url("change", made[0].pk))
        for page in pages:
            clerk.get(page)
        with CaptureQueriesContext(connection) as queries:
            for page in pages:
                clerk.get(page)
        counts.append(len(queries))

    assert counts[0] == counts[1]
