"""Moment-DETR: detecting moments with a transformer on [video ; text] (NeurIPS 2021).

Clips and words are encoded in one sequence; ten learned moment queries read it and each answers with a window and a
foreground score.

====================== ============================================ ==============================
paper                  here                                         shape
====================== ============================================ ==============================
``E_enc``              ``Memory.tokens``, clips first               (B, T + L, D)
moment queries         ``queries.weight``, added as positions       (Q, D)
``m_hat, c_hat``       ``Moments.spans``, ``Moments.logits``        (layers, B, Q, 2)
``S`` (saliency)       ``saliency``                                 (B, T)
====================== ============================================ ==============================

# PAPER: class 0 is background / CODE: index 0 is foreground -> no switch, because it only names the two outputs
# PAPER: spans are regressed / CODE: optionally a first and a last clip are classified instead -> span_loss_type
# PAPER: (silent) / CODE: with classified clips prediction moves the ends of the second query (not the second end of
#        each) by a clip and then crashes -> no switch, because that prediction never ends; here every end moves
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import Targets, clips_of_windows
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import Activation, DetrSizes, Encoder, PlainDecoder, initialise_
from vmlkit.detr.method import DetrMethod, DetrOutput, Memory, Moments, Supervision, named, weighted_total
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.nn.similarity import unit
from vmlkit.spans import to_center_width
from vmlkit.training.method import DataShape, LossTerms, Progress


@dataclass(frozen=True, kw_only=True)
class MomentDetrConfig:
    """Settings of Moment-DETR; defaults are the released ones."""

    sizes: DetrSizes = field(default_factory=DetrSizes)
    weights: SetWeights = field(default_factory=SetWeights)
    activation: Activation = "relu"  #: of the feed-forwards
    span_loss_type: Literal["l1", "ce"] = "l1"  #: regress (center, width), or classify first and last clip
    max_clips: int = 75  #: clips that "ce" can name (``max_v_l``); longer videos are refused
    auxiliary: bool = True  #: also supervise every earlier decoder layer
    alignment_size: int | None = None  #: size of the contrastive projections; None leaves them out, as published
    alignment_weight: float = 0.0
    temperature: float = 0.07  #: of the contrastive term

    def __post_init__(self) -> None:
        at_least(self, 1, "max_clips alignment_size")
        at_least(self, 0, "alignment_weight")
        positive(self, "temperature")
        if self.alignment_weight and self.alignment_size is None:
            raise ConfigError("setting 'alignment_weight' does nothing without 'alignment_size', the projections' size")


class MomentDetr(DetrMethod):
    """Moment-DETR; see the module docstring."""

    def __init__(self, config: MomentDetrConfig, shape: DataShape) -> None:
        super().__init__(config.sizes, shape, 2 if config.span_loss_type == "l1" else 2 * config.max_clips)
        self.config, size = config, config.sizes.hidden
        self.encoder = Encoder(config.sizes, config.activation)
        self.decoder = PlainDecoder(config.sizes, config.activation)
        initialise_(self.encoder)
        initialise_(self.decoder)
        self.queries = nn.Embedding(config.sizes.queries, size)
        self.saliency_head = nn.Linear(size, 1)
        wide = config.alignment_size
        names = () if wide is None else ("query", "text", "video")  # "video" is never used (released code)
        self.alignment = nn.ModuleDict({name: nn.Linear(size, wide or 1) for name in names})

    def decode(self, memory: Memory) -> Moments:
        """Moment queries attend to clips and words; spans are regressed, or run from clip to clip.

        Raises:
            ConfigError: where a video has more clips than "ce" can name.
        """
        if self.config.span_loss_type == "l1":
            return super().decode(memory)
        clips, most = memory.video.shape[1], self.config.max_clips
        if clips > most:
            raise ConfigError(f"moment-detr: videos have {clips} clips, model.max_clips is {most}; set it to {clips}")
        hidden, _ = self.decoder(self.queries.weight, memory.tokens, memory.positions, memory.mask)
        ends = precisely(self.span_head, hidden).unflatten(-1, (2, most))
        return Moments(precisely(self.class_head, hidden), likeliest_span(ends, memory.video_mask), hidden, ends=ends)

    def aligned(self, kind: str, hidden: Float[Tensor, "*A D"]) -> Float[Tensor, "*A a"]:
        """Unit vectors of the contrastive term."""
        return unit(self.alignment[kind](hidden))

    def targets(self, targets: Targets, memory: Memory) -> Targets:
        """The windows as what this span head is compared with: with their first and last clips where it names clips."""
        if self.config.span_loss_type == "l1":
            return targets
        return dataclasses.replace(targets, clips=clips_of_windows(targets.windows, memory.video_mask))

    def loss(self, out: DetrOutput, truth: Supervision) -> LossTerms:
        """Weighted window terms of every layer, saliency once, and the contrastive term where it is on."""
        cfg, windows = self.config, self.targets(truth.windows, out.memory)
        terms, matches = self.layered_terms(out.moments, windows, cfg.weights, auxiliary=cfg.auxiliary)
        terms["saliency"] = sp.saliency_hinge(out.saliency, truth.salient, truth.other, cfg.weights.margin)
        if cfg.alignment_size is not None:
            assert out.memory.text is not None
            words = self.aligned("text", out.memory.text)
            last, *earlier = matches.values()
            matched = torch.stack((*earlier, last))
            queries = self.aligned("query", out.moments.hidden[-len(matched) :])
            terms["alignment"] = sp.contrastive_alignment(queries, words, matched, cfg.temperature)
        return LossTerms(weighted_total(terms, self.term_weights), named(terms))

    @property
    def term_weights(self) -> dict[str, float]:
        """Weight of each term by name."""
        w = self.config.weights
        named = {"span": w.span, "giou": w.giou, "label": w.label, "saliency": w.saliency}
        return named | {"alignment": self.config.alignment_weight}

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Windows and saliency of the batch's own sentences."""
        truth = self.supervise(batch, generator)
        return self.loss(self(batch.frames, batch.frame_mask, batch.words, batch.word_mask), truth)


def likeliest_span(ends: Float[Tensor, "layers B Q 2 C"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "layers B Q 2"]:
    """(center, width) from the likeliest first to the likeliest last clip, cut to the video; empty if they cross."""
    count = mask.sum(1)[:, None]
    first, last = ends.argmax(-1).unbind(-1)  # (layers, B, Q)
    start = torch.minimum(first, count)
    stop = torch.minimum(torch.maximum(last + 1, start), count)
    return to_center_width(torch.stack((start, stop), dim=-1) / count[..., None]).to(ends.dtype)
