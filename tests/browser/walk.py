"""The walk: an operator's day, step by step, each of which says what has to be seen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from .population import BACKLOG, NEWSLETTER, pile_up
from .stage import Stage

LIST = "/admin/embedworkflow/execution/"
FULFILMENT = "order-fulfilment"


@dataclass
class Walk:
    """One browser's window, and what it remembers from step to step."""

    page: Page
    stage: Stage
    order: int = 0

    def go(self, path: str) -> None:
        """Open a page of the website."""
        self.page.goto(self.stage.url + path)

    def log_in(self) -> None:
        """Log in to the admin."""
        self.go(LIST)
        self.page.locator("[name=username]").fill(self.stage.user)
        self.page.locator("[name=password]").fill(self.stage.password)
        self.page.keyboard.press("Enter")
        expect(self.page.locator(".ewf-views")).to_be_visible()

    def row(self, text: str) -> Locator:
        """Return the list's rows that hold a text."""
        return self.page.locator("#result_list tbody tr").filter(has_text=text)

    def press(self, name: str) -> None:
        """Press the one button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def status(self) -> Locator:
        """Return the status that an execution's page shows."""
        return self.page.locator(".ewf-state .ewf-badge")

    def open_newest(self, status: str) -> None:
        """Open the page of the newest execution of a status."""
        row = self.row(FULFILMENT).filter(has=self.page.locator(f".ewf-{status}")).first
        row.get_by_role("link", name=FULFILMENT).click()
        expect(self.page.locator(".ewf-execution")).to_be_visible()

    def choose(self, verb: str, *, across: bool = False) -> None:
        """Tick the list's rows, or all that match, and do something to them."""
        self.page.locator("#action-toggle").check()
        if across:
            self.page.locator(".actions .question a").first.click()
        self.page.locator("select[name=action]").first.select_option(verb)
        self.page.locator(".actions button[name=index]").first.click()
        expect(self.page.locator(".ewf-confirmation")).to_be_visible()

    def remote_id(self) -> str:
        """Return under which id the API has the fulfilment of the latest order."""
        found = self.stage.sandbox.executions
        return next(e.id for e in found if e.execution_data.get("order_id") == self.order)

    def order_tea(self) -> None:
        """Order a cup's worth as a customer."""
        self.go("/")
        self.page.get_by_label("Name").fill("Ada Lovelace")
        self.page.get_by_label(re.compile("E-?mail")).fill("ada@example.org")
        self.page.locator(".card input").first.fill("2")
        self.press("Place an order")
        heading = self.page.get_by_text("This is your order")
        expect(heading).to_be_visible()
        self.order = int(re.search(r"order (\d+)", heading.inner_text())[1])


def log_in(walk: Walk) -> None:
    """Log in to the admin, and find an empty list."""
    walk.log_in()
    expect(walk.page.get_by_role("navigation", name="Quick views")).to_be_visible()
    expect(walk.row(FULFILMENT)).to_have_count(0)


def place_an_order(walk: Walk) -> None:
    """Place an order as a customer, and see its workflow at work on the order's page."""
    walk.order_tea()
    expect(walk.page.locator(".executions li")).to_have_count(1)


def watch_the_list(walk: Walk) -> None:
    """See the order's row run and complete, on a list that is never loaded again."""
    walk.go(LIST)
    walk.page.evaluate("window.isSame = true")
    row = walk.row(FULFILMENT).first
    expect(row).to_contain_text("running")
    before = row.locator(".field-progress_bar").inner_text()
    expect(row).to_contain_text("completed")
    assert row.locator(".field-progress_bar").inner_text() != before, "the counters stood still"
    assert walk.page.evaluate("window.isSame"), "the list was loaded again"


def see_nodes_turn(walk: Walk) -> None:
    """Open a running execution, and see its nodes turn, on a page that is never loaded again."""
    walk.order_tea()
    walk.go(LIST)
    walk.open_newest("running")
    walk.page.evaluate("window.isSame = true")
    waiting = walk.page.locator(".ewf-nodes tr").filter(has_text="Announce the parcel")
    before = waiting.locator("td").first.inner_text()
    expect(walk.status()).to_have_text("completed")
    expect(waiting.locator("td").first).to_contain_text("completed")
    assert before != waiting.locator("td").first.inner_text(), "the node's row stood still"
    expect(walk.page.locator(".ewf-timeline")).to_contain_text("Announce the parcel")
    assert walk.page.evaluate("window.isSame"), "the page was loaded again"


def lose_an_answer(walk: Walk) -> None:
    """Let the API do the work and lose its answer: a person has to decide, and is told so."""
    walk.stage.sandbox.faults.add("lost", path="/workflows/*/execute", method="POST")
    walk.order_tea()
    walk.go(LIST)
    expect(walk.row(f"order {walk.order}").first).to_contain_text("unconfirmed")
    walk.go(f"{LIST}?view=unconfirmed")
    expect(walk.row(FULFILMENT)).to_have_count(1)
    walk.open_newest("unconfirmed")
    expect(walk.page.get_by_role("button", name="Resolve…")).to_be_visible()


def resolve_it(walk: Walk) -> None:
    """Resolve it with the id under which the API has it; it goes on as if nothing had been."""
    walk.press("Resolve…")
    walk.page.get_by_label(re.compile("It did happen")).check()
    walk.press("Resolve it")
    expect(walk.page.get_by_text("Give the remote id")).to_be_visible()
    walk.page.get_by_role("textbox", name="Remote id").fill(walk.remote_id())
    walk.press("Resolve it")
    expect(walk.status()).to_have_text("completed")
    expect(walk.page.locator(".ewf-timeline")).to_contain_text(walk.stage.user)


def stop_one(walk: Walk) -> None:
    """Stop a running execution."""
    walk.stage.pace(0.5)
    walk.order_tea()
    walk.go(LIST)
    walk.open_newest("running")
    walk.press("Stop…")
    expect(walk.page.get_by_text("Stop 1 execution?").first).to_be_visible()
    walk.press("Yes, I’m sure")
    expect(walk.status()).to_have_text(re.compile("stopped|canceled"))
    walk.stage.pace(4)


def run_again_edited(walk: Walk) -> None:
    """Run what was stopped again, with data that was edited: a second run of one chain."""
    walk.press("Run again…")
    walk.page.get_by_text("Edit the data").click()
    field = walk.page.locator("textarea")
    field.fill(json.dumps({**json.loads(field.input_value()), "name": "Lady Lovelace"}))
    walk.press("Yes, I’m sure")
    expect(walk.page.locator("#ewf-data")).to_contain_text("Lady Lovelace")
    expect(walk.page.locator(".ewf-runs").first.locator("li")).to_have_count(2)
    expect(walk.status()).to_have_text("completed")


def watch_the_overview(walk: Walk) -> None:
    """See a number of the overview grow, on a page that is never loaded again."""
    walk.go(LIST)
    walk.page.get_by_role("link", name="Overview").click()
    tile = walk.page.locator(".ewf-tile").filter(has_text="Queued")
    expect(tile.locator("b")).to_have_text("0")
    walk.page.evaluate("window.isSame = true")
    pile_up(walk.stage)
    expect(tile.locator("b")).to_have_text(str(BACKLOG))
    assert walk.page.evaluate("window.isSame"), "the overview was loaded again"
    tile.get_by_role("link").click()
    expect(walk.page.locator(".paginator")).to_contain_text(f"{BACKLOG} executions")


def ask_about_a_workflow(walk: Walk) -> None:
    """Have the API say on the trigger map that a workflow exists and is on."""
    walk.page.get_by_role("link", name="Trigger map").click()
    trigger = walk.page.get_by_role("region", name=f"starts {FULFILMENT}")
    expect(trigger).to_contain_text("shop.workflows:")
    trigger.get_by_role("button").click()
    expect(walk.page.locator(".messagelist")).to_contain_text("exists and is on")


def cancel_all_that_match(walk: Walk) -> None:
    """Cancel all that match, more than a request does, by a job that says how far it is."""
    walk.go(f"{LIST}?workflow={NEWSLETTER}&status=queued")
    walk.choose("cancel", across=True)
    frozen = walk.page.locator("#ewf-frozen")
    expect(frozen).to_contain_text(f"All {BACKLOG} executions")
    walk.press("Yes, I’m sure")
    job = walk.page.locator("#content")
    expect(job).to_contain_text(NEWSLETTER)
    walk.page.evaluate("window.isSame = true")
    expect(job).to_contain_text(f"{BACKLOG} done")
    expect(walk.page.locator("progress")).to_have_attribute("value", str(BACKLOG))
    assert walk.page.evaluate("window.isSame"), "the job's page was loaded again"
    walk.go(f"{LIST}?workflow={NEWSLETTER}&status=canceled")
    expect(walk.page.locator(".paginator")).to_contain_text(f"{BACKLOG} executions")


def run_from_the_order(walk: Walk) -> None:
    """Run a workflow from the order's own page, with data that was edited there."""
    walk.go(f"/admin/shop/order/{walk.order}/change/")
    walk.page.get_by_role("link", name="Run workflow…").click()
    field = walk.page.locator(".ewf-data textarea")
    field.fill(json.dumps({**json.loads(field.input_value()), "name": "Countess Lovelace"}))
    walk.press("Run it")
    expect(walk.status()).to_have_text("completed")
    expect(walk.page.locator("#ewf-data")).to_contain_text("Countess Lovelace")


def walk_by_keyboard(walk: Walk) -> None:
    """Refresh an execution with Tab and Enter alone, and see where the focus is all the way."""
    walk.go(LIST)
    tab_to(walk.page, walk.row(FULFILMENT).first.get_by_role("link", name=FULFILMENT))
    walk.page.keyboard.press("Enter")
    expect(walk.page.locator(".ewf-execution")).to_be_visible()
    tab_to(walk.page, walk.page.get_by_role("button", name="Refresh…"))
    walk.page.keyboard.press("Enter")
    expect(walk.page.locator(".ewf-confirmation")).to_be_visible()
    tab_to(walk.page, walk.page.get_by_role("button", name="Yes, I’m sure"))
    walk.page.keyboard.press("Enter")
    expect(walk.page.locator(".messagelist")).to_contain_text("1 execution is due now")


def run_by_keyboard(walk: Walk) -> None:
    """Run a workflow from the order's own page with Tab and Enter alone."""
    walk.go(f"/admin/shop/order/{walk.order}/change/")
    before = walk.page.locator(".ewf-host-executions tbody tr").count()
    tab_to(walk.page, walk.page.get_by_role("link", name="Run workflow…"))
    walk.page.keyboard.press("Enter")
    expect(walk.page.locator(".ewf-run")).to_be_visible()
    tab_to(walk.page, walk.page.get_by_role("button", name="Run it"))
    walk.page.keyboard.press("Enter")
    expect(walk.page.locator(".ewf-execution")).to_be_visible()
    walk.go(f"/admin/shop/order/{walk.order}/change/")
    expect(walk.page.locator(".ewf-host-executions tbody tr")).to_have_count(before + 1)


MOST_TABS = 80
SHOWN = "(element) => element.getBoundingClientRect().width > 1"
LOOK = """
(element) => {
    const style = getComputedStyle(element);
    return ["outlineStyle", "outlineColor", "color", "backgroundColor", "borderColor", "boxShadow",
        "textDecorationLine"].map((name) => style[name]).join();
}
"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until an element has the focus; each one on the way shows that it has it."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate_handle("document.activeElement").as_element()
        if focused.evaluate(SHOWN):
            with_focus = focused.evaluate(LOOK)
            focused.evaluate("(element) => element.blur()")
            without = focused.evaluate(LOOK)
            focused.evaluate("(element) => element.focus({ focusVisible: true })")
            html = focused.evaluate("(element) => element.outerHTML.slice(0, 90)")
            assert with_focus != without, f"no visible focus: {html}"
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{MOST_TABS} times Tab do not lead to {target}")


STEPS: tuple[Callable[[Walk], None], ...] = (
    log_in,
    place_an_order,
    watch_the_list,
    see_nodes_turn,
    lose_an_answer,
    resolve_it,
    stop_one,
    run_again_edited,
    watch_the_overview,
    ask_about_a_workflow,
    cancel_all_that_match,
    run_from_the_order,
    walk_by_keyboard,
    run_by_keyboard,
)
