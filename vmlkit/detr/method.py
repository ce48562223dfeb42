"""What Moment-DETR, QD-DETR and BM-DETR share as methods: heads, terms of the loss, predictions.

A paper's file adds how tokens meet (``encode``), the decoder with which moment queries read them, and its own terms.
Axes: B queries, T clips, L words, Q moment queries, D hidden; *layers* counts decoder layers.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import DetrBatch, Targets, clip_noise, clips_inside, draw_clips
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import MLP, DetrSizes, Encoder, InputProjection, PlainDecoder, TextPositions
from vmlkit.detr.span_decoder import SpanDecoder, inverse_sigmoid
from vmlkit.errors import DataError
from vmlkit.nn.attention import precisely
from vmlkit.nn.positions import clip_positions
from vmlkit.nn.tables import weighted_sum
from vmlkit.training.method import DataShape, Method, Progress


@dataclass(frozen=True)
class Memory:
    """Encoded tokens of a batch: what saliency reads and what the decoder attends to."""

    video: Float[Tensor, "B T D"]
    video_mask: Bool[Tensor, "B T"]
    tokens: Float[Tensor, "B S D"]  #: keys of the decoder: the clips, then (not in QD-DETR) the words
    positions: Float[Tensor, "B S D"]
    mask: Bool[Tensor, "B S"]
    text: Float[Tensor, "B L D"] | None = None
    token: Float[Tensor, "B D"] | None = None  #: QD-DETR's global token


@dataclass(frozen=True)
class Moments:
    """What the moment queries found, per decoder layer."""

    logits: Float[Tensor, "layers B Q 2"]
    spans: Float[Tensor, "layers B Q 2"]  #: (center, width)
    hidden: Float[Tensor, "layers B Q D"]
    references: Float[Tensor, "layers B Q 2"] | None = None  #: spans that the queries started from
    ends: Float[Tensor, "layers B Q 2 C"] | None = None  #: logits of first and last clip, with ``span_loss_type="ce"``

    def log_scores(self) -> Float[Tensor, "B Q"]:
        """Logarithm of what windows are ranked by: the foreground class, or the likeliest first and last clip."""
        if self.ends is not None:
            return self.ends[-1].log_softmax(-1).amax(-1).sum(-1)
        return self.logits[-1].log_softmax(-1)[..., sp.FOREGROUND]


@dataclass(frozen=True)
class DetrOutput:
    """One forward pass."""

    memory: Memory
    moments: Moments
    saliency: Float[Tensor, "B T"]
    clip_scores: dict[str, Float[Tensor, "B T"]] = field(default_factory=dict)  #: further curves over the clips


@dataclass(frozen=True)
class Supervision:
    """Targets of a batch, or of several branches of it; the saliency clips are drawn anew at every step."""

    windows: Targets
    inside: Bool[Tensor, "*G B T"]  #: clips of the windows
    salient: Int[Tensor, "*G B K"]
    other: Int[Tensor, "*G B K"]
    levels: Float[Tensor, "*G B T"]  #: rating of each clip; with spans alone, 1 inside and 0 outside


def parts(whole: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """The items of a batch cut into runs of given sizes: a tensor, or whatever holds tensors (layers come first)."""
    if whole is None:
        return [None] * len(sizes)
    if isinstance(whole, Tensor):
        return list(whole.split(list(sizes), axis))
    if isinstance(whole, tuple):
        return list(zip(*(parts(value, sizes, axis) for value in whole), strict=True))
    if isinstance(whole, dict):
        cut = {name: parts(value, sizes, axis) for name, value in whole.items()}
        return [{name: value[i] for name, value in cut.items()} for i in range(len(sizes))]
    fields = parts(dict(vars(whole)), sizes, int(isinstance(whole, Moments)))
    return [type(whole)(**values) for values in fields]


class DetrMethod(Method[DetrBatch]):
    """Projections, heads, shared loss terms and predictions."""

    encoder: Encoder
    decoder: PlainDecoder | SpanDecoder
    queries: nn.Embedding
    saliency_head: nn.Linear

    def __init__(self, sizes: DetrSizes, shape: DataShape, span_outputs: int = 2) -> None:
        super().__init__()
        self.sizes = sizes
        self.video_projection = InputProjection(shape.frame_dim, sizes)
        self.text_projection = InputProjection(shape.word_dim, sizes)
        self.text_positions = TextPositions(sizes)
        self.class_head = nn.Linear(sizes.hidden, 2)
        self.span_head = MLP(sizes.hidden, sizes.hidden, sizes.hidden, span_outputs)

    def positions(
        self, video_mask: Bool[Tensor, "B T"], text: Float[Tensor, "B L D"]
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B L D"]]:
        """Sine positions of the clips; zeros, or learned positions, of the words."""
        return clip_positions(video_mask, text.shape[-1], text.dtype), self.word_positions(text)

    def word_positions(self, text: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Those of the words alone."""
        found: Tensor = self.text_positions(text) if self.sizes.text_positions else torch.zeros_like(text)
        return found

    def encode(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
    ) -> Memory:
        """Projected clips and words to the memory: self-attention over both together."""
        positions = torch.cat(self.positions(video_mask, text), dim=1)
        mask = torch.cat((video_mask, text_mask), dim=1)
        tokens = self.encoder(torch.cat((video, text), dim=1), positions, mask)
        clips, words = tokens.split((video.shape[1], text.shape[1]), dim=1)
        return Memory(clips, video_mask, tokens, positions, mask, text=words)

    def decode(self, memory: Memory) -> Moments:
        """Moment queries attend to the memory; each answers with a class and a span, relative to its reference."""
        hidden, references = self.decoder(self.queries.weight, memory.tokens, memory.positions, memory.mask)
        moved = precisely(self.span_head, hidden)
        if references is not None:
            moved = moved + inverse_sigmoid(references)
        return Moments(precisely(self.class_head, hidden), moved.sigmoid(), hidden, references)

    def saliency(self, memory: Memory) -> Float[Tensor, "B T"]:
        """A linear score of each encoded clip."""
        found: Tensor = precisely(self.saliency_head, memory.video)[..., 0]
        return found

    def answer(self, memory: Memory) -> DetrOutput:
        """Everything after the encoder."""
        return DetrOutput(memory, self.decode(memory), self.saliency(memory))

    def forward(
        self,
        clips: Float[Tensor, "B T Dv"],
        video_mask: Bool[Tensor, "B T"],
        words: Float[Tensor, "B L Dw"],
        text_mask: Bool[Tensor, "B L"],
    ) -> DetrOutput:
        """The pass that prediction makes."""
        return self.answer(
            self.encode(self.video_projection(clips), video_mask, self.text_projection(words), text_mask)
        )

    def window_terms(
        self, logits: Tensor, spans: Tensor, ends: Tensor | None, targets: Targets, weights: SetWeights
    ) -> tuple[dict[str, Float[Tensor, " G"]], Int[Tensor, "G B N"]]:
        """Unweighted ``span, giou, label, class_error`` of each group (layer or branch), and its matching."""
        if ends is None:
            matched = sp.match(logits, spans, targets, weights)
            distance, overlap = sp.window_losses(spans, targets, matched)
        else:
            matched = sp.match_clips(logits, ends, targets, weights)
            distance, overlap = sp.clip_loss(ends, targets, matched), logits.new_zeros(len(logits))
        label = sp.label_loss(logits, matched, weights.background)
        terms = {"span": distance, "giou": overlap, "label": label, "class_error": sp.class_error(logits, matched)}
        return terms, matched

    def layered_terms(
        self, moments: Moments, targets: Targets, weights: SetWeights, *, auxiliary: bool
    ) -> tuple[dict[str, Float[Tensor, " G"]], dict[str, Int[Tensor, "B N"]]]:
        """Window terms of the last layer and, with ``auxiliary``, of each earlier one, all of them at once.

        Returns:
            The terms of each layer, the last one first, and the matchings by the layer's suffix (see :func:`named`).
        """
        logits, spans, ends = moments.logits, moments.spans, moments.ends
        if not auxiliary:
            logits, spans, ends = logits[-1:], spans[-1:], None if ends is None else ends[-1:]
        terms, matched = self.window_terms(logits, spans, ends, targets, weights)
        return terms, dict(zip(suffixes(len(matched)), (matched[-1], *matched[:-1]), strict=True))

    def windows_of(self, batch: MomentBatch) -> tuple[Targets, Bool[Tensor, "B T"]]:
        """The windows of a training batch, and the clips inside them.

        Raises:
            DataError: for a batch without windows.
        """
        if not isinstance(batch, DetrBatch) or batch.windows is None or batch.window_mask is None:
            raise DataError("training batch", "holds no windows", "train this fully supervised method on DETR data")
        if batch.ratings is not None:
            inside = ~batch.ratings.isnan() & batch.frame_mask
        else:
            inside = clips_inside(batch.windows, batch.window_mask, batch.frame_mask)
        return Targets(batch.windows, batch.window_mask), inside

    def supervise(self, batch: MomentBatch, generator: torch.Generator) -> Supervision:
        """Targets of a training batch and drawn saliency clips; raises what :meth:`windows_of` does."""
        targets, inside = self.windows_of(batch)
        truth = self.supervision(targets, inside, batch.frame_mask, clip_noise(batch.frame_mask, generator))
        return rated(truth, batch, batch.frame_mask)

    def supervision(
        self,
        targets: Targets,
        inside: Bool[Tensor, "*G B T"],
        mask: Bool[Tensor, "B T"],
        noise: Float[Tensor, "*G 2 B T"],
    ) -> Supervision:
        """The saliency clips of given windows, two inside and two outside, as ``noise`` draws them."""
        salient, other = draw_clips(torch.stack((inside, mask & ~inside), dim=-3), noise).unbind(-3)
        return Supervision(targets, inside, salient, other, inside.to(targets.windows.dtype))

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """Windows from best to worst by their score; the NLL is minus its logarithm."""
        out = self(batch.frames, batch.frame_mask, batch.words, batch.word_mask)
        centers, widths = out.moments.spans[-1].unbind(-1)
        scores = {"saliency": out.saliency, **out.clip_scores}
        curves = {name: value.masked_fill(~batch.frame_mask, torch.nan) for name, value in scores.items()}
        return Predictions.ranked(centers, widths, -out.moments.log_scores(), clip_scores=curves)


def suffixes(layers: int) -> list[str]:
    """What the names of a layer's terms end with: nothing for the last, which comes first, a number for the others."""
    return ["", *(f"_{layer}" for layer in range(layers - 1))]


def named(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """One number a name, from terms that hold one for each decoder layer; numbers stay as they are."""
    found: dict[str, Tensor] = {}
    for name, values in terms.items():
        if not values.dim():
            found[name] = values
            continue
        *earlier, last = values.unbind(0)
        found |= {name + suffix: value for suffix, value in zip(suffixes(len(values)), (last, *earlier), strict=True)}
    return found


def rated(truth: Supervision, batch: MomentBatch, mask: Bool[Tensor, "B T"]) -> Supervision:
    """The targets with saliency clips by the annotators' ratings, where the batch has some: the best against the worst
    relevant clip, and a drawn relevant one against a drawn other one (QVHighlights).

    Where every clip is relevant, the first pair counts twice (TVSum).  Of equal ratings the earlier clip counts; the
    released sort leaves that open.  Of several branches, the first has the ratings.
    """
    ratings = batch.ratings if isinstance(batch, DetrBatch) else None
    if ratings is None:
        return truth
    branches = truth.inside.dim() > mask.dim()
    relevant = ~ratings.isnan() & mask
    best = torch.where(relevant, ratings, -torch.inf).argmax(1, keepdim=True)
    worst = torch.where(relevant, ratings, torch.inf).argmin(1, keepdim=True)
    some = (mask & ~relevant).any(1, keepdim=True) & relevant.any(1, keepdim=True)
    found: dict[str, Any] = {"levels": ratings.nan_to_num(0.0).to(truth.levels.dtype)}
    for name, hard in (("salient", best), ("other", worst)):
        drawn = getattr(truth, name)[0] if branches else getattr(truth, name)
        found[name] = torch.cat((hard, torch.where(some, drawn[:, :1], hard)), dim=1)
    if branches:
        found = {name: torch.cat((value[None], getattr(truth, name)[1:])) for name, value in found.items()}
    return dataclasses.replace(truth, **found)


def weighted_total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Sum of the terms that have a weight, over all layers or branches that they hold numbers of.

    Where none of these can be differentiated (the first row of P2 Table 8), the gradient is zero.
    """
    chosen = {name: values for name, values in terms.items() if weights.get(name)}
    differentiable = next((values for values in terms.values() if values.requires_grad), None)
    if differentiable is not None and not any(values.requires_grad for values in chosen.values()):
        chosen["nothing"], weights = differentiable, {**weights, "nothing": 0.0}
    if not chosen:
        return next(iter(terms.values())).new_zeros(())
    return weighted_sum(list(chosen.values()), [weights[name] for name in chosen])
