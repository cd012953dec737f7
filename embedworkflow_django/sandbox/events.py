"""Lets events start workflows: by name, or through the hook of a trigger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import conditions, placeholders, records
from . import engine as engines


def add_trigger(
    engine: engines.Engine, account: records.Account, event: str, **fields: Any
) -> records.Trigger:
    """Register an event, with a hook of its own."""
    with engine.lock:
        return account.triggers.add(
            records.Trigger(
                id=engine.new_id(),
                event=event,
                hook_id=engine.new_id(),
                created_at=engine.clock.now(),
                **fields,
            )
        )


def fire(
    engine: engines.Engine,
    account: records.Account,
    event: str,
    data: Mapping[str, Any],
    *,
    user_key: str | None = records.MAIN_USER,
    wanted: Callable[[records.Workflow], bool] | None = None,
) -> list[records.Execution]:
    """Start every workflow that is on, listens to *event* and whose conditions hold.

    Args:
        engine: Where it happens.
        account: Whose event it is.
        event: Its name.
        data: The executions' data.
        user_key: Whose workflows; None is everybody's.
        wanted: Narrows the workflows further.

    Raises:
        engines.NotFoundError: There is no such user.
    """
    with engine.lock:
        user = None if user_key is None else engine.find_user(account, user_key)
        trigger = next((found for found in account.triggers if found.event == event), None)
        if trigger is not None:
            trigger.processed_count += 1
        return [
            engine.execute(account, workflow, dict(data))
            for workflow in account.workflows
            if workflow.on
            and workflow.published.event_trigger == event
            and user in (None, workflow.user)
            and (wanted is None or wanted(workflow))
            and _conditions_hold(workflow, data, account)
        ]


def catch_hook(
    engine: engines.Engine,
    hook_id: str,
    data: Mapping[str, Any],
    *,
    user_key: str = records.MAIN_USER,
) -> list[records.Execution]:
    """Map *data* by the schema of the hook's trigger and start what listens to it.

    Raises:
        engines.NotFoundError: No trigger has this hook.
    """
    with engine.lock:
        found = [
            (account, trigger)
            for account in engine.accounts.values()
            for trigger in account.triggers
            if trigger.hook_id == hook_id
        ]
        if not found:
            raise engines.NotFoundError(f"hook {hook_id}")
        account, trigger = found[0]
        if not trigger.on:
            return []
        mapped = _mapped(data, trigger.data_input_schema)
        return fire(engine, account, trigger.event, mapped, user_key=user_key)


def _conditions_hold(
    workflow: records.Workflow, data: Mapping[str, Any], account: records.Account
) -> bool:
    try:
        return conditions.hold(
            workflow.published.trigger_conditions.get("conditions"),
            workflow.published.match_conditions,
            [data, workflow.user.data, account.data],
        )
    except conditions.UnknownConditionError:
        return False


def _mapped(data: Mapping[str, Any], schema: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the values that a trigger's schema picks; all of *data* when it has none."""
    if not schema:
        return dict(data)
    return {
        str(entry.get("variable")): None if value is placeholders.MISSING else value
        for entry in schema
        for value in [placeholders.resolve(str(entry.get("data_path", "")), [data])]
    }
