"""The overview in the admin: the figures' numbers in words that mean the same as its links."""

from __future__ import annotations

import contextlib
import html
import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.signals import request_started
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from embedworkflow_django import admin as our_admin
from embedworkflow_django import dispatchers, figures
from embedworkflow_django.admin import board, charts, overview
from embedworkflow_django.models import Execution, Status

from .databases import WITH_DEFAULT
from .test_figures import QUERIES, made, process, tally


class CellarAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """Executions of a site whose overview is the cellarer's alone."""

    def has_view_overview_permission(self, request):
        """Let the cellarer in, and nobody else."""
        return request.user.get_username() == "cellarer"


class AtticAdmin(our_admin.ExecutionAdmin):
    """Executions of a site that shows none."""

    def get_urls(self):
        """Return none."""
        return []


cellar, attic = admin.AdminSite(name="cellar"), admin.AdminSite(name="attic")
cellar.register(Execution, CellarAdmin)
attic.register(Execution, AtticAdmin)
SITES = {"admin": admin.site, "cellar": cellar, "attic": attic}
urlpatterns = [path(f"{name}/", site.urls) for name, site in SITES.items()]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch):
    """Begin without figures; those that a test has made are fresh to its end, slow as it may be."""
    monkeypatch.setattr(overview, "FRESH", 600)
    cache.clear()
    yield
    cache.clear()


def url(page="overview", site="admin"):
    """Return the URL of a page of a site."""
    return reverse(f"admin:embedworkflow_execution_{page}", current_app=site)


def tiles(answer):
    """Return the page's numbers by their titles."""
    return {str(tile.title): tile for tile in answer.context["tiles"]}


# Numbers and their links


def test_a_number_is_how_many_rows_its_link_leads_to(boss):
    """Whatever can be listed is called and counted as the list does it."""
    for count, status in enumerate(Status, start=1):
        for _ in range(count):
            made(status=status, due_at=None)
    linked = [tile for tile in boss.get(url()).context["tiles"] if tile.url]

    assert 4 == len(linked)
    for tile in linked:
        listed = boss.get(tile.url).context["cl"]
        assert str(listed.result_count) == tile.number
        assert any(tile.explanation == shown.view.explanation for shown in listed.quick_views)


def test_what_waits_and_what_is_in_hand_have_no_list(boss):
    """They are counted all the same, with the age of the oldest."""
    now = timezone.now()
    made(due_at=now - timedelta(minutes=5))
    made(due_at=now + timedelta(seconds=5), claim="somebody", status=Status.RUNNING)
    shown = tiles(boss.get(url()))
    due, in_hand = shown["Due now"], shown["In a worker’s hands"]

    assert ("1", "1", "", "") == (due.number, in_hand.number, due.url, in_hand.url)
    assert due.hint.startswith("the oldest for 5 min")
    assert ("1", "1") == (shown["Queued"].number, shown["In flight"].number)


def test_a_count_that_has_ended_says_so(boss, monkeypatch):
    """A sum of counts one of which was not counted to its end has no end either."""
    monkeypatch.setattr(figures, "CAP", 2)
    for status in (Status.UNCONFIRMED, Status.UNCONFIRMED, Status.UNDELIVERABLE, Status.RUNNING):
        made(status=status, due_at=None)
    shown = tiles(boss.get(url()))

    assert "3+" == shown["Needs attention"].number
    assert "2+" == shown["Awaiting a decision"].number
    assert "1" == shown["In flight"].number


def test_whoever_may_not_see_the_list_gets_no_links(as_staff):
    """The numbers are the same; what they would lead to is not for everybody."""
    made()
    tally(status=Status.COMPLETED)
    answer = as_staff("view_overview").get(url())

    assert "1" == tiles(answer)["Queued"].number
    assert not re.search(f'{url("changelist")}["?]', answer.text.split('id="content"')[1])


# What is wrong at large


@pytest.fixture
def _no_thread_begins():
    """Let a request start no worker, as where threads cannot run."""
    uid = "embedworkflow_django.dispatchers"
    assert request_started.disconnect(dispatch_uid=uid)
    yield
    request_started.connect(dispatchers._request_started, dispatch_uid=uid)


@pytest.mark.usefixtures("_no_thread_begins")
@pytest.mark.parametrize(
    ("dispatcher", "advice"),
    [("worker", "Start “manage.py embedworkflow_worker”."), ("thread", "DISPATCHER is “thread”.")],
)
def test_an_alert_says_that_nobody_serves_what_is_due(boss, settings, dispatcher, advice):
    """Once it has waited for a while; and it says since when nobody does."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "DISPATCHER": dispatcher}
    made(due_at=timezone.now() - timedelta(minutes=2))
    process(age=600)
    (alert,) = boss.get(url()).context["alerts"]

    assert "No worker is at work, and 1 execution is due." == alert["title"]
    assert alert["text"].startswith("The last sign of life was 10 min")
    assert alert["text"].endswith(advice)


def test_an_alert_where_no_worker_was_ever_seen(boss):
    """There is no sign of life to tell of."""
    made(due_at=timezone.now() - timedelta(minutes=2))
    answer = boss.get(url())

    assert "No worker has given a sign of life within the last day." in answer.text
    assert "bad" == tiles(answer)["Due now"].tone


@pytest.mark.parametrize("values", [{"age": 1}, {"age": 1, "in_flight": 3}])
def test_no_alert_while_a_worker_lives(boss, values):
    """Nor before something has waited for long."""
    made(due_at=timezone.now() - timedelta(seconds=1))
    assert not boss.get(url()).context["alerts"]

    cache.clear()
    made(due_at=timezone.now() - timedelta(minutes=2))
    process(**values)
    assert not boss.get(url()).context["alerts"]


@pytest.mark.parametrize(
    ("kind", "words", "advice"),
    [
        ("refused", "<b>eu</b>: the API does not let it in", "Correct its settings"),
        ("settings", "<b>eu</b>: its settings are wrong", "Correct its settings"),
        ("rated", "<b>eu</b>: the API asks for patience", "keeps its place"),
        ("away", "<b>eu</b>: the API does not answer", "keeps its place"),
        ("odd", "<b>eu</b>", "keeps its place"),
    ],
)
def test_a_paused_account_says_why_and_until_when(boss, kind, words, advice):
    """In our words and in the API's, which are escaped, and with what there is to do."""
    until = timezone.now() + timedelta(minutes=3, seconds=30)
    told = {"kind": kind, "reason": "<i>no</i>", "until": until.isoformat()}
    process(pauses={"eu": told})
    text = boss.get(url()).text

    assert words in text
    assert advice in text
    assert "tried again in 3 min" in text
    assert "&lt;i&gt;no&lt;/i&gt;" in text
    assert "No account is paused." not in text


# The last day


def test_each_workflow_has_its_sums_its_rate_and_its_link(boss):
    """How many left the queue, and how they ended; the rate is of those that have ended."""
    tally(status=Status.RUNNING, from_queue=True, count=1500)
    tally(ago=2, status=Status.COMPLETED, count=1200)
    tally(ago=2, status=Status.FAILED, count=90)
    tally(ago=1, status=Status.UNDELIVERABLE, from_queue=True, count=10)
    tally(ago=1, status=Status.STOPPED, count=20)
    tally(workflow="r & d", status=Status.RUNNING, from_queue=True, count=2)
    answer = boss.get(url())
    bake, research = answer.context["workflows"]

    sums = ("sent", "completed", "failed", "rate", "others")
    assert ["1,510", "1,200", "100", "7.6 %", "20"] == [bake[name] for name in sums]
    assert ["2", "0", "0", "", "0"] == [research[name] for name in sums]
    assert ["1,512", "1,200", "100", "7.6 %", "20"] == [
        answer.context["total"][name] for name in sums
    ]
    assert f"{url('changelist')}?workflow=r+%26+d" == research["url"]
    assert 200 == boss.get(research["url"]).status_code


def test_a_table_says_what_the_bars_say(boss):
    """Hour by hour, for all and for each workflow."""
    tally(ago=1, status=Status.COMPLETED, count=2000)
    tally(ago=1, status=Status.FAILED, count=3)
    tally(workflow="mail", ago=1, status=Status.CANCELED, count=4)
    tally(workflow="mail", status=Status.FAILED)
    answer = boss.get(url())
    hourly = answer.context["hourly"]

    assert figures.HOURS == len(hourly)
    assert ["2,007 (3)", "2,003 (3)", "4"] == hourly[-2]["cells"]
    assert ["1 (1)", "", "1 (1)"] == hourly[-1]["cells"]
    assert {""} == {cell for row in hourly[:-2] for cell in row["cells"]}
    assert "2,007" == answer.context["most"]


def test_the_page_says_that_not_all_workflows_are_told_apart(boss):
    """The busiest are listed; the sums are of all."""
    for number in range(figures.MOST_WORKFLOWS + 1):
        tally(workflow=f"w-{number}", status=Status.COMPLETED)
    answer = boss.get(url())

    assert figures.MOST_WORKFLOWS == len(answer.context["workflows"])
    assert str(figures.MOST_WORKFLOWS + 1) == answer.context["total"]["completed"]
    assert "Only the busiest are told apart" in answer.text


def heights(svg, kind):
    """Return the heights of a drawing's bars, negative above the line."""
    (drawn,) = re.findall(rf'ewf-hours-{kind}" d="([^"]*)"', svg)
    return [float(height) for height in re.findall(r"v(-?[0-9.]+)h", drawn)]


def outcomes(**series):
    """Return outcomes of three hours."""
    empty = dict.fromkeys(("completed", "failed", "others"), (0, 0, 0))
    return figures.Outcomes(workflow="w", sent=0, statuses={}, **empty | series)


def test_bars_stand_on_the_line_or_hang_below_it():
    """By the same measure, and together they fill the drawing."""
    svg = charts.bars(outcomes(completed=(30, 0, 0), others=(0, 15, 0), failed=(0, 0, 10)), "w")

    assert [-75.0, -37.5] == heights(svg, "well")
    assert [25.0] == heights(svg, "failed")
    assert "M0 75.0H30" in svg


def test_a_bar_that_would_be_too_low_is_seen():
    """One failure among thousands is not lost, nor one success among failures."""
    few = charts.bars(outcomes(completed=(9999, 1, 0), failed=(0, 0, 1)), "w")
    many = charts.bars(outcomes(completed=(1, 0, 0), failed=(0, 0, 9999)), "w")

    assert [-96.0, -4.0] == heights(few, "well")
    assert [4.0] == heights(few, "failed")
    assert [-4.0] == heights(many, "well")
    assert [96.0] == heights(many, "failed")


def test_a_day_without_anything_is_a_line():
    """Nothing is drawn where nothing was."""
    svg = charts.bars(outcomes(), "w")

    assert [] == heights(svg, "well") == heights(svg, "failed")
    assert "M0 100.0H30" in svg


# Who is at work


def test_each_process_says_whether_it_lives(boss):
    """Those at work first; what is not at work has nothing in hand."""
    process(name="ended:1", age=3, ended_at=timezone.now(), in_flight=2)
    process(name="silent:2", age=60, in_flight=5)
    process(name="works:3", age=10, in_flight=7, version="1.2")
    rows = boss.get(url()).context["processes"]

    assert ["works:3", "ended:1", "silent:2"] == [row["sign"].name for row in rows]
    assert ["at work", "ended", "silent"] == [re.sub("<[^>]*>", "", r["state"]) for r in rows]
    assert ["7", "–", "–"] == [row["in_hand"] for row in rows]
    assert "1.2" == rows[0]["sign"].version
    assert rows[2]["seen"].startswith("1 min")


def test_only_some_processes_are_listed(boss):
    """The rest is counted."""
    for number in range(board.MOST_PROCESSES + 2):
        process(name=f"p:{number}")
    answer = boss.get(url())

    assert board.MOST_PROCESSES == len(answer.context["processes"])
    assert "And 2 more processes." in answer.text


# Cost, and keeping up to date


@pytest.mark.parametrize("alias", WITH_DEFAULT)
@pytest.mark.parametrize("page", ["overview", "overview_live"])
def test_the_number_of_queries_is_fixed(client, settings, alias, page):
    """Session and user, and what the figures take: none at all while the last ones are fresh."""
    settings.DATABASE_ROUTERS = [ReadsFrom(alias)]
    client.force_login(User.objects.create_superuser("boss"))
    counts = []
    for more in (1, 30):
        cache.clear()
        for number in range(more):
            made(alias, workflow=f"w-{number}")
            process(alias, pauses={f"a-{number}": {"reason": "401 no", "until": ""}})
            tally(alias, workflow=f"w-{number}", status=Status.FAILED)
        for _ in range(2):
            with capture(alias) as queries:
                assert 200 == client.get(url(page)).status_code
            counts.append(len(queries))

    assert [2 + QUERIES, 2] * 2 == counts


class ReadsFrom:
    """Reads executions from one of the databases."""

    def __init__(self, alias):
        self._alias = alias

    def db_for_read(self, model, **hints):
        """Name it."""
        return self._alias if model is Execution else None


@contextlib.contextmanager
def capture(alias):
    """Collect the queries to ``default`` and to another database."""
    found = []
    with contextlib.ExitStack() as stack:
        each = [
            stack.enter_context(CaptureQueriesContext(connections[name]))
            for name in {"default", alias}
        ]
        yield found
    found += [query for queries in each for query in queries]


def test_what_is_renewed_is_what_the_page_shows(boss):
    """The same words, and an ETag by which the script knows that they are still the same."""
    made()
    page = boss.get(url())
    (etag,) = re.findall(r'data-ewf-etag="([^"]*)"', page.text)
    live = boss.get(url("overview_live"))

    assert live.text in page.text
    assert html.unescape(etag) == live["ETag"]
    assert f'data-ewf-live="{url("overview_live")}"' in page.text
    assert "no-cache" in live["Cache-Control"]


def test_nothing_is_sent_while_nothing_is_new(boss):
    """While the figures are fresh the answer is empty; new ones are sent whole."""
    etag = boss.get(url("overview_live"))["ETag"]
    same = boss.get(url("overview_live"), headers={"If-None-Match": etag})
    cache.clear()
    made()
    new = boss.get(url("overview_live"), headers={"If-None-Match": etag})

    assert (304, b"") == (same.status_code, same.content)
    assert (200, True) == (new.status_code, new["ETag"] != etag)


@pytest.mark.parametrize("page", ["overview", "overview_live"])
def test_nothing_can_be_posted(boss, page):
    """The overview only shows."""
    assert 405 == boss.post(url(page)).status_code


# Ways there


def test_the_list_and_the_index_lead_to_it(as_staff):
    """For those who may see it, and nobody else."""
    link = f'href="{url()}"'
    index = reverse("admin:app_list", args=["embedworkflow"])
    both = as_staff("view_execution", "view_overview")
    assert link in both.get(url("changelist")).text
    assert link in both.get(index).text
    assert f'href="{url("changelist")}"' in both.get(url()).text

    listing = as_staff("view_execution")
    assert link not in listing.get(url("changelist")).text
    assert link not in listing.get(index).text


@pytest.mark.parametrize("thousands", [False, True])
def test_the_page_knows_how_often_to_ask(boss, settings, monkeypatch, thousands):
    """As a number that a script can read, however the project writes numbers."""
    monkeypatch.setattr(overview, "FRESH", 5)
    settings.USE_THOUSAND_SEPARATOR = thousands

    assert 'data-ewf-every="5000"' in boss.get(url()).text


@pytest.mark.parametrize("right", ["view_overview", "view_triggers"])
def test_whoever_may_see_nothing_else_finds_it(as_staff, right):
    """The admin's indexes link to the list, which leads on; a POST is still refused."""
    page = right.removeprefix("view_")
    own = as_staff(right)
    listing = f'href="{url("changelist")}"'
    index = own.get(reverse("admin:app_list", args=["embedworkflow"])).text

    assert listing in own.get(reverse("admin:index")).text
    assert listing in index
    assert f'href="{url(page)}"' in index
    assert url(page) == own.get(url("changelist")).url
    assert 200 == own.get(url("changelist"), follow=True).status_code
    assert 403 == own.post(url("changelist"), {"action": "cancel"}).status_code


def test_the_index_needs_no_urls_of_ours(boss):
    """A subclass that has none is named without a link, and harms no page of its site."""
    for page in ("index", "app_list"):
        args = ["embedworkflow"] if page == "app_list" else []
        answer = boss.get(reverse(f"attic:{page}", args=args))
        (app,) = answer.context["app_list"]

        assert [None] == [model["admin_url"] for model in app["models"]]
        assert "Trigger map" not in answer.text


@pytest.mark.parametrize(("site", "sees"), [("admin", False), ("cellar", True)])
def test_the_index_asks_the_hook(as_staff, site, sees):
    """A link is there for those whom the site's own admin lets in, whatever their rights."""
    index = reverse("admin:app_list", args=["embedworkflow"], current_app=site)
    client = as_staff("view_execution", name="cellarer")
    assert sees == (f'href="{url(site=site)}"' in client.get(index).text)

    client = as_staff("view_execution", "view_overview", name="ann")
    assert (not sees) == (f'href="{url(site=site)}"' in client.get(index).text)


def test_another_site_has_its_own(as_staff):
    """Its links stay on it, and its own hook decides."""
    client = as_staff("view_execution", name="cellarer")
    answer = client.get(url(site="cellar"))

    assert 200 == answer.status_code
    assert f'href="{url("changelist", "cellar")}"' in answer.text
    assert url("overview_live", "cellar") in answer.text
    assert 403 == client.get(url()).status_code
