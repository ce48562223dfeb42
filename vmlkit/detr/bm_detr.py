"""BM-DETR: background-aware moment detection (WACV 2025, P2).

A sentence of *another* moment tells which clips are background: the joint probability that a clip matches the sentence
and not the negative one attends to the clips.  The release computes it and then decodes without it.

=========================== ===================================================== ==================
paper                       here                                                  shape
=========================== ===================================================== ==================
``X-hat, Y-hat``            ``Memory.video, Memory.text``                         (B, T, D), (B, L, D)
``p+, p-``                  ``frame_probability`` of both memories                (B, T)
``p``, P2 Eq. (6)           ``Background.joint = p+ (1 - p-)``                    (B, T)
``o``, P2 Eq. (7)           ``Background.attention``                              (B, T)
``X'``, P2 Eq. (8)          ``Background.memory``                                 (B, T, D)
``L_margin``, P2 Eq. (15)   :func:`vmlkit.detr.criterion.saliency_hinge`
``L_prob``, P2 Eq. (16)     :func:`vmlkit.detr.criterion.frame_probability_loss`
``L_semantic``, P2 Eq. (17) :func:`vmlkit.detr.criterion.semantic_alignment`
=========================== ===================================================== ==================

``mode="authors"`` is the release, ``mode="paper"`` the text:

# PAPER: P2 Eq. (8): the decoder reads X' / CODE: it has run on X-hat before, so negatives never change a prediction
#        -> mode
# PAPER: P2 Eq. (7): softmax over the frames / CODE: over the padding as well -> mode
# PAPER: P2 Eq. (9) and P2 Eq. (10): pooling by one vector / CODE: tanh attention, a linear layer, a projection
#        -> pooling
# PAPER: P2 Eq. (15): frames inside and outside / CODE: two drawn pairs, times two -> margin_pairs
# PAPER: P2 Eq. (17): a pair's negatives alone in the denominator / CODE: the pair itself as well -> alignment_negatives
# PAPER: P2 Sec. 3.2: negatives of the same video, IoU < 0.5, dissimilar / CODE: of any other video -> negative_source
# PAPER: P2 Sec. 3.4: shift only below 60 s / CODE: always -> mode
# PAPER: P2 Sec. 3.4: (silent) / CODE: the shifted label loses a clip, endpoint features keep the old place -> mode
# PAPER: P2 Sec. 3.5: the class loss is a cross entropy / CODE: 100 - accuracy(%) is added to it -> class_error_weight
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import DetrBatch, Targets, clip_noise
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.dataset import NegativeSource
from vmlkit.detr.layers import Activation, DetrSizes, Encoder, PlainDecoder, initialise_
from vmlkit.detr.method import DetrMethod, DetrOutput, Memory, Supervision, parts, rated, weighted_total
from vmlkit.detr.shift import Branch, shifted_branch
from vmlkit.detr.span_decoder import SpanDecoder
from vmlkit.nn.similarity import resized, unit
from vmlkit.training.method import DataShape, LossTerms, Progress

Mode = Literal["authors", "paper"]


@dataclass(frozen=True, kw_only=True)
class BMDetrConfig:
    """Settings of BM-DETR; defaults are the released ones (Charades)."""

    mode: Mode = "authors"
    sizes: DetrSizes = field(default_factory=lambda: DetrSizes(encoder_layers=3, decoder_layers=3))
    weights: SetWeights = field(
        default_factory=lambda: SetWeights(
            span=1.0, giou=8.0, label=8.0, saliency=4.0, match_span=1.0, match_giou=8.0, match_class=8.0
        )
    )
    activation: Activation = "prelu"  #: of the feed-forwards
    class_error_weight: float = 1.0  #: adds the constant ``100 - accuracy(%)`` to the total; no gradient (code)
    background_aware: bool = True  #: frame probability, frame attention and their loss
    #: where negative sentences come from; "by mode": the same video in the paper, any other video in the release;
    #: "same_video_any": the same video without the paper's two rules, as P2 Fig. 3 leaves them out
    negative_source: Literal["by mode", "same_video", "same_video_any", "other_video"] = "by mode"
    use_negatives: bool = True  #: a negative sentence in training; without it the joint probability is p+
    probability_weight: float = 2.0  #: of L_prob
    probability_bound: float = 1.0
    margin_pairs: Literal["drawn", "all"] = "drawn"  #: pairs of clips in L_margin: two drawn ones, or all of them
    alignment_weight: float = 1.0  #: of L_semantic; 0 leaves semantic alignment out of the loss
    #: pairs in the denominator of L_semantic; "by mode": all in the release, others than the video's own in the paper
    alignment_negatives: Literal["by mode", "all", "others"] = "by mode"
    pooling: Literal["tanh", "linear"] = "tanh"  #: of L_semantic, with a projection (release) or by one vector (paper)
    alignment_size: int = 256  #: of the projection
    temperature: float = 0.07
    learnable_spans: bool = True  #: queries are spans; otherwise learned vectors, as in Moment-DETR
    shifting: bool = True  #: a second branch with the moment moved elsewhere
    shift_below_s: float = 60.0  #: the paper shifts shorter videos only
    #: what scales the memory: the softmax of P2 Eq. (7), or T times that, which keeps the memory's size (ours)
    attention_scale: Literal["softmax", "clips"] = "softmax"

    def __post_init__(self) -> None:
        at_least(self, 1, "alignment_size")
        at_least(self, 0, "class_error_weight probability_weight probability_bound alignment_weight shift_below_s")
        positive(self, "temperature")


def negative_source(config: BMDetrConfig) -> NegativeSource | None:
    """Where the data draw negative sentences of a training step for these settings; None where none is used."""
    return judging_source(config) if config.use_negatives else None


def judging_source(config: BMDetrConfig) -> NegativeSource | None:
    """Where the negative sentence comes from with which ``p+ (1 - p-)`` of a trained model is measured.

    A model that was trained without negatives is asked the same question as one that was trained with them.
    """
    if not config.background_aware:
        return None
    if config.negative_source != "by mode":
        return config.negative_source
    return "same_video" if config.mode == "paper" else "other_video"


class FrameProbability(nn.Module):
    """``sigmoid(W2 tanh(W1 m))`` without biases."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden, self.score = nn.Linear(hidden, hidden // 2, bias=False), nn.Linear(hidden // 2, 1, bias=False)

    def forward(self, memory: Float[Tensor, "B T D"]) -> Float[Tensor, "B T"]:
        """Probability that each clip matches the sentence it was encoded with."""
        found: Tensor = self.score(self.hidden(memory).tanh())[..., 0].sigmoid()
        return found


class AttentivePooling(nn.Module):
    """``fc(sum a x)`` with ``a = softmax(w tanh(W x))`` over the valid entries; ``linear``: no W, no tanh, no fc."""

    def __init__(self, hidden: int, *, linear: bool = False) -> None:
        super().__init__()
        self.project = None if linear else nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.out = None if linear else nn.Linear(hidden, hidden)

    def forward(self, x: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B D"]:
        """One vector a sequence."""
        read = x if self.project is None else self.project(x).tanh()
        score = self.score(read)[..., 0].masked_fill(~mask, -1e9)
        pooled = (score.softmax(1)[..., None] * x).sum(1)
        found: Tensor = pooled if self.out is None else self.out(pooled)
        return found


@dataclass(frozen=True)
class Background:
    """What the negative sentence says about the clips."""

    positive: Float[Tensor, "B T"]  #: p+
    negative: Float[Tensor, "B T"] | None  #: p-, None without a negative sentence
    joint: Float[Tensor, "B T"]  #: p, 0 on padding
    attention: Float[Tensor, "B T"]  #: o
    memory: Memory  #: the memory with its clips scaled by o


@dataclass(frozen=True)
class BMDetrOutput(DetrOutput):
    """One branch: moments from what the decoder read, saliency and alignment from the scaled memory."""

    background: Background | None = None
    aligned: tuple[Float[Tensor, "B a"], Float[Tensor, "B a"]] | None = None  #: unit vectors of video and sentence


class BMDetr(DetrMethod):
    """BM-DETR in the two modes of the module docstring."""

    def __init__(self, config: BMDetrConfig, shape: DataShape) -> None:
        super().__init__(config.sizes, shape)
        self.config, sizes, size = config, config.sizes, config.sizes.hidden
        self.encoder = Encoder(sizes, config.activation, scaled_positions=True)
        if config.learnable_spans:  # P2 Sec. 3.3.4; never refined, gradients reach the spans through the reference
            self.decoder = SpanDecoder(sizes, config.activation, coordinates="width", refine=False, anchor_outputs=2)
        else:
            self.decoder = PlainDecoder(sizes, config.activation)
        initialise_(self.encoder)
        initialise_(self.decoder)
        self.queries = nn.Embedding(sizes.queries, 2 if config.learnable_spans else size)
        self.frame_probability = FrameProbability(size)
        self.saliency_head = nn.Linear(size, 1)
        linear, kinds = config.pooling == "linear", ("video", "text")
        self.pooling = nn.ModuleDict({name: AttentivePooling(size, linear=linear) for name in kinds})
        wide = config.alignment_size
        self.alignment = nn.ModuleDict({n: nn.Identity() if linear else nn.Linear(size, wide) for n in kinds})

    def background(self, memory: Memory, negative: Memory | None) -> Background:
        """P2 Eq. (5) to P2 Eq. (8): ``p = p+ (1 - p-)``, ``o = softmax(p)``, ``X' = o X``."""
        mask = memory.video_mask
        positive, absent = self._matches(memory, negative)
        joint = (positive if absent is None else positive * (1 - absent)) * mask
        paper = self.config.mode == "paper"
        # in the release, padding has logit 0 and takes its share of the weight
        attention = (joint.masked_fill(~mask, -math.inf) if paper else joint).softmax(1)
        scale = attention if self.config.attention_scale == "softmax" else attention * mask.sum(1, keepdim=True)
        clips = memory.video * scale[..., None]
        assert memory.text is not None
        tokens = torch.cat((clips, memory.text), dim=1)
        scaled = Memory(clips, mask, tokens, memory.positions, memory.mask, text=memory.text)
        return Background(positive, absent, joint, attention, scaled)

    def _matches(self, memory: Memory, negative: Memory | None) -> tuple[Tensor, Tensor | None]:
        """p+ and p-: how well the clips match either sentence."""
        if negative is None:
            own: Tensor = self.frame_probability(memory.video)
            return own, None
        positive, absent = self.frame_probability(torch.cat((memory.video, negative.video))).split(
            (len(memory.video), len(negative.video))
        )
        return positive, absent

    def answer(self, memory: Memory, negative: Memory | None = None) -> BMDetrOutput:
        """Everything after the encoder; prediction has no negative sentence and ``p = p+``.

        The decoder reads the scaled memory (paper) or the plain one (release), and never that of the negative pair
        (the release drops what it finds there).
        """
        found = self.background(memory, negative) if self.config.background_aware else None
        scaled = memory if found is None else found.memory
        moments = self.decode(scaled if self.config.mode == "paper" else memory)
        curves = {} if found is None else {"probability": found.joint, "attention": found.attention}
        return BMDetrOutput(
            memory, moments, self.saliency(scaled), curves, background=found, aligned=self._aligned(scaled)
        )

    def _aligned(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """P2 Eq. (9) to P2 Eq. (11): attentive pooling, projection (release), unit length."""
        assert memory.text is not None
        text_mask = memory.mask[:, memory.video.shape[1] :]
        pooled = (("video", memory.video, memory.video_mask), ("text", memory.text, text_mask))
        vectors = torch.stack([self.alignment[n](self.pooling[n](x, m)) for n, x, m in pooled])
        video, text = unit(vectors).unbind(0)
        return video, text

    @torch.no_grad()
    def clip_probabilities(self, batch: MomentBatch) -> dict[str, Tensor]:
        """``joint``: ``p+ (1 - p-)`` with the negative sentences of the batch, p+ without any."""
        negative = batch.negative if isinstance(batch, DetrBatch) else None
        branch = Branch(batch.frames, batch.frame_mask)
        (out,) = self.together([branch], (batch.words, batch.word_mask), negative)
        return {} if out.background is None else {"joint": out.background.joint}

    def together(
        self,
        branches: list[Branch],
        words: tuple[Float[Tensor, "B L Dw"], Bool[Tensor, "B L"]],
        negative: tuple[Float[Tensor, "B M Dw"], Bool[Tensor, "B M"]] | None,
    ) -> list[BMDetrOutput]:
        """All branches (as they are, and shifted) with both sentences as **one** batch.

        Each video is projected once for its two sentences, each sentence once for its branches; the decoder sees the
        positive rows only.
        """
        count, number = len(words[0]), len(branches)
        video = self.video_projection(torch.cat([b.clips for b in branches]))
        masks = torch.cat([b.mask for b in branches])
        longest = max(words[0].shape[1], 0 if negative is None else negative[0].shape[1])
        sentences = [resized(*words, longest)] + ([] if negative is None else [resized(*negative, longest)])
        text = self.text_projection(torch.cat([w for w, _ in sentences])).split(count)
        texts = [part.repeat(number, 1, 1) for part in text]  # (number * B, L, D) a sentence
        text_masks = [mask.repeat(number, 1) for _, mask in sentences]
        memory = self.encode(
            video.repeat(len(texts), 1, 1), masks.repeat(len(texts), 1), torch.cat(texts), torch.cat(text_masks)
        )
        own, *absent = parts(memory, [number * count] * len(texts))
        return parts(self.answer(own, *absent), [count] * number)

    def branch_loss(self, out: BMDetrOutput, truth: Supervision) -> LossTerms:
        """P2 Sec. 3.5: the weighted terms of one branch; only the last decoder layer is supervised."""
        return self.loss([out], [truth])

    def loss(self, outputs: list[BMDetrOutput], truths: list[Supervision]) -> LossTerms:
        """Mean over the branches; the terms of the shifted one are named ``shifted_*``."""
        return self.total(outputs, stacked(truths))

    def total(self, outputs: list[BMDetrOutput], truth: Supervision) -> LossTerms:
        """:meth:`loss` from targets of all branches, side by side in a first axis."""
        terms = self.branch_terms(outputs, truth)
        found: dict[str, Tensor] = {}
        by_branch = zip(*(values.unbind(0) for values in terms.values()), strict=True)
        for prefix, numbers in zip(("", "shifted_")[: len(outputs)], by_branch, strict=True):
            found |= {prefix + name: value for name, value in zip(terms, numbers, strict=True)}
        return LossTerms(weighted_total(terms, self.term_weights) / len(outputs), found)

    def branch_terms(self, outputs: list[BMDetrOutput], truth: Supervision) -> dict[str, Float[Tensor, " G"]]:
        """The unweighted terms, of each branch one number."""
        cfg, mask = self.config, outputs[0].memory.video_mask
        logits, spans = (torch.stack([getattr(o.moments, n)[-1] for o in outputs]) for n in ("logits", "spans"))
        terms, _ = self.window_terms(logits, spans, None, truth.windows, cfg.weights)
        scores = torch.stack([out.saliency for out in outputs])
        if cfg.margin_pairs == "drawn":
            terms["saliency"] = sp.saliency_hinge(scores, truth.salient, truth.other, cfg.weights.margin)
        else:
            terms["saliency"] = sp.all_pairs_hinge(scores, truth.inside, mask, cfg.weights.margin)
        if seen := [out.background for out in outputs if out.background is not None]:
            joint = torch.stack([background.joint for background in seen])
            terms["probability"] = sp.frame_probability_loss(joint, truth.inside, mask, cfg.probability_bound)
        video, text = (torch.stack(x) for x in zip(*(o.aligned for o in outputs if o.aligned), strict=True))
        by_mode = "others" if cfg.mode == "paper" else "all"
        others = (by_mode if cfg.alignment_negatives == "by mode" else cfg.alignment_negatives) == "others"
        terms["alignment"] = sp.semantic_alignment(video, text, temperature=cfg.temperature, others_only=others)
        return terms

    @property
    def term_weights(self) -> dict[str, float]:
        """Weight of each term by name."""
        cfg, w = self.config, self.config.weights
        named = {"span": w.span, "giou": w.giou, "label": w.label, "saliency": w.saliency}
        named |= {"class_error": cfg.class_error_weight, "alignment": cfg.alignment_weight}
        return named | {"probability": cfg.probability_weight if cfg.background_aware else 0.0}

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Main and shifted branch with positive and negative sentences."""
        assert isinstance(batch, DetrBatch)
        targets, inside = self.windows_of(batch)
        branches, noise = [Branch(batch.frames, batch.frame_mask)], [clip_noise(batch.frame_mask, generator)]
        known = [(targets, inside)]
        if self.config.shifting:
            paper = self.config.mode == "paper"
            short = batch.durations < self.config.shift_below_s if paper else torch.ones_like(batch.durations).bool()
            branch, targets, inside = shifted_branch(batch, inside, short, generator, as_released=not paper)
            branches.append(branch)
            known.append((targets, inside))
            noise.append(clip_noise(batch.frame_mask, generator))
        windows, clips = stacked_windows([t for t, _ in known]), torch.stack([i for _, i in known])
        truth = self.supervision(windows, clips, batch.frame_mask, torch.stack(noise))
        truth = rated(truth, batch, batch.frame_mask)
        negative = batch.negative if negative_source(self.config) is not None else None
        return self.total(self.together(branches, (batch.words, batch.word_mask), negative), truth)


def stacked(truths: list[Supervision]) -> Supervision:
    """The targets of several branches side by side, in a new first axis."""
    names = ("inside", "salient", "other", "levels")
    return Supervision(
        stacked_windows([truth.windows for truth in truths]),
        **{name: torch.stack([getattr(truth, name) for truth in truths]) for name in names},
    )


def stacked_windows(targets: list[Targets]) -> Targets:
    """The windows of several branches side by side; where one has fewer, its first stands for padding."""
    most = max(target.windows.shape[1] for target in targets)
    windows, masks = [], []
    for target in targets:
        missing = most - target.windows.shape[1]
        windows.append(torch.cat((target.windows, target.windows[:, :1].expand(-1, missing, -1)), dim=1))
        masks.append(F.pad(target.mask, (0, missing)))
    return Targets(torch.stack(windows), torch.stack(masks))
