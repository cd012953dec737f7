"""The browser: its windows, and what it complains about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1280, 800
# Milliseconds that something may take to be seen, on a machine that has other things to do.
PATIENCE = 60_000
SERVER_ERROR = 500
VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
    `Content-Security-Policy: ${event.violatedDirective} blocks ${event.blockedURI}`
    + ` (${event.sourceFile}:${event.lineNumber} ${event.sample})`));
"""


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Open a browser without a screen.

    Args:
        path: The program.
    """
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Complaints(list[str]):
    """Console errors, uncaught exceptions, violations of the policy and answers of 500."""

    def listen(self, page: Page) -> None:
        """Note what a page complains about from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        # The admin has no icon, and the browser asks for one by itself.
        if message.type in {"error", "warning"} and not url.endswith("/favicon.ico"):
            self.append(f"{url}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= SERVER_ERROR:
            self.append(f"{response.url}: {response.status}")


@contextmanager
def window(
    browser: Browser, complaints: Complaints, *, width: int = WIDTH, **options: Any
) -> Iterator[Page]:
    """Open a window with cookies of its own.

    Args:
        browser: Where.
        complaints: Where to note what it complains about.
        width: In CSS pixels.
        options: What else Playwright's context takes, such as ``color_scheme``.
    """
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce", **options
    )
    context.set_default_timeout(PATIENCE)
    context.add_init_script(VIOLATIONS)
    page = context.new_page()
    complaints.listen(page)
    try:
        yield page
    finally:
        context.close()
