"""The list's filter, frozen for a job: as a job takes it, as people read it, and as it travels."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from django.conf import settings
from django.core import signing
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import keys, selection
from ..exceptions import escape_bidi
from ..models import Status
from . import days, presentation, quick
from .verbs import Verb

# The parameters of the list's URL that a job understands, and those that narrow nothing.
_FILTERS = {"workflow", "trigger", "account", "q", "status", "created", quick.PARAMETER}
_HARMLESS = {"p", "o", "e", "all"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a person is asked about: what he confirms is what he has been shown.

    Args:
        filters: As ``selection.matching`` takes them.
        newest: The newest execution of then.
        job: The id of the job that does it: pressing twice, or once more, starts one.
    """

    filters: dict[str, Any]
    newest: uuid.UUID
    job: uuid.UUID = field(default_factory=keys.uuid7)

    def signed(self, verb: Verb) -> str:
        """Return it as a form carries it, for one verb."""
        said = [self.filters, str(self.newest), str(self.job)]
        return signing.dumps(said, salt=_salt(verb), compress=True)

    @classmethod
    def of(cls, text: str, verb: Verb) -> Self | None:
        """Return what a form has carried; ``None`` if it was nothing of ours."""
        try:
            filters, newest, job = signing.loads(text, salt=_salt(verb))
        except (signing.BadSignature, ValueError):
            return None
        return cls(filters=filters, newest=uuid.UUID(newest), job=uuid.UUID(job))


def _salt(verb: Verb) -> str:
    return f"{__name__}.{verb.name}"


def can_freeze(parameters: Mapping[str, str]) -> bool:
    """Return whether a job can mean what a list shows: a filter of a subclass it does not know.

    Args:
        parameters: The query string of the list.
    """
    # What the search box refuses, it shows everything for.
    return parameters.keys() <= _FILTERS | _HARMLESS and "\0" not in parameters.get("q", "")


def frozen(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return what the list is filtered by, without words that mean something else tomorrow.

    Args:
        parameters: The query string of the list.
    """
    typed = {**parameters, "q": parameters.get("q", "").strip()}
    given = {name: value for name, value in typed.items() if value}
    filters: dict[str, Any] = {
        name: given[name] for name in ("workflow", "trigger", "account", "q") if name in given
    }
    # A worker may speak another language.
    if about := selection.named(given.get("q", "")):
        filters["about"] = about
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


def narrowed(filters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a frozen filter narrows but for the time, for people.

    Args:
        filters: As ``selection.matching`` takes them.
    """
    if "statuses" in filters:
        labels = dict(Status.choices)
        names = [str(labels.get(name, escape_bidi(name))) for name in filters["statuses"]]
        yield _("Status"), ", ".join(names) or "–"
    for name, label in (
        ("workflow", _("Workflow")),
        ("trigger", _("Trigger")),
        ("account", _("Account")),
        ("q", _("Search")),
    ):
        if name in filters:
            yield label, escape_bidi(str(filters[name]))


def described(filters: Mapping[str, Any], newest: uuid.UUID) -> Iterator[tuple[str, str]]:
    """Yield a frozen filter, for people: days as dates, in the viewer's time zone.

    Args:
        filters: As ``selection.matching`` takes them.
        newest: The newest execution that may be affected.
    """
    yield from narrowed(filters)
    for name, label in (("since", _("Created from")), ("before", _("Created before"))):
        if name in filters:
            yield label, _moment(uuid.UUID(filters[name]))
    if not filters:
        yield _("Filter"), _("none: all executions")
    yield _("Created until"), _moment(newest)


def _moment(key: uuid.UUID) -> str:
    made = keys.time_of(key)
    return presentation.timestamp(made if settings.USE_TZ else timezone.make_naive(made))
