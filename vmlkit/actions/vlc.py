"""VLC: video-text language completion (P3, CVPR 2023, section 3.3).

A second attention, learned without looking at classes: it must pick the snippets from which a sentence made of the
video's class names can be completed.

====================== ================================================ ======================================
paper                  here                                             shape
====================== ================================================ ======================================
``a`` (VLC attention)  ``attention``                                    (B, T)
positive/hard/easy     rows 0, 1, 2 of the reconstruction               weights a, 1, 1 - a
``L_rec`` (Eq. 8)      :func:`completion_loss`                          mean over B
``L_c`` (Eq. 9-10)     :func:`completion_contrast`                      gamma_1 = .1, gamma_2 = .15 (paper: .2)
====================== ================================================ ======================================

# PAPER: masked words are completed / CODE: the masked input is overwritten by the plain words -> ``mask_input``
# PAPER: weights inside the softmax (Eq. 6-7) / CODE: after it, renormalised -> ``transformer.attention``
# PAPER: the video's own features / CODE: features filtered by its own cross-modal attention
# PAPER: (silent) / CODE: video self-attention is causal -> ``transformer.causal_video``
# PAPER: template "a video of the [CLS]" / CODE: "one video of the [CLS]" -> data setting ``template``
# CODE: a second transformer (``trans_a``) is evaluated and thrown away; here it is only loaded -> ``unused_parts``
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
    average_over_time,
    build_attention,
)
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.localiser import ActionShape
from vmlkit.actions.losses import Consistency
from vmlkit.actions.recurrent import RecurrentReconstructor
from vmlkit.nn.positions import word_positions
from vmlkit.nn.transformer import Conditioning, DualTransformer, Reconstruction, TransformerConfig
from vmlkit.reconstruction.front import FrontEnd, ReconstructionConfig
from vmlkit.reconstruction.losses import target_mask, word_nll
from vmlkit.reconstruction.ranking import margin
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import DataShape, LossTerms


def _released_network() -> ReconstructionConfig:
    return ReconstructionConfig(
        transformer=TransformerConfig(hidden=512, heads=4, video_layers=3, text_layers=3, dropout=0.0),
        end_symbol="always",
    )


@dataclass(frozen=True, kw_only=True)
class VLCConfig:
    """Settings of the completion network; defaults are the released THUMOS14 configuration."""

    attention: AttentionConfig = field(default_factory=AttentionConfig)  #: its own; Table 8 may take the host's kind
    reconstruction: ReconstructionConfig = field(default_factory=_released_network)
    reconstructor: Literal["transformer", "gru", "lstm"] = "transformer"  #: Table 6
    dropout: float = 0.1  #: on frames and words before their projections
    mask_input: bool = False  #: True: masked words and positions, as the paper says
    hard_margin: float = 0.1  #: gamma_1, against the whole video
    easy_margin: float = 0.15  #: gamma_2, against the complement; PAPER: .2
    contrast: bool = True  #: L_c; False is "+ L_rec + L_con" of Table 3
    consistency: Consistency = "mse"  #: Table 5; "share": the host's own attention, no constraint
    consistency_weight: float = 1.5  #: in both networks; ActivityNet: .25
    rebuild_weight: float = 1.5  #: of its cross-modal auto-encoders; ActivityNet: .15
    pool: int | None = None  #: moving average over its attention (ActivityNet)
    unused_parts: bool = False  #: build ``trans_a`` to keep a checkpoint complete


@dataclass(frozen=True, kw_only=True)
class Completed:
    """One forward pass: attention, and what the sentence costs under (attention, ones, complement)."""

    attention: Float[Tensor, "B T"]
    nll: Float[Tensor, "B 3"]
    reconstruction: Reconstruction
    rebuilt: tuple[tuple[Tensor, Tensor], ...]
    text_mask: Bool[Tensor, "B L"]  #: the positions that count


class VLC(nn.Module):
    """See the module docstring.

    Args:
        shared: the host's attention part (Table 5, "share"); None builds one of its own.
    """

    def __init__(
        self, config: VLCConfig, shape: ActionShape, shared: SingleAttention | CrossModalAttention | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self._borrowed = shared if shared is None else (shared,)  # in a tuple, so that it is not registered twice
        if shared is None:
            self.own_attention = build_attention(config.attention, shape.features)
        sizes = DataShape(frame_dim=shape.features, word_dim=shape.word_dim, vocabulary=shape.vocabulary)
        self.front = FrontEnd(config.reconstruction, sizes, token=False)
        self.front.dropout = nn.Dropout(config.dropout)
        network = config.reconstruction.transformer
        self.transformer: DualTransformer | RecurrentReconstructor
        if config.reconstructor == "transformer":
            self.transformer = DualTransformer(network)
        else:
            self.transformer = RecurrentReconstructor(network.hidden, config.reconstructor)
        if config.unused_parts:
            one_layer = TransformerConfig(hidden=network.hidden, heads=network.heads, video_layers=1, text_layers=1)
            self.unused_transformer = DualTransformer(one_layer)

    @property
    def attention(self) -> SingleAttention | CrossModalAttention:
        """The attention part in use."""
        return self.own_attention if self._borrowed is None else self._borrowed[0]

    def masked_words(self, batch: ActionBatch, generator: torch.Generator) -> Bool[Tensor, "B L"] | None:
        """A third of the words of each caption; None where the input is not masked."""
        if not self.config.mask_input:
            return None
        return draw_masked_words(batch.word_weights, batch.word_mask, generator)

    def forward(
        self, batch: ActionBatch, masked: Bool[Tensor, "B L"] | None, weights: Tensor | None = None
    ) -> Completed:
        """The caption completed three times in one pass.

        Args:
            masked: words to hide, from :meth:`masked_words`.
            weights: ``(B, T)`` in place of the attention's own, for looking at what a weighting costs.
        """
        attended: Attended = self.attention(batch.frames)
        own = average_over_time(attended.attention[..., None], self.config.pool)[..., 0]
        chosen = own if weights is None else weights
        text, mask = self._text(batch, masked)
        video = self.front.frame_projection(self.front.dropout(attended.filtered))
        rows = torch.stack((chosen, torch.ones_like(chosen), 1 - chosen), dim=1)  # (B, 3, T)
        out = self.transformer.reconstruct(video, batch.frame_mask, text, mask, Conditioning(rows))
        smoothing = self.config.reconstruction.label_smoothing
        nll = word_nll(self.front.vocabulary_head(out.hidden), batch.word_ids, mask, smoothing=smoothing)
        return Completed(attention=own, nll=nll, reconstruction=out, rebuilt=attended.rebuilt, text_mask=mask)

    def _text(
        self, batch: ActionBatch, masked: Bool[Tensor, "B L"] | None
    ) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Decoder input and the positions that count: the words and one end symbol, as far as the slots go.

        # CODE: ``mask_input=False``: plain words without positions, so what is trained is a left-to-right language
        # model that never sees a masked word.
        """
        words = self.front.behind_start(batch.words)  # (B, L + 1, D), start first
        columns = batch.word_ids.shape[1]
        if masked is not None:
            words = self.front.masked_words(words, masked)
            words = words + word_positions(words.shape[1], words.shape[2]).to(words)
        mask = target_mask(batch.word_mask, self.config.reconstruction.end_symbol)
        return words[:, :columns], mask[:, :columns]


def completion_loss(nll: Float[Tensor, "B 3"]) -> LossTerms:
    """Eq. (8): the caption from the attended snippets; CODE: and from the unweighted video."""
    terms = {"nll": nll[:, 0].mean(), "nll_whole_video": nll[:, 1].mean()}
    return LossTerms(terms["nll"] + terms["nll_whole_video"], terms)


def completion_contrast(nll: Float[Tensor, "B 3"], config: VLCConfig) -> LossTerms:
    """Eq. (9-10): attended snippets explain the caption better than the whole video, and than the complement."""
    hard = margin(nll[:, 0], nll[:, 1], config.hard_margin).mean()
    easy = margin(nll[:, 0], nll[:, 2], config.easy_margin).mean()
    return LossTerms(hard + easy, {"rank_whole_video": hard, "rank_complement": easy})
