"""What the viewer's language changes: numbers, and the words of the catalogues."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import translation

from embedworkflow_django.admin import presentation, quick


@pytest.mark.parametrize(
    ("language", "number", "seconds"),
    [("en", "10,000", "1.5"), ("de", "10.000", "1,5")],
)
def test_numbers_are_written_as_the_language_writes_them(language, number, seconds):
    """A comma is no decimal point everywhere, nor a point: 10,000 may be ten."""
    with translation.override(language):
        assert quick.capped(10_000, 10_000) == number
        assert quick.capped(10_001, 10_000).startswith(number)
        assert presentation.words(timedelta(seconds=1.52)).startswith(f"{seconds} ")
