"""What every test has: the databases that must answer, and where they are named."""

from __future__ import annotations

import pytest

from . import databases


def pytest_configure(config):
    """Refuse to start without a database that must answer, rather than fail once per test."""
    if sentences := databases.missing():
        raise pytest.UsageError("\n".join(sentences))


def pytest_report_header(config):
    """Say at the top which databases take part."""
    return [
        f"{kind}: {databases.silence(kind) or f'takes part as {databases.alias_of(kind)!r}'}"
        for kind in databases.KINDS
    ]
