"""Judges pages by axe-core, which is fetched from npm when it is needed, and never kept."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Page

PACKAGE = "axe-core@4"
GRAVE = {"serious", "critical"}
# Of a page of the host's own, what is ours; Django's search box is labelled by a picture.
SCOPE = """
(() => {
    const ours = document.querySelectorAll(".ewf-host, .ewf-host-latest");
    return { include: ours.length ? [...ours] : [document], exclude: [["#searchbar"]] };
})()
"""


def fetched() -> str:
    """Return axe-core's source, by way of ``npm pack``."""
    with tempfile.TemporaryDirectory() as folder:
        npm = ["npm", "pack", "--silent", PACKAGE]
        packed = subprocess.run(npm, cwd=folder, check=True, capture_output=True, text=True)
        with tarfile.open(Path(folder) / packed.stdout.strip()) as archive:
            return archive.extractfile("package/axe.min.js").read().decode()


def judge(source: str, look: str, grave_only: bool = True) -> Callable[[str, Page], Iterator[str]]:
    """Return what judges a page.

    Args:
        source: axe-core's.
        look: How the page is looked at.
        grave_only: Whether what is less than serious is passed over.
    """

    def see(name: str, page: Page) -> Iterator[str]:
        page.evaluate(source)
        # With colours of the viewer's own, axe compares those that are not painted.
        asks = json.dumps({"rules": {"color-contrast": {"enabled": look != "forced"}}})
        found = page.evaluate(f"axe.run({SCOPE}, {asks})")["violations"]
        for violation in found:
            if grave_only and violation["impact"] not in GRAVE:
                continue
            for node in violation["nodes"]:
                what = f"{violation['impact']} {violation['id']}: {violation['help']}"
                yield f"{name}, {look}: {what}: {node['html'][:160]} ({node['target']})"

    return see
