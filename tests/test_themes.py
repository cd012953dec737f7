"""Under a theme of the admin, all our pages render, and their actions work."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("theme", ["unfold", "jazzmin"])
def test_the_pages_work_under_a_theme(theme):
    """Each page has the theme's looks and our parts; a program of its own, with its settings."""
    if importlib.util.find_spec(theme) is None:
        pytest.skip(f"{theme} is not installed")

    walked = subprocess.run(
        [sys.executable, "-m", "tests.themes", theme],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == walked.returncode, walked.stdout + walked.stderr
