"""The pages of the admin, each with a way to get there."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from .population import NEWSLETTER, lend_a_hand
from .walk import FULFILMENT, LIST, Walk


def executions(walk: Walk) -> None:
    """Show the list."""
    walk.go(LIST)


def attention(walk: Walk) -> None:
    """Show what needs attention."""
    walk.go(f"{LIST}?view=attention")


def overview(walk: Walk) -> None:
    """Show what an operator asks first."""
    lend_a_hand(walk.stage)
    walk.go(f"{LIST}overview/")
    expect(walk.page.locator(".ewf-tiles")).to_be_visible()


def trigger_map(walk: Walk) -> None:
    """Show the triggers, one of whose workflows the API was asked about."""
    walk.go(f"{LIST}triggers/")
    walk.page.locator("button[form=ewf-probe]").first.click()
    expect(walk.page.locator(".ewf-map")).to_be_visible()


def index(walk: Walk) -> None:
    """Show the app's own page in the admin."""
    walk.go("/admin/embedworkflow/")


def _of(status: str) -> Callable[[Walk], None]:
    def show(walk: Walk) -> None:
        walk.go(f"{LIST}?status={status}")
        walk.open_newest(status)

    return show


def run_again(walk: Walk) -> None:
    """Show what is asked before an execution is run again."""
    _of("failed")(walk)
    walk.page.locator("#ewf-verb-run_again").click()


def resolve(walk: Walk) -> None:
    """Show what is asked of whoever resolves an execution."""
    _of("unconfirmed")(walk)
    walk.page.locator("#ewf-verb-resolve").click()


def stop_several(walk: Walk) -> None:
    """Show what is asked before several are stopped."""
    walk.go(f"{LIST}?view=in_flight")
    walk.choose("stop")


def cancel_all(walk: Walk) -> None:
    """Show what is asked before all that match are canceled."""
    walk.go(f"{LIST}?workflow={NEWSLETTER}")
    walk.choose("cancel", across=True)


def job(walk: Walk) -> None:
    """Show a job."""
    cancel_all(walk)
    walk.page.locator(".ewf-confirm button[type=submit]").click()
    expect(walk.page.locator("progress")).to_be_visible()


def jobs(walk: Walk) -> None:
    """Show the jobs."""
    walk.go("/admin/embedworkflow/job/")


def _job(status: str) -> Callable[[Walk], None]:
    def show(walk: Walk) -> None:
        jobs(walk)
        walk.page.locator(f"#result_list tr:has(.ewf-{status}) th a").last.click()
        expect(walk.page.locator(".ewf-job")).to_be_visible()

    return show


def cancel_job(walk: Walk) -> None:
    """Show what is asked before a job is canceled."""
    _job("running")(walk)
    walk.page.locator("#ewf-verb-cancel").click()
    expect(walk.page.locator(".ewf-confirmation")).to_be_visible()


def refresh(walk: Walk) -> None:
    """Show what is asked before an execution is refreshed."""
    _of("running")(walk)
    walk.page.locator("#ewf-verb-refresh").click()
    expect(walk.page.locator(".ewf-confirmation")).to_be_visible()


def refresh_several(walk: Walk) -> None:
    """Show what is asked before several are refreshed."""
    walk.go(f"{LIST}?view=attention")
    walk.choose("refresh")


def history(walk: Walk) -> None:
    """Show who did what."""
    _of("failed")(walk)
    walk.page.locator("#ewf-history").click()


def order(walk: Walk) -> None:
    """Show an order with its executions."""
    walk.go(f"{LIST}?status=failed")
    row = walk.row(FULFILMENT).first
    row.locator(".field-source_link a").click()
    expect(walk.page.locator(".ewf-host")).to_be_visible()


def run_workflow(walk: Walk) -> None:
    """Show what is asked before a workflow is run for an order."""
    order(walk)
    walk.page.locator(".ewf-host a.button").click()
    expect(walk.page.locator(".ewf-run")).to_be_visible()


SCENES: dict[str, Callable[[Walk], None]] = {
    "list": executions,
    "attention": attention,
    "index": index,
    "overview": overview,
    "triggers": trigger_map,
    "execution": _of("failed"),
    "running": _of("running"),
    "completed": _of("completed"),
    "queued": _of("queued"),
    "undeliverable": _of("undeliverable"),
    "run-again": run_again,
    "resolve": resolve,
    "stop": stop_several,
    "cancel-all": cancel_all,
    "history": history,
    "order": order,
    "run-workflow": run_workflow,
    "refresh": refresh,
    "refresh-several": refresh_several,
    "jobs": jobs,
    "job": _job("running"),
    "job-cancel": cancel_job,
    "job-done": _job("completed"),
    "job-canceled": _job("canceled"),
    "job-failed": _job("failed"),
    "job-new": job,
}
#: What the documentation shows.
SHOWN = ("list", "execution", "overview", "triggers", "cancel-all", "job", "order", "run-workflow")
