"""Executions: to start, see and stop the runs of workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedworkflow_django import exceptions

from .payloads import RemoteExecution
from .resource import Resource, given
from .transport import Identifier


class Executions(Resource):
    """The endpoints below ``/executions``, and those that start an execution."""

    def execute_workflow(
        self,
        workflow_id: Identifier,
        *,
        id_type: str = "id",
        user_key: str | None = None,
        execution_data: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteExecution:
        """Start an execution of one workflow (reference/workflows/execute-workflow).

        Args:
            workflow_id: The workflow's id, key or hashid.
            id_type: Which of them: ``id``, ``key`` or ``hashid``.
            user_key: The end user on whose behalf; the API's default is ``main``.
            execution_data: What the workflow's placeholders can use; the API's default is ``{}``.
            idempotency_key: Under the same key, the API starts one execution in 24 hours.

        Returns:
            The execution, without ``stats`` and ``template``.

        Raises:
            ValueError: an argument cannot be sent as it is.
            APIError: the execution was not started, or, if ``ambiguous``, there is no telling.
        """
        check_data(execution_data)
        return self._transport.call(
            "POST",
            "workflows",
            workflow_id,
            "execute",
            body=given(
                id_type=None if id_type == "id" else id_type,
                user_key=user_key,
                execution_data=execution_data,
            ),
            idempotency_key=idempotency_key,
        ).read(RemoteExecution)

    def retrieve_execution(self, execution_id: Identifier) -> RemoteExecution:
        """Return one execution with ``stats`` and ``template`` (…/executions/retrieve-execution).

        Args:
            execution_id: The execution's id, a UUID.

        Raises:
            NotFound: there is no such execution.
            InvalidAnswer: the answer is about another execution.
            APIError: anything else.
        """
        answer = self._transport.call("GET", "executions", execution_id)
        execution = answer.read(RemoteExecution)
        if execution.id.lower() != str(execution_id).lower():
            raise answer.error(
                exceptions.InvalidAnswer, f"The answer is about the execution {execution.id}."
            )
        return execution


def check_data(data: Mapping[str, Any] | None) -> None:
    """Do nothing if the data is an object as JSON knows it.

    Raises:
        InvalidExecution: it is a list, a string or the like.
    """
    if data is not None and not isinstance(data, Mapping):
        raise exceptions.InvalidExecution(
            f"execution_data must be a mapping of names to values, not a {type(data).__name__}."
        )
