"""What negative proposals do: IoN, R@n,mIoN, their width, their overlap with the truth, and a random control.

P0 measures a negative by IoN, the share of it that the positive proposal covers outside the ground truth.  The
number alone misleads: a negative of vanishing width inside a poor positive scores 1, and intervals drawn at random
score well above zero.  So :func:`ion_metrics` always returns the mean width and a random control beside it.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from vmlkit import spans as sp
from vmlkit.errors import DataError


def pairwise_ion(
    positives: Float[np.ndarray, "N P 2"], negatives: Float[np.ndarray, "N M 2"], truth: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "N P M"]:
    """IoN of every positive with every negative of the same query, boundaries clipped to [0, 1] first.

    P0 Eq. (5): ``|(P and N) minus G| / |N|``; an empty N or P gives 0 (see :func:`vmlkit.spans.ion`).
    """
    positives, negatives = _clipped(positives)[:, :, None], _clipped(negatives)[:, None]
    return sp.ion(positives, negatives, np.asarray(truth, dtype=np.float64)[:, None, None])


def mean_ion(
    positives: Float[np.ndarray, "N P 2"],
    negatives: Float[np.ndarray, "N M 2"],
    truth: Float[np.ndarray, "N 2"],
    over_negatives: Literal["max", "mean"] = "max",
) -> float:
    """``R@n,mIoN`` for the n = P positives given: per query the best over them, then the mean over all N queries.

    With ``over_negatives="max"`` (P0) the best is taken over the M negatives too; with ``"mean"`` each positive is
    rated by its mean over the negatives, and the best positive counts.

    >>> positives, truth = np.array([[[0.0, 0.5]]]), np.array([[0.5, 1.0]])
    >>> negatives = np.array([[[0.25, 0.5], [0.25, 0.75]]])
    >>> mean_ion(positives, negatives, truth), mean_ion(positives, negatives, truth, "mean")
    (1.0, 0.75)
    """
    return _best_mean(pairwise_ion(positives, negatives, truth), over_negatives)


def ion_metrics(
    positives: Float[np.ndarray, "N P 2"],
    order: Int[np.ndarray, "N P"],
    negatives: Float[np.ndarray, "N M 2"],
    truth: Float[np.ndarray, "N 2"],
    n: tuple[int, ...] = (1, 5),
    seed: int = 0,
    draws: int = 20,
) -> dict[str, float]:
    """How the M negatives of each query lie, in fractions, over all N queries.

    For each n (the first ``k = min(P, n)`` of ``order``; no vote):

    * ``R@n,mIoN``: P0's metric, the best over the n positives and the M negatives;
    * ``R@n,mIoN mean over negatives``: see :func:`mean_ion`;
    * ``R@n,mIoN random intervals``: the same as the first for M intervals per query with center and width uniform on
      [0, 1], clipped to the video; mean over ``draws`` seeded draws.

    And once: ``negative width`` (mean, after clipping), ``negative width random intervals``, and ``negative-truth
    IoU`` (mean over queries and negatives).

    Rule-based negatives that are the complement of a positive (square, reversed Gaussian) are no intervals; they are
    disjoint from their positive, so their IoN is 0 by construction and nothing needs computing.  The complement of a
    random interval may meet the positive; it is no interval either and is not rated here.

    Args:
        positives: start/end in fractions of the video; clipped to [0, 1] here.
        order: proposal indices from best to worst.
        negatives: start/end in fractions of the video; clipped to [0, 1] here.
        truth: start/end in fractions of the video.

    Raises:
        DataError: for an empty set, M = 0, shapes that do not agree or a value that is not finite.

    >>> spans, truth = np.array([[[0.0, 0.5], [0.5, 1.0]]]), np.array([[0.5, 1.0]])
    >>> results = ion_metrics(spans, np.array([[1, 0]]), np.array([[[0.0, 0.25]]]), truth)
    >>> results["R@1,mIoN"], results["R@5,mIoN"], results["negative width"], results["negative-truth IoU"]
    (0.0, 1.0, 0.25, 0.0)
    """
    positives, order, negatives, truth = (np.asarray(a) for a in (positives, order, negatives, truth))
    _check(positives, order, negatives, truth)
    ranked = np.take_along_axis(positives, order[:, : max(n)][..., None], axis=1)
    rng = np.random.default_rng(seed)
    control = [random_intervals(negatives.shape[:2], rng) for _ in range(draws)]
    learned, drawn = pairwise_ion(ranked, negatives, truth), [pairwise_ion(ranked, r, truth) for r in control]
    results: dict[str, float] = {}
    for rank in n:
        results[f"R@{rank},mIoN"] = _best_mean(learned[:, :rank], "max")
        results[f"R@{rank},mIoN mean over negatives"] = _best_mean(learned[:, :rank], "mean")
        results[f"R@{rank},mIoN random intervals"] = float(np.mean([_best_mean(v[:, :rank], "max") for v in drawn]))
    inside = _clipped(negatives)
    results["negative width"] = float(sp.length(inside).mean())
    results["negative width random intervals"] = float(np.mean([sp.length(r).mean() for r in control]))
    results["negative-truth IoU"] = float(sp.iou(inside, truth[:, None].astype(np.float64)).mean())
    return results


def random_intervals(shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "... 2"]:
    """Intervals with center and width uniform on [0, 1], clipped to the video: ``(*shape, 2)`` start/end.

    >>> random_intervals((2, 3), np.random.default_rng(0)).shape
    (2, 3, 2)
    """
    return _clipped(sp.to_start_end(rng.random((*shape, 2))))


def _best_mean(values: Float[np.ndarray, "N P M"], over_negatives: str) -> float:
    over = values.max(axis=2) if over_negatives == "max" else values.mean(axis=2)
    return float(over.max(axis=1).mean())


def _clipped(spans: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(spans, dtype=np.float64), 0.0, 1.0)


def _check(positives: np.ndarray, order: np.ndarray, negatives: np.ndarray, truth: np.ndarray) -> None:
    where, count = "ion_metrics", len(truth)
    for name, array in (("positives", positives), ("negatives", negatives)):
        if array.ndim != 3 or array.shape[0] != count or array.shape[2] != 2 or array.shape[1] == 0:
            raise DataError(where, f"{name} have shape {array.shape}, {count} queries", "give (N, at least 1, 2) spans")
    if order.shape != positives.shape[:2] or truth.shape != (count, 2):
        shapes = f"order {order.shape}, truth {truth.shape}, positives {positives.shape}"
        raise DataError(where, f"the shapes disagree: {shapes}", "give (N, P), (N, 2) and (N, P, 2)")
    if count == 0:
        raise DataError(where, "there is no query", "evaluate at least one")
    for name, array in (("positives", positives), ("negatives", negatives), ("truth", truth)):
        if not np.isfinite(array).all():
            raise DataError(where, f"{name} hold a value that is not finite", "look at the centers and widths")
