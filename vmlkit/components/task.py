"""How well a trained model tells variants apart, beside its own task: held-out triplets and their controls.

For every test sentence with a positive and a negative of component j (P4, Fig. 5 and section B.10 of our notes):

* ``component accuracy``: share with ``sigma_p > sigma_j``, over all; ``component accuracy: NAME`` for one component;
* ``component accuracy, shuffled video``: the same with another video, what the sentence alone gives in this model;
* ``component accuracy, text alone``: the same from the text before it meets the video.

For X-CLIP, whose comparison sees no video, also ``match accuracy``: share where the *video* scores the sentence higher
than the negative, and ``match accuracy, shuffled video``, where a different video does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.components.dataset import ComponentBatch, ComponentDataset, VariantBatch
from vmlkit.components.method import ComponentHost, View, WithComponents, XCLIPHost, other_video
from vmlkit.components.xclip_heads import TextStates, VideoStates
from vmlkit.training.evaluate import undisturbed
from vmlkit.training.method import Method, Progress
from vmlkit.training.task import Task

#: label of each view in the names of metrics
VIEWS: dict[View, str] = {"own": "", "shuffled": ", shuffled video", "none": ", text alone"}


@dataclass(frozen=True)
class Triplets:
    """Similarities of a whole split."""

    positive: Float[np.ndarray, " N"]
    negatives: Float[np.ndarray, "N K"]
    valid: Bool[np.ndarray, "N K"]
    names: tuple[str, ...]

    def accuracy(self) -> dict[str, float]:
        """``P(sigma_p > sigma_j)`` over all valid pairs (key ``""``), and by component; a tie is not a success."""
        right = self.positive[:, None] > self.negatives
        by_name = {
            name: float(right[self.valid[:, j], j].mean()) if self.valid[:, j].any() else float("nan")
            for j, name in enumerate(self.names)
        }
        return {"": float(right[self.valid].mean()), **by_name}


def compare_split(
    host: ComponentHost, dataset: ComponentDataset, view: View, batch_size: int = 128, static: bool = False
) -> Triplets:
    """Every sentence of a split with its variants, all components."""
    parts: list[tuple[Tensor, Tensor]] = []
    with undisturbed(host.model) as device:
        for batch in _batches(dataset, batch_size, device):
            said = host.compare(batch.base, batch.variants, view)
            parts.append((said.positive, said.negatives))
    positive, negatives = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
    return Triplets(positive, negatives, dataset.valid.numpy(), dataset.texts.components)


def match_split(host: XCLIPHost, dataset: ComponentDataset, shuffled: bool, batch_size: int = 128) -> Triplets:
    """Logits of each video with its sentence (as the positive) and with the negatives."""
    parts: list[tuple[Tensor, Tensor]] = []
    with undisturbed(host.model) as device:
        for batch in _batches(dataset, batch_size, device):
            parts.append(_match(host, batch.base, batch.variants, shuffled))
    positive, negatives = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
    return Triplets(positive, negatives, dataset.valid.numpy(), dataset.texts.components)


def _match(host: XCLIPHost, base: Any, variants: VariantBatch, shuffled: bool) -> tuple[Tensor, Tensor]:
    frames, mask = base.frames, base.frame_mask
    if shuffled:
        frames, mask = other_video(frames), other_video(mask)
    videos = host.model.encode_videos(frames, mask)
    anchors = host.model.encode_texts(base.words, base.word_mask)
    others = host.encode_variants(variants)
    texts = TextStates(
        *(
            torch.cat((getattr(anchors, name)[:, None], getattr(others, name)[:, 1:]), dim=1)
            for name in ("sentence", "words", "mask")
        )
    )
    # one video with its own few texts at a time: all pairs of the batch would be B times as many
    rows = []
    for i in range(len(texts.sentence)):
        own = VideoStates(videos.video[i : i + 1], videos.frames[i : i + 1], videos.mask[i : i + 1])
        text = TextStates(texts.sentence[i], texts.words[i], texts.mask[i])
        rows.append(host.model.core.scores(text, own).logits[:, 0])
    logits = torch.stack(rows)
    return logits[:, 0], logits[:, 1:]


def _batches(dataset: ComponentDataset, size: int, device: torch.device) -> list[ComponentBatch]:
    every = range(0, len(dataset), size)
    return [dataset.batch(range(i, min(i + size, len(dataset)))).to(device) for i in every]


def component_metrics(method: WithComponents, dataset: ComponentDataset, batch_size: int = 128) -> dict[str, float]:
    """The metrics of the module docstring."""
    host, metrics = method.host, dict[str, float]()
    views: tuple[View, ...] = ("own",) if isinstance(host, XCLIPHost) else ("own", "shuffled", "none")
    for view in views:
        metrics |= _named(f"component accuracy{VIEWS[view]}", compare_split(host, dataset, view, batch_size))
    if isinstance(host, XCLIPHost):
        for shuffled in (False, True):
            label = f"match accuracy{', shuffled video' if shuffled else ''}"
            metrics |= _named(label, match_split(host, dataset, shuffled, batch_size))
    return metrics


def _named(label: str, triplets: Triplets) -> dict[str, float]:
    return {f"{label}: {name}" if name else label: value for name, value in triplets.accuracy().items()}


@dataclass(frozen=True, kw_only=True)
class ComponentTask(Task):
    """A host's task on a :class:`ComponentDataset`, with the component metrics beside its own.

    The host's task sees its own split and batches.
    """

    host: Task

    columns: ClassVar[tuple[str, ...]] = ("component accuracy", "component accuracy, shuffled video")

    @property
    def supervised(self) -> bool:  # type: ignore[override]
        """The host's."""
        return self.host.supervised

    @property
    def headline(self) -> str:  # type: ignore[override]
        """The host's."""
        return self.host.headline

    def order(self, dataset: Any, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """The host's."""
        return self.host.order(dataset.base, batch_size, seed, epoch)

    def batch(self, dataset: Any, indices: Tensor, seed: int, *, static: bool = False) -> ComponentBatch:
        """The host's batch and the variants of its sentences."""
        base = self.host.batch(dataset.base, indices, seed, static=static)
        return ComponentBatch(base=base, variants=dataset.variants(indices))

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
        """The host's metrics and arrays, and the component metrics."""
        assert isinstance(method, WithComponents)
        metrics, arrays = self.host.evaluate(
            method.model, dataset.base, generator_seed, batch_size, draws=draws, progress=progress
        )
        return metrics | component_metrics(method, dataset, batch_size), arrays

    def probe(self, dataset: Any, count: int, seed: int) -> np.ndarray:
        """The host's."""
        return self.host.probe(dataset.base, count, seed)

    def probe_records(self, dataset: Any, indices: np.ndarray) -> list[dict[str, Any]]:
        """The host's."""
        return self.host.probe_records(dataset.base, indices)

    def probe_strips(self, dataset: Any, indices: np.ndarray, frames: int, pixels: int) -> dict[str, np.ndarray]:
        """The host's."""
        return self.host.probe_strips(dataset.base, indices, frames, pixels)

    def proposal_rows(self, epoch: int, arrays: Any, indices: np.ndarray) -> pd.DataFrame:
        """The host's."""
        return self.host.proposal_rows(epoch, arrays, indices)

    def clip_scores(self, arrays: Any, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The host's."""
        return self.host.clip_scores(arrays, indices)

    def baselines(self, train: Any, test: Any) -> dict[str, dict[str, float]]:
        """The host's, and a bag of words that sees no video and learns nothing."""
        label = "component accuracy"
        words = _named(label, bag_of_words(test))
        return {**self.host.baselines(train.base, test.base), "mean word vector": words}

    def record(self) -> Mapping[str, Any]:
        """The host's."""
        return self.host.record()


def bag_of_words(dataset: ComponentDataset) -> Triplets:
    """Cosines of mean word vectors: how far text alone gets without any learning."""
    from vmlkit.nn.similarity import cosine, masked_mean

    batch = dataset.batch(range(len(dataset)))
    anchor = masked_mean(batch.base.words, batch.base.word_mask)
    words, mask = batch.variants.texts()
    sigma = cosine(anchor[:, None], masked_mean(words, mask)).numpy()
    return Triplets(sigma[:, 0], sigma[:, 1:], dataset.valid.numpy(), dataset.texts.components)
