"""The rows: an execution, outbox and mirror at once, and the events that are its history.

Beside them stands what the workers leave for operators: a sign of life, a tally of each hour, and
the jobs that they are given.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models, router
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .exceptions import escape_bidi
from .fields import ExactCharField, PartialIndex
from .keys import uuid7

__all__ = ["Execution", "ExecutionEvent"]


class Status(models.TextChoices):
    """What has become of an execution, in our words."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    UPCOMING = "upcoming", _("upcoming")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    STOPPED = "stopped", _("stopped")
    DELETED = "deleted", _("deleted")
    UNDELIVERABLE = "undeliverable", _("undeliverable")
    UNCONFIRMED = "unconfirmed", _("unconfirmed")
    CANCELED = "canceled", _("canceled")
    UNKNOWN = "unknown", _("unknown")


FINAL = frozenset(
    {
        Status.COMPLETED,
        Status.FAILED,
        Status.STOPPED,
        Status.DELETED,
        Status.UNDELIVERABLE,
        Status.CANCELED,
    }
)


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Executions by what they wait for."""

    def queued(self) -> ExecutionQuerySet:
        """Those that the API has not confirmed yet."""
        return self.filter(status=Status.QUEUED)

    def due(self, now: datetime | None = None) -> ExecutionQuerySet:
        """Those that want attention, at ``now`` or at once."""
        return self.filter(due_at__lte=now or timezone.now())

    def active(self) -> ExecutionQuerySet:
        """Those that run at the API and are asked after."""
        return self.filter(
            Q(status__in=(Status.RUNNING, Status.UPCOMING))
            | Q(status=Status.UNKNOWN, due_at__isnull=False)
        )

    def finished(self) -> ExecutionQuerySet:
        """Those in a final state."""
        return self.filter(status__in=sorted(FINAL))

    def for_source(self, source: models.Model) -> ExecutionQuerySet:
        """Those that are about an object."""
        if not isinstance(source, models.Model):
            kind = type(source).__name__
            raise TypeError(f"for_source() needs a model instance, not {kind}.")
        return self.filter(source_type=source_type(source), source_id=source_id(source))


def source_type(source: models.Model | type[models.Model]) -> str:
    """Return the label ``app.model`` under which an object, or its proxy, is a source."""
    return source._meta.concrete_model._meta.label_lower  # type: ignore[union-attr]


def source_id(source: models.Model) -> str:
    """Return an object's key as the text by which it is found again."""
    pk = source._meta.pk
    # Until it is read again, an object has its key as it was given: a UUID as text, say.
    if isinstance(pk, models.CompositePrimaryKey):
        parts = zip(source._meta.pk_fields, source.pk, strict=True)
        return json.dumps([_key_text(field.to_python(part)) for field, part in parts])
    return _key_text(pk.to_python(source.pk))


def _key_text(key: Any) -> str:
    match key:
        case bytes() | memoryview():
            # The text that a BinaryField reads again.
            return b64encode(key).decode()
        case datetime() if timezone.is_aware(key):
            return str(key.astimezone(UTC))
        case Decimal():
            text = f"{key:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
    return str(key)


def _counter(verbose_name: Any) -> models.PositiveIntegerField[int, int]:
    return models.PositiveIntegerField(verbose_name, default=0)


class Execution(models.Model):
    """One run of a hosted workflow: what was asked, its delivery, and what the API says of it.

    ``due_at`` is schedule, lease, back-off and poll timer at once: a row wants attention when it
    has passed, and a row that wants none has no ``due_at``.
    """

    Status = Status

    # Asked.
    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    account = ExactCharField(_("account"), max_length=100, default="default")
    workflow = models.CharField(
        _("workflow"), max_length=255, help_text=_("The identifier as given.")
    )
    id_type = models.CharField(
        _("id type"), max_length=20, default="key", help_text=_("How the API reads it.")
    )
    user_key = models.CharField(
        _("user key"),
        max_length=255,
        blank=True,
        help_text=_("The end user on whose behalf the workflow runs."),
    )
    execution_data = models.JSONField(_("execution data"), default=dict)
    # Unique where given, so NULL where not.
    idempotency_key = ExactCharField(
        _("idempotency key"),
        max_length=255,
        null=True,
        blank=True,
        help_text=_("Given by the caller; otherwise the id serves."),
    )
    trigger = models.CharField(_("trigger"), max_length=255, blank=True)
    source_type = models.CharField(_("source type"), max_length=200, blank=True)
    source_id = ExactCharField(_("source id"), max_length=255, blank=True)
    run_again_of = models.ForeignKey(
        "self",
        verbose_name=_("run again of"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="run_again_as",
        db_index=False,
    )
    run_at = models.DateTimeField(_("run at"), null=True, blank=True)

    # Delivery.
    status = models.CharField(
        _("status"), max_length=20, choices=Status.choices, default=Status.QUEUED
    )
    due_at = models.DateTimeField(_("due at"), null=True, default=timezone.now)
    attempts = models.PositiveIntegerField(
        _("attempts"), default=0, help_text=_("Deliveries that had a verdict.")
    )
    polls = models.PositiveIntegerField(
        _("polls"), default=0, help_text=_("Answers in a row in which nothing had moved.")
    )
    misses = models.PositiveSmallIntegerField(
        _("misses"), default=0, help_text=_("Times in a row that the API did not know it.")
    )
    claim = models.CharField(_("claim"), max_length=32, blank=True)
    last_error = models.TextField(_("last error"), blank=True)
    stop_requested_at = models.DateTimeField(_("stop requested at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    sent_at = models.DateTimeField(
        _("sent at"),
        null=True,
        blank=True,
        help_text=_("The first delivery that may have been received."),
    )
    dispatched_at = models.DateTimeField(_("dispatched at"), null=True, blank=True)
    synced_at = models.DateTimeField(_("synced at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    announced_at = models.DateTimeField(_("announced at"), null=True, blank=True)

    # Mirrored, under the API's own names where they are free.
    # Unique where known, so NULL where not.
    remote_id = ExactCharField(_("remote id"), max_length=64, null=True, blank=True)
    hashid = models.CharField(_("hashid"), max_length=64, blank=True)
    key = models.CharField(_("key"), max_length=255, blank=True)
    name = models.CharField(_("name"), max_length=255, blank=True)
    remote_status = models.CharField(_("remote status"), max_length=64, blank=True)
    actions_count = _counter(_("actions"))
    idle_actions_count = _counter(_("idle actions"))
    running_actions_count = _counter(_("running actions"))
    completed_actions_count = _counter(_("completed actions"))
    failed_actions_count = _counter(_("failed actions"))
    stopped_actions_count = _counter(_("stopped actions"))
    log = models.JSONField(_("log"), null=True, blank=True)
    stats = models.JSONField(_("stats"), null=True, blank=True)
    template = models.JSONField(_("template"), null=True, blank=True)
    remote_created_at = models.DateTimeField(_("remote created at"), null=True, blank=True)
    raw = models.JSONField(
        _("raw"), null=True, blank=True, help_text=_("Properties that have no column.")
    )

    #: The execution data of a new row as JSON, until the row is stored.
    _data_json: str | None = None

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        ordering = ("-id",)
        permissions = (
            ("view_execution_data", _("Can see execution data unredacted")),
            ("execute_execution", _("Can start a workflow")),
            ("refresh_execution", _("Can refresh executions")),
            ("run_again_execution", _("Can run executions again")),
            ("cancel_execution", _("Can cancel queued executions")),
            ("stop_execution", _("Can stop running executions")),
            ("resolve_execution", _("Can resolve unconfirmed executions")),
            ("view_overview", _("Can see the overview")),
            ("view_triggers", _("Can see the trigger map")),
            ("probe_workflow", _("Can ask the API about a workflow")),
        )
        indexes = (
            PartialIndex(fields=["due_at"], name="ewf_execution_due"),
            PartialIndex(fields=["account", "due_at"], name="ewf_execution_account_due"),
            models.Index(fields=["status", "-id"], name="ewf_execution_status"),
            models.Index(fields=["workflow", "-id"], name="ewf_execution_workflow"),
            models.Index(
                fields=["workflow", "status", "-id"], name="ewf_execution_workflow_status"
            ),
            models.Index(fields=["account", "-id"], name="ewf_execution_account"),
            models.Index(fields=["trigger", "-id"], name="ewf_execution_trigger"),
            models.Index(fields=["hashid"], name="ewf_execution_hashid"),
            models.Index(fields=["source_type", "source_id", "-id"], name="ewf_execution_source"),
            PartialIndex(fields=["run_again_of"], name="ewf_execution_run_again"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["idempotency_key", "account"], name="ewf_execution_one_per_key"
            ),
            models.UniqueConstraint(
                fields=["remote_id", "account"], name="ewf_execution_one_per_remote"
            ),
        )

    def __str__(self) -> str:
        return escape_bidi(f"{self.workflow} {self.id}")

    @property
    def is_final(self) -> bool:
        """Whether its status will not change any more."""
        return self.status in FINAL

    @property
    def log_fields(self) -> dict[str, str | None]:
        """What a log record about it says besides its sentence, as ``extra``."""
        return {
            "execution_id": str(self.pk),
            "workflow": self.workflow,
            "account": self.account,
            "database": self._state.db,
        }

    @property
    def succeeded(self) -> bool:
        """Whether it has completed."""
        return self.status == Status.COMPLETED

    @property
    def progress(self) -> float:
        """The part of its actions that has completed, from 0.0 to 1.0.

        The API makes the actions as the execution reaches them, so it may fall again.
        """
        if not self.actions_count:
            return 1.0 if self.succeeded else 0.0
        return min(1.0, self.completed_actions_count / self.actions_count)

    @property
    def key_sent(self) -> str:
        """The idempotency key that the API is sent."""
        return self.idempotency_key or str(self.id)

    @property
    def source_model(self) -> type[models.Model] | None:
        """The model of its source; ``None`` without one, or when the model is gone."""
        try:
            return apps.get_model(self.source_type) if self.source_type else None
        except LookupError:
            return None

    @property
    def source(self) -> Any:
        """The object that it is about, fetched anew; ``None`` when it has none or it is gone."""
        model = self.source_model
        if model is None:
            return None
        key: Any = self.source_id
        rows = model._base_manager.using(router.db_for_read(model, instance=self))
        try:
            if isinstance(model._meta.pk, models.CompositePrimaryKey):
                key = json.loads(key)
            else:
                key = model._meta.pk.to_python(key)
            return rows.filter(pk=key).first()
        except (ValueError, ValidationError):
            return None  # The model has had another kind of key since.


class ExecutionEvent(models.Model):
    """Something that happened to an execution; written by workers, never in the request path."""

    class Source(models.TextChoices):
        """Who learnt of it."""

        DELIVERY = "delivery", _("delivery")
        POLL = "poll", _("poll")
        CALLBACK = "callback", _("callback")
        PERSON = "person", _("person")

    id = models.BigAutoField(_("id"), primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="events",
        db_index=False,
    )
    at = models.DateTimeField(_("at"), default=timezone.now)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices)
    source = models.CharField(_("source"), max_length=20, choices=Source.choices)
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        verbose_name = _("execution event")
        verbose_name_plural = _("execution events")
        ordering = ("id",)
        indexes = (models.Index(fields=["execution", "id"], name="ewf_event_execution"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.source}: {self.status}"


class WorkerProcess(models.Model):
    """The sign of life of a process in which a worker runs; written by that process only."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=255, help_text=_("Host and process id."))
    version = models.CharField(
        _("version"), max_length=50, blank=True, help_text=_("Of this app, as the process runs it.")
    )
    dispatcher = models.CharField(_("dispatcher"), max_length=255)
    concurrency = models.PositiveIntegerField(_("concurrency"))
    in_flight = models.PositiveIntegerField(_("in flight"), default=0)
    pauses = models.JSONField(
        _("paused accounts"),
        default=dict,
        help_text=_("By account: the kind, the reason, and until when only a probe is sent."),
    )
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    seen_at = models.DateTimeField(_("last sign of life"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("worker process")
        verbose_name_plural = _("worker processes")
        ordering = ("-seen_at",)
        default_permissions = ()
        indexes = (models.Index(fields=["-seen_at"], name="ewf_worker_seen"),)

    def __str__(self) -> str:
        return self.name


class Tally(models.Model):
    """How many executions the workers have seen reach a status within an hour.

    What a person did to a row is not counted, nor what a killed worker had not yet noted down.
    """

    # Made of the columns below up to ``from_queue``, so that one statement inserts or adds.
    id = models.UUIDField(_("id"), primary_key=True, editable=False)
    hour = models.DateTimeField(_("hour"))
    account = ExactCharField(_("account"), max_length=100)
    workflow = models.CharField(_("workflow"), max_length=255)
    trigger = models.CharField(_("trigger"), max_length=255, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices)
    # Whether it was queued until then: the sum of these is how many have left the queue.
    from_queue = models.BooleanField(_("left the queue"))
    count = models.PositiveIntegerField(_("count"), default=0)
    last_execution = models.UUIDField(_("last execution"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True)
    last_at = models.DateTimeField(_("last at"), default=timezone.now)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        default_permissions = ()
        indexes = (models.Index(fields=["hour"], name="ewf_tally_hour"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.workflow} {self.status}: {self.count}"


class Job(models.Model):
    """A verb for all executions that match a filter; worked off in the background, row by row."""

    class Status(models.TextChoices):
        """What has become of a job."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        CANCELED = "canceled", _("canceled")
        FAILED = "failed", _("failed")

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    verb = models.CharField(_("verb"), max_length=20)
    # The filter as it was confirmed: parameters of the list's URL, and the newest row of then.
    filters = models.JSONField(_("filter"), default=dict)
    newest = models.UUIDField(_("newest execution"))
    # Every row from ``newest`` down to this one has had its turn.
    reached = models.UUIDField(_("reached execution"), null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=20, choices=Status.choices, default=Status.WAITING
    )
    due_at = models.DateTimeField(_("due at"), null=True, default=timezone.now)
    claim = models.CharField(_("claim"), max_length=32, blank=True)
    total = models.PositiveIntegerField(_("total"), null=True, blank=True)
    done_count = models.PositiveIntegerField(_("done"), default=0)
    skipped_count = models.PositiveIntegerField(_("skipped"), default=0)
    failed_count = models.PositiveIntegerField(_("failed"), default=0)
    # The first of those that were skipped or failed, each with the reason.
    outcomes = models.JSONField(_("outcomes"), default=list)
    by = models.CharField(_("by"), max_length=255)
    by_id = models.CharField(_("user id"), max_length=255, blank=True)
    cancel_requested_at = models.DateTimeField(_("cancel requested at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (("cancel_job", _("Can cancel jobs")),)
        indexes = (PartialIndex(fields=["due_at"], name="ewf_job_due"),)

    def __str__(self) -> str:
        # The verbs are marked where the timeline tells them.
        return f"{_(self.verb.replace('_', ' '))} {self.id}"

    @property
    def is_open(self) -> bool:
        """Whether anything is still to be done."""
        return self.status in (self.Status.WAITING, self.Status.RUNNING)
