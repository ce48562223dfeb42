"""Where the film strip and the rows below it stand, in inches, so that pictures are square and seconds align."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.viz.hardness import STOPS, HardnessScale
from vmlkit.viz.style import FAINT, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: heights within a row, where the peak of a positive is at 1: the bar of the ground truth, the upper edge without it,
#: the lower edge with negatives and without
CAP, TOP, BOTTOM, FLOOR = 1.6, 1.34, -1.12, -0.06

#: inches: margins, the space between rows, and the height of one unit above in a single and in one of several rows
_INCH = {"left": 1.1, "right": 0.22, "title": 0.34, "bottom": 0.46, "gap": 0.09, "single": 0.72, "several": 0.46}


#: inches that a scale of colours and a line of words take below a figure
SCALE_INCH, LINE_INCH = 0.3, 0.17


def lay_out(target: Any, frames: np.ndarray | None, rows: int, negatives: bool, *, foot: float = 0.0) -> list["Axes"]:
    """The strip's axis and one per row, aligned in seconds; margins and square pictures are measured in inches.

    ``foot``: room below the seconds, in inches, for what :func:`write_foot` writes.
    """
    figure, region, width = target, (0.0, 0.0, 1.0, 1.0), 8.0
    if hasattr(target, "set_axis_off"):
        target.set_axis_off()
        figure, region = target.figure, target.get_position().bounds
    if figure is not None:
        width = figure.bbox.width / figure.dpi * region[2]
    inner = width - _INCH["left"] - _INCH["right"]
    strip = _strip_inches(frames, inner)
    units = np.full(rows, TOP - (BOTTOM if negatives else FLOOR))
    units[0] += CAP + 0.08 - TOP
    fixed = _INCH["title"] + strip + _INCH["gap"] * rows + _INCH["bottom"] + foot
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


def lay_rows(frames: np.ndarray | None, heights: Sequence[float], foot: float = 0.0) -> list["Axes"]:
    """The strip's axis and rows of the given inches in a figure of their own, aligned as those of :func:`lay_out`."""
    width, gap = 8.0, 2 * _INCH["gap"]
    inner = width - _INCH["left"] - _INCH["right"]
    sizes = [_strip_inches(frames, inner), *heights]
    height = _INCH["title"] + sum(sizes) + gap * len(heights) + _INCH["bottom"] + foot
    figure = new_figure(figsize=(width, height))
    axes: list[Axes] = []
    top = height - _INCH["title"]
    for size in sizes:
        box = (_INCH["left"] / width, (top - size) / height, inner / width, size / height)
        axes.append(figure.add_axes(box, sharex=axes[0] if axes else None))
        top -= size + gap
    return axes


def foot_inches(words: str, scale: HardnessScale | None) -> float:
    """How much room :func:`write_foot` needs."""
    return LINE_INCH * len(_lines(words)) + (SCALE_INCH if scale else 0.0) + (0.06 if words or scale else 0.0)


def write_foot(figure: "Figure", words: str, scale: HardnessScale | None) -> None:
    """Write below a figure what its colours mean and what its numbers say; :func:`foot_inches` is the room."""
    width, height = figure.get_size_inches()
    left, y = _INCH["left"] / width, foot_inches(words, scale) - 0.04
    if scale is not None:
        _draw_scale(figure, scale, left, y / height)
        y -= SCALE_INCH
    for line in _lines(words):
        figure.text(left, y / height, line, fontsize=8.5, color=INK, va="top")
        y -= LINE_INCH


def _draw_scale(figure: "Figure", scale: HardnessScale, left: float, top: float) -> None:
    """A bar from easy to hard with its two numbers, and what they measure."""
    from matplotlib.colors import LinearSegmentedColormap

    width, height = figure.get_size_inches()
    shades = LinearSegmentedColormap.from_list("hardness", list(STOPS["color"]))
    style: dict[str, Any] = {"fontsize": 8, "va": "center"}
    middle = top - 0.08 / height
    figure.text(left - 0.12 / width, middle, "negatives", color=FAINT, ha="right", **style)
    figure.text(left, middle, f"easy {scale.easy:.2f}", color=STOPS["text"][0], **style)
    bar = figure.add_axes((left + 0.72 / width, top - 0.13 / height, 1.1 / width, 0.1 / height), label="hardness")
    bar.imshow(np.linspace(0, 1, 128)[None], aspect="auto", cmap=shades)
    bar.set_axis_off()
    figure.text(left + 1.9 / width, middle, f"{scale.hard:.2f} hard", color=STOPS["text"][-1], **style)
    figure.text(left + 2.65 / width, middle, scale.words, color=FAINT, **style)


def _lines(words: str) -> list[str]:
    return textwrap.wrap(words, 106)


def _strip_inches(frames: np.ndarray | None, inner: float) -> float:
    return 0.02 if frames is None else 0.3 if frames.ndim == 1 else float(np.clip(inner / len(frames), 0.35, 0.8))
