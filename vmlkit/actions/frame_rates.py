"""Errors per snippet, and video-level classification: the two other numbers that action papers print.

P3 quotes a false positive rate (over-complete) and a false negative rate (incomplete) per frame, but released neither
code nor definition; what is here is this project's own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit.actions.detections import SNIPPETS_PER_S
from vmlkit.errors import DataError


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """Wrong snippets and the snippets they are a share of; add up the videos, then divide."""

    background: int = 0  #: snippets outside every instance
    foreground: int = 0  #: snippets inside one
    attention_fp: int = 0  #: background with an attention above the threshold
    attention_fn: int = 0  #: foreground without
    class_fp: int = 0  #: background whose best class is an action
    class_fn: int = 0  #: foreground whose best class is the background or an action that is not going on

    def __add__(self, other: "FrameCounts") -> "FrameCounts":
        return FrameCounts(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def rates(self) -> dict[str, float]:
        """``attention_fpr``, ``attention_fnr``, ``class_fpr``, ``class_fnr`` as fractions; NaN over no snippet."""
        over = {"fp": self.background, "fn": self.foreground}
        return {
            f"{kind}_{error}r": getattr(self, f"{kind}_{error}") / over[error] if over[error] else float("nan")
            for kind in ("attention", "class")
            for error in ("fp", "fn")
        }


def frame_counts(
    cas: Float[np.ndarray, "T C1"],
    attention: Float[np.ndarray, " T"],
    spans_s: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    snippet_s: float = 1 / SNIPPETS_PER_S,
    threshold: float = 0.5,
) -> FrameCounts:
    """Errors of one video.  A snippet is foreground if its center lies in ``[start, end)`` of any instance.

    Args:
        cas: class activation sequence (logits), the background last.
        attention: foreground attention.
        spans_s: start and end of the instances, seconds.
        labels: their classes.
        snippet_s: seconds per snippet.
        threshold: a snippet counts as foreground where its attention is *above* it.

    >>> cas = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> frame_counts(cas, np.array([0.9, 0.1, 0.9]), np.array([[0.0, 2.0]]), np.array([0]), snippet_s=1.0).rates()
    {'attention_fpr': 1.0, 'attention_fnr': 0.5, 'class_fpr': 0.0, 'class_fnr': 0.0}
    """
    going_on = going_on_classes(len(cas), cas.shape[1] - 1, spans_s, labels, snippet_s)
    inside = going_on.any(axis=1)
    above = attention > threshold
    best = cas.argmax(axis=1)
    right = going_on[np.arange(len(cas)), np.minimum(best, cas.shape[1] - 2)] & (best < cas.shape[1] - 1)
    return FrameCounts(
        background=int((~inside).sum()),
        foreground=int(inside.sum()),
        attention_fp=int((above & ~inside).sum()),
        attention_fn=int((~above & inside).sum()),
        class_fp=int(((best < cas.shape[1] - 1) & ~inside).sum()),
        class_fn=int((~right & inside).sum()),
    )


def going_on_classes(
    snippets: int, classes: int, spans_s: Float[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"], snippet_s: float
) -> Bool[np.ndarray, "T C"]:
    """Which classes go on at the center of each snippet."""
    center = (np.arange(snippets) + 0.5) * snippet_s
    out = np.zeros((snippets, classes), dtype=bool)
    for (start, end), label in zip(spans_s.tolist(), labels.tolist(), strict=True):
        out[(center >= start) & (center < end), label] = True
    return out


def classification_map(scores: Float[np.ndarray, "videos C"], labels: Float[np.ndarray, "videos C"]) -> float:
    """Mean over classes of the plain AP of ranking videos (mean precision at the rank of each carrier), a fraction.

    Equal scores are ranked in the order of the videos.  A class that no video carries is left out.

    Raises:
        DataError: if no video carries any class.

    >>> classification_map(np.array([[0.9], [0.8], [0.1]]), np.array([[1.0], [0.0], [1.0]])).__round__(3)
    0.833
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = np.take_along_axis(labels > 0, order, axis=0)
    carriers = hits.sum(axis=0)
    if not carriers.any():
        raise DataError("classification mAP", "no video carries a class", "check the labels")
    precision = np.cumsum(hits, axis=0) / np.arange(1, len(hits) + 1)[:, None]
    used = carriers > 0
    return float(((precision * hits).sum(axis=0)[used] / carriers[used]).mean())
