"""The DETR family in the loop: supervised batches, negative queries, windows and clip signals recorded per epoch."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.detr.batches import DetrBatch
from vmlkit.detr.bm_detr import BMDetr
from vmlkit.detr.dataset import DetrDataset, NegativeSource
from vmlkit.detr.shift import Branch
from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.metrics.moments import moment_metrics
from vmlkit.training import history
from vmlkit.training.evaluate import BATCH_ORDER, EvaluationArrays, derive_seed, evaluate, undisturbed
from vmlkit.training.method import Method, Progress
from vmlkit.training.task import Task, batch_order

#: what happens to a query whose video is in the batch already
Repeats = Literal["keep", "drop", "defer"]


@dataclass(frozen=True, kw_only=True)
class DetrTask(Task):
    """Supervised moment retrieval.  Splits are :class:`vmlkit.detr.dataset.DetrDataset`."""

    negatives: NegativeSource | None = None  #: where negative sentences come from; None draws none
    #: videos of a batch are distinct: BM-DETR's release drops a repeated one for the epoch, "defer" moves it on
    repeats: Repeats = "keep"

    supervised: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = (
        "R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU", "R@5,IoU=0.5", "R@5,mIoU",
    )  # fmt: skip

    def order(self, dataset: DetrDataset, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """Random batches, of distinct videos where asked."""
        if self.repeats == "keep":
            return batch_order(len(dataset), batch_size, seed, epoch)
        generator = torch.Generator().manual_seed(derive_seed(seed, BATCH_ORDER, epoch))
        queue = torch.randperm(len(dataset), generator=generator).tolist()
        return distinct_batches(queue, dataset.video_ids, batch_size, defer=self.repeats == "defer")

    def batch(self, dataset: DetrDataset, indices: Tensor, seed: int, *, static: bool = False) -> DetrBatch:
        """A training batch with windows and, where the method wants them, negative sentences."""
        batch = dataset.batch(indices, with_spans=True, static=static)
        if self.negatives is None:
            return batch
        draws = torch.Generator().manual_seed(seed)
        return dataset.with_negatives(batch, indices, self.negatives, draws, static=static)

    def evaluate(
        self,
        method: Method,
        dataset: DetrDataset,
        generator_seed: int,
        batch_size: int = 128,
        *,
        draws: int = 1,
        progress: Progress | None = None,
    ) -> tuple[dict[str, float], EvaluationArrays]:
        """The metrics of single moments, also per group; BM-DETR's probabilities in and out of the moment.

        Nothing in an answer is random, so one draw says everything.
        """
        metrics, arrays = evaluate(method, dataset, generator_seed, batch_size, progress=progress)
        metrics |= probability_metrics(arrays.clip_scores.get("probability"), arrays.truth, "p")
        if isinstance(method, BMDetr) and method.config.background_aware:
            joint = self.joint_probability(method, dataset, generator_seed, batch_size)
            metrics |= probability_metrics(joint, arrays.truth, "joint")
        for name, rows in dataset.groups.items():
            part = group_metrics(arrays, rows)
            metrics |= {f"{key} ({name})": value for key, value in part.items()}
        return metrics, arrays

    def joint_probability(
        self, method: BMDetr, dataset: DetrDataset, seed: int, batch_size: int = 128
    ) -> Float[np.ndarray, "N T"]:
        """``p+ (1 - p-)`` of every query with one drawn negative sentence, as in training; NaN on padding.

        Without negatives, or where a split has no candidates prepared, it is p+.
        """
        parts, source = [], self.negatives if dataset.candidates is not None else None
        with undisturbed(method) as device:
            draws = torch.Generator().manual_seed(seed)
            for first in range(0, len(dataset), batch_size):
                rows = torch.arange(first, min(first + batch_size, len(dataset)))
                batch = dataset.batch(rows)
                if source is not None:
                    batch = dataset.with_negatives(batch, rows, source, draws, static=False)
                batch = batch.to(device)  # type: ignore[assignment]
                branch = Branch(batch.frames, batch.frame_mask)
                (out,) = method.together([branch], (batch.words, batch.word_mask), batch.negative)
                assert out.background is not None
                parts.append(out.background.joint.masked_fill(~batch.frame_mask, torch.nan).cpu())
        return torch.cat(parts).numpy()

    def proposal_rows(self, epoch: int, arrays: EvaluationArrays, indices: np.ndarray) -> pd.DataFrame:
        """Windows as positive proposals; their weight is the foreground score, their NLL minus its logarithm."""
        return history.proposal_rows(epoch, arrays, indices).assign(
            weight=lambda t: np.exp(-t["nll"]).astype("float32")
        )

    def baselines(self, train: DetrDataset, test: DetrDataset) -> dict[str, dict[str, float]]:
        """Location priors fitted on the training moments, on the whole test split and on each group."""
        found = baseline_metrics(train.spans, test.spans)
        for name, rows in test.groups.items():
            for baseline, metrics in baseline_metrics(train.spans, test.spans[rows]).items():
                found[baseline] |= {f"{key} ({name})": value for key, value in metrics.items()}
        return found

    def record(self) -> dict[str, Any]:
        """The rules of negatives and batches."""
        return {"negatives": self.negatives, "repeats": self.repeats}


class GroupedDetrTask(DetrTask):
    """The same where the test split is reported in two groups: in and out of the training distribution."""

    columns: ClassVar[tuple[str, ...]] = (
        "R@1,IoU=0.5 (iid)", "R@1,IoU=0.7 (iid)", "R@1,mIoU (iid)",
        "R@1,IoU=0.5 (ood)", "R@1,IoU=0.7 (ood)", "R@1,mIoU (ood)",
    )  # fmt: skip


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
    probability: Float[np.ndarray, "N T"] | None, truth: Float[np.ndarray, "N 2"], name: str
) -> dict[str, float]:
    """Mean probability of clips inside and outside the moment (P2, Table 9), a mean of means over queries."""
    if probability is None:
        return {}
    valid: np.ndarray = ~np.isnan(probability)
    inside: np.ndarray = clips_of(truth, probability.shape[1]) & valid
    sides: dict[str, np.ndarray] = {"inside": inside, "outside": valid & ~inside}
    found = {}
    for side, mask in sides.items():
        there = mask.any(axis=1)  # a moment may fill its video
        rows = np.where(mask, probability, 0.0)[there].sum(axis=1) / mask[there].sum(axis=1)
        found[f"{name},{side}"] = float(rows.mean()) if len(rows) else float("nan")
    return found


def clips_of(spans: Float[np.ndarray, "N 2"], clips: int) -> Bool[np.ndarray, "N T"]:
    """Clips whose middle lies in the span; the nearest one where there is none."""
    middle = (np.arange(clips) + 0.5) / clips
    inside = (middle >= spans[:, :1]) & (middle <= spans[:, 1:])
    nearest = np.abs(middle - spans.mean(axis=1, keepdims=True)).argmin(axis=1)
    empty = np.asarray(inside.any(axis=1)) == 0
    return inside | (empty[:, None] & (np.arange(clips) == nearest[:, None]))


def group_metrics(arrays: EvaluationArrays, rows: Bool[np.ndarray, " N"]) -> dict[str, float]:
    """Metrics of some of the queries."""
    return dict(moment_metrics(arrays.proposals[rows], arrays.order[rows], arrays.top1[rows], arrays.truth[rows]))
