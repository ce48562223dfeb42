"""Mixtures of Gaussians over seconds, and the way that free proposals go under a loss."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.viz.filmstrip import draw_strip
from vmlkit.viz.layout import lay_out
from vmlkit.viz.shapes import gaussian, visible
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, new_figure
from vmlkit.viz.timeline import draw_lanes, leave_out_seconds, write_sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: centers, widths and weights of the components of one proposal, fractions of the video
Mixture = tuple[Sequence[float], Sequence[float], Sequence[float]]


def draw_mixture(
    ax: "Axes",
    duration_s: float,
    centers: Float[np.ndarray, " J"] | Sequence[float],
    widths: Float[np.ndarray, " J"] | Sequence[float],
    weights: Float[np.ndarray, " J"] | Sequence[float],
    *,
    sigma: float,
    role: Literal["chosen", "positive"] = "chosen",
) -> "Axes":
    """Draw ``sum_j q_j g_j``, filled and bold where it is chosen, and its parts ``q_j g_j`` thin below it.

    The sum is as high as it is: two far components of weight 1/2 reach 1/2.  One component is a plain Gaussian.

    Args:
        ax: an axis in seconds, as :func:`vmlkit.viz.timeline.draw_lanes` prepares it.
        centers: fractions of the video.
        widths: the same; the standard deviation is width / sigma.
        weights: q, which sum to one.
        role: ``"positive"`` draws it thin, as one that is not the answer.
    """
    t, curve = np.linspace(0, 1, 801), gaussian(sigma)
    parts = [q * curve(c, w, t) for c, w, q in zip(centers, widths, weights, strict=True)]
    part, whole = ROLES["positive"], ROLES[role]
    for height in parts if len(parts) > 1 else []:
        ax.plot(t * duration_s, visible(height), color=part.color, linewidth=part.width, label="component", zorder=5)
    total = np.sum(parts, axis=0)
    ax.plot(t * duration_s, visible(total), color=whole.color, linewidth=whole.width, label="mixture", zorder=6)
    if role == "chosen":
        ax.fill_between(t * duration_s, 0, visible(total), color=whole.color, alpha=0.22, linewidth=0, zorder=2)
    return ax


def draw_mixtures(
    frames: np.ndarray | None,
    duration_s: float,
    truth_s: tuple[float, float] | None,
    rows: Mapping[str, Sequence[Mixture]],
    *,
    sigma: float,
    sentence: str | None = None,
    chosen: Mapping[str, int] | None = None,
) -> "Figure":
    """One named row of proposals a line, below a shared film strip and the ground truth.

    Args:
        frames: pictures, a trace or None, as in :func:`vmlkit.viz.filmstrip.draw_strip`.
        rows: name -> the proposals of that row.
        sigma: of every Gaussian.
        chosen: name -> which proposal of that row is the answer; all are drawn as chosen in a row not named here.

    Raises:
        DataError: for no row.
    """
    if not rows:
        raise DataError("draw_mixtures", "there is no row", "give at least one named row of proposals")
    strip, *lanes = lay_out(None, frames, len(rows), negatives=False)
    draw_strip(strip, frames, duration_s)
    if sentence is not None:
        write_sentence(strip, sentence)
    for i, (ax, (name, proposals)) in enumerate(zip(lanes, rows.items(), strict=True)):
        draw_lanes(ax, duration_s, truth_s, np.empty((0, 2)), chosen=None, cap=i == 0)
        answer = (chosen or {}).get(name)
        for k, (centers, widths, weights) in enumerate(proposals):
            role: Literal["chosen", "positive"] = "chosen" if answer in (None, k) else "positive"
            draw_mixture(ax, duration_s, centers, widths, weights, sigma=sigma, role=role)
        place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
        ax.text(-0.015, 0.5, name, color=INK, fontsize=8.5, **place)
        if i < len(lanes) - 1:
            leave_out_seconds(ax)
    figure: Figure = strip.get_figure(root=True)  # type: ignore[assignment]
    return figure


def draw_paths(
    paths: Mapping[str, tuple[np.ndarray, np.ndarray]], duration_s: float, *, sigma: float, every: int = 1
) -> "Figure":
    """Where free components go, one panel a loss: seconds to the right, gradient steps downwards.

    A line is a center, the band about it one standard deviation to each side.

    Args:
        paths: name -> (centers, widths), each (steps, J), fractions of the video.
        sigma: the standard deviation is width / sigma.
        every: what one row of the arrays is worth, in gradient steps.

    Raises:
        DataError: where centers and widths differ in shape.
    """
    fig = new_figure(figsize=(0.5 + 2.1 * len(paths), 2.6), layout="constrained")
    axes = fig.subplots(1, len(paths), sharey=True, squeeze=False)[0]
    part = ROLES["positive"]
    for ax, (name, (centers, widths)) in zip(axes, paths.items(), strict=True):
        if centers.shape != widths.shape or centers.ndim != 2:
            what = f"centers {centers.shape} and widths {widths.shape} disagree"
            raise DataError(f"paths '{name}'", what, "give two arrays of shape (steps, components)")
        step = every * np.arange(len(centers))
        for center, width in zip(centers.T * duration_s, widths.T * duration_s / sigma, strict=True):
            ax.fill_betweenx(step, center - width, center + width, color=part.color, alpha=0.2, linewidth=0)
            ax.plot(center, step, color=part.text, linewidth=1.6, label="center")
        ax.set_xlim(0, duration_s)
        ax.set_ylim(step[-1], 0)
        ax.set_title(name, loc="left")
        ax.grid(axis="x", color=HAIR)
        ax.set_xlabel("time (s)", color=FAINT)
    axes[0].set_ylabel("gradient step")
    return fig
