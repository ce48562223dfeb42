"""Resident splits for the DETR family: a moment data set whose batches carry endpoints, windows and negatives."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vmlkit.data.batches import Draw, MomentDataset
from vmlkit.data.settings import CharadesCDData, DataConfig, ToyData
from vmlkit.data.sources import Splits, View, load_corpus, load_toy
from vmlkit.detr.batches import DetrBatch, with_endpoints
from vmlkit.detr.negative_queries import NegativeQueries, find_negatives
from vmlkit.errors import DataError
from vmlkit.text.similarity import TfidfSimilarity

NegativeSource = Literal["same_video", "other_video"]

#: with ``moments="early"``, moments centered in this part of their video are seen in training
EARLY = 0.55


@dataclass(frozen=True, kw_only=True)
class DetrDraw(Draw):
    """Rows of a batch whose queries have a negative sentence."""

    negatives: Int[Tensor, " B"]  #: rows of the queries whose sentences serve
    negative_words: int  #: columns that are kept of their padded word axis


@dataclass(frozen=True, kw_only=True)
class DetrDataset(MomentDataset):
    """A split with the candidates for negative queries and named groups of queries that are reported apart."""

    candidates: NegativeQueries | None = None  #: by the paper's rules
    groups: dict[str, Bool[np.ndarray, " N"]] = field(default_factory=dict)  #: e.g. ``iid`` and ``ood``

    @classmethod
    def of(cls, dataset: MomentDataset, *, candidates: bool = False, groups: bool = False) -> "DetrDataset":
        """A split with its candidates found by time and TF-IDF, and its groups by :func:`query_groups`."""
        fields = {f.name: getattr(dataset, f.name) for f in dataclasses.fields(MomentDataset)}
        found = None
        if candidates:
            windows = [[(float(start), float(end))] for start, end in dataset.spans_s]
            found = find_negatives(dataset.video_ids, windows, TfidfSimilarity(dataset.sentences))
        return cls(**fields, candidates=found, groups=query_groups(dataset) if groups else {})

    def batch(self, indices: Tensor | Sequence[int], *, with_spans: bool = False, static: bool = False) -> DetrBatch:
        """A DETR batch without negatives; ``windows`` only with ``with_spans``."""
        draw = self.draw(indices, static=static)
        return self.named(self.gather(draw.to(self.device), with_spans=with_spans), draw)

    def gather(self, draw: Draw, *, with_spans: bool = False) -> DetrBatch:
        """As of any split, with endpoint features, windows and the negative sentences that were drawn."""
        plain = super().gather(draw, with_spans=with_spans)
        fields = {**vars(plain), "frames": with_endpoints(plain.frames, plain.frame_mask)}
        if plain.spans is not None:
            there = torch.ones(len(plain.spans), 1, dtype=torch.bool, device=self.device)
            fields |= {"windows": plain.spans[:, None], "window_mask": there}
        batch = DetrBatch(**fields)
        return self.with_sentences(batch, draw) if isinstance(draw, DetrDraw) else batch

    def draw_negatives(
        self, draw: Draw, source: NegativeSource, generator: torch.Generator, *, static: bool
    ) -> "DetrDraw":
        """A draw on the host with a negative sentence for each query.

        ``same_video`` follows the paper and falls back to another video where a query has no candidate; ``other_video``
        is the released rule without ``neg_query_ids``: any query of another video.

        Raises:
            DataError: where candidates were not prepared.
        """
        if self.candidates is None:
            raise DataError(self.name, "has no negative queries prepared", "make it with candidates=True")
        found = self.candidates if source == "same_video" else self.candidates.none
        rows = found.sample(draw.rows, generator)
        return DetrDraw(**vars(draw), negatives=rows, negative_words=self._columns(rows, static))

    def with_negatives(
        self, batch: DetrBatch, indices: Tensor, source: NegativeSource, generator: torch.Generator, *, static: bool
    ) -> DetrBatch:
        """A batch of this split with a negative sentence for each query; see :meth:`draw_negatives`."""
        draw = self.draw_negatives(self.draw(indices, static=static), source, generator, static=static)
        return self.with_sentences(batch, draw.to(self.device))

    def with_sentences(self, batch: DetrBatch, draw: "DetrDraw") -> DetrBatch:
        """The batch with the negative sentences of a draw that lies where the split does."""
        ids = self.word_ids[draw.negatives, : draw.negative_words]
        mask = self.word_mask[draw.negatives, : draw.negative_words]
        return dataclasses.replace(batch, negative_words=self.vectors[ids], negative_mask=mask)

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


@dataclass(frozen=True, kw_only=True)
class DetrToyData(ToyData):
    """The toy world with a training set whose moments lie early."""

    #: "early": training and validation keep the moments centered in the first 55 % of their videos, and the test
    #: split, whole, is reported in two groups
    moments: Literal["anywhere", "early"] = "anywhere"


def grouped(config: DataConfig) -> bool:
    """Whether the test split is reported in two groups, as trained on and not."""
    return isinstance(config, CharadesCDData) or (isinstance(config, DetrToyData) and config.moments == "early")


def _detr(source: Callable[[Any, Path | None, bool], Splits[MomentDataset]]) -> Callable[..., Splits[DetrDataset]]:
    def loader(config: DetrToyData | CharadesCDData, cache_dir: Path | None, progress: bool) -> Splits[DetrDataset]:
        early = isinstance(config, DetrToyData) and config.moments == "early"

        def adapt(name: str, split: MomentDataset) -> DetrDataset:
            if early and name != "test":
                split = split.subset(np.flatnonzero(split.spans.mean(axis=1) <= EARLY))
            return DetrDataset.of(split, candidates=True, groups=name == "test" and grouped(config))

        return source(config, cache_dir, progress).map(adapt)

    return loader


#: moments with candidates for negative queries
DETR_MOMENTS: View[DetrDataset] = View(
    "sentences with negatives", {DetrToyData: _detr(load_toy), CharadesCDData: _detr(load_corpus)}
)
