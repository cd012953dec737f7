"""Looks at each page: pictures for the documentation, and in all the ways that people look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from .scenes import SCENES
from .stage import Stage
from .walk import Walk
from .window import HEIGHT, Complaints, window

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TALLEST = 2400
LARGEST = 250_000
#: What has many rows that look alike.
CUT = {"cancel-all": 1000}
# Milliseconds for scripts to do what they do at first.
SETTLING = 300
LOOKS: dict[str, dict] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "360": {"width": 360},
    "2560": {"width": 2560},
    "forced": {"forced_colors": "active"},
    "rtl": {"locale": "ar"},
}
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


def scenes(
    browser: Browser,
    stage: Stage,
    look: str,
    only: list[str],
    see: Callable[[str, Page], Iterator[str]],
) -> Iterator[str]:
    """Yield what is wrong with the pages.

    Args:
        browser: Where to look.
        stage: The shop.
        look: One of ``LOOKS``.
        only: Which scenes; all if there is none.
        see: Takes a scene's name and page, and yields what is wrong with it.
    """
    complaints = Complaints()
    with window(browser, complaints, **LOOKS[look]) as page:
        walk = Walk(page, stage)
        walk.log_in()
        for name, show in SCENES.items():
            if only and name not in only:
                continue
            show(walk)
            page.wait_for_load_state("load")
            page.wait_for_timeout(SETTLING)
            yield from see(name, page)
            if beyond := page.evaluate(OVERFLOW):
                yield f"{name}, {look}: {beyond} px wider than the window"
            yield from (f"{name}, {look}: {each}" for each in complaints)
            complaints.clear()


def painter(folder: Path, look: str, tallest: int) -> Callable[[str, Page], Iterator[str]]:
    """Return what paints a page into a folder.

    Args:
        folder: The folder.
        look: What is added to the file's name; nothing for light.
        tallest: Pixels after which a picture ends.
    """

    def paint(name: str, page: Page) -> Iterator[str]:
        size = page.viewport_size
        height = page.evaluate("document.documentElement.scrollHeight")
        most = min(tallest, CUT.get(name, tallest))
        page.set_viewport_size({**size, "height": min(max(height, HEIGHT), most)})
        picture = folder / f"admin-{name}{'' if look == 'light' else f'-{look}'}.png"
        page.screenshot(path=picture)
        page.set_viewport_size(size)
        if folder == IMAGES and picture.stat().st_size > LARGEST:
            yield f"{picture.name} has more than {LARGEST} bytes"

    return paint
