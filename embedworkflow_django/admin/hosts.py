"""Workflows in the host's own admin: an object's executions on its page, and a button for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import flatten_fieldsets, quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import models, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import conf, intake, redaction, services
from ..exceptions import EmbedWorkflowError, escape_bidi
from ..models import Execution, ExecutionEvent, source_id, source_type
from . import lists, live, offers, presentation, sources
from .executions import ExecutionAdmin
from .offers import Offer, RunForm

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[models.Model]
else:
    _ModelAdmin = object

_REFUSED = (EmbedWorkflowError, conf.ConfigurationError)


class WorkflowsAdminMixin(_ModelAdmin):
    """Shows an object's executions on its page, and lets a workflow be run for it.

    The section stands below the form, whatever template the page is made of. The form, its
    fieldsets and its inlines are left alone.

    Attributes:
        run_workflows: Workflows that are offered beside those of the model's triggers.
        executions_shown: How many of the latest executions are shown.
    """

    run_workflows: Sequence[str] = ()
    executions_shown = 10

    # What a project may decide for itself

    def has_run_workflow_permission(
        self, request: HttpRequest, obj: models.Model | None = None
    ) -> bool:
        """Return whether workflows may be run for objects, or for this one.

        It takes ``execute_execution``, and the right to see the object.
        """
        may_execute = request.user.has_perm(f"{Execution._meta.app_label}.execute_execution")
        return may_execute and self.has_view_permission(request, obj)

    def get_run_workflows(self, request: HttpRequest, obj: models.Model) -> list[Offer]:
        """Return the workflows that are offered: those of the model's triggers, and the others.

        Args:
            request: Whose user may run them.
            obj: The object.
        """
        others = [Offer(name=workflow, workflow=workflow) for workflow in self.run_workflows]
        return list(dict.fromkeys([*offers.of_triggers(obj), *others]))

    def get_workflow_data(
        self, request: HttpRequest, obj: models.Model, workflow: str
    ) -> Mapping[str, Any]:
        """Return the data that a workflow is offered with; the person may edit it.

        It is asked for to show a page, so it must change nothing. A trigger's function is not
        called for it, because it may; if yours does not, call it here.

        Args:
            request: Whose user may run it.
            obj: The object.
            workflow: The workflow's identifier.

        Returns:
            The object's key and those of its fields that its page shows to the user, without
            what has a secret-looking name.
        """
        return offers.facts(obj, flatten_fieldsets(self.get_fieldsets(request, obj)))

    # The object's page

    def render_change_form(  # noqa: PLR0917 - Django's own, which overrides call by position
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: models.Model | None = None,
    ) -> HttpResponse:
        """Return the object's page, with its executions below the form."""
        wanted = change and obj is not None and not context.get("is_popup")
        section = self._section(request, obj) if wanted and obj is not None else {}
        if section:
            own = _media() + forms.Media(js=[live.SCRIPT])
            context.update({"workflows": section, "media": context["media"] + own})
        answer: HttpResponse = super().render_change_form(
            request, context, add=add, change=change, form_url=form_url, obj=obj
        )
        if section and isinstance(answer, TemplateResponse):
            # Be it Django's, a theme's or the project's own: it is extended, not replaced.
            data = cast("dict[str, Any]", answer.context_data)
            data["host_template"] = answer.resolve_template(answer.template_name)
            answer.template_name = "admin/embedworkflow/host/change_form.html"
        return answer

    def _section(self, request: HttpRequest, obj: models.Model) -> dict[str, Any]:
        """Return what the section shows; nothing if there is nothing in it for the viewer."""
        executions = _Executions(self.admin_site, request)
        may_run = self.has_run_workflow_permission(request, obj)
        run_url = ""
        if may_run and self.get_run_workflows(request, obj):
            run_url = self._host_url(request, "run_workflow", obj)
        if not run_url and not executions.visible:
            return {}
        return {
            "run_url": run_url,
            "visible": executions.visible,
            "rows": executions.about(obj, self.executions_shown),
            "all_url": executions.url_about(obj),
            "live_url": executions.live_url(),
        }

    # Running one

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and the one under which a workflow is run."""
        own: URLPattern = path(
            "<path:object_id>/run-workflow/",
            self.admin_site.admin_view(self.run_workflow_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_run_workflow",
        )
        return [own, *super().get_urls()]

    def run_workflow_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what would be run and with which data; run it once that is confirmed.

        Args:
            request: A GET shows, a POST runs.
            object_id: The object's key, quoted.
        """
        if not self.has_run_workflow_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            missing = self._get_obj_does_not_exist_redirect  # type: ignore[attr-defined]
            return cast("HttpResponse", missing(request, self.opts, object_id))
        if not self.has_run_workflow_permission(request, obj):
            raise PermissionDenied
        offered = self.get_run_workflows(request, obj)
        wanted = request.POST.get("workflow") or request.GET.get("workflow")
        chosen = [each for each in offered if wanted in {None, each.name}]
        if not chosen:
            self.message_user(request, _("This workflow is not offered here."), messages.ERROR)
            return HttpResponseRedirect(self._host_url(request, "change", obj))
        return self._run(request, obj, offered, chosen[0])

    def _run(
        self, request: HttpRequest, obj: models.Model, offered: list[Offer], offer: Offer
    ) -> HttpResponse:
        executions = _Executions(self.admin_site, request)
        unredacted = executions.admin.may_see_data(request)
        preview, problem = self._preview(request, obj, offer)
        form = RunForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            data = form.cleaned_data["execution_data"]
            try:
                if not unredacted:
                    data = redaction.restore(data, preview.execution_data)
                about = (source_type(obj), source_id(obj), offer.name)
                key = form.idempotency_key(request.user, *about)
                execution = self._execute(request, obj, offer, data, key)
            except _REFUSED as error:
                form.add_error("execution_data", str(error))
            else:
                url = executions.url_of(execution) or self._host_url(request, "change", obj)
                return HttpResponseRedirect(url)
        elif not form.is_bound:
            text = presentation.document(preview.execution_data, unredacted=unredacted)
            form = RunForm(initial={"execution_data": text})
        return self._run_page(
            request,
            obj,
            {
                "offers": offered,
                "offer": offer,
                "workflow": escape_bidi(preview.workflow),
                "user_key": escape_bidi(preview.user_key),
                "preview": preview,
                "problem": "" if form.is_bound else problem,
                "form": form,
                "unredacted": unredacted,
            },
        )

    def _preview(
        self, request: HttpRequest, obj: models.Model, offer: Offer
    ) -> tuple[Execution, str]:
        """Return the row that would be stored, and why it could not be; by ``execute``'s rules."""
        data = self.get_workflow_data(request, obj, offer.workflow)
        try:
            preview, _alias = intake.new_execution(data=data, source=obj, **offer.arguments)
        except _REFUSED as error:
            return Execution(**offer.arguments | {"user_key": offer.user_key or ""}), str(error)
        return preview, ""

    def _execute(
        self, request: HttpRequest, obj: models.Model, offer: Offer, data: Any, key: str
    ) -> Execution:
        # Who did it is known for certain, or it was not done.
        with transaction.atomic(using=router.db_for_write(Execution, instance=obj)):
            execution = services.execute(
                data=data, source=obj, idempotency_key=key, **offer.arguments
            )
            # What this has just stored has no history yet.
            new = not execution.events.exists()
            if new:
                self._note(request, obj, execution)
        self._tell(request, execution, new=new)
        return execution

    def _note(self, request: HttpRequest, obj: models.Model, execution: Execution) -> None:
        execution.events.create(
            status=execution.status,
            source=ExecutionEvent.Source.PERSON,
            detail={"verb": "execute", "by": request.user.get_username()},
        )
        about = {"workflow": escape_bidi(execution.workflow), "id": execution.pk}
        self.log_change(request, obj, _("Ran workflow %(workflow)s, as %(id)s") % about)
        # Whoever may see the execution need not be shown what the object says of itself.
        self.log_addition(
            request, execution, _("Run for %(object)s") % {"object": sources.title(execution)}
        )

    def _tell(self, request: HttpRequest, execution: Execution, *, new: bool) -> None:
        workflow = escape_bidi(execution.workflow)
        if new:
            text = _("Workflow %s was queued; it starts as soon as a worker is free.")
            self.message_user(request, text % workflow, messages.SUCCESS)
        else:
            text = _("Workflow %s was run from this page before, so it was not run again.")
            self.message_user(request, text % workflow, messages.WARNING)

    def _run_page(
        self, request: HttpRequest, obj: models.Model, context: dict[str, Any]
    ) -> HttpResponse:
        name = escape_bidi(str(obj))
        title = _("Run a workflow for %s") % name
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + _media(),
            "has_view_permission": True,
            "title": title,
            "original": title,
            "object_name": name,
            "object_url": self._host_url(request, "change", obj),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/embedworkflow/host/run.html", frame | context)

    def _host_url(self, request: HttpRequest, page: str, obj: models.Model) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        url = reverse(name, args=[quote(obj.pk)], current_app=self.admin_site.name)
        filters = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return add_preserved_filters(cast("Any", filters), url)


class _Executions:
    """Executions as far as their own admin on the same site shows them to somebody."""

    def __init__(self, site: admin.AdminSite, request: HttpRequest) -> None:
        registered = site.is_registered(Execution)
        # On a site without them the usual rights hold, and nothing is linked.
        self.admin: Any = (
            site.get_model_admin(Execution) if registered else ExecutionAdmin(Execution, site)
        )
        self.visible = self.admin.has_view_permission(request)
        self._request = request

    def about(self, obj: models.Model, limit: int) -> list[dict[str, Any]]:
        """Return the latest executions that are about an object, as rows of a table."""
        if not self.visible:
            return []
        rows = self.admin.get_queryset(self._request).for_source(obj).order_by("-pk")
        now = timezone.now()
        return [
            {
                "execution": row,
                "workflow": escape_bidi(row.workflow),
                "url": self._url("change", row.pk),
                # The list's own cells, so that its live view fits them.
                "status": self.admin.status_badge(row),
                "progress": self.admin.progress_bar(row),
                "tries": self.admin.tries(row),
                "duration": self.admin.duration(row),
                "created": presentation.timestamp(row.created_at),
                "ago": presentation.moment(row.created_at, now),
            }
            for row in rows.defer(*lists.HEAVY)[:limit]
            if self.admin.has_view_permission(self._request, row)
        ]

    def url_of(self, execution: Execution) -> str:
        """Return an execution's page; nothing if there is none for the viewer."""
        if not self.admin.has_view_permission(self._request, execution):
            return ""
        return self._url("change", execution.pk)

    def live_url(self) -> str:
        """Return where rows that move are renewed from; nothing on a site without executions."""
        return self._url("live_rows") if self.visible else ""

    def url_about(self, obj: models.Model) -> str:
        """Return the list of all executions that are about an object."""
        url = self._url("changelist") if self.visible else ""
        query = urlencode({"q": f"{source_type(obj)}:{source_id(obj)}"})
        return url and f"{url}?{query}"

    def _url(self, page: str, *args: Any) -> str:
        try:
            return str(self.admin.bare_url(page, *args))
        except NoReverseMatch:
            return ""


def _media() -> forms.Media:
    own = ("embedworkflow_django/admin.css", "embedworkflow_django/host.css")
    return forms.Media(css={"all": own})
