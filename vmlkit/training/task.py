"""What kind of problem a run solves: how its batches are drawn and its answers scored, recorded and compared.

The loop, the final scoring and the history ask a :class:`Task` everything that differs between families: weakly
supervised moments here, supervised moment retrieval and action localisation in modules of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.metrics.moments import VoteRule
from vmlkit.training import history
from vmlkit.training.evaluate import BATCH_ORDER, derive_seed, evaluate
from vmlkit.training.method import Method, Progress


@dataclass(frozen=True, kw_only=True)
class Task:
    """Single moments, one true span a query: the weakly supervised papers.  Other families override what differs.

    ``dataset`` is always the family's resident split: ``len()``, ``name``, ``fingerprint``, ``query_ids``,
    ``video_ids`` and ``batch(indices, ...)``.
    """

    vote: VoteRule | None = None  #: how the answer is chosen; None keeps the method's own

    supervised: ClassVar[bool] = False  #: whether a training batch carries the true spans
    headline: ClassVar[str] = "R@1,mIoU"  #: the metric of the progress bar
    #: columns of printed tables; ``metrics.json`` has every metric
    columns: ClassVar[tuple[str, ...]] = (
        "R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU", "R@5,IoU=0.5", "R@5,mIoU",
    )  # fmt: skip

    def order(self, dataset: Any, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """Indices of each batch of an epoch, the same for the same seed and epoch."""
        return batch_order(len(dataset), batch_size, seed, epoch)

    def batch(self, dataset: Any, indices: Tensor, seed: int, *, static: bool = False) -> Any:
        """A training batch.

        Args:
            seed: fixes whatever the family draws for this batch on the side of the data (negative queries, shifts).
            static: keep padded axes at the length of the whole split.
        """
        return dataset.batch(indices, with_spans=self.supervised, static=static)

    def evaluate(
        self,
        method: Method,
        dataset: Any,
        generator_seed: int,
        batch_size: int = 128,
        *,
        draws: int = 1,
        progress: Progress | None = None,
    ) -> tuple[dict[str, float], Any]:
        """Metrics of a split as fractions, and the arrays behind them (with ``spread``, a dict)."""
        return evaluate(method, dataset, generator_seed, batch_size, self.vote, draws=draws, progress=progress)

    def probe(self, dataset: Any, count: int, seed: int) -> Int[np.ndarray, " probes"]:
        """Which queries of the validation split are recorded."""
        return history.probe_indices(dataset, count, seed)

    def probe_records(self, dataset: Any, indices: np.ndarray) -> list[dict[str, Any]]:
        """The recorded queries for people; ``spans_s`` lists all true windows where there may be several."""
        return history.probe_records(dataset, indices)

    def probe_strips(self, dataset: Any, indices: np.ndarray, frames: int, pixels: int) -> dict[str, np.ndarray]:
        """Pictures, or a trace of the features, of the recorded videos."""
        return history.probe_strips(dataset, indices, frames, pixels)

    def proposal_rows(self, epoch: int, arrays: Any, indices: np.ndarray) -> pd.DataFrame:
        """Rows of ``proposals.parquet`` for one epoch."""
        return history.proposal_rows(epoch, arrays, indices)

    def clip_scores(self, arrays: Any, indices: np.ndarray) -> dict[str, Float[np.ndarray, "probes T"]]:
        """Named signals per clip of the recorded queries, such as a saliency; NaN on padding."""
        return {name: values[indices] for name, values in arrays.clip_scores.items()}

    def baselines(self, train: Any, test: Any) -> dict[str, dict[str, float]]:
        """Rows that never look at a test video, with the metrics of :meth:`evaluate`."""
        return baseline_metrics(train.spans, test.spans)

    def record(self) -> Mapping[str, Any]:
        """What ``metrics.json`` keeps of the task's settings."""
        return {"vote": self.vote}


def batch_order(count: int, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """Indices of the queries of each batch of an epoch; the last batch may be smaller.

    >>> [len(batch) for batch in batch_order(5, 2, seed=0, epoch=1)]
    [2, 2, 1]
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, BATCH_ORDER, epoch))
    return torch.randperm(count, generator=generator).split(batch_size)
