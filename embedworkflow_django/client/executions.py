"""Executions: to start, see and stop the runs of workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from embedworkflow_django import exceptions

from .payloads import Action, RemoteExecution
from .resource import Resource, given
from .transport import Identifier


class Executions(Resource):
    """The endpoints below ``/executions`` and ``/actions``, and those that start executions."""

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
            id_type: Which of them it is: ``id``, ``key`` or ``hashid``.
            user_key: The end user on whose behalf; the API's default is ``main``.
            execution_data: What the workflow's placeholders can use; the API's default is ``{}``.
            idempotency_key: Under one key, the API starts one execution within 24 hours.

        Returns:
            The execution, without ``stats`` and ``template``.

        Raises:
            ValueError: an argument cannot be sent as it is.
            APIError: the execution was not started, or, if ``ambiguous``, there is no telling.
        """
        answer = self._transport.call(
            "POST",
            "workflows",
            workflow_id,
            "execute",
            body=given(
                id_type=None if id_type == "id" else id_type,
                user_key=user_key,
                execution_data=checked_data(execution_data),
            ),
            idempotency_key=idempotency_key,
        )
        return answer.read(RemoteExecution)

    def retrieve_execution(self, execution_id: Identifier) -> RemoteExecution:
        """Return one execution, with ``stats`` and ``template``.

        Source: reference/executions/retrieve-execution.

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

    def list_executions(
        self,
        *,
        user_key: str | None = None,
        workflow_id: str | None = None,
        status: str | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[RemoteExecution]:
        """Iterate over executions, newest first, page by page.

        Unconfirmed: the documentation has an index of executions, but neither its path nor its
        filters are visible.

        Args:
            user_key: Only those of this end user.
            workflow_id: Only those of this workflow.
            status: Only those in this status.
            starting_after: Only those older than the execution with this id.
            ending_before: Those newer than the execution with this id.
            limit: Executions per page, 1 to 100; the API's default is 25.
        """
        return self._list(
            RemoteExecution,
            "executions",
            user_key=user_key,
            workflow_id=workflow_id,
            status=status,
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def stop_executions(
        self,
        stop_event: str,
        *,
        user_key: str | None = None,
        filters: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Tell the API that a stop event has happened (vendor's SDK).

        Args:
            stop_event: The event, as it is registered on the account.
            user_key: Only the executions of this end user.
            filters: Only the executions whose data holds these pairs; that it must hold all of
                them is unconfirmed.
            idempotency_key: Under one key, it happens once within 24 hours.

        Returns:
            Whatever JSON is answered, for it is not documented; None if nothing is.
        """
        return self._transport.call(
            "POST",
            "executions",
            "stop",
            body=given(stop_event=stop_event, user_key=user_key, filters=filters),
            idempotency_key=idempotency_key,
        ).json()

    def stop_execution(
        self, execution_id: Identifier, *, idempotency_key: str | None = None
    ) -> Any:
        """Stop one execution.

        Unconfirmed: no source shows ``POST /executions/{id}/stop``; a hosted API that lacks it
        answers 404.

        Args:
            execution_id: The execution's id, a UUID.
            idempotency_key: Under one key, it happens once within 24 hours.

        Returns:
            Whatever JSON is answered; None if nothing is.
        """
        return self._transport.call(
            "POST", "executions", execution_id, "stop", body={}, idempotency_key=idempotency_key
        ).json()

    def trigger_event(
        self,
        event: str,
        *,
        user_key: str | None = None,
        execution_data: Mapping[str, Any] | None = None,
        all_workflows: bool = False,
        workflow_hashids: Sequence[str] | None = None,
        workflow_keys: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Start every workflow that listens to an event (vendor's SDK and demo).

        Args:
            event: The event's key.
            user_key: The end user whose workflows listen; the vendor's demo sends ``main``.
            execution_data: What the workflows' conditions and placeholders can use.
            all_workflows: Always sent, as the vendor's SDK does; its meaning is not documented.
            workflow_hashids: Only these workflows.
            workflow_keys: Only these workflows.
            idempotency_key: Under one key, it happens once within 24 hours.

        Returns:
            Whatever JSON is answered, for it is not documented; None if nothing is.
        """
        return self._transport.call(
            "POST",
            "trigger",
            body=given(
                event=event,
                user_key=user_key,
                execution_data=checked_data(execution_data),
                all_workflows=all_workflows,
                workflow_hashids=workflow_hashids,
                workflow_keys=workflow_keys,
            ),
            idempotency_key=idempotency_key,
        ).json()

    def catch_hook(
        self,
        hook_id: Identifier,
        data: Mapping[str, Any] | None = None,
        *,
        user_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Hand data to the trigger that owns a hook (vendor's SDK).

        Args:
            hook_id: The trigger's ``hook_id``, a UUID.
            data: The event's data; its pairs stand beside ``user_key`` in the body.
            user_key: The end user on whose behalf.
            idempotency_key: Under one key, it happens once within 24 hours.

        Returns:
            Whatever JSON is answered, for it is not documented; None if nothing is.

        Raises:
            InvalidExecution: the data is no mapping, or has a pair ``user_key`` of its own.
        """
        pairs = dict(checked_data(data) or {})
        if "user_key" in pairs:
            raise exceptions.InvalidExecution(
                "The data must not hold a pair user_key; give it as the argument user_key."
            )
        return self._transport.call(
            "POST",
            "hooks",
            hook_id,
            "catch",
            body={**pairs, **given(user_key=user_key)},
            idempotency_key=idempotency_key,
        ).json()

    def retrieve_action(self, action_id: Identifier) -> Action:
        """Return one node's run.

        Unconfirmed: the object is documented, but no endpoint of it is visible.
        """
        return self._transport.call("GET", "actions", action_id).read(Action)

    def list_actions(
        self,
        *,
        execution_id: str | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Action]:
        """Iterate over nodes' runs, newest first, page by page; arguments as everywhere.

        Unconfirmed: the object is documented, but no endpoint of it is visible.
        """
        return self._list(
            Action,
            "actions",
            execution_id=execution_id,
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def workflow_activities(self, hashid: str) -> Any:
        """Return the activities of one workflow as JSON.

        Legacy: only the vendor's SDK 0.3.0 has it, and the newer reference does not.
        """
        return self._transport.call("GET", "workflows", hashid, "activities").json()

    def action_activities(self) -> Any:
        """Return the activities of all actions as JSON.

        Legacy: only the vendor's SDK 0.3.0 has it, and the newer reference does not.
        """
        return self._transport.call("GET", "actions", "activities").json()


def checked_data(data: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the data if it is an object as JSON knows it.

    Raises:
        InvalidExecution: it is a list, a string or the like.
    """
    if data is not None and not isinstance(data, Mapping):
        raise exceptions.InvalidExecution(
            f"execution_data must be a mapping of names to values, not a {type(data).__name__}."
        )
    return data
