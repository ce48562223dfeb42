"""Text-video retrieval as a task of the loop: every sentence is a query over all videos of the split, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from vmlkit.components.dataset import RetrievalDataset
from vmlkit.components.method import WithComponents, XCLIPHost
from vmlkit.components.ranking import retrieval_metrics
from vmlkit.components.xclip import XCLIP
from vmlkit.components.xclip_heads import TextStates, VideoStates, joined
from vmlkit.data.batches import MomentDataset
from vmlkit.training.evaluate import undisturbed
from vmlkit.training.history import probe_records, probe_strips, proposal_rows
from vmlkit.training.method import Progress
from vmlkit.training.task import Kept, Metrics, SentenceTask


@dataclass(frozen=True, kw_only=True)
class RetrievalArrays:
    """Scores of a split."""

    query_ids: tuple[str, ...]
    logits: Float[np.ndarray, "N V"]
    caption_video: Int[np.ndarray, " N"]  #: row of each sentence's own video
    spread: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def embed_split(model: XCLIP, dataset: MomentDataset, batch_size: int) -> tuple[TextStates, VideoStates]:
    """Every sentence and every video of a split that has one, in the order of first appearance."""
    device = next(model.parameters()).device
    texts, videos = [], []
    for first in range(0, len(dataset), batch_size):
        ids = dataset.word_ids[first : first + batch_size]
        mask = dataset.word_mask[first : first + batch_size]
        texts.append(model.encode_texts(dataset.vectors[ids].to(device), mask.to(device)))
    rows = torch.unique(dataset.video_index)
    for some in rows.split(batch_size):
        frames = dataset.frames[some].float().to(device)
        mask = torch.ones(frames.shape[:2], dtype=torch.bool)
        own = getattr(dataset, "base", dataset)  # a split with variants stands on one without
        if isinstance(own, RetrievalDataset):
            mask = own.frame_masks(some)
        videos.append(model.encode_videos(frames, mask.to(device)))
    return joined(texts), joined(videos)


def caption_rows(dataset: MomentDataset) -> Int[np.ndarray, " N"]:
    """Row of each sentence's own video among the videos of the split that have a sentence."""
    return np.unique(dataset.video_index.cpu().numpy(), return_inverse=True)[1]


def as_fractions(metrics: Mapping[str, float]) -> dict[str, float]:
    """``R@k`` as fractions, like every metric of a run; ranks stay as they are."""
    return {name: value / 100 if "R@" in name else value for name, value in metrics.items()}


@dataclass(frozen=True, kw_only=True)
class RetrievalTask(SentenceTask[WithComponents[XCLIPHost], MomentDataset, RetrievalArrays]):
    """Retrieval within a split."""

    columns: tuple[str, ...] = ("t2v R@1", "t2v R@5", "v2t R@1", "v2t R@5")

    headline: ClassVar[str] = "t2v R@1"

    def answer(
        self,
        method: WithComponents[XCLIPHost],
        dataset: MomentDataset,
        seed: int,
        batch_size: int,
        draws: int,
        progress: Progress | None,
    ) -> tuple[Metrics, RetrievalArrays]:
        """Metrics under every convention (:func:`vmlkit.components.ranking.retrieval_metrics`); nothing is random."""
        model = method.host.model
        with undisturbed(method):
            texts, videos = embed_split(model, dataset, batch_size)
            logits = model.core.logits(texts, videos).cpu().numpy()
        owner = caption_rows(dataset)
        arrays = RetrievalArrays(query_ids=dataset.query_ids, logits=logits, caption_video=owner)
        return self.score(dataset, self.kept(arrays)), arrays

    def kept(self, arrays: RetrievalArrays) -> Kept:
        """``logits (N, V)`` of every sentence with every video that has one, in the order of first appearance."""
        return {"logits": arrays.logits}

    def score(self, dataset: MomentDataset, kept: Kept) -> Metrics:
        """Metrics under every convention."""
        return as_fractions(retrieval_metrics(kept["logits"], caption_rows(dataset)))

    def fault(self, dataset: MomentDataset, kept: Kept) -> str | None:
        """Whether there is a score for every sentence and video."""
        shape = (len(dataset), len(np.unique(caption_rows(dataset))))
        logits = kept.get("logits")
        if logits is None or logits.shape != shape or logits.dtype.kind != "f" or np.isnan(logits).any():
            return f"holds no scores of {shape[0]} sentences with {shape[1]} videos"
        return None

    def describe(
        self, dataset: MomentDataset, probes: Int[np.ndarray, " probes"], frames: int, pixels: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """As of any sentences; the words of a sentence that is token states are its own."""
        own = None if len(dataset.vocabulary) > 1 else str.split
        return probe_records(dataset, probes, own), probe_strips(dataset, probes, frames, pixels)

    def observe(
        self, epoch: int, arrays: RetrievalArrays, probes: Int[np.ndarray, " probes"]
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """There are no proposals and no signals."""
        return proposal_rows(epoch, [arrays.query_ids[i] for i in probes], {}), {}

    def own_baselines(self, train: MomentDataset, test: MomentDataset) -> dict[str, Metrics]:
        """A random order: ``R@k = k / V`` in both directions, when a query has one right answer."""
        videos = len(torch.unique(test.video_index))
        ways = {f"{way} R@{k}": min(k / videos, 1.0) for way in ("t2v", "v2t") for k in (1, 5, 10)}
        return {"chance": ways | {f"{way} MnR": (videos + 1) / 2 for way in ("t2v", "v2t")}}

    def settings(self) -> Mapping[str, Any]:
        """Which conventions the unlabelled columns follow."""
        return {"ties": "optimistic", "v2t": "best caption per video"}
