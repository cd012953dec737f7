"""The shop's settings, found from wherever the tests run."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "example_project"))

from config.settings import *  # noqa: F403
