"""The REST API's views: thin doors to the services, which do no HTTP."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from .. import conf, encoding, intake, redaction, services
from ..exceptions import InvalidExecution, InvalidTransition
from ..models import Execution
from . import permissions, serializers
from .filters import ExecutionFilter
from .pagination import ExecutionPagination
from .permissions import ExecutionPermission

IDEMPOTENCY_KEY = "Idempotency-Key"
# What a request that is repeated asks for as it did the first time.
_ASKED = ("workflow", "id_type", "user_key", "source_type", "source_id", "execution_data")


def _asks_for_the_same(one: Execution, other: Execution) -> bool:
    return all(encoding.is_same(getattr(one, name), getattr(other, name)) for name in _ASKED)


def _validation_error(error: InvalidExecution) -> exceptions.ValidationError:
    name = "execution_data" if error.argument == "data" else error.argument
    if name in serializers.ExecuteSerializer().fields:
        return exceptions.ValidationError({name: [str(error)]})
    return exceptions.ValidationError({"detail": str(error)})


class Conflict(exceptions.APIException):
    """The execution's state does not allow this."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = gettext_lazy("The execution’s state does not allow this.")
    default_code = "conflict"


class Unprocessable(exceptions.APIException):
    """An idempotency key came a second time, with something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = gettext_lazy("This idempotency key was used for something else.")
    default_code = "idempotency_key_reused"


class Misconfigured(exceptions.APIException):
    """The settings do not allow this yet; whoever asked is not to blame."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "misconfigured"


class ExecutionMetadata(SimpleMetadata):
    """Describes a POST as it is answered: with its own fields, and to those who have its right."""

    def determine_actions(self, request: Request, view: Any) -> Any:
        """Return what a POST takes, if the user may send one."""
        view.action = view.action_map.get("post")
        return super().determine_actions(request, view)


class ExecutionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Execution]
):
    """Executions: list, retrieve, execute, and the operator's verbs.

    Override ``get_queryset`` to show each user only some executions: verbs reach no others
    either. Override ``permission_classes`` with a subclass of ``ExecutionPermission`` to decide
    object by object (``has_object_permission``).
    """

    queryset = Execution.objects.all()
    permission_classes = (ExecutionPermission,)
    pagination_class = ExecutionPagination
    filter_backends = (ExecutionFilter,)
    metadata_class = ExecutionMetadata
    #: The right ``embedworkflow.<right>_execution`` that an action takes beside ``view``.
    rights = {  # noqa: RUF012 - a table, not a default
        "create": "execute",
        "refresh": "refresh",
        "run_again": "run_again",
        "cancel": "cancel",
        "stop": "stop",
        "resolve": "resolve",
    }

    def get_queryset(self) -> QuerySet[Execution]:
        """Return the executions that exist for the user; the list's without their JSON."""
        queryset = super().get_queryset()
        return queryset.defer(*serializers.HEAVY) if self.action == "list" else queryset

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return how an action's request is read, or its answer written."""
        chosen: dict[str, type[BaseSerializer[Any]]] = {
            "list": serializers.ExecutionListSerializer,
            "create": serializers.ExecuteSerializer,
            "run_again": serializers.RunAgainSerializer,
            "resolve": serializers.ResolveSerializer,
        }
        return chosen.get(self.action, serializers.ExecutionSerializer)

    def handle_exception(self, exc: Exception) -> Response:
        """Return an answer that tells whose turn it is: caller, state or settings."""
        if isinstance(exc, InvalidExecution):
            exc = _validation_error(exc)
        elif isinstance(exc, InvalidTransition):
            exc = Conflict(str(exc))
        elif isinstance(exc, conf.ConfigurationError):
            exc = Misconfigured(str(exc))
        return super().handle_exception(exc)

    def create(self, request: Request) -> Response:
        """Start a workflow: 201, or 200 with the first execution if the key was used before.

        Args:
            request: Its body is an ``ExecuteSerializer``'s; the header ``Idempotency-Key`` makes
                it safe to repeat.
        """
        asked = self._read(request)
        key = request.headers.get(IDEMPOTENCY_KEY)
        if (key or "").startswith(intake.ONCE):
            # Taken by somebody else, it would keep a trigger from ever firing.
            raise Unprocessable
        data = asked.pop("execution_data", {})
        new, alias = intake.new_execution(data=data, idempotency_key=key, **asked)
        (execution,) = services.store([new], alias)
        if execution.pk == new.pk:
            return self._answer(execution, status.HTTP_201_CREATED)
        visible = self.get_queryset().using(alias).filter(pk=execution.pk).exists()
        if not visible or not _asks_for_the_same(execution, new):
            raise Unprocessable
        self.check_object_permissions(request, execution)
        return self._answer(execution)

    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str) -> Response:
        """Have the API asked at once."""
        return self._answer(services.refresh(self.get_object(), by=self._person))

    @action(detail=True, methods=["post"], url_path="run-again")
    def run_again(self, request: Request, pk: str) -> Response:
        """Start the same workflow again, as a new execution; with other data if it is given."""
        execution, asked = self.get_object(), self._read(request)
        given = {}
        if "execution_data" in asked:
            given["data"] = redaction.restore(asked["execution_data"], execution.execution_data)
        again = services.run_again(execution, by=self._person, **given)
        return self._answer(again, status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Take back an execution that has not been sent."""
        return self._answer(services.cancel(self.get_object(), by=self._person))

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Have the API stop a running execution; cancel a queued one for whoever may."""
        may_cancel = permissions.may(request, self.rights["cancel"])
        stop = services.stop if may_cancel else services.stop_running
        return self._answer(stop(self.get_object(), by=self._person))

    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """Say of an unconfirmed execution that it did happen, or that it did not."""
        execution, found = self.get_object(), self._read(request)
        return self._answer(services.resolve(execution, by=self._person, **found))

    @property
    def _person(self) -> str:
        return self.request.user.get_username()

    def _read(self, request: Request) -> dict[str, Any]:
        try:
            serializer = self.get_serializer(data=request.data)
        except RecursionError:
            raise exceptions.ParseError from None
        serializer.is_valid(raise_exception=True)
        asked: dict[str, Any] = serializer.validated_data
        return asked

    def _answer(self, execution: Execution, code: int = status.HTTP_200_OK) -> Response:
        shown = serializers.ExecutionSerializer(execution, context=self.get_serializer_context())
        return Response(shown.data, status=code)
