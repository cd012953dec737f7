"""Draws bars: ``bars.py FILE``, given a title, a unit and the bars as JSON.

Those of the package are green, those of its floors grey, and those of its peers blue.
"""

from __future__ import annotations

import json
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, FLOOR, PEER = "#0b6e4f", "#b5b5b5", "#3b6fb6"
KNOWN = {"execute": OURS, "one worker": OURS, "two workers": OURS}


def colour(name: str) -> str:
    """Return a bar's colour; peers are those that say their version."""
    return KNOWN.get(name, PEER if "Django" in name else FLOOR)


def draw(title: str, unit: str, bars: list[dict], file: str) -> None:
    """Draw the bars, the shortest first."""
    bars = sorted(bars, key=lambda bar: bar["value"])
    names = [bar["name"] for bar in bars]
    figure, axes = plt.subplots(figsize=(10, 0.8 + 0.42 * len(bars)), layout="constrained")
    drawn = axes.barh(names, [bar["value"] for bar in bars], color=[colour(n) for n in names])
    axes.bar_label(drawn, [bar["text"] for bar in bars], padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    draw(asked["title"], asked["unit"], asked["bars"], sys.argv[1])
