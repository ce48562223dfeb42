"""How much proposals depend on the sentence: do they move with the moment, or is only the choice among them informed?

Windows that settle at the same places for every sentence can still give good answers, if the model knows which of them
to choose.  Spread alone is no dependence either (centers may spread and follow nothing), so the measure asks for the
truth: what share of a center's variance does the true center explain, and what is left of it when the sentence is
exchanged for another of the same video?

Axes: N queries, P proposals of a role.  Times are fractions of the video.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from vmlkit import spans as sp
from vmlkit.errors import DataError

#: names of the measures of a role, with what each says
MEASURES = {
    "center spread": "standard deviation of a center over the sentences, over that of the true centers",
    "center spread in a video": "the same within videos",
    "width spread": "standard deviation of a width over the sentences, over that of the true widths",
    "center R2": "share of a center's variance that the true center explains",
    "center R2, exchanged": "the same with the moment of another sentence of the same video",
    "own IoU": "overlap with the moment of the sentence",
    "others' IoU": "overlap with the moments of the other sentences of the video",
}


def sentence_dependence(
    centers: Float[np.ndarray, "N P"],
    widths: Float[np.ndarray, "N P"],
    truth: Float[np.ndarray, "N 2"],
    videos: Sequence[str],
) -> dict[str, float]:
    """The :data:`MEASURES` of one role, each the mean over its P proposals; NaN where a split cannot say.

    What compares sentences of a video uses the queries whose video has another moment (another start or end).

    Args:
        truth: start and end of the moment of each query.
        videos: id of each query's video.

    Raises:
        DataError: where the numbers of queries differ, or a center or width is not finite.

    >>> truth = np.array([[0.0, 0.2], [0.8, 1.0]])
    >>> found = sentence_dependence(np.array([[0.1], [0.9]]), np.full((2, 1), 0.2), truth, ["a", "a"])
    >>> {name: round(value, 3) for name, value in found.items() if "R2" in name or "IoU" in name}
    {'center R2': 1.0, 'center R2, exchanged': 1.0, 'own IoU': 1.0, "others' IoU": 0.0}
    """
    if not (len(centers) == len(widths) == len(truth) == len(videos)):
        what = f"there are {len(centers)} centers, {len(widths)} widths, {len(truth)} moments, {len(videos)} videos"
        raise DataError("sentence_dependence", what, "give one of each for every query")
    if not (np.isfinite(centers).all() and np.isfinite(widths).all()):
        raise DataError("sentence_dependence", "a center or width is not finite", "leave such proposals out")
    centers, widths, truth = (np.asarray(values, dtype=np.float64) for values in (centers, widths, truth))
    middle, length = truth.mean(axis=1), truth[:, 1] - truth[:, 0]
    groups = np.unique(np.asarray(videos), return_inverse=True)[1]
    spans = np.clip(np.stack((centers - widths / 2, centers + widths / 2), axis=-1), 0.0, 1.0)
    one, other = _pairs(groups, truth)
    several, first, count = np.unique(one, return_index=True, return_counts=True)
    elsewhere = np.bincount(one, weights=sp.iou(spans[one], truth[other, None]).mean(axis=1), minlength=len(truth))
    return {
        "center spread": _ratio(centers.std(axis=0).mean(), middle.std()),
        "center spread in a video": _ratio(_within(centers, groups), _within(middle[:, None], groups)),
        "width spread": _ratio(widths.std(axis=0).mean(), length.std()),
        "center R2": explained(centers, middle),
        "center R2, exchanged": explained(centers[several], middle[other[first]]),
        "own IoU": _mean(sp.iou(spans, truth[:, None])[several]),
        "others' IoU": _mean(elsewhere[several] / count),
    }


def explained(centers: Float[np.ndarray, "N P"], target: Float[np.ndarray, " N"]) -> float:
    """Squared correlation of each center with the target, mean over P; a center that never moves counts 0.

    >>> explained(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([0.2, 0.4]))
    0.5
    """
    if len(target) < 2 or target.std() == 0:
        return float("nan")
    moves = centers.std(axis=0) > 1e-9
    found = np.zeros(centers.shape[1])
    if moves.any():
        standard = (centers[:, moves] - centers[:, moves].mean(axis=0)) / centers[:, moves].std(axis=0)
        found[moves] = (standard * ((target - target.mean()) / target.std())[:, None]).mean(axis=0) ** 2
    return float(found.mean())


def _pairs(groups: Int[np.ndarray, " N"], truth: Float[np.ndarray, "N 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Every query with every other of its video whose moment is another one, the next in the order of the split first.

    The first indices ascend.
    """
    rows = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    ones = [np.repeat(row, len(row)) for row in rows]
    others = [row[np.add.outer(np.arange(len(row)), np.arange(len(row))) % len(row)].ravel() for row in rows]
    one, other = np.concatenate(ones), np.concatenate(others)
    apart = np.abs(truth[one] - truth[other]).max(axis=1) > 1e-9
    order = np.argsort(one[apart], kind="stable")
    return one[apart][order], other[apart][order]


def _within(values: Float[np.ndarray, "N P"], groups: Int[np.ndarray, " N"]) -> float:
    """Standard deviation around the mean of the video, mean over P."""
    count = np.bincount(groups)[:, None]
    means = np.stack([np.bincount(groups, weights=column) for column in values.T], axis=1) / count
    return float(np.sqrt(((values - means[groups]) ** 2).mean(axis=0)).mean())


def _ratio(value: float, of: float) -> float:
    return float(value / of) if of > 0 else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
