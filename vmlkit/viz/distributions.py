"""The rows of a study as pictures: every seed a dot, the mean with its interval, baselines as lines (seaborn)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vmlkit.errors import DataError, required
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_rows(results: Any, *metrics: str, against: str | None = None, baselines: Sequence[str] = ()) -> "Figure":
    """Draw each row of a study: its seeds as dots, their mean, and twice its standard error to both sides.

    Args:
        results: as :func:`vmlkit.experiments.claims.load_results` returns them.
        metrics: one panel each; ``R@1,mIoU`` unless given.
        against: a row whose value with the same seed is taken off every other row, which pairs the seeds.
        baselines: rows that never look at a video, drawn as vertical lines with their names.

    Raises:
        DataError: for ``against`` that is no row.
        MissingDependency: when seaborn is not installed.
    """
    seaborn = required("seaborn", "notebooks", "drawing the rows of a study")
    rows, metrics = list(results.record["rows"]), metrics or ("R@1,mIoU",)
    if against is not None and against not in rows:
        raise DataError(results.record["study"], f"has no row '{against}'", f"choose one of {', '.join(rows)}")
    shown = [row for row in rows if row != against]
    with styled():
        fig = new_figure(figsize=(1.9 + 2.9 * len(metrics), 0.75 + 0.3 * len(shown)), layout="constrained")
        axes = fig.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
        for ax, metric in zip(axes, metrics, strict=True):
            frame = _differences(results, shown, metric, against)
            seaborn.stripplot(frame, x="value", y="row", ax=ax, color=ROLES["positive"].color, size=4, jitter=False)
            seaborn.pointplot(
                frame, x="value", y="row", ax=ax, errorbar=("se", 2), color=ROLES["chosen"].color, linestyle="none",
                marker="D", markersize=4, err_kws={"linewidth": 1.4},
            )  # fmt: skip
            _name_axes(ax, metric, against)
            _draw_baselines(ax, results, metric, baselines, against)
    return fig


def _differences(results: Any, rows: Sequence[str], metric: str, against: str | None) -> pd.DataFrame:
    """One line per row and seed, in percent (points)."""
    base = None if against is None else results.values(against, metric)
    lines = [
        {"row": row, "value": 100 * (value - (base[seed] if base else 0.0))}
        for row in rows
        for seed, value in enumerate(results.values(row, metric))
    ]
    return pd.DataFrame(lines)


def _name_axes(ax: Any, metric: str, against: str | None) -> None:
    ax.set_title(metric)
    ax.set_ylabel("")
    ax.set_xlabel("percent" if against is None else f"percent points above '{against}'")
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.grid(axis="x", color=HAIR)
    if against is not None:
        ax.axvline(0, color=INK, linewidth=1)


def _draw_baselines(ax: Any, results: Any, metric: str, names: Sequence[str], against: str | None) -> None:
    for height, name in enumerate(names):
        value = results.values(name, metric)
        base = [0.0] * len(value) if against is None else results.values(against, metric)
        place = 100 * sum(v - b for v, b in zip(value, base, strict=True)) / len(value)
        ax.axvline(place, color=ROLES["negative"].color, linewidth=1, dashes=(4, 2))
        ax.annotate(
            name, (place, 1), (3, -2 - 9 * height), xycoords=("data", "axes fraction"), textcoords="offset points",
            color=FAINT, fontsize=7, va="top",
        )  # fmt: skip
