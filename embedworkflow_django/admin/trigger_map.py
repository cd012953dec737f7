"""The trigger map: every declared trigger, what came of it, and whether its workflow is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import figures, keys, probes, triggers
from ..exceptions import escape_bidi
from ..figures import Count, Fired
from ..models import FINAL, Execution, Status
from ..probes import Verdict
from ..triggers import Trigger
from . import declared, presentation, questions
from .places import Place, PlacesMixin

# For how long the figures serve everybody who looks, in seconds.
FRESH = 5
# How long somebody who has pressed the button waits at the most, in seconds.
PATIENCE = 8.0
_DAY = timedelta(hours=24)
# What is worth telling of what has become of executions: those that move need no telling.
_OUTCOMES = [each for each in Status if each in {*FINAL, Status.UNCONFIRMED, Status.UNKNOWN}]


class TriggerMapMixin(PlacesMixin):
    """A page of the declared triggers, with a button that asks the API about a workflow."""

    def has_view_triggers_permission(self, request: HttpRequest) -> bool:
        """Return whether the viewer may see the trigger map, which is about all executions."""
        return request.user.has_perm(f"{self.opts.app_label}.view_triggers")

    def has_probe_workflow_permission(self, request: HttpRequest) -> bool:
        """Return whether the viewer may ask the API about the workflow of a trigger."""
        right = f"{self.opts.app_label}.probe_workflow"
        return self.has_view_triggers_permission(request) and request.user.has_perm(right)

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return what the admin's index goes by; whoever may see the map gets a link, too."""
        rights = super().get_model_perms(request)
        may = self.has_view_triggers_permission(request)
        return {**rights, "view": rights["view"] or may, "triggers": may}

    def places(self, request: HttpRequest) -> list[Place]:
        """Return the pages that the viewer may see."""
        own = Place(name="triggers", title=_("Trigger map"), url=self.bare_url("triggers"))
        return super().places(request) + [own] * self.has_view_triggers_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, that of the map, and that of its button."""
        return [
            self.own_url("triggers/", self.triggers_view, "triggers"),
            self.own_url("triggers/probe/", self.probe_view, "probe", "POST"),
            *super().get_urls(),
        ]

    def triggers_view(self, request: HttpRequest) -> HttpResponse:
        """Return the map.

        Args:
            request: A GET.
        """
        if not self.has_view_triggers_permission(request):
            raise PermissionDenied
        may_probe = self.has_probe_workflow_permission(request)
        own = forms.Media(css={"all": ["embedworkflow_django/figures.css"]})
        context = {
            "title": _("Trigger map"),
            "media": self.media + own,
            "has_view_permission": self.has_view_permission(request),
            "places": self.places(request),
            "place": "triggers",
            "triggers": list(self._rows(request)),
            "probe_url": self.bare_url("probe") if may_probe else "",
        }
        return self.page(request, "triggers.html", context)

    def probe_view(self, request: HttpRequest) -> HttpResponse:
        """Ask the API about a trigger's workflow, and say on the map what it has answered.

        Args:
            request: A POST with the trigger's name as ``trigger``.
        """
        if not self.has_probe_workflow_permission(request):
            raise PermissionDenied
        trigger = triggers.registry.get(request.POST.get("trigger", ""))
        if trigger is None:
            self.message_user(request, _("There is no such trigger."), messages.ERROR)
        else:
            level, text = _answer(trigger)
            self.message_user(request, text, level)
        return HttpResponseRedirect(self.bare_url("triggers"))

    def _rows(self, request: HttpRequest) -> Iterator[dict[str, Any]]:
        list_url = self.bare_url("changelist") if self.has_view_permission(request) else ""
        found = figures.triggers(triggers.registry, max_age=FRESH)
        asked_for = _asked_for(triggers.registry)
        for name, trigger in triggers.registry.items():
            fired = found[name]
            error_url = ""
            if list_url and fired.last_execution:
                error_url = self.bare_url("change", fired.last_execution)
            yield {
                "name": name,
                "title": declared.title(trigger),
                "purpose": declared.purpose(trigger),
                "where": declared.where(trigger),
                "options": list(declared.options(trigger)),
                "asked_for": presentation.counted(asked_for[name]),
                "all_url": list_url and f"{list_url}?{urlencode({'trigger': name})}",
                "outcomes": list(_outcomes(fired)),
                "last_error": escape_bidi(fired.last_error),
                "error_at": presentation.timestamp(fired.last_error_at),
                "error_url": error_url,
                "is_open": callable(trigger.workflow),
            }


def _asked_for(names: Iterable[str]) -> dict[str, Count]:
    """Return how many executions each trigger has asked for in the last 24 hours; one query."""
    since = keys.first_of(timezone.now() - _DAY)
    rows = Execution.objects.using(router.db_for_read(Execution)).filter(pk__gte=since)
    return questions.counts({name: rows.filter(trigger=name) for name in names}, figures.CAP)


def _outcomes(fired: Fired) -> Iterator[tuple[SafeString, str]]:
    for status in _OUTCOMES:
        if count := fired.statuses.get(status):
            yield presentation.badge(status), presentation.number(count)


def _answer(trigger: Trigger) -> tuple[int, str]:
    """Return how grave the API's answer is, and the sentence that tells of it."""
    verdict, words = probes.probe(trigger, seconds=PATIENCE)
    about = {"workflow": trigger.workflow, "account": trigger.account, "words": words}
    if verdict is Verdict.ON:
        return messages.SUCCESS, _("Workflow “%(workflow)s” exists and is on: %(words)s") % about
    if verdict is Verdict.OFF:
        return messages.WARNING, _("Workflow “%(workflow)s” exists, but is off: %(words)s") % about
    if verdict is Verdict.OPEN:
        return messages.WARNING, _("Each object decides which workflow it is.")
    asked = _("Workflow “%(workflow)s” of account “%(account)s” was asked about: %(words)s")
    return messages.ERROR, asked % about
