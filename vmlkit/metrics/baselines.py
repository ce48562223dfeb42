"""What a model must beat: answers that never look at the video, scored exactly like a model.

Moments are not spread evenly over videos, so one fixed window fitted on the training spans is a strong answer, and
"better than random" proves nothing.  Every baseline answers with ranked proposals and goes through
:func:`vmlkit.metrics.moments.moment_metrics`.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from vmlkit import spans as sp
from vmlkit.errors import DataError
from vmlkit.metrics.moments import RANKS, THRESHOLDS, moment_metrics
from vmlkit.metrics.negatives import random_intervals

#: baselines in the order in which tables print them
NAMES = (
    "uniform random",
    "two uniform random points",
    "random training span",
    "best constant window",
    "best constant window (IoU=0.5)",
    "whole video",
)
#: elements compared at a time when windows are fitted; keeps the arrays within a processor's cache
_BLOCK = 32_768


def baseline_predictions(
    train_spans: Float[np.ndarray, "Nt 2"], test_count: int, seed: int = 0, draws: int = 20, proposals: int = 5
) -> dict[str, Float[np.ndarray, "draws N P 2"]]:
    """Ranked proposals of every baseline for ``test_count`` queries, start/end in fractions of the video.

    The axes are (draws, queries, proposals, 2); ``[0, :, 0]`` is one answer per query.  A baseline without chance
    has one draw, and the whole video one proposal.

    * ``uniform random``: center and width uniform on [0, 1], clipped to the video;
    * ``two uniform random points``: the interval between them;
    * ``random training span``: a training span drawn uniformly, with replacement;
    * ``best constant window``: fitted on the training spans by mean IoU, see :func:`best_constant_windows`;
    * ``best constant window (IoU=0.5)``: the same by the share of training spans with IoU >= 0.5;
    * ``whole video``: (0, 1).

    Args:
        train_spans: start/end of the *training* moments in fractions of their videos; nothing is fitted on the test
            split.
        test_count: number N of test queries.
        seed: of the random baselines; each has its own stream.
        draws: independent repetitions of the random baselines.
        proposals: proposals per query, for R@n with n > 1.

    Raises:
        DataError: for no training span, or one that is not finite or ends before it starts.

    >>> spans = baseline_predictions(np.array([[0.0, 0.5], [0.1, 0.5]]), test_count=3, draws=2)
    >>> spans["uniform random"].shape, spans["best constant window"].shape, spans["whole video"].shape
    ((2, 3, 5, 2), (1, 3, 5, 2), (1, 3, 1, 2))
    """
    train = _checked(train_spans)
    shape = (draws, test_count, proposals)

    def constant(windows: np.ndarray) -> np.ndarray:
        return np.broadcast_to(windows, (1, test_count, *windows.shape))

    def stream(index: int) -> np.random.Generator:
        return np.random.default_rng([seed, index])

    spans = (
        random_intervals(shape, stream(0)),
        np.sort(stream(1).random((*shape, 2)), axis=-1),
        train[stream(2).integers(len(train), size=shape)],
        constant(best_constant_windows(train, count=proposals)),
        constant(best_constant_windows(train, threshold=0.5, count=proposals)),
        constant(np.array([[0.0, 1.0]])),
    )
    return dict(zip(NAMES, spans, strict=True))


def baseline_metrics(
    train_spans: Float[np.ndarray, "Nt 2"],
    truth: Float[np.ndarray, "N 2"],
    seed: int = 0,
    draws: int = 20,
    thresholds: Sequence[float] = THRESHOLDS,
    n: Sequence[int] = RANKS,
) -> dict[str, dict[str, float]]:
    """The metrics of :func:`~vmlkit.metrics.moments.moment_metrics` for every baseline, as fractions of all N queries.

    Random baselines are the mean over ``draws``.  R@n with n > 1 is fair to them: n independent draws, or the n
    windows that together cover the training spans best; the whole video has one answer at every n.

    Args:
        train_spans: start/end of the training moments in fractions of their videos.
        truth: start/end of the test moments in fractions of their videos.

    >>> rows = baseline_metrics(np.array([[0.0, 0.5]]), np.array([[0.0, 0.5], [0.0, 1.0]]))
    >>> rows["best constant window"]["R@1,IoU=0.7"], rows["whole video"]["R@1,IoU=0.5"]
    (0.5, 1.0)
    """
    truth = np.asarray(truth, dtype=np.float64)
    predictions = baseline_predictions(train_spans, len(truth), seed, draws, max(n))
    rows = {}
    for name, repetitions in predictions.items():
        order = np.broadcast_to(np.arange(repetitions.shape[2]), repetitions.shape[1:3])
        each = [moment_metrics(spans, order, order[:, 0], truth, thresholds, n) for spans in repetitions]
        rows[name] = {key: float(np.mean([metrics[key] for metrics in each])) for key in each[0]}
    return rows


def best_constant_windows(
    train_spans: Float[np.ndarray, "Nt 2"], threshold: float | None = None, count: int = 1, step: float = 0.025
) -> Float[np.ndarray, "count 2"]:
    """The fixed windows that fit the training spans best, first the best single one.

    All windows with start < end on a grid of ``step`` are tried.  The first maximises the mean IoU, or with a
    ``threshold`` the share of spans with IoU >= threshold; each further one maximises the same score of the *best of
    the windows so far* (greedy), which is what R@n measures.  Ties: the smaller start, then the smaller end.

    Args:
        train_spans: start/end of the training moments in fractions of their videos.
        count: number of windows.
        step: of the grid, in fractions of the video; 1 / step is rounded to an integer.

    Raises:
        DataError: for no training span, or one that is not finite or ends before it starts.

    >>> best_constant_windows(np.array([[0.0, 0.5], [0.0, 0.5], [0.5, 1.0]]), count=2)
    array([[0. , 0.5],
           [0.5, 1. ]])
    """
    train = _checked(train_spans)
    cells = max(round(1 / step), 1)
    grid = np.arange(cells + 1) / cells
    first, last = np.triu_indices(len(grid), k=1)
    windows = np.stack((grid[first], grid[last]), axis=-1)

    def gain(overlap: np.ndarray) -> np.ndarray:
        return overlap if threshold is None else (overlap >= threshold).astype(float)

    reached = np.zeros(len(train))
    chosen: list[np.ndarray] = []
    for _ in range(count):
        best = windows[_scores(windows, train, reached, gain).argmax()]
        reached = np.maximum(reached, gain(sp.iou(best, train)))
        chosen.append(best)
    return np.stack(chosen)


def _scores(
    windows: np.ndarray, train: np.ndarray, reached: np.ndarray, gain: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Mean over the training spans of the better of ``reached`` and each window's own gain."""
    size = max(1, _BLOCK // len(train))
    scores = [
        np.maximum(gain(sp.iou(windows[i : i + size, None], train)), reached).mean(axis=1)
        for i in range(0, len(windows), size)
    ]
    return np.concatenate(scores)


def _checked(train_spans: np.ndarray) -> np.ndarray:
    where, train = "the training spans", np.asarray(train_spans, dtype=np.float64)
    if train.ndim != 2 or train.shape[-1] != 2 or not len(train):
        raise DataError(where, f"their shape is {train.shape}", "give (Nt, 2) start/end fractions, Nt at least 1")
    wrong = ~np.isfinite(train).all(axis=1) | (train[:, 1] < train[:, 0])
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(where, f"row {row} is {train[row].tolist()}", "give finite start <= end")
    return train
