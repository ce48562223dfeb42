"""How hard a negative is, as measured, and the colour that says so: light where it is easy, dark red where it is hard.

A negative is hard where it explains the sentence nearly as well as the answer does: NLL(negative) - NLL(answer) is near
zero.  Where no NLL was recorded its overlap with the moment stands in.  The clock (the sign of P0's c) says what
training asks of a negative and no more; in every picture that is the dash of its line, and never its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vmlkit.viz.snapshots import RunView, Snapshot
from vmlkit.viz.style import ROLES

Shade = Literal["color", "text", "dark"]

#: colours from easy to hard, evenly spaced, between those of easy and of hard negatives in every figure
STOPS: dict[Shade, tuple[str, ...]] = {
    "color": (ROLES["easy_negative"].color, "#CF6C1C", ROLES["hard_negative"].color),
    "text": (ROLES["easy_negative"].text, "#9C4A10", ROLES["hard_negative"].text),
    "dark": (ROLES["easy_negative"].dark, "#F59B56", ROLES["hard_negative"].dark),
}

#: share of the gaps that lie beyond the colour of the easiest
_BEYOND = 0.1


@dataclass(frozen=True)
class HardnessScale:
    """What is measured (``gap`` or ``overlap``), and the values that have the colours of easy and of hard."""

    measure: Literal["gap", "overlap"]
    easy: float
    hard: float

    @property
    def words(self) -> str:
        """What the colour stands for, with its unit."""
        if self.measure == "gap":
            return "NLL(negative) − NLL(answer), nats per word"
        return "overlap of a negative with the moment (IoU)"

    def values(self, shot: Snapshot) -> Float[np.ndarray, " M"]:
        """The measure of each negative; NaN where it cannot be told."""
        if self.measure == "overlap":
            return shot.negative_iou
        answer = np.nan if shot.chosen is None else shot.nll[shot.chosen]
        return np.asarray(shot.negative_nll - answer)

    def place(self, values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """0 where easy, 1 where hard, clipped; NaN stays."""
        return np.clip((np.asarray(values, dtype=float) - self.easy) / (self.hard - self.easy), 0.0, 1.0)

    def colors(self, shot: Snapshot, shade: Shade = "color") -> list[str]:
        """The colour of each negative; that of its role where the measure cannot be told."""
        places = self.place(self.values(shot))
        return [
            getattr(ROLES[role], shade) if np.isnan(place) else mix(STOPS[shade], float(place))
            for role, place in zip(shot.negative_roles, places, strict=True)
        ]


def hardness_scale(*views: RunView) -> HardnessScale | None:
    """The scale that the negatives of these runs share; None where there are none, or nothing was measured.

    Hard is no gap at all.  Easy is the gap that one in ten of the recorded negatives exceeds over all epochs.  A gap is
    taken where every run recorded NLLs, so that one colour means one thing in runs side by side.
    """
    tables = [view.proposals for view in views]
    answers = [t[(t["role"] == "positive") & t["chosen"]].set_index(["epoch", "query_id"])["nll"] for t in tables]
    negatives = [t[(t["role"] != "positive") & t["center"].notna()] for t in tables]
    gaps, overlaps, measured = [], [], []
    for rows, answer in zip(negatives, answers, strict=True):
        if not len(rows):
            continue
        keys = list(zip(rows["epoch"], rows["query_id"], strict=True))
        gap = rows["nll"].to_numpy(dtype=float) - answer[~answer.index.duplicated()].reindex(keys).to_numpy(dtype=float)
        gaps.append(gap[np.isfinite(gap)])
        overlaps.append(rows["iou"].to_numpy(dtype=float))
        measured.append(len(gaps[-1]) > 0)
    if measured and all(measured):
        easy = float(np.quantile(np.concatenate(gaps), 1 - _BEYOND))
        return HardnessScale("gap", max(easy, 0.01), 0.0)
    finite = np.concatenate([*overlaps, np.empty(0)])
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return None
    return HardnessScale("overlap", 0.0, max(float(np.quantile(finite, 1 - _BEYOND)), 0.05))


def mix(stops: Sequence[str], place: float) -> str:
    """The colour at ``place`` (0 to 1) on evenly spaced stops, straight lines in sRGB.

    >>> mix(("#000000", "#204060", "#FFFFFF"), 0.25), mix(("#000000", "#FFFFFF"), 1.0)
    ('#102030', '#FFFFFF')
    """
    at = place * (len(stops) - 1)
    left = min(int(at), len(stops) - 2)
    low, high = (np.array([int(stops[i][k : k + 2], 16) for k in (1, 3, 5)]) for i in (left, left + 1))
    return "#" + "".join(f"{round(v):02X}" for v in low + (at - left) * (high - low))
