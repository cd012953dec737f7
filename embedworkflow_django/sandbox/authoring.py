"""Writes workflows: creates, changes, publishes, clones and archives them, draft by draft."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import identifiers, layouts, records

if TYPE_CHECKING:
    from . import engine as engines

#: Properties of an account that `PUT /account` may change, with what they are at the start.
ACCOUNT_DEFAULTS: dict[str, Any] = {
    "action_type_categories": [],
    "action_type_categories_enabled": False,
    "company_name": None,
    "custom_domain": None,
    "data": {},
    "data_schema": [],
    "groups": [],
    "theme": None,
    "user_data_schema": [],
    "user_name": None,
}
DRAFT_FIELDS = ("event_trigger", "match_conditions", "trigger_conditions")
PLAIN_FIELDS = ("name", "key", "on", "groups", "auto_clone_for_new_users", "is_template")


class InvalidWorkflowError(ValueError):
    """A workflow cannot be made or changed like this.

    Args:
        field: The offending property.
        sentence: What is wrong with it.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field} {sentence}")
        self.field = field
        self.sentence = sentence


def account_defaults() -> dict[str, Any]:
    """Return fresh settings for a new account."""
    return copy.deepcopy(ACCOUNT_DEFAULTS)


def create(
    engine: engines.Engine,
    account: records.Account,
    user: records.User,
    fields: Mapping[str, Any],
) -> records.Workflow:
    """Make a workflow of *user*: off, unpublished, with a key made from its name.

    Args:
        engine: Where it lives.
        account: Whose account it is in.
        user: Its owner.
        fields: Properties as `POST /workflows` takes them.

    Raises:
        InvalidWorkflowError: A property is missing or makes no sense.
    """
    with engine.lock:
        name = fields.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InvalidWorkflowError("name", "can't be blank")
        now = engine.clock.now()
        workflow = records.Workflow(
            id=engine.new_id(),
            hashid=engine.new_hashid(),
            key=_free_key(account, user, identifiers.key_from_name(name)),
            name=name,
            user=user,
            created_at=now,
            updated_at=now,
        )
        _change(account, workflow, fields)
        return account.workflows.add(workflow)


def update(
    engine: engines.Engine,
    account: records.Account,
    workflow: records.Workflow,
    fields: Mapping[str, Any],
) -> records.Workflow:
    """Change a workflow; what is not given stays as it is.

    Raises:
        InvalidWorkflowError: A property makes no sense.
    """
    with engine.lock:
        _change(account, workflow, fields)
        workflow.updated_at = engine.clock.now()
        return workflow


def publish(engine: engines.Engine, workflow: records.Workflow) -> records.Workflow:
    """Put the draft in force; whether the workflow is on stays as it is (assumed)."""
    with engine.lock:
        workflow.published = workflow.draft
        workflow.last_published_at = workflow.updated_at = engine.clock.now()
        return workflow


def discard_draft(engine: engines.Engine, workflow: records.Workflow) -> records.Workflow:
    """Make the draft what is in force."""
    with engine.lock:
        workflow.draft = workflow.published
        workflow.updated_at = engine.clock.now()
        return workflow


def clone(
    engine: engines.Engine,
    account: records.Account,
    workflow: records.Workflow,
    user: records.User,
) -> records.Workflow:
    """Copy a workflow for *user*: off, unpublished, key with a number appended (documented)."""
    with engine.lock:
        workflow.clones_count += 1
        now = engine.clock.now()
        cloned = records.Workflow(
            id=engine.new_id(),
            hashid=engine.new_hashid(),
            key=_free_key(account, user, f"{workflow.key}_{workflow.clones_count}"),
            name=workflow.name,
            user=user,
            created_at=now,
            updated_at=now,
            description=workflow.description,
            published=workflow.published,
            draft=workflow.published,
            stop_event=workflow.stop_event,
        )
        return account.workflows.add(cloned)


def clone_for_new_user(
    engine: engines.Engine, account: records.Account, user: records.User
) -> None:
    """Give a new user its copies of the workflows that ask for it (documented)."""
    for workflow in [found for found in account.workflows if found.auto_clone_for_new_users]:
        clone(engine, account, workflow, user)


def archive(engine: engines.Engine, account: records.Account, workflow: records.Workflow) -> None:
    """Delete a workflow; all its executions become `deleted` (documented)."""
    with engine.lock:
        account.workflows.remove(workflow)
        for execution in account.executions:
            if execution.workflow is workflow:
                engine.runner.catch_up(execution)
                engine.runner.halt(execution, records.DELETED)


def _change(
    account: records.Account, workflow: records.Workflow, fields: Mapping[str, Any]
) -> None:
    draft = _drafted(workflow.draft, fields)
    key = fields.get("key", workflow.key)
    if key != workflow.key and _free_key(account, workflow.user, str(key)) != key:
        raise InvalidWorkflowError("key", "has already been taken")
    for name in PLAIN_FIELDS:
        if fields.get(name) is not None:
            setattr(workflow, name, fields[name])
    if "details" in fields:
        workflow.description = fields["details"]
    if "stop_event" in fields:
        workflow.stop_event = fields["stop_event"]
    workflow.draft = draft


def _drafted(draft: records.Design, fields: Mapping[str, Any]) -> records.Design:
    changes = {name: fields[f"{name}_draft"] for name in DRAFT_FIELDS if f"{name}_draft" in fields}
    if "trigger_conditions" in changes:
        changes["trigger_conditions"] = changes["trigger_conditions"] or {}
        if not isinstance(changes["trigger_conditions"], dict):
            raise InvalidWorkflowError("trigger_conditions_draft", "must be an object")
    if "template_draft" in fields:
        given = fields["template_draft"]
        if given is not None and not isinstance(given, dict):
            raise InvalidWorkflowError("template_draft", "must be an object")
        try:
            changes["template"] = layouts.Layout(given)
        except layouts.InvalidTemplateError as error:
            raise InvalidWorkflowError("template_draft", str(error)) from error
    return dataclasses.replace(draft, **changes)


def _free_key(account: records.Account, user: records.User, wanted: str) -> str:
    taken = {workflow.key for workflow in account.workflows if workflow.user is user}
    key, number = wanted, 1
    while key in taken:
        number += 1
        key = f"{wanted}_{number}"
    return key
