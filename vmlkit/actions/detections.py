"""Detected action instances: what proposals are, for a whole test set, in one record of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit.errors import DataError

#: snippets per second of the usual I3D features: 25 frames a second, 16 frames a snippet
SNIPPETS_PER_S = 25 / 16
SNIPPET_S = 16 / 25

Unit = Literal["seconds", "snippets"]
COLUMNS = ("video", "spans", "labels", "scores")


@dataclass(frozen=True, kw_only=True)
class Detections:
    """N scored instances; rows may be in any order."""

    video: Int[np.ndarray, " N"]  #: position in the list of videos of the ground truth
    spans: Float[np.ndarray, "N 2"]  #: start and end, in ``unit``
    labels: Int[np.ndarray, " N"]  #: class
    scores: Float[np.ndarray, " N"]  #: confidence; any scale, it may be negative
    unit: Unit

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.video.shape != (count,) or self.spans.shape != (count, 2) or self.labels.shape != (count,):
            shapes = f"{self.video.shape}, {self.spans.shape}, {self.labels.shape} and {self.scores.shape}"
            raise DataError("detections", f"arrays of shapes {shapes}", "give N videos, N spans, N labels, N scores")
        if not np.isfinite(self.scores).all() or not np.isfinite(self.spans).all():
            raise DataError("detections", "a score or a bound is not a finite number", "look for NaN in the model")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def from_rows(
        cls, rows: Float[np.ndarray, "N 4"] | Sequence[Sequence[float]], unit: Unit, video: int = 0
    ) -> "Detections":
        """From rows ``start, end, class, score`` of one video."""
        table = np.asarray(rows, dtype=np.float64).reshape(-1, 4)
        return cls(
            video=np.full(len(table), video, dtype=np.int64),
            spans=table[:, :2],
            labels=table[:, 2].astype(np.int64),
            scores=table[:, 3],
            unit=unit,
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Detections"], unit: Unit = "seconds") -> "Detections":
        """Several videos in one record; ``unit`` is that of the result where there is no part.

        Raises:
            DataError: for parts in different units.
        """
        units = {part.unit for part in parts}
        if len(units) > 1:
            raise DataError("detections", "seconds and snippets are mixed", "convert one of them")
        if not parts:
            return cls.from_rows(np.zeros((0, 4)), unit)
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
        return cls(**columns, unit=units.pop())

    def rows(self) -> Float[np.ndarray, "N 4"]:
        """Columns start, end, class, score."""
        return np.column_stack((self.spans, self.labels, self.scores))

    def where(self, keep: Bool[np.ndarray, " N"] | Int[np.ndarray, " kept"]) -> "Detections":
        """The chosen rows: a mask, or positions in the order wanted."""
        return replace(self, **{name: getattr(self, name)[keep] for name in COLUMNS})

    def in_unit(self, unit: Unit, snippet_s: float | Float[np.ndarray, " videos"] = 1 / SNIPPETS_PER_S) -> "Detections":
        """The same with bounds in seconds or in snippets.

        Args:
            snippet_s: seconds per snippet, one number or one per video of the ground truth.
        """
        if self.unit == unit:
            return self
        scale = per_instance(snippet_s, self.video)
        return replace(self, spans=self.spans * (scale if unit == "seconds" else 1 / scale), unit=unit)


def per_instance(rate: float | Float[np.ndarray, " videos"], video: Int[np.ndarray, " N"]) -> Float[np.ndarray, "#N 1"]:
    """One number, or one per video, as a column that scales the bounds of instances in these videos."""
    each = np.asarray(rate, dtype=np.float64)
    return (each[video] if each.ndim else each.reshape(1))[:, None]
