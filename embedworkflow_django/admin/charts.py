"""Hours as bars: what ended well stands on a line, what failed hangs below it, whatever the colour.

A drawing is stretched to wherever it stands, so it has no letters; a table says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..figures import Outcomes

# An hour's place and its bar, in units of the drawing.
_PLACE, _BAR = 10, 8
_HEIGHT = 100.0
# What is there at all is seen.
_LEAST = 4.0


def bars(outcomes: Outcomes, label: str, look: str = "") -> SafeString:
    """Return the hours of some outcomes as SVG.

    Args:
        outcomes: What has ended in each hour.
        label: What the drawing shows, in words.
        look: A class beside the usual one.
    """
    standing = [sum(each) for each in zip(outcomes.completed, outcomes.others, strict=True)]
    hanging = outcomes.failed
    unit = _HEIGHT / max(1, max(standing) + max(hanging))
    line = _HEIGHT - _fitted(max(hanging), unit, _HEIGHT - _LEAST)
    return format_html(
        '<svg class="ewf-hours {}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><path class="ewf-hours-well" d="{}"/><path class="ewf-hours-failed"'
        ' d="{}"/><path class="ewf-hours-line" d="M0 {}H{}"/></svg>',
        look,
        _PLACE * len(standing),
        int(_HEIGHT),
        label,
        "".join(_bars(standing, -unit, line)),
        "".join(_bars(hanging, unit, line)),
        f"{line:.1f}",
        _PLACE * len(standing),
    )


def _bars(numbers: Sequence[int], unit: float, line: float) -> Iterator[str]:
    room = line if unit < 0 else _HEIGHT - line
    for place, number in enumerate(numbers):
        if number:
            height = _fitted(number, abs(unit), room) * (-1 if unit < 0 else 1)
            start = place * _PLACE + (_PLACE - _BAR) // 2
            yield f"M{start} {line:.1f}v{height:.1f}h{_BAR}v{-height:.1f}z"


def _fitted(number: int, unit: float, room: float) -> float:
    return min(room, max(_LEAST, number * unit)) if number else 0.0
