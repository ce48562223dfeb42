"""Found moments over a film strip: one lane a sentence, with who found them above and below its curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from vmlkit.errors import DataError
from vmlkit.viz.filmstrip import draw_film_strip
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, as_written, attention_colormap, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: how each source is drawn: the role whose colour and hatch it has, and the words at the left
SOURCES = {"trained": ("positive", "trained"), "similarity": ("attention", "similarity")}
_TALL, _WIDE, _LEFT, _RIGHT = 0.92, 9.0, 0.105, 0.985


@dataclass(frozen=True)
class Lane:
    """What was found for one sentence."""

    sentence: str
    found: Mapping[str, Float[np.ndarray, "n 3"]]  #: start, end (seconds), score, by source; the answer's source first
    curve: Float[np.ndarray, " T"] | None = None
    times: Float[np.ndarray, "T 2"] | None = None  #: seconds of the curve's values
    truth_s: tuple[float, float] | None = None  #: where it is known


def draw_moments(
    frames: UInt8[np.ndarray, "n px px 3"], duration_s: float, lanes: Sequence[Lane], *, shown: int = 3
) -> "Figure":
    """Draw a film strip and below it a lane for each sentence; the answer is filled, further moments are outlines.

    Args:
        frames: evenly spaced pictures.
        duration_s: length of the video.
        lanes: at least one.
        shown: most moments of a source that are drawn.

    Raises:
        DataError: for no lane.
    """
    if not lanes:
        raise DataError("moments", "there is no sentence to draw", "ask at least one")
    tall = 0.95 + _TALL * len(lanes) + 0.42
    fig = new_figure(figsize=(_WIDE, tall))
    strip = fig.add_axes((_LEFT, 1 - 0.92 / tall, _RIGHT - _LEFT, 0.84 / tall))
    draw_film_strip(strip, frames, duration_s)
    for i, lane in enumerate(lanes):
        bottom = (0.42 + _TALL * (len(lanes) - 1 - i)) / tall
        ax = fig.add_axes((_LEFT, bottom, _RIGHT - _LEFT, 0.6 / tall))
        _draw_lane(ax, lane, duration_s, shown)
        ax.tick_params(axis="x", labelbottom=i + 1 == len(lanes))
    ax.set_xlabel("time (s)")
    return fig


def _draw_lane(ax: "Axes", lane: Lane, duration_s: float, shown: int) -> None:
    ax.set_xlim(0, duration_s)
    ax.set_ylim(-1, 1)
    ax.set_yticks([])
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.axhline(0, color=HAIR, linewidth=0.7, zorder=1)
    ax.text(0, 1.12, f"“{as_written(lane.sentence)}”", ha="left", va="bottom", fontsize=9.5, color=INK, clip_on=False)
    if lane.truth_s is not None:
        ax.axvspan(*lane.truth_s, color=ROLES["truth"].color, alpha=0.16, linewidth=0)
    if lane.curve is not None and lane.times is not None and len(lane.curve):
        low, high = float(lane.curve.min()), float(lane.curve.max())
        height = (lane.curve - low) / ((high - low) or 1.0)
        middle = lane.times.mean(axis=1)
        ax.fill_between(middle, -1, -1 + 0.95 * height, color=FAINT, alpha=0.22, linewidth=0, zorder=1)
    answer = next(iter(lane.found), None)
    for name, rows in lane.found.items():
        role, words = SOURCES[name]
        y = 0.12 if name == "trained" else -0.88
        color = ROLES[role]
        ax.text(-0.008, y + 0.38, words, transform=_beside(ax), ha="right", va="center", fontsize=8.5, color=color.text)
        for rank, (start, end, _) in reversed(list(enumerate(rows[:shown].tolist()))):
            _bar(ax, (start, end), y, color.color, filled=rank == 0, bold=rank == 0 and name == answer)
        if name == answer and len(rows):
            _name(ax, rows[0], y, duration_s, color.text)


def _beside(ax: "Axes") -> Any:
    """Across in shares of the axis, up in its own units."""
    return ax.get_yaxis_transform()


def _bar(ax: "Axes", span: tuple[float, float], y: float, color: str, *, filled: bool, bold: bool) -> None:
    look: dict[str, Any] = {"facecolor": color, "alpha": 0.85} if filled else {"facecolor": "none"}
    ax.barh(y, span[1] - span[0], 0.76, span[0], align="edge", edgecolor=color, linewidth=1.8 if bold else 0.9, **look)


def _name(ax: "Axes", row: Float[np.ndarray, "3"], y: float, duration_s: float, color: str) -> None:
    """Seconds of the answer, right of its bar where there is room, else left."""
    start, end = float(row[0]), float(row[1])
    right = duration_s - end > 0.12 * duration_s
    gap = 0.006 * duration_s
    x, side = (end + gap, "left") if right else (start - gap, "right")
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
    words = f"{start:.1f}–{end:.1f} s"
    ax.text(x, y + 0.38, words, ha=side, va="center", fontsize=8.5, color=color, bbox=box)


def draw_word_attention(
    frames: UInt8[np.ndarray, "n px px 3"],
    duration_s: float,
    words: Sequence[str],
    weights: Float[np.ndarray, "L T"],
) -> "Figure":
    """Draw a film strip and below it a row of shades for each word: where the model looks when it says the word.

    Args:
        frames: evenly spaced pictures.
        duration_s: length of the video.
        weights: attention of each word; each row has its own scale, from white to dark.

    Raises:
        DataError: where words and rows disagree.
    """
    if len(words) != len(weights) or not len(words):
        raise DataError("attention", f"{len(words)} words and {len(weights)} rows", "give a row for each word")
    tall = 0.95 + 0.27 * len(words) + 0.42
    fig = new_figure(figsize=(_WIDE, tall))
    draw_film_strip(fig.add_axes((_LEFT, 1 - 0.92 / tall, _RIGHT - _LEFT, 0.84 / tall)), frames, duration_s)
    ax = fig.add_axes((_LEFT, 0.42 / tall, _RIGHT - _LEFT, 0.27 * len(words) / tall))
    top = weights.max(axis=1, keepdims=True)
    look: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "cmap": attention_colormap()}
    ax.imshow(weights / np.where(top > 0, top, 1), extent=(0, duration_s, len(words) - 0.5, -0.5), vmin=0, **look)
    ax.set_yticks(range(len(words)), words, fontsize=9)
    ax.tick_params(axis="y", length=0)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.set_xlabel("time (s)")
    return fig
