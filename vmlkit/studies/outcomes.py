"""What a study keeps of every question of the test split: one number that all later statistics start from.

============ ================== ==========================================================================
family       a question is      columns
============ ================== ==========================================================================
moments      a sentence         ``iou1`` of the first answer, ``iou5`` the best of the first five; see below
JSON lines   a sentence         ``iou1`` of the first window with the nearest true one; mAP is one number a run
retrieval    a sentence         ``rank`` of its video, ``rank_v2t`` of its video's best sentence (0 is first)
actions      a video            ``mAP@...``: what the video adds to the metric, see :func:`influences`
============ ================== ==========================================================================

They follow from the answers that a run keeps (``predictions.npz``), so no model is asked.  Where the masked words were
drawn several times, ``iou1, draw 2`` and so on say where another draw gave another answer, and are empty elsewhere;
metrics are means over the draws, as in a run's ``metrics.json``.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.actions.baselines import baseline_detections, for_protocol
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detection import detection_map, without_each_video
from vmlkit.actions.detections import Detections
from vmlkit.actions.task import ActionTask
from vmlkit.components.ranking import text_to_video_ranks, video_to_text_ranks
from vmlkit.components.retrieval import RetrievalTask, caption_rows
from vmlkit.detr.official import blind_answers, first_overlaps, predictions
from vmlkit.errors import ConfigError, DataError
from vmlkit.metrics.baselines import baseline_predictions
from vmlkit.metrics.moments import moment_iou
from vmlkit.training.task import Kept, Task

#: draws of a baseline that chance decides; each is a seed of its row
DRAWS = 5
#: steps of a stored IoU: thresholds in hundredths keep their side
STEPS = 100
#: where a video has no rank of its own: it stands beside its first sentence
NO_RANK = -1


def check(task: Task[Any, Any, Any], test: Any) -> None:
    """Refuse data of which a study keeps no outcome.

    Raises:
        ConfigError: for JSON lines without moments, or whose test part has no labels.
    """
    lines = getattr(test, "lines", None)
    if lines is not None and not (lines.has_windows and lines.labelled):
        lacks = "moments" if lines.labelled else "labels"
        raise ConfigError(
            f"a study keeps one outcome per question, and the test part of '{test.name}' has no {lacks}: take another "
            "data set, or another part by data.test_file"
        )


def outcomes(task: Task[Any, Any, Any], test: Any, kept: Kept) -> pd.DataFrame:
    """A line a question: ``query`` (its place in the split), ``video``, ``group`` where there are some, and outcomes.

    Args:
        test: the split that was answered.
        kept: its answers, see :meth:`vmlkit.training.task.Task.kept`.
    """
    check(task, test)
    if isinstance(task, ActionTask):
        found = Detections(**kept, unit=task.unit)
        return _of_videos(test, influences(task, test, found))
    if isinstance(task, RetrievalTask):
        owner = caption_rows(test)
        way_back = video_to_text_ranks(kept["logits"], owner)
        return _of_sentences(test, **_ranks(owner, text_to_video_ranks(kept["logits"], owner), way_back))
    if getattr(test, "lines", None) is not None:
        return _of_lines(test, predictions(test, kept))
    return _of_sentences(test, **_overlaps(kept, test.spans))


def _of_lines(test: Any, said: Any) -> pd.DataFrame:
    """Of the queries that count; each keeps its place in the split."""
    rows, best = first_overlaps(test.lines, said)
    overlap = np.zeros(len(test))
    overlap[rows] = best
    return _of_sentences(test, iou1=stored(overlap)).iloc[rows].reset_index(drop=True)


def _overlaps(kept: Kept, truth: Float[np.ndarray, "N 2"]) -> dict[str, Float[np.ndarray, " N"]]:
    """Of the first draw, and of every other where it differs from the first."""
    found: dict[str, np.ndarray] = {}
    draws = zip(kept["proposals"], kept["order"], kept["top1"], strict=True)
    for number, (proposals, order, top1) in enumerate(draws, start=1):
        overlap = moment_iou(proposals, truth)
        best = {"iou1": overlap[np.arange(len(top1)), top1]}
        best["iou5"] = np.take_along_axis(overlap, order[:, :5], axis=1).max(axis=1)
        for name, values in best.items():
            own = stored(values)
            if number == 1:
                found[name] = own
            else:  # all of them, so that one that agrees throughout counts too
                found[f"{name}, draw {number}"] = np.where(own != found[name], own, np.float16("nan"))
    return found


def baseline_outcomes(task: Task[Any, Any, Any], train: Any, test: Any) -> pd.DataFrame:
    """The same for the baselines beside a method, with ``row`` and ``seed``: -1 where chance decides nothing."""
    check(task, test)
    parts = [
        frame.assign(row=name, seed=seed).astype({"seed": "int16"})
        for name, seed, frame in _baselines(task, train, test)
    ]
    return pd.concat(parts, ignore_index=True)


def _baselines(task: Task[Any, Any, Any], train: Any, test: Any) -> Iterator[tuple[str, int, pd.DataFrame]]:
    if isinstance(task, ActionTask):
        truth = test.truth_under(task.protocol)
        for draw in range(DRAWS):
            rng = np.random.default_rng([0, draw])
            found = baseline_detections(train.truth, train.durations, truth, test.durations, rng)
            for name, detections in found.items():
                if "random" in name or not draw:
                    given = for_protocol(detections, task.protocol, 1 / test.snippet_s)
                    seed = draw if "random" in name else -1
                    yield name, seed, _of_videos(test, influences(task, test, given))
    elif isinstance(task, RetrievalTask):
        owner = caption_rows(test)
        for draw in range(DRAWS):
            rng, videos = np.random.default_rng([0, draw]), int(owner.max()) + 1
            ranks = _ranks(owner, rng.integers(videos, size=len(test)), rng.integers(videos, size=videos))
            yield "chance", draw, _of_sentences(test, **ranks)
    elif getattr(test, "lines", None) is not None:
        seen = Counter[str]()
        for name, said in blind_answers(train, test):
            yield name, seen[name] if "random" in name else -1, _of_lines(test, said)
            seen[name] += 1
    else:
        for name, draws in baseline_predictions(train.spans, len(test), draws=DRAWS).items():
            for draw, proposals in enumerate(draws):
                overlap = moment_iou(proposals, test.spans)
                best = {"iou1": stored(overlap[:, 0]), "iou5": stored(overlap.max(axis=1))}
                yield name, draw if len(draws) > 1 else -1, _of_sentences(test, **best)


def stored(iou: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """An IoU as it is kept, in float16: 0, 1, or the middle of its hundredth; a byte each once it is packed.

    ``stored(iou) >= m`` is ``iou >= m`` for every m in hundredths, and a mean over N queries moves by less than
    ``0.003 / sqrt(N)`` (one standard deviation).

    >>> [round(float(iou), 3) for iou in stored(np.array([0.0, 0.5, 0.4999, 1.0]))]
    [0.0, 0.505, 0.495, 1.0]
    """
    # the bits of a threshold: 0.29 * 100 is below 29
    steps = np.floor(np.round(np.asarray(iou, dtype=np.float64) * STEPS, 9))
    inside = (iou > 0) & (steps < STEPS)
    kept: np.ndarray = np.where(inside, (steps + 0.5) / STEPS, np.minimum(steps, STEPS) / STEPS).astype(np.float16)
    return kept


def stored_influence(values: Float[np.ndarray, " V"]) -> Float[np.ndarray, " V"]:
    """An influence as it is kept, in float16: the nearest hundredth, less than half of the bytes once it is packed.

    The mean over V videos, which is the metric, moves by ``0.003 / sqrt(V)`` (one standard deviation), the variance by
    ``1e-5``, where that between videos is some hundredths.

    >>> stored_influence(np.array([0.126, -1.004])).tolist()
    [0.1300048828125, -1.0]
    """
    return np.round(np.asarray(values, dtype=np.float64), 2).astype(np.float16)


def influences(task: ActionTask, test: ActionDataset, found: Detections) -> dict[str, Float[np.ndarray, " V"]]:
    """What each video adds to every mAP of the protocol: ``m + (V - 1) (mean over w of m(-w) - m(-v))``.

    ``m(-v)`` is the metric without the video v, m that of all V.  The mean over videos is m, and their variance over V
    is the jackknife's variance of m.
    """
    truth, rate = test.truth_under(task.protocol), 1 / test.snippet_s
    whole = detection_map(found, truth, task.protocol, snippets_per_s=rate).metrics()
    without = [rest.metrics() for rest in without_each_video(found, truth, task.protocol, snippets_per_s=rate)]
    each = {name: np.array([metrics[name] for metrics in without]) for name in whole}
    count = len(test) - 1
    return {name: whole[name] + count * (values.mean() - values) for name, values in each.items()}


def _of_videos(test: ActionDataset, columns: dict[str, Float[np.ndarray, " V"]]) -> pd.DataFrame:
    given = {name: values.astype(np.float32) for name, values in columns.items()}
    return pd.DataFrame({"query": np.arange(len(test), dtype=np.int32), "video": list(test.video_ids), **given})


def _of_sentences(test: Any, **columns: np.ndarray) -> pd.DataFrame:
    frame = {"query": np.arange(len(test), dtype=np.int32), "video": list(test.video_ids)}
    groups = getattr(test, "groups", {})
    if groups:
        names = np.full(len(test), "", dtype=object)
        for name, rows in groups.items():
            names[np.asarray(rows)] = name
        frame["group"] = names
    return pd.DataFrame({**frame, **columns})


def _ranks(owner: np.ndarray, found: np.ndarray, way_back: np.ndarray) -> dict[str, np.ndarray]:
    """Both directions on the lines of sentences; a video's own rank stands beside its first sentence."""
    back = np.full(len(owner), NO_RANK, dtype=np.int16)
    videos, first = np.unique(owner, return_index=True)
    back[first] = way_back[videos]
    return {"rank": found.astype(np.int16), "rank_v2t": back}


def metric_outcomes(frame: pd.DataFrame, metric: str) -> pd.DataFrame | None:
    """The outcome of each question whose mean is ``metric``; None where the metric is no such mean.

    ``R@n,IoU=m``, ``R@n,mIoU`` (n is 1 or 5), ``t2v R@k``, ``v2t R@k``, ``MnR`` of both (1 is first), ``mAP@...``; of
    the questions of a group alone where the name ends in ``(group)``.

    Args:
        frame: with the columns of :func:`outcomes`, and ``row`` and ``seed``.

    Returns:
        ``row, seed, query, video, value``.

    Raises:
        DataError: for a group that no question belongs to.
    """
    name, group = metric, re.fullmatch(r"(.*) \((\w+)\)", metric)
    if group is not None and "group" in frame:
        name, frame = group[1], frame[frame["group"] == group[2]]
        if not len(frame):
            raise DataError("the outcomes", f"no question is of the group '{group[2]}'", "choose a group of the data")
    value = _value(frame, name)
    if value is None:
        return None
    if name.startswith("v2t"):
        frame, value = frame[frame["rank_v2t"] != NO_RANK], value[frame["rank_v2t"] != NO_RANK]
    return frame[["row", "seed", "query", "video"]].assign(value=value.astype(np.float64))


def _mean_of_draws(frame: pd.DataFrame, name: str, threshold: float | None) -> pd.Series:
    """The overlap, or whether it reaches the threshold; a later draw is that of the first where nothing is written."""
    first = frame[name].astype(np.float64)
    draws = [first, *(frame[c].astype(np.float64).fillna(first) for c in frame if str(c).startswith(f"{name}, draw "))]
    found = draws if threshold is None else [(draw >= threshold).astype(np.float64) for draw in draws]
    mean: pd.Series = sum(found[1:], start=found[0]) / len(found)
    return mean


def _value(frame: pd.DataFrame, name: str) -> pd.Series | None:
    if name in frame and name.startswith("mAP@"):
        return frame[name]
    moment = re.fullmatch(r"R@([15]),(?:mIoU|IoU=([\d.]+))", name)
    if moment is not None and f"iou{moment[1]}" in frame:
        return _mean_of_draws(frame, f"iou{moment[1]}", None if moment[2] is None else float(moment[2]))
    ranked = re.fullmatch(r"(t2v|v2t) (?:R@(\d+)|MnR)", name)
    if ranked is not None and "rank" in frame:
        place = frame["rank" if ranked[1] == "t2v" else "rank_v2t"].astype(np.float64)
        return place + 1 if ranked[2] is None else (place < int(ranked[2])).astype(np.float64)
    return None
