"""What in a file of predictions cannot be right, or is not what a reader expects: counted, never corrected.

Published programs score such files without a word; the number of queries that show each kind is printed beside the
metrics here and written with them.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from vmlkit.data.annotations.detr_jsonl import QueryAnnotation
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.metrics import windows as win

Pairs = Sequence[tuple[QueryPrediction, QueryAnnotation]]

#: what is said of a file by the unit that its windows seem to have
_UNITS = {
    "fractions": "no window ends after 1 s: fractions of the video instead of seconds?",
    "percent": "windows end at 100 at the latest, whatever the video: percent instead of seconds?",
    "frames": "most lists end far beyond their videos: frames or milliseconds instead of seconds?",
}


def peculiar_windows(pairs: Pairs, truth: Sequence[Sequence[tuple[float, float]]]) -> dict[str, int]:
    """Kinds of windows that take part and are odd -> number of queries that have one; of the unit, of all queries."""
    padded, predicted = win.pad_rows([p.windows_s for p, _ in pairs if p.windows_s is not None], columns=3)
    windows, true = win.pad_rows(truth, columns=2)
    both = (predicted[..., None] & true[:, None])[:, : win.MAX_PREDICTIONS]
    nothing = np.isinf(win.window_iou(padded[:, : win.MAX_PREDICTIONS, :2], windows, empty_union=np.inf)) & both
    durations = np.array([query.duration_s for _, query in pairs], dtype=np.float64)
    outside = predicted & ((padded[..., 0] < 0) | (padded[..., 1] > durations[:, None]))
    unsorted = predicted[:, 1:] & (padded[:, 1:, 2] > padded[:, :-1, 2])
    reversed_ = (padded[..., 1] < padded[..., 0]) & predicted
    counts = {
        "no predicted window: counts as a miss": (~predicted.any(axis=1)).sum(),
        "a predicted window ends before it starts: overlaps nothing": reversed_.any(axis=1).sum(),
        "an empty union (0 / 0): a match at every threshold of mAP": nothing.any(axis=(1, 2)).sum(),
        "a predicted window begins before 0 or ends after its video": outside.any(axis=1).sum(),
        "the list is not sorted by score: R@1 takes the first of the list": unsorted.any(axis=1).sum(),
    }
    some = predicted.any(axis=1)
    unit = suspected_unit(
        np.where(predicted, padded[..., 1], -np.inf).max(axis=1, initial=-np.inf)[some], durations[some]
    )
    if unit is not None:
        counts[_UNITS[unit]] = len(pairs)
    return {what: int(count) for what, count in counts.items() if count}


def suspected_unit(
    ends: Float[np.ndarray, " N"], durations_s: Float[np.ndarray, " N"]
) -> Literal["fractions", "percent", "frames"] | None:
    """The unit that windows seem to have, where it cannot well be seconds; ``None`` for a single query.

    Args:
        ends: the latest end that is predicted for each query.
        durations_s: of its video.

    >>> suspected_unit(np.array([0.4, 1.0]), np.array([150.0, 150.0]))
    'fractions'
    >>> suspected_unit(np.array([100.0, 98.0]), np.array([30.0, 210.0]))
    'percent'
    >>> suspected_unit(np.array([700.0, 4000.0]), np.array([30.0, 150.0]))
    'frames'
    >>> suspected_unit(np.array([29.0, 150.0]), np.array([30.0, 150.0]))
    """
    if len(ends) < 2:
        return None
    if ends.max() <= 1 and durations_s.min() > 2:
        return "fractions"
    beyond, long = ends > 1.05 * durations_s, durations_s > 120
    hundred = 90 < ends.max() <= 100.5
    if hundred and (beyond.mean() > 0.3 or (long.mean() >= 0.25 and (ends[long] > 90).mean() > 0.5)):
        return "percent"
    return "frames" if (ends > 1.5 * durations_s).mean() > 0.5 else None


def unscored(pairs: Pairs, *, windows: bool, clips: bool) -> dict[str, int]:
    """Fields of the files that a protocol does not score -> number of queries.

    Args:
        windows: whether windows are scored.
        clips: whether clip scores are.
    """
    first = pairs[0][0]
    rated = sum(query.saliency_scores is not None or query.clip_labels is not None for _, query in pairs)
    counts = {
        "clip scores are predicted, and this protocol scores windows only": 0 if clips else len(pairs),
        "windows are predicted, and this protocol scores clips only": 0 if windows else len(pairs),
    }
    given = {name: count * (field is not None) for (name, count), field in zip(
        counts.items(), (first.clip_scores, first.windows_s), strict=True
    )}  # fmt: skip
    if clips and windows:
        given["clips are rated, and no clip score is predicted"] = rated * (first.clip_scores is None)
        given["windows are annotated, and none is predicted"] = len(pairs) * (first.windows_s is None)
    return {what: count for what, count in given.items() if count}


def short_scores(pairs: Pairs, clips: Sequence[int]) -> dict[str, int]:
    """Lists of clip scores that are shorter or longer than the ``clips`` of their video -> number of queries."""
    lengths = [len(p.clip_scores) for p, _ in pairs if p.clip_scores is not None]
    difference = np.array(lengths) - np.array(clips)
    counts = {
        "fewer clip scores than clips: the missing ones count as 0": (difference < 0).sum(),
        "more clip scores than clips: those beyond the video are cut from mAP, and an answer there misses": (
            difference > 0
        ).sum(),
    }
    return {what: int(count) for what, count in counts.items() if count}
