"""Jobs in the admin: how far each is, whom it was done for, and what it left out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import jobs
from ..exceptions import escape_bidi
from ..models import Execution, Job, Status
from . import frozen, live, presentation
from .shell import CONFIRMED, page_on
from .verbs import VERBS

_SENTENCES = {
    Job.Status.WAITING: gettext_lazy("It waits for a worker; the next free one begins with it."),
    Job.Status.RUNNING: gettext_lazy(
        "Workers go through the executions that match, the newest first, beside their other work."
    ),
    Job.Status.DONE: gettext_lazy("Every execution that matched has had its turn."),
    Job.Status.CANCELED: gettext_lazy("It was canceled. What it had done until then stays done."),
    Job.Status.FAILED: gettext_lazy("It has ended before its time, and will not go on."),
}
# What a job's status looks like: as that of an execution does.
_LOOKS = {
    Job.Status.WAITING: Status.QUEUED,
    Job.Status.RUNNING: Status.RUNNING,
    Job.Status.DONE: Status.COMPLETED,
    Job.Status.CANCELED: Status.CANCELED,
    Job.Status.FAILED: Status.FAILED,
}


class JobAdminMixin(live.LiveListMixin, live.LivePageMixin):
    """All that the admin of jobs is, for any base class that a theme asks for.

    Rights: ``view_job`` for list and page, ``cancel_job`` to end one before its time. Override
    ``has_…_permission(request, obj)`` to decide job by job.
    """

    templates = "job"
    change_form_template = "admin/embedworkflow/job/change_form.html"
    change_list_template = "admin/embedworkflow/job/change_list.html"
    live_display = ("status_badge", "progress", "finished")
    list_display = ("what", "status_badge", "progress", "chosen", "person", "created", "finished")
    list_display_links = ("what",)
    list_per_page = 50
    ordering = ("-pk",)
    show_full_result_count = False
    sortable_by = ()

    # Rights

    def has_cancel_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Return whether jobs, or this one, may be canceled."""
        right = f"{self.opts.app_label}.cancel_job"
        return self.has_view_permission(request, obj) and request.user.has_perm(right)

    # The list

    def moves(self, obj: Job) -> bool:
        """Return whether a row changes by itself."""
        return obj.is_open

    def said(self, obj: Job) -> str:
        """Return what is said when a row's status has changed."""
        about = {"what": self.what(obj), "word": obj.get_status_display()}
        return _("%(what)s: %(word)s") % about

    @admin.display(description=gettext_lazy("what"))
    def what(self, job: Job) -> str:
        """Return what the job does."""
        return VERBS[job.verb].title if job.verb in VERBS else job.verb

    @admin.display(description=gettext_lazy("status"))
    def status_badge(self, job: Job) -> SafeString:
        """Return the status; and, where the row moves by itself, how the script finds it."""
        return self.live_cell(job, _badge(job))

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, job: Job) -> SafeString:
        """Return how many rows have had their turn, of how many, and what came of it."""
        counts = (job.done_count, job.skipped_count, job.failed_count)
        names = zip(("done", "skipped", "failed"), map(presentation.number, counts), strict=True)
        said = _("%(done)s done, %(skipped)s skipped, %(failed)s failed") % dict(names)
        # Not all that matched still did when their turn came: the end of the bar is the job's.
        total = sum(counts) if job.status == Job.Status.DONE else job.total
        if not total:
            return presentation.lines(said)
        treated = min(sum(counts), total)
        about = {"treated": presentation.number(treated), "total": presentation.number(total)}
        return format_html(
            '<span class="ewf-of-job"><progress value="{}" max="{}" aria-label="{}">{}</progress> '
            '{} <span class="ewf-under">{}</span></span>',
            treated,
            total,
            _("Progress"),
            reading := _("%(treated)s of %(total)s") % about,
            reading,
            said,
        )

    @admin.display(description=gettext_lazy("filter"))
    def chosen(self, job: Job) -> SafeString:
        """Return what it is about; when those were created is said on its page."""
        values = [value for _label, value in frozen.narrowed(job.filters)]
        return presentation.lines(*(values or ["–"]))

    @admin.display(description=gettext_lazy("by"))
    def person(self, job: Job) -> str:
        """Return for whom it is done."""
        return escape_bidi(job.by)

    @admin.display(description=gettext_lazy("created"))
    def created(self, job: Job) -> SafeString:
        """Return when it was confirmed."""
        return presentation.brief(job.created_at)

    @admin.display(description=gettext_lazy("finished"), empty_value="–")
    def finished(self, job: Job) -> SafeString | None:
        """Return when it ended."""
        return presentation.brief(job.finished_at) if job.finished_at else None

    # The page

    def page_about(self, request: HttpRequest, obj: Job) -> live.Page:
        """Return what is said to a viewer about a job."""
        return _Page(self, request, obj)

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and that of the button."""
        cancel = self.own_url("<path:object_id>/cancel/", self.cancel_view, "cancel", "POST")
        return [cancel, *super().get_urls()]

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a job before its next row, once that is confirmed.

        Args:
            request: A POST.
            object_id: The job's id, quoted.
        """
        job: Job | None = self.get_object(request, unquote(object_id))
        if not self.has_cancel_permission(request, job):
            raise PermissionDenied
        if job is None:
            return self.not_found(request, object_id)
        if job.is_open and CONFIRMED not in request.POST:
            return self._confirmation(request, job)
        if jobs.cancel(job):
            self.log_change(request, job, _("Canceled"))
            self.message_user(request, _("It ends before its next execution."))
        else:
            self.message_user(request, _("It has ended already."), "WARNING")
        return HttpResponseRedirect(self.url_of(request, "change", job.pk))

    def _confirmation(self, request: HttpRequest, job: Job) -> HttpResponse:
        page = _Page(self, request, job)
        context = {
            "title": _("Cancel this job?"),
            "back_url": self.url_of(request, "change", job.pk),
            **page.lasting(),
            **page.moving(),
        }
        return self.page(request, "confirmation.html", context)


class _Page:
    def __init__(self, model_admin: JobAdminMixin, request: HttpRequest, job: Job) -> None:
        self.title = model_admin.what(job)
        self.is_still = not job.is_open
        self._admin = model_admin
        self._request = request
        self._job = job

    def state(self) -> Any:
        return None

    def lasting(self) -> dict[str, Any]:
        job = self._job
        return {
            "asked": [
                (_("By"), escape_bidi(job.by)),
                (_("Confirmed"), presentation.timestamp(job.created_at)),
                *frozen.described(job.filters, job.newest),
            ]
        }

    def moving(self) -> dict[str, Any]:
        job, site = self._job, self._admin.admin_site
        outcomes = [{**each, "reason": escape_bidi(each["reason"])} for each in job.outcomes]
        may_cancel = job.is_open and self._admin.has_cancel_permission(self._request, job)
        return {
            "status_label": str(job.get_status_display()),
            "badge": _badge(job),
            "progress": self._admin.progress(job),
            "sentence": self._sentence(),
            "finished": presentation.timestamp(job.finished_at),
            "reasons": [each["reason"] for each in outcomes if "execution" not in each],
            "left_out": [
                {**each, "url": page_on(site, self._request, Execution, each["execution"])}
                for each in outcomes
                if "execution" in each
            ],
            "more_left_out": job.skipped_count + job.failed_count > len(job.outcomes),
            "cancel_url": self._admin.url_of(self._request, "cancel", job.pk) if may_cancel else "",
            "history_url": self._admin.bare_url("history", job.pk),
        }

    def _sentence(self) -> Any:
        if self._job.is_open and self._job.cancel_requested_at:
            return _("It ends before its next execution.")
        return _SENTENCES.get(Job.Status(self._job.status))


def _badge(job: Job) -> SafeString:
    return presentation.mark(_LOOKS[Job.Status(job.status)], job.get_status_display())


@admin.register(Job)
class JobAdmin(JobAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Jobs on the default admin site."""
