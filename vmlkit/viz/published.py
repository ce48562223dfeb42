"""A published table as a figure: a panel for each metric and data set, published crosses, measured points, priors."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from vmlkit.errors import required
from vmlkit.viz.style import FAINT, INK, ROLES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: characters of a row's name on one line, and metrics that are drawn of a table
WRAP, METRICS = 30, 4
_DASHES: tuple[Any, ...] = ("--", ":", "-.", (0, (1, 3)), (0, (5, 1)), (0, (3, 1, 1, 1)))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One metric on one data set; ``row`` counts the lines of the table from 0."""

    column: str  #: the data set, with who measured: panels of one stand below each other
    metric: str
    points: pd.DataFrame  #: row, value, low, high; the last two NaN where there is no interval
    measured: bool
    priors: dict[str, float] = field(default_factory=dict)


def draw_table(panels: Sequence[Panel], names: Sequence[str], title: str = "") -> "Figure":
    """Draw the panels of the first :data:`METRICS` metrics, data sets side by side.

    Args:
        names: of the rows, from the top.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing a table")
    metrics = list(dict.fromkeys(panel.metric for panel in panels))[:METRICS]
    columns = list(dict.fromkeys(panel.column for panel in panels))
    shown = {(panel.metric, panel.column): panel for panel in panels}
    found = dict.fromkeys(name for panel in shown.values() for name in panel.priors)
    dashes = {name: _DASHES[i % len(_DASHES)] for i, name in enumerate(found)}
    with styled():
        height = 1.1 + len(metrics) * (0.9 + 0.24 * len(names))
        fig = new_figure(figsize=(3.2 + 3.0 * len(columns), height), layout="constrained")
        axes = fig.subplots(len(metrics), len(columns), sharey=True, squeeze=False)
        for i, metric in enumerate(metrics):
            for j, column in enumerate(columns):
                ax, panel = axes[i][j], shown.get((metric, column))
                if panel is None:
                    ax.set_visible(False)
                    continue
                _draw_panel(seaborn, ax, panel, dashes, first=i == 0)
            axes[i][0].set_yticks(range(len(names)), ["\n".join(textwrap.wrap(name, WRAP)) for name in names])
            axes[i][0].set_ylim(len(names) - 0.4, -0.6)
        _legend(fig, dashes)
        fig.suptitle("\n".join(textwrap.wrap(title, 40 * len(columns) + 20)), fontsize=9, x=0.01, ha="left")
    return fig


def _draw_panel(seaborn: Any, ax: "Axes", panel: Panel, dashes: Mapping[str, Any], *, first: bool) -> None:
    color = ROLES["chosen"].color if panel.measured else INK
    marker = "o" if panel.measured else "X"
    for name, value in panel.priors.items():
        ax.axvline(value, color=FAINT, linestyle=dashes[name], linewidth=1, zorder=1)
    known = panel.points.dropna(subset=["low"])
    ax.hlines(known["row"], known["low"], known["high"], color=color, linewidth=1.6, zorder=2)
    seaborn.scatterplot(panel.points, x="value", y="row", ax=ax, color=color, marker=marker, s=36, zorder=3)
    low, high = ax.get_xlim()
    if panel.points["value"].between(0, 100).all():  # an interval may reach beyond what a percentage can be
        ax.set_xlim(max(low, 0), min(high, 100) if high > 100 else high)
    ax.set(xlabel=panel.metric, ylabel="")
    ax.tick_params(axis="y", labelsize=7, length=0)
    if first:
        ax.set_title("\n".join(textwrap.wrap(panel.column, 34)), fontsize=8, loc="left")


def _legend(fig: "Figure", dashes: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=INK, marker="X", linestyle="", label="published"),
             Line2D([], [], color=ROLES["chosen"].color, marker="o", label="ours, interval of 95 %")]  # fmt: skip
    marks += [Line2D([], [], color=FAINT, linestyle=dash, label=name) for name, dash in dashes.items()]
    fig.legend(handles=marks, loc="outside lower left", ncols=3, fontsize=7, frameon=False)


def draw_surface(values: pd.DataFrame, title: str = "") -> "Figure":
    """A grid of two settings as a heat map, the numbers written in it.

    Args:
        values: one setting down, the other across, both named.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing a surface")
    with styled():
        size = (1.6 + 0.8 * values.shape[1], 1.4 + 0.5 * values.shape[0])
        fig = new_figure(figsize=size, layout="constrained")
        ax = fig.subplots()
        seaborn.heatmap(values.sort_index(ascending=False), annot=True, fmt=".1f", cmap="crest", ax=ax, square=False)
        ax.set_title("\n".join(textwrap.wrap(title, 50)), fontsize=8, loc="left")
    return fig
