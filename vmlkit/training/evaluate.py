"""Predictions of a whole split and their scores.

Everything random in an evaluation comes from the seed that is handed in, so evaluating never disturbs training, and
the same weights always score the same.  Axes: N queries of the split, P proposals, M negatives.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from vmlkit import spans as sp
from vmlkit.data.batches import MomentDataset
from vmlkit.errors import DataError, TrainingDiverged
from vmlkit.metrics.dependence import sentence_dependence
from vmlkit.metrics.moments import VoteRule, moment_metrics
from vmlkit.metrics.moments import vote as voted
from vmlkit.metrics.negatives import ion_metrics
from vmlkit.training.method import Method, Progress

#: what a seed is for; joins the user's seed so that the streams never coincide
BATCH_ORDER, STEP_DRAWS, EVALUATION, PROBE, DIAGNOSIS, BATCH_DRAWS = 1, 2, 3, 4, 5, 6


def derive_seed(seed: int, *keys: int) -> int:
    """A seed for one purpose, far from every other purpose's.

    >>> derive_seed(1, EVALUATION, 5) == derive_seed(1, EVALUATION, 5) != derive_seed(1, EVALUATION, 6)
    True
    """
    low, high = np.random.SeedSequence([seed, *keys]).generate_state(2, np.uint32)
    return int(low) | (int(high) & 0x7FFFFFFF) << 32


@dataclass(frozen=True, kw_only=True)
class EvaluationArrays:
    """What the method said about every query of a split; times in fractions of the video."""

    query_ids: tuple[str, ...]
    video_ids: tuple[str, ...]  #: per query
    centers: Float[np.ndarray, "N P"]
    widths: Float[np.ndarray, "N P"]
    proposals: Float[np.ndarray, "N P 2"]  #: start/end, clipped to [0, 1] by the method
    nll: Float[np.ndarray, "N P"]
    order: Int[np.ndarray, "N P"]
    top1: Int[np.ndarray, " N"]
    truth: Float[np.ndarray, "N 2"]
    negative_centers: Float[np.ndarray, "N M"] | None = None
    negative_widths: Float[np.ndarray, "N M"] | None = None
    negative_weights: Float[np.ndarray, "N M"] | None = None
    negative_nll: Float[np.ndarray, "N M"] | None = None
    clip_scores: dict[str, Float[np.ndarray, "N T"]] = field(default_factory=dict)  #: signals per clip by name
    #: standard deviation of each metric over the draws of masked words (n - 1 in the denominator); empty for one draw
    spread: dict[str, float] = field(default_factory=dict)
    further: tuple["EvaluationArrays", ...] = ()  #: the same for every draw of the masked words after the first

    @property
    def negatives(self) -> Float[np.ndarray, "N M 2"] | None:
        """Start/end of the negatives, clipped to [0, 1]; None where the method has none."""
        if self.negative_centers is None or self.negative_widths is None:
            return None
        half = self.negative_widths / 2
        return np.clip(np.stack((self.negative_centers - half, self.negative_centers + half), axis=-1), 0, 1)

    def dependence(self) -> dict[str, float]:
        """How much proposals depend on the sentence: ``<role> <measure>`` for positives, the chosen one, negatives.

        See :func:`vmlkit.metrics.dependence.sentence_dependence`; and ``negative NLL gap``, the mean of
        NLL(negative) - NLL(chosen positive).
        """
        rows = np.arange(len(self.top1))
        chosen = [values[rows, self.top1][:, None] for values in (self.centers, self.widths, self.nll)]
        roles = {"positive": (self.centers, self.widths), "chosen": (chosen[0], chosen[1])}
        if self.negative_centers is not None and self.negative_widths is not None:
            roles["negative"] = (self.negative_centers, self.negative_widths)
        found = {
            f"{role} {name}": value
            for role, (centers, widths) in roles.items()
            for name, value in sentence_dependence(centers, widths, self.truth, self.video_ids).items()
        }
        if self.negative_nll is not None:
            found["negative NLL gap"] = float((self.negative_nll - chosen[2]).mean())
        return found

    def negative_ion(self) -> Float[np.ndarray, "N M"] | None:
        """Share of each negative inside the chosen positive and outside the truth (:func:`vmlkit.spans.ion`)."""
        if self.negatives is None:
            return None
        answer = self.proposals[np.arange(len(self.top1)), self.top1].astype(np.float64)
        return sp.ion(np.clip(answer, 0, 1)[:, None], self.negatives.astype(np.float64), self.truth[:, None])


@contextlib.contextmanager
def undisturbed(method: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode without gradients; afterwards the mode and torch's global generators are as before."""
    device = next(method.parameters()).device
    was_training = method.training
    accelerators = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(accelerators, device_type=device.type if accelerators else "cuda"), torch.no_grad():
        method.eval()
        try:
            yield device
        finally:
            method.train(was_training)


def evaluate(
    method: Method[Any],
    dataset: MomentDataset,
    generator_seed: int,
    batch_size: int = 128,
    vote: VoteRule | None = None,
    truth: Float[np.ndarray, "N 2"] | None = None,
    *,
    draws: int = 1,
    progress: Progress | None = None,
) -> tuple[dict[str, float], EvaluationArrays]:
    """Score ``method`` on every query of ``dataset``.

    Args:
        generator_seed: fixes the masked words, and with them the ranking.
        vote: how the answer is chosen among the proposals; None keeps the method's own ``top1``.
        truth: start/end in fractions of the video; the data set's own by default.
        draws: how many times the masked words are drawn.  Metrics are means over the draws, their spread is in the
            arrays; the arrays are those of the first draw, the others are in ``further``.
        progress: the clock, for methods whose negatives follow a schedule.

    Returns:
        ``R@n,IoU=m`` and ``R@n,mIoU`` as fractions (and the IoN of negatives, where there are any), and the arrays.

    Raises:
        DataError: for an empty split or fewer than one draw.
        TrainingDiverged: where a proposal or its NLL is not a finite number; names the query.
    """
    if len(dataset) == 0:
        raise DataError(dataset.name, "has no queries", "evaluate a split that has some")
    if draws < 1:
        raise DataError("evaluate", f"draws is {draws}", "draw the masked words at least once")
    target = np.asarray(dataset.spans if truth is None else truth, dtype=np.float64)
    results: list[dict[str, float]] = []
    all_arrays: list[EvaluationArrays] = []
    for draw in range(draws):
        said = _predict_all(method, dataset, derive_seed(generator_seed, draw), batch_size, progress)
        all_arrays.append(_as_arrays(dataset, said, vote, target))
        results.append(_score(all_arrays[-1]))
    means = mean_of(results)
    if draws > 1:
        all_arrays[0].spread.update({name: float(np.std([r[name] for r in results], ddof=1)) for name in means})
    return means, replace(all_arrays[0], further=tuple(all_arrays[1:]))


def mean_of(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric averaged over several draws."""
    return {name: float(np.mean([r[name] for r in results])) for name in results[0]}


#: what is kept of an answer of ranked moments, with an axis of draws before the others
KEPT = ("proposals", "nll", "order", "top1")
#: before the name of a signal per clip among what is kept
SIGNAL = "clip_scores."


def kept_moments(arrays: EvaluationArrays) -> dict[str, np.ndarray]:
    """The answers alone: ``proposals (draws, N, P, 2)``, ``nll``, ``order``, ``top1``, and the signals per clip."""
    draws = (arrays, *arrays.further)
    kept = {name: np.stack([getattr(draw, name) for draw in draws]) for name in KEPT}
    return kept | {SIGNAL + name: values for name, values in arrays.clip_scores.items()}


def score_kept(kept: Mapping[str, np.ndarray], truth: Float[np.ndarray, "N 2"]) -> dict[str, float]:
    """``R@n,IoU=m`` and ``R@n,mIoU`` of kept answers, averaged over their draws."""
    draws = zip(kept["proposals"], kept["order"], kept["top1"], strict=True)
    return mean_of([moment_metrics(proposals, order, top1, truth) for proposals, order, top1 in draws])


def fault_of_kept(kept: Mapping[str, np.ndarray], queries: int) -> str | None:
    """Why arrays of a file cannot be kept answers to so many queries, see :func:`kept_moments`; None where they can."""
    if (missing := next((name for name in KEPT if name not in kept), None)) is not None:
        return f"lacks the array '{missing}'"
    proposals, nll, order, top1 = (kept[name] for name in KEPT)
    size = proposals.shape
    alike = proposals.ndim == 4 and 0 not in size and size[1] == queries and size[3] == 2
    alike = alike and nll.shape == order.shape == size[:3] and top1.shape == size[:2]
    signals = [values for name, values in kept.items() if name.startswith(SIGNAL)]
    alike = alike and all(values.ndim == 2 and len(values) == queries for values in signals)
    numbers = all(values.dtype.kind == "f" for values in (proposals, nll, *signals))
    if not alike or not numbers or order.dtype.kind != "i" or top1.dtype.kind != "i":
        return "has answers of another number, shape or type"
    places = np.concatenate((order.ravel(), top1.ravel()))
    inside = places.min() >= 0 and places.max() < size[2]
    return None if inside and np.isfinite(proposals).all() else "has an answer that is none"


def _predict_all(
    method: Method[Any], dataset: MomentDataset, seed: int, batch_size: int, progress: Progress | None
) -> dict[str, Any]:
    """Concatenated predictions; they stay on the device until the last batch is done."""
    parts: dict[str, list[torch.Tensor]] = {}
    signals: dict[str, list[torch.Tensor]] = {}
    with undisturbed(method) as device:
        generator = torch.Generator(device=device).manual_seed(seed)
        for first in range(0, len(dataset), batch_size):
            batch = dataset.batch(range(first, min(first + batch_size, len(dataset)))).to(device)
            said = dict(vars(method.predict(batch, generator, progress)))
            for name, value in said.pop("clip_scores").items():
                signals.setdefault(name, []).append(value)
            for name, value in said.items():
                if value is not None:
                    parts.setdefault(name, []).append(value)
        joined: dict[str, Any] = {name: torch.cat(values).cpu().numpy() for name, values in parts.items()}
        return joined | {"clip_scores": {name: stacked(values).cpu().numpy() for name, values in signals.items()}}


def stacked(parts: Sequence[Float[torch.Tensor, "B T"]]) -> Float[torch.Tensor, "N T"]:
    """Signals of all batches below one another; a batch of shorter videos is padded with NaN."""
    longest = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=torch.nan) for part in parts])


def _as_arrays(
    dataset: MomentDataset, said: dict[str, Any], vote: VoteRule | None, truth: np.ndarray
) -> EvaluationArrays:
    proposals = np.stack((said.pop("starts"), said.pop("ends")), axis=-1)
    # with one proposal nothing is ranked, and a method may leave its NLL out as NaN
    ranked = said["nll"].shape[1] > 1
    finite = np.isfinite(proposals).all(axis=(1, 2)) & (np.isfinite(said["nll"]).all(axis=1) | (not ranked))
    if not finite.all():
        first = dataset.query_ids[int(np.flatnonzero(~finite)[0])]
        raise TrainingDiverged(
            f"{dataset.name}: the prediction for query '{first}' (one of {int((~finite).sum())} such) is not a finite "
            "number: look for NaN in its features, or lower train.lr if training had begun."
        )
    if vote is not None:
        said["top1"] = voted(proposals, said["nll"], vote) if ranked else said["order"][:, 0]
    return EvaluationArrays(
        query_ids=dataset.query_ids, video_ids=dataset.video_ids, proposals=proposals, truth=truth, **said
    )


def _score(arrays: EvaluationArrays) -> dict[str, float]:
    metrics = dict(moment_metrics(arrays.proposals, arrays.order, arrays.top1, arrays.truth))
    if arrays.negatives is not None:
        metrics |= ion_metrics(arrays.proposals, arrays.order, arrays.negatives, arrays.truth)
    return metrics
