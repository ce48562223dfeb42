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

# PAPER: class 0 is background / CODE: index 0 is foreground (its comment says the opposite)
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vmlkit.data.batches import MomentBatch
from vmlkit.detr import criterion as sp
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import DetrSizes, Encoder, PlainDecoder, initialise_
from vmlkit.detr.method import DetrMethod, DetrOutput, Memory, Moments, Supervision, weighted_total
from vmlkit.training.method import DataShape, LossTerms, Progress


@dataclass(frozen=True, kw_only=True)
class MomentDetrConfig:
    """Settings of Moment-DETR; defaults are the released ones."""

    sizes: DetrSizes = field(default_factory=DetrSizes)
    weights: SetWeights = field(default_factory=SetWeights)
    auxiliary: bool = True  #: also supervise every earlier decoder layer
    alignment_size: int | None = None  #: size of the contrastive projections; None leaves them out, as published
    alignment_weight: float = 0.0
    temperature: float = 0.07  #: of the contrastive term


class MomentDetr(DetrMethod):
    """Moment-DETR; see the module docstring."""

    def __init__(self, config: MomentDetrConfig, shape: DataShape) -> None:
        super().__init__(config.sizes, shape)
        self.config, size = config, config.sizes.hidden
        self.encoder, self.decoder = Encoder(config.sizes, "relu"), PlainDecoder(config.sizes, "relu")
        initialise_(self.encoder)
        initialise_(self.decoder)
        self.queries = nn.Embedding(config.sizes.queries, size)
        self.saliency_head = nn.Linear(size, 1)
        wide = config.alignment_size
        names = () if wide is None else ("query", "text", "video")  # "video" is never used (released code)
        self.alignment = nn.ModuleDict({name: nn.Linear(size, wide or 1) for name in names})

    def decode(self, memory: Memory) -> Moments:
        """Moment queries attend to clips and words; spans are a sigmoid of the span head."""
        hidden = self.decoder(self.queries.weight, memory.tokens, memory.positions, memory.mask)
        return Moments(self.class_head(hidden), self.span_head(hidden).sigmoid(), hidden)

    def saliency(self, memory: Memory) -> Float[Tensor, "B T"]:
        """A linear score of each encoded clip."""
        return self.saliency_head(memory.video)[..., 0]

    def aligned(self, kind: str, hidden: Float[Tensor, "*A D"]) -> Float[Tensor, "*A a"]:
        """Unit vectors of the contrastive term."""
        return F.normalize(self.alignment[kind](hidden), dim=-1)

    def loss(self, out: DetrOutput, truth: Supervision) -> LossTerms:
        """Weighted window terms of every layer, saliency once, and the contrastive term where it is on."""
        cfg = self.config
        terms, matches = self.layered_terms(out.moments, truth.windows, cfg.weights, auxiliary=cfg.auxiliary)
        terms["saliency"] = sp.saliency_hinge(out.saliency, truth.salient, truth.other, cfg.weights.margin)
        if cfg.alignment_size is not None:
            assert out.memory.text is not None
            words = self.aligned("text", out.memory.text)
            for suffix, matched in matches.items():
                hidden = out.moments.hidden[int(suffix[1:]) if suffix else -1]
                queries = self.aligned("query", hidden)
                terms["alignment" + suffix] = sp.contrastive_alignment(queries, words, matched, cfg.temperature)
        return LossTerms(weighted_total(terms, self.term_weights), terms)

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
