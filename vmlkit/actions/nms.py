"""Non-maximum suppression of scored intervals, as the released temporal detectors do it.

Lengths and intersections carry ``+ 1``, a habit from pixels: with bounds in snippets that is one snippet, with bounds
in seconds one second, so the same intervals are suppressed differently in the two units.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from vmlkit import spans as sp
from vmlkit.errors import DataError

Decay = Literal["gaussian", "linear", "hard"]


def soft_nms(
    spans: Float[np.ndarray, "N 2"],
    scores: Float[np.ndarray, " N"],
    method: Decay = "gaussian",
    sigma: float = 0.3,
    threshold: float = 0.7,
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Order in which intervals are picked, and their scores at that moment; nothing is removed.

    Repeatedly the interval with the highest score is taken (the first of equals) and the scores of the others are
    multiplied by ``exp(-iou^2 / sigma)`` ("gaussian"), by ``1 - iou`` where ``iou > threshold`` ("linear") or by 0
    there ("hard").  A *negative* score is raised by this, as in the released code.  As there, the picked row changes
    places with the first of those left, which decides between equal scores.

    Args:
        spans: start and end.

    Returns:
        positions in the input, and the decayed scores; by descending score while no score is negative.

    >>> order, scores = soft_nms(np.array([[0.0, 9.0], [0.0, 9.0], [20.0, 29.0]]), np.array([0.9, 0.8, 0.5]))
    >>> order.tolist(), scores.round(3).tolist()
    ([0, 2, 1], [0.9, 0.5, 0.029])
    """
    if method not in ("gaussian", "linear", "hard"):
        raise DataError("soft-NMS", f"no method {method!r}", "use gaussian, linear or hard")
    spans, score = np.asarray(spans, dtype=np.float64), np.array(scores, dtype=np.float64)
    left = np.arange(len(score))
    order, final = np.empty(len(score), dtype=np.int64), np.empty(len(score))
    for step in range(len(order)):
        best = int(np.argmax(score[left]))
        left[[0, best]] = left[[best, 0]]
        pick, left = int(left[0]), left[1:]
        order[step], final[step] = pick, score[pick]
        iou = sp.sum_iou(spans[pick], spans[left], plus=1)
        if method == "gaussian":
            score[left] *= np.exp(-(iou * iou) / sigma)
        else:
            far = 1 - iou if method == "linear" else np.zeros_like(iou)
            score[left] *= np.where(iou > threshold, far, 1.0)
    return order, final


def hard_nms(
    spans: Float[np.ndarray, "N 2"], scores: Float[np.ndarray, " N"], threshold: float = 0.7
) -> Int[np.ndarray, " kept"]:
    """Positions of what is left, best first: an interval stays if its IoU with every better one is below ``threshold``.

    The better of equal scores is the later one (a stable ascending sort, reversed).

    >>> hard_nms(np.array([[0.0, 9.0], [0.0, 8.0], [20.0, 29.0]]), np.array([0.9, 0.8, 0.5])).tolist()
    [0, 2]
    """
    spans = np.asarray(spans, dtype=np.float64)
    left = np.argsort(np.asarray(scores), kind="stable")[::-1]
    kept = []
    while len(left):
        pick, left = int(left[0]), left[1:]
        kept.append(pick)
        left = left[sp.sum_iou(spans[pick], spans[left], plus=1) < threshold]
    return np.array(kept, dtype=np.int64)
