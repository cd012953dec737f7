"""What the admin shows of executions, and what its verbs do."""

from __future__ import annotations

import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import django
import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, connections
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone, translation

from embedworkflow_django import admin as our_admin
from embedworkflow_django import services, triggers
from embedworkflow_django.admin import actions, alerts, lists, outlook, pages, presentation
from embedworkflow_django.models import Execution, ExecutionEvent, Status
from embedworkflow_django.redaction import REDACTED

from .bakery.models import Cake, Recipe

NOW = timezone.now()


class KitchenAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """A subclass that keeps the chef's executions to himself."""

    def has_view_permission(self, request, obj=None):
        """Hide what belongs to the chef."""
        own = obj is not None and obj.user_key == "chef"
        return super().has_view_permission(request, obj) and not own

    def has_stop_permission(self, request, obj=None):
        """Protect the oven."""
        return super().has_stop_permission(request, obj) and (obj is None or obj.workflow != "oven")


class CakeAdmin(admin.ModelAdmin):
    """Cakes, of which the secret one is nobody's business."""

    def has_view_permission(self, request, obj=None):
        """Hide the secret cake."""
        return super().has_view_permission(request, obj) and (
            obj is None or obj.name != "secret cake"
        )


class NoPagesAdmin(admin.ModelAdmin):
    """An admin without the usual URLs."""

    def get_urls(self):
        """Return none."""
        return []


kitchen = admin.AdminSite(name="kitchen")
kitchen.register(Execution, KitchenAdmin)
kitchen.register(Cake, CakeAdmin)
kitchen.register(Recipe, NoPagesAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("kitchen/", kitchen.urls)]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def chef(client):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("chef"))
    return client


def make(status=Status.FAILED, **values):
    """Return a saved execution; a final one wants no attention."""
    fields = {"workflow": "order-fulfilment", "status": status}
    if status not in (Status.QUEUED, Status.RUNNING, Status.UPCOMING):
        fields["due_at"] = None
    return Execution.objects.create(**fields | values)


def url(page, *args, site="admin"):
    """Return the URL of a page."""
    return reverse(f"admin:embedworkflow_execution_{page}", args=args, current_app=site)


def listed(client, **query):
    """Return the ids of the executions that the list shows."""
    answer = client.get(url("changelist"), query)
    assert 200 == answer.status_code
    return [execution.pk for execution in answer.context["cl"].result_list]


def page_of(client, execution, **query):
    """Return the text of an execution's page."""
    answer = client.get(url("change", execution.pk), query)
    assert 200 == answer.status_code
    return answer.text


def yes(**more):
    """Return what a question posts when it is confirmed."""
    return {"confirmed": "yes", "key": str(uuid.uuid4()), **more}


def pressed(client, page_url, verb):
    """Press a verb's button on a page, as a browser does: on its own URL, or on the page's."""
    page = client.get(page_url).text
    button = re.search(rf'<button [^>]*id="ewf-verb-{verb}"[^>]*>', page)[0]
    (key,) = re.findall(r'name="_selected_action" value="([^"]*)"', page) or [""]
    own = re.search(r'formaction="([^"]+)"', button)
    if own:
        return client.post(own[1])
    name, value = re.search(r'name="([^"]+)" value="([^"]+)"', button).groups()
    return client.post(page_url, {name: value, "_selected_action": key})


def messages(answer):
    """Return what an answer's page reports."""
    return [str(message) for message in answer.context["messages"]]


# The list


def test_the_list_shows_the_newest_first_whatever_the_url_asks(chef):
    """The primary key is the one order."""
    old, new = make(workflow="a"), make(workflow="b")

    assert [new.pk, old.pk] == listed(chef)
    assert [new.pk, old.pk] == listed(chef, o="2.1.3")


def test_each_row_leads_to_its_own_page_on_the_site_that_is_looked_at(chef):
    """The URL is reversed once for all the rows, and is the one that Django finds for each."""
    for _ in range(2):
        make()

    cl = chef.get(url("changelist", site="kitchen")).context["cl"]

    for row in cl.result_list:
        assert url("change", row.pk, site="kitchen") == cl.url_for_result(row)
        assert ChangeList.url_for_result(cl, row) == cl.url_for_result(row)


def test_the_list_takes_as_many_queries_for_100_rows_as_for_one(chef):
    """No query is made per row: session, user, alert, counts, keys and rows are all there is."""
    cake = Cake.objects.create(name="Sacher")
    source = {"source_type": "bakery.cake", "source_id": str(cake.pk)}
    make(**source)
    counts = []
    for more in (0, 99):
        for _ in range(more):
            make(**source)
        with CaptureQueriesContext(connection) as queries:
            answer = chef.get(url("changelist", site="kitchen"))
        assert 1 + more == len(answer.context["cl"].result_list)
        counts.append(len(queries))

    assert [7, 7] == counts


def test_the_list_fetches_no_json(chef):
    """Columns of any size stay in the database."""
    make()
    with CaptureQueriesContext(connection) as queries:
        chef.get(url("changelist"))

    (rows,) = [q["sql"] for q in queries if re.search(r'["`]workflow["`]', q["sql"])]
    for column in lists.HEAVY:
        assert column not in rows


def test_the_list_counts_no_further_than_the_cap(chef, monkeypatch):
    """Beyond the cap the list says that there is more, and counts nothing."""
    monkeypatch.setattr(lists, "MAX_COUNT", 3)
    for _ in range(3):
        make()
    assert "only the newest" not in chef.get(url("changelist")).text

    newest = make()

    answer = chef.get(url("changelist"))
    assert 3 == answer.context["cl"].result_count
    assert "There are more than 3 executions; only the newest 3 are listed." in answer.text
    assert newest.pk == answer.context["cl"].result_list[0].pk


def test_a_second_page_follows_the_first(chef, monkeypatch):
    """Rows that do not fit are on the next page."""
    monkeypatch.setattr(our_admin.ExecutionAdmin, "list_per_page", 2)
    rows = [make().pk for _ in range(3)]

    assert [rows[2], rows[1]] == listed(chef)
    assert [rows[0]] == listed(chef, p=2)


def test_the_title_names_what_is_listed(chef):
    """The list is for reading, so it does not ask to select something to view."""
    assert "Executions" == chef.get(url("changelist")).context["title"]
    popup = chef.get(url("changelist"), {"_popup": "1"})
    assert "Select execution" == popup.context["title"]


@pytest.mark.parametrize("status", Status.values)
def test_each_status_has_a_word_and_a_silhouette_of_its_own(status):
    """No status is told apart by colour alone."""
    drawn = {other: re.search(r' d="([^"]+)"', presentation.badge(other))[1] for other in Status}

    assert f"ewf-{status}" in presentation.badge(status)
    assert str(Status(status).label) in presentation.badge(status)
    assert 1 == list(drawn.values()).count(drawn[status])


def test_a_status_that_is_not_ours_is_shown_as_it_is():
    """A word from elsewhere is escaped and looks unknown."""
    badge = presentation.badge("<b>odd</b>")

    assert "&lt;b&gt;odd" in badge
    assert "ewf-unknown" in badge


@pytest.mark.parametrize(
    ("values", "reading", "parts"),
    [
        pytest.param({}, "–", 0, id="nothing-known"),
        pytest.param({"actions_count": 4}, "0 of 4", 0, id="nothing-begun"),
        pytest.param(
            {"actions_count": 4, "completed_actions_count": 1, "failed_actions_count": 1},
            "1 of 4",
            2,
            id="some",
        ),
        pytest.param({"completed_actions_count": 3}, "3 of 3", 1, id="no-total"),
    ],
)
def test_progress_is_drawn_and_read_out(values, reading, parts):
    """The counters are a bar for the eye, and words for a screen reader."""
    bar = presentation.bar(Execution(**values))

    assert reading in bar
    assert parts == bar.count("<rect")
    assert ("aria-label" in bar) == bool(values)
    assert "style=" not in bar


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (125, "2 min 5 s"),
        (7380, "2 h 3 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_durations_are_told_in_two_units(seconds, words):
    """A duration is as long as it takes to understand it."""
    assert words == presentation.words(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("values", "duration"),
    [
        ({"status": Status.COMPLETED, "finished_at": NOW + timedelta(seconds=30)}, "30 s"),
        ({"status": Status.COMPLETED}, "–"),
        ({"status": Status.RUNNING}, "1 min 0 s so far"),
    ],
)
def test_a_duration_runs_until_the_end_or_now(values, duration):
    """What has not ended says so."""
    execution = Execution(created_at=NOW, **values)

    assert duration == presentation.duration(execution, NOW + timedelta(minutes=1))


@pytest.fixture
def _berlin(db, monkeypatch):
    """Let the database have a time zone of its own, in which summer time ends."""

    def forget():
        for name in ("timezone", "timezone_name"):
            vars(own).pop(name, None)
        own.ensure_timezone()

    own = connections["default"]
    with monkeypatch.context() as patched:
        patched.setitem(own.settings_dict, "TIME_ZONE", "Europe/Berlin")
        forget()
        yield
    forget()


@pytest.mark.usefixtures("_berlin")
def test_a_duration_is_how_long_it_took_whatever_the_clocks_did(chef):
    """The hour that summer time gives back has passed, too."""
    began = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    times = {"created_at": began, "finished_at": began + timedelta(hours=3)}
    page = page_of(chef, make(Status.COMPLETED, dispatched_at=began, **times))

    assert "It completed after 3 h 0 min." in page
    assert '<td class="ewf-line">3 h 0 min</td>' in page
    assert '<span class="ewf-under">+3 h 0 min</span>' in page
    assert "<span>0</span><span>3 h 0 min</span>" in page


def test_times_are_told_without_time_zones_too(settings):
    """A project without time zones has naive times."""
    settings.USE_TZ = False
    naive = NOW.replace(tzinfo=None, year=2026, month=3, day=1, hour=4, minute=5, second=6)

    assert "March 1, 2026, 04:05:06" == presentation.timestamp(naive)
    assert "" == presentation.timestamp(None)


# Sources


def test_a_moment_is_told_in_each_viewers_zone_and_language(settings):
    """The same moment, one viewer after the other; seconds only where the format has them."""
    when = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)

    def told():
        return re.search(">(.*)<", presentation.brief(when))[1]

    with timezone.override("UTC"):
        assert "03/01/2026 4:05 a.m." == told()
        with translation.override("de"):
            assert "01.03.2026 04:05" == told()
    with timezone.override("Asia/Tokyo"):
        assert "03/01/2026 1:05 p.m." == told()
    settings.SHORT_DATETIME_FORMAT = "H:i:s"
    with timezone.override("UTC"), translation.override(None):
        assert "04:05:06" == told()


def test_the_list_links_to_a_source_that_the_viewer_may_see(chef):
    """The source's own admin is one click away."""
    cake = Cake.objects.create(name="Sacher")
    make(source_type="bakery.cake", source_id=str(cake.pk))

    link = reverse("kitchen:bakery_cake_change", args=[cake.pk])
    assert (
        f'<a href="{link}">cake {cake.pk}</a>' in chef.get("/kitchen/embedworkflow/execution/").text
    )


@pytest.mark.parametrize(
    ("site", "label"),
    [
        pytest.param("kitchen", "gone.model", id="model-gone"),
        pytest.param("kitchen", "bakery.recipe", id="no-pages"),
        pytest.param("kitchen", "bakery.ingredient", id="not-registered"),
        pytest.param("admin", "bakery.cake", id="not-on-this-site"),
    ],
)
def test_a_source_without_a_page_is_named_without_a_link(chef, site, label):
    """What cannot be opened is still named."""
    execution = make(source_type=label, source_id="17")
    name = label if label.startswith("gone") else label.split(".")[1]

    in_list = chef.get(f"/{site}/embedworkflow/execution/").text
    on_page = chef.get(f"/{site}/embedworkflow/execution/{execution.pk}/change/").text

    for text in (in_list, on_page):
        assert f"{name} 17" in text
        assert "/17/change/" not in text


def test_a_source_is_not_linked_for_those_who_may_not_see_it(as_staff):
    """The source's admin decides who may see it."""
    client = as_staff("view_execution")
    cake = Cake.objects.create(name="Sacher")
    execution = make(source_type="bakery.cake", source_id=str(cake.pk))

    in_list = client.get("/kitchen/embedworkflow/execution/").text
    on_page = client.get(f"/kitchen/embedworkflow/execution/{execution.pk}/change/").text

    assert f"cake {cake.pk}" in in_list
    assert "bakery/cake" not in in_list + on_page
    assert "Sacher" not in on_page


@pytest.mark.parametrize(
    ("name", "pk", "text"),
    [
        pytest.param("Sacher", None, "(Sacher)", id="there"),
        pytest.param("secret cake", None, "(gone, or not for you to see)", id="hidden"),
        pytest.param("Sacher", "999", "(gone, or not for you to see)", id="gone"),
        pytest.param("Sacher", "not a key", "(gone, or not for you to see)", id="no-key"),
    ],
)
def test_the_page_names_the_source_if_the_viewer_may_see_it(chef, name, pk, text):
    """A source that was deleted, or is hidden, is told apart from one that is there."""
    cake = Cake.objects.create(name=name)
    execution = make(source_type="bakery.cake", source_id=pk or str(cake.pk))

    page = chef.get(f"/kitchen/embedworkflow/execution/{execution.pk}/change/").text

    assert text in page
    assert "(secret cake)" not in page


def test_a_user_and_an_account_of_its_own_stand_below_the_source(chef):
    """The default account goes without saying."""
    make(user_key="customer-17", account="eu")
    make(account="default", user_key="")

    text = chef.get(url("changelist")).text

    assert '<span class="ewf-under">customer-17</span> <span class="ewf-under">eu</span>' in text
    assert '<span class="ewf-under">default</span>' not in text


# Filters and search


def test_the_filters_filter(chef, settings):
    """Status, workflow and account each leave the rows that match."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "ACCOUNTS": {"eu": {}}}
    one = make(Status.FAILED, workflow="a", account="eu")
    two = make(Status.COMPLETED, workflow="b")

    assert [one.pk] == listed(chef, status="failed")
    assert [two.pk] == listed(chef, workflow="b")
    assert [one.pk] == listed(chef, account="eu")
    assert [two.pk, one.pk] == listed(chef)


def test_what_is_looked_at_is_a_filter_of_its_own(chef, declared):
    """An account too, if there is only one; an empty one is none, and NUL is an error."""
    one, two = make(account="gone", trigger="t"), make()

    assert [one.pk] == listed(chef, account="gone")
    assert [two.pk] == listed(chef, account="default")
    for name in ("status", "workflow", "trigger", "account"):
        assert [two.pk, one.pk] == listed(chef, **{name: ""})
        answer = chef.get(url("changelist"), {name: "\0"})
        assert f"{url('changelist')}?e=1" == answer.url


@pytest.fixture
def declared():
    """Two triggers of a signal of their own: one whose workflow is known, one that chooses it."""

    def sold(cake, **kwargs):
        """Start nothing."""

    def named(cake, **kwargs):
        """Start nothing."""

    sale = Signal()
    triggers.trigger(sale, sender=Cake, workflow="cake-sold")(sold)
    triggers.trigger(sale, sender=Cake, workflow=lambda cake: cake.name)(named)
    yield
    for function in (sold, named):
        del triggers.registry[f"{function.__module__}.{function.__qualname__}"]


def test_the_choices_of_the_filters_are_not_looked_up(chef, declared):
    """Triggers and settings know the choices; the account is no choice if there is only one."""
    make(workflow="other")

    answer = chef.get(url("changelist"), {"workflow": "odd"})

    choices = {
        spec.parameter_name: [value for value, _label in spec.lookup_choices]
        for spec in answer.context["cl"].filter_specs
    }
    assert {"view", "status", "created", "workflow", "trigger"} == set(choices)
    assert Status.values == choices["status"]
    assert {"cake-sold", "odd"} <= set(choices["workflow"])
    assert "other" not in choices["workflow"]


def test_a_list_without_executions_says_where_they_come_from(chef):
    """Not under a filter, nor for a search, that finds nothing."""
    words = "No workflow was asked for yet"
    assert words in chef.get(url("changelist")).text
    for query in ({"status": "failed"}, {"view": "queued"}, {"q": "x"}):
        assert words not in chef.get(url("changelist"), query).text
    make()
    assert words not in chef.get(url("changelist")).text


def test_search_finds_what_is_asked_for_exactly(chef):
    """An id or its beginning, a remote id, a key, a workflow, a source: nothing that is alike."""
    make()
    wanted = make(
        id=uuid.UUID("019a0000-0000-7000-8000-0000000000ab"),
        workflow="welcome-email",
        remote_id="019b1111-0000-7000-8000-0000000000cd",
        hashid="Xk3qP",
        idempotency_key="welcome:17",
        source_type="bakery.cake",
        source_id="17",
    )
    hits = (
        str(wanted.pk),
        wanted.pk.hex,
        "019A0000",
        "019a0000-0000",
        "019b1111-0000-7000-8000-0000000000cd",
        " welcome:17 ",
        "Xk3qP",
        "welcome-email",
        "bakery.cake:17",
        "bakery.cheapcake:17",
        "bakery.CheapCake:17",
        "Bakery.Cake: 17",
        "cake 17",
        "Cheap cake 17",
    )
    misses = (
        "welcome",
        "019a",
        "bakery.cake:1",
        "bakery.cheapcake:1",
        "bakery.gone:17",
        "bakery.cake",
        "cake 1",
        "cake",
        "batch 17",
        "%",
        "-" * 8,
        "f" * 36,
    )

    assert {term: [wanted.pk] for term in hits} == {term: listed(chef, q=term) for term in hits}
    assert {term: [] for term in misses} == {term: listed(chef, q=term) for term in misses}
    assert 2 == len(listed(chef, q="  "))


def test_search_takes_an_object_for_what_the_list_calls_it(chef, settings):
    """In the viewer's language; what is called so itself is found as well, or else a workflow."""
    settings.LANGUAGE_CODE = "de"
    about = make(source_type="auth.user", source_id="17")
    key = make(idempotency_key="Benutzer 17")
    flow = make(workflow="Benutzer begrüßen")

    assert "Benutzer 17" in chef.get(url("changelist")).text
    assert [key.pk, about.pk] == listed(chef, q="Benutzer 17")
    assert about.pk in listed(chef, q="benutzer 17")
    assert [flow.pk] == listed(chef, q="Benutzer begrüßen")


# The page


def test_the_page_tells_in_three_parts(chef):
    """What was asked, what happened, what happens next, in that order."""
    execution = make(
        Status.FAILED,
        remote_id="r-1",
        actions_count=2,
        failed_actions_count=1,
        last_error="422 card declined",
        log={"note": "first"},
        trigger="shop.workflows.order_placed",
    )
    execution.events.create(status=Status.FAILED, source="poll", detail={"failed_actions_count": 1})
    execution.events.create(status=Status.FAILED, source="poll", detail=["odd"])

    page = page_of(chef, execution)

    headings = ["What was asked", "What happened", "What happens next"]
    assert headings == re.findall(r'<h2 id="ewf-\w+">([^<]+)</h2>', page)
    for text in (
        "<b>422</b> card declined",
        "shop.workflows.order_placed",
        "failed actions",
        "r-1",
    ):
        assert text in page


def test_the_page_takes_a_fixed_number_of_queries(chef):
    """However long the history and the chain are, the page costs the same."""
    execution = make()
    page_of(chef, execution)  # What a process asks once is known from here on.
    counts = []
    for more in (1, 30):
        for _ in range(more):
            execution.events.create(status=Status.FAILED, source="poll")
            make(run_again_of=execution)
        with CaptureQueriesContext(connection) as queries:
            page_of(chef, execution)
        counts.append(len(queries))

    assert [7, 7] == counts


def test_the_latest_events_are_shown_oldest_first(chef, monkeypatch):
    """A long history is cut off at its beginning, and says so."""
    monkeypatch.setattr(pages, "MAX_EVENTS", 2)
    execution = make()
    for number in range(2):
        execution.events.create(status=Status.FAILED, source="poll", detail={"n": f"no-{number}"})
    assert "Only the latest events" not in page_of(chef, execution)
    execution.events.create(status=Status.FAILED, source="poll", detail={"n": "no-2"})

    page = page_of(chef, execution)

    assert ["no-1", "no-2"] == re.findall(r"no-\d", page)
    assert "Only the latest events are shown." in page


def test_the_source_leads_to_its_other_executions(chef):
    """The list of what else was done about the same object is one click away."""
    execution = make(source_type="bakery.cake", source_id="a/b&c")

    page = page_of(chef, execution)

    assert f'href="{url("changelist")}?q=bakery.cake%3Aa%2Fb%26c"' in page
    assert [execution.pk] == listed(chef, q="bakery.cake:a/b&c")


def test_what_came_from_outside_is_escaped(chef):
    """Neither names nor errors nor data can bring markup in."""
    evil = "<script>alert(1)</script>"
    execution = make(
        workflow=evil,
        last_error=evil,
        execution_data={evil: evil},
        user_key=evil,
        name=evil,
        log={evil: evil},
        source_type="bakery.cake",
        source_id=evil,
        account="eu",
        trigger=evil,
        remote_status=evil,
    )
    execution.events.create(status="<script>", source="person", detail={evil: evil})
    make(Status.QUEUED, account=evil, last_error=f"401 {evil}", due_at=NOW)

    pages_shown = [
        chef.get(url("changelist")),
        chef.get(url("changelist"), {"q": evil, "workflow": evil}),
        chef.get(url("change", execution.pk)),
        chef.post(url("run_again", execution.pk)),
        chef.post(url("run_again", execution.pk), yes(), follow=True),
        chef.post(
            url("changelist"),
            {"action": "cancel", "_selected_action": [str(execution.pk)], "confirmed": "1"},
            follow=True,
        ),
    ]

    for shown in pages_shown:
        assert 200 == shown.status_code
        assert "alert(1)" in shown.text
        assert "<script>" not in shown.text


def test_no_page_needs_inline_style_or_script(chef):
    """A strict content security policy holds on each of our pages."""
    execution = make(actions_count=2, completed_actions_count=1)
    shown = [
        chef.get(url("changelist")),
        chef.get(url("change", execution.pk)),
        chef.post(url("run_again", execution.pk)),
    ]

    for answer in shown:
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
        assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>\s*\S", answer.text)
        assert "embedworkflow_django/admin.css" in answer.text


def test_large_json_is_cut_off(monkeypatch):
    """A page stays readable, whatever the API sends."""
    monkeypatch.setattr(presentation, "MAX_JSON", 10)

    assert '"aaaaaaaaa\n… cut off after 10 characters' == presentation.pretty(
        "a" * 50, unredacted=True
    )
    assert '"aaaa"' == presentation.pretty("aaaa", unredacted=True)


def test_an_execution_that_is_not_there_leads_back_to_the_index(chef):
    """A stale or broken link ends in a message, as everywhere in the admin."""
    for pk in (uuid.uuid4(), "nonsense"):
        for answer in (
            chef.get(url("change", pk), follow=True),
            chef.post(url("refresh", pk), {"confirmed": "yes"}, follow=True),
        ):
            assert ["doesn’t exist. Perhaps it was deleted?"] == [m[-38:] for m in messages(answer)]


def test_the_lists_filters_survive_a_visit_to_a_page(chef):
    """Whoever comes from a filtered list gets back to it, also after a verb."""
    execution = make(Status.RUNNING, remote_id="r-1")
    filters = {"_changelist_filters": "status=running"}

    page = page_of(chef, execution, **filters)
    assert f'href="{url("changelist")}?status=running"' in page

    question = pressed(chef, f"{url('change', execution.pk)}?{urlencode(filters)}", "refresh")
    confirm = re.search(r'action="([^"]+/refresh/[^"]*)"', question.text)[1]
    answer = chef.post(confirm, {"confirmed": "yes"})
    assert f"{url('change', execution.pk)}?_changelist_filters=status%3Drunning" == answer.url


# What happens next

SOON, LATE = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
OUTLOOKS = {
    "due": ({"due_at": NOW}, "the next free worker sends it"),
    "later": ({"due_at": SOON, "run_at": SOON}, "It will be sent: "),
    "again": ({"due_at": SOON, "attempts": 2, "last_error": "503"}, "It will be sent again: "),
    "until": ({"due_at": SOON, "attempts": 2}, "Attempts end: "),
    "lost": ({"sent_at": NOW, "attempts": 1, "due_at": SOON}, "same idempotency key"),
    "sending": ({"claim": "c", "due_at": SOON}, "A worker is sending it"),
    "refused": ({"due_at": NOW, "last_error": "POST /x: 401 no"}, "does not let the account"),
    "overdue": ({"due_at": LATE}, "Is a worker running?"),
    "running": ({"status": Status.RUNNING, "due_at": SOON}, "Next, the API is asked"),
    "running-due": ({"status": Status.RUNNING, "due_at": NOW}, "by the next free worker"),
    "stopping": (
        {"status": Status.RUNNING, "due_at": NOW, "stop_requested_at": NOW},
        "A stop was asked for",
    ),
    "upcoming": ({"status": Status.UPCOMING, "due_at": None}, "not followed any more"),
    "gone": ({"status": Status.UNKNOWN, "due_at": None, "misses": 3}, "does not know this"),
    "odd": ({"status": Status.UNKNOWN, "due_at": SOON, "remote_status": "paused"}, "“paused”"),
    "completed": ({"status": Status.COMPLETED, "due_at": None}, "it has completed"),
    "unannounced": ({"status": Status.COMPLETED, "due_at": NOW}, "still to be announced"),
    "failed": ({"status": Status.FAILED, "due_at": None}, "which action failed"),
    "stopped": ({"status": Status.STOPPED, "due_at": None}, "it was stopped"),
    "deleted": ({"status": Status.DELETED, "due_at": None}, "archived"),
    "canceled": ({"status": Status.CANCELED, "due_at": None}, "before it was sent"),
    "undeliverable": (
        {"status": Status.UNDELIVERABLE, "due_at": None},
        "given up before anything started",
    ),
    "given-up": (
        {"status": Status.UNDELIVERABLE, "due_at": None, "sent_at": NOW},
        "no workflow is known to run",
    ),
    "unconfirmed": ({"status": Status.UNCONFIRMED, "due_at": None}, "then resolve it"),
    "unheard": ({"status": "odd", "due_at": SOON}, "Next, the API is asked"),
}


@pytest.mark.parametrize(("values", "words"), OUTLOOKS.values(), ids=OUTLOOKS)
def test_the_page_says_what_happens_next(values, words):
    """For each state there is a sentence on what will happen, or on what to do."""
    execution = Execution(workflow="w", created_at=NOW, **values)

    assert words in " ".join(outlook.sentences(execution, NOW))


def test_the_hint_is_in_the_list(chef):
    """The hint stands below the badge."""
    make(Status.RUNNING, stop_requested_at=NOW)

    assert '<span class="ewf-under">stop requested</span>' in chef.get(url("changelist")).text


@pytest.mark.parametrize(
    ("moment", "words"), [(None, ""), (SOON, "in 5 min 0 s"), (LATE, "5 min 0 s ago")]
)
def test_moments_are_told_from_now(moment, words):
    """A time is easier to grasp as a distance."""
    assert words == presentation.moment(moment, NOW)


# The alert


@pytest.mark.parametrize(
    ("error", "alerted"),
    [
        ("401 unauthorized", True),
        ("POST /workflows/w/execute: 403 forbidden (request id 7)", True),
        ("503 unavailable", False),
        ("4012 is no status", False),
        ("", False),
    ],
)
def test_an_account_that_the_api_refuses_is_announced(chef, error, alerted):
    """List and page warn when the rows that are due longest say that the key is refused."""
    execution = make(Status.QUEUED, account="eu", last_error=error, due_at=NOW)

    for answer in (chef.get(url("changelist")), chef.get(url("change", execution.pk))):
        assert alerted == ("does not let the account “eu” in" in answer.text)


def test_the_alert_costs_two_queries_for_a_few_rows():
    """However many rows are due, few are looked at, and only where no living worker tells."""
    for _ in range(3):
        make(Status.QUEUED, last_error="401 no", due_at=NOW)
    with CaptureQueriesContext(connection) as queries:
        assert {"default": "401 no"} == alerts.refused_accounts()

    assert 2 == len(queries)
    assert all("LIMIT 100" in query["sql"] for query in queries)


# A setting that is wrong


@pytest.mark.parametrize(
    ("given", "pages", "words"),
    [
        (
            "sk_live_swordfish",
            ("changelist", "overview"),
            "EMBEDWORKFLOW should be a dict, not str.",
        ),
        ({"ACCOUNTS": []}, ("changelist", "overview"), "should be a dict of dicts."),
        ({"ACCOUNTS": {"": {}}}, ("changelist", "overview", "overview_live"), "an alias should be"),
        ({"LEASE": "sk_live_swordfish"}, ("overview", "overview_live"), "not 'sk_live_…'."),
        ({"GIVE_UP_AFTER": "soon"}, ("change", "live"), "or a timedelta, not 'soon'."),
    ],
)
def test_a_page_names_the_setting_without_which_it_cannot_be_shown(
    chef, settings, given, pages, words
):
    """It is no server's error that nobody explains; and no key is on the page."""
    waiting = make(Status.QUEUED, attempts=1, due_at=timezone.now() + timedelta(hours=1))
    if isinstance(given, dict):
        given = {**settings.EMBEDWORKFLOW, **given}
    settings.EMBEDWORKFLOW = given
    cache.clear()

    for page in pages:
        answer = chef.get(url(page, *([waiting.pk] if page in {"change", "live"} else [])))

        assert 503 == answer.status_code
        assert words in html.unescape(answer.text)
        assert "swordfish" not in answer.text


# The verbs

FITTING = {
    "refresh": {"status": Status.RUNNING, "remote_id": "r-1"},
    "run_again": {"status": Status.FAILED, "execution_data": {"order": 17}},
    "cancel": {"status": Status.QUEUED},
    "stop": {"status": Status.RUNNING, "remote_id": "r-2"},
    "resolve": {"status": Status.UNCONFIRMED},
}


@pytest.mark.parametrize("verb", ["refresh", "run_again", "cancel", "stop"])
def test_a_button_asks_before_it_acts(chef, verb):
    """It shows what it will affect, and does nothing yet."""
    execution = make(**FITTING[verb])

    answer = chef.post(url(verb, execution.pk))

    assert 200 == answer.status_code
    assert str(execution.pk) in answer.text
    assert 0 == ExecutionEvent.objects.count()
    assert 1 == Execution.objects.count()
    assert (("&quot;order&quot;: 17") in answer.text) == (verb == "run_again")


@pytest.mark.parametrize("verb", ["refresh", "run_again", "cancel", "stop"])
def test_a_button_acts_and_says_who_did_it(chef, verb):
    """After the confirmation it is done, logged under the person's name and reported."""
    execution = make(**FITTING[verb])

    answer = chef.post(url(verb, execution.pk), yes(), follow=True)

    assert 1 == len(messages(answer))
    assert "1 execution" in messages(answer)[0]
    assert ["chef"] == [entry.user.get_username() for entry in LogEntry.objects.all()]
    assert "chef" == execution.events.get().detail["by"]


def test_what_the_verbs_do(chef):
    """Each verb is the service of that name."""
    rows = {verb: make(**FITTING[verb]) for verb in FITTING}
    for verb, row in rows.items():
        chef.post(url(verb, row.pk), yes(answer="resend"))
        row.refresh_from_db()

    assert Status.CANCELED == rows["cancel"].status
    assert rows["stop"].stop_requested_at is not None
    assert Status.QUEUED == rows["resolve"].status
    again = rows["run_again"].run_again_as.get()
    assert (Status.QUEUED, {"order": 17}) == (again.status, again.execution_data)


def test_run_again_leads_to_the_new_execution(chef):
    """After running again one looks at the new run, and the log names it."""
    execution = make()

    answer = chef.post(url("run_again", execution.pk), yes())

    again = execution.run_again_as.get()
    assert url("change", again.pk) == answer.url
    assert f"Run again, as {again.pk}" == LogEntry.objects.get().change_message


def test_who_resolves_is_told_that_the_workflow_has_called_back(chef):
    """Then it did happen, and is not to be sent again."""
    execution = make(Status.UNCONFIRMED)
    asked = url("resolve", execution.pk)
    execution.events.create(source="delivery", status=Status.QUEUED)
    assert "called back" not in chef.post(asked).text
    services.called_back(execution)

    assert "Its workflow called back on" in chef.post(asked).text


def test_resolving_as_happened_takes_the_remote_id(chef):
    """Who found it says under which id."""
    execution = make(Status.UNCONFIRMED)
    form = {"confirmed": "yes", "answer": "happened", "remote_id": "r-17"}

    chef.post(url("resolve", execution.pk), form)

    execution.refresh_from_db()
    assert (Status.RUNNING, "r-17") == (execution.status, execution.remote_id)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"answer": "happened"}, "Give the remote id of the execution that did happen."),
        ({"answer": "happened", "remote_id": "x" * 65}, "at most 64 characters"),
        ({}, "This field is required."),
        ({"answer": "maybe"}, "not one of the available choices"),
    ],
)
def test_resolving_asks_for_what_is_missing(chef, form, error):
    """An incomplete answer is asked for again, and nothing is done."""
    execution = make(Status.UNCONFIRMED)

    answer = chef.post(url("resolve", execution.pk), {"confirmed": "yes", **form})

    assert error in answer.text
    assert Status.UNCONFIRMED == Execution.objects.get().status


def test_resend_ignores_a_remote_id(chef):
    """Of two contradictory answers the one that was chosen counts."""
    execution = make(Status.UNCONFIRMED)
    form = {"confirmed": "yes", "answer": "resend", "remote_id": "r-17"}

    chef.post(url("resolve", execution.pk), form)

    execution.refresh_from_db()
    assert (Status.QUEUED, None) == (execution.status, execution.remote_id)


def test_a_refusal_is_told_in_the_services_words(chef):
    """What cannot be done any more says why, and is not logged."""
    execution = make(Status.QUEUED, sent_at=NOW)

    answer = chef.post(url("cancel", execution.pk), {"confirmed": "yes"}, follow=True)

    assert ["only a queued execution of which no delivery may have been received can be."] == [
        message.rpartition("; ")[2] for message in messages(answer)
    ]
    assert 0 == LogEntry.objects.count()


def test_a_missing_account_is_told_too(chef):
    """A configuration that does not fit is a sentence, not a server error."""
    execution = make(account="gone")

    answer = chef.post(url("run_again", execution.pk), yes(), follow=True)

    (message,) = messages(answer)
    assert "There is no account &#x27;gone&#x27; in EMBEDWORKFLOW." in message
    assert not execution.run_again_as.exists()


NOTES = ("resolve it first", "not queued any more", "nothing to ask")


@pytest.mark.parametrize("verb", ["refresh", "run_again", "cancel", "stop"])
def test_an_action_shows_what_it_will_affect(chef, verb):
    """The confirmation freezes the rows selected, and warns of those that do not fit."""
    fitting = make(**FITTING[verb])
    odd = make(Status.UNCONFIRMED)
    other = make(**FITTING["cancel"])
    ids = [str(fitting.pk), str(odd.pk)]

    answer = chef.post(url("changelist"), {"action": verb, "_selected_action": ids})

    frozen = re.findall(r'name="_selected_action" value="([^"]+)"', answer.text)
    assert sorted(ids) == sorted(frozen)
    assert str(other.pk) not in answer.text
    assert f'name="action" value="{verb}"' in answer.text
    assert any(text in answer.text for text in NOTES)


def test_an_action_refuses_some_rows_and_does_the_others(chef):
    """One row that is refused does not keep the others from being done."""
    good, bad, last = make(Status.QUEUED), make(Status.FAILED), make(Status.QUEUED)
    form = {
        "action": "cancel",
        "confirmed": "yes",
        "_selected_action": [str(row.pk) for row in (good, bad, last)],
    }

    answer = chef.post(f"{url('changelist')}?workflow=order-fulfilment", form, follow=True)

    assert "2 executions were canceled; they will not be sent." == messages(answer)[0]
    assert [str(bad)] == [message.partition(":")[0] for message in messages(answer)[1:]]
    assert 2 == Execution.objects.filter(status=Status.CANCELED).count()
    assert 2 == LogEntry.objects.count()
    assert "workflow=order-fulfilment" == answer.request["QUERY_STRING"]


def test_many_refusals_are_summed_up(chef, monkeypatch):
    """A hundred refusals do not make a hundred messages."""
    monkeypatch.setattr(actions, "MAX_REPORTED", 1)
    rows = [make(Status.FAILED) for _ in range(3)]
    form = {
        "action": "cancel",
        "confirmed": "yes",
        "_selected_action": [str(row.pk) for row in rows],
    }

    answer = chef.post(url("changelist"), form, follow=True)

    assert ["2 more were refused."] == messages(answer)[1:]


def test_all_that_match_are_frozen_up_to_a_limit(chef, monkeypatch):
    """All that match means all that match now; too many of them are not begun."""
    rows = [make(Status.QUEUED) for _ in range(2)]
    form = {"action": "cancel", "select_across": "1", "_selected_action": [str(rows[0].pk)]}
    answer = chef.post(url("changelist"), form)
    frozen = re.findall(r'name="_selected_action" value="([^"]+)"', answer.text)
    assert {str(row.pk) for row in rows} == set(frozen)

    monkeypatch.setattr(actions, "MAX_SELECTED", 1)
    # A job could not know what the kitchen's admin decides row by row.
    kitchens = reverse("kitchen:embedworkflow_execution_changelist")
    answer = chef.post(kitchens, form | {"confirmed": "yes"}, follow=True)

    assert "at a time" in messages(answer)[0]
    assert 0 == Execution.objects.filter(status=Status.CANCELED).count()


def edit(client, row, data, **more):
    """Run an execution again with other data, typed as text."""
    form = yes(execution_data=data, **more)
    return client.post(url("run_again", row.pk), form, follow=True)


def test_data_can_be_edited_before_it_is_run_again(chef):
    """The new execution gets what was typed, the old one keeps what it had."""
    row = make(execution_data={"cake": "plain"})
    page = chef.post(url("run_again", row.pk)).text
    assert "Edit the data" in page
    assert "&quot;cake&quot;: &quot;plain&quot;" in page
    edit(chef, row, '{"cake": "sacher"}')

    again = Execution.objects.get(run_again_of=row)
    assert {"cake": "sacher"} == again.execution_data
    assert {"cake": "plain"} == Execution.objects.get(pk=row.pk).execution_data


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("{", "This is no JSON"),
        ("[1]", "should be a dict"),
        ('{"name": "\\u0000"}', "cannot be stored"),
        ("null", "should be a dict, not null"),
        ("", "This field is required"),
    ],
)
def test_data_that_makes_no_sense_comes_back(chef, typed, said):
    """With what was typed, and with what is wrong with it; nothing is run."""
    row = make(execution_data={"cake": "plain"})
    answer = edit(chef, row, typed)

    assert said in answer.text
    assert "Edit the data" in answer.text
    assert 1 == Execution.objects.count()


@pytest.mark.parametrize("depth", [40, 400, 700, 850, 950, 990, 5000])
def test_data_of_any_depth_comes_back(chef, depth):
    """Too deep for us or for the interpreter, it is refused, and nothing is run."""
    row = make(execution_data={"cake": "plain"})
    answer = edit(chef, row, '{"a": ' + "[" * depth + "]" * depth + "}")

    assert 200 == answer.status_code
    assert answer.context["data_form"].errors
    assert 1 == Execution.objects.count()


def test_a_rearranged_list_of_hidden_values_comes_back_as_it_was_typed(as_staff):
    """What belongs to whom is not guessed: the error names the list, and nothing typed is lost."""
    client = as_staff("view_execution", "run_again_execution")
    row = make(execution_data={"keys": [{"token": "a"}, {"token": "b"}]})
    answer = edit(client, row, f'{{"keys": [{{"token": "{REDACTED}"}}], "note": "mine"}}')

    (error,) = answer.context["data_form"].errors["execution_data"]
    assert error.startswith("data['keys']: entries were added, removed or moved")
    assert "&quot;note&quot;: &quot;mine&quot;" in answer.text
    assert 1 == Execution.objects.count()


def test_hidden_values_survive_an_edit(as_staff):
    """Who may not see them neither changes nor learns them."""
    client = as_staff("view_execution", "run_again_execution")
    row = make(execution_data={"password": "swordfish", "cake": "plain"})
    page = client.post(url("run_again", row.pk)).text
    assert "swordfish" not in page
    hidden = re.search(r"password&quot;: &quot;(.+?)&quot;", page)[1]
    edit(client, row, f'{{"password": "{hidden}", "cake": "sacher"}}')

    again = Execution.objects.get(run_again_of=row)
    assert {"password": "swordfish", "cake": "sacher"} == again.execution_data
    answer = edit(client, row, f'{{"pin": "{hidden}", "password": "x"}}')
    assert "stands for a hidden value" in answer.text


def test_data_too_large_to_edit_is_run_again_as_it_is(chef):
    """It is offered for no editing, rather than cut off."""
    row = make(execution_data={"much": "x" * (presentation.MAX_JSON + 1)})
    assert "Edit the data" not in chef.post(url("run_again", row.pk)).text
    chef.post(url("run_again", row.pk), yes())

    assert row.execution_data == Execution.objects.get(run_again_of=row).execution_data


def test_resolving_is_done_one_at_a_time(chef):
    """Each unconfirmed execution has an answer of its own."""
    rows = [make(Status.UNCONFIRMED) for _ in range(2)]
    form = {"action": "resolve", "_selected_action": [str(row.pk) for row in rows]}
    answer = chef.post(url("changelist"), form, follow=True)
    assert ["This is done for 1 execution at a time. Select only one."] == messages(answer)

    form["_selected_action"] = [str(rows[0].pk)]
    answer = chef.post(f"{url('changelist')}?status=unconfirmed", form)

    assert f'action="{url("resolve", rows[0].pk)}?_changelist_filters=' in answer.text
    assert "What have you found?" in answer.text


def test_a_row_that_is_deleted_meanwhile_is_reported(chef):
    """Between confirmation and deed a row may be pruned."""
    model_admin = admin.site.get_model_admin(Execution)
    request = chef.get(url("changelist")).wsgi_request
    gone = make(Status.QUEUED)
    Execution.objects.all().delete()

    report = model_admin.perform(request, actions.VERBS["cancel"], [gone])

    assert ([], [], [(str(gone), f"Execution {gone.pk} was deleted.")]) == report


# A subclass on a site of its own


def test_a_subclass_on_its_own_site_stays_on_it(chef):
    """Links, buttons and redirects of a custom site lead to that site."""
    execution = make()
    base = f"/kitchen/embedworkflow/execution/{execution.pk}"

    page = chef.get(f"{base}/change/").text
    question = pressed(chef, f"{base}/change/", "run_again").text
    done = chef.post(f"{base}/run-again/", yes())

    assert f'action="{base}/run-again/"' in question
    assert "/admin/embedworkflow" not in page + question
    assert done.url.startswith("/kitchen/")


def test_object_permissions_are_asked_for(chef):
    """A subclass decides object by object who may see it and use a verb."""
    hidden = make(user_key="chef")
    oven = make(Status.RUNNING, workflow="oven", remote_id="r-1")
    base = "/kitchen/embedworkflow/execution/"
    stop = {"confirmed": "yes", "action": "stop"}

    assert 403 == chef.get(f"{base}{hidden.pk}/change/").status_code
    assert 403 == chef.post(f"{base}{hidden.pk}/run-again/", stop).status_code
    assert 403 == chef.post(f"{base}{oven.pk}/stop/", stop).status_code
    assert "ewf-verb-stop" not in chef.get(f"{base}{oven.pk}/change/").text
    answer = chef.post(base, stop | {"_selected_action": [str(oven.pk)]}, follow=True)
    assert [f"{oven}: You may not do this to it."] == messages(answer)


def test_the_question_of_an_action_tells_no_more_than_the_page(chef):
    """The data of an execution that is not for the viewer is not shown before it is refused."""
    mine, hidden = (make(user_key=user, execution_data={"cake": "sacher"}) for user in ("", "chef"))
    base = "/kitchen/embedworkflow/execution/"
    for row, shown in ((mine, True), (hidden, False)):
        form = {"action": "run_again", "_selected_action": [str(row.pk)]}
        assert shown == ("sacher" in chef.post(base, form).text)
        answer = chef.post(base, form | yes(), follow=True)
        assert shown == ("was queued again" in messages(answer)[0])


# Actions on the page


def cold(model_admin, request, queryset):
    """Put executions into the fridge."""
    queryset.update(user_key="cold")


class FridgeAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """A project's own action on the page, where Django has such actions."""

    actions = (*our_admin.ExecutionAdminMixin.actions, cold)


class OldFridgeAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """Written for a Django without actions on the page."""

    def get_actions(self, request):
        """Return what there is."""
        return super().get_actions(request)


fridge = admin.AdminSite(name="fridge")
fridge.register(Execution, FridgeAdmin)
old_fridge = admin.AdminSite(name="old_fridge")
old_fridge.register(Execution, OldFridgeAdmin)
urlpatterns += [path("fridge/", fridge.urls), path("old-fridge/", old_fridge.urls)]
NATIVE = django.VERSION >= (6, 1)
if NATIVE:
    cold.locations = [admin.ActionLocation.CHANGE_FORM]


@pytest.mark.skipif(NATIVE, reason="Django has actions on the page since 6.1")
def test_the_page_has_buttons_of_its_own(chef):
    """Before Django has actions on the page, each button posts to the verb's URL."""
    execution = make(Status.QUEUED)

    page = page_of(chef, execution)

    assert f'formaction="{url("cancel", execution.pk)}"' in page
    assert "Cancel 1 execution?" in pressed(chef, url("change", execution.pk), "cancel").text


@pytest.mark.skipif(not NATIVE, reason="Django has actions on the page since 6.1")
def test_the_buttons_are_the_actions_of_the_page(chef):
    """Where Django has actions on the page, those that make sense are the buttons, all of them."""
    execution = make(Status.QUEUED)
    at = url("change", execution.pk, site="fridge")

    page = chef.get(at).text
    question = pressed(chef, at, "cancel")
    cooled = pressed(chef, at, "cold")

    assert "formaction" not in page
    assert "ewf-verb-stop" not in page
    assert "Cancel 1 execution?" in question.text
    assert f'action="{url("cancel", execution.pk, site="fridge")}"' in question.text
    assert at == cooled.url
    execution.refresh_from_db()
    assert ("cold", Status.QUEUED) == (execution.user_key, execution.status)


@pytest.mark.skipif(not NATIVE, reason="Django has actions on the page since 6.1")
@pytest.mark.parametrize("selected", [[], ["another"], ["both"]])
def test_an_action_of_the_page_is_about_its_own_execution(chef, selected):
    """What is posted to one page does nothing to another execution."""
    execution, other = make(Status.QUEUED), make(Status.QUEUED)
    keys = {"another": [other.pk], "both": [execution.pk, other.pk]}
    form = {"CHANGE_FORM-action": "cancel", "confirmed": "yes"}
    form["_selected_action"] = [key for name in selected for key in keys[name]]

    answer = chef.post(url("change", execution.pk), form)

    assert 400 == answer.status_code
    assert 0 == ExecutionEvent.objects.count()


@pytest.mark.filterwarnings("ignore:Overriding get_actions")
def test_an_admin_that_knows_no_actions_of_the_page_keeps_its_buttons(chef):
    """A subclass written for Django 5.2 loses nothing on 6.1."""
    execution = make(Status.QUEUED)
    at = url("change", execution.pk, site="old_fridge")

    assert "Cancel 1 execution?" in pressed(chef, at, "cancel").text
