"""Retrieval of several windows per query: R@1 and mean average precision, as the QVHighlights evaluation defines them.

Arrays are padded: N queries, P predicted windows in list order, G true windows; ``(start, end)`` in seconds.  Every
function returns one number per query, so that the caller decides the denominator; nothing is rounded here.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit import spans as sp
from vmlkit.errors import DataError

#: IoU thresholds of R@1 and mAP
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
#: predictions of a query that count for mAP: the first ten of its list
MAX_PREDICTIONS = 10


def pad_rows(
    rows: Sequence[np.ndarray | Sequence[Sequence[float]]], columns: int
) -> tuple[Float[np.ndarray, "N P columns"], Bool[np.ndarray, "N P"]]:
    """Lists of unequal length as one array padded with zeros, and where it holds data (at least one column).

    >>> pad_rows([[[0, 2]], [[1, 2], [3, 4]]], columns=2)[1].tolist()
    [[True, False], [True, True]]
    """
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    mask = np.arange(max(1, int(counts.max(initial=0)))) < counts[:, None]
    out = np.zeros((*mask.shape, columns))
    if counts.sum():
        out[mask] = np.concatenate([np.asarray(row, dtype=np.float64).reshape(-1, columns) for row in rows])
    return out, mask


def window_iou(
    predictions: Float[np.ndarray, "N P 2"], truth: Float[np.ndarray, "N G 2"], empty_union: float = 0.0
) -> Float[np.ndarray, "N P G"]:
    """Intersection over union (the sum of the lengths less the intersection) of every pair.

    Predictions may end before they start (rounding to a grid makes such windows); they overlap nothing.

    Args:
        empty_union: the value where the union is 0: two empty windows, or a prediction whose negative length cancels
            the truth's.  The official programs divide 0 by 0 and then take the NaN for the best match at every
            threshold; infinity does the same.

    >>> window_iou(np.array([[[0.0, 4.0]]]), np.array([[[2.0, 6.0], [8.0, 9.0]]])).round(3).tolist()
    [[[0.333, 0.0]]]
    """
    return sp.sum_iou(predictions[:, :, None], truth[:, None], empty=empty_union)


def first_window_iou(
    predictions: Float[np.ndarray, "N P 2"],
    predicted: Bool[np.ndarray, "N P"],
    truth: Float[np.ndarray, "N G 2"],
    true: Bool[np.ndarray, "N G"],
) -> Float[np.ndarray, " N"]:
    """IoU of the **first listed** prediction (list order, not the highest score) with the true window nearest to it.

    ``R@1,IoU=t`` is the share of queries whose value is **>= t** (inclusive).  Among true windows with equal IoU the
    first counts, which cannot matter for the value.  A query without a prediction has -1 and misses every threshold,
    also t = 0 (the official program stops there).  As in the official program the union of the chosen pair is its
    hull, which is the same number, up to rounding, whenever they overlap.

    Args:
        predicted: where ``predictions`` holds data.
        true: where ``truth`` holds data; every query needs at least one.

    >>> first_window_iou(np.array([[[0.0, 4.0], [0.0, 9.0]]]), np.ones((1, 2), bool),
    ...                  np.array([[[2.0, 6.0], [0.0, 8.0]]]), np.ones((1, 2), bool))
    array([0.5])
    """
    _check_truth(true)
    rows = np.arange(len(truth))
    first = predictions[:, 0]
    nearest = np.where(true, window_iou(predictions[:, :1], truth)[:, 0], -1.0).argmax(axis=1)
    return np.where(predicted[:, 0], sp.hull_iou(first, truth[rows, nearest]), -1.0)


def window_average_precision(
    predictions: Float[np.ndarray, "N P 2"],
    scores: Float[np.ndarray, "N P"],
    predicted: Bool[np.ndarray, "N P"],
    truth: Float[np.ndarray, "N G 2"],
    true: Bool[np.ndarray, "N G"],
    thresholds: Sequence[float] = THRESHOLDS,
    max_predictions: int | None = MAX_PREDICTIONS,
    empty_union: float = 0.0,
) -> Float[np.ndarray, "N thresholds"]:
    """Average precision of every query at every IoU threshold.

    * The first ``max_predictions`` **of the list** take part, ranked by score, highest first; equal scores keep their
      order in the list.
    * In rank order, each prediction takes the true window of the largest IoU among those **>= t** (inclusive) that no
      earlier prediction took; of equal IoUs, the later window.  If there is one it is a true positive.
    * AP is the area under precision over recall with precision made monotone from the right (VOC 2010).  The
      **denominator** of recall is the number of true windows of the query.  Without a prediction AP is 0.

    Args:
        scores: one per prediction.
        predicted: where ``predictions`` and ``scores`` hold data.
        true: where ``truth`` holds data; every query needs at least one.
        thresholds: IoU thresholds.
        empty_union: see :func:`window_iou`.

    >>> window_average_precision(
    ...     np.array([[[0.0, 9.0], [2.0, 6.0]]]), np.array([[0.9, 0.2]]), np.ones((1, 2), bool),
    ...     np.array([[[2.0, 6.0]]]), np.ones((1, 1), bool), thresholds=(0.4, 0.5))
    array([[1. , 0.5]])
    """
    _check_truth(true)
    cut = slice(max_predictions)
    predictions, scores, predicted = predictions[:, cut], scores[:, cut], predicted[:, cut]
    order = np.argsort(np.where(predicted, -scores, np.inf), axis=1, kind="stable")
    predictions = np.take_along_axis(predictions, order[..., None], axis=1)
    predicted = np.take_along_axis(predicted, order, axis=1)
    hits = _match(window_iou(predictions, truth, empty_union), predicted, true, np.asarray(thresholds))
    misses = predicted[..., None] & ~hits
    return _area(np.cumsum(hits, axis=1), np.cumsum(misses, axis=1), true.sum(axis=1))


def _match(
    iou: Float[np.ndarray, "N P G"],
    predicted: Bool[np.ndarray, "N P"],
    true: Bool[np.ndarray, "N G"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> Bool[np.ndarray, "N P thresholds"]:
    """Which ranked prediction is a true positive; a loop over the ranks, all queries and thresholds at once."""
    count, ranks, windows = iou.shape
    free = np.broadcast_to(true[:, None], (count, len(thresholds), windows)).copy()
    hits = np.zeros((count, ranks, len(thresholds)), dtype=bool)
    rows, columns = np.ogrid[:count, : len(thresholds)]
    for rank in range(ranks):
        now = iou[:, rank, None]  # (N, 1, G)
        open_to = free & (now >= thresholds[:, None]) & predicted[:, rank, None, None]
        # the later of equal windows: search backwards
        best = windows - 1 - np.where(open_to, now, -1.0)[..., ::-1].argmax(axis=-1)
        hits[:, rank] = open_to[rows, columns, best]
        free[rows, columns, best] &= ~hits[:, rank]
    return hits


def _area(
    hits: Int[np.ndarray, "N P thresholds"], misses: Int[np.ndarray, "N P thresholds"], positives: Int[np.ndarray, " N"]
) -> Float[np.ndarray, "N thresholds"]:
    """Area under the monotone precision of cumulative hits and misses."""
    total = positives[:, None, None].astype(np.float64)
    recall = hits / total
    # recall * total is not always the integer it was; the official program computes precision this way
    found = recall * total
    precision = np.divide(found, found + misses, out=np.zeros_like(found), where=found + misses > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    made: np.ndarray = (np.diff(recall, axis=1, prepend=0.0) * precision).sum(axis=1)
    return made


def _check_truth(true: Bool[np.ndarray, "N G"]) -> None:
    if not len(true) or not true.any(axis=1).all():
        raise DataError("windows", "a query has no true window, or there is no query", "leave such queries out before")
