"""QD-DETR: query-dependent video representations (CVPR 2023).

Clips first read the words (text-to-video layers), then each other together with a global token; the words are dropped.
Moment queries are spans that the decoder refines.  A sentence of another video teaches saliency what absence is.

======================= ================================================== ======================
paper                   here                                               shape
======================= ================================================== ======================
cross-attentive encoder ``text_to_video``                                  clips (B, T, D)
saliency token          ``global_token``, ``Memory.token``                 (B, D)
``S(x_i)``              ``saliency``                                       (B, T)
``L_neg``               :func:`vmlkit.detr.criterion.negative_pair_loss`
``L_cont``              :func:`vmlkit.detr.criterion.rank_loss`
======================= ================================================== ======================

# PAPER: a padded clip and a padded word do not meet / CODE: the mask of that is tiled in the wrong order, so head k of
#        item b gets the mask of item (b H + k) mod B -> reference_mask_order
# PAPER: post-norm layers / CODE: the text-to-video layers' second residual skips the first norm -> normed_residual
# PAPER: (silent) / CODE: the decoder also runs on the negative pair, at inference too -> no switch, because its result
#        is thrown away
# PAPER: (silent) / CODE: on TVSum only saliency is trained -> supervise_windows
# PAPER: (silent) / CODE: the contrastive option compares with no words at all -> no switch, because it is a constant
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.config import at_least
from vmlkit.data.batches import MomentBatch
from vmlkit.detr import criterion as sp
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import Activation, CrossEncoder, CrossEncoderLayer, DetrSizes, Encoder, initialise_
from vmlkit.detr.method import DetrMethod, DetrOutput, Memory, Supervision, named, parts, weighted_total
from vmlkit.detr.span_decoder import SpanDecoder
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.training.method import DataShape, LossTerms, Progress


@dataclass(frozen=True, kw_only=True)
class QDDetrConfig:
    """Settings of QD-DETR; defaults are the released ones but for the mask order."""

    sizes: DetrSizes = field(default_factory=DetrSizes)  #: the text-to-video stack has ``encoder_layers`` too
    text_to_video_layers: int = 2
    weights: SetWeights = field(default_factory=SetWeights)
    activation: Activation = "prelu"  #: of the feed-forwards
    supervise_windows: bool = True  #: False trains saliency alone, as released on TVSum
    auxiliary: bool = True  #: also supervise every earlier decoder layer
    reference_mask_order: bool = False  #: reproduce the released mask (parity); predictions then depend on the batch
    #: text-to-video layers add the feed-forward to the normed sum (paper), not to the sum
    normed_residual: bool = False
    negative_weight: float = 1.0  #: of the negative pair inside the saliency loss; 0 trains without negative sentences

    def __post_init__(self) -> None:
        at_least(self, 1, "text_to_video_layers")
        at_least(self, 0, "negative_weight")


@dataclass(frozen=True)
class Absent:
    """What the encoder makes of the videos with sentences that are not of them."""

    memory: Memory
    saliency: Float[Tensor, "B T"]


class QDDetr(DetrMethod):
    """QD-DETR; see the module docstring."""

    def __init__(self, config: QDDetrConfig, shape: DataShape) -> None:
        super().__init__(config.sizes, shape)
        self.config, sizes, size = config, config.sizes, config.sizes.hidden
        if sizes.pre_norm:
            raise ConfigError("qd-detr: its text-to-video layers have no pre-norm form; set model.sizes.pre_norm=false")
        reader = CrossEncoderLayer(sizes, config.activation, normed_residual=config.normed_residual)
        self.text_to_video = CrossEncoder(reader, config.text_to_video_layers)
        self.encoder = Encoder(sizes, config.activation)
        self.decoder = SpanDecoder(sizes, config.activation, coordinates="center", refine=True, anchor_outputs=1)
        for part in (self.text_to_video, self.encoder, self.decoder):
            initialise_(part)
        self.queries = nn.Embedding(sizes.queries, 2)
        self.global_token, self.global_position = (nn.Parameter(torch.randn(size)) for _ in range(2))
        self.clip_saliency, self.token_saliency = nn.Linear(size, size), nn.Linear(size, size)

    def encode(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        *,
        positions: tuple[Float[Tensor, "B T D"], Float[Tensor, "B L D"]] | None = None,
        groups: int = 1,
    ) -> Memory:
        """Clips read the words, then each other and the global token; the words are dropped.

        Args:
            positions: of clips and words, where the words' are not those of ``text`` itself.
            groups: how many batches were concatenated (positive and negative pairs); only the reference mask cares.
        """
        where, text_where = self.positions(video_mask, text) if positions is None else positions
        tiled = self.config.reference_mask_order
        blocked = reference_block(video_mask, text_mask, self.sizes.heads, groups) if tiled else None
        video = self.text_to_video(video, where, text, text_where, text_mask, blocked)
        count = video.shape[0]
        token, position = (v.expand(count, 1, -1) for v in (self.global_token, self.global_position))
        mask = nn.functional.pad(video_mask, (1, 0), value=True)
        tokens = self.encoder(torch.cat((token, video), dim=1), torch.cat((position, where), dim=1), mask)
        whole, clips = tokens.split((1, video.shape[1]), dim=1)
        return Memory(clips, video_mask, clips, where, video_mask, token=whole[:, 0])

    def saliency(self, memory: Memory) -> Float[Tensor, "B T"]:
        """``<P1 m_i, P2 g> / sqrt(D)`` of clip and global token."""
        assert memory.token is not None
        clips, token = precisely(self.clip_saliency, memory.video), precisely(self.token_saliency, memory.token)
        found: Tensor = torch.bmm(clips, token[..., None])[..., 0] / memory.video.shape[-1] ** 0.5
        return found

    def pair(
        self,
        clips: Float[Tensor, "B T Dv"],
        video_mask: Bool[Tensor, "B T"],
        words: Float[Tensor, "B L Dw"],
        text_mask: Bool[Tensor, "B L"],
    ) -> tuple[DetrOutput, Absent]:
        """The positive pass and what the negative pair (the next item's sentence) leaves, in one batch of 2 B.

        The video is projected once, the decoder runs on the positive half alone.  A batch of one is its own negative.
        """
        video, text = self.video_projection(clips), self.text_projection(words)
        out, absent, _ = self.read_sentences(video, video_mask, text, text_mask)
        return out, absent

    def read_sentences(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        further: tuple[Float[Tensor, "RB L D"], Bool[Tensor, "RB L"]] | None = None,
    ) -> tuple[DetrOutput, Absent, Memory]:
        """:meth:`pair` from projected clips and words.

        Args:
            further: projected words of R more sentences of each video, all first ones first, for the same pass.

        Returns:
            Also the memory of the whole pass: own sentences, negative ones, further ones.
        """
        count = len(video)
        texts, masks = [text, text.roll(-1, 0)], [text_mask, text_mask.roll(-1, 0)]
        # PAPER: (silent) / CODE: the negative sentence has the word positions of the positive one -> no switch, because
        # a position only says where a word stands
        where, text_where = self.positions(video_mask, text)
        positions = [text_where, text_where]
        if further is not None:
            texts.append(further[0])
            masks.append(further[1])
            positions.append(self.word_positions(further[0]))
        groups = sum(map(len, texts)) // count
        whole = self.encode(
            video.repeat(groups, 1, 1),
            video_mask.repeat(groups, 1),
            torch.cat(texts),
            torch.cat(masks),
            positions=(where.repeat(groups, 1, 1), torch.cat(positions)),
            groups=groups,
        )
        own, other, _ = parts(whole, (count, count, (groups - 2) * count))
        salient, absent = self.saliency(whole).split((count, (groups - 1) * count))
        return DetrOutput(own, self.decode(own), salient), Absent(other, absent[:count]), whole

    def loss(self, out: DetrOutput, negative: Absent, truth: Supervision) -> LossTerms:
        """Window terms of every layer and the three saliency terms."""
        cfg, mask = self.config, out.memory.video_mask
        terms: dict[str, Tensor] = {}
        if cfg.supervise_windows:
            terms, _ = self.layered_terms(out.moments, truth.windows, cfg.weights, auxiliary=cfg.auxiliary)
        terms["hinge"] = sp.saliency_hinge(out.saliency, truth.salient, truth.other, cfg.weights.margin)
        terms["rank"] = sp.rank_loss(out.saliency, negative.saliency, truth.levels, mask)
        terms["negative_pair"] = sp.negative_pair_loss(negative.saliency, mask)
        return LossTerms(weighted_total(terms, self.term_weights), named(terms))

    @property
    def term_weights(self) -> dict[str, float]:
        """Weight of each term by name."""
        w = self.config.weights
        named = {"span": w.span, "giou": w.giou, "label": w.label}
        saliency = {"hinge": 1.0, "rank": 1.0, "negative_pair": self.config.negative_weight}
        return named | {name: w.saliency * value for name, value in saliency.items()}

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Windows, saliency and the negative pair of a batch."""
        truth = self.supervise(batch, generator)
        out, negative = self.pair(batch.frames, batch.frame_mask, batch.words, batch.word_mask)
        return self.loss(out, negative, truth)


def reference_block(
    video_mask: Bool[Tensor, "B T"], text_mask: Bool[Tensor, "B L"], heads: int, groups: int
) -> Bool[Tensor, "B H T L"]:
    """Pairs (padded clip, padded word), in the released order: head k of item b gets item ``(b H + k) mod B``.

    In the right order this mask changes nothing, because padded words are hidden anyway.
    """
    pairs = ~video_mask[:, :, None] & ~text_mask[:, None, :]  # (B, T, L)
    size = len(pairs) // groups
    own = torch.arange(len(pairs), device=pairs.device)
    source = (own % size)[:, None] * heads + torch.arange(heads, device=pairs.device)
    return pairs[source % size + (own // size * size)[:, None]]
