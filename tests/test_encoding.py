"""Encoding: execution data becomes plain JSON at once, or an error that says where it cannot."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections import OrderedDict
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import pytest
from django.utils.translation import gettext_lazy

from embedworkflow_django import encoding
from embedworkflow_django.exceptions import InvalidExecution, UnencodableData
from embedworkflow_django.models import Execution, Status
from tests.bakery.models import Cake

from .databases import EVERY_DATABASE

A_UUID = uuid.UUID("018f0000-0000-7000-8000-000000000000")


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


def nested(levels, innermost=0):
    """Return a dict in a dict in a dict: as many as there are levels."""
    data = innermost
    for _ in range(levels):
        data = {"a": data}
    return data


def refused(data):
    """Return the error that the data raises."""
    with pytest.raises(UnencodableData) as caught:
        encoding.encode(data)
    return caught.value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (1.5, 1.5),
        ("é 🎂 \\ud800 \\u0000", "é 🎂 \\ud800 \\u0000"),
        ([], []),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Status.QUEUED, "queued"),
        (Decimal("12.50"), "12.50"),
        (A_UUID, str(A_UUID)),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05Z"),
        (dt.time(3, 4, 5), "03:04:05"),
        (dt.timedelta(hours=1), "P0DT01H00M00S"),
        (gettext_lazy("queued"), "queued"),
    ],
    ids=repr,
)
def test_what_a_project_holds_becomes_json(value, encoded):
    """JSON's own values pass, and dates, times, Decimals, UUIDs and lazy strings become text."""
    assert {"value": encoded} == encoding.encode({"value": value})


def test_no_data_is_an_empty_dict():
    """A workflow may be executed without any data."""
    assert encoding.encode(None) == {}


@pytest.mark.parametrize("make", [MappingProxyType, OrderedDict])
def test_any_mapping_serves_as_data(make):
    """The data itself need not be a dict."""
    assert encoding.encode(make({"a": 1})) == {"a": 1}


def test_the_result_is_independent():
    """What is stored does not change with the caller's lists and dicts."""
    data = {"lines": [{"cake": 1}]}
    encoded = encoding.encode(data)
    data["lines"][0]["cake"] = 2
    data["lines"].append({})
    assert encoded == {"lines": [{"cake": 1}]}


@pytest.mark.parametrize("data", [[], [1], "text", 5, Cake(), {1}, object])
def test_data_that_is_no_mapping_is_refused(data):
    """The API takes an object; the message names the type that was given."""
    kind = type(data).__name__
    with pytest.raises(InvalidExecution, match=rf"should be a dict, not {kind}\."):
        encoding.encode(data)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"raw", "a bytes is no JSON"),
        ({1, 2}, "a set is no JSON; give a list"),
        ({}.values(), "a dict_values is no JSON; give a list"),
        ((n for n in "ab"), "a generator is no JSON; give a list"),
        (Cake.objects.values("pk"), "a QuerySet is no JSON; give a list"),
        (Cake(name="Sacher"), "a Cake is no JSON; give its id"),
        (object(), "a object is no JSON"),
        (1j, "a complex is no JSON"),
        (MappingProxyType({}), "a mappingproxy is no JSON"),
        (math.nan, "nan is no JSON number"),
        (-math.inf, "-inf is no JSON number"),
        (10**5000, "Exceeds the limit"),
        (dt.time(1, tzinfo=dt.UTC), "JSON can't represent timezone-aware times"),
        ("a\0b", "it has a character that cannot be stored"),
        ("\ud800", "it has a character that cannot be stored"),
        (gettext_lazy("a\0b"), "it has a character that cannot be stored"),
        ({"a\0": 1}, "its key has a character that cannot be stored"),
        ({("a", 1): 2}, "its key is no string"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_json_is_refused_by_its_path(value, why):
    """The message says where in the data the offender is, and why it cannot be sent."""
    error = refused({"order": {"lines": [0, (1, {"cake": value})]}})
    assert error.path.startswith("data['order']['lines'][1][1]['cake']")
    assert f"{error.path} cannot be sent: {why}" in str(error)


@pytest.mark.parametrize("key", [1, 1.5, True, None, A_UUID, gettext_lazy("queued")], ids=repr)
def test_keys_are_never_turned_into_strings(key):
    """JSON would write 1 and "1" as one key, and lose a value without a word."""
    assert refused({"prices": [{"1": "a", key: "b"}]}).path == f"data['prices'][0][{key!r}]"


def test_the_way_out_of_a_refused_key_is_taken_by_an_enumeration():
    """A key that is a kind of string is one."""
    assert encoding.encode({Status.QUEUED: 1}) == {"queued": 1}


@pytest.mark.parametrize("container", [[], {}], ids=["list", "dict"])
def test_what_contains_itself_is_refused(container):
    """A structure without an end is refused, and not followed for ever."""
    if isinstance(container, list):
        container.append(container)
    else:
        container["again"] = container
    error = refused({"a": container})
    assert error.path.startswith("data['a'][")
    assert "contains itself" in str(error)


@pytest.mark.parametrize("levels", [encoding.DEEPEST + 1, 100_000])
def test_what_is_nested_too_deeply_is_refused(levels):
    """Neither a database's limit nor Python's own is met later."""
    assert "nested too deeply" in str(refused(nested(levels)))


@pytest.mark.parametrize("innermost", [[], {}, (), Decimal(1)], ids=repr)
def test_the_deepest_level_may_hold_what_holds_nothing(innermost):
    """An empty list is as deep as a number; one that holds anything is deeper."""
    data = nested(encoding.DEEPEST, innermost)
    assert encoding.encode(data) == json.loads(json.dumps(data, default=str))
    assert "nested too deeply" in str(refused(nested(encoding.DEEPEST, [innermost])))


def test_many_lists_are_not_deep_ones():
    """Breadth is not taken for depth."""
    data = {"lines": [[n] for n in range(500)]}
    assert encoding.encode(data) == data


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_whatever_is_let_through_can_be_stored(alias):
    """The deepest data, and every character that is allowed, survive the way through a database."""
    data = encoding.encode(nested(encoding.DEEPEST, "é 🎂 \x01 \\ud800 \\u0000 ' \" %s \uffff"))
    execution = Execution.objects.using(alias).create(workflow="bake", execution_data=data)
    execution.refresh_from_db()
    assert execution.execution_data == data


def test_data_larger_than_the_cap_is_refused(settings):
    """The message gives size and limit, the setting's name and a way out; the cap itself passes."""
    data = {"text": "x" * 89}
    size = len(json.dumps(data))
    settings.EMBEDWORKFLOW = {"MAX_DATA_SIZE": size}
    assert encoding.encode(data) == data
    settings.EMBEDWORKFLOW = {"MAX_DATA_SIZE": size - 1}
    with pytest.raises(InvalidExecution) as caught:
        encoding.encode(data)
    assert f"{size} bytes of JSON; at most {size - 1} are allowed" in str(caught.value)
    assert 'EMBEDWORKFLOW["MAX_DATA_SIZE"]' in str(caught.value)
    assert "Send an id" in str(caught.value)


def test_five_megabytes_are_refused_by_default():
    """Without a setting the cap is one megabyte."""
    with pytest.raises(InvalidExecution, match="at most 1048576 are allowed"):
        encoding.encode({"text": "x" * 5_000_000})


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        (1e23, 10**23),
        ([{"a": -1e23}], [{"a": -(10**23)}]),
        (1.0, 1),
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}),
        (10**400, 10**400),
    ],
)
def test_what_comes_back_from_a_database_is_the_same(sent, returned):
    """A number is compared by its digits, an object without the order of its keys."""
    assert encoding.is_same(sent, returned)
    assert encoding.is_same(returned, sent)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1e23, 10**23 + 1),
        (2**53, 2**53 + 1),
        (2.0**53, 2**53 + 1),
        (True, 1),
        (0, False),
        (1, "1"),
        (None, 0),
        ([1, 2], [2, 1]),
        ([1, 2], [1, 3]),
        ([1], [1, 1]),
        ([1], 1),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"a": 1}, [1]),
        ({"a": 1}, ["a"]),
    ],
)
def test_what_reads_alike_is_not_the_same(one, other):
    """Another number, type, order or length is something else."""
    assert not encoding.is_same(one, other)
    assert not encoding.is_same(other, one)
