"""Redaction: what may not be shown is replaced, wherever it stands; the rest is left as it is."""

from __future__ import annotations

import pytest

from embedworkflow_django.redaction import REDACTED, redact


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "password", "", [], {}])
def test_what_has_no_secret_key_is_left_alone(value):
    """Values are judged by the names of their keys, never by what they are."""
    assert redact(value) == value


def test_the_names_are_matched_in_part_and_in_any_case():
    """Every name that has a pattern in it hides its value, of whatever type."""
    data = {
        "password": "geheim",
        "userPassword2": 5,
        "API_KEY": None,
        "Authorization": {"scheme": "Bearer"},
        "tokens": ["a", "b"],
        "order": 7,
    }
    assert redact(data) == {**dict.fromkeys(list(data)[:-1], REDACTED), "order": 7}


def test_every_depth_is_searched():
    """Secrets in lists and dicts inside each other are found."""
    data = {"customer": [{"name": "Jane", "card": {"secret": 1, "ends": "42"}}, [{"token": 2}]]}
    assert redact(data) == {
        "customer": [
            {"name": "Jane", "card": {"secret": REDACTED, "ends": "42"}},
            [{"token": REDACTED}],
        ]
    }


def test_the_original_is_not_changed():
    """A copy is returned: what is sent keeps its secrets."""
    data = {"a": [{"token": 1}]}
    redact(data)
    assert data == {"a": [{"token": 1}]}


def test_the_patterns_are_a_setting(settings):
    """``REDACT`` replaces the patterns, read live and in any case."""
    settings.EMBEDWORKFLOW = {"REDACT": ["IBAN"]}
    assert redact({"iban": 1, "password": 2}) == {"iban": REDACTED, "password": 2}
    settings.EMBEDWORKFLOW = {"REDACT": []}
    assert redact({"iban": 1, "password": 2}) == {"iban": 1, "password": 2}
