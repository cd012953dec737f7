"""Draws bars, for which the extra ``benchmark`` has what it takes.

Those of the package are green, those of its floors grey, and those of its peers blue.
"""

from __future__ import annotations

from collections.abc import Iterable

OURS, FLOOR, PEER = "#0b6e4f", "#b5b5b5", "#3b6fb6"
OWN = ("execute", "settle", "embedworkflow-django")


def colour(name: str) -> str:
    """Return a bar's colour; peers are those that say their version."""
    if name.startswith(OWN):
        return OURS
    return PEER if "Django" in name else FLOOR


def draw(title: str, unit: str, bars: Iterable[dict], file: str, *, scale: str = "linear") -> None:
    """Draw bars, the shortest first, each with its ``name``, its ``value`` and a ``text``."""
    plt = pyplot()
    bars = sorted(bars, key=lambda bar: bar["value"])
    names = [bar["name"] for bar in bars]
    figure, axes = plt.subplots(figsize=(10, 0.8 + 0.42 * len(bars)), layout="constrained")
    drawn = axes.barh(names, [bar["value"] for bar in bars], color=[colour(n) for n in names])
    axes.bar_label(drawn, [bar["text"] for bar in bars], padding=4, fontsize=9)
    axes.set_xscale(scale)
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left")
    figure.savefig(file, dpi=110)


def pyplot():
    """Return what draws into files, without a screen."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt
