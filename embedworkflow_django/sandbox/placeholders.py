"""Fills `{{ name }}` placeholders of a workflow's fields from the data of its run.

Documented (concepts/placeholders): dot and bracket paths, case-insensitive names, an empty string
for what is missing, the `default` filter, and `{% redact name %}`, whose value goes into the
request but shows as `<FILTERED>` in logs (older pages write `{% name %}`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

FILTERED = "<FILTERED>"

_TAG = re.compile(r"\{\{(?P<value>.*?)\}\}|\{%\s*(?:redact\s+)?(?P<secret>.*?)\s*%\}", re.DOTALL)
_STEP = re.compile(r"""\[\s*(?:'([^']*)'|"([^"]*)"|([^\]]*?))\s*\]|([^.\[\]]+)""")
_DEFAULT = re.compile(r"\s*default\s*:\s*(.*?)\s*", re.DOTALL)


class _Missing:
    """Marks a path that leads nowhere, which is something else than null."""


MISSING = _Missing()


def render(text: object, sources: Iterable[Mapping[str, Any]], *, redact: bool = False) -> str:
    """Return *text* with its placeholders filled.

    Args:
        text: What to fill; anything but a string is spelled as JSON would.
        sources: Data, the strongest source first.
        redact: Whether secret values show as `<FILTERED>`, as in logs.
    """
    if not isinstance(text, str):
        return as_text(text)
    layers = list(sources)

    def fill(match: re.Match[str]) -> str:
        if match["secret"] is None:
            return _filled(match["value"], layers)
        return FILTERED if redact else _filled(match["secret"], layers)

    return _TAG.sub(fill, text)


def resolve(path: str, sources: Iterable[Mapping[str, Any]]) -> Any:
    """Return the value under *path* (`items[0].name`) in the strongest source, or `MISSING`."""
    steps = [
        next(part for part in match.groups() if part is not None)
        for match in _STEP.finditer(path.strip())
    ]
    for source in sources:
        found = _walk(source, steps)
        if found is not MISSING:
            return found
    return MISSING


def as_text(value: object) -> str:
    """Return *value* as it appears inside a text: empty for null and for what is missing."""
    if value is None or value is MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _walk(value: Any, steps: list[str]) -> Any:
    if not steps:
        return MISSING
    for step in steps:
        value = _child(value, step.strip())
    return value


def _child(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        wanted = step.casefold()
        return next((v for k, v in value.items() if str(k).casefold() == wanted), MISSING)
    if isinstance(value, list) and re.fullmatch(r"-?\d+", step):
        index = int(step)
        return value[index] if -len(value) <= index < len(value) else MISSING
    return MISSING


def _filled(expression: str, layers: list[Mapping[str, Any]]) -> str:
    path, *filters = expression.split("|")
    value = resolve(path, layers)
    for chosen in filters:
        default = _DEFAULT.fullmatch(chosen)
        # Liquid's rule: null, false and the empty text give way to the default.
        if default and (value is MISSING or value is None or value is False or value == ""):
            value = _literal(default[1], layers)
    return as_text(value)


def _literal(text: str, layers: list[Mapping[str, Any]]) -> Any:
    quoted = re.fullmatch(r"""'(.*)'|"(.*)\"""", text, re.DOTALL)
    if quoted:
        return quoted[1] if quoted[2] is None else quoted[2]
    return text if re.fullmatch(r"-?\d+(\.\d+)?", text) else resolve(text, layers)
