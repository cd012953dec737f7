"""The list's quick views, and its rows that are renewed while one looks."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone
from pytest_django.asserts import assertHTMLEqual

from embedworkflow_django import admin as our_admin
from embedworkflow_django import figures, keys
from embedworkflow_django.admin import days, lists, live, questions
from embedworkflow_django.models import Execution, Status


class TavernAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """Executions without those of the cellar, and none to open that are the host's."""

    list_display = (*our_admin.ExecutionAdminMixin.list_display, "user_key")
    live_display = ("status_badge", "user_key")

    def get_queryset(self, request):
        """Leave the cellar out."""
        return super().get_queryset(request).exclude(workflow="cellar")

    def has_view_permission(self, request, obj=None):
        """Hide what belongs to the host."""
        return super().has_view_permission(request, obj) and not (obj and obj.user_key == "host")


class EmptyAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """No executions for anybody."""

    def get_queryset(self, request):
        """Return none."""
        return super().get_queryset(request).none()


tavern = admin.AdminSite(name="tavern")
tavern.register(Execution, TavernAdmin)
empty = admin.AdminSite(name="empty")
empty.register(Execution, EmptyAdmin)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("tavern/", tavern.urls),
    path("empty/", empty.urls),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def cook(client):
    """A client logged in as a superuser."""
    client.force_login(User.objects.create_superuser("cook"))
    return client


def make(status=Status.RUNNING, **values):
    """Return a saved execution; a final one wants no attention."""
    moves = status in (Status.QUEUED, Status.RUNNING, Status.UPCOMING)
    due = {} if moves else {"due_at": None}
    return Execution.objects.create(workflow="bake", status=status, **due | values)


def url(page="changelist", site="admin"):
    """Return the URL of a page of a site."""
    return reverse(f"admin:embedworkflow_execution_{page}", current_app=site)


def renewed(client, *executions, site="admin", **headers):
    """Return the answer for some rows."""
    ids = ",".join(execution.pk.hex for execution in executions)
    return client.get(url("live_rows", site), {"ids": ids}, headers=headers)


def rows_of(answer):
    """Return the keys of the rows in an answer."""
    return set(re.findall(r'data-ewf-row="(\w+)"', answer.text))


def numbers(answer):
    """Return the quick views' numbers on a page, by name."""
    return dict(re.findall(r'data-ewf-number="(\w+)"[^>]*>([^<]+)<', answer.text))


# Quick views


def test_each_quick_view_has_its_number_and_its_rows(cook):
    """A number above the list is how many rows its link leads to."""
    yesterday = timezone.now() - timedelta(days=1, seconds=1)
    make(Status.FAILED, id=keys.first_of(yesterday), created_at=yesterday)
    rows = {status: make(status) for status in Status}
    expected = {
        "attention": {Status.UNCONFIRMED, Status.UNDELIVERABLE, Status.UNKNOWN},
        "in_flight": {Status.RUNNING, Status.UPCOMING},
        "queued": {Status.QUEUED},
        "unconfirmed": {Status.UNCONFIRMED},
        "failed_today": {Status.FAILED},
    }

    page = cook.get(url())

    assert {name: str(len(those)) for name, those in expected.items()} == numbers(page)
    for name, those in expected.items():
        assert f'href="?view={name}"' in page.text
        answer = cook.get(url(), {"view": name})
        wanted = sorted((rows[status].pk for status in those), reverse=True)
        assert wanted == [row.pk for row in answer.context["cl"].result_list]
        assert len(wanted) == answer.context["cl"].result_count
        assert 1 == answer.text.count('aria-current="page">' + str(_title(answer, name)))


def _title(answer, name):
    return next(each.view.title for each in answer.context["cl"].quick_views if each.name == name)


def test_a_view_that_does_not_exist_is_the_whole_list(cook):
    """A link from elsewhere breaks nothing."""
    make()

    assert 1 == cook.get(url(), {"view": "odd"}).context["cl"].result_count


def test_a_view_and_a_filter_narrow_each_other(cook):
    """The filters beside the list work within a view, too."""
    cake, pie = make(), make(trigger="shop.sold")

    answer = cook.get(url(), {"view": "in_flight", "trigger": "shop.sold"})

    assert [pie.pk] == [row.pk for row in answer.context["cl"].result_list]
    assert "2" == numbers(answer)["in_flight"]
    assert cake.pk != pie.pk


def test_a_view_of_several_statuses_is_paged_in_one_order(cook, monkeypatch):
    """The second page goes on where the first one ended, whatever the status."""
    monkeypatch.setattr(our_admin.ExecutionAdmin, "list_per_page", 2)
    made = [make(Status.RUNNING if n % 2 else Status.UPCOMING).pk for n in range(5)]

    pages = [cook.get(url(), {"view": "in_flight", "p": p}).context["cl"] for p in (1, 2, 3)]

    assert made[::-1] == [row.pk for page in pages for row in page.result_list]


def test_all_rows_are_shown_on_request_if_they_are_few(cook, monkeypatch):
    """Django's "Show all" works; a page beyond the last leads back."""
    monkeypatch.setattr(our_admin.ExecutionAdmin, "list_per_page", 2)
    for _ in range(3):
        make()

    assert 3 == len(cook.get(url(), {"all": ""}).context["cl"].result_list)
    assert f"{url()}?e=1" == cook.get(url(), {"p": "9"}).url


def test_numbers_end_at_the_cap(cook, monkeypatch):
    """What was not counted to its end says so."""
    monkeypatch.setattr(lists, "MAX_COUNT", 2)
    for _ in range(3):
        make(Status.QUEUED)

    assert "2+" == numbers(cook.get(url()))["queued"]


@pytest.mark.parametrize("view", ["", "attention", "in_flight", "queued", "failed_today"])
@pytest.mark.parametrize("rows", [1, 30])
def test_a_view_takes_seven_queries(cook, view, rows):
    """Session, user, two alerts, counts, keys, rows: whatever is viewed, however many there are."""
    for _ in range(rows):
        for status in (Status.UNCONFIRMED, Status.RUNNING, Status.QUEUED, Status.FAILED):
            make(status)

    with CaptureQueriesContext(connection) as queries:
        assert 200 == cook.get(url(), {"view": view} if view else {}).status_code

    assert 7 == len(queries)


def test_who_may_see_nothing_is_counted_nothing(cook):
    """An admin without rows asks no question that has no answer."""
    make()

    answer = cook.get(url(site="empty"), {"view": "attention"})

    assert {"0"} == set(numbers(answer).values())
    assert [] == list(answer.context["cl"].result_list)
    nothing = Execution.objects.none()
    assert {"queued": figures.Count(0)} == questions.counts({"queued": nothing}, 5)
    assert [] == questions.newest([nothing] * 2, 0, 5)


def test_what_moves_is_marked_and_what_rests_is_not(cook):
    """The script asks after rows that change by themselves."""
    moving, resting = make(), [make(Status.COMPLETED), make(Status.UNCONFIRMED)]

    text = cook.get(url()).text

    assert [moving.pk.hex] == re.findall(r'data-ewf-moves="(\w+)"', text)
    assert 3 == len({moving, *resting})


def test_the_list_shows_attempts_and_the_next_one(cook):
    """Attempts that failed, when the next one is due, and what is under way."""
    later = timezone.now() + timedelta(minutes=5, seconds=30)
    make(Status.QUEUED, attempts=3, due_at=later)
    make(Status.QUEUED, attempts=1, due_at=later, claim="worker")
    make(Status.RUNNING, attempts=1, stop_requested_at=timezone.now())

    text = cook.get(url()).text

    assert '3 <span class="ewf-under">next in 5 min ' in text
    assert '1 <span class="ewf-under">being sent</span>' in text
    assert "stop requested" in text


def test_the_box_to_tick_is_django_s_own(cook):
    """It is written by hand because Django's takes long, and differs in nothing from it."""
    execution = Execution.objects.create(workflow="<bake>")
    admins = our_admin.ExecutionAdmin, admin.ModelAdmin

    ours, django_s = (
        each.action_checkbox(admin.site.get_model_admin(Execution), execution) for each in admins
    )

    assertHTMLEqual(django_s, ours)
    assert ours in cook.get(url()).text


def test_the_paginator_counts_for_others_too(monkeypatch):
    """Whoever has not counted beforehand is told the same: the cap is the end."""
    monkeypatch.setattr(lists, "MAX_COUNT", 2)
    for _ in range(3):
        make()

    paginator = lists.CappedPaginator(Execution.objects.order_by("-pk"), 1)

    assert (2, True) == (paginator.count, paginator.capped)


# Days


def test_days_are_ranges_of_the_key(cook):
    """Today, yesterday and the past seven days begin and end at midnight."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    second = timedelta(seconds=1)
    moments = {
        "now": timezone.now(),
        "this morning": midnight,
        "last night": midnight - second,
        "yesterday": midnight - timedelta(days=1),
        "before": midnight - timedelta(days=1) - second,
        "old": midnight - timedelta(days=7) - second,
    }
    made = {make(Status.FAILED, id=keys.first_of(at)).pk: name for name, at in moments.items()}

    def listed(**query):
        return {made[row.pk] for row in cook.get(url(), query).context["cl"].result_list}

    assert {"now", "this morning"} == listed(created="today")
    assert {"last night", "yesterday"} == listed(created="yesterday")
    assert set(moments) - {"old"} == listed(created="week")
    assert set(moments) == listed(created="odd")


def test_days_are_told_without_time_zones_too(settings):
    """A project without time zones has its server's days."""
    settings.USE_TZ = False
    row = make(id=keys.first_of(datetime.now() - timedelta(milliseconds=2)))  # noqa: DTZ005

    found = (
        days.RANGES["yesterday"].of(Execution.objects),
        days.RANGES["week"].of(Execution.objects),
    )

    assert [False, True] == [rows.filter(pk=row.pk).exists() for rows in found]


# Renewing


def test_the_cells_that_change_are_sent_and_no_others(cook):
    """Each row asked for comes with the cells that move, as the list shows them."""
    execution, other = make(actions_count=4, completed_actions_count=1), make()

    answer = renewed(cook, execution)

    assert {execution.pk.hex} == rows_of(answer)
    cells = re.findall(r'data-ewf-cell="field-(\w+)"', answer.text)
    assert ["status_badge", "progress_bar", "tries", "duration"] == cells
    assert "1 of 4" in answer.text
    assert 'data-ewf-said="bake: running"' in answer.text
    assert "2" == numbers(answer)["in_flight"]
    assert other.pk.hex not in answer.text


def test_nothing_new_has_no_content(cook, monkeypatch):
    """Who has the latest is told so in a few bytes, until something moves."""
    monkeypatch.setattr(live, "FRESH", 10**9)
    execution = make()
    first = renewed(cook, execution)
    again = renewed(cook, execution, if_none_match=first["ETag"])
    Execution.objects.filter(pk=execution.pk).update(completed_actions_count=1)
    moved = renewed(cook, execution, if_none_match=first["ETag"])
    Execution.objects.filter(pk=execution.pk).update(status=Status.COMPLETED)
    ended = renewed(cook, execution, if_none_match=moved["ETag"])

    assert [200, 304, 200, 200] == [each.status_code for each in (first, again, moved, ended)]
    assert b"" == again.content
    assert "private" in first["Cache-Control"]
    assert "data-ewf-moves" in moved.text
    assert "data-ewf-moves" not in ended.text


def test_a_quick_views_number_is_news_too(cook, monkeypatch):
    """The numbers above the list are renewed in the same answer."""
    monkeypatch.setattr(live, "FRESH", 10**9)
    execution = make()
    first = renewed(cook, execution)
    make(Status.QUEUED)

    second = renewed(cook, execution, if_none_match=first["ETag"])

    assert (200, "1") == (second.status_code, numbers(second)["queued"])


@pytest.mark.parametrize("rows", [1, 100])
def test_renewing_takes_four_queries(cook, rows):
    """Session, user, rows, numbers: however many rows are asked for."""
    made = [make() for _ in range(rows)]

    with CaptureQueriesContext(connection) as queries:
        answer = renewed(cook, *made)

    assert rows == len(rows_of(answer))
    assert 4 == len(queries)


def test_no_more_rows_than_the_cap_are_sent(cook, monkeypatch):
    """Somebody else's URL cannot ask for a million rows."""
    monkeypatch.setattr(live, "MAX_ROWS", 2)
    made = [make() for _ in range(3)]

    assert {row.pk.hex for row in made[:2]} == rows_of(renewed(cook, *made))


@pytest.mark.parametrize("ids", ["", ",", "odd", "0" * 32, f"{uuid.uuid4()}", "'; --", "%00"])
def test_ids_that_are_none_find_nothing(cook, ids):
    """Rubbish in the URL is no error."""
    answer = cook.get(url("live_rows"), {"ids": ids})

    assert (200, set()) == (answer.status_code, rows_of(answer))


def test_rows_that_are_not_for_the_viewer_are_left_out(cook):
    """The admin's queryset and its object permissions decide."""
    shown, hidden = make(user_key="guest"), make(user_key="host")
    cellar = Execution.objects.create(workflow="cellar", status=Status.RUNNING)

    answer = renewed(cook, shown, hidden, cellar, site="tavern")

    assert {shown.pk.hex} == rows_of(answer)
    assert "2" == numbers(answer)["in_flight"]
    assert ["status_badge", "user_key"] == re.findall(r'data-ewf-cell="field-(\w+)"', answer.text)


def test_cells_are_escaped(cook):
    """What the API or a caller made up is text."""
    execution = make(
        user_key="<img src=x>", source_type='gone."><script>', source_id="<b>", status="<i>"
    )

    text = renewed(cook, execution, site="tavern").text

    assert not re.search(r"<(img|script|b>|i>)", text.replace("<b data-ewf", ""))
    assert "&lt;img src=x&gt;" in text


def test_a_row_is_said_with_its_source(cook):
    """The live region names what has changed by what it is about."""
    execution = make(source_type="bakery.cake", source_id="17")

    assert 'data-ewf-said="bake for cake 17: running"' in renewed(cook, execution).text


@pytest.mark.parametrize(
    ("rights", "is_staff", "status"),
    [
        pytest.param([], False, 302, id="no-staff"),
        pytest.param([], True, 403, id="no-right"),
        pytest.param(["stop_execution", "view_execution_data"], True, 403, id="other-rights"),
        pytest.param(["view_execution"], True, 200, id="view"),
    ],
)
def test_renewing_needs_the_right_to_view(client, rights, is_staff, status):
    """The rows are for those who may see the list."""
    user = User.objects.create_user("guest", is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    assert status == renewed(client, make()).status_code


def test_nothing_is_posted_there(cook):
    """Renewing reads."""
    assert 405 == cook.post(url("live_rows")).status_code


@pytest.mark.parametrize("site", ["admin", "tavern"])
def test_the_page_brings_the_script_and_its_url(cook, site):
    """The script is a file of its own, and asks the admin site that it is on."""
    text = cook.get(url(site=site)).text

    assert 'src="/static/embedworkflow_django/live.js" defer' in text
    assert f'data-ewf-live="/{site}/embedworkflow/execution/live/"' in text
    assert 'role="status" aria-live="polite"' in text
    assert "<script>" not in text
    assert " style=" not in text
