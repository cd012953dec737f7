"""The verbs as actions of the list and as buttons of the page: rights, confirmation, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from inspect import signature
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import model_format_dict, unquote
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import conf, jobs, redaction, selection
from ..exceptions import EmbedWorkflowError, InvalidExecution, escape_bidi
from ..figures import Count
from ..models import Execution, ExecutionEvent, Job
from . import frozen, lists, presentation, questions, sources, verbs
from .forms import NO_KEY, DataForm, OnceForm, ResolveForm
from .shell import CONFIRMED, ShellMixin, page_on
from .verbs import VERBS, Verb

# The most that one request does; a form may not have more fields than about twice as many.
MAX_SELECTED = 500
# The most refusals that are reported one by one.
MAX_REPORTED = 10
# How many of all that match are shown before they are confirmed.
SAMPLE = 20
# The filter of all that match, as it was shown.
SIGNED = "frozen"
Refusals = list[tuple[str, str]]


# Where Django has actions on the page of an object: since 6.1.
_ON_PAGE = getattr(getattr(admin, "ActionLocation", None), "CHANGE_FORM", None)
_Act = Callable[..., HttpResponse | None]


def _action(verb: Verb, label: Any, act: _Act) -> _Act:
    act.__name__ = verb.name
    return admin.action(description=label, permissions=[verb.name])(act)


def _list_action(verb: Verb) -> _Act:
    def act(
        model_admin: VerbsMixin, request: HttpRequest, queryset: QuerySet[Execution]
    ) -> HttpResponse | None:
        return model_admin.act_on_selected(request, verb, queryset)

    return _action(verb, verb.label_plural, act)


def _page_action(verb: Verb) -> _Act:
    def act(
        model_admin: VerbsMixin, request: HttpRequest, _queryset: QuerySet[Execution]
    ) -> HttpResponse:
        return model_admin.verb_view(request, request.POST[ACTION_CHECKBOX_NAME], verb.name)

    action = _action(verb, verb.label, act)
    vars(action)["locations"] = [_ON_PAGE]
    return action


class VerbsMixin(ShellMixin):
    """Each verb with a right of its own, asked for again wherever it is carried out."""

    actions = (
        *(_list_action(verb) for verb in VERBS.values()),
        *(_page_action(verb) for verb in VERBS.values() if _ON_PAGE),
    )

    # Rights

    def may_see_data(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether secret values are shown to the viewer."""
        return request.user.has_perm(f"{self.opts.app_label}.view_execution_data")

    def has_refresh_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether executions, or this one, may be refreshed."""
        return self._may(request, verbs.REFRESH, obj)

    def has_run_again_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether executions, or this one, may be run again."""
        return self._may(request, verbs.RUN_AGAIN, obj)

    def has_cancel_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether executions, or this one, may be canceled."""
        return self._may(request, verbs.CANCEL, obj)

    def has_stop_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether executions, or this one, may be stopped."""
        return self._may(request, verbs.STOP, obj)

    def has_resolve_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """Return whether executions, or this one, may be resolved."""
        return self._may(request, verbs.RESOLVE, obj)

    def may(self, request: HttpRequest, verb: Verb, obj: Execution | None = None) -> bool:
        """Return what the verb's own ``has_…_permission`` says, which a subclass may override."""
        return bool(getattr(self, f"has_{verb.name}_permission")(request, obj))

    def _may(self, request: HttpRequest, verb: Verb, obj: Execution | None) -> bool:
        # Nobody changes what he may not see: the confirmation would show it.
        return self.has_view_permission(request, obj) and request.user.has_perm(verb.permission)

    # The list's actions

    def act_on_selected(
        self, request: HttpRequest, verb: Verb, queryset: QuerySet[Execution]
    ) -> HttpResponse | None:
        """Carry out a verb for the rows selected, once it is confirmed.

        Args:
            request: The list's request; its query string holds the filters.
            verb: What to do.
            queryset: The rows selected, or all that match.
        """
        rows = list(queryset.order_by("-pk").defer(*lists.HEAVY)[: MAX_SELECTED + 1])
        many = len(rows) > MAX_SELECTED
        # What was confirmed for a job stays one, also if fewer match by now.
        confirmed = frozen.Selection.of(request.POST.get(SIGNED, ""), verb)
        if (many or confirmed) and self._may_be_a_job(request, verb):
            return self._act_on_all(request, verb, confirmed, rows)
        if many:
            self._tell_limit(request, MAX_SELECTED)
        elif verb is verbs.RESOLVE:
            if len(rows) == 1:
                return self.resolve_page(request, rows[0], ResolveForm())
            self._tell_limit(request, 1)
        elif not self._is_answered(request, verb):
            return self.confirmation(request, verb, rows, action_url="")
        else:
            self._report(request, verb, *self.perform(request, verb, rows))
        return None

    def _is_answered(self, request: HttpRequest, verb: Verb) -> bool:
        """Return whether a question was answered, with its key if it takes one; tell if not so."""
        if CONFIRMED not in request.POST:
            return False
        if verb.done_before and not OnceForm(request.POST).is_valid():
            self.message_user(request, NO_KEY, messages.ERROR)
            return False
        return True

    def acts_on_all(self, verb: Verb) -> bool:
        """Return whether all that match a filter may be left to a job, for any number.

        A job asks again for its person's right to the verb, but has no request: where a subclass
        decides by request or object, what is selected is done at once, and has a limit. Override
        this to say that rights are enough.
        """
        names = (
            "get_queryset",
            "get_search_results",
            "get_changelist",
            "get_list_filter",
            "may",
            "has_view_permission",
            f"has_{verb.name}_permission",
        )
        rooms = {getattr(type(self), name).__module__.partition(".")[0] for name in names}
        return rooms <= {"django", __name__.partition(".")[0]}

    def _may_be_a_job(self, request: HttpRequest, verb: Verb) -> bool:
        asked = verb.name in jobs.VERBS and request.POST.get("select_across") == "1"
        return asked and self.acts_on_all(verb) and frozen.can_freeze(request.GET.dict())

    def _act_on_all(
        self,
        request: HttpRequest,
        verb: Verb,
        confirmed: frozen.Selection | None,
        rows: list[Execution],
    ) -> HttpResponse | None:
        using = router.db_for_write(Execution)
        chosen = confirmed or frozen.Selection(
            filters=frozen.frozen(request.GET.dict()), newest=rows[0].pk
        )
        matching = selection.matching(Execution.objects.using(using), chosen.filters)
        affected = matching.filter(pk__lte=chosen.newest)
        count = questions.counts({"": affected}, lists.MAX_COUNT)[""]
        if confirmed is None:
            return self._confirm_all(request, verb, chosen, rows, count)
        # Pressed before, it is being done already.
        with suppress(IntegrityError), transaction.atomic(using=using):
            job = jobs.start(
                verb.name,
                chosen.filters,
                newest=chosen.newest,
                user=request.user,
                using=using,
                total=None if count.capped else count.number,
                key=chosen.job,
            )
            self.log_addition(request, job, _("Started for all that match"))
        text = _("It is done in the background, execution by execution; its page shows how far.")
        self.message_user(request, text, messages.SUCCESS)
        page = page_on(self.admin_site, request, Job, chosen.job)
        return HttpResponseRedirect(page) if page else None

    def _confirm_all(
        self,
        request: HttpRequest,
        verb: Verb,
        chosen: frozen.Selection,
        rows: list[Execution],
        count: Count,
    ) -> HttpResponse:
        title = verb.title if count.capped else verb.question % {"count": count.number}
        context = {
            **self._affected(request, verb, rows[:SAMPLE]),
            "title": title,
            "frozen": list(frozen.described(chosen.filters, chosen.newest)),
            "signed": chosen.signed(verb),
            "count": presentation.counted(count),
            "action_url": "",
            "back_url": request.get_full_path(),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return self.page(request, "confirmation.html", context)

    def _tell_limit(self, request: HttpRequest, limit: int) -> None:
        text = ngettext(
            "This is done for %(count)d execution at a time. Select only one.",
            "This is done for at most %(count)d executions at a time. Select fewer, or filter.",
            limit,
        )
        self.message_user(request, text % {"count": limit}, messages.ERROR)

    # The page's buttons

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and one for each verb."""
        own = [
            self.own_url(
                f"<path:object_id>/{verb.name.replace('_', '-')}/",
                partial(self.verb_view, verb=verb.name),
                verb.name,
                "POST",
            )
            for verb in VERBS.values()
        ]
        return own + super().get_urls()

    def verb_url(self, request: HttpRequest, verb: Verb, execution: Execution) -> str:
        """Return where a button posts to; the list's filters go along."""
        return self.url_of(request, verb.name, execution.pk)

    def buttons(self, request: HttpRequest, execution: Execution) -> Iterator[dict[str, Any]]:
        """Yield the verbs that make sense for an execution and that the viewer may use.

        Where Django has actions on the page, they are those, and a project's own stand beside
        them; a button then has no URL, and posts its name to the page.
        """
        if "action_location" in signature(self.get_actions).parameters:
            ask: Callable[..., dict[str, Any]] = self.get_actions
            on_page = ask(request, action_location=_ON_PAGE)
            names = model_format_dict(self.opts)
            given = {name: ("", each.description % names) for name, each in on_page.items()}
        else:
            given = {
                verb.name: (self.verb_url(request, verb, execution), verb.label)
                for verb in VERBS.values()
            }
        for name, (url, label) in given.items():
            verb = VERBS.get(name)
            if verb is None or (
                not verb.obstacle(execution) and self.may(request, verb, execution)
            ):
                yield {"label": label, "url": url, "name": name}

    def verb_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Carry out a verb for one execution: the right first, then the confirmation.

        Args:
            request: A POST.
            object_id: The execution's id, quoted.
            verb: The verb's name.
        """
        chosen = VERBS[verb]
        if not self.may(request, chosen):
            raise PermissionDenied
        execution: Execution | None = self.get_object(request, unquote(object_id))
        if execution is None:
            return self.not_found(request, object_id)
        if not self.may(request, chosen, execution):
            raise PermissionDenied
        if chosen is verbs.RESOLVE:
            return self._resolve(request, execution)
        if chosen is verbs.RUN_AGAIN:
            return self._run_again(request, execution)
        if CONFIRMED not in request.POST:
            url = self.verb_url(request, chosen, execution)
            return self.confirmation(request, chosen, [execution], action_url=url)
        return self._perform_one(request, chosen, execution)

    def _resolve(self, request: HttpRequest, execution: Execution) -> HttpResponse:
        form = ResolveForm(request.POST if CONFIRMED in request.POST else None)
        if not form.is_valid():
            return self.resolve_page(request, execution, form)
        remote_id = form.cleaned_data["remote_id"] or None
        return self._perform_one(
            request, verbs.RESOLVE, execution, remote_id=remote_id, resend=not remote_id
        )

    def _run_again(self, request: HttpRequest, execution: Execution) -> HttpResponse:
        url = self.verb_url(request, verbs.RUN_AGAIN, execution)
        initial = self._editable(request, execution)
        edited = bool(initial) and {CONFIRMED, "execution_data"} <= request.POST.keys()
        form = DataForm(request.POST if edited else None, initial={"execution_data": initial})
        page = partial(self.confirmation, request, verbs.RUN_AGAIN, [execution], action_url=url)
        if not self._is_answered(request, verbs.RUN_AGAIN) or (edited and not form.is_valid()):
            return page(data_form=form if initial else None)
        arguments: dict[str, Any] = {}
        if edited:
            typed = form.cleaned_data["execution_data"]
            try:
                # What the viewer may not see comes back as it was.
                arguments["data"] = redaction.restore(typed, execution.execution_data)
            except InvalidExecution as error:
                form.add_error("execution_data", str(error))
                return page(data_form=form)
        done, before, refused = self.perform(request, verbs.RUN_AGAIN, [execution], **arguments)
        if refused and edited:
            # What was typed is not lost.
            form.add_error("execution_data", refused[0][1])
            return page(data_form=form)
        self._report(request, verbs.RUN_AGAIN, done, before, refused)
        result = [*done, *before, execution][0]
        return HttpResponseRedirect(self.url_of(request, "change", result.pk))

    def _editable(self, request: HttpRequest, execution: Execution) -> str:
        """Return an execution's data to be edited, as its viewer may see it; empty if too large."""
        unredacted = self.may_see_data(request, execution)
        text = presentation.document(execution.execution_data, unredacted=unredacted)
        return text if len(text) <= presentation.MAX_JSON else ""

    def _perform_one(
        self, request: HttpRequest, verb: Verb, execution: Execution, **arguments: Any
    ) -> HttpResponse:
        self._report(request, verb, *self.perform(request, verb, [execution], **arguments))
        return HttpResponseRedirect(self.url_of(request, "change", execution.pk))

    # Both

    def perform(
        self, request: HttpRequest, verb: Verb, rows: Iterable[Execution], **arguments: Any
    ) -> tuple[list[Execution], list[Execution], Refusals]:
        """Carry out a verb row by row; one that is refused does not keep the others from it.

        Args:
            request: Whose user does it; with the question's key, if the verb creates something.
            verb: What to do.
            rows: The executions, however stale: the verb's service reads each anew.
            arguments: What else the verb's service takes.

        Returns:
            The executions that came of it, those that had come of it before, and for each row
            refused its name and the reason.
        """
        done: list[Execution] = []
        before: list[Execution] = []
        form = OnceForm(request.POST)
        refused: Refusals = []
        for execution in rows:
            if verb.done_before:
                key = form.idempotency_key(request.user, verb.name, execution.pk)
                arguments["idempotency_key"] = key
            if not self.may(request, verb, execution):
                refused.append((str(execution), _("You may not do this to it.")))
                continue
            try:
                done.append(self._perform(request, verb, execution, arguments))
            except verbs.DoneBefore as known:
                before.append(known.execution)
            except (EmbedWorkflowError, conf.ConfigurationError) as error:
                refused.append((str(execution), str(error)))
        return done, before, refused

    def _perform(
        self, request: HttpRequest, verb: Verb, execution: Execution, arguments: dict[str, Any]
    ) -> Execution:
        # Who did it is known for certain, or it was not done.
        with transaction.atomic(using=router.db_for_write(Execution, instance=execution)):
            result = verb.call(execution, by=request.user.get_username(), **arguments)
            what = verb.title
            if result.pk != execution.pk:
                what = _("%(verb)s, as %(id)s") % {"verb": what, "id": result.pk}
            self.log_change(request, execution, what)
        return result

    def _report(
        self,
        request: HttpRequest,
        verb: Verb,
        done: list[Execution],
        before: list[Execution],
        refused: Refusals,
    ) -> None:
        if done:
            self.message_user(request, verb.done % {"count": len(done)}, messages.SUCCESS)
        if before:
            self.message_user(request, verb.done_before % {"count": len(before)}, messages.WARNING)
        for name, reason in refused[:MAX_REPORTED]:
            self.message_user(request, format_html("{}: {}", name, reason), messages.WARNING)
        if more := len(refused[MAX_REPORTED:]):
            text = ngettext("%(count)d more was refused.", "%(count)d more were refused.", more)
            self.message_user(request, text % {"count": more}, messages.WARNING)

    def confirmation(
        self,
        request: HttpRequest,
        verb: Verb,
        rows: list[Execution],
        *,
        action_url: str,
        data_form: DataForm | None = None,
    ) -> HttpResponse:
        """Return the page that shows exactly what a verb will affect.

        Args:
            request: The request that asked for it.
            verb: What is about to be done.
            rows: To which executions.
            action_url: Where the confirmation goes; empty for the list itself.
            data_form: Where the data may be edited before.
        """
        alone = len(rows) == 1 and verb is verbs.RUN_AGAIN and data_form is None
        # The list holds rows that are refused only when their turn comes.
        single = rows[0] if alone and self.may(request, verb, rows[0]) else None
        context = {
            **self._affected(request, verb, rows),
            "title": verb.question % {"count": len(rows)},
            "key": OnceForm(request.POST).question if verb.done_before else "",
            "data": single
            and presentation.pretty(
                single.execution_data, unredacted=self.may_see_data(request, single)
            ),
            "data_form": data_form,
            "action_url": action_url,
            "back_url": self.url_of(request, "change", rows[0].pk)
            if action_url
            else request.get_full_path(),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return self.page(request, "confirmation.html", context)

    def resolve_page(
        self, request: HttpRequest, execution: Execution, form: ResolveForm
    ) -> HttpResponse:
        """Return the page that asks what a person has found out about an execution.

        Args:
            request: The request that asked for it.
            execution: The unconfirmed execution.
            form: Empty, or with what has to be corrected.
        """
        context = {
            **self._affected(request, verbs.RESOLVE, [execution]),
            "title": verbs.RESOLVE.question % {"count": 1},
            "form": form,
            "called_back": execution.events.filter(source=ExecutionEvent.Source.CALLBACK).first(),
            "action_url": self.verb_url(request, verbs.RESOLVE, execution),
            "back_url": self.url_of(request, "change", execution.pk),
        }
        return self.page(request, "confirmation.html", context)

    def _affected(
        self, request: HttpRequest, verb: Verb, executions: list[Execution]
    ) -> dict[str, Any]:
        links = sources.SourceLinks(self.admin_site, request)
        rows = [
            {
                "execution": each,
                "badge": presentation.badge(each.status),
                "workflow": escape_bidi(each.workflow),
                "source": sources.link(each, links.url(each)),
                "user_key": escape_bidi(each.user_key),
                "obstacle": verb.obstacle(each),
            }
            for each in executions
        ]
        return {"verb": verb, "rows": rows, "noted": any(row["obstacle"] for row in rows)}
