"""Decides whether a workflow's conditions hold for the data of a run.

Only the type `equal` with `field` and `value`, and matching by `all` or `any`, have been seen; the
other types are assumed from their plain meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import placeholders


class UnknownConditionError(ValueError):
    """A condition has a type that the sandbox does not know."""


def hold(conditions: object, match: object, sources: list[Mapping[str, Any]]) -> bool:
    """Tell whether *conditions* hold.

    Args:
        conditions: List of mappings with `type`, `field` and `value`; none at all hold.
        match: `any` when one of them is enough; otherwise all must hold.
        sources: Data, the strongest source first.

    Raises:
        UnknownConditionError: A type is not known.
    """
    given = conditions if isinstance(conditions, list) else []
    results = [_holds(entry, sources) for entry in given if isinstance(entry, dict)]
    if match == "any" and results:
        return any(results)
    return all(results)


def _holds(condition: Mapping[str, Any], sources: list[Mapping[str, Any]]) -> bool:
    kind = str(condition.get("type", "equal"))
    test = TESTS.get(kind)
    if test is None:
        raise UnknownConditionError(
            f'Condition type "{kind}" is not known. Use one of {", ".join(sorted(TESTS))}.'
        )
    found = placeholders.resolve(str(condition.get("field", "")), sources)
    wanted = condition.get("value")
    if isinstance(wanted, str):
        wanted = placeholders.render(wanted, sources)
    return test(None if found is placeholders.MISSING else found, wanted)


def _equal(found: Any, wanted: Any) -> bool:
    # Forms send "5" where data holds 5: compare what a person would read.
    numbers = _number(found), _number(wanted)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return placeholders.as_text(found) == placeholders.as_text(wanted)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    def test(found: Any, wanted: Any) -> bool:
        left, right = _number(found), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return test


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, list):
        return any(_equal(item, wanted) for item in found)
    return placeholders.as_text(wanted) in placeholders.as_text(found)


def _blank(found: Any) -> bool:
    return found is None or found in ("", [], {})


TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": _equal,
    "not_equal": lambda found, wanted: not _equal(found, wanted),
    "greater_than": _ordered(lambda left, right: left > right),
    "greater_than_or_equal": _ordered(lambda left, right: left >= right),
    "less_than": _ordered(lambda left, right: left < right),
    "less_than_or_equal": _ordered(lambda left, right: left <= right),
    "contains": _contains,
    "not_contains": lambda found, wanted: not _contains(found, wanted),
    "present": lambda found, _: not _blank(found),
    "blank": lambda found, _: _blank(found),
}
