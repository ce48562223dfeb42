"""What kind of problem a run solves: how its batches are drawn and its answers scored, recorded and compared.

The loop, the final scoring and the history ask a :class:`Task` everything that differs between families: weakly
supervised moments here, supervised moment retrieval, action localisation and sentence components in their folders.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from vmlkit.data.batches import Batch, Draw, MomentBatch, MomentDataset
from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.metrics.moments import VoteRule
from vmlkit.training import history
from vmlkit.training.evaluate import (
    BATCH_ORDER,
    EvaluationArrays,
    derive_seed,
    evaluate,
    fault_of_kept,
    kept_moments,
    score_kept,
)
from vmlkit.training.method import Method, Progress


class Split(Protocol):
    """What every family's resident split has, whatever its task reads besides."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def query_ids(self) -> tuple[str, ...]: ...
    @property
    def device(self) -> torch.device: ...
    def named(self, batch: Any, draw: Any) -> Any:
        """The batch with the ids that belong to the rows of its draw."""

    def __len__(self) -> int: ...


class Answers(Protocol):
    """The arrays behind the metrics of a split."""

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation of each metric over the draws; empty where nothing is drawn."""
        ...


M = TypeVar("M", bound=Method[Any])
D = TypeVar("D", bound=Split)
A = TypeVar("A", bound=Answers)
#: metrics of one row of a table, by name
Metrics = dict[str, float]
#: the answers to a whole split as plain arrays, by name
Kept = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Measurement:
    """Further metrics of a split that a task takes after its own, and the baselines beside them."""

    metrics: Callable[[Any, Any, int], Metrics]  #: of (method, split, batch size)
    baselines: Callable[[Any], dict[str, Metrics]] = lambda test: {}  #: of the test split


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[M, D, A]):
    """The contract, over a family's methods ``M``, its resident splits ``D`` and the arrays ``A`` of its answers."""

    also: tuple[Measurement, ...] = ()  #: what is measured beside the task itself
    #: columns of printed tables; ``metrics.json`` has every metric
    columns: tuple[str, ...] = ()
    headline: ClassVar[str]  #: the metric of the progress bar

    def order(self, dataset: D, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """Indices of each batch of an epoch, the same for the same seed and epoch."""
        return batch_order(len(dataset), batch_size, seed, epoch)

    @abstractmethod
    def draw(self, dataset: D, indices: Tensor, seed: int, *, static: bool = False) -> Draw:
        """The rows of a training batch, on the host.

        Args:
            seed: fixes whatever the family draws for this batch on the side of the data (negative queries, snippets).
            static: keep padded axes at the length of the whole split.
        """

    @abstractmethod
    def gather(self, dataset: D, draw: Draw) -> Batch:
        """The batch of a draw that lies where the split does: index operations of the device alone."""

    def batch(self, dataset: D, indices: Tensor, seed: int, *, static: bool = False) -> Batch:
        """A training batch, where the split lies; see :meth:`draw`."""
        draw = self.draw(dataset, indices, seed, static=static)
        batch: Batch = dataset.named(self.gather(dataset, draw.to(dataset.device)), draw)
        return batch

    @abstractmethod
    def answer(
        self, method: M, dataset: D, seed: int, batch_size: int, draws: int, progress: Progress | None
    ) -> tuple[Metrics, A]:
        """Metrics of a split as fractions, and the arrays behind them."""

    def evaluate(
        self,
        method: M,
        dataset: D,
        seed: int,
        batch_size: int = 128,
        *,
        draws: int = 1,
        progress: Progress | None = None,
    ) -> tuple[Metrics, A]:
        """:meth:`answer`, and what else is measured.

        Args:
            seed: fixes whatever is random in an answer.
            draws: how many times that is drawn.
            progress: the clock, for methods whose answers follow a schedule.
        """
        metrics, arrays = self.answer(method, dataset, seed, batch_size, draws, progress)
        for beside in self.also:
            metrics |= beside.metrics(method, dataset, batch_size)
        return metrics, arrays

    @abstractmethod
    def kept(self, arrays: A) -> Kept:
        """What a run keeps of its answers to the test split: enough for :meth:`score`, and no more."""

    @abstractmethod
    def score(self, dataset: D, kept: Kept) -> Metrics:
        """Those metrics of :meth:`answer` that follow from kept answers, to the bit; no model is asked."""

    @abstractmethod
    def fault(self, dataset: D, kept: Kept) -> str | None:
        """Why arrays of a file cannot be answers to the split, ``"lacks the array 'logits'"``; None where they can."""

    @abstractmethod
    def probe(self, dataset: D, count: int, seed: int) -> Int[np.ndarray, " probes"]:
        """Which queries of the validation split are recorded."""

    @abstractmethod
    def describe(
        self, dataset: D, probes: Int[np.ndarray, " probes"], frames: int, pixels: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """The recorded queries for people, and pictures or a trace of the features of their videos.

        ``spans_s`` of a query lists all true windows where there may be several.
        """

    @abstractmethod
    def observe(
        self, epoch: int, arrays: A, probes: Int[np.ndarray, " probes"]
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Rows of ``proposals.parquet`` for one epoch, and signals ``(probes, T)`` per clip by name; NaN on padding."""

    def dependence(self, arrays: A) -> Metrics:
        """How much an answer depends on the sentence, where there are proposals and sentences."""
        return {}

    @abstractmethod
    def own_baselines(self, train: D, test: D) -> dict[str, Metrics]:
        """Rows that never look at a test video, with the metrics of :meth:`answer`."""

    def baselines(self, train: D, test: D) -> dict[str, Metrics]:
        """:meth:`own_baselines`, and those of what else is measured."""
        rows = self.own_baselines(train, test)
        for beside in self.also:
            rows |= beside.baselines(test)
        return rows

    def settings(self) -> Mapping[str, Any]:
        """What ``metrics.json`` keeps of the task."""
        return {}


#: columns of single moments
MOMENT_COLUMNS = ("R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU", "R@5,IoU=0.5", "R@5,mIoU")
S = TypeVar("S", bound=MomentDataset)


@dataclass(frozen=True, kw_only=True)
class SentenceTask(Task[M, S, A]):
    """Splits of sentences about single moments, whatever is asked of them."""

    supervised: ClassVar[bool] = False  #: whether a training batch carries the true spans

    def draw(self, dataset: S, indices: Tensor, seed: int, *, static: bool = False) -> Draw:
        """The queries as they are; nothing is drawn."""
        return dataset.draw(indices, static=static)

    def gather(self, dataset: S, draw: Draw) -> MomentBatch:
        """The queries, with their true spans only in supervised training."""
        return dataset.gather(draw, with_spans=self.supervised)

    def probe(self, dataset: S, count: int, seed: int) -> Int[np.ndarray, " probes"]:
        """Queries spread over the videos."""
        return history.probe_indices(dataset, count, seed)

    def describe(
        self, dataset: S, probes: Int[np.ndarray, " probes"], frames: int, pixels: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """Sentence and true span of each query, thumbnails or a feature trace of each video."""
        return history.probe_records(dataset, probes), history.probe_strips(dataset, probes, frames, pixels)


@dataclass(frozen=True, kw_only=True)
class MomentTask(SentenceTask[M, S, EvaluationArrays]):
    """Single moments, one true span a query: the weakly supervised papers."""

    vote: VoteRule | None = None  #: how the answer is chosen; None keeps the method's own
    columns: tuple[str, ...] = MOMENT_COLUMNS

    headline: ClassVar[str] = "R@1,mIoU"

    def answer(
        self, method: M, dataset: S, seed: int, batch_size: int, draws: int, progress: Progress | None
    ) -> tuple[Metrics, EvaluationArrays]:
        """See :func:`vmlkit.training.evaluate.evaluate`."""
        return evaluate(method, dataset, seed, batch_size, self.vote, draws=draws, progress=progress)

    def kept(self, arrays: EvaluationArrays) -> Kept:
        """See :func:`vmlkit.training.evaluate.kept_moments`."""
        return kept_moments(arrays)

    def score(self, dataset: S, kept: Kept) -> Metrics:
        """See :func:`vmlkit.training.evaluate.score_kept`."""
        return score_kept(kept, dataset.spans)

    def fault(self, dataset: S, kept: Kept) -> str | None:
        """See :func:`vmlkit.training.evaluate.fault_of_kept`."""
        return fault_of_kept(kept, len(dataset))

    def observe(
        self, epoch: int, arrays: EvaluationArrays, probes: Int[np.ndarray, " probes"]
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Every proposal, and the signals that the method gives."""
        signals = {name: values[probes] for name, values in arrays.clip_scores.items()}
        return history.moment_rows(epoch, arrays, probes), signals

    def dependence(self, arrays: EvaluationArrays) -> Metrics:
        """See :meth:`vmlkit.training.evaluate.EvaluationArrays.dependence`."""
        return arrays.dependence()

    def own_baselines(self, train: S, test: S) -> dict[str, Metrics]:
        """Location priors fitted on the training moments."""
        return baseline_metrics(train.spans, test.spans)

    def settings(self) -> Mapping[str, Any]:
        """The vote."""
        return {"vote": self.vote}


def batch_order(count: int, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """Indices of the queries of each batch of an epoch; the last batch may be smaller.

    >>> [len(batch) for batch in batch_order(5, 2, seed=0, epoch=1)]
    [2, 2, 1]
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, BATCH_ORDER, epoch))
    found: tuple[Tensor, ...] = torch.randperm(count, generator=generator).split(batch_size)
    return found
