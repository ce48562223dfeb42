"""From class activations and attention of one video to scored instances, as the released programs do it.

P3, CO2-Net: :func:`attention_proposals` and :func:`drop_ambiguous`.  HAM-Net: :func:`attention_proposals` with
:data:`HAMNET`.  BaS-Net: :func:`activation_proposals`.  Every proposal is scored by what lies inside it against what
lies just outside (outer-inner contrast).  T snippets, C classes, background in column C.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit.actions.detections import SNIPPETS_PER_S, Detections, Unit
from vmlkit.actions.nms import hard_nms, soft_nms
from vmlkit.errors import DataError

#: bounds of a run of snippets: first and last index, both inside
Runs = Int[np.ndarray, "runs 2"]


@dataclass(frozen=True, kw_only=True)
class ProposalConfig:
    """Settings of the attention-based proposals; the defaults are those of P3 and CO2-Net on THUMOS14."""

    top_ratio: int = 10  #: class score: softmax of the mean of the largest T / top_ratio activations
    class_threshold: float = 0.2  #: classes from this score on
    best_class_if_none: bool = True  #: take the best class where none reaches the threshold (HAM-Net: nothing)
    attention_thresholds: tuple[float, ...] = tuple(np.linspace(0.1, 0.9, 10).tolist())
    outer_margin: float = 0.25  #: width of the surroundings on either side, in lengths of the proposal
    class_weight: float = 0.2  #: gamma, weight of the class score in the confidence
    sigma: float = 0.3  #: of soft-NMS
    unit: Unit = "snippets"  #: of the result, and of the "+ 1" in soft-NMS
    snippet_s: float = 1 / SNIPPETS_PER_S  #: seconds per snippet


#: P3 and CO2-Net
P3 = ProposalConfig()
#: HAM-Net: no class where none reaches the threshold; seconds before soft-NMS
HAMNET = replace(P3, best_class_if_none=False, unit="seconds")


def attention_proposals(
    cas: Float[np.ndarray, "T C1"], attention: Float[np.ndarray, " T"], config: ProposalConfig = P3, video: int = 0
) -> Detections:
    """Proposals of P3, CO2-Net and HAM-Net: runs of snippets whose attention exceeds any of ten thresholds.

    The activation is ``cas * attention`` (training uses a version that keeps the minimum).  Every class above the
    threshold gets every run, scored by its own activation.  Rows come class by class, in the order of soft-NMS.

    Args:
        cas: class activation sequence (logits), the background last.
        attention: foreground attention in [0, 1].
        video: position of the video in the ground truth's list.
    """
    activation = cas * attention[:, None]
    scores = class_scores(activation, len(activation) // config.top_ratio)
    chosen = np.flatnonzero(scores >= config.class_threshold)
    if not len(chosen) and config.best_class_if_none:
        chosen = np.array([np.argmax(scores)])
    exact = attention.astype(np.float64)
    runs = np.concatenate([_trapped_runs(exact > level) for level in config.attention_thresholds] or [_NO_RUNS])
    scale = config.snippet_s if config.unit == "seconds" else 1.0
    parts = []
    for label in chosen:
        confidence = outer_inner_contrast(activation[:, label], runs, config.outer_margin)
        spans = np.column_stack((runs[:, 0], runs[:, 1] + 1)) * scale
        order, decayed = soft_nms(spans, confidence + config.class_weight * scores[label], sigma=config.sigma)
        parts.append(np.column_stack((spans[order], np.full(len(order), label), decayed)))
    return Detections.from_rows(np.concatenate(parts or [np.zeros((0, 4))]), config.unit, video)


def class_scores(activation: Float[np.ndarray, "T C1"], count: int) -> Float[np.ndarray, " C"]:
    """Softmax, over classes and background, of the mean of the ``count`` (at least one) largest activations.

    >>> class_scores(np.zeros((5, 4)), 10).tolist()
    [0.25, 0.25, 0.25]
    """
    k = max(1, count)
    top = np.sort(activation, axis=0)[-k:].mean(axis=0)
    weights = np.exp(top - top.max())
    found: np.ndarray = (weights / weights.sum())[:-1]
    return found


def runs_of(inside: Bool[np.ndarray, " T"]) -> Runs:
    """First and last index of every maximal run of ``True``.

    >>> runs_of(np.array([True, False, True, True])).tolist()
    [[0, 0], [2, 3]]
    """
    steps = np.diff(np.concatenate(([0], inside.astype(np.int8), [0])))
    return np.column_stack((np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1))


def _trapped_runs(inside: Bool[np.ndarray, " T"]) -> Runs:
    # PAPER: (silent) / CODE: the list of indices is tested with any(), so that a lone snippet 0 counts as nothing -> no
    # switch, because one snippet at the start decides no number
    return runs_of(inside) if inside[1:].any() else _NO_RUNS


_NO_RUNS = np.zeros((0, 2), dtype=np.int64)


def outer_inner_contrast(
    activation: Float[np.ndarray, " T"], runs: Runs, margin: float = 0.25
) -> Float[np.ndarray, " runs"]:
    """Mean activation inside each run minus that of its surroundings, ``margin`` lengths on either side.

    With ``n`` snippets from ``p`` to ``q`` the surroundings are ``max(0, trunc(p - margin n)) .. p - 1`` and
    ``q + 1 .. min(T - 1, trunc(q + margin n))``; where there are none, 0 is subtracted.

    >>> outer_inner_contrast(np.array([0.0, 1.0, 3.0, 3.0, 3.0, 3.0, 0.0]), np.array([[2, 5]])).tolist()
    [2.5]
    """
    first, last = runs[:, 0], runs[:, 1]
    reach = margin * (last - first + 1)
    low = np.maximum(0, np.trunc(first - reach).astype(np.int64))
    high = np.minimum(len(activation) - 1, np.trunc(last + reach).astype(np.int64))
    total = np.concatenate(([0.0], np.cumsum(activation, dtype=np.float64)))
    inner = (total[last + 1] - total[first]) / (last - first + 1)
    count = (first - low) + (high - last)
    outer = (total[first] - total[low] + total[high + 1] - total[last + 1]) / np.maximum(count, 1)
    found: np.ndarray = inner - np.where(count > 0, outer, 0.0)
    return found


def drop_ambiguous(
    detections: Detections, ambiguous_s: Iterable[tuple[float, float]], snippets_per_s: float = SNIPPETS_PER_S
) -> Detections:
    """P3 and CO2-Net leave out what touches an ambiguous region of the video, whatever its class.

    A detection covers the snippets ``int(start) .. int(end) - 1``, a region ``round(start * 25 / 16)`` to
    ``round(end * 25 / 16) - 1`` (half to even); one in common is enough.

    Args:
        detections: of one video, in snippets.
        ambiguous_s: start and end of its ambiguous regions, in seconds.

    Raises:
        DataError: for detections in seconds.
    """
    if detections.unit != "snippets":
        raise DataError("ambiguity filter", "the detections are in seconds", "filter before converting them")
    regions = np.round(np.array(list(ambiguous_s), dtype=np.float64).reshape(-1, 2) * snippets_per_s)
    first, stop = np.trunc(detections.spans).T
    common = np.minimum(stop[:, None], regions[:, 1]) - np.maximum(first[:, None], regions[:, 0])
    return detections.where(~(common > 0).any(axis=1))


@dataclass(frozen=True, kw_only=True)
class BasNetProposalConfig:
    """Settings of BaS-Net's proposals on THUMOS14."""

    class_threshold: float = 0.25
    activation_thresholds: tuple[float, ...] = tuple(np.arange(0, 0.25, 0.025).tolist())
    scale: int = 24  #: positions per snippet after linear upsampling
    outer_margin: float = 0.25
    class_weight: float = 0.2  #: gamma; the class score it weighs has become 1 by then
    nms_threshold: float = 0.7
    frames_per_snippet: float = 16  #: not a whole number where a snippet has another length
    fps: int = 25
    #: PAPER: every class above the threshold is localised / CODE: the list of class numbers is tested with any(), so
    #: that a video of class 0 alone gets nothing -> skip_lone_class_zero
    skip_lone_class_zero: bool = True


def activation_proposals(
    cas: Float[np.ndarray, "T C1"],
    scores: Float[np.ndarray, " C1"],
    snippets: int,
    config: BasNetProposalConfig | None = None,
    video: int = 0,
) -> Detections:
    """BaS-Net's proposals, in seconds: runs of one class's own activation above ten thresholds, then hard NMS.

    Args:
        cas: class activations of the suppressed branch, resampled to T snippets.
        scores: softmax class scores of that branch; the background, last, is ignored.
        snippets: number of snippets of the video before resampling.
        video: position of the video in the ground truth's list.
    """
    config = config or BasNetProposalConfig()
    chosen = np.flatnonzero(scores[:-1] >= config.class_threshold)
    if config.skip_lone_class_zero and not chosen.any():
        chosen = chosen[:0]
    seconds = config.frames_per_snippet * snippets / (config.scale * len(cas) * config.fps)
    parts = []
    for label in chosen:
        curve = upsample(_normalised(cas[:, label]), config.scale)
        rows = np.concatenate([_scored(curve, level, config) for level in config.activation_thresholds])
        spans = rows[:, :2] * seconds
        keep = hard_nms(spans, rows[:, 2], config.nms_threshold)
        parts.append(np.column_stack((spans[keep], np.full(len(keep), label), rows[keep, 2])))
    return Detections.from_rows(np.concatenate(parts or [np.zeros((0, 4))]), "seconds", video)


def _scored(curve: np.ndarray, level: float, config: BasNetProposalConfig) -> Float[np.ndarray, "runs 3"]:
    cut = np.where(curve < level, 0.0, curve)
    runs = _trapped_runs(cut > 0)
    confidence = outer_inner_contrast(cut, runs, config.outer_margin) + config.class_weight
    return np.column_stack((runs[:, 0], runs[:, 1] + 1, confidence))


def _normalised(column: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Min-max over time, where both ends are first raised to 0; a curve without range is only shifted."""
    low, high = max(float(column.min()), 0.0), max(float(column.max()), 0.0)
    return (column - low) / (high - low if high > low else 1.0)


def upsample(curve: Float[np.ndarray, " T"], scale: int) -> Float[np.ndarray, " fine"]:
    """Linear interpolation at 0, 1/scale, 2/scale ... below T; beyond the last snippet the last slope goes on.

    >>> upsample(np.array([0.0, 2.0]), 2).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    at = np.arange(0, len(curve), 1 / scale)
    if len(curve) == 1:
        return np.full(len(at), curve[0], dtype=np.float64)
    # at a snippet itself the slope before it is used, with the bits of the released program's interpolation
    left = np.clip(np.ceil(at).astype(np.int64) - 1, 0, len(curve) - 2)
    found: np.ndarray = curve[left] + (at - left) * (curve[left + 1] - curve[left])
    return found
