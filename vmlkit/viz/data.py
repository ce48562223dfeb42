"""Pictures of a data set before training: where its moments lie, whether its features fit, what priors reach (seaborn).

All take the plain tables of :mod:`vmlkit.experiments.data_tables` and :mod:`vmlkit.experiments.data_check`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vmlkit.errors import required
from vmlkit.viz.style import FAINT, INK, ROLES, SERIES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_locations(moments: pd.DataFrame, splits: Sequence[str] = ("train", "test")) -> "Figure":
    """Where moments begin and how long they are, in fractions of their videos, one panel a split.

    An answer that never looks at a video can be no better than this picture is dark in one place.

    Args:
        moments: with the columns split, duration, start, end (seconds).

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing where moments lie")
    shown = [split for split in splits if (moments["split"] == split).any()]
    with styled():
        fig = new_figure(figsize=(0.6 + 2.9 * max(len(shown), 1), 2.9), layout="constrained")
        axes = fig.subplots(1, max(len(shown), 1), squeeze=False, sharey=True)[0]
        for ax, split in zip(axes, shown, strict=False):
            part = moments[(moments["split"] == split) & (moments["duration"] > 0)]
            start, length = part["start"] / part["duration"], (part["end"] - part["start"]) / part["duration"]
            seaborn.histplot(x=start, y=length, bins=20, binrange=((0, 1), (0, 1)), ax=ax, color=ROLES["chosen"].color)
            ax.plot([0, 1], [1, 0], color=FAINT, linewidth=0.8)
            ax.set(title=f"{split}, {len(part)} moments", xlabel="start / duration", xlim=(0, 1), ylim=(0, 1))
        axes[0].set_ylabel("length / duration")
    return fig


def draw_clock(videos: pd.DataFrame, seconds_per_row: float | None = None) -> "Figure":
    """Rows of features against the length of each video: on one clock, all points lie on one line.

    Args:
        videos: with the columns split, duration (seconds) and rows (NaN where there are no features).
        seconds_per_row: the common clock, drawn as a line.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing rows against durations")
    with styled():
        fig = new_figure(figsize=(4.6, 2.9), layout="constrained")
        ax = fig.subplots()
        read = videos.dropna(subset=["rows", "duration"])
        colors = [color for color, _ in SERIES][: read["split"].nunique()]
        seaborn.scatterplot(
            read, x="duration", y="rows", hue="split", palette=colors, s=18, ax=ax, legend=bool(len(read))
        )
        if seconds_per_row and len(read):
            longest = read["duration"].max()
            label, color = f"{seconds_per_row:.3g} s a row", ROLES["truth"].color
            ax.plot([0, longest], [0, longest / seconds_per_row], color=color, linewidth=1.0, label=label)
            ax.legend()
        ax.set(xlabel="duration of the video (s)", ylabel="rows of features", xlim=(0, None), ylim=(0, None))
    return fig


def draw_priors(priors: pd.DataFrame, split: str = "test", published: dict[str, dict[str, float]] | None = None) -> Any:
    """What location priors reach on a split, one group of bars a metric.

    Args:
        priors: as :func:`vmlkit.experiments.data_priors.location_priors` returns them, in percent.
        published: further rows, such as those of a paper's table, in percent; drawn as marks.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing what priors reach")
    part = priors[priors["split"] == split].drop(columns=["split", "N"])
    long = part.melt(id_vars="prior", var_name="metric", value_name="percent").dropna()
    with styled():
        fig = new_figure(figsize=(7.2, 3.0), layout="constrained")
        ax = fig.subplots()
        colors = [color for color, _ in SERIES][: long["prior"].nunique()]
        seaborn.barplot(long, x="metric", y="percent", hue="prior", palette=colors, ax=ax)
        places = {metric: i for i, metric in enumerate(dict.fromkeys(long["metric"]))}
        for i, (name, row) in enumerate((published or {}).items()):
            known = [metric for metric in places if metric in row]
            at = np.array([places[metric] for metric in known]) + 0.08 * i
            ax.plot(at, [row[m] for m in known], "D", color=ROLES["hard_negative"].color, markersize=5, label=name)
        ax.legend(fontsize=7, ncols=2)
        ax.set(xlabel="", ylabel="percent", ylim=(0, 100))
        ax.tick_params(colors=INK)
    return fig


def draw_words(moments: pd.DataFrame, splits: Sequence[str] = ("train", "test")) -> "Figure":
    """How many words the sentences of each split have.

    Args:
        moments: with the columns split and sentence.

    Raises:
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing the lengths of sentences")
    part = moments[moments["split"].isin(list(splits))].copy()
    part["words"] = part["sentence"].astype(str).str.split().str.len()
    with styled():
        fig = new_figure(figsize=(4.6, 2.6), layout="constrained")
        ax = fig.subplots()
        colors = [color for color, _ in SERIES][: part["split"].nunique()]
        seaborn.histplot(
            part, x="words", hue="split", palette=colors, discrete=True, stat="density", common_norm=False,
            element="step", ax=ax,
        )  # fmt: skip
        ax.set(xlabel="words of a sentence", ylabel="share")
    return fig
