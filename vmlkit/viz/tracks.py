"""Time by epoch: what the scrubber plays, as one picture with a band for every window."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.viz.filmstrip import draw_strip
from vmlkit.viz.following import following
from vmlkit.viz.hardness import HardnessScale, hardness_scale
from vmlkit.viz.layout import foot_inches, lay_rows, write_foot
from vmlkit.viz.snapshots import AnyRun, CurveShape, RunView, Snapshot, as_view
from vmlkit.viz.style import FAINT, HAIR, ROLES
from vmlkit.viz.timeline import leave_out_seconds, write_sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: inches of the picture of positives, and of that of negatives
_HEIGHTS = (1.7, 1.7)


#: what is between two recorded epochs
_JOINED, _APART = "Dots are recorded epochs; lines only join them.", "Dots are recorded epochs."


def draw_tracks(run: AnyRun, query_id: object) -> "Figure":
    """One query over all recorded epochs: positives above, negatives below, the true moment shaded through both.

    Seconds to the right, epochs downwards.  A line is a center, the band about it is where the curve of the window is
    above 61 % of its height (one standard deviation of a Gaussian to each side).  The bold dark line is the answer:
    where thin dots join two of its places another window was chosen, and where it bends, a window moved.  Negatives
    have the colour of their measured hardness at each epoch; a line across marks where P0's c changes its sign.
    Detections of a video are ranked anew at each epoch, so nothing joins them.

    Args:
        run: a run directory or its path.
        query_id: one of the recorded queries.

    Raises:
        DataError: for a query that was not recorded.
    """
    view = as_view(run)
    query = view.query(query_id)
    shots = [view.snapshot(query_id, epoch) for epoch in view.recorded_epochs]
    scale, words = hardness_scale(view), f"{_JOINED if view.steady else _APART} {following(view)}".strip()
    negatives = any(len(shot.negatives) for shot in shots)
    strip = view.film_strip(query["video_id"])
    heights = _HEIGHTS if negatives else _HEIGHTS[:1]
    strip_ax, *rows = lay_rows(strip, heights, foot_inches(words, scale if negatives else None))
    draw_strip(strip_ax, strip, query["duration_s"])
    write_sentence(strip_ax, query["sentence"])
    for ax, name in zip(rows, ("positives", "negatives"), strict=False):
        _prepare(ax, view, query_id, name)
    positive, negative = view.shapes()
    if view.steady:
        _draw_positives(rows[0], shots, query["duration_s"], positive)
    else:
        _draw_detections(rows[0], shots, query["duration_s"])
    if negatives:
        _draw_negatives(rows[1], shots, query["duration_s"], negative, scale)
        _mark_turn(rows[1], view)
        leave_out_seconds(rows[0])
    rows[-1].set_xlabel("time (s)")
    figure: Figure = strip_ax.get_figure(root=True)  # type: ignore[assignment]
    write_foot(figure, words, scale if negatives else None)
    return figure


def _prepare(ax: "Axes", view: RunView, query_id: object, name: str) -> None:
    """Epochs downwards, seconds to the right, the true windows shaded."""
    epochs, truth = view.recorded_epochs, ROLES["truth"]
    ax.set_xlim(0, view.query(query_id)["duration_s"])
    ax.set_ylim(epochs[-1] + 0.3, epochs[0] - 0.3)
    ax.locator_params(axis="y", integer=True, nbins=6)
    ax.grid(axis="y", color=HAIR, linewidth=0.5)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_ylabel(f"{name}\nepoch", color=FAINT)
    for start, end in view.truths(query_id):
        ax.axvspan(start, end, color=truth.color, alpha=0.16, linewidth=0, zorder=0, label=truth.label)
        for edge in (start, end):
            ax.axvline(edge, color=truth.color, linewidth=truth.width, zorder=1)


def _draw_positives(ax: "Axes", shots: list[Snapshot], duration_s: float, shape: CurveShape) -> None:
    role, chosen = ROLES["positive"], ROLES["chosen"]
    epochs = [shot.epoch for shot in shots]
    for centers, starts, ends in _paths([s.positives for s in shots], shape, duration_s):
        ax.fill_betweenx(epochs, starts, ends, color=role.color, alpha=0.13, linewidth=0, zorder=2)
        ax.plot(centers, epochs, color=role.color, linewidth=role.width, label=role.label, zorder=3)
    answers = [np.nan if s.chosen is None else s.positives[s.chosen, 0] * duration_s for s in shots]
    # from window to window in thin dots: the choice jumped, nothing moved there
    ax.plot(answers, epochs, color=chosen.color, linewidth=0.8, linestyle=(0, (1, 2)), zorder=4)
    for e, (before, after) in enumerate(itertools.pairwise(shots)):
        if before.chosen is not None and before.chosen == after.chosen:
            here = slice(e, e + 2)
            ax.plot(
                answers[here],
                epochs[here],
                color=chosen.color,
                linewidth=chosen.width,
                solid_capstyle="round",
                zorder=5,
            )
    ax.plot(answers, epochs, "o", color=chosen.color, markersize=3.2, label=chosen.label, zorder=6)


def _draw_detections(ax: "Axes", shots: list[Snapshot], duration_s: float) -> None:
    role = ROLES["positive"]
    for shot in shots:
        for start, end in shot.spans * duration_s:
            ax.plot((start, end), (shot.epoch, shot.epoch), color=role.color, linewidth=3, alpha=0.4, zorder=2)
        centers = shot.positives[:, 0] * duration_s
        ax.plot(centers, [shot.epoch] * len(centers), "o", color=role.text, markersize=2.5, zorder=3)


def _draw_negatives(
    ax: "Axes", shots: list[Snapshot], duration_s: float, shape: CurveShape, scale: HardnessScale | None
) -> None:
    from matplotlib.collections import LineCollection

    colors = [scale.colors(s) if scale else [ROLES[r].color for r in s.negative_roles] for s in shots]
    epochs = [shot.epoch for shot in shots]
    paths = _paths([s.negatives for s in shots], shape, duration_s)
    for m, (centers, starts, ends) in enumerate(paths):
        mine = [row[m] if m < len(row) else HAIR for row in colors]
        points = np.stack((centers, epochs), axis=1)
        style: dict[str, Any] = {"linewidths": 2.2, "zorder": 4, "label": "negative", "capstyle": "round"}
        ax.add_collection(LineCollection([*np.stack((points[:-1], points[1:]), axis=1)], colors=mine[1:], **style))
        ax.scatter(centers, epochs, s=9, c=mine, zorder=5, linewidths=0)
        for e in range(1, len(epochs)):
            here = slice(e - 1, e + 1)
            ax.fill_betweenx(epochs[here], starts[here], ends[here], color=mine[e], alpha=0.12, linewidth=0, zorder=2)


def _mark_turn(ax: "Axes", view: RunView) -> None:
    """A line between the last epoch with c < 0 and the first with c > 0, and the two signs beside it."""
    signs = [(epoch, view.clock(epoch)) for epoch in view.recorded_epochs]
    below = [epoch for epoch, c in signs if c < 0]
    above = [epoch for epoch, c in signs if c >= 0]
    if not below or not above:
        return
    turn = (below[-1] + above[0]) / 2
    ax.axhline(turn, color=FAINT, linewidth=0.9, linestyle=(0, (4, 2)), zorder=3, label="c = 0")
    place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "ha": "right"}
    for words, shift, va in (("c < 0", -2, "bottom"), ("c > 0", 2, "top")):
        ax.annotate(words, (0.995, turn), xytext=(0, -shift), va=va, fontsize=8, color=FAINT, **place)


def _paths(
    places: list[np.ndarray], shape: CurveShape, duration_s: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Center and the two edges of the band over epochs in seconds, for each proposal; NaN at epochs that have fewer."""
    table = np.full((len(places), max(map(len, places)), 2), np.nan)
    for e, here in enumerate(places):
        table[e, : len(here)] = here
    centers, half = table[..., 0], np.maximum(table[..., 1], shape.floor) / shape.sigma
    edges = (centers, np.clip(centers - half, 0, 1), np.clip(centers + half, 0, 1))
    return [tuple(duration_s * values[:, k] for values in edges) for k in range(table.shape[1])]  # type: ignore[misc]
