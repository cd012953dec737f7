"""The trigger map in the admin: what is declared, what came of it, and what the API says to it."""

from __future__ import annotations

import functools
import uuid
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth import signals as auth_signals
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import Signal
from django.urls import path, reverse
from django.utils import timezone

from embedworkflow_django import admin as our_admin
from embedworkflow_django import figures, keys, testing, triggers
from embedworkflow_django.admin import declared, trigger_map
from embedworkflow_django.models import Execution, Status
from embedworkflow_django.signals import execution_finished

from .bakery.models import Cake, Recipe
from .databases import WITH_DEFAULT
from .declared import declaring
from .test_admin_overview import ReadsFrom, capture
from .test_figures import made, tally
from .wire import Silence, serving

pytestmark = pytest.mark.urls(__name__)

oven_hot = Signal()


class ChefsAdmin(our_admin.ExecutionAdminMixin, admin.ModelAdmin):
    """Executions of a site where nobody asks the API."""

    def has_probe_workflow_permission(self, request):
        """Refuse everybody."""
        return False


kitchen = admin.AdminSite(name="kitchen")
kitchen.register(Execution, ChefsAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("kitchen/", kitchen.urls)]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch):
    """Begin without figures; those that a test has made are fresh to its end, slow as it may be."""
    monkeypatch.setattr(trigger_map, "FRESH", 600)
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def declare(monkeypatch):
    """Return what declares triggers, of which there are no others meanwhile."""
    monkeypatch.setattr(triggers, "registry", {})
    with declaring():

        def declare(function=None, signal=post_save, **options):
            def by_default(instance, **kwargs):
                """Bake what was ordered.

                Nobody reads on.
                """

            options = {"sender": Cake, "workflow": "bake", **options}
            function = function or by_default
            function.__qualname__ = f"fired_{len(triggers.registry)}"
            triggers.trigger(signal, **options)(function)
            return next(each for each in triggers.registry.values() if each.function is function)

        yield declare


def url(page="triggers", site="admin"):
    """Return the URL of a page of a site."""
    return reverse(f"admin:embedworkflow_execution_{page}", current_app=site)


def row(client):
    """Return what the map says of the only trigger."""
    (shown,) = client.get(url()).context["triggers"]
    return shown


def asked(client, trigger):
    """Press the button; return the message, and how grave it is."""
    answer = client.post(url("probe"), {"trigger": trigger.name}, follow=True)
    (message,) = answer.context["messages"]
    return message.level_tag, str(message)


# What is declared


def test_a_trigger_is_told_in_one_sentence(boss, declare):
    """Which signal of which model starts which workflow, why, and where it is defined."""
    trigger = declare()
    answer = boss.get(url())

    assert "post_save of bakery.Cake starts bake" in answer.text
    assert "Bake what was ordered." in answer.text
    assert "Nobody reads on." not in answer.text
    assert trigger.name in answer.text


def test_no_path_of_the_server_is_told(boss, declare):
    """The module and the line are enough to find a function; where it is installed is not said."""
    trigger = declare()
    line = trigger.defined_at.rpartition(":")[2]
    answer = boss.get(url())

    assert f"{__name__}:{line}" in answer.text
    assert __file__ not in answer.text


class Oven:
    """Something that sends a signal and is no model."""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sender": [Cake, Recipe]}, "post_save of bakery.Cake, bakery.Recipe starts bake"),
        ({"sender": None}, "post_save of anything starts bake"),
        ({"sender": "bakery.Cake"}, "post_save of bakery.Cake starts bake"),
        ({"signal": [post_save, m2m_changed]}, "post_save, m2m_changed of bakery.Cake starts bake"),
        ({"signal": execution_finished, "sender": None}, "execution_finished of anything starts"),
        ({"signal": oven_hot, "sender": Oven}, "oven_hot of Oven starts bake"),
        ({"signal": oven_hot, "sender": Oven()}, "oven_hot of Oven starts bake"),
        ({"signal": auth_signals.user_logged_in}, "user_logged_in of bakery.Cake starts bake"),
        ({"signal": Signal()}, "a signal of bakery.Cake starts bake"),
        ({"workflow": row}, f"starts what {__name__}.row decides"),
        ({"workflow": functools.partial(row)}, "starts what functools.partial decides"),
    ],
)
def test_each_kind_of_signal_sender_and_workflow_has_a_name(declare, options, sentence):
    """Its own, or the one under which the function's module knows it."""
    assert sentence in declared.title(declare(**options))


def test_what_was_said_beside_is_shown(boss, declare):
    """Options that are not the default ones."""
    declare(once=True, user_key="ann", id_type="hashid", account="eu", using="default")
    options = dict(row(boss)["options"])

    assert {"Once", "User key", "Identified by", "Account", "Database"} == set(options)
    assert ["ann", "hashid", "eu", "default"] == list(options.values())[1:]


def test_what_was_not_said_is_not_shown(boss, declare):
    """Nor is a docstring that is not there."""
    declare(lambda instance, **kwargs: None)
    shown = row(boss)

    assert ([], "") == (shown["options"], shown["purpose"])


def test_a_map_without_triggers_says_where_they_come_from(boss, declare):
    """And asks nothing about them."""
    assert "No trigger is declared." in boss.get(url()).text


# What came of it


def test_a_trigger_tells_how_often_it_has_fired_and_what_came_of_it(boss, declare):
    """Within a day; the list that is linked has all its executions."""
    trigger = declare()
    mine = {"trigger": trigger.name}
    old = timezone.now() - timedelta(hours=25)
    made(**mine, created_at=old, id=keys.first_of(old))
    made(**mine)
    newest = made(**mine)
    made(trigger="another")
    tally(**mine, status=Status.RUNNING, from_queue=True, count=1200)
    tally(**mine, status=Status.COMPLETED, count=1100)
    tally(**mine, status=Status.UNCONFIRMED, count=3)
    tally(**mine, status=Status.FAILED, last_error="<b>422</b> no oven", last_execution=newest.pk)
    shown = row(boss)

    assert "2" == shown["asked_for"]
    numbers = {badge.rpartition("svg>")[2]: number for badge, number in shown["outcomes"]}
    assert {"completed</span>": "1,100", "failed</span>": "1", "unconfirmed</span>": "3"} == numbers
    text = boss.get(url()).text
    assert "&lt;b&gt;422&lt;/b&gt; no oven" in text
    assert f'href="{reverse("admin:embedworkflow_execution_change", args=[newest.pk])}"' in text
    assert 3 == boss.get(shown["all_url"]).context["cl"].result_count


def test_how_often_it_has_fired_is_counted_to_an_end(boss, declare, monkeypatch):
    """A trigger that fires all the time costs no more than one that does not."""
    monkeypatch.setattr(figures, "CAP", 2)
    trigger = declare()
    for _ in range(3):
        made(trigger=trigger.name)

    assert "2+" == row(boss)["asked_for"]


def test_whoever_may_not_see_executions_gets_no_links_to_them(as_staff, declare):
    """Nor a button for which there is no right."""
    trigger = declare()
    tally(trigger=trigger.name, status=Status.FAILED, last_error="no", last_execution=uuid.uuid4())
    client = as_staff("view_triggers")
    shown = row(client)

    assert ("no", "", "") == (shown["last_error"], shown["error_url"], shown["all_url"])
    assert url("probe") not in client.get(url()).text


@pytest.mark.parametrize("alias", WITH_DEFAULT)
def test_the_number_of_queries_is_fixed(client, settings, alias, declare):
    """Session, user, how often each has fired, and three for what came of it."""
    settings.DATABASE_ROUTERS = [ReadsFrom(alias)]
    client.force_login(User.objects.create_superuser("boss"))
    counts = []
    for number in range(1, 30, 14):
        for each in range(number):
            trigger = declare(lambda instance, **kwargs: None, workflow=f"w-{number}-{each}")
            made(alias, trigger=trigger.name)
            tally(alias, trigger=trigger.name, status=Status.FAILED, last_error="no")
        cache.clear()
        for _ in range(2):
            with capture(alias) as queries:
                assert 200 == client.get(url()).status_code
            counts.append(len(queries))

    assert [6, 3] * 3 == counts


# Asking the API


@pytest.fixture
def sandbox():
    """An API with a workflow that is on, and one that is off."""
    with testing.sandbox() as imitation:
        imitation.add_workflow("bake")
        imitation.add_workflow("sleep", on=False)
        yield imitation


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, ("success", "Workflow “bake” exists and is on: Bake")),
        ({"workflow": "sleep"}, ("warning", "Workflow “sleep” exists, but is off: Sleep")),
        ({"workflow": "<b>"}, ("error", "404")),
        ({"workflow": ".."}, ("error", "is no identifier")),
        ({"user_key": "nobody"}, ("error", "404")),
        ({"account": "eu"}, ("error", "'eu'")),
        ({"workflow": row}, ("warning", "Each object decides which workflow it is.")),
    ],
    ids=["on", "off", "missing", "impossible", "another-user-s", "no-account", "open"],
)
def test_the_api_says_whether_a_workflow_is_there(boss, sandbox, declare, options, said):
    """In its own words, or in those of the settings where it cannot be asked."""
    trigger = declare(**options)
    level, text = asked(boss, trigger)

    assert said[0] == level
    assert said[1] in text
    assert sandbox.secret_key not in text
    assert {"GET"} >= {call.method for call in sandbox.requests}


def test_an_account_without_a_key_is_told_of(boss, settings, declare):
    """A button ends in a sentence, not in a server error."""
    settings.EMBEDWORKFLOW = {"DISPATCHER": "worker"}
    level, text = asked(boss, declare())

    assert "error" == level
    assert "SECRET_KEY" in text


def test_nobody_waits_for_an_api_that_is_silent(boss, settings, declare, monkeypatch):
    """However long a worker would: a person and a web server's thread wait for that answer."""
    monkeypatch.setattr(trigger_map, "PATIENCE", 0.2)
    with serving(Silence()) as silent:
        settings.EMBEDWORKFLOW = {
            "SECRET_KEY": "sk_test_1234",
            "BASE_URL": silent.base_url,
            "TIMEOUT": (50, 50),
        }
        level, text = asked(boss, declare())

    assert "error" == level
    assert "read timeout=0.1" in text
    assert "sk_test_1234" not in text


def test_settings_that_wait_for_less_are_kept_to(boss, settings, declare):
    """The button is in no case more patient than a worker."""
    with serving(Silence()) as silent:
        settings.EMBEDWORKFLOW = {
            "SECRET_KEY": "sk_test_1234",
            "BASE_URL": silent.base_url,
            "TIMEOUT": (0.3, 0.2),
        }
        assert "read timeout=0.2" in asked(boss, declare())[1]


def test_a_trigger_that_is_gone_is_not_asked_about(boss, sandbox, declare):
    """A page that was opened before the last deployment may still be there."""
    trigger = declare()
    triggers.registry.clear()

    assert ("error", "There is no such trigger.") == asked(boss, trigger)
    assert [] == sandbox.requests


def test_the_api_is_not_asked_by_a_link(boss, sandbox, declare):
    """A GET asks nothing, and nothing can be posted to the map."""
    declare()

    assert 405 == boss.get(url("probe")).status_code
    assert 405 == boss.post(url()).status_code
    assert [] == sandbox.requests


def test_a_probe_needs_a_csrf_token(boss, sandbox, declare):
    """Another site cannot have the API asked with the visitor's cookies."""
    boss.handler.enforce_csrf_checks = True

    assert 403 == boss.post(url("probe"), {"trigger": declare().name}).status_code
    assert [] == sandbox.requests


def test_the_button_is_there_where_it_makes_sense(boss, declare):
    """A workflow that each object decides cannot be asked about."""
    trigger = declare()
    assert (
        f'name="trigger" value="{trigger.name}"'.replace("<", "&lt;").replace(">", "&gt;")
        in boss.get(url()).text
    )

    triggers.registry.clear()
    declare(workflow=row)
    assert 'name="trigger"' not in boss.get(url()).text


# Ways there


def test_the_list_and_the_index_lead_to_it(as_staff):
    """For those who may see it, and nobody else."""
    index = reverse("admin:app_list", args=["embedworkflow"])
    for rights in (["view_execution", "view_triggers"], ["view_execution"]):
        client = as_staff(*rights)
        for page in (url("changelist"), index):
            link = f'href="{url()}"'
            assert ("view_triggers" in rights) == (link in client.get(page).text)


def test_another_site_has_its_own(boss, declare):
    """Its links stay on it, and its own hook decides who asks the API."""
    trigger = declare()
    answer = boss.get(url(site="kitchen"))

    assert f'href="{url("changelist", "kitchen")}' in answer.text
    assert url("probe", "kitchen") not in answer.text
    assert 403 == boss.post(url("probe", "kitchen"), {"trigger": trigger.name}).status_code
