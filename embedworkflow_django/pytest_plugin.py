"""The pytest plugin: `testing` as fixtures; it imports nothing until one of them is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .sandbox import Sandbox
    from .testing import Captured


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Have a sandbox answer every account, in process: ``testing.sandbox()``."""
    from . import testing  # noqa: PLC0415 - loading the plugin shall cost nothing

    with testing.sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def executions(db: None) -> Iterator[Captured]:  # noqa: ARG001 - the test's database access
    """Collect the executions that the test queues: ``testing.captured()``."""
    from . import testing  # noqa: PLC0415 - loading the plugin shall cost nothing

    with testing.captured() as executions:
        yield executions
