"""The admin of executions: a list and a page to read, and the operator's verbs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext as django_gettext
from django.utils.translation import gettext_lazy as _

from .. import conf, selection
from ..exceptions import escape_bidi
from ..models import Execution, Status
from . import alerts, lists, live, overview, presentation, questions, quick, sources
from .filters import (
    AccountFilter,
    CreatedFilter,
    QuickViewFilter,
    StatusFilter,
    TriggerFilter,
    WorkflowFilter,
)
from .trigger_map import TriggerMapMixin
from .views import PageMixin

_BOX = f'<input type="checkbox" name="{ACTION_CHECKBOX_NAME}" value="{{}}" class="action-select"'


class ExecutionAdminMixin(TriggerMapMixin, overview.OverviewMixin, live.LiveListMixin, PageMixin):
    """All that the admin of executions is, for any base class that a theme asks for.

    Rights: ``view_execution`` for list and page, ``view_execution_data`` to see secret values, one
    for each verb; ``view_overview`` for the overview, and ``view_triggers`` and ``probe_workflow``
    for the trigger map. Override ``has_…_permission(request, obj)`` to decide object by object, and
    ``get_queryset`` to show only some of them.
    """

    templates = "execution"
    heavy = lists.HEAVY
    live_display = ("status_badge", "progress_bar", "tries", "duration")
    list_display = (
        "status_badge",
        "workflow",
        "source_link",
        "progress_bar",
        "tries",
        "created",
        "duration",
    )
    list_display_links = ("workflow",)
    list_filter = (
        QuickViewFilter,
        StatusFilter,
        CreatedFilter,
        WorkflowFilter,
        TriggerFilter,
        AccountFilter,
    )
    list_per_page = 100
    list_select_related = False
    ordering = ("-pk",)
    paginator = lists.CappedPaginator
    # What it takes for the search box to be there; get_search_results does the rest.
    search_fields = ("id",)
    search_help_text = _(
        "An id or the first eight digits of one, a remote id, a hashid, an idempotency key, a "
        "workflow, or a source, as the list shows it or as app.model:key. Nothing but the exact "
        "one is found."
    )
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    # Rights

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the list, or this execution's page, may be seen."""
        return request.user.has_perm(f"{self.opts.app_label}.view_execution")

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that stays fast at any size."""
        return lists.ExecutionChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Execution], search_term: str
    ) -> tuple[QuerySet[Execution], bool]:
        """Return what a search term finds; see ``selection.search``."""
        term = search_term.strip()
        found = selection.search(queryset, term, selection.named(term)) if term else queryset
        return found, False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the list, under what is wrong at large; or the first page that is to be seen."""
        places = self.places(request)
        if places and request.method == "GET" and not self.has_view_permission(request):
            return HttpResponseRedirect(places[0].url)
        return super().changelist_view(
            request,
            {
                "refused_accounts": self._alerts(request),
                "places": places,
                "place": "changelist",
                **(extra_context or {}),
            },
        )

    def _alerts(self, request: HttpRequest) -> dict[str, str]:
        shown = request.method == "GET" and self.has_view_permission(request)
        return alerts.refused_accounts() if shown else {}

    def moves(self, obj: Execution) -> bool:
        """Return whether a row changes by itself."""
        return not obj.is_final and obj.due_at is not None

    def said(self, obj: Execution) -> str:
        """Return what is said when a row's status has changed."""
        about = {"workflow": escape_bidi(obj.workflow), "word": obj.get_status_display()}
        if source := sources.title(obj):
            return gettext("%(workflow)s for %(source)s: %(word)s") % {**about, "source": source}
        return gettext("%(workflow)s: %(word)s") % about

    def live_numbers(self, visible: QuerySet[Execution]) -> dict[str, Any]:
        """Return each quick view's name, number, and whether it is empty."""
        counts = questions.counts(quick.querysets(visible), lists.MAX_COUNT)
        views = quick.shown(counts)
        return {"numbers": [(view.name, view.number, view.is_empty) for view in views]}

    @admin.display(description=_("status"))
    def status_badge(self, execution: Execution) -> SafeString:
        """Return the status; and, where the row moves by itself, how the script finds it."""
        badge = presentation.badge(execution.status)
        if execution.stop_requested_at and not execution.is_final:
            badge = presentation.lines(badge, gettext("stop requested"))
        return self.live_cell(execution, badge)

    @admin.display(description=_("source, user"))
    def source_link(self, execution: Execution) -> str:
        """Return the source, linked if the viewer may see it; the user key; an account of its own.

        The link leads into the source's own admin.
        """
        account = execution.account if execution.account != conf.DEFAULT_ACCOUNT else ""
        return presentation.lines(
            sources.link(execution, getattr(execution, "source_url", "")),
            *(word for word in (escape_bidi(execution.user_key), account) if word),
        )

    @admin.display(description=_("actions"))
    def progress_bar(self, execution: Execution) -> SafeString:
        """Return the counters of its actions."""
        return presentation.bar(execution)

    @admin.display(description=_("attempts"))
    def tries(self, execution: Execution) -> SafeString:
        """Return how often its delivery was tried, and when it is tried next."""
        return presentation.lines(str(execution.attempts or "–"), *_next_try(execution))

    @admin.display(description=_("created"))
    def created(self, execution: Execution) -> SafeString:
        """Return when it was created, on one line."""
        return presentation.brief(execution.created_at)

    @admin.display(description=_("duration"))
    def duration(self, execution: Execution) -> SafeString:
        """Return how long it took, or, more quietly, has taken so far."""
        elapsed = presentation.elapsed(execution, timezone.now())
        if execution.is_final:
            return format_html('<span class="ewf-line" title="{0}">{0}</span>', elapsed)
        return format_html(
            '<span class="ewf-line ewf-quiet" title="{}">{}</span>',
            presentation.so_far(elapsed),
            elapsed,
        )


def _next_try(execution: Execution) -> Iterator[str]:
    """Yield when a delivery is tried next, if that is known."""
    now = timezone.now()
    if execution.status == Status.QUEUED and execution.due_at and execution.due_at > now:
        # The end of a worker's lease is no appointment.
        when = {"when": presentation.moment(execution.due_at, now)}
        yield gettext("being sent") if execution.claim else gettext("next %(when)s") % when


@admin.register(Execution)
class ExecutionAdmin(ExecutionAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Executions on the default admin site."""

    def action_checkbox(self, obj: Execution) -> SafeString:
        """Return what Django does, but not by a template for each row: a third of the list's time.

        A theme's own is left alone, which is why the mixin has none.
        """
        label = django_gettext("Select this object for an action - {}")
        return format_html(f'{_BOX} aria-label="{label}">', obj.pk, obj)

    # Before Django 6.0, the column's head is an attribute.
    vars(action_checkbox).update(vars(admin.ModelAdmin.action_checkbox))
