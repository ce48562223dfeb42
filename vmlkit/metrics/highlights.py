"""How well clip scores find highlights: HL-mAP and Hit@1 of QVHighlights, top-5 mAP of TVSum.

N queries, C clips (padded), A annotators.  Every function returns one number per query (and annotator), so that the
caller decides the denominator; nothing is rounded here.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit.errors import DataError

#: clips of a TVSum video that count
TOP_CLIPS = 5


def pad_scores(scores: Sequence[np.ndarray]) -> tuple[Float[np.ndarray, "N C"], Int[np.ndarray, " N"]]:
    """Score lists of unequal length as one array padded with zeros, and their lengths.

    >>> pad_scores([np.array([1.0]), np.array([2.0, 3.0])])[0].tolist()
    [[1.0, 0.0], [2.0, 3.0]]
    """
    lengths = np.array([len(row) for row in scores], dtype=np.int64)
    out = np.zeros((len(lengths), int(lengths.max(initial=1))))
    out[np.arange(out.shape[1]) < lengths[:, None]] = np.concatenate(scores)
    return out, lengths


def hit_at_one(
    scores: Float[np.ndarray, "N Cp"],
    lengths: Int[np.ndarray, " N"],
    positive: Bool[np.ndarray, "N C A"],
    clips: Int[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """Whether **any** annotator calls the clip with the highest score positive.

    The whole predicted list takes part; of equal scores the first clip counts.  An answer at or beyond the last clip of
    the video misses.

    Args:
        scores: predicted, padded.
        lengths: predicted clips of each query.
        positive: what each annotator says of each clip, padded with False.
        clips: clips of each video, ``int(duration / clip length)``.

    >>> hit_at_one(np.array([[0.1, 0.9]]), np.array([2]), np.array([[[False], [True]]]), np.array([2])).tolist()
    [True]
    """
    inside = np.arange(scores.shape[1]) < lengths[:, None]
    answer = np.where(inside, scores, -np.inf).argmax(axis=1)
    within = answer < clips
    rows = np.arange(len(scores))
    found: np.ndarray = within & positive[rows, np.minimum(answer, positive.shape[1] - 1)].any(axis=-1)
    return found


def highlight_average_precision(
    scores: Float[np.ndarray, "N Cp"],
    lengths: Int[np.ndarray, " N"],
    positive: Bool[np.ndarray, "N C A"],
    clips: Int[np.ndarray, " N"],
) -> Float[np.ndarray, "N A"]:
    """Average precision of the clip scores for every query and annotator, as QVHighlights defines it.

    * A predicted list longer than the video is cut; in a shorter one the missing clips have the **score 0**.
    * An annotator without a positive clip gives 0, one with positive clips only gives 1, whatever was predicted.
    * Clips of **equal score** form one level.  At each level precision counts all clips of that score or a higher one
      and is made monotone from the lowest level upwards; AP is the **plain mean** of it over the levels at which recall
      grows.  (A level of several positive clips counts once, so this is not the usual AP where there are ties.)

    Args: as :func:`hit_at_one`.

    >>> highlight_average_precision(np.array([[0.9, 0.5, 0.5]]), np.array([3]),
    ...     np.array([[[False], [True], [False]]]), np.array([3])).round(3)
    array([[0.333]])
    """
    count, width = positive.shape[:2]
    inside = np.arange(width) < clips[:, None]
    value = np.zeros((count, width))
    shared = min(width, scores.shape[1])
    value[:, :shared] = np.where(np.arange(shared) < lengths[:, None], scores[:, :shared], 0.0)
    order = np.argsort(np.where(inside, -value, np.inf), axis=1, kind="stable")
    value = np.take_along_axis(value, order, axis=1)
    label = np.take_along_axis(positive & inside[..., None], order[..., None], axis=1)
    # a level ends where the next score differs, and at the last clip of the video
    ends = inside & (np.arange(width) == clips[:, None] - 1)
    ends[:, :-1] |= inside[:, :-1] & (value[:, 1:] != value[:, :-1])
    found = np.cumsum(label, axis=1)
    precision = found / np.arange(1, width + 1)[:, None]
    precision = np.where(ends[..., None], precision, 0.0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    levels = np.where(ends[..., None], found, 0)
    before = np.zeros_like(levels)
    before[:, 1:] = np.maximum.accumulate(levels, axis=1)[:, :-1]
    grows = ends[..., None] & (levels > before)
    mean = (precision * grows).sum(axis=1) / np.maximum(grows.sum(axis=1), 1)
    total = found[:, -1]
    return np.where(total == 0, 0.0, np.where(total == clips[:, None], 1.0, mean))


def top_clips_average_precision(
    scores: Float[np.ndarray, " C"], labels: Float[np.ndarray, "C A"], top: int | None = TOP_CLIPS
) -> Float[np.ndarray, " A"]:
    """AP of one video for every annotator: of the five best clips (TVSum), or of all clips (YouTube Highlights).

    * TVSum: a clip is positive if the annotator's score is **above** that annotator's lower median over the video (for
      an even number of clips, the smaller of the two middle scores).  With ``top=None`` the labels are binary, and a
      clip is positive if its label is above 0.
    * The ``top`` clips by predicted score are kept; equal scores keep the order of the video (the released program
      leaves that open).  Precision over recall among them is integrated by trapezoids from (0, 1).  The **denominator**
      of recall is the number of positive clips among the kept, not in the video; without any, AP is 0.

    >>> top_clips_average_precision(np.array([0.9, 0.1, 0.5]), np.array([[1.0], [1.0], [5.0]]), top=2)
    array([0.25])
    """
    if not len(scores) or len(scores) != len(labels):
        raise DataError("TVSum", f"{len(scores)} scores for {len(labels)} labelled clips", "give one score per clip")
    above = 0.0 if top is None else np.sort(labels, axis=0)[(len(labels) - 1) // 2]
    order = np.argsort(-scores, kind="stable")[:top]
    hits = (labels > above)[order]
    found = np.cumsum(hits, axis=0).astype(np.float64)
    total = found[-1]
    recall = found / np.where(total > 0, total, 1)
    precision = found / np.arange(1, len(order) + 1)[:, None]
    before = np.concatenate((np.ones((1, hits.shape[1])), precision[:-1]))
    made: np.ndarray = (np.diff(recall, axis=0, prepend=0.0) * (before + precision) / 2).sum(axis=0)
    return made
