"""P4 on Moment-DETR and QD-DETR, P4 Eq. (6): the joint embedding is the encoded video, averaged over its clips.

    # PAPER: "joint embedding" / CODE: none; here the mean over valid clips, or QD-DETR's global token -> pool

The anchor's pass is the model's ordinary one and its graph is shared.  The k + 1 other texts lie beside it in the
batch: one pass of projection and encoder, whose dropout draws for all of them layer by layer.  The video is projected
once a sample: with other dropout masks on the same video, dropout would dominate the cosine.  The decoder, its heads
and the saliency get no gradient from the comparison.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from vmlkit.components.dataset import ComponentDataset, VariantBatch
from vmlkit.components.method import (
    Compared,
    ComponentsConfig,
    View,
    WithComponents,
    compare_jointly,
    compared,
    other_video,
    side_by_side,
)
from vmlkit.data.batches import MomentBatch
from vmlkit.detr.method import DetrOutput, Memory, parts
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.errors import ConfigError
from vmlkit.nn.similarity import masked_mean
from vmlkit.training.method import DataShape, LossTerms, Progress

Pool = Literal["mean", "global"]


def pooled(memory: Memory, pool: Pool = "mean") -> Float[Tensor, "B D"]:
    """``g``: mean of the encoded clips, or QD-DETR's global token.

    Raises:
        ConfigError: for a global token that the model does not have.
    """
    if pool == "mean":
        return masked_mean(memory.video, memory.video_mask)
    if memory.token is None:
        raise ConfigError("pool='global' needs a global token: only QD-DETR has one")
    return memory.token


class DetrHost:
    """Moment-DETR or QD-DETR as a host of P4 (a :class:`vmlkit.components.method.ComponentHost`)."""

    def __init__(self, model: MomentDetr | QDDetr, text_dim: int, pool: Pool = "mean") -> None:
        self.model, self.text_dim, self.pool = model, text_dim, pool

    def loss(
        self, batch: MomentBatch, variants: VariantBatch, view: View, progress: Progress, generator: torch.Generator
    ) -> tuple[LossTerms, Compared]:
        """The model's loss, and P4 Eq. (6) with the anchor's embedding taken from its pass."""
        truth = self.model.supervise(batch, generator)
        words, masks = side_by_side(batch, variants)
        video, mask = self.model.video_projection(batch.frames), batch.frame_mask
        texts = self.project_texts(words)
        further = None if view != "own" else (_flat(texts[:, 1:]), _flat(masks[:, 1:]))
        if isinstance(self.model, QDDetr):
            out, negative, memory = self.model.read_sentences(video, mask, texts[:, 0], masks[:, 0], further)
            own = self.model.loss(out, negative, truth)
            groups = [0, *range(2, words.shape[1] + 1)]  # the second one is the negative sentence
        else:
            out, memory = self._moment_detr(video, mask, texts[:, 0], masks[:, 0], further, batch.words.shape[1])
            own, groups = self.model.loss(out, truth), list(range(words.shape[1]))
        if view == "own":
            g = pooled(memory, self.pool).unflatten(0, (-1, len(video))).unbind(0)
            return own, compared(g[groups[0]], torch.stack([g[i] for i in groups[1:]], dim=1), batch, variants)
        # the anchor must meet the same video as its variants, or none
        embedded = self._embed(video, mask, texts, masks, view)
        return own, compared(embedded[:, 0], embedded[:, 1:], batch, variants)

    def _moment_detr(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        further: tuple[Float[Tensor, "RB L D"], Bool[Tensor, "RB L"]] | None,
        words: int,
    ) -> tuple[DetrOutput, Memory]:
        """Moment-DETR's own output, whose text ends with its ``words``, and the memory of it and further sentences."""
        texts, masks = [text], [text_mask]
        if further is not None:
            texts.append(further[0])
            masks.append(further[1])
        groups = sum(map(len, texts)) // len(video)
        memory = self.model.encode(
            video.repeat(groups, 1, 1), video_mask.repeat(groups, 1), torch.cat(texts), torch.cat(masks)
        )
        own, _ = parts(memory, (len(video), (groups - 1) * len(video)))
        own = replace(own, text=own.text[:, :words])
        return DetrOutput(own, self.model.decode(own), self.model.saliency(own)), memory

    def compare(self, batch: MomentBatch, variants: VariantBatch, view: View) -> Compared:
        """P4 Eq. (6) alone."""
        return compare_jointly(self, batch, variants, view)

    def joint(
        self, batch: MomentBatch, words: Float[Tensor, "B R L Dw"], mask: Bool[Tensor, "B R L"], view: View
    ) -> Float[Tensor, "B R D"]:
        """``g`` of each video with each of R texts."""
        video, text = self.model.video_projection(batch.frames), self.project_texts(words)
        return self._embed(video, batch.frame_mask, text, mask, view)

    def project_texts(self, words: Float[Tensor, "B R L Dw"]) -> Float[Tensor, "B R L D"]:
        """Word vectors of R texts a sample to the hidden size."""
        found: Tensor = self.model.text_projection(words.flatten(0, 1)).unflatten(0, words.shape[:2])
        return found

    def _embed(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B R L D"],
        mask: Bool[Tensor, "B R L"],
        view: View,
    ) -> Float[Tensor, "B R D"]:
        if view == "none":
            return masked_mean(text, mask)
        if view == "shuffled":
            video, video_mask = other_video(video), other_video(video_mask)
        return self.embed_projected(video, video_mask, text, mask, self.pool)

    def embed_projected(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B R L D"],
        mask: Bool[Tensor, "B R L"],
        pool: Pool = "mean",
    ) -> Float[Tensor, "B R D"]:
        """The joint embedding of projected clips and words: one pass of the encoder over ``B R`` pairs."""
        texts = text.shape[1]
        videos, video_masks = video.repeat(texts, 1, 1), video_mask.repeat(texts, 1)
        # only QD-DETR's released mask order asks how many batches lie side by side
        groups: dict[str, Any] = {"groups": texts} if isinstance(self.model, QDDetr) else {}
        memory = self.model.encode(videos, video_masks, _flat(text), _flat(mask), **groups)
        found: Tensor = pooled(memory, pool).unflatten(0, (texts, -1)).transpose(0, 1)
        return found


def _flat(x: Shaped[Tensor, "B R *A"]) -> Shaped[Tensor, "RB *A"]:
    """All first texts, then all second ones: R batches side by side."""
    return x.transpose(0, 1).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class MomentDetrWithComponents:
    """Settings of Moment-DETR with P4's loss."""

    host: MomentDetrConfig = field(default_factory=MomentDetrConfig)
    components: ComponentsConfig = field(default_factory=ComponentsConfig)


@dataclass(frozen=True, kw_only=True)
class QDDetrWithComponents:
    """Settings of QD-DETR with P4's loss."""

    host: QDDetrConfig = field(default_factory=QDDetrConfig)
    components: ComponentsConfig = field(default_factory=ComponentsConfig)
    pool: Pool = "mean"


def detr_with_components(
    settings: MomentDetrWithComponents | QDDetrWithComponents, data: ComponentDataset
) -> WithComponents[DetrHost]:
    """The host sized to a :class:`vmlkit.components.dataset.ComponentDataset` over a split of the DETR family.

    Raises:
        ConfigError: for another similarity of texts: joint embeddings are compared by their cosine.
    """
    if settings.components.text_similarity != "late":
        raise ConfigError("text_similarity acts on X-CLIP only: moment retrieval compares joint embeddings by cosine")
    sample = data.batch([0])
    shape = DataShape(
        frame_dim=sample.frames.shape[-1], word_dim=sample.words.shape[-1], vocabulary=len(data.vocabulary)
    )
    model: MomentDetr | QDDetr
    if isinstance(settings, QDDetrWithComponents):
        model, pool = QDDetr(settings.host, shape), settings.pool
    else:
        model, pool = MomentDetr(settings.host, shape), "mean"
    return WithComponents(DetrHost(model, shape.word_dim, pool), settings.components, data.texts.components)
