"""Windows over long videos, and one ranking from the answers to all of them.

A model answers about windows as long as the videos that it was trained on.  Neighbours overlap by half, so that every
moment up to half a window lies whole in one of them; cost and memory grow with the number of windows, which grows with
the length of the video.
"""

import numpy as np
from jaxtyping import Float, Int

from vmlkit.spans import iou

#: of two answers that overlap by more, the worse one goes
SUPPRESS_ABOVE = 0.5


def place_windows(rows: int, length: int) -> Int[np.ndarray, "W 2"]:
    """First row and end of windows that overlap by half; the last one ends with the video.

    >>> place_windows(10, 4).tolist()
    [[0, 4], [2, 6], [4, 8], [6, 10]]
    >>> place_windows(11, 4).tolist()[-2:], place_windows(3, 4).tolist()
    ([[6, 10], [7, 11]], [[0, 3]])
    """
    if rows <= length:
        return np.array([[0, rows]])
    starts = list(range(0, rows - length, max(1, length // 2)))
    starts.append(rows - length)
    first = np.array(starts)
    return np.column_stack((first, first + length))


def suppressed(
    windows: Float[np.ndarray, "N 3"], top: int, threshold: float = SUPPRESS_ABOVE
) -> Float[np.ndarray, "n 3"]:
    """The best ``top`` rows ``start, end, score``, none of which overlaps a better one by more than ``threshold``.

    >>> suppressed(np.array([[0.0, 4, 0.5], [0, 5, 0.9], [6, 8, 0.1]]), 5).tolist()
    [[0.0, 5.0, 0.9], [6.0, 8.0, 0.1]]
    """
    rest = windows[np.argsort(-windows[:, 2], kind="stable")]
    kept: list[np.ndarray] = []
    while len(rest) and len(kept) < top:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[iou(rest[:, :2], best[None, :2]) <= threshold]
    return np.array(kept).reshape(-1, 3)


def best_windows(curve: Float[np.ndarray, " T"], times: Float[np.ndarray, "T 2"], top: int) -> Float[np.ndarray, "n 3"]:
    """Windows in which a curve is high, without any model: ``start, end, mean of the curve`` in seconds, best first.

    A window is the run of rows with the largest sum of what they lie above the level, which is half way between the
    curve's median and its highest value; the next one is looked for beside those before it.  The best is the one with
    the largest sum, so a long high stretch comes before a short one.  The time is linear in T for each window.

    >>> seconds = np.column_stack((np.arange(6.0), np.arange(1.0, 7)))
    >>> best_windows(np.array([0.0, 0, 1, 1, 0, 0]), seconds, 3).tolist()
    [[2.0, 4.0, 1.0]]
    """
    level = (float(np.median(curve)) + float(curve.max())) / 2
    above = np.asarray(curve, dtype=np.float64) - level
    found = []
    for _ in range(top):
        first, end, total = _largest_sum(above)
        if not total > 0:
            break
        found.append((times[first, 0], times[end - 1, 1], float(curve[first:end].mean())))
        above[max(first - 1, 0) : end + 1] = -np.inf
    return np.array(found).reshape(-1, 3)


def _largest_sum(values: Float[np.ndarray, " T"]) -> tuple[int, int, float]:
    """Run of neighbours with the largest sum: first, end, sum; in one pass."""
    best, first, end = 0.0, 0, 0
    running, begun = 0.0, 0
    for i, value in enumerate(values.tolist()):
        if running <= 0:
            running, begun = 0.0, i
        running += value
        if running > best:
            best, first, end = running, begun, i + 1
    return first, end, best
