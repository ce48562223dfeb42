"""VLC: video-text language completion (P3 Sec. 3.3).

A second attention, learned without looking at classes: it must pick the snippets from which a sentence made of the
video's class names can be completed.

========================= =============================== ======================================
paper                     here                            shape
========================= =============================== ======================================
``att_r``, P3 Eq. (5)     ``attention``                   (B, T)
``E``, ``D``, P3 Eq. (6)  ``transformer.reconstruct``     rows 0, 1, 2: weights a, 1, 1 - a
and P3 Eq. (7)
``P``, P3 Eq. (8)         ``front.vocabulary_head``       (B, 3, L, V), logits
``L_rec``, P3 Eq. (9)     :func:`completion_loss`         mean over B
``L_c``, P3 Eq. (10)      :func:`completion_contrast`     mean over B
========================= =============================== ======================================

# PAPER: masked words are completed / CODE: the masked input is overwritten by the plain words -> mask_input
# PAPER: weights inside the softmax, P3 Eq. (6) and P3 Eq. (7) / CODE: after it, renormalised -> attention
# PAPER: the video's own features / CODE: features filtered by its own cross-modal attention -> kind
# PAPER: (silent) / CODE: video self-attention is causal -> causal_video
# PAPER: P3 Eq. (9) sums over the words / CODE: the mean, with smoothed labels -> nll_reduction, label_smoothing
# PAPER: L_rec is about the attended video / CODE: and about the whole one -> whole_video_loss
# PAPER: gamma_2 is 0.2 / CODE: 0.15 -> easy_margin
# PAPER: (silent) / CODE: a second transformer (``trans_a``) is evaluated and thrown away -> no switch, because nothing
# reads it
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.actions.cross_modal import (
    Attended,
    AttentionConfig,
    CrossModalAttention,
    SingleAttention,
    build_attention,
    refuse_idle,
)
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.localiser import ActionShape
from vmlkit.actions.losses import Consistency
from vmlkit.actions.recurrent import RecurrentReconstructor
from vmlkit.errors import ConfigError
from vmlkit.nn.dropout import Dropout
from vmlkit.nn.transformer import Conditioning, DualTransformer, Reconstruction, TransformerConfig, positions_of
from vmlkit.reconstruction.front import FrontEnd, ReconstructionConfig
from vmlkit.reconstruction.losses import margin, target_mask, word_nll
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import DataShape, LossTerms


def _released_network() -> ReconstructionConfig:
    return ReconstructionConfig(
        transformer=TransformerConfig(hidden=512, heads=4, video_layers=3, text_layers=3, dropout=0.0),
        end_symbol="always",
    )


@dataclass(frozen=True, kw_only=True)
class VLCConfig:
    """Settings of the completion network and its training; defaults are the released THUMOS14 configuration."""

    #: its own (P3 Table 8: of the host's kind); None shares the host's, without a constraint (P3 Table 5)
    attention: AttentionConfig | None = field(default_factory=AttentionConfig)
    reconstruction: ReconstructionConfig = field(default_factory=_released_network)
    reconstructor: Literal["transformer", "gru", "lstm"] = "transformer"  #: P3 Table 6
    dropout: float = 0.1  #: on frames and words before their projections
    mask_input: bool = False  #: True: masked words and positions, as the paper says
    hard_margin: float = 0.1  #: gamma_1, against the whole video
    easy_margin: float = 0.15  #: gamma_2, against the complement; the paper says .2
    whole_video_loss: bool = True  #: L_rec asks for the sentence from the whole video as well (code)
    reconstruction_weight: float = 1.0  #: alpha of P3 Eq. (12)
    contrast_weight: float = 1.0  #: beta of P3 Eq. (12); 0 is "+ L_rec + L_con" of P3 Table 3
    consistency: Consistency = "mse"  #: P3 Table 5
    consistency_weight: float = 1.5  #: lambda of P3 Eq. (12), in both networks; ActivityNet: .25
    rebuild_weight: float = 1.5  #: of its cross-modal auto-encoders; ActivityNet: .15
    schedule: Literal["alternate", "joint"] = "alternate"  #: see :mod:`vmlkit.actions.method`
    lr: float = 4e-4  #: peak rate of both optimisers
    warmup_updates: int = 400
    stale_gradient_clipping: bool = True  #: clip over all parameters, left-over gradients included (code)

    def __post_init__(self) -> None:
        if self.reconstruction.cells is not None:
            raise ConfigError("setting 'cells' does nothing in VLC, which reads every snippet: leave it at None")
        if self.reconstructor != "transformer":
            network = self.reconstruction.transformer
            refuse_idle(network, "a recurrent reconstructor", "heads", "attention", "causal_video")
            if network.dropout:
                raise ConfigError("setting 'dropout' does nothing in a recurrent reconstructor: leave it at 0")
        if not self.contrast_weight:
            refuse_idle(self, "VLC without L_c", "hard_margin", "easy_margin")
        if self.attention is None:
            names = ("consistency", "consistency_weight", "rebuild_weight")
            refuse_idle(self, "VLC with the host's attention", *names)
        elif self.attention.kind != "reconstruct":
            refuse_idle(self, "VLC without cross-modal auto-encoders", "rebuild_weight")
        if self.schedule == "joint":
            refuse_idle(self, "the joint schedule", "stale_gradient_clipping")


@dataclass(frozen=True, kw_only=True)
class Completed:
    """One forward pass: attention, and what the sentence costs under (attention, ones, and mostly complement)."""

    attention: Float[Tensor, "B T"]
    nll: Float[Tensor, "B R"]
    reconstruction: Reconstruction
    rebuilt: tuple[tuple[Tensor, Tensor], ...]
    text_mask: Bool[Tensor, "B L"]  #: the positions that count


class VLC(nn.Module):
    """See the module docstring.

    Args:
        shared: the host's attention part, for settings without an attention of their own.
    """

    def __init__(
        self, config: VLCConfig, shape: ActionShape, shared: SingleAttention | CrossModalAttention | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self._borrowed = (shared,)  # in a tuple, so that it is not registered twice
        if config.attention is not None:
            self.own_attention = build_attention(config.attention, shape.features)
        sizes = DataShape(frame_dim=shape.features, word_dim=shape.word_dim, vocabulary=shape.vocabulary)
        self.front = FrontEnd(config.reconstruction, sizes, token=False)
        self.front.dropout = Dropout(config.dropout)
        network = config.reconstruction.transformer
        self.transformer: DualTransformer | RecurrentReconstructor
        if config.reconstructor == "transformer":
            self.transformer = DualTransformer(network)
        else:
            layers = network.video_layers, network.text_layers
            self.transformer = RecurrentReconstructor(network.hidden, config.reconstructor, *layers)

    @property
    def attention(self) -> SingleAttention | CrossModalAttention:
        """The attention part in use."""
        return self.own_attention if self._borrowed[0] is None else self._borrowed[0]

    def masked_words(self, batch: ActionBatch, generator: torch.Generator) -> Bool[Tensor, "B L"] | None:
        """A third of the words of each caption; None where the input is not masked."""
        if not self.config.mask_input:
            return None
        return draw_masked_words(batch.word_weights, batch.word_mask, generator)

    def forward(
        self,
        batch: ActionBatch,
        masked: Bool[Tensor, "B L"] | None,
        weights: Tensor | None = None,
        *,
        maps: bool = False,
        frozen: bool = False,
    ) -> Completed:
        """The caption completed three times in one pass.

        Args:
            masked: words to hide, from :meth:`masked_words`.
            weights: ``(B, T)`` in place of the attention's own, for looking at what a weighting costs.
            maps: keep the attention map of the transformer's last layer.
            frozen: for what the reconstructor learns from: no gradient reaches the attention, and its complement,
                which L_rec does not read, is left out.  Dropout in the transformer then draws for two rows.
        """
        attended: Attended = self.attention(batch.frames)
        if frozen:  # not by no_grad, under which autocast would keep weights without a gradient for the next pass
            attended = Attended(attended.attention.detach(), (), attended.filtered.detach(), ())
        own = attended.attention
        chosen = own if weights is None else weights
        text, mask = self._text(batch, masked)
        video = self.front.frame_projection(self.front.dropout(attended.filtered))
        others = () if frozen else (1 - chosen,)
        rows = torch.stack((chosen, torch.ones_like(chosen), *others), dim=1)  # (B, R, T)
        out = self.transformer.reconstruct(video, batch.frame_mask, text, mask, Conditioning(rows, maps=maps))
        c = self.config.reconstruction
        logits = self.front.vocabulary_head(out.hidden)
        nll = word_nll(logits, batch.word_ids, mask, smoothing=c.label_smoothing, reduction=c.nll_reduction)
        return Completed(attention=own, nll=nll, reconstruction=out, rebuilt=attended.rebuilt, text_mask=mask)

    def _text(
        self, batch: ActionBatch, masked: Bool[Tensor, "B L"] | None
    ) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Decoder input and the positions that count: the words and one end symbol, as far as the slots go.

        Plain words come without positions: what they train is a left-to-right language model without a masked word.
        """
        words = self.front.behind_start(batch.words)  # (B, L + 1, D), start first
        columns = batch.word_ids.shape[1]
        if masked is not None:
            words = self.front.masked_words(words, masked)
            words = words + positions_of(words)
        mask = target_mask(batch.word_mask, self.config.reconstruction.end_symbol)
        return words[:, :columns], mask[:, :columns]


def completion_loss(nll: Float[Tensor, "B R"], config: VLCConfig) -> LossTerms:
    """``L_rec``, P3 Eq. (9): the caption from the attended snippets, and (code) from the unweighted video."""
    attended, whole, *_ = nll.mean(0).unbind(0)
    return LossTerms(
        attended + whole if config.whole_video_loss else attended, {"nll": attended, "nll_whole_video": whole}
    )


def completion_contrast(nll: Float[Tensor, "B 3"], config: VLCConfig) -> LossTerms:
    """``L_c``, P3 Eq. (10): attended snippets explain the caption better than all do, and than the others."""
    attended, whole, others = nll.unbind(1)
    hard = margin(attended, whole, config.hard_margin).mean()
    easy = margin(attended, others, config.easy_margin).mean()
    return LossTerms(hard + easy, {"rank_whole_video": hard, "rank_complement": easy})
