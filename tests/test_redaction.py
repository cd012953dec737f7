"""Redaction: what may not be shown is replaced, wherever it stands; the rest is left as it is."""

from __future__ import annotations

import pytest

from embedworkflow_django.exceptions import InvalidExecution
from embedworkflow_django.redaction import REDACTED, redact, restore


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


@pytest.mark.parametrize("name", ["X-Api-Key", "api-key", "x_Api-key"])
def test_a_hyphen_is_as_good_as_an_underscore(name, settings):
    """Headers have names with hyphens, and patterns may be written so, too."""
    assert redact({name: 1}) == {name: REDACTED}
    settings.EMBEDWORKFLOW = {"REDACT": ["API-KEY"]}
    assert redact({name: 1, "api_key": 2}) == {name: REDACTED, "api_key": REDACTED}


def test_headers_and_parameters_in_lines_are_searched():
    """A webhook's node carries them so; those that are no secret are left alone, and other text."""
    text = "X-Shop: north\r\nAuthorization: Bearer a:b\n\nX-API-Key:c\nno line: token"
    seen = f"X-Shop: north\r\nAuthorization: {REDACTED}\n\nX-API-Key: {REDACTED}\nno line: token"

    assert redact({"headers": text, "params": text, "body": text, "more": [{"headers": text}]}) == {
        "headers": seen,
        "params": seen,
        "body": text,
        "more": [{"headers": seen}],
    }
    assert redact({"headers": {"Authorization": 1, "a": 2}}) == {
        "headers": {"Authorization": REDACTED, "a": 2}
    }


def test_hidden_lines_come_back_as_they_were():
    """Unless somebody has changed them, for then nobody can tell which is which."""
    data = {"nodes": [{"headers": "token: a"}, {"headers": "token: b"}], "params": "token: c\nn: 1"}
    copy = redact(data)

    assert restore(copy, data) == data
    assert restore(copy | {"params": "token: d\nn: 2"}, data)["params"] == "token: d\nn: 2"
    for changed in (
        copy | {"params": f"{copy['params']}2"},
        copy | {"other": copy["params"]},
        copy | {"nodes": copy["nodes"][:1]},
    ):
        with pytest.raises(InvalidExecution, match="entries were added, removed or moved"):
            restore(changed, data)


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


SHOPS = {
    "shops": [
        {"name": "north", "token": "n-1", "open": True},
        {"name": "south", "token": "s-1", "open": True},
        {"name": "west"},
    ]
}


def edited(change):
    """Return what has become of a copy of the shops that hides their tokens."""
    copy = redact(SHOPS)
    change(copy["shops"])
    return copy


def test_what_was_hidden_comes_back_where_it_was():
    """In each entry, also one that was edited otherwise, and where none was left as it was."""
    assert SHOPS == restore(redact(SHOPS), SHOPS)
    back = restore(edited(lambda shops: shops[1].update(name="east", open=False)), SHOPS)
    assert {"name": "east", "token": "s-1", "open": False} == back["shops"][1]


@pytest.mark.parametrize(
    "change",
    [
        lambda shops: shops.pop(0),
        lambda shops: shops.append({"name": "east"}),
        lambda shops: shops.insert(0, {"name": "east", "token": "e-1"}),
        lambda shops: shops.reverse(),
        lambda shops: shops.__setitem__(0, shops[1]),
    ],
    ids=["removed", "appended", "inserted", "moved", "copied"],
)
def test_a_list_that_was_rearranged_gives_nothing_back(change):
    """Nobody can tell whose each hidden value is; the error says where and what to do."""
    with pytest.raises(InvalidExecution) as refused:
        restore(edited(change), SHOPS)

    assert str(refused.value).startswith("data['shops']: entries were added, removed or moved")
    assert "Keep their number and order, or type the values" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda shops: shops.clear(),
        lambda shops: shops.__setitem__(slice(None), [{"name": "east", "token": "e-1"}]),
        lambda shops: [shop.update(token="new") for shop in shops[::-1]] and shops.pop(),
        lambda shops: shops.__setitem__(2, {"name": "east"}),
    ],
    ids=["emptied", "replaced", "typed out", "edited"],
)
def test_a_list_in_which_nothing_is_ambiguous_is_taken_as_it_is(change):
    """Without hidden values to give back, or with each entry in its place, all may change."""
    typed = edited(change)

    assert [shop.get("name") for shop in typed["shops"]] == [
        shop.get("name") for shop in restore(typed, SHOPS)["shops"]
    ]
    assert REDACTED not in str(restore(typed, SHOPS))


def test_parts_of_what_was_hidden_as_a_whole_are_nobodys():
    """Nobody who saw it as one can say which of it he means; the whole comes back."""
    data = {"tokens": ["a", "b"]}
    with pytest.raises(InvalidExecution, match=r"data\['tokens'\]: entries were added"):
        restore({"tokens": [REDACTED, REDACTED]}, data)
    assert data == restore({"tokens": REDACTED}, data)
    assert {"tokens": ["c"]} == restore({"tokens": ["c"]}, data)


@pytest.mark.parametrize("part", ["a", "b"])
@pytest.mark.parametrize("typed", [REDACTED, [REDACTED], {"c": REDACTED}])
def test_whether_what_was_hidden_has_a_part_is_not_told(part, typed):
    """Whoever did not see it cannot find out by guessing."""
    data = {"token": {"a": ["x"]}}
    with pytest.raises(InvalidExecution, match="there was none in this place"):
        restore({"token": {part: typed}}, data)


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ({"pin": REDACTED}, "data['pin']"),
        ({"shops": {"a": REDACTED}}, "data['shops']['a']"),
        ({"new": [{"b": [REDACTED]}]}, "data['new'][0]['b'][0]"),
        ({"tags": ["a", REDACTED]}, "data['tags'][1]"),
    ],
)
def test_a_hidden_value_in_a_new_place_is_refused(typed, path):
    """The error names the place."""
    with pytest.raises(InvalidExecution) as refused:
        restore(typed, {**SHOPS, "tags": ["a"]})

    assert str(refused.value).startswith(f"{path}: ")
    assert "stands for a hidden value" in str(refused.value)
