"""Differences between rows with their intervals: one line a claim, seeds as points, the band of what is no effect."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from vmlkit.errors import required
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: colour and marker of every verdict; the marker says it without the colour
MARKS: Mapping[str, tuple[str, str]] = {
    "holds": (ROLES["chosen"].color, "D"),
    "contradicted": (ROLES["hard_negative"].color, "X"),
    "no difference": (ROLES["truth"].color, "s"),
    "open": (FAINT, "o"),
    "void": ("#A3ABB3", "v"),
}
#: characters of a claim on one line
WRAP = 52


@dataclass(frozen=True, kw_only=True)
class Line:
    """One claim; numbers in percent points, better minus worse."""

    text: str
    group: str  #: what stands above the first line of a group
    word: str  #: a key of :data:`MARKS`
    difference: float
    low: float  #: of the interval of 95 %
    high: float
    delta: float
    seeds: tuple[float, ...]  #: each seed of the better row minus the mean of the worse


def draw_contrasts(lines: Sequence[Line], title: str = "") -> "Figure":
    """Draw the lines in their order, under the names of their groups.

    Args:
        lines: at least one.
        title: of the figure.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing what was found")
    places, heads = _places(lines)
    height = max(places) + 1.6
    with styled():
        fig = new_figure(figsize=(8.6, 0.9 + 0.27 * height), layout="constrained")
        ax = fig.subplots()
        points = [(place, seed) for place, line in zip(places, lines, strict=True) for seed in line.seeds]
        frame = pd.DataFrame(points, columns=["place", "value"])
        seaborn.stripplot(
            frame, x="value", y="place", ax=ax, orient="h", native_scale=True, jitter=0.16, size=3,
            color=ROLES["positive"].color, alpha=0.7, zorder=2,
        )  # fmt: skip
        for place, line in zip(places, lines, strict=True):
            _draw_line(ax, place, line)
        _finish(ax, lines, places, heads, title)
    return fig


def _places(lines: Sequence[Line]) -> tuple[list[float], dict[float, str]]:
    """Where each line stands, from the top, and where the names of groups do."""
    places, heads, at = list[float](), dict[float, str](), -1.0
    for i, line in enumerate(lines):
        if not i or line.group != lines[i - 1].group:
            at += 1.4 if i else 1.0
            heads[at] = line.group
        at += 1.0 + 0.35 * (len(_wrapped(line.text)) - 1)
        places.append(at)
    return places, heads


def _wrapped(text: str) -> list[str]:
    """The lines of a claim; the mark of a row that was still rising does not stand alone on one."""
    glued = textwrap.wrap(text.replace(" ↗", "\u00a0↗"), WRAP)
    return [line.replace("\u00a0", " ") for line in glued]


def _draw_line(ax: "Axes", place: float, line: Line) -> None:
    color, marker = MARKS[line.word]
    ax.barh(place, 2 * line.delta, left=-line.delta, height=0.8, color=HAIR, alpha=0.55, zorder=0)
    ax.plot((line.low, line.high), (place, place), color=color, linewidth=1.8, zorder=3)
    ax.plot(line.difference, place, marker, color=color, markersize=6, markeredgecolor="white", zorder=4)


def _finish(ax: "Axes", lines: Sequence[Line], places: list[float], heads: dict[float, str], title: str) -> None:
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_yticks(places, ["\n".join(_wrapped(line.text)) for line in lines], fontsize=8)
    for place, name in heads.items():
        ax.annotate(name, (0, place), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=8.5, weight="bold", color=INK)  # fmt: skip
    rising = "; ↗: a row of it was still rising" if any(line.text.endswith("↗") for line in lines) else ""
    ax.set_xlabel(f"difference in points, with its interval of 95 %{rising}")
    ax.set(ylim=(max(places) + 0.8, min(heads) - 0.7), ylabel="")
    ax.tick_params(axis="y", length=0)
    if title:
        ax.set_title(title, loc="left")
    shown = dict.fromkeys(line.word for line in lines)
    marks: list[Artist] = [
        Line2D([], [], color=MARKS[word][0], marker=MARKS[word][1], markersize=6, markeredgecolor="white", label=word)
        for word in MARKS
        if word in shown
    ]
    marks.append(Line2D([], [], color=ROLES["positive"].color, marker="o", markersize=3, linestyle="", label="seeds"))
    marks.append(Patch(color=HAIR, alpha=0.55, label="no effect (delta)"))
    # below the whole figure: names of claims take half of it, and the axes alone are narrower than all words
    figure: Any = ax.figure
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=7.5, frameon=False)
