"""The sandbox in place of the hosted API, with the workflows of ``workflows.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import transaction

from embedworkflow_django import services
from embedworkflow_django.models import Execution
from embedworkflow_django.sandbox import Email, Sandbox

WORKFLOWS = "workflows.json"
SECONDS_PER_HOUR = 3_600
# An execution takes seconds here, so it is asked after more often than one that takes days.
POLL = (0.25, 1.0, SECONDS_PER_HOUR)


def build(
    *, hours_per_second: float, webhook_url: str, deliver: Callable[[Email], object]
) -> Sandbox:
    """Return a sandbox that has the shop's workflows, not yet serving.

    Args:
        hours_per_second: How much of a workflow's time passes in a second.
        webhook_url: What the workflow order-fulfilment calls.
        deliver: Called with every e-mail that a workflow sends.
    """
    sandbox = Sandbox(
        time_scale=hours_per_second * SECONDS_PER_HOUR, webhook_url=webhook_url, deliver=deliver
    )
    sandbox.account.data["webhook_token"] = settings.SHOP_WEBHOOK_TOKEN
    for workflow in json.loads((settings.BASE_DIR / WORKFLOWS).read_text(encoding="utf-8")):
        sandbox.add_workflow(**workflow)
    return sandbox


def add_faults(sandbox: Sandbox, specs: Sequence[str]) -> None:
    """Let calls go wrong, as the sandbox's own option ``--fault`` does.

    Raises:
        ValueError: A fault makes no sense.
    """
    for spec in specs:
        sandbox.faults.add_spec(spec)


def settings_for(sandbox: Sandbox, shop_url: str) -> dict[str, object]:
    """Return the part of ``EMBEDWORKFLOW`` that makes the shop and a sandbox talk to each other.

    Args:
        sandbox: The shop calls it.
        shop_url: Where the shop is served; the workflow review-request calls back.
    """
    return {
        "SECRET_KEY": sandbox.secret_key,
        "BASE_URL": sandbox.base_url,
        "CALLBACK_URL": f"{shop_url}/callbacks/",
        "POLL": settings.EMBEDWORKFLOW.get("POLL", POLL),
    }


@transaction.atomic
def run_forgotten_again() -> None:
    """Run again what was under way when an earlier demo ended: its sandbox is gone."""
    for execution in Execution.objects.active():
        services.run_again(execution)
        execution.delete()
