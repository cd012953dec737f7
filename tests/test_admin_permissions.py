"""Who may see and do what in the admin: every URL, action and button for every kind of visitor."""

from __future__ import annotations

import uuid

import django
import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import get_resolver, path, reverse

from embedworkflow_django.admin import ExecutionAdminMixin
from embedworkflow_django.keys import uuid7
from embedworkflow_django.models import Execution, Job, Status

pytestmark = pytest.mark.django_db

VERBS = ("refresh", "run_again", "cancel", "stop", "resolve")
#: An execution on which each verb makes sense.
FITTING = {
    "refresh": {"status": Status.RUNNING, "remote_id": "r-1"},
    "run_again": {"status": Status.FAILED, "due_at": None},
    "cancel": {"status": Status.QUEUED},
    "stop": {"status": Status.RUNNING, "remote_id": "r-2"},
    "resolve": {"status": Status.UNCONFIRMED, "due_at": None},
}
#: The rights of each visitor; "anonymous" and "superuser" are treated apart.
STAFF = {
    "staff": (),
    "view": ("view_execution",),
    "data": ("view_execution_data",),
    **{verb: ("view_execution", f"{verb}_execution") for verb in VERBS},
    **{f"{verb}-alone": (f"{verb}_execution",) for verb in VERBS},
    "execute": ("view_execution", "execute_execution"),
    "overview": ("view_overview",),
    "triggers": ("view_triggers",),
    "probe": ("view_triggers", "probe_workflow"),
    "probe-alone": ("probe_workflow",),
    "jobs": ("view_job",),
    "jobs-cancel": ("view_job", "cancel_job"),
    "odd": ("add_execution", "change_execution", "delete_execution"),
}
VISITORS = ("anonymous", *STAFF, "superuser")


@pytest.fixture
def visit(client, as_staff):
    """Log a visitor in and return the client."""

    def log_in(name):
        if name == "superuser":
            client.force_login(User.objects.create_superuser(name))
        elif name != "anonymous":
            as_staff(*STAFF[name], name=name)
        return client

    return log_in


def may_view(visitor):
    """Return whether a visitor may see executions."""
    return visitor == "superuser" or "view_execution" in STAFF.get(visitor, ())


def may(visitor, verb):
    """Return whether a visitor may use a verb: he may see executions, and has its right."""
    return visitor == "superuser" or (
        may_view(visitor) and f"{verb}_execution" in STAFF.get(visitor, ())
    )


def expected(visitor, *, allowed):
    """Return the status of an answer: 200, or 302 to the login page, or 403."""
    if visitor == "anonymous":
        return 302
    return 200 if allowed else 403


def led_to(visitor):
    """Return the page to which the list leads who may not see it, but may see that page."""
    rights = set(STAFF.get(visitor, ()))
    pages = [page for page in ("overview", "triggers") if f"view_{page}" in rights]
    return url(pages[0]) if pages and not may_view(visitor) else ""


def make(verb="run_again"):
    """Return an execution that suits a verb."""
    return Execution.objects.create(workflow="w", **FITTING[verb])


def url(page, *args):
    """Return the URL of a page of the admin."""
    return reverse(f"admin:embedworkflow_execution_{page}", args=args)


def confirm(verb):
    """Return the fields with which a verb is confirmed."""
    yes = {"confirmed": "yes", "key": str(uuid.uuid4())}
    return {**yes, "answer": "resend"} if verb == "resolve" else yes


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("page", ["changelist", "change", "history"])
def test_seeing_takes_the_right_to_view(visit, visitor, page):
    """List, page and log are for those with ``view_execution``."""
    args = () if page == "changelist" else (make().pk,)

    answer = visit(visitor).get(url(page, *args))

    if page == "changelist" and led_to(visitor):
        assert (302, led_to(visitor)) == (answer.status_code, answer.url)
    else:
        assert expected(visitor, allowed=may_view(visitor)) == answer.status_code


@pytest.mark.parametrize("visitor", [name for name in VISITORS if name != "anonymous"])
@pytest.mark.parametrize("page", ["change", "history", "live"])
def test_nobody_learns_whether_there_is_one(visit, visitor, page):
    """Without the right, what is there and what is not are refused alike."""
    answer = visit(visitor).get(url(page, uuid7()))

    missing = 404 if page == "live" else 302
    assert (missing if may_view(visitor) else 403) == answer.status_code


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("page", ["add", "delete"])
def test_nobody_adds_or_deletes(visit, visitor, method, page):
    """There is no way to add or delete an execution, for superusers either."""
    args = () if page == "add" else (make().pk,)
    before = Execution.objects.count()

    answer = getattr(visit(visitor), method)(url(page, *args), {"post": "yes"})

    assert expected(visitor, allowed=False) == answer.status_code
    assert before == Execution.objects.count()


@pytest.mark.parametrize("visitor", VISITORS)
def test_nobody_changes(visit, visitor):
    """Nothing can be posted to an execution's page."""
    execution = make()

    answer = visit(visitor).post(url("change", execution.pk), {"workflow": "other"})

    assert expected(visitor, allowed=False) == answer.status_code
    assert "w" == Execution.objects.get().workflow


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_url_takes_its_right(visit, visitor, verb):
    """Posting to a verb's URL does it for those with its right, and nothing for all others."""
    execution = make(verb)

    answer = visit(visitor).post(url(verb, execution.pk), confirm(verb))

    assert (302 if may(visitor, verb) else expected(visitor, allowed=False)) == answer.status_code
    assert int(may(visitor, verb)) == LogEntry.objects.count()
    assert int(may(visitor, verb)) == execution.events.count()


@pytest.mark.parametrize("visitor", ["stop", "superuser"])
def test_stopping_cancels_nothing(visit, visitor):
    """What was not sent is taken back by the verb of that name only, as the pages say."""
    execution, client = make("cancel"), visit(visitor)
    form = {"action": "stop", "_selected_action": [str(execution.pk)], "confirmed": "yes"}

    client.post(url("stop", execution.pk), confirm("stop"))
    client.post(url("changelist"), form)

    assert Status.QUEUED == Execution.objects.get().status
    assert 0 == LogEntry.objects.count()


@pytest.mark.parametrize("visitor", ["anonymous", "view", "superuser"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_url_does_nothing_on_get(visit, visitor, verb):
    """A link, a prefetch or an image cannot carry a verb out."""
    execution = make(verb)

    answer = visit(visitor).get(url(verb, execution.pk), confirm(verb))

    assert (302 if visitor == "anonymous" else 405) == answer.status_code
    assert 0 == execution.events.count()


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("verb", VERBS)
def test_an_action_takes_its_right(visit, visitor, verb):
    """Posting an action to the list carries it out for those with its right only."""
    execution = make(verb)
    form = {"action": verb, "_selected_action": [str(execution.pk)], **confirm(verb)}

    answer = visit(visitor).post(url("changelist"), form)

    # Resolving goes on to its form, which posts to the verb's URL.
    done = may(visitor, verb) and verb != "resolve"
    assert int(done) == LogEntry.objects.count()
    assert int(done) == execution.events.count()
    if not may_view(visitor):
        assert expected(visitor, allowed=False) == answer.status_code


@pytest.mark.parametrize("visitor", ["view", *VERBS, "superuser"])
def test_the_list_offers_the_actions_that_are_allowed(visit, visitor):
    """Nobody is offered an action that would be refused; deleting is offered to nobody."""
    make()

    answer = visit(visitor).get(url("changelist"))

    form = answer.context["action_form"]
    offered = {name for name, _label in form.fields["action"].choices if name} if form else set()
    assert {verb for verb in VERBS if may(visitor, verb)} == offered


@pytest.mark.parametrize("visitor", ["view", *VERBS, "superuser"])
@pytest.mark.parametrize("verb", VERBS)
def test_the_page_shows_the_buttons_that_are_allowed(visit, visitor, verb):
    """A button is there for those with its right, where the verb makes sense."""
    execution = make(verb)

    answer = visit(visitor).get(url("change", execution.pk))

    assert may(visitor, verb) == (f'id="ewf-verb-{verb}"' in answer.text)


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("verb", VERBS)
def test_an_action_of_the_page_takes_its_right(visit, visitor, verb):
    """Posting an action to the page, where Django has such, does no more than the verb's URL."""
    execution = make(verb)
    form = {"CHANGE_FORM-action": verb, "_selected_action": [str(execution.pk)], **confirm(verb)}

    answer = visit(visitor).post(url("change", execution.pk), form)

    done = may(visitor, verb) and django.VERSION >= (6, 1)
    assert int(done) == LogEntry.objects.count()
    assert int(done) == execution.events.count()
    if not may_view(visitor):
        assert expected(visitor, allowed=False) == answer.status_code


def test_a_verb_needs_a_csrf_token(visit):
    """Another site cannot post a verb with the visitor's cookies."""
    client = visit("superuser")
    client.handler.enforce_csrf_checks = True
    execution = make("cancel")

    answer = client.post(url("cancel", execution.pk), confirm("cancel"))

    assert 403 == answer.status_code
    assert Status.QUEUED == Execution.objects.get().status


@pytest.mark.parametrize("visitor", ["view", "superuser"])
def test_secrets_take_a_right_of_their_own(visit, visitor):
    """Values under secret-looking names are hidden without ``view_execution_data``."""
    secret = {"api_token": "tok_1234", "city": "Berlin"}
    execution = Execution.objects.create(
        workflow="w",
        execution_data=secret,
        log=secret,
        stats=secret,
        template=secret,
        raw=secret,
        status=Status.FAILED,
        due_at=None,
    )
    execution.events.create(status=Status.FAILED, source="poll", detail={"password": "tok_1234"})

    client = visit(visitor)
    page = client.get(url("change", execution.pk)).text

    assert ("tok_1234" in page) == (visitor == "superuser")
    assert "Berlin" in page


def test_secrets_are_hidden_on_the_confirmation_too(visit):
    """The confirmation shows no more than the page does."""
    execution = make()
    Execution.objects.update(execution_data={"api_token": "tok_1234"})

    answer = visit("run_again").post(url("run_again", execution.pk))

    assert "api_token" in answer.text
    assert "tok_1234" not in answer.text


@pytest.mark.parametrize(
    "lookup",
    ["execution_data__api_token__startswith", "last_error__contains", "events__detail", "id__in"],
)
def test_the_url_cannot_probe_hidden_columns(visit, lookup):
    """A filter that the list does not offer is refused, so that nobody guesses at data by it."""
    answer = visit("superuser").get(url("changelist"), {lookup: "t"})

    assert 400 == answer.status_code


@pytest.mark.parametrize(
    "lookup", ["by_id__startswith", "claim", "outcomes__0__reason__contains", "status"]
)
def test_the_url_cannot_probe_the_columns_of_jobs(visit, lookup):
    """The list of jobs offers no filter, so it takes none; nor does one break it."""
    client = visit("superuser")
    answers = [
        client.get(reverse("admin:embedworkflow_job_changelist"), {lookup: value})
        for value in ("t", "\0")
    ]

    assert [400, 400] == [answer.status_code for answer in answers]


class Named(admin.SimpleListFilter):
    """By whether the API has named it."""

    title = parameter_name = "named"

    def lookups(self, request, model_admin):
        """Return both choices."""
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request, queryset):
        """Return the rows of the choice."""
        return queryset.exclude(name="") if self.value() == "yes" else queryset


class FilteredAdmin(ExecutionAdminMixin, admin.ModelAdmin):
    """A project's own, with filters beside ours."""

    list_filter = (
        *ExecutionAdminMixin.list_filter,
        Named,
        "run_again_of",
        ("name", admin.EmptyFieldListFilter),
    )


filtered = admin.AdminSite(name="filtered")
filtered.register(Execution, FilteredAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("filtered/", filtered.urls)]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("lookup", "status"),
    [
        ("named", 200),
        ("name__isempty", 200),
        ("run_again_of__id__exact", 200),
        ("workflow", 200),
        ("run_again_of__execution_data__token__startswith", 400),
        ("run_again_of__name", 400),
        ("execution_data__token__startswith", 400),
        ("last_error", 400),
    ],
)
def test_a_filter_of_a_projects_own_lets_nothing_else_in(visit, lookup, status):
    """What a subclass filters by can be chosen, and no other column be probed through it."""
    value = "1" if lookup == "name__isempty" else str(make().pk)

    answer = visit("superuser").get(
        reverse("admin:embedworkflow_execution_changelist", current_app="filtered"), {lookup: value}
    )

    assert status == answer.status_code


# The walk

#: What each URL of ours, by its name, takes to be seen: rights, and the method it is seen by.
#: A URL that stands nowhere here fails the walk.
NEEDED = {
    "embedworkflow_execution_changelist": ("get", {"view_execution"}),
    "embedworkflow_execution_change": ("get", {"view_execution"}),
    "embedworkflow_execution_history": ("get", {"view_execution"}),
    "embedworkflow_execution_live": ("get", {"view_execution"}),
    "embedworkflow_execution_live_rows": ("get", {"view_execution"}),
    "embedworkflow_execution_overview": ("get", {"view_overview"}),
    "embedworkflow_execution_overview_live": ("get", {"view_overview"}),
    "embedworkflow_execution_triggers": ("get", {"view_triggers"}),
    "embedworkflow_execution_probe": ("post", {"view_triggers", "probe_workflow"}),
    "embedworkflow_execution_add": ("get", None),
    "embedworkflow_execution_delete": ("get", None),
    **{
        f"embedworkflow_execution_{verb}": ("post", {"view_execution", f"{verb}_execution"})
        for verb in VERBS
    },
    "embedworkflow_job_changelist": ("get", {"view_job"}),
    "embedworkflow_job_change": ("get", {"view_job"}),
    "embedworkflow_job_history": ("get", {"view_job"}),
    "embedworkflow_job_add": ("get", None),
    "embedworkflow_job_delete": ("get", None),
    "embedworkflow_job_live": ("get", {"view_job"}),
    "embedworkflow_job_live_rows": ("get", {"view_job"}),
    "embedworkflow_job_cancel": ("post", {"view_job", "cancel_job"}),
}
#: What answers by leading elsewhere.
AT_ONCE = {"embedworkflow_execution_probe"}


def key_for(name):
    """Return the key of something that a URL may be about."""
    if name.startswith("embedworkflow_job_"):
        return Job.objects.create(verb="cancel", newest=uuid7(), by="ann").pk
    verb = name.removeprefix("embedworkflow_execution_")
    return make(verb if verb in VERBS else "run_again").pk


def urls_of_ours():
    """Return the URLs that the admin has for our models, by name, as the resolver knows them."""
    known = get_resolver().namespace_dict["admin"][1].reverse_dict
    names = {name for name in known if isinstance(name, str)}
    return {name for name in names if name.startswith("embedworkflow_")}


def test_every_url_has_an_expectation():
    """A URL cannot appear in the admin without somebody saying who may use it."""
    assert set() == urls_of_ours() - set(NEEDED)


@pytest.mark.parametrize("visitor", VISITORS)
def test_the_walk(visit, visitor):
    """Each URL that the resolver knows answers those with its rights, and nobody else."""
    client = visit(visitor)
    rights = set(STAFF.get(visitor, ()))
    for name in sorted(urls_of_ours()):
        method, needed = NEEDED[name]
        pattern = get_resolver().namespace_dict["admin"][1].reverse_dict[name]
        args = [key_for(name)] if pattern[0][0][1] else []
        allowed = needed is not None and (visitor == "superuser" or needed <= rights)

        answer = getattr(client, method)(reverse(f"admin:{name}", args=args))

        at_once = allowed and name in AT_ONCE
        if name == "embedworkflow_execution_changelist" and led_to(visitor):
            assert (302, led_to(visitor)) == (answer.status_code, answer.url)
            assert 200 == client.get(answer.url).status_code
        else:
            wanted = 302 if at_once else expected(visitor, allowed=allowed)
            assert wanted == answer.status_code, name
