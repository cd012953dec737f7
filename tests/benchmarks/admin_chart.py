"""Draws what ``admin_list.py`` has measured as bars, on a logarithmic scale."""

from __future__ import annotations

from tests.benchmarks import bars

COLOURS = {
    "ours": "#0b6e4f",
    "naive": "#8a8a8a",
    "floor": "#c9c9c9",
    "django-celery-results": "#3b6fb6",
    "django-tasks-db": "#b6733b",
    "django-q2": "#8a4fa3",
}
LABELS = {
    "ours": "embedworkflow-django",
    "naive": "a plain ModelAdmin",
    "floor": "an empty changelist, as many cells",
}
# What at least one peer has too, and as it is called there.
SHOWN = {
    "list": "list",
    "status failed": "failed ones",
    "search remote id": "search",
    "page": "one row's page",
}


def draw(title: str, rows: list[dict], file: str) -> None:
    """Draw a group of bars for each place, a bar for each contender."""
    plt = bars.pyplot()
    found = {row["what"]: row for row in rows if row["what"] in SHOWN}
    names = [name for name in COLOURS if any(row.get(name) for row in found.values())]
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    height = 0.8 / len(names)
    for number, name in enumerate(names):
        values = [found[what].get(name) or 0 for what in SHOWN]
        places = [place + (number - (len(names) - 1) / 2) * height for place in range(len(SHOWN))]
        label = LABELS.get(name, name)
        drawn = axes.barh(places, values, height * 0.9, label=label, color=COLOURS[name])
        texts = [f"{value:,.0f} ms" if value else "" for value in values]
        axes.bar_label(drawn, texts, padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds a page, median, logarithmic (less is better)")
    axes.set_yticks(range(len(SHOWN)), SHOWN.values())
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)
