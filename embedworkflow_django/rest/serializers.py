"""What an execution looks like over REST, and what it takes to start one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .. import conf, intake, redaction
from ..exceptions import printable
from ..models import Execution
from . import permissions
from .filters import split_source

#: The columns that only those with ``view_execution_data`` get as they are.
REDACTED = ("execution_data", "log", "stats", "template", "raw")
#: Columns of any size, which the list leaves out.
HEAVY = REDACTED


class ExecutionListSerializer(serializers.ModelSerializer[Execution]):
    """An execution among others: all but its JSON."""

    source = serializers.SerializerMethodField(  # type: ignore[assignment] # the API's own word
        method_name="get_source_label", help_text=_("As app.model:key.")
    )
    progress = serializers.FloatField(read_only=True)
    is_final = serializers.BooleanField(read_only=True)

    class Meta:
        model = Execution
        fields: tuple[str, ...] = (
            "id",
            "account",
            "workflow",
            "id_type",
            "user_key",
            "idempotency_key",
            "trigger",
            "source",
            "run_again_of",
            "run_at",
            "status",
            "is_final",
            "progress",
            "actions_count",
            "idle_actions_count",
            "running_actions_count",
            "completed_actions_count",
            "failed_actions_count",
            "stopped_actions_count",
            "due_at",
            "attempts",
            "last_error",
            "stop_requested_at",
            "created_at",
            "sent_at",
            "dispatched_at",
            "synced_at",
            "finished_at",
            "remote_id",
            "hashid",
            "key",
            "name",
            "remote_status",
            "remote_created_at",
        )
        read_only_fields = fields

    def get_source_label(self, execution: Execution) -> str | None:
        """Return the source as the filter takes it."""
        if not execution.source_type:
            return None
        return f"{execution.source_type}:{execution.source_id}"


class ExecutionSerializer(ExecutionListSerializer):
    """One execution with its JSON, redacted unless the user may see it."""

    class Meta(ExecutionListSerializer.Meta):
        fields = (*ExecutionListSerializer.Meta.fields, *REDACTED)
        read_only_fields = fields

    def to_representation(self, instance: Execution) -> dict[str, Any]:
        """Return the execution as whoever asks may see it."""
        shown: dict[str, Any] = super().to_representation(instance)
        if not permissions.may_see_data(self.context["request"]):
            shown |= {name: redaction.redact(shown[name]) for name in REDACTED}
        return shown


class _StrictSerializer(serializers.Serializer[Any]):
    """A request's body; what it does not know it refuses, rather than to start half of it."""

    def get_initial(self) -> dict[str, Any]:
        """Return what a form shows again; half a character, which no page can hold, spelt out."""
        return {
            name: value.encode("utf-8", "backslashreplace").decode()
            if isinstance(value, str)
            else value
            for name, value in super().get_initial().items()
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the same values, unless others were sent that nobody would heed."""
        # A form of the browsable API brings its token along.
        unknown = sorted(set(self.initial_data) - {*self.fields, "csrfmiddlewaretoken"})
        if unknown:
            raise serializers.ValidationError(
                {
                    printable(name): [
                        _("There is no such field. %(hint)s")
                        % {"hint": intake.did_you_mean(name, self.fields)}
                    ]
                    for name in unknown
                }
            )
        return attrs


class _DataField(serializers.DictField):
    """Execution data; a form, which cannot carry any, leaves it out."""

    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        """Return what was sent under the field's own name, from a form as from JSON."""
        return dictionary.get(str(self.field_name), serializers.empty)


class _MomentField(serializers.DateTimeField):
    """A date and time, of which a form shows what was written, whatever that is."""

    def __init__(self, **kwargs: Any) -> None:
        # With a format, a form is written of what that format can read only.
        super().__init__(format=None, **kwargs)

    def enforce_timezone(self, value: datetime) -> datetime:
        """Return the moment in the current time zone, if the calendar has it there."""
        try:
            return super().enforce_timezone(value)
        except OverflowError:
            self.fail("overflow")


class ExecuteSerializer(_StrictSerializer):
    """What it takes to start a workflow."""

    workflow = serializers.CharField(max_length=255)
    execution_data = _DataField(required=False)
    user_key = serializers.CharField(required=False, allow_null=True, max_length=255)
    id_type = serializers.CharField(required=False, max_length=20)
    account = serializers.CharField(required=False)
    run_at = _MomentField(required=False, allow_null=True)
    source = serializers.CharField(  # type: ignore[assignment] # the API's own word
        required=False, allow_null=True, help_text=_("An object, as app.model:key.")
    )

    def validate_account(self, alias: str) -> str:
        """Return the alias of an account in the settings."""
        aliases = conf.settings.accounts
        if alias in aliases:
            return alias
        raise serializers.ValidationError(
            _("There is no account %(alias)s. %(hint)s")
            % {"alias": repr(alias), "hint": intake.did_you_mean(alias, aliases)}
        )

    def validate_source(self, value: str | None) -> Model | None:
        """Return the object that an execution shall be about, if the user may see it."""
        if value is None:
            return None
        label, key = split_source(value)
        if (source := self._visible(label, key)) is not None:
            return source
        raise serializers.ValidationError(
            _("There is no %(source)s, or you may not see it.") % {"source": value}
        )

    def _visible(self, label: str, key: str) -> Model | None:
        try:
            model = apps.get_model(label)
            opts = model._meta
            right = f"{opts.app_label}.view_{opts.model_name}"
            if not self.context["request"].user.has_perm(right):
                return None
            found: Model | None = Execution(source_type=label, source_id=key).source
        except (LookupError, TypeError, OverflowError, RecursionError):
            return None
        return found


class RunAgainSerializer(_StrictSerializer):
    """How an execution is run again."""

    execution_data = _DataField(required=False)


class ResolveSerializer(_StrictSerializer):
    """What was found out about an unconfirmed execution: one of the two."""

    remote_id = serializers.CharField(required=False, max_length=64)
    resend = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the one thing that was found out."""
        attrs = super().validate(attrs)
        if bool(attrs.get("remote_id")) == bool(attrs.get("resend")):
            raise serializers.ValidationError(
                _("Give the remote id if it did happen, or resend: true if it did not.")
            )
        return attrs
