"""Film strips: what the video shows, over seconds; for feature-only data, a heat map instead of pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from vmlkit.errors import DataError
from vmlkit.viz.style import FAINT, HAIR, attention_colormap

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_strip(ax: "Axes", strip: np.ndarray | None, duration_s: float) -> "Axes":
    """Draw pictures ``(n, px, px, 3)``, a trace ``(T,)``, or nothing (None), over ``duration_s`` seconds.

    Raises:
        DataError: for an array of any other shape.
    """
    if strip is None:
        _seconds_only(ax, duration_s)
        return ax
    if strip.ndim == 4 and strip.shape[-1] == 3:
        return draw_film_strip(ax, strip, duration_s)
    if strip.ndim == 1:
        return draw_heat_strip(ax, strip, duration_s)
    raise DataError("film strip", f"has shape {strip.shape}", "pass pictures (n, px, px, 3) or a trace (T,)")


def draw_film_strip(ax: "Axes", frames: UInt8[np.ndarray, "n px px 3"], duration_s: float) -> "Axes":
    """Draw ``n`` pictures side by side, each centred on its time (k + 0.5) duration_s / n; the x axis is in seconds.

    Pictures keep their proportions.  Where the axes are too low for all of them side by side, every second (third, ...)
    is shown; the position of a picture always is its time, but that the first moves inwards by less than half a clip
    where it would be cut off.

    Args:
        frames: evenly spaced pictures, uint8.
        duration_s: length of the video.
    """
    _seconds_only(ax, duration_s)
    box = ax.get_window_extent()
    height_s = duration_s * box.height / box.width
    step = max(1, int(np.ceil(0.98 * height_s * len(frames) / duration_s)))
    # between two even steps there is no middle picture: a little room is left for the first one to move into
    side = min(0.94 * (step if step % 2 else step - 0.25) * duration_s / len(frames), height_s)
    tall = side / height_s
    for k in range((step - 1) // 2, len(frames), step):
        middle = max((k + 0.5) * duration_s / len(frames), side / 2)
        extent = (middle - side / 2, middle + side / 2, 0.5 - tall / 2, 0.5 + tall / 2)
        ax.imshow(frames[k], extent=extent, aspect="auto", interpolation="lanczos", zorder=2)
    ax.set_xlim(0, duration_s)
    ax.set_ylim(0, 1)
    return ax


def draw_heat_strip(ax: "Axes", heat: Float[np.ndarray, " T"], duration_s: float) -> "Axes":
    """Draw one value per clip as a row of shades from white to the attention colour; the x axis is in seconds.

    Args:
        heat: any scale; the smallest finite value is white, the largest dark.
        duration_s: length of the video.
    """
    from matplotlib.patches import Rectangle

    _seconds_only(ax, duration_s)
    values = np.asarray(heat, dtype=float)[None]
    look: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "zorder": 2}
    ax.imshow(values, extent=(0, duration_s, 0.15, 0.85), cmap=attention_colormap(), **look)
    ax.add_patch(Rectangle((0, 0.15), duration_s, 0.7, fill=False, edgecolor=HAIR, linewidth=0.7, zorder=3))
    ax.text(-0.015, 0.5, "features", transform=ax.transAxes, ha="right", va="center", fontsize=8.5, color=FAINT)
    ax.set_xlim(0, duration_s)
    ax.set_ylim(0, 1)
    return ax


def _seconds_only(ax: "Axes", duration_s: float) -> None:
    """No frame, no ticks: the axis below shares these seconds and carries the numbers."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_yticks([])
    ax.set_xlim(0, duration_s)
    ax.set_ylim(0, 1)
    ax.tick_params(axis="x", length=0, labelbottom=False)
