"""The DETR family in the loop: supervised batches, negative queries, windows and clip signals recorded per epoch."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.batches import Draw
from vmlkit.detr.dataset import DetrDataset, NegativeSource
from vmlkit.detr.official import official_baselines, official_metrics, predictions
from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.text.similarity import words
from vmlkit.training import history
from vmlkit.training.evaluate import (
    BATCH_ORDER,
    KEPT,
    EvaluationArrays,
    derive_seed,
    evaluate,
    score_kept,
    stacked,
    undisturbed,
)
from vmlkit.training.method import Method, Progress
from vmlkit.training.task import Kept, Metrics, MomentTask, batch_order

#: what happens to a query whose video is in the batch already
Repeats = Literal["keep", "drop", "defer"]


#: columns where the test split is reported in two groups: in and out of the training distribution
GROUPED_COLUMNS = tuple(f"R@1,{name} ({group})" for group in ("iid", "ood") for name in ("IoU=0.5", "IoU=0.7", "mIoU"))


@dataclass(frozen=True, kw_only=True)
class DetrTask(MomentTask[Method[Any], DetrDataset]):
    """Supervised moment retrieval.  Splits are :class:`vmlkit.detr.dataset.DetrDataset`."""

    negatives: NegativeSource | None = None  #: where negative sentences come from; None draws none
    #: where the negative sentences come from with which :meth:`probabilities` are measured, also those of a model that
    #: was trained without any; None asks without one
    judged_with: NegativeSource | None = None
    #: videos of a batch are distinct: BM-DETR's release drops a repeated one for the epoch, "defer" moves it on
    repeats: Repeats = "keep"

    supervised: ClassVar[bool] = True

    def order(self, dataset: DetrDataset, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """Random batches, of distinct videos where asked."""
        if self.repeats == "keep":
            return batch_order(len(dataset), batch_size, seed, epoch)
        generator = torch.Generator().manual_seed(derive_seed(seed, BATCH_ORDER, epoch))
        queue = torch.randperm(len(dataset), generator=generator).tolist()
        return distinct_batches(queue, dataset.video_ids, batch_size, defer=self.repeats == "defer")

    def draw(self, dataset: DetrDataset, indices: Tensor, seed: int, *, static: bool = False) -> Draw:
        """The queries, which of their windows train and, where the method wants them, whose sentences are negatives."""
        draws = torch.Generator().manual_seed(seed)
        draw = dataset.draw(indices, static=static)
        if dataset.lines is not None:
            draw = dataset.fewer_windows(draw, dataset.lines.max_windows, draws)
        if self.negatives is None:
            return draw
        return dataset.draw_negatives(draw, self.negatives, draws, static=static)

    def answer(
        self,
        method: Method[Any],
        dataset: DetrDataset,
        seed: int,
        batch_size: int,
        draws: int,
        progress: Progress | None,
    ) -> tuple[Metrics, EvaluationArrays]:
        """The metrics of single moments, also per group, and probabilities in and out of the moment.

        JSON lines are scored by the published protocol of their data set instead, see :mod:`vmlkit.detr.official`.
        Nothing in an answer is random, so one draw says everything.
        """
        metrics, arrays = evaluate(method, dataset, seed, batch_size, progress=progress)
        if dataset.lines is not None:
            metrics = {}  # those of the first window alone are nobody's
        probabilities = self.probabilities(method, dataset, seed, batch_size)
        if "probability" in arrays.clip_scores:
            probabilities = {"p": arrays.clip_scores["probability"], **probabilities}
        inside = dataset.inside() if probabilities else None
        for name, probability in probabilities.items() if dataset.labelled else ():
            metrics |= probability_metrics(probability, arrays.truth if inside is None else inside, name)
        return metrics | self.score(dataset, self.kept(arrays)), arrays

    def score(self, dataset: DetrDataset, kept: Kept) -> Metrics:
        """The metrics of single moments, or the published ones, on the whole split and on each group."""
        if dataset.lines is not None:
            return official_metrics(dataset, predictions(dataset, kept))
        metrics = super().score(dataset, kept)
        for name, rows in dataset.groups.items():
            part = {key: values[:, rows] for key, values in kept.items() if key in KEPT}
            metrics |= {f"{key} ({name})": value for key, value in score_kept(part, dataset.spans[rows]).items()}
        return metrics

    def probabilities(
        self, method: Method[Any], dataset: DetrDataset, seed: int, batch_size: int = 128
    ) -> dict[str, Float[np.ndarray, "N T"]]:
        """What the method says of each clip given one drawn negative sentence; NaN on padding.

        It is asked without one where :attr:`judged_with` says so or a split has no candidates prepared.
        """
        parts: dict[str, list[Tensor]] = {}
        source = self.judged_with if dataset.candidates is not None else None
        with undisturbed(method) as device:
            draws = torch.Generator().manual_seed(seed)
            for rows in torch.arange(len(dataset)).split(batch_size):
                batch = dataset.batch(rows)
                if source is not None:
                    batch = dataset.with_negatives(batch, rows, source, draws, static=False)
                batch = batch.to(device)
                said = method.clip_probabilities(batch)
                if not said:
                    break
                for name, values in said.items():
                    parts.setdefault(name, []).append(values.masked_fill(~batch.frame_mask, torch.nan).cpu())
        return {name: stacked(values).numpy() for name, values in parts.items()}

    def describe(
        self, dataset: DetrDataset, probes: Int[np.ndarray, " probes"], frames: int, pixels: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """As for single moments; JSON lines with all their windows, and their words as written."""
        if dataset.lines is None:
            return super().describe(dataset, probes, frames, pixels)
        lines = dataset.lines
        records = [
            {**record, "spans_s": lines.windows_s[i][lines.window_mask[i]].tolist()}
            for i, record in zip(probes, history.probe_records(dataset, probes, words), strict=True)
        ]
        return records, history.probe_strips(dataset, probes, frames, pixels)

    def observe(
        self, epoch: int, arrays: EvaluationArrays, probes: Int[np.ndarray, " probes"]
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Windows as positive proposals; their weight is the foreground score, their NLL minus its logarithm."""
        rows, signals = super().observe(epoch, arrays, probes)
        return rows.assign(weight=lambda t: np.exp(-t["nll"]).astype("float32")), signals

    def own_baselines(self, train: DetrDataset, test: DetrDataset) -> dict[str, Metrics]:
        """Location priors fitted on the training moments, on the whole test split and on each group."""
        if test.lines is not None:
            return official_baselines(train, test)
        found = baseline_metrics(train.spans, test.spans)
        for name, rows in test.groups.items():
            for baseline, metrics in baseline_metrics(train.spans, test.spans[rows]).items():
                found[baseline] |= {f"{key} ({name})": value for key, value in metrics.items()}
        return found

    def settings(self) -> dict[str, Any]:
        """The rules of negatives and batches."""
        return {"negatives": self.negatives, "judged_with": self.judged_with, "repeats": self.repeats}


def distinct_batches(
    queue: list[int], video_ids: tuple[str, ...], batch_size: int, *, defer: bool
) -> tuple[Tensor, ...]:
    """Batches whose videos are distinct, in the order of ``queue``.

    Args:
        defer: a query whose video is in the batch already waits for the next one; otherwise it is dropped, as released.

    >>> [b.tolist() for b in distinct_batches([0, 1, 2, 3], ("a", "a", "b", "c"), 2, defer=False)]
    [[0, 2], [3]]
    >>> [b.tolist() for b in distinct_batches([0, 1, 2, 3], ("a", "a", "b", "c"), 2, defer=True)]
    [[0, 2], [1, 3]]
    """
    batches, current, videos, waiting = [], [], set(), list(reversed(queue))
    put_back: list[int] = []
    while waiting:
        index = waiting.pop()
        if video_ids[index] in videos:
            if defer:
                put_back.append(index)
        else:
            current.append(index)
            videos.add(video_ids[index])
        if len(current) == batch_size or (not waiting and current):
            batches.append(torch.tensor(current))
            waiting += reversed(put_back)
            current, videos, put_back = [], set(), []
    return tuple(batches)


def probability_metrics(
    probability: Float[np.ndarray, "N T"], truth: Float[np.ndarray, "N 2"] | Bool[np.ndarray, "N T"], name: str
) -> Metrics:
    """Mean probability of clips inside and outside the moment (P2 Table 9), a mean of means over queries.

    ``difference`` is the third column of that table, of the two means.

    Args:
        truth: the moments in fractions of the video, or their clips.
    """
    valid: np.ndarray = ~np.isnan(probability)
    inside: np.ndarray = (truth if truth.dtype == bool else clips_of(truth, probability.shape[1])) & valid
    sides: dict[str, np.ndarray] = {"inside": inside, "outside": valid & ~inside}
    found = {}
    for side, mask in sides.items():
        there = mask.any(axis=1)  # a moment may fill its video
        rows = np.where(mask, probability, 0.0)[there].sum(axis=1) / mask[there].sum(axis=1)
        found[f"{name},{side}"] = float(rows.mean()) if len(rows) else float("nan")
    return found | {f"{name},difference": found[f"{name},inside"] - found[f"{name},outside"]}


def clips_of(spans: Float[np.ndarray, "N 2"], clips: int) -> Bool[np.ndarray, "N T"]:
    """Clips whose middle lies in the span; the nearest one where there is none."""
    middle = (np.arange(clips) + 0.5) / clips
    inside = (middle >= spans[:, :1]) & (middle <= spans[:, 1:])
    nearest = np.abs(middle - spans.mean(axis=1, keepdims=True)).argmin(axis=1)
    empty = np.asarray(inside.any(axis=1)) == 0
    found: np.ndarray = inside | (empty[:, None] & (np.arange(clips) == nearest[:, None]))
    return found
