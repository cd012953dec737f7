"""Workflows in the host's own admin: the section on an object's page, and running one by hand."""

from __future__ import annotations

import html
import json
import re
import uuid
from decimal import Decimal

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from embedworkflow_django import redaction, services, triggers
from embedworkflow_django.admin import ExecutionAdminMixin, WorkflowsAdminMixin, offers
from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.models import Execution, Status

from .bakery.models import Batch, Cake, CheapCake, Ingredient, Recipe, Tagged, WeddingCake
from .declared import declaring


class CakeAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """One line, and workflows beside those of the triggers."""

    run_workflows = ("taste",)
    executions_shown = 3


class RecipeAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """An admin that decides much for itself."""

    run_workflows = ("cook",)
    fieldsets = ((None, {"fields": ("title",)}),)

    def get_workflow_data(self, request, obj, workflow):
        """Return a secret beside what is none."""
        return {"title": obj.title, "steps": [{"api_token": f"tok-{obj.title}"}]}

    def has_run_workflow_permission(self, request, obj=None):
        """Protect grandmother's recipe."""
        own = obj is not None and obj.title == "grandmother's"
        return super().has_run_workflow_permission(request, obj) and not own


class TaggedAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """An admin that cannot say what it would send."""

    run_workflows = ("label",)

    def get_workflow_data(self, request, obj, workflow):
        """Return what is no JSON."""
        return {"object": obj}


class PlainAnswers(admin.ModelAdmin):
    """A base class whose pages are no templates."""

    def render_change_form(self, request, context, **kwargs):
        """Return a bare answer."""
        return HttpResponse("bare")


class IngredientAdmin(WorkflowsAdminMixin, PlainAnswers):
    """An admin on such a base class."""

    run_workflows = ("grind",)


class KitchenExecutionAdmin(ExecutionAdminMixin, admin.ModelAdmin):
    """Executions of which the chef's are nobody's business."""

    def has_view_permission(self, request, obj=None):
        """Hide what belongs to the chef."""
        own = obj is not None and obj.user_key == "chef"
        return super().has_view_permission(request, obj) and not own


site = admin.AdminSite(name="kitchen")
site.register(Execution, KitchenExecutionAdmin)
site.register([Cake, WeddingCake, CheapCake], CakeAdmin)
site.register(Recipe, RecipeAdmin)
site.register(Tagged, TaggedAdmin)
site.register(Ingredient, IngredientAdmin)
#: A signal whose senders need not be models.
ding = Signal()
#: A site on which executions have no pages.
shop_floor = admin.AdminSite(name="floor")
shop_floor.register(Cake, CakeAdmin)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("kitchen/", site.urls),
    path("floor/", shop_floor.urls),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def baking():
    """A trigger of cakes."""
    with declaring():

        @triggers.trigger(post_save, sender=Cake, workflow="bake", user_key=lambda cake: cake.name)
        def cake_saved(cake, **kwargs):
            return {"cake": cake.name}

        yield cake_saved


def url(obj, page="change", site="kitchen"):
    """Return the URL of one of an object's pages."""
    name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{page}"
    return reverse(name, args=[admin.utils.quote(obj.pk)], current_app=site)


def about(obj, **values):
    """Return a saved execution that is about an object."""
    execution = services.execute(values.pop("workflow", "bake"), source=obj)
    Execution.objects.filter(pk=execution.pk).update(**values)
    return execution


def section(client, obj, **options):
    """Return the text of the section on an object's page; nothing if there is none."""
    answer = client.get(url(obj, **options))
    assert 200 == answer.status_code
    found = re.search(r'<section [^>]*id="workflows".*?</section>', answer.text, re.DOTALL)
    return found[0] if found else ""


def run(client, obj, data=None, **fields):
    """Open the page on which a workflow is run, and press its button."""
    page = url(obj, "run_workflow")
    form = client.get(page, fields).context["form"]
    posted = {"key": form.question, "execution_data": form["execution_data"].value()}
    if data is not None:
        posted["execution_data"] = data
    return client.post(page, posted | fields)


def said(answer):
    """Return what the page that an answer leads to reports."""
    return [str(message) for message in answer.wsgi_request._messages]


# The section


def test_the_page_shows_the_executions_of_its_object(boss):
    """The newest first, each with its state and a link, and no other object's."""
    mine, other = Cake.objects.create(name="Sacher"), Cake.objects.create(name="Linzer")
    old = about(mine, status=Status.FAILED, actions_count=3, completed_actions_count=2)
    new, foreign = about(mine, workflow="decorate"), about(other)

    text = section(boss, mine)

    assert text.index(url(new)) < text.index(url(old))
    assert "failed" in text
    assert "2 of 3" in text
    assert url(foreign) not in text
    assert f"{reverse('kitchen:embedworkflow_execution_changelist')}?q=bakery.cake%3A" in text


def test_the_section_shows_the_latest_only(boss):
    """However many there are, the page stays as small as ``executions_shown`` says."""
    cake = Cake.objects.create(name="Sacher")
    oldest, *latest = [about(cake) for _ in range(4)]

    text = section(boss, cake)

    assert url(oldest) not in text
    assert all(url(each) in text for each in latest)


def test_the_section_costs_one_query(boss):
    """One for its rows, however many; their large columns stay in the database."""
    cake = Cake.objects.create(name="Sacher")
    boss.get(url(cake))  # Content types are looked up once.
    counts = []
    for more in (0, 3):
        for _ in range(more):
            about(cake)
        with CaptureQueriesContext(connection) as queries:
            boss.get(url(cake))
        ours = [each["sql"] for each in queries if "embedworkflow_execution" in each["sql"]]
        counts.append(len(queries))

    assert counts[0] == counts[1]
    assert 1 == len(ours)
    assert "execution_data" not in ours[0]


def test_the_section_leaves_the_form_alone(boss):
    """What was saved without the mixin is saved with it, and nothing else is posted."""
    cake = Cake.objects.create(name="Sacher")
    about(cake)

    answer = boss.post(url(cake), {"name": "Dobos", "price": "3.00"})

    assert 302 == answer.status_code
    assert ("Dobos", Decimal(3)) == Cake.objects.values_list("name", "price").get()
    form = boss.get(url(cake)).text.split("</form>")
    assert 'id="workflows"' not in "".join(form[:-1])


@pytest.mark.parametrize("page", ["add", "popup"])
def test_there_is_no_section_where_it_makes_no_sense(boss, page):
    """An object that is not saved has no executions; a popup has no room for them."""
    cake = Cake.objects.create(name="Sacher")
    adding = reverse("kitchen:bakery_cake_add")

    answer = boss.get(adding if page == "add" else f"{url(cake)}?_popup=1")

    assert 200 == answer.status_code
    assert 'id="workflows"' not in answer.text
    assert "host.css" not in answer.text


def test_the_projects_own_template_is_extended(boss, settings, tmp_path):
    """Whatever stands in the host's template stays, and the section comes after it."""
    (tmp_path / "own.html").write_text(
        '{% extends "admin/change_form.html" %}'
        "{% block object-tools-items %}<li>own tool</li>{% endblock %}"
        "{% block content %}own content{{ block.super }}{% endblock %}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    site.get_model_admin(Cake).change_form_template = "own.html"
    try:
        text = boss.get(url(Cake.objects.create(name="Sacher"))).text
    finally:
        del site.get_model_admin(Cake).change_form_template

    section_at = text.index('id="workflows"')
    assert text.index("own tool") < section_at
    assert text.index("own content") < section_at


def test_an_answer_that_is_no_template_is_left_alone(boss):
    """A base class that answers in a way of its own goes on doing so."""
    assert "bare" == boss.get(url(Ingredient.objects.create(name="flour"))).text


def test_a_proxy_shows_what_its_model_shows(boss):
    """A proxy's object is the same object."""
    execution = about(Cake.objects.create(name="Sacher"))

    assert url(execution) in section(boss, CheapCake.objects.get())


def test_an_inherited_model_has_executions_of_its_own(boss):
    """A child's executions are those that are about the child."""
    cake = WeddingCake.objects.create(name="three floors")
    child, parent = about(cake), about(cake.cake_ptr)

    text = section(boss, cake)

    assert url(child) in text
    assert url(parent) not in text


def test_a_composite_key_is_not_for_the_admin():
    """Django registers no such model, with the mixin or without it."""
    with pytest.raises(ImproperlyConfigured, match="composite primary key"):
        admin.AdminSite().register(Batch, CakeAdmin)


def test_a_key_that_must_be_quoted_is(boss):
    """Slashes and umlauts in a key lead to the right object."""
    tagged = Tagged.objects.create(tag="a/b ü_%")
    execution = about(tagged)

    text = section(boss, tagged)

    assert url(execution) in text
    assert 200 == boss.get(url(tagged, "run_workflow")).status_code


def test_without_anything_to_see_there_is_no_section(as_staff):
    """Who may neither see executions nor run any sees the page as it was."""
    cake = Cake.objects.create(name="Sacher")
    about(cake)

    assert "" == section(as_staff("view_cake", "change_cake"), cake)


def test_a_viewer_sees_executions_but_no_button(as_staff):
    """Seeing is one right, running another."""
    cake = Cake.objects.create(name="Sacher")
    execution = about(cake)

    text = section(as_staff("view_cake", "view_execution"), cake)

    assert url(execution) in text
    assert url(cake, "run_workflow") not in text


def test_who_may_only_run_sees_a_button_but_no_executions(as_staff):
    """Running is one right, seeing another."""
    cake = Cake.objects.create(name="Sacher")
    execution = about(cake)

    text = section(as_staff("view_cake", "execute_execution"), cake)

    assert url(cake, "run_workflow") in text
    assert url(execution) not in text
    assert "<table" not in text


def test_an_execution_that_is_not_for_the_viewer_is_left_out(boss):
    """The hooks of the executions' own admin decide row by row."""
    cake = Cake.objects.create(name="Sacher")
    hidden, shown = about(cake, user_key="chef"), about(cake)

    text = section(boss, cake)

    assert url(shown) in text
    assert url(hidden) not in text


def test_links_stay_on_their_site(boss):
    """On each site everything leads to that site; where there are no pages, nothing is linked."""
    cake = Cake.objects.create(name="Sacher")
    execution = about(cake, workflow="bake")

    assert "/admin/" not in section(boss, cake)
    text = section(boss, cake, site="floor")
    assert "bake" in text
    assert str(execution.pk) not in text
    assert [url(cake, "run_workflow", site="floor")] == re.findall(r'href="(.*?)"', text)


# What is offered


def offered(client, obj):
    """Return the workflows that can be run for an object."""
    return [each.workflow for each in client.get(url(obj, "run_workflow")).context["offers"]]


def test_the_triggers_of_the_model_are_offered_and_what_is_listed(boss, baking):
    """First those of the triggers, in the order of their declaration."""
    assert ["bake", "taste"] == offered(boss, Cake.objects.create(name="Sacher"))


def test_a_childs_page_offers_what_its_parent_does_too(boss, baking):
    """A wedding cake is a cake, and a proxy's triggers are those of its model."""
    with declaring():
        triggers.trigger(post_save, sender=[CheapCake, "bakery.WeddingCake"], workflow="sell")(
            lambda cake, **kwargs: None
        )

        assert ["bake", "sell", "taste"] == offered(boss, WeddingCake.objects.create(name="high"))
        assert ["bake", "sell", "taste"] == offered(boss, Cake.objects.create(name="low"))


def test_other_triggers_are_not_offered(boss):
    """Those of other models, of everybody and of no model at all are none of an object's."""
    with declaring():
        for signal, sender in ((post_save, Recipe), (post_save, None), (ding, "a"), (ding, "a.b")):

            @triggers.trigger(signal, sender=sender, workflow=f"of {sender}")
            def other(thing, **kwargs):
                return None

            triggers.registry[f"{sender}"] = triggers.registry.pop(
                f"{other.__module__}.{other.__qualname__}"
            )

        assert ["taste"] == offered(boss, Cake.objects.create(name="Sacher"))


def test_triggers_that_start_the_same_are_one_offer(boss, baking):
    """What differs in nothing that is sent is offered once."""
    with declaring():

        @triggers.trigger(post_save, sender=Cake, workflow="taste")
        def cake_tasted(cake, **kwargs):
            return None

        assert ["bake", "taste"] == offered(boss, Cake.objects.create(name="Sacher"))


def test_a_trigger_that_cannot_say_what_it_would_start_is_left_out(boss, caplog):
    """The project's own function fails; the page does not, and the log says why."""
    with declaring():

        @triggers.trigger(post_save, sender=Cake, workflow=lambda cake: cake.flavour)
        def flavoured(cake, **kwargs):
            return None

        with declaring(), triggers.suppressed():
            cake = Cake.objects.create(name="Sacher")
        assert ["taste"] == offered(boss, cake)

    (record,) = caplog.records
    assert flavoured.__qualname__ in record.message
    assert "flavour" in str(record.exc_info[1])


def test_the_page_says_what_is_sent(boss, baking):
    """Workflow, account, user key and source stand beside the data."""
    cake = Cake.objects.create(name="Sacher")

    answer = boss.get(url(cake, "run_workflow"))

    preview = answer.context["preview"]
    assert ("bake", "key", "default") == (preview.workflow, preview.id_type, preview.account)
    assert "Sacher" == preview.user_key
    assert "<dd>Sacher</dd>" in answer.text
    assert f'href="{url(cake)}"' in answer.text


def test_looking_changes_nothing(boss, baking):
    """To open the page calls no trigger's function and stores nothing."""
    cake = Cake.objects.create(name="Sacher")
    before = Execution.objects.count()

    boss.get(url(cake, "run_workflow"))

    assert before == Execution.objects.count()
    assert not LogEntry.objects.exists()


def test_by_default_plain_facts_are_offered(boss):
    """The key and the fields that the page shows, as JSON; relations by their keys."""
    cake = Cake.objects.create(name="Sacher", price=Decimal("9.50"))

    form = boss.get(url(cake, "run_workflow")).context["form"]

    expected = {"id": cake.pk, "name": "Sacher", "price": "9.50"}
    assert expected == json.loads(form["execution_data"].value())


def test_by_default_nothing_is_offered_that_the_page_does_not_show():
    """Fields that a page leaves out, and secret-looking ones, stay at home."""
    user = User(pk=1, username="ada", password="pbkdf2")

    assert {"id": 1, "username": "ada"} == offers.facts(user, ["username", "password", str])


def test_by_default_what_is_no_json_is_offered_as_text():
    """A file, for example, as its name."""

    class Photo(models.Model):
        id = models.AutoField(primary_key=True)
        file = models.FileField()

        class Meta:
            app_label = "unmigrated"

        def __str__(self):
            return self.file.name

    try:
        assert {"id": 3, "file": "a.jpg"} == offers.facts(Photo(pk=3, file="a.jpg"), ["file"])
    finally:
        apps.all_models.pop("unmigrated")
        apps.clear_cache()


def test_data_that_cannot_be_sent_is_said(boss):
    """What get_workflow_data returns is judged as execute would; the page shows the reason."""
    answer = boss.get(url(Tagged.objects.create(tag="x"), "run_workflow"))

    assert "data[&#x27;object&#x27;] cannot be sent" in answer.text
    assert "{}" == answer.context["form"]["execution_data"].value()


# Running


def test_a_workflow_is_run_for_the_object(boss, baking):
    """What was shown is queued, and both logs and the history say who wanted it."""
    with triggers.suppressed():
        cake = Cake.objects.create(name="Sacher")

    answer = run(boss, cake)

    execution = Execution.objects.get()
    assert url(execution) == answer.url
    assert ("bake", "Sacher", cake) == (execution.workflow, execution.user_key, execution.source)
    assert {"id": cake.pk, "name": "Sacher", "price": "0.00"} == execution.execution_data
    (event,) = execution.events.all()
    assert ("person", {"verb": "execute", "by": "boss"}) == (event.source, event.detail)
    logged = {each.content_type.model: each.change_message for each in LogEntry.objects.all()}
    assert {"cake", "execution"} == set(logged)
    assert str(execution.pk) in logged["cake"]
    # Who sees the execution's history need not be one who may see the cake.
    assert "Sacher" not in logged["execution"]
    assert f"cake {cake.pk}" in logged["execution"]
    assert ["Workflow bake was queued; it starts as soon as a worker is free."] == said(answer)


def test_the_edited_data_is_sent(boss):
    """What stands in the box when the button is pressed is what the workflow gets."""
    run(boss, Cake.objects.create(name="Sacher"), '{"name": "Dobos", "layers": [1, 2]}')

    assert {"name": "Dobos", "layers": [1, 2]} == Execution.objects.get().execution_data


def test_any_of_the_offers_can_be_run(boss, baking):
    """The one that is chosen, not the first."""
    with triggers.suppressed():
        cake = Cake.objects.create(name="Sacher")

    run(boss, cake, workflow="taste")

    assert "taste" == Execution.objects.get().workflow


def test_pressing_twice_runs_once(boss):
    """The second press finds the first one's execution, and says so."""
    cake = Cake.objects.create(name="Sacher")
    page = url(cake, "run_workflow")
    form = boss.get(page).context["form"]
    posted = {"key": form.question, "execution_data": "{}", "workflow": "taste"}

    first, second = boss.post(page, posted), boss.post(page, posted)

    execution = Execution.objects.get()
    assert [url(execution)] * 2 == [first.url, second.url]
    assert 1 == execution.events.count()
    assert 2 == LogEntry.objects.count()
    assert "was not run again" in said(second)[-1]


def test_another_page_runs_another_one(boss):
    """Each time the page is opened is a wish of its own."""
    cake = Cake.objects.create(name="Sacher")

    run(boss, cake)
    run(boss, cake)

    assert 2 == Execution.objects.count()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("{", "This is no JSON"),
        ('{"a": "\\ud800"}', "has a character that cannot be stored"),
        ("[1]", "should be a dict, not list"),
        ('{"a": NaN}', "is no JSON number"),
        ("[" * 100_000, "This is no JSON"),
        ("", "This field is required"),
    ],
)
def test_data_that_makes_no_sense_is_refused(boss, data, problem):
    """By the rules of ``execute``; nothing is stored, and what was written stays in the box."""
    answer = run(boss, Cake.objects.create(name="Sacher"), data)

    assert 200 == answer.status_code
    assert problem in html.unescape(answer.text)
    assert data == answer.context["form"]["execution_data"].value()
    assert not Execution.objects.exists()
    assert not LogEntry.objects.exists()


def test_what_is_not_offered_is_not_run(boss):
    """Neither a made-up workflow nor one that is offered elsewhere."""
    cake = Cake.objects.create(name="Sacher")
    posted = {"workflow": "cook", "execution_data": "{}", "key": str(uuid.uuid4())}

    answer = boss.post(url(cake, "run_workflow"), posted)

    assert url(cake) == answer.url
    assert ["This workflow is not offered here."] == said(answer)
    assert not Execution.objects.exists()


def test_what_is_gone_has_no_workflows(boss):
    """The admin's own answer to an object that is not there."""
    cake = Cake(pk=17)

    answer = boss.get(url(cake, "run_workflow"))

    assert reverse("kitchen:index") == answer.url


def test_who_may_not_see_the_execution_returns_to_the_object(as_staff):
    """The answer leads where its reader may go."""
    cake = Cake.objects.create(name="Sacher")

    answer = run(as_staff("view_cake", "execute_execution"), cake)

    assert url(cake) == answer.url
    assert 1 == Execution.objects.count()


@pytest.mark.parametrize("right", ["view_cake", "execute_execution", "add_cake"])
def test_running_takes_both_rights(as_staff, right):
    """To see the object and to execute; one of the two is not enough."""
    cake = Cake.objects.create(name="Sacher")
    client = as_staff(right)

    posted = {"workflow": "taste", "execution_data": "{}", "key": str(uuid.uuid4())}

    assert 403 == client.get(url(cake, "run_workflow")).status_code
    assert 403 == client.post(url(cake, "run_workflow"), posted).status_code
    assert not Execution.objects.exists()


def test_an_object_can_be_protected(boss):
    """The hook decides object by object, for the button and for the page."""
    recipe = Recipe.objects.create(title="grandmother's")

    assert url(recipe, "run_workflow") not in section(boss, recipe)
    assert 403 == boss.get(url(recipe, "run_workflow")).status_code


def test_the_button_needs_a_csrf_token(boss):
    """Another site cannot run a workflow with the visitor's cookies."""
    boss.handler.enforce_csrf_checks = True

    assert 403 == run(boss, Cake.objects.create(name="Sacher")).status_code


# Secrets


def test_secrets_are_hidden_and_still_sent(as_staff):
    """Who may not see a secret value may send it, from where it is hidden."""
    recipe = Recipe.objects.create(title="strudel")
    client = as_staff("view_recipe", "execute_execution")

    page = client.get(url(recipe, "run_workflow"))
    run(client, recipe)

    assert "tok-strudel" not in page.text
    assert "hidden from you" in page.text
    expected = {"title": "strudel", "steps": [{"api_token": "tok-strudel"}]}
    assert expected == Execution.objects.get().execution_data


def test_a_secret_is_put_nowhere_else(as_staff):
    """A hidden value that has been moved is refused: it would be sent as dots, or be seen."""
    recipe = Recipe.objects.create(title="strudel")
    client = as_staff("view_recipe", "execute_execution")

    answer = run(client, recipe, json.dumps({"title": redaction.REDACTED, "x": redaction.REDACTED}))

    assert "stands for a hidden value" in answer.text
    assert not Execution.objects.exists()


def test_secrets_are_seen_by_those_who_may(boss):
    """``view_execution_data`` shows them here as well."""
    assert "tok-x" in boss.get(url(Recipe.objects.create(title="x"), "run_workflow")).text


@pytest.mark.parametrize(
    ("edited", "original"),
    [
        ({"a": redaction.REDACTED}, {}),
        ({"a": redaction.REDACTED}, []),
        ([redaction.REDACTED], {"a": 1}),
        ([1, redaction.REDACTED], [1]),
    ],
)
def test_nothing_is_restored_from_nowhere(edited, original):
    """Dots that stand for nothing are not data."""
    with pytest.raises(InvalidExecution, match="stands for a hidden value"):
        redaction.restore(edited, original)


def test_restoring_undoes_redacting():
    """Whatever was hidden comes back; null too."""
    value = {"token": None, "a": [{"password": [1]}, "x"], "b": 1}

    assert value == redaction.restore(redaction.redact(value), value)


def test_rows_in_flight_are_found_by_the_list_s_script(boss):
    """The section's cells are the list's own, and the script is told where to ask for them."""
    cake = Cake.objects.create(name="Sacher")
    running = Execution.objects.create(
        workflow="bake",
        status=Status.RUNNING,
        source_type="bakery.cake",
        source_id=str(cake.pk),
    )

    text = boss.get(url(cake)).text

    (asked,) = re.findall(r'data-ewf-live="([^"]+)"', text)
    assert reverse("kitchen:embedworkflow_execution_live_rows") == asked
    assert 'src="/static/embedworkflow_django/live.js"' in text
    cells = text.split('id="workflows"')[1]
    fresh = boss.get(asked, {"ids": running.pk.hex}).text
    for name in re.findall(r'data-ewf-cell="([^"]+)"', fresh):
        assert f'class="{name}"' in cells
    assert f'data-ewf-moves="{running.pk.hex}"' in cells
    assert f'data-ewf-follows="{running.pk.hex}"' in text


def test_on_a_site_without_executions_nothing_is_renewed(boss):
    """There is nowhere to ask."""
    cake = Cake.objects.create(name="Sacher")
    Execution.objects.create(workflow="bake", source_type="bakery.cake", source_id=str(cake.pk))

    text = boss.get(url(cake, site="floor")).text

    assert 'id="workflows"' in text
    assert "data-ewf-live" not in text
