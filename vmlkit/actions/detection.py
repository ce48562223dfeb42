"""mAP@tIoU of detected action instances, under the three protocols in circulation.

The same detections differ by several points between them, so a number without its protocol says little:

* ``"p3"`` (P3, CO2-Net): bounds of the ground truth are rounded to snippets (half to even), detections are in snippets;
  an instance shorter than the rounding has no length and can never be found.  tIoU 0.1 .. 0.9.
* ``"seconds"`` (BaS-Net, HAM-Net): seconds on both sides, no rounding.  tIoU 0.1 .. 0.9.
* ``"activitynet"``: seconds, tIoU 0.5, 0.55 .. 0.95.

Which videos count is part of a protocol too and is decided by the ground truth handed in, see
:mod:`vmlkit.actions.thumos`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from vmlkit import spans as sp
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detections import SNIPPETS_PER_S, Detections, per_instance
from vmlkit.actions.proposals import drop_ambiguous
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError

Protocol = Literal["p3", "seconds", "activitynet"]

#: tIoU thresholds of each protocol, with the bits of the released programs (0.3 is not linspace's 0.30000000000000004)
THRESHOLDS: dict[Protocol, tuple[float, ...]] = {
    "p3": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "seconds": tuple(np.linspace(0.1, 0.9, 9).tolist()),
    "activitynet": tuple(np.linspace(0.5, 0.95, 10).tolist()),
}
#: ranges of tIoU over which papers average
AVERAGES: dict[Protocol, tuple[tuple[float, float], ...]] = {
    "p3": ((0.1, 0.5), (0.3, 0.7), (0.1, 0.7)),
    "seconds": ((0.1, 0.5), (0.3, 0.7), (0.1, 0.7), (0.1, 0.9)),
    "activitynet": ((0.5, 0.95),),
}


@dataclass(frozen=True, kw_only=True)
class DetectionResult:
    """AP of every class at every threshold, and what was counted."""

    protocol: Protocol
    thresholds: tuple[float, ...]
    ap: Float[np.ndarray, "K C"]  #: fractions; NaN for a class without an instance
    classes: tuple[str, ...]
    instances: Int[np.ndarray, " C"]  #: denominator of each class's recall
    zero_length: int  #: instances without length, which nothing can match
    detections: int

    @property
    def mean_ap(self) -> Float[np.ndarray, " K"]:
        """Plain mean over the classes that have an instance; a class without detections counts as 0."""
        found: np.ndarray = self.ap[:, self.instances > 0].mean(axis=1)
        return found

    def average(self, low: float, high: float) -> float:
        """Mean of the mAPs at the thresholds from ``low`` to ``high``."""
        inside = (np.array(self.thresholds) > low - 1e-6) & (np.array(self.thresholds) < high + 1e-6)
        if not inside.any():
            raise DataError("mAP", f"no threshold lies between {low:g} and {high:g}", "choose among the thresholds")
        return float(self.mean_ap[inside].mean())

    def metrics(self) -> dict[str, float]:
        """``mAP@t`` for every threshold and ``mAP@a:b`` for the usual averages, as fractions."""
        out = {f"mAP@{t:.2g}": float(v) for t, v in zip(self.thresholds, self.mean_ap, strict=True)}
        low, high = self.thresholds[0] - 1e-6, self.thresholds[-1] + 1e-6
        ranges = [(a, b) for a, b in AVERAGES[self.protocol] if low <= a and b <= high]
        return out | {f"mAP@{a:g}:{b:g}": self.average(a, b) for a, b in ranges}


def detection_map(
    detections: Detections,
    truth: ActionSegments,
    protocol: Protocol,
    thresholds: Sequence[float] | None = None,
    snippets_per_s: float | Float[np.ndarray, " videos"] = SNIPPETS_PER_S,
) -> DetectionResult:
    """mAP at every threshold.

    Per class, detections are visited by descending score.  One is right if, among the instances of its video that it
    overlaps with a tIoU of at least the threshold, one has not been found at this threshold yet; it takes the one it
    overlaps most.  AP is the area under precision (running maximum from the right) over recall.  Equal scores, and
    equal overlaps, are visited last row first (a stable ascending sort, reversed).  tIoU has no ``+ 1``.

    Args:
        detections: in snippets for ``"p3"``, in seconds for the others.
        truth: instances in seconds; ``detections.video`` and ``detections.labels`` index its lists.
        thresholds: tIoU, in place of the protocol's own.
        snippets_per_s: for ``"p3"``; one number, or one per video of ``truth``.

    Raises:
        DataError: for detections in the wrong unit or of videos or classes that do not exist, or no instance at all.

    >>> truth = ActionSegments.build([("a", 0.0, 10.0, "run"), ("a", 20.0, 30.0, "run")], ["a"], ["run"])
    >>> found = Detections.from_rows([[0, 10, 0, 0.9], [40, 50, 0, 0.8], [20, 26, 0, 0.7]], "seconds")
    >>> detection_map(found, truth, "seconds", [0.5, 0.7]).mean_ap.round(3).tolist()
    [0.833, 0.5]
    """
    return _Judged(detections, truth, protocol, thresholds, snippets_per_s).result()


def without_each_video(
    detections: Detections,
    truth: ActionSegments,
    protocol: Protocol,
    snippets_per_s: float | Float[np.ndarray, " videos"] = SNIPPETS_PER_S,
) -> Iterator[DetectionResult]:
    """:func:`detection_map` without the detections and instances of each video in turn, to the same bits.

    Detections compete within their video, so they are judged once for all; only classes that the video has or was said
    to have get another AP.

    Raises:
        DataError: as :func:`detection_map` does; also where one video holds all instances.
    """
    judged = _Judged(detections, truth, protocol, None, snippets_per_s)
    whole = judged.result()
    for video in range(len(truth.video_ids)):
        yield judged.without(video, whole)


class _Judged:
    """Detections by descending score, and which are right at each threshold."""

    def __init__(
        self,
        detections: Detections,
        truth: ActionSegments,
        protocol: Protocol,
        thresholds: Sequence[float] | None,
        snippets_per_s: float | Float[np.ndarray, " videos"],
    ) -> None:
        if protocol not in THRESHOLDS:
            raise DataError("mAP", f"no protocol {protocol!r}", f"use one of {', '.join(THRESHOLDS)}")
        self.protocol, self.truth = protocol, truth
        self.levels = tuple(THRESHOLDS[protocol] if thresholds is None else thresholds)
        _check(detections, truth, protocol)
        self.target = truth.spans_s
        if protocol == "p3":
            self.target = np.round(self.target * per_instance(snippets_per_s, truth.video))
        self.found = detections.where(np.argsort(detections.scores, kind="stable")[::-1])
        self.correct = _correct(self.found, truth, self.target, np.array(self.levels))

    def result(self) -> DetectionResult:
        """Of all videos."""
        classes = len(self.truth.classes)
        ap = np.full((len(self.levels), classes), np.nan)
        every = np.ones(len(self.found), dtype=bool), np.ones(len(self.truth), dtype=bool)
        return self._result(*every, ap, np.arange(classes))

    def without(self, video: int, whole: DetectionResult) -> DetectionResult:
        """Of all videos but one."""
        others, left = self.found.video != video, self.truth.video != video
        if not left.any():
            raise DataError("mAP", "the ground truth holds no instance", f"video {video} holds all of them")
        concerned = np.union1d(self.found.labels[~others], self.truth.labels[~left])
        return self._result(others, left, whole.ap.copy(), concerned)

    def _result(
        self,
        kept: Bool[np.ndarray, " N"],
        left: Bool[np.ndarray, " G"],
        ap: Float[np.ndarray, "K C"],
        concerned: Int[np.ndarray, " c"],
    ) -> DetectionResult:
        """With the AP of the ``concerned`` classes made again, of detections ``kept`` and instances ``left``."""
        instances = np.bincount(self.truth.labels[left], minlength=len(self.truth.classes))
        for label in concerned:
            right = self.correct[:, kept & (self.found.labels == label)]
            ap[:, label] = _average_precision(right, int(instances[label])) if instances[label] else np.nan
        target = self.target[left]
        return DetectionResult(
            protocol=self.protocol,
            thresholds=self.levels,
            ap=ap,
            classes=self.truth.classes,
            instances=instances,
            zero_length=int((target[:, 0] >= target[:, 1]).sum()),
            detections=int(kept.sum()),
        )


def _check(detections: Detections, truth: ActionSegments, protocol: Protocol) -> None:
    unit = "snippets" if protocol == "p3" else "seconds"
    if detections.unit != unit:
        remedy = "take another protocol" if unit == "snippets" else "convert them with in_unit()"
        raise DataError(
            "mAP", f"protocol {protocol!r} compares {unit}, the detections are in {detections.unit}", remedy
        )
    if not len(truth):
        raise DataError("mAP", "the ground truth holds no instance", "check the split and the classes")
    outside = (detections.video < 0) | (detections.video >= len(truth.video_ids))
    outside |= (detections.labels < 0) | (detections.labels >= len(truth.classes))
    if outside.any():
        what = f"detection {int(outside.argmax())} names a video or class that the ground truth does not list"
        raise DataError("mAP", what, "index the lists of this ground truth")


def _correct(
    detections: Detections, truth: ActionSegments, target: Float[np.ndarray, "G 2"], levels: Float[np.ndarray, " K"]
) -> Bool[np.ndarray, "K N"]:
    """Which detections, given by descending score, are right at each threshold.

    Only detections of the same video and class compete for an instance.  So the r-th of every such group are decided
    together, and the loop is over ranks within a group, not over detections.
    """
    count, classes = len(detections), len(truth.classes)
    group = detections.video * classes + detections.labels
    rank = _rank_within(group)
    match, overlap = _candidates(group, detections.spans, truth.video * classes + truth.labels, target, levels.min())
    taken = np.zeros((len(levels), len(target) + 1), dtype=bool)
    correct = np.zeros((len(levels), count), dtype=bool)
    competing = np.flatnonzero(overlap[:, 0] >= 0) if overlap.shape[1] else np.zeros(0, dtype=np.int64)
    competing = competing[np.argsort(rank[competing], kind="stable")]
    for now in np.split(competing, np.flatnonzero(np.diff(rank[competing])) + 1):
        for k in range(overlap.shape[1]):
            new = (overlap[now, k] >= levels[:, None]) & ~taken[:, match[now, k]] & ~correct[:, now]
            taken[:, match[now, k]] |= new
            correct[:, now] |= new
    return correct


def _rank_within(group: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """0, 1, 2 ... in order of appearance within each group."""
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))
    return rank


def _candidates(
    group: Int[np.ndarray, " N"],
    spans: Float[np.ndarray, "N 2"],
    truth_group: Int[np.ndarray, " G"],
    target: Float[np.ndarray, "G 2"],
    lowest: float,
) -> tuple[Int[np.ndarray, "N M"], Float[np.ndarray, "N M"]]:
    """For every detection the instances with a tIoU of at least ``lowest``, best first: their rows and the tIoU.

    Padded with row G and tIoU -1.
    """
    order = np.argsort(truth_group, kind="stable")
    first = np.searchsorted(truth_group[order], group, "left")
    each = np.searchsorted(truth_group[order], group, "right") - first
    found = np.repeat(np.arange(len(group)), each)
    instance = order[np.arange(len(found)) - np.repeat(np.cumsum(each) - each, each) + np.repeat(first, each)]
    tiou = sp.sum_iou(spans[found], target[instance])
    keep = tiou >= lowest  # which is positive, so that neither an empty nor a reversed detection is kept
    found, instance, tiou = found[keep], instance[keep], tiou[keep]
    best_first = np.lexsort((-instance, -tiou, found))
    found, instance, tiou = found[best_first], instance[best_first], tiou[best_first]
    place = _rank_within(found)
    shape = (len(group), int(place.max(initial=-1)) + 1)
    match, overlap = np.full(shape, len(target)), np.full(shape, -1.0)
    match[found, place], overlap[found, place] = instance, tiou
    return match, overlap


def _average_precision(correct: Bool[np.ndarray, "K n"], instances: int) -> Float[np.ndarray, " K"]:
    """Area under the interpolated precision: recall rises by ``1 / instances`` at every right detection."""
    if not correct.shape[1]:
        return np.zeros(len(correct))
    precision = np.cumsum(correct, axis=1) / np.arange(1, correct.shape[1] + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found: np.ndarray = (envelope * correct).sum(axis=1) / instances
    return found


def under_every_protocol(found: Detections, dataset: ActionDataset) -> dict[Protocol, DetectionResult]:
    """Evaluate detections as P3, BaS-Net and HAM-Net, and ActivityNet would.

    For ``"p3"`` whatever touches an ambiguous region is left out, and bounds stay in snippets; for the others they
    become seconds, and the instances of videos that ``gt.json`` lacks do not count.

    Args:
        found: in snippets, *before* any ambiguity filter.
        dataset: the split that was localised, in its order.

    Raises:
        DataError: for detections in seconds: rounding them would not give back the snippets.
    """
    if found.unit != "snippets":
        raise DataError("protocols", "the detections are in seconds", "give them in snippets, before any conversion")
    rate = 1 / dataset.snippet_s
    filtered = Detections.concatenate(
        [
            drop_ambiguous(found.where(found.video == video), regions, float(rate[video]))
            for video, regions in enumerate(dataset.ambiguous_s)
        ]
    )
    seconds = found.in_unit("seconds", dataset.snippet_s)
    return {
        protocol: detection_map(
            filtered if protocol == "p3" else seconds, dataset.truth_under(protocol), protocol, snippets_per_s=rate
        )
        for protocol in THRESHOLDS
    }


def protocol_table(results: dict[Protocol, DetectionResult]) -> pd.DataFrame:
    """mAP in percent, one row per protocol, one column per threshold that any of them uses; then the denominators."""
    levels = sorted({round(t, 6) for result in results.values() for t in result.thresholds})
    rows = {}
    for protocol, result in results.items():
        known = {round(t, 6): 100 * float(v) for t, v in zip(result.thresholds, result.mean_ap, strict=True)}
        rows[protocol] = {
            **{f"{t:g}": known.get(t, np.nan) for t in levels},
            "instances": int(result.instances.sum()),
            "of zero length": result.zero_length,
            "detections": result.detections,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
