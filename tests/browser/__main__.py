"""``python -m tests.browser``: walk through the shop; exit code 1 names the step that failed."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Error

from . import axe, gallery, walk
from .population import populate
from .scenes import SCENES, SHOWN
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
    add("--screenshots", action="store_true", help="paint the documentation's images anew instead")
    add("--axe", action="store_true", help="judge every page by axe-core instead; needs npm")
    add("--look", type=Path, metavar="FOLDER", help="paint every page in every way instead")
    add("--only", nargs="+", default=[], choices=SCENES, help="which pages are painted or judged")
    add("--as", nargs="+", default=[], dest="looks", choices=gallery.LOOKS, help="in which ways")
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


def look_around(browser: Browser, stage: Stage, options: argparse.Namespace) -> bool:
    """Paint or judge the pages; return whether all is well."""
    populate(stage)
    faults = []
    for look, see in _eyes(options):
        only = options.only or (list(SHOWN) if options.screenshots else [])
        for fault in gallery.scenes(browser, stage, look, only, see):
            faults.append(fault)
            print(fault, flush=True)
    print(f"{len(faults)} faults")
    return not faults


def _eyes(options: argparse.Namespace) -> Iterator[tuple[str, Callable]]:
    both = options.looks or ["light", "dark"]
    if options.screenshots:
        yield from ((look, gallery.painter(gallery.IMAGES, look, gallery.TALLEST)) for look in both)
    if options.axe:
        source = axe.fetched()
        yield from ((look, axe.judge(source, look)) for look in both)
    if options.look:
        options.look.mkdir(exist_ok=True)
        every = options.looks or list(gallery.LOOKS)
        yield from ((look, gallery.painter(options.look, look, 4000)) for look in every)


def main() -> int:
    """Open the shop and a browser, and do what was asked for."""
    options = arguments()
    with shop(options.settings) as stage, chromium(options.chromium) as browser:
        if options.screenshots or options.axe or options.look:
            is_well = look_around(browser, stage, options)
        else:
            is_well = walk_through(browser, stage, options.failed)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
