"""Numbers over epochs, models beside baselines, and attention maps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.viz.faults import PAGE_INCHES
from vmlkit.viz.snapshots import AnyRun, RunView, as_view
from vmlkit.viz.style import (
    FAINT,
    HAIR,
    INK,
    SERIES,
    as_written,
    attention_colormap,
    name_line,
    new_figure,
    spread_apart,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_USUAL = ("loss/", "metric/R@1,mIoU", "metric/R@1,IoU=0.5", "dependence/negative NLL gap", "curriculum/")
_PANEL = (2.55, 1.65)


def draw_curves(run: AnyRun, columns: Sequence[str] | None = None, *, panels_per_row: int = 3) -> "Figure":
    """Draw columns of ``epochs.parquet`` over epochs, one small panel each, the last value written beside its dot.

    Args:
        run: a run directory or its path.
        columns: e.g. ``["loss/total", "metric/R@1,mIoU"]``; unless given all losses, R@1,mIoU and R@1,IoU=0.5, how
            far negatives are from the answer, and all schedules.
        panels_per_row: panels side by side.

    Raises:
        DataError: for a column the run does not have.
    """
    return compare_runs({"": run}, columns, panels_per_row=panels_per_row)


def compare_runs(
    runs: Mapping[str, AnyRun | Sequence[AnyRun]], columns: Sequence[str] | None = None, *, panels_per_row: int = 3
) -> "Figure":
    """Draw several runs into the same small panels, each line named where it ends.

    Runs that were to have unlike numbers of epochs are drawn over the share of their training, not over epochs.

    Args:
        runs: name -> run, or name -> runs that differ in their seed only: these are drawn thin, their mean bold.
        columns: as in :func:`draw_curves`; by default those that every run has.
        panels_per_row: panels side by side; fewer where long names would make the figure wider than a page.

    Raises:
        DataError: for a column that a run does not have, or more runs than can be told apart.
    """
    if len(runs) > len(SERIES):
        raise DataError("comparison", f"has {len(runs)} runs", f"compare at most {len(SERIES)} in one figure")
    views = {name: _views(run) for name, run in runs.items()}
    planned = {view.planned_epochs for group in views.values() for view in group}
    tables = {name: [_over(view, len(planned) > 1) for view in group] for name, group in views.items()}
    columns = list(columns) if columns is not None else _common_columns(tables)
    _check_columns(tables, columns)
    room = 0.5 + 0.08 * max(map(len, runs))
    panels_per_row = min(panels_per_row, max(int(PAGE_INCHES / (_PANEL[0] + room)), 1))
    fig, axes = _panels(len(columns), panels_per_row, room)
    for ax, column in zip(axes, columns, strict=True):
        ends = [_draw_series(ax, t, column, SERIES[i]) for i, t in enumerate(tables.values())]
        ax.set_title(as_written(_title(column), 40))
        ax.margins(y=0.09)
        ax.locator_params(axis="x", integer=True)
        ax.grid(axis="y")
        _write_ends(ax, list(tables), ends)
    for ax in axes[-min(len(axes), panels_per_row) :]:
        ax.set_xlabel("epoch" if len(planned) == 1 else "% of training")
    return fig


def draw_attention(
    ax: "Axes",
    weights: Float[np.ndarray, "Q K"],
    *,
    row_labels: Sequence[str] | None = None,
    duration_s: float | None = None,
    title: str | None = None,
    vmax: float | None = None,
    colorbar: bool = True,
) -> "Axes":
    """Draw attention weights: a row per query (word or clip), a column per key; dark is much.

    Args:
        ax: where to draw.
        weights: rows that usually sum to one.
        row_labels: words for the rows; clip numbers unless given.
        duration_s: when keys are clips, the length of the video: the x axis is then in seconds.
        title: e.g. ``"mask on probabilities"``.
        vmax: the weight drawn darkest; pass the same to two maps that are to be compared.
        colorbar: whether to draw the scale.

    Raises:
        DataError: when ``weights`` is not a matrix, or its rows and ``row_labels`` differ in number.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or (row_labels is not None and len(row_labels) != len(weights)):
        raise DataError("attention map", f"has shape {weights.shape}", "pass (queries, keys) and a label per query")
    rows, keys = weights.shape
    extent = (0, keys if duration_s is None else duration_s, rows, 0)
    vmax = float(np.nanmax(weights)) if vmax is None else vmax
    look: dict[str, Any] = {"cmap": attention_colormap(), "aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(weights, vmin=0, vmax=vmax, extent=extent, **look)
    for side in ax.spines.values():
        side.set(visible=True, color=HAIR)
    if row_labels is not None:
        ax.set_yticks(np.arange(rows) + 0.5, row_labels)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
    else:
        ax.set_ylabel("query position")
    ax.set_xlabel("key position" if duration_s is None else "time (s)")
    ax.set_title(title or "")
    if colorbar:
        scale = ax.figure.colorbar(image, ax=ax, fraction=0.035, pad=0.02)
        scale.outline.set_visible(False)
        scale.ax.tick_params(length=0)
        scale.set_label("attention weight")
    return ax


def _title(column: str) -> str:
    if column == "dependence/negative NLL gap":
        return "NLL(negative) − NLL(answer)"
    group, _, name = column.partition("/")
    return name if group == "metric" else f"{group}: {name}".replace("_", " ")


def _views(run: AnyRun | Sequence[AnyRun]) -> list[RunView]:
    runs = run if isinstance(run, Sequence) and not isinstance(run, str) else [run]
    return [as_view(r) for r in runs]


def _over(view: RunView, shares: bool) -> pd.DataFrame:
    """The epoch table with what the x axis counts in the column ``at``: epochs, or percent of the training."""
    return view.epochs.assign(at=view.epochs["epoch"] * (100 / view.planned_epochs if shares else 1))


def _common_columns(tables: Mapping[str, list[pd.DataFrame]]) -> list[str]:
    every = [t for group in tables.values() for t in group]
    columns = [c for c in every[0].columns if all(c in t for t in every)]
    return [c for usual in _USUAL for c in columns if c == usual or (usual.endswith("/") and c.startswith(usual))]


def _check_columns(tables: Mapping[str, list[pd.DataFrame]], columns: Sequence[str]) -> None:
    for name, group in tables.items():
        for table in group:
            for column in columns:
                if column not in table:
                    has = ", ".join(c for c in table.columns if "/" in c)
                    raise DataError(f"epochs of run '{name}'", f"has no column '{column}'", f"choose from {has}")


def _panels(count: int, per_row: int, room: float) -> "tuple[Figure, list[Axes]]":
    """``count`` axes, with ``room`` inches to the right of each for the names of the lines."""
    columns = min(count, per_row)
    rows = -(-count // per_row)
    size = ((_PANEL[0] + room) * columns, (_PANEL[1] + 0.35) * rows + 0.15)
    fig = new_figure(figsize=size)
    grid = fig.subplots(rows, columns, sharex=True, squeeze=False)
    flat = list(grid.flat)
    for ax in flat[count:]:
        ax.remove()
    width, height = size
    fig.subplots_adjust(left=0.5 / width, right=1 - room / width, top=1 - 0.3 / height, bottom=0.45 / height)
    fig.subplots_adjust(wspace=(room + 0.5) / (_PANEL[0] - 0.5), hspace=0.38)
    for ax in flat[:count]:
        last = ax in flat[max(count - columns, 0) : count]
        ax.tick_params(labelbottom=last, length=3 if last else 0)
    return fig, flat[:count]


def _draw_series(
    ax: "Axes", tables: list[pd.DataFrame], column: str, style: tuple[str, tuple[float, ...]]
) -> tuple[float, float]:
    """Draw one run (or its seeds and their mean) and return where the line ends."""
    color, dash = style
    linestyle: Any = (0, dash) if dash else "-"
    lines = [t.set_index("at")[column].dropna() for t in tables]
    mean = pd.concat(lines, axis=1).mean(axis=1)
    if len(lines) > 1:
        for line in lines:
            ax.plot(line.index, line, color=color, linewidth=0.7, alpha=0.45)
    ax.plot(mean.index, mean, color=color, linewidth=1.7, linestyle=linestyle)
    if column.startswith("curriculum/") and mean.min() < 0 < mean.max():
        ax.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
    ax.plot(mean.index[-1:], mean[-1:], "o", color=color, markersize=4)
    return float(mean.index[-1]), float(mean.iloc[-1])


def _write_ends(ax: "Axes", names: list[str], ends: list[tuple[float, float]]) -> None:
    low, high = ax.get_ylim()
    line = 0.115 * (high - low)
    places = spread_apart([y for _, y in ends], line, low + 0.6 * line, high)
    for i, (name, (x, y), place) in enumerate(zip(names, ends, places, strict=True)):
        name_line(ax, f"{name}  {y:.3g}" if name else f"{y:.3g}", (x, place), SERIES[i][0])
