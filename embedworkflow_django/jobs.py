"""Jobs: a verb for all executions that match a frozen filter, worked off by the workers.

A job goes from the newest execution of the moment it was confirmed down to the oldest. Each row
and the mark up to which the job has come are one transaction, so that a worker that is killed
leaves nothing half done and nothing is done twice. A worker does a part of a job between its
other duties, and lets go of it again: several share the work without meeting.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from . import conf, dispatchers, outbox, selection, services
from .exceptions import EmbedWorkflowError
from .keys import uuid7
from .models import Execution, Job
from .worker import chores

logger = logging.getLogger("embedworkflow_django")

#: What a job can do, and the permission that its person must have to the end.
VERBS: dict[str, Callable[..., Execution]] = {
    "refresh": services.refresh,
    "run_again": services.run_again,
    "cancel": services.cancel,
    "stop": services.stop_running,
}
#: How long a worker has a part of a job for itself.
LEASE = timedelta(seconds=60)
#: How long a part takes, in seconds, and how many rows it is at the most.
PART = 1.0
PART_ROWS = 500
#: Of how many rows that were skipped, or failed, the reason is kept.
MAX_OUTCOMES = 100
_OPEN = (Job.Status.WAITING, Job.Status.RUNNING)


def start(
    verb: str,
    filters: Mapping[str, Any],
    *,
    newest: uuid.UUID,
    user: Any,
    using: str,
    total: int | None = None,
    key: uuid.UUID | None = None,
) -> Job:
    """Have a verb carried out for all executions that match, in the background.

    Args:
        verb: One of ``VERBS``.
        filters: As ``selection.matching`` takes them.
        newest: The newest execution that may be affected; whatever comes later is not.
        user: The person who wants it; his rights are asked for again before each part.
        using: The database's alias.
        total: How many executions match, if that is known.
        key: The job's id; a new one by default.

    Raises:
        KeyError: There is no such verb.
        IntegrityError: A job has this id.
    """
    VERBS[verb]
    now = _now(using)
    job = Job(
        id=key or uuid7(),
        verb=verb,
        filters=dict(filters),
        newest=newest,
        total=total,
        by=user.get_username(),
        by_id=str(user.pk),
        due_at=now,
        created_at=now,
    )
    job.save(using=using, force_insert=True)
    transaction.on_commit(lambda: dispatchers.wake(using), using=using, robust=True)
    return job


def cancel(job: Job) -> bool:
    """Have a job end before its next row; return whether it was still open.

    Args:
        job: The job; what it has done stays done.
    """
    rows = Job.objects.using(job._state.db).filter(pk=job.pk, status__in=_OPEN)
    now = _now(rows.db)
    return bool(rows.update(cancel_requested_at=now, due_at=now))


def work(using: str) -> bool:
    """Do a part of the job that waits longest; return whether there was one.

    Args:
        using: The database's alias.
    """
    job = _claim(using)
    if job is None:
        return False
    if job.cancel_requested_at:
        _end(job, Job.Status.CANCELED)
    elif reason := _forbidden(job):
        _end(job, Job.Status.FAILED, [{"reason": reason}])
    elif _part(job):
        _mine(job).update(due_at=_now(using), claim="")
    else:
        _end(job, Job.Status.DONE)
    return True


def _now(using: str) -> datetime:
    """Return the time by the database's clock, so that workers agree on when a lease ends."""
    return timezone.now() + outbox.ahead(using)


def _claim(using: str) -> Job | None:
    now, token = _now(using), uuid.uuid4().hex
    rows = Job.objects.using(using)
    job = rows.filter(due_at__lte=now).order_by("due_at").first()
    if job is None:
        return None
    mine = {"claim": token, "due_at": now + LEASE, "status": Job.Status.RUNNING}
    # Compare and swap: of two workers that have seen it due, one gets it.
    if not rows.filter(pk=job.pk, claim=job.claim, due_at=job.due_at).update(**mine):
        return None
    for name, value in mine.items():
        setattr(job, name, value)
    return job


def _mine(job: Job) -> Any:
    return Job.objects.using(job._state.db).filter(pk=job.pk, claim=job.claim)


def _forbidden(job: Job) -> str:
    """Return why the person of a job may not have it done any more; empty if he may."""
    label = Execution._meta.app_label
    user = _person(job)
    if user is None or not user.is_active:
        return _("%(user)s has no active account any more.") % {"user": job.by}
    for needed in (f"{label}.view_execution", f"{label}.{job.verb}_execution"):
        if not user.has_perm(needed):
            return _("%(user)s has no right “%(right)s” any more.") % {
                "user": job.by,
                "right": needed,
            }
    return ""


def _person(job: Job) -> Any:
    try:
        return get_user_model()._default_manager.get(pk=job.by_id)
    except (ObjectDoesNotExist, ValueError, ValidationError):
        return None


def _part(job: Job) -> bool:
    """Do the next rows; return whether any are left."""
    ends = time.monotonic() + PART
    using = job._state.db
    below = Q(pk__lt=job.reached) if job.reached else Q(pk__lte=job.newest)
    rows = selection.matching(Execution.objects.using(using).filter(below), job.filters)
    keys = list(rows.order_by("-pk").values_list("pk", flat=True)[:PART_ROWS])
    # Each verb reads what it is given of its row anew; what is large it asks for by itself.
    given = Execution.objects.using(using).only(*outbox.ASKED, "status").defer("execution_data")
    for execution in given.filter(pk__in=keys).order_by("-pk"):
        if not _act(job, execution):
            return True
        if time.monotonic() > ends:
            return True
    return len(keys) == PART_ROWS


def _act(job: Job, execution: Execution) -> bool:
    """Do one row, and note that it was done; return whether the job may go on."""
    using = job._state.db
    column, outcome = "done_count", {}
    try:
        with transaction.atomic(using=using):
            VERBS[job.verb](execution, by=job.by)
            return _note(job, execution, column, {})
    except (EmbedWorkflowError, conf.ConfigurationError) as error:
        column, outcome = "skipped_count", {"execution": str(execution.pk), "reason": str(error)}
    except Exception as error:
        logger.exception(
            "Execution %s could not be treated by job %s.",
            execution.pk,
            job.pk,
            extra={
                "event_name": "job_failed",
                **execution.log_fields,
                "job_id": str(job.pk),
                "verb": job.verb,
            },
        )
        reason = f"{type(error).__name__}: {error}"
        column, outcome = "failed_count", {"execution": str(execution.pk), "reason": reason}
    return _note(job, execution, column, outcome)


def _note(job: Job, execution: Execution, column: str, outcome: dict[str, str]) -> bool:
    if outcome and len(job.outcomes) < MAX_OUTCOMES:
        job.outcomes.append(outcome)
    job.reached = execution.pk
    rows = _mine(job).filter(cancel_requested_at=None)
    written = rows.update(
        **{column: F(column) + 1},
        reached=execution.pk,
        outcomes=job.outcomes,
        due_at=_now(rows.db) + LEASE,
    )
    if not written and column == "done_count":
        # Somebody else has the job by now, or it was canceled: this row is not for us.
        raise _Lost
    return bool(written)


class _Lost(EmbedWorkflowError):  # noqa: N818 - not an error: another worker was there
    """The job is not this worker's any more."""


def _end(job: Job, status: str, outcomes: list[dict[str, str]] | None = None) -> None:
    values: dict[str, Any] = {"outcomes": [*job.outcomes, *outcomes]} if outcomes else {}
    rows = _mine(job)
    rows.update(status=status, due_at=None, claim="", finished_at=_now(rows.db), **values)


chores.append(work)
