"""Proposals over time: film strip above, positives as curves above the base line, negatives as curves hanging below it.

Everything is in seconds.  Position says what a curve is before colour does: up is a positive, down is a negative, the
band through both is the ground truth, the bold filled curve is the answer of the model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
from jaxtyping import Float

from vmlkit.viz.filmstrip import draw_strip
from vmlkit.viz.following import following
from vmlkit.viz.hardness import HardnessScale, hardness_scale
from vmlkit.viz.layout import BOTTOM, CAP, FLOOR, TOP, foot_inches, lay_out, write_foot
from vmlkit.viz.shapes import Curve, gaussian, grid, visible
from vmlkit.viz.snapshots import AnyRun, RunView, Snapshot, as_view
from vmlkit.viz.style import FAINT, INK, ROLES, as_written, plain_axis, spread_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: one (start, end) or several
Spans: TypeAlias = tuple[float, float] | Sequence[Sequence[float]] | np.ndarray

#: how deep a negative hangs, where a positive is 1 high
_DIP = 0.78


class TimelineAxes(NamedTuple):
    """The two axes of a timeline; both x axes are in seconds."""

    strip: "Axes"
    lanes: "Axes"

    @property
    def figure(self) -> "Figure":
        """The figure both belong to; as the last line of a cell it is shown."""
        return _root(self.lanes)


def draw_timeline(
    target: "Axes | Figure | SubFigure | None",
    frames: np.ndarray | None,
    duration_s: float,
    truth_s: Spans | None,
    positives: Float[np.ndarray, "P 2"],
    negatives: Float[np.ndarray, "M 2"] | Sequence[Sequence[float]] = (),
    *,
    sentence: str | None = None,
    **lanes: Any,
) -> TimelineAxes:
    """Draw one query: film strip, ground truth, positives (up), negatives (down), over seconds.

    The figure made for ``target=None`` is not registered with pyplot: it is shown once, where it is returned.

    Args:
        target: where to draw; None makes a figure eight inches wide, an axis gives up its place.
        frames: pictures ``(n, px, px, 3)`` uint8, a trace ``(T,)``, or None.
        duration_s: length of the video.
        truth_s: start and end of the annotated moment in seconds, a list of them where there are several, or None.
        positives: center and width of each positive, fractions of the video.
        negatives: the same for the negatives.
        sentence: the query, written above the strip.
        lanes: what :func:`draw_lanes` takes beside these.
    """
    strip_ax, lanes_ax = lay_out(target, frames, 1, len(negatives) > 0)
    draw_strip(strip_ax, frames, duration_s)
    if sentence is not None:
        write_sentence(strip_ax, sentence)
    draw_lanes(lanes_ax, duration_s, truth_s, positives, negatives, **lanes)
    return TimelineAxes(strip_ax, lanes_ax)


def draw_lanes(
    ax: "Axes",
    duration_s: float,
    truth_s: Spans | None,
    positives: Float[np.ndarray, "P 2"],
    negatives: Float[np.ndarray, "M 2"] | Sequence[Sequence[float]] = (),
    *,
    chosen: int | None = 0,
    iou: float | None = None,
    answer_s: tuple[float, float] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    curve: Curve | None = None,
    negative_curve: Curve | None = None,
    negative_roles: str | Sequence[str] = "hard_negative",
    negative_colors: Sequence[str] | None = None,
    cap: bool = True,
) -> "Axes":
    """The part of :func:`draw_timeline` below the film strip, on an axis of its own.

    Args:
        chosen: which positive is the answer; None when there is no answer.
        iou: of the answer with the ground truth, for its label.
        answer_s: start and end of the answer in seconds; center -+ width / 2 unless given (a mixture differs).
        weights: one selection weight per negative, written below it.
        curve: ``curve(center, width, t)`` with t in fractions; :func:`gaussian` with sigma 9 unless given.
        negative_curve: the same for negatives; ``curve`` unless given.
        negative_roles: a role of :data:`~vmlkit.viz.style.ROLES` for all negatives, or one for each.
        negative_colors: one for each negative (:mod:`vmlkit.viz.hardness`); those of the roles unless given.
        cap: draw the bar that names the ground truth; rows below the first leave it out.
    """
    curve = curve or gaussian()
    negatives = np.asarray(negatives, dtype=float).reshape(-1, 2)
    plain_axis(ax)
    ax.spines["bottom"].set_visible(False)
    ax.set_xlim(0, duration_s)
    ax.set_ylim(BOTTOM if len(negatives) else FLOOR, CAP + 0.08 if cap else TOP)
    if truth_s is not None:
        _draw_truth(ax, truth_s, cap)
    ax.axhline(0, color=FAINT, linewidth=0.7, zorder=3)
    _draw_positives(ax, duration_s, np.asarray(positives, dtype=float).reshape(-1, 2), chosen, curve)
    if chosen is not None and len(positives):
        _draw_answer(ax, duration_s, positives[chosen], iou, answer_s)
    _draw_negatives(ax, duration_s, negatives, weights, negative_curve or curve, negative_roles, negative_colors)
    ax.locator_params(axis="x", nbins=9, steps=[1, 2, 5, 10])
    ax.set_xlabel("time (s)")
    return ax


def draw_epochs(
    run: AnyRun,
    query_id: object,
    epochs: Iterable[int] = (0, 1, 3, -1),
) -> "Figure":
    """One query at several epochs, one row each below a shared film strip, and whether the windows follow it.

    Args:
        run: a run directory or its path.
        query_id: one of the recorded queries.
        epochs: wanted epochs, -1 for the last; the nearest recorded ones are drawn.

    Raises:
        DataError: for a query that was not recorded.
    """
    view = as_view(run)
    query = view.query(query_id)
    shots = [view.snapshot(query_id, e) for e in view.pick_epochs(epochs)]
    strip = view.film_strip(query["video_id"])
    scale, words = hardness_scale(view), following(view)
    negatives = any(len(s.negatives) for s in shots)
    strip_ax, *rows = lay_out(None, strip, len(shots), negatives, foot=foot_inches(words, scale))
    draw_strip(strip_ax, strip, query["duration_s"])
    write_sentence(strip_ax, query["sentence"])
    for i, (ax, shot) in enumerate(zip(rows, shots, strict=True)):
        look = {**lanes_of(view, shot, scale), "weights": _informative(shot), "cap": i == 0}
        draw_lanes(ax, query["duration_s"], view.truths(query_id), shot.positives, shot.negatives, **look)
        _label_row(ax, shot, last=i == len(shots) - 1)
    write_foot(_root(strip_ax), words, scale)
    return _root(strip_ax)


def lanes_of(view: RunView, shot: Snapshot, scale: HardnessScale | None) -> dict[str, Any]:
    """What :func:`draw_lanes` takes beside the places of a recorded moment: its answer, curves, roles and colours."""
    positive, negative = view.shapes()
    return {
        "chosen": shot.chosen,
        "iou": shot.chosen_iou,
        "answer_s": shot.answer_s(view.query(shot.query_id)["duration_s"]),
        "curve": gaussian(*astuple(positive)),
        "negative_curve": gaussian(*astuple(negative)),
        "negative_roles": shot.negative_roles,
        "negative_colors": scale.colors(shot) if scale else None,
    }


def _root(ax: "Axes") -> "Figure":
    return cast("Figure", ax.get_figure(root=True))


def _informative(shot: Snapshot) -> np.ndarray | None:
    """Selection weights, or None where they say nothing (absent, or all equal)."""
    weights = shot.negative_weights
    return weights if len(weights) and np.isfinite(weights).all() and np.ptp(weights) > 1e-6 else None


def _label_row(ax: "Axes", shot: Snapshot, last: bool) -> None:
    for text in ax.texts:
        if text.get_gid() == "positives":
            text.set_y(0.42)
    _lane_label(ax, 0.86, "before training" if shot.epoch == 0 else f"epoch {shot.epoch}", INK, "epoch")
    if not last:
        leave_out_seconds(ax)


def _draw_truth(ax: "Axes", truth_s: Spans, cap: bool) -> None:
    role, windows = ROLES["truth"], np.asarray(truth_s, dtype=float).reshape(-1, 2)
    low, top = ax.get_ylim()
    top = CAP if cap else top
    for start, end in windows:
        ax.fill_between([start, end], low, top, color=role.color, alpha=0.16, linewidth=0, zorder=0, label=role.label)
        ax.vlines([start, end], low, top, color=role.color, linewidth=role.width, zorder=1)
        if cap:
            ax.fill_between([start, end], CAP - 0.07, CAP + 0.07, color=role.color, linewidth=0, zorder=4)
    if not cap:
        return
    start, end = float(windows[:, 0].min()), float(windows[:, 1].max())
    words = f"{start:.1f}–{end:.1f} s" if len(windows) == 1 else f"{len(windows)} windows"
    duration = ax.get_xlim()[1]
    right = end < 0.85 * duration
    x, side = (end + 0.008 * duration, "left") if right else (start - 0.008 * duration, "right")
    ax.text(x, CAP, words, ha=side, va="center", color=role.text, fontsize=8)
    _lane_label(ax, CAP, role.label, role.text, "truth")


def _draw_positives(ax: "Axes", duration_s: float, positives: np.ndarray, chosen: int | None, curve: Curve) -> None:
    for p, (center, width) in enumerate(positives):
        role = ROLES["chosen" if p == chosen else "positive"]
        t = grid(center, width)
        height = visible(curve(center, width, t))
        style: dict[str, Any] = {"color": role.color, "linewidth": role.width, "zorder": 6 if p == chosen else 5}
        ax.plot(t * duration_s, height, linestyle=role.linestyle, label=role.label, clip_on=False, **style)
        if p == chosen:
            ax.fill_between(t * duration_s, 0, height, color=role.color, alpha=0.22, linewidth=0, zorder=2)
    if len(positives) > (chosen is not None):
        _lane_label(ax, 0.5, "positives", ROLES["positive"].text, "positives")


def _draw_answer(
    ax: "Axes",
    duration_s: float,
    place: Sequence[float] | np.ndarray,
    iou: float | None,
    answer_s: tuple[float, float] | None,
) -> None:
    """Mark the predicted span on the base line and write its IoU above the curve."""
    from matplotlib.patheffects import withStroke

    role, (center, width) = ROLES["chosen"], place
    start, end = answer_s or ((center - width / 2) * duration_s, (center + width / 2) * duration_s)
    start, end = max(start, 0), min(end, duration_s)
    style: dict[str, Any] = {"color": role.color, "linewidth": 4, "solid_capstyle": "butt", "zorder": 7}
    ax.plot([start, end], [0, 0], label="predicted span", **style)
    _lane_label(ax, 0, "answer", role.text, "answer")
    text = "" if iou is None or np.isnan(iou) else f"IoU {iou:.2f}"
    x = min(max(center, 0.035), 0.965) * duration_s
    words = ax.text(x, 1.06, text, ha="center", va="bottom", color=role.text, fontsize=8.5, fontweight="bold", zorder=8)
    words.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.85)])


def _draw_negatives(
    ax: "Axes",
    duration_s: float,
    negatives: np.ndarray,
    weights: Sequence[float] | np.ndarray | None,
    curve: Curve,
    roles: str | Sequence[str],
    colors: Sequence[str] | None,
) -> None:
    names = [roles] * len(negatives) if isinstance(roles, str) else list(roles)
    measured, colors = colors is not None, colors or [ROLES[name].color for name in names]
    for (center, width), name, color in zip(negatives, names, colors, strict=True):
        role = ROLES[name]
        t = grid(center, width)
        height, x = -_DIP * visible(curve(center, width, t)), t * duration_s
        ax.fill_between(x, 0, height, facecolor="none", edgecolor=color, hatch=role.hatch, linewidth=0, alpha=0.35)
        ax.plot(x, height, color=color, linewidth=role.width, linestyle=role.linestyle, label=role.label, zorder=4)
    for name, y in zip(dict.fromkeys(names), (-0.4, -0.76), strict=False):
        _lane_label(ax, y, ROLES[name].label, FAINT if measured else ROLES[name].text, "negatives")
    if weights is not None:
        places = spread_apart([float(np.clip(c, 0, 1)) for c in negatives[:, 0]], 0.06, 0.02, 0.98)
        for place, weight in zip(places, weights, strict=True):
            ax.text(place * duration_s, -0.83, f"{weight:.2f}", ha="center", va="top", fontsize=7.5, color=FAINT)


def _lane_label(ax: "Axes", y: float, text: str, color: str, gid: str) -> None:
    """Name a lane in the left margin; ``gid`` lets a caller find the words again."""
    place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    weight = "bold" if gid == "answer" else "normal"
    ax.text(-0.015, y, text, color=color, fontsize=9 if gid == "epoch" else 8.5, gid=gid, fontweight=weight, **place)


def leave_out_seconds(ax: "Axes") -> None:
    """Rows above the last one share its seconds."""
    ax.set_xlabel("")
    ax.tick_params(axis="x", length=0, labelbottom=False)


def write_sentence(ax: "Axes", sentence: str) -> None:
    """Write the query above the film strip."""
    ax.set_title(f"“{as_written(sentence)}”", loc="left", fontsize=10.5, color=INK, pad=6)
