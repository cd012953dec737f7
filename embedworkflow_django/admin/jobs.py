"""Jobs in the admin: the list's filter, frozen; and each job's page, with what it has done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import jobs
from ..models import Job, Status
from . import days, quick
from .verbs import VERBS

_OPEN = (Job.Status.WAITING, Job.Status.RUNNING)


# The parameters of the list's URL that a job understands, and those that narrow nothing.
_FILTERS = {"workflow", "trigger", "account", "q", "status", "created", quick.PARAMETER}
_HARMLESS = {"p", "o", "e", "all"}


def can_freeze(parameters: Mapping[str, str]) -> bool:
    """Return whether a job can mean what a list shows: a filter of a subclass it does not know.

    Args:
        parameters: The query string of the list.
    """
    return parameters.keys() <= _FILTERS | _HARMLESS


def frozen(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return what the list is filtered by, without words that mean something else tomorrow.

    Args:
        parameters: The query string of the list.
    """
    given = {name: value for name, value in parameters.items() if value}
    filters: dict[str, Any] = {
        name: given[name] for name in ("workflow", "trigger", "account", "q") if name in given
    }
    statuses = [{given["status"]}] if "status" in given else []
    periods = [days.RANGES[given["created"]]] if given.get("created") in days.RANGES else []
    if view := quick.VIEWS.get(given.get(quick.PARAMETER, "")):
        statuses.append(set(view.statuses))
        periods += [days.RANGES["today"]] if view.today else []
    if statuses:
        filters["statuses"] = sorted(map(str, set.intersection(*statuses)))
    for period in periods:
        for name, bound in period.bounds().items():
            known = filters.get(name, str(bound))
            filters[name] = max(known, str(bound)) if name == "since" else min(known, str(bound))
    return filters


def described(filters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a frozen filter, for people.

    Args:
        filters: As ``selection.matching`` takes them.
    """
    if "statuses" in filters:
        labels = dict(Status.choices)
        names = [str(labels.get(name, name)) for name in filters["statuses"]]
        yield _("Status"), ", ".join(names) or "–"
    for name, label in (
        ("workflow", _("Workflow")),
        ("trigger", _("Trigger")),
        ("account", _("Account")),
        ("since", _("From id")),
        ("before", _("Before id")),
        ("q", _("Search")),
    ):
        if name in filters:
            yield label, str(filters[name])
    if not filters:
        yield _("Filter"), _("none: all executions")


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Jobs, to look at and to cancel."""

    list_display = ("what", "status", "progress", "by", "created_at", "finished_at")
    list_display_links = ("what",)
    list_per_page = 50
    show_full_result_count = False
    change_form_template = "admin/embedworkflow/job/change_form.html"
    fields = readonly_fields = (
        "what",
        "filter",
        "newest",
        "by",
        "status",
        "progress",
        "created_at",
        "finished_at",
        "left_out",
    )

    @property
    def media(self) -> forms.Media:
        """The style sheet that all the pages share."""
        return super().media + forms.Media(css={"all": ("embedworkflow_django/admin.css",)})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return ``False``: a job comes from the list of executions."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``: a job goes its way."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``: jobs say who did what."""
        return False

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether jobs, or this one, may be canceled."""
        right = f"{self.opts.app_label}.cancel_job"
        return self.has_view_permission(request, obj) and request.user.has_perm(right)

    @admin.display(description=gettext_lazy("what"))
    def what(self, job: Job) -> str:
        """Return what the job does."""
        return str(VERBS[job.verb].label_plural) if job.verb in VERBS else job.verb

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, job: Job) -> SafeString:
        """Return how many rows it has done, has skipped, has failed at, of how many."""
        said = _("%(done)d done, %(skipped)d skipped, %(failed)d failed") % {
            "done": job.done_count,
            "skipped": job.skipped_count,
            "failed": job.failed_count,
        }
        treated = job.done_count + job.skipped_count + job.failed_count
        if job.total is None:
            return format_html("{}", said)
        return format_html(
            '<progress value="{}" max="{}" aria-label="{}"></progress> {}',
            min(treated, job.total),
            job.total,
            _("%(treated)d of %(total)d") % {"treated": treated, "total": job.total},
            said,
        )

    @admin.display(description=gettext_lazy("filter, as it was confirmed"))
    def filter(self, job: Job) -> SafeString:
        """Return which executions it is about."""
        return format_html_join(", ", "{}: {}", described(job.filters))

    @admin.display(description=gettext_lazy("skipped and failed"))
    def left_out(self, job: Job) -> SafeString:
        """Return the first rows that were skipped or failed, each with the reason."""
        lines = ((each.get("execution", ""), each["reason"]) for each in job.outcomes)
        return format_html_join("", '<div class="ewf-line-of-job">{} {}</div>', lines)

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the button."""
        own: URLPattern = path(
            "<path:object_id>/cancel/",
            self.admin_site.admin_view(self.cancel_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_cancel",
        )
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Return a job's page, with a button for who may cancel it while it is open."""
        job = self.get_object(request, unquote(object_id))
        may = job is not None and job.status in _OPEN and self.has_cancel_permission(request, job)
        url = self._url("cancel", job.pk) if may and job is not None else ""
        context = {"cancel_url": url, "show_save": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return who did what to a job; without the right nobody learns whether there is one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a job before its next row.

        Args:
            request: Anything but a POST is refused.
            object_id: The job's id, quoted.
        """
        job = self.get_object(request, unquote(object_id))
        if not self.has_cancel_permission(request, job):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if job is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.opts, object_id
            )
            return answer
        if jobs.cancel(job):
            self.log_change(request, job, _("Canceled"))
            self.message_user(request, _("It ends before its next execution."))
        else:
            self.message_user(request, _("It has ended already."), "WARNING")
        return HttpResponseRedirect(self._url("change", job.pk))

    def _url(self, page: str, *args: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def page_of(job: Job, current_app: str) -> str:
    """Return the URL of a job's page on an admin site.

    Args:
        job: The job.
        current_app: The site's name.
    """
    return reverse("admin:embedworkflow_job_change", args=[job.pk], current_app=current_app)
