"""Triggers that a test declares, and that are gone after it."""

from __future__ import annotations

from contextlib import contextmanager

from embedworkflow_django import triggers


@contextmanager
def declaring():
    """Let triggers be declared meanwhile; afterwards they hear nothing more, and are forgotten."""
    before = dict(triggers.registry)
    twins = len(triggers.duplicates)
    try:
        yield
    finally:
        made = [each for name, each in triggers.registry.items() if name not in before]
        made += triggers.duplicates[twins:]
        for each in made:
            each.disconnect()
        # What a test has entered under another name.
        triggers.registry.clear()
        triggers.registry.update(before)
