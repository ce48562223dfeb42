"""Differences between rows with their intervals: one line a claim, seeds as points, the band of what is no effect."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
#: marks before and after a claim, with what they say
PRIMARY, RISING = "★", "↗"
SAID = {PRIMARY: "the study is made for it", RISING: "a row of it was still rising"}
#: characters of a claim on one line
WRAP = 52
#: how far above and below its line the points of seeds stand, in lines
_SPREAD = 0.16
#: inches of a line, and of the scale and the title of a panel
_LINE, _FRAME = 0.27, 0.72


@dataclass(frozen=True, kw_only=True)
class Line:
    """One claim; numbers in ``unit``, better minus worse."""

    text: str
    group: str  #: what stands above the first line of a group
    word: str  #: a key of :data:`MARKS`
    difference: float
    low: float  #: of the interval of 95 %
    high: float
    delta: float
    seeds: tuple[float, ...]  #: each seed of the better row minus the mean of the worse
    metric: str
    unit: str  #: points of percent, ranks or nats
    study: str = ""  #: lines of one study and unit share a panel
    primary: bool = False
    rising: bool = False


def draw_contrasts(lines: Sequence[Line], title: str = "") -> "Figure":
    """Draw the lines in their order, a panel for each study and unit, under the names of their groups.

    Each panel has a scale of its own, which names its unit, and its metric where all its lines have the same one;
    otherwise every line names its own.  The same lines give the same picture: seeds are spread by their order.

    Args:
        lines: at least one.
        title: of the figure.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    panels: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        panels.setdefault((line.study, line.unit), []).append(line)
    labels = [_labels(members) for members in panels.values()]
    placed = [_places(members, named) for members, named in zip(panels.values(), labels, strict=True)]
    heights = [max(places) + 1.6 for places, _ in placed]
    with styled():
        inches = 0.4 + _LINE * sum(heights) + _FRAME * len(panels)
        fig = new_figure(figsize=(8.6, inches), layout="constrained")
        engine: Any = fig.get_layout_engine()
        engine.set(h_pad=0.09)  # the name of a panel stands nearer to its own lines than to the scale above it
        axes = fig.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for ax, (key, members), named, (places, heads) in zip(axes, panels.items(), labels, placed, strict=True):
            for place, line in zip(places, members, strict=True):
                _draw_line(ax, place, line)
            ax.set_yticks(places, named, fontsize=8)
            _finish(ax, places, heads, key[0])
            ax.set_xlabel(_scale(members))
        marks = {PRIMARY: any(line.primary for line in lines), RISING: any(line.rising for line in lines)}
        said = [f"{mark}: {SAID[mark]}" for mark, there in marks.items() if there]
        if said:
            axes[-1].set_xlabel("\n".join([axes[-1].get_xlabel(), "; ".join(said)]))
        if title:
            fig.suptitle(title, x=0.01, ha="left", fontsize=10.5)
        _legend(fig, lines)
    return fig


def _scale(lines: Sequence[Line]) -> str:
    """What a panel's scale says."""
    metrics = {line.metric for line in lines}
    of = f" of {lines[0].metric}" if len(metrics) == 1 else ""
    return f"difference{of} in {lines[0].unit}, with its interval of 95 %"


def _labels(lines: Sequence[Line]) -> list[str]:
    """The words of each line; they break neither within a metric nor before the mark of a row that was still rising."""
    one = len({line.metric for line in lines}) == 1
    texts = []
    for line in lines:
        metric = "" if one else ", " + line.metric.replace(" ", "\u00a0")
        text = f"{PRIMARY} " * line.primary + line.text + metric
        wrapped = textwrap.wrap(text + f"\u00a0{RISING}" * line.rising, WRAP)
        texts.append("\n".join(wrapped).replace("\u00a0", " "))
    return texts


def _places(lines: Sequence[Line], labels: Sequence[str]) -> tuple[list[float], dict[float, str]]:
    """Where each line stands, from the top, and where the names of groups do."""
    places, heads, at = list[float](), dict[float, str](), -1.0
    for i, (line, label) in enumerate(zip(lines, labels, strict=True)):
        if not i or line.group != lines[i - 1].group:
            at += 1.4 if i else 1.0
            heads[at] = line.group
        at += 1.0 + 0.35 * label.count("\n")
        places.append(at)
    return places, heads


def _draw_line(ax: "Axes", place: float, line: Line) -> None:
    color, marker = MARKS[line.word]
    ax.barh(place, 2 * line.delta, left=-line.delta, height=0.8, color=HAIR, alpha=0.55, zorder=0)
    # steps of the golden ratio: neighbours stand far apart, and no generator is needed
    offsets = [_SPREAD * (2 * ((i + 1) * 0.618034 % 1) - 1) for i in range(len(line.seeds))]
    heights = [place + offset for offset in offsets]
    ax.scatter(line.seeds, heights, s=9, color=ROLES["positive"].color, alpha=0.7, linewidths=0, zorder=2)
    ax.plot((line.low, line.high), (place, place), color=color, linewidth=1.8, zorder=3)
    ax.plot(line.difference, place, marker, color=color, markersize=6, markeredgecolor="white", zorder=4)


def _finish(ax: "Axes", places: list[float], heads: dict[float, str], title: str) -> None:
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for place, name in heads.items():
        ax.annotate(name, (0, place), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=8.5, weight="bold", color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    ax.set_ylim(max(places) + 0.8, min(heads) - 0.7)
    ax.tick_params(axis="y", length=0)
    if title:
        ax.set_title(title, loc="left")


def _legend(fig: "Figure", lines: Sequence[Line]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = dict.fromkeys(line.word for line in lines)
    marks: list[Any] = [
        Line2D([], [], color=MARKS[word][0], marker=MARKS[word][1], markersize=6, markeredgecolor="white", label=word)
        for word in MARKS
        if word in shown
    ]
    marks.append(Line2D([], [], color=ROLES["positive"].color, marker="o", markersize=3, linestyle="", label="seeds"))
    marks.append(Patch(color=HAIR, alpha=0.55, label="no effect (delta)"))
    # below the whole figure: names of claims take half of it, and the axes alone are narrower than all words
    fig.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=7.5, frameon=False)
