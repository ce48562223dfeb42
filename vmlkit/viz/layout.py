"""Where the film strip and the rows below it stand, in inches, so that pictures are square and seconds align."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.viz.style import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: heights within a row, where the peak of a positive is at 1: the bar of the ground truth, the upper edge without it,
#: the lower edge with negatives and without
CAP, TOP, BOTTOM, FLOOR = 1.6, 1.34, -1.12, -0.06

#: inches: margins, the space between rows, and the height of one unit above in a single and in one of several rows
_INCH = {"left": 1.1, "right": 0.22, "title": 0.34, "bottom": 0.46, "gap": 0.09, "single": 0.72, "several": 0.46}


def lay_out(target: Any, frames: np.ndarray | None, rows: int, negatives: bool) -> list["Axes"]:
    """The strip's axis and one per row, aligned in seconds; margins and square pictures are measured in inches."""
    figure, region, width = target, (0.0, 0.0, 1.0, 1.0), 8.0
    if hasattr(target, "set_axis_off"):
        target.set_axis_off()
        figure, region = target.figure, target.get_position().bounds
    if figure is not None:
        width = figure.bbox.width / figure.dpi * region[2]
    inner = width - _INCH["left"] - _INCH["right"]
    strip = 0.02 if frames is None else 0.3 if frames.ndim == 1 else float(np.clip(inner / len(frames), 0.35, 0.8))
    units = np.full(rows, TOP - (BOTTOM if negatives else FLOOR))
    units[0] += CAP + 0.08 - TOP
    fixed = _INCH["title"] + strip + _INCH["gap"] * rows + _INCH["bottom"]
    if figure is None:
        figure = new_figure(figsize=(width, fixed + _INCH["single" if rows == 1 else "several"] * units.sum()))
    height = figure.bbox.height / figure.dpi * region[3]
    sizes = np.array([strip, *units * max(height - fixed, 0.3) / units.sum()])
    tops = height - _INCH["title"] - np.concatenate([[0], np.cumsum(sizes + _INCH["gap"])[:-1]])
    axes: list[Axes] = []
    for top, size in zip(tops, sizes, strict=True):
        x, y = region[0] + _INCH["left"] / width * region[2], region[1] + (top - size) / height * region[3]
        box = (x, y, inner / width * region[2], size / height * region[3])
        axes.append(figure.add_axes(box, sharex=axes[0] if axes else None))
    return axes
