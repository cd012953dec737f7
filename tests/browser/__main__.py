"""``python -m tests.browser``: walk through the shop; exit code 1 names the step that failed."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Error

from . import walk
from .stage import Stage, shop
from .window import Complaints, chromium, window

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    add = parser.add_argument
    add("--chromium", default=found, metavar="PATH", help="Default: %(default)s")
    add("--settings", default="tests.browser.settings", help="Default: %(default)s")
    add("--failed", type=Path, metavar="FOLDER", help="where a screenshot of a failed step goes")
    options = parser.parse_args()
    if not options.chromium:
        parser.error("there is no Chromium on the PATH; say --chromium PATH")
    return options


def walk_through(browser: Browser, stage: Stage, failed: Path | None) -> bool:
    """Take all steps; return whether each saw what it had to see."""
    complaints = Complaints()
    with window(browser, complaints) as page:
        walker = walk.Walk(page, stage)
        for step in walk.STEPS:
            began = time.monotonic()
            try:
                step(walker)
                assert not complaints, "; ".join(complaints)
            except (AssertionError, Error) as error:
                folder = failed or Path(tempfile.mkdtemp(prefix="browser-"))
                picture = folder / f"{step.__name__}.png"
                page.screenshot(path=picture, full_page=True)
                print(f"FAILED  {step.__name__}: {step.__doc__}\n{error}\n{picture}")
                return False
            print(f"{time.monotonic() - began:6.1f} s  {step.__doc__}", flush=True)
    return True


def main() -> int:
    """Open the shop and a browser, and do what was asked for."""
    options = arguments()
    with shop(options.settings) as stage, chromium(options.chromium) as browser:
        return 0 if walk_through(browser, stage, options.failed) else 1


if __name__ == "__main__":
    sys.exit(main())
