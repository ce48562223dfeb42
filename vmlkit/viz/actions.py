"""Class activation and attention over a video, epoch by epoch, from the files of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.errors import DataError
from vmlkit.viz.filmstrip import draw_strip
from vmlkit.viz.snapshots import as_view
from vmlkit.viz.style import INK, ROLES, as_written, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_class_activation(run: Any, query_id: str, epochs: Sequence[int] | None = None) -> "Figure":
    """The film strip, then one panel per epoch: class probability, attention, all true windows, the best detection.

    Args:
        run: a run directory of action localisation.
        query_id: a recorded (video, class) pair.
        epochs: which to draw; first, two in between and last unless given.

    Raises:
        DataError: for a run without signals per clip, or a pair or an epoch that was not recorded.
    """
    view, scores = as_view(run), run.clip_scores
    if "class_activation" not in scores:
        raise DataError(view.name, "no class activation was recorded", "draw a run of action localisation")
    query = view.query(query_id)
    recorded = scores["epochs"].tolist()
    chosen = list(epochs) if epochs is not None else _spread(recorded)
    if set(chosen) - set(recorded):
        raise DataError(view.name, f"epoch {sorted(set(chosen) - set(recorded))[0]} was not recorded", "choose another")
    row = scores["query_ids"].tolist().index(query["query_id"])
    height = 1.0 + 1.15 * len(chosen)
    figure = new_figure(figsize=(8.5, height))
    axes = figure.subplots(1 + len(chosen), 1, gridspec_kw={"height_ratios": [0.8, *[1] * len(chosen)]})
    figure.subplots_adjust(left=0.11, right=0.98, top=0.9, bottom=0.5 / height, hspace=0.25)
    draw_strip(axes[0], view.film_strip(query["video_id"]), query["duration_s"])
    axes[0].set_title(f"{as_written(query['sentence'])}  ({as_written(str(query['video_id']), 40)})")
    for ax, epoch in zip(axes[1:], chosen, strict=True):
        place = recorded.index(epoch)
        signals = {name: scores[name][place, row].astype(float) for name in ("class_activation", "attention")}
        best = view.snapshot(query_id, epoch).spans[:1] * query["duration_s"]
        draw_signals(ax, signals, query["duration_s"], query["spans_s"], best)
        ax.set_ylabel(f"epoch {epoch}", rotation=0, ha="right", va="center")
        ax.tick_params(labelbottom=epoch == chosen[-1])
    axes[-1].set_xlabel("seconds")
    named = {label: handle for ax in axes[1:] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(list(named.values()), list(named), loc="upper right", fontsize=7, ncols=4)
    return figure


def draw_signals(
    ax: "Axes",
    signals: dict[str, np.ndarray],
    duration_s: float,
    windows_s: Sequence[Sequence[float]],
    detections_s: np.ndarray,
) -> None:
    """One panel of :func:`draw_class_activation`; signals lie in [0, 1], detections are a bar above them."""
    for number, (start, end) in enumerate(windows_s):
        ax.axvspan(start, end, color=ROLES["truth"].color, alpha=0.22, lw=0, label="truth" if number == 0 else None)
    looks = {"class_activation": ("class probability", ROLES["chosen"]), "attention": ("attention", ROLES["attention"])}
    for name, values in signals.items():
        known = values[np.isfinite(values)]
        label, role = looks.get(name, (name, ROLES["positive"]))
        seconds = (np.arange(len(known)) + 0.5) / len(known) * duration_s
        width = 1.8 if name == "class_activation" else 1.2
        ax.plot(seconds, known, color=role.color, lw=width, label=label)
    for number, (start, end) in enumerate(detections_s):
        ax.plot([start, end], [1.12, 1.12], color=INK, lw=4, solid_capstyle="butt",
                label="best detection" if number == 0 and end > start else None)  # fmt: skip
    ax.set(xlim=(0, duration_s), ylim=(0, 1.25), yticks=(0, 1))


def _spread(recorded: list[int]) -> list[int]:
    places = np.unique(np.linspace(0, len(recorded) - 1, 4).round().astype(int))
    return [recorded[i] for i in places]
