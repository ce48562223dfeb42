"""How well a trained model tells variants apart, beside its own task: held-out triplets and their controls.

For every test sentence with a positive and a negative of component j (P4 Fig. 5):

* ``component accuracy``: share with ``sigma_p > sigma_j``, over all; ``component accuracy: NAME`` for one component;
* ``component accuracy, shuffled video``: the same with another video, what the sentence alone gives in this model;
* ``component accuracy, text alone``: the same from the text before it meets the video.

For X-CLIP, whose comparison sees no video, also ``match accuracy``: share where the *video* scores the sentence higher
than the negative, and ``match accuracy, shuffled video``, where a different video does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.components.dataset import ComponentBatch, ComponentDataset
from vmlkit.components.method import ComponentHost, View, WithComponents, XCLIPHost
from vmlkit.nn.similarity import cosine, masked_mean
from vmlkit.training.evaluate import undisturbed
from vmlkit.training.task import Measurement, Metrics

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


def compare_split(host: ComponentHost, dataset: ComponentDataset, view: View, batch_size: int = 128) -> Triplets:
    """Every sentence of a split with its variants, all components."""

    def compare(batch: ComponentBatch) -> tuple[Tensor, Tensor]:
        said = host.compare(batch, batch.variants, view)
        return said.positive, said.negatives

    return _split(host, dataset, batch_size, compare)


def match_split(host: XCLIPHost, dataset: ComponentDataset, shuffled: bool, batch_size: int = 128) -> Triplets:
    """Logits of each video with its sentence (as the positive) and with the negatives."""
    return _split(host, dataset, batch_size, lambda batch: host.match(batch, shuffled))


def _split(
    host: ComponentHost,
    dataset: ComponentDataset,
    size: int,
    similarities: Callable[[ComponentBatch], tuple[Tensor, Tensor]],
) -> Triplets:
    with undisturbed(host.model) as device:
        rows = torch.arange(len(dataset)).split(size)
        parts = [similarities(dataset.batch(some).to(device)) for some in rows]
    positive, negatives = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
    return Triplets(positive, negatives, dataset.valid.cpu().numpy(), dataset.texts.components)


def component_accuracy(*views: View) -> Measurement:
    """``component accuracy`` on these views, and a bag of words that sees no video and learns nothing."""

    def metrics(method: WithComponents[Any], dataset: ComponentDataset, batch_size: int) -> Metrics:
        found: Metrics = {}
        for view in views if dataset.valid.any() else ():  # the variants may be those of the training split alone
            triplets = compare_split(method.host, dataset, view, batch_size)
            found |= _named(f"component accuracy{VIEWS[view]}", triplets)
        return found

    def baselines(test: ComponentDataset) -> dict[str, Metrics]:
        if not test.valid.any():
            return {}
        return {"mean word vector": _named("component accuracy", bag_of_words(test))}

    return Measurement(metrics, baselines)


def _match_accuracy(method: WithComponents[XCLIPHost], dataset: ComponentDataset, batch_size: int) -> Metrics:
    if not dataset.valid.any():
        return {}
    own, other = (match_split(method.host, dataset, shuffled, batch_size) for shuffled in (False, True))
    return _named("match accuracy", own) | _named("match accuracy, shuffled video", other)


#: X-CLIP, whose comparison sees no video
MATCH_ACCURACY = Measurement(_match_accuracy)


def _named(label: str, triplets: Triplets) -> Metrics:
    return {f"{label}: {name}" if name else label: value for name, value in triplets.accuracy().items()}


def bag_of_words(dataset: ComponentDataset) -> Triplets:
    """Cosines of mean word vectors: how far text alone gets without any learning."""
    batch = dataset.batch(range(len(dataset)))
    anchor = masked_mean(batch.words, batch.word_mask)
    words, mask = batch.variants.texts()
    sigma = cosine(anchor[:, None], masked_mean(words, mask)).cpu().numpy()
    return Triplets(sigma[:, 0], sigma[:, 1:], dataset.valid.cpu().numpy(), dataset.texts.components)
