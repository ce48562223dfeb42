"""Resident splits for the DETR family: a moment data set whose batches carry endpoints, windows and negatives."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from vmlkit.data.batches import MomentDataset
from vmlkit.data.sources import DataConfig, Splits, load_splits
from vmlkit.detr.batches import DetrBatch, with_endpoints
from vmlkit.detr.negative_queries import NegativeQueries, dataset_negatives
from vmlkit.errors import DataError
from vmlkit.text.similarity import TfidfSimilarity

NegativeSource = Literal["same_video", "other_video"]

#: with ``moments="early"``, moments centered in this part of their video are seen in training
EARLY = 0.55


@dataclass(frozen=True, kw_only=True)
class DetrDataset(MomentDataset):
    """A split with the candidates for negative queries and named groups of queries that are reported apart."""

    candidates: NegativeQueries | None = None  #: by the paper's rules
    groups: dict[str, Bool[np.ndarray, " N"]] = field(default_factory=dict)  #: e.g. ``iid`` and ``ood``

    @classmethod
    def of(cls, dataset: MomentDataset, *, candidates: bool = False, groups: bool = False) -> "DetrDataset":
        """A split with its candidates found by time and TF-IDF, and its groups by :func:`query_groups`."""
        fields = {f.name: getattr(dataset, f.name) for f in dataclasses.fields(MomentDataset)}
        found = dataset_negatives(dataset, TfidfSimilarity(dataset.sentences)) if candidates else None
        return cls(**fields, candidates=found, groups=query_groups(dataset) if groups else {})

    def batch(self, indices: Tensor | Sequence[int], *, with_spans: bool = False, static: bool = False) -> DetrBatch:
        """A DETR batch without negatives; ``windows`` only with ``with_spans``."""
        plain = super().batch(indices, with_spans=with_spans, static=static)
        fields = {**vars(plain), "frames": with_endpoints(plain.frames, plain.frame_mask)}
        if plain.spans is not None:
            fields |= {"windows": plain.spans[:, None], "window_mask": torch.ones(len(plain.spans), 1).bool()}
        return DetrBatch(**fields)

    def with_negatives(
        self, batch: DetrBatch, indices: Tensor, source: NegativeSource, generator: torch.Generator, *, static: bool
    ) -> DetrBatch:
        """Draw a negative sentence for each query.

        ``same_video`` follows the paper and falls back to another video where a query has no candidate; ``other_video``
        is the released rule without ``neg_query_ids``: any query of another video.

        Raises:
            DataError: where candidates were not prepared.
        """
        if self.candidates is None:
            raise DataError(self.name, "has no negative queries prepared", "make it with candidates=True")
        found = self.candidates
        if source == "other_video":
            none = np.zeros(len(self) + 1, dtype=np.int64)
            found = dataclasses.replace(found, offsets=none, candidates=none[:0])
        rows = found.sample(torch.as_tensor(indices), generator)
        mask = self.word_mask[rows]
        length = mask.shape[1] if static else max(int(mask.sum(1).max()), 1)
        words = self.vectors[self.word_ids[rows, :length]]
        return dataclasses.replace(batch, negative_words=words, negative_mask=mask[:, :length])

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> "DetrDataset":
        """The queries at ``indices``; candidates and groups are those of what is kept."""
        kept: Any = super().subset(indices, name)
        return DetrDataset.of(kept, candidates=self.candidates is not None, groups=bool(self.groups))


def query_groups(dataset: MomentDataset) -> dict[str, Bool[np.ndarray, " N"]]:
    """Where the moments are as in training (``iid``) and where they are not (``ood``).

    By the file where the queries come from (Charades-CD), else by whether the moment lies in the early part.
    """
    files = np.array([query.split("/")[0] for query in dataset.query_ids])
    if set(files) <= {"test_iid", "test_ood"}:
        return {"iid": files == "test_iid", "ood": files == "test_ood"}
    early = dataset.spans.mean(axis=1) <= EARLY
    return {"iid": early, "ood": ~early}


def load_detr_splits(config: DataConfig, cache_dir: str | Path | None = None, progress: bool = True) -> Splits:
    """The splits of a source for the DETR family.

    With ``moments="early"`` training and validation keep the moments centered in the first 55 % of their videos, and
    the test split, whole, is reported in two groups.  Charades-CD has its own two groups.

    Raises:
        DataError: for unusable input.
    """
    made = load_splits(config, cache_dir, progress)
    early = config.moments == "early"
    parts = {name: getattr(made, name) for name in ("train", "validation", "test")}
    for name in ("train", "validation") if early else ():
        parts[name] = parts[name].subset(np.flatnonzero(parts[name].spans.mean(axis=1) <= EARLY))
    grouped = early or config.name == "planted:charades_cd"
    return Splits(
        train=DetrDataset.of(parts["train"], candidates=True),
        validation=DetrDataset.of(parts["validation"], candidates=True),
        test=DetrDataset.of(parts["test"], candidates=True, groups=grouped),
        notes=made.notes,
    )
