"""Workflows: to see, make, publish, copy and delete them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .payloads import Workflow
from .resource import UNSET, Resource, Unset, as_query, assigned, given
from .transport import Identifier


class Workflows(Resource):
    """The endpoints below ``/workflows``, but for the one that executes."""

    def list_workflows(
        self,
        *,
        user_key: str | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Workflow]:
        """Iterate over workflows, newest first, page by page (vendor's SDK).

        Args:
            user_key: Only those of this end user.
            starting_after: Only those older than the workflow with this id.
            ending_before: Those newer than the workflow with this id.
            limit: Workflows per page, 1 to 100; the API's default is 25.
        """
        return self._list(
            Workflow,
            "workflows",
            user_key=user_key,
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def create_workflow(
        self,
        *,
        name: str,
        user_key: str | None = None,
        details: str | None = None,
        template_draft: Mapping[str, Any] | None = None,
        trigger_conditions_draft: Mapping[str, Any] | None = None,
        event_trigger_draft: str | None = None,
        match_conditions_draft: str | None = None,
        groups: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Make a workflow, which is off and unpublished (reference/workflows/create-workflow).

        Args:
            name: Its name, from which the API makes its key.
            user_key: The end user who owns it; the API's default is ``main``.
            details: Answered as ``description``.
            template_draft: Its ``nodes`` and ``edges``.
            trigger_conditions_draft: The conditions that its trigger checks.
            event_trigger_draft: The event that its trigger listens to.
            match_conditions_draft: ``all`` or ``any`` of the conditions.
            groups: Permission groups; for the admin role only.
            idempotency_key: Under one key, the API makes one workflow within 24 hours.
        """
        body = given(
            name=name,
            user_key=user_key,
            details=details,
            template_draft=template_draft,
            trigger_conditions_draft=trigger_conditions_draft,
            event_trigger_draft=event_trigger_draft,
            match_conditions_draft=match_conditions_draft,
            groups=groups,
        )
        return self._transport.call(
            "POST", "workflows", body=body, idempotency_key=idempotency_key
        ).read(Workflow)

    def retrieve_workflow(
        self,
        workflow_id: Identifier,
        *,
        id_type: str | None = None,
        user_key: str | None = None,
        expand: Sequence[str] | None = None,
    ) -> Workflow:
        """Return one workflow (reference/workflows/retrieve-workflow).

        Args:
            workflow_id: The workflow's id, key or hashid.
            id_type: Which of them it is; the API's default is ``id``.
            user_key: The end user who owns it.
            expand: The related objects to answer with; how a query carries a list is unconfirmed.
        """
        query = as_query(id_type=id_type, user_key=user_key, expand=expand)
        return self._transport.call("GET", "workflows", workflow_id, query=query).read(Workflow)

    def update_workflow(
        self,
        workflow_id: Identifier,
        *,
        name: str,
        key: str | Unset | None = UNSET,
        auto_clone_for_new_users: bool | Unset | None = UNSET,
        is_template: bool | Unset | None = UNSET,
        on: bool | Unset | None = UNSET,
        details: str | Unset | None = UNSET,
        template_draft: Mapping[str, Any] | Unset | None = UNSET,
        trigger_conditions_draft: Mapping[str, Any] | Unset | None = UNSET,
        event_trigger_draft: str | Unset | None = UNSET,
        match_conditions_draft: str | Unset | None = UNSET,
        groups: Sequence[str] | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Change a workflow (reference/workflows/update-workflow).

        What is not given stays as it is; None is sent as null.

        Args:
            workflow_id: The workflow's id.
            name: Its name, which the API demands with every change.
            key: The key to call it by.
            auto_clone_for_new_users: New end users get a copy; for the admin role only.
            is_template: It is shown in the template library; for the admin role only.
            on: Whether it runs.
            details: Answered as ``description``.
            template_draft: Its ``nodes`` and ``edges``.
            trigger_conditions_draft: The conditions that its trigger checks.
            event_trigger_draft: The event that its trigger listens to.
            match_conditions_draft: ``all`` or ``any`` of the conditions.
            groups: Permission groups; for the admin role only.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = assigned(
            name=name,
            key=key,
            auto_clone_for_new_users=auto_clone_for_new_users,
            is_template=is_template,
            on=on,
            details=details,
            template_draft=template_draft,
            trigger_conditions_draft=trigger_conditions_draft,
            event_trigger_draft=event_trigger_draft,
            match_conditions_draft=match_conditions_draft,
            groups=groups,
        )
        return self._transport.call(
            "PUT", "workflows", workflow_id, body=body, idempotency_key=idempotency_key
        ).read(Workflow)

    def delete_workflow(
        self,
        workflow_id: Identifier,
        *,
        id_type: str | None = None,
        user_key: str | None = None,
    ) -> None:
        """Delete a workflow (vendor's SDK); its executions become deleted ones.

        Args:
            workflow_id: The workflow's id, key or hashid.
            id_type: Which of them it is; the API's default is ``id``.
            user_key: The end user who owns it.
        """
        self._delete("workflows", workflow_id, id_type=id_type, user_key=user_key)

    def publish_workflow(
        self,
        workflow_id: Identifier,
        *,
        user_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Make a workflow's draft the one that runs (reference/workflows/publish-workflow).

        Args:
            workflow_id: The workflow's id.
            user_key: The end user who owns it; the API's default is ``main``.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = given(user_key=user_key)
        return self._verb(workflow_id, "publish", body, idempotency_key)

    def discard_workflow_draft(
        self,
        workflow_id: Identifier,
        *,
        user_key: str | None = None,
        expand: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Forget a workflow's draft (reference/workflows/discard-workflow-draft).

        Args:
            workflow_id: The workflow's id.
            user_key: The end user who owns it.
            expand: The related objects to answer with.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = given(user_key=user_key, expand=expand)
        return self._verb(workflow_id, "discard_draft", body, idempotency_key)

    def clone_workflow(
        self,
        workflow_id: Identifier,
        *,
        user_key: str | None = None,
        expand: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Copy a workflow and return the copy's summary (reference/workflows/clone-workflow).

        Args:
            workflow_id: The workflow's id.
            user_key: The API's default is ``main``; that it is the copy's owner is unconfirmed.
            expand: The related objects to answer with.
            idempotency_key: Under one key, the API makes one copy within 24 hours.
        """
        body = given(user_key=user_key, expand=expand)
        return self._verb(workflow_id, "clone", body, idempotency_key)

    def _verb(
        self,
        workflow_id: Identifier,
        verb: str,
        body: Mapping[str, Any],
        idempotency_key: str | None,
    ) -> Workflow:
        return self._transport.call(
            "POST", "workflows", workflow_id, verb, body=body, idempotency_key=idempotency_key
        ).read(Workflow)
