"""What CNM, CPL and PPS share: everything before and after the transformer, and :class:`Generator`, their common form.

Frames and words are projected, a learnable token may follow the frames, masked words are replaced by one learnable
vector, every fourth clip becomes a cell of the proposal grid, and a vocabulary head reads reconstructed words.

# PAPER: plain word loss, summed / CODE: labels smoothed by 0.1 -> label_smoothing
# PAPER: plain word loss, summed / CODE: mean over the words of a sentence -> nll_reduction
# PAPER: a proposal weighs all frames / CODE: it weighs every fourth clip -> cells
# PAPER: words are predicted / CODE: all sentences but the longest of a batch predict an end symbol too -> end_symbol
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.config import at_least, share
from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.errors import ConfigError
from vmlkit.nn.transformer import (
    Conditioning,
    DropoutTape,
    DualTransformer,
    QuickDropout,
    TransformerConfig,
    positions_of,
)
from vmlkit.reconstruction.losses import EndSymbol, margin, target_mask, word_nll
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import DataShape, LossTerms, Method, Progress


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig:
    """Settings of the reconstruction family that every paper shares; defaults are the released code's."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    cells: int | None = None  #: S, cells of the proposal grid; None is T // 4
    end_symbol: EndSymbol = "reference"  #: see :func:`vmlkit.reconstruction.losses.target_mask`
    label_smoothing: float = 0.1  #: 0 is the papers' plain cross-entropy
    nll_reduction: Literal["mean", "sum"] = "mean"  #: over the words of a sentence; P1 Eq. (11) sums

    def __post_init__(self) -> None:
        at_least(self, 1, "cells")
        share(self, "label_smoothing")


@dataclass(frozen=True)
class Encoded:
    """A batch after projection and generation: what proposals are made from and reconstructed with."""

    #: generator output at the last ``FrontEnd.read_places`` of the T1 places of a video; T1 = T, or T + 1 with a token
    hidden: Float[Tensor, "B t D"]
    text_memory: Float[Tensor, "B L1 D"]  #: the sentence as the generator read it
    clips: Float[Tensor, "B S D"]  #: projected frames on the proposal grid
    clip_mask: Bool[Tensor, "B S"]
    text: Float[Tensor, "B L D"]  #: masked words with positions, the reconstructor's input
    text_mask: Bool[Tensor, "B L"]  #: targets, and the keys of text self-attention
    targets: Int[Tensor, "B L"]
    sentence: Float[Tensor, "B L1 D"]  #: start token and all masked words with positions, nothing cut off
    sentence_mask: Bool[Tensor, "B L1"]


@dataclass(frozen=True)
class Proposals:
    """Positive proposals of a batch in fractions of the video, and their masks."""

    centers: Float[Tensor, "B P"]
    widths: Float[Tensor, "B P"]
    masks: Float[Tensor, "B P S"]
    starts: Float[Tensor, "B P"]  #: clipped to [0, 1]
    ends: Float[Tensor, "B P"]
    follow: dict[str, Tensor] = field(default_factory=dict, kw_only=True)  #: what draws them to their sentence


def proposal_grid(clips: int, cells: int, device: torch.device | None = None) -> Int[Tensor, " S"]:
    """Clips that stand for the ``cells`` cells of the proposal grid: ``trunc(linspace(0, clips - 1, cells))``.

    The line is spaced in float32 because truncation makes rounding visible, and the references use float32.

    >>> proposal_grid(16, 4).tolist()
    [0, 5, 10, 15]
    """
    return torch.linspace(0, clips - 1, cells, dtype=torch.float32, device=device).long()


class FrontEnd(nn.Module):
    """Projections, learnable vectors and the vocabulary head."""

    def __init__(self, config: ReconstructionConfig, shape: DataShape, *, token: bool) -> None:
        super().__init__()
        size = config.transformer.hidden
        self.config = config
        #: at how many places the generator's output is wanted: at the last frame and the token behind it, which the
        #: papers' proposals are read from; None is everywhere
        self.read_places: int | None = 2
        self.frame_projection = nn.Linear(shape.frame_dim, size)
        self.word_projection = nn.Linear(shape.word_dim, size)
        self.vocabulary_head = nn.Linear(size, shape.vocabulary)
        self.start = nn.Parameter(torch.zeros(shape.word_dim))
        self.mask = nn.Parameter(torch.zeros(shape.word_dim))
        self.token = nn.Parameter(torch.zeros(shape.frame_dim)) if token else None
        self.dropout: nn.Dropout = QuickDropout(config.transformer.dropout)

    def frames(self, batch: MomentBatch) -> tuple[Float[Tensor, "B T1 D"], Bool[Tensor, "B T1"]]:
        """Projected frames, with the token appended where there is one.

        The token's key stays masked: it is only ever a query, so it changes nothing but its own output.
        """
        projected, mask = self.frame_projection(self.dropout(batch.frames)), batch.frame_mask
        if self.token is not None:  # projected on its own: among the frames, they all would get a gradient
            token = self.frame_projection(self.dropout(self.token.expand(len(projected), 1, -1)))
            projected, mask = torch.cat((projected, token), dim=1), nn.functional.pad(mask, (0, 1), value=False)
        return projected, mask

    def behind_start(self, words: Float[Tensor, "B L Dw"]) -> Float[Tensor, "B L1 D"]:
        """Projected words behind the start vector, without positions (L1 = L + 1)."""
        start = self.start.expand(words.shape[0], 1, -1)
        found: Tensor = self.word_projection(self.dropout(torch.cat((start, words), dim=1)))
        return found

    def masked_words(self, projected: Float[Tensor, "B L1 D"], masked: Bool[Tensor, "B L"]) -> Float[Tensor, "B L1 D"]:
        """Projected words with the drawn ones replaced by the projected mask vector (no dropout on it)."""
        replace = nn.functional.pad(masked, (1, projected.shape[1] - masked.shape[1] - 1), value=False)
        return torch.where(replace[..., None], self.word_projection(self.mask), projected)

    def cells(
        self, video: Float[Tensor, "B T1 D"], mask: Bool[Tensor, "B T1"], clips: int
    ) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """The clips on the proposal grid: cell i is clip ``trunc(i (T - 1) / (S - 1))``."""
        count = self.config.cells or clips // 4
        index = proposal_grid(clips, count, video.device)
        return video[:, index], mask[:, index]

    def targets(self, batch: MomentBatch, columns: int) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """Word ids to predict and which of them count; one more column when every sentence ends with a symbol."""
        mask = target_mask(batch.word_mask, self.config.end_symbol)
        return nn.functional.pad(batch.word_ids, (0, columns - batch.word_ids.shape[1])), mask

    def nll(self, logits: Float[Tensor, "B R L V"], encoded: Encoded) -> Float[Tensor, "B R"]:
        """The reconstruction loss of each row, by the configured smoothing and reduction."""
        return word_nll(
            logits,
            encoded.targets,
            encoded.text_mask,
            smoothing=self.config.label_smoothing,
            reduction=self.config.nll_reduction,
        )


def encode(front: FrontEnd, generator: DualTransformer, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
    """Project a batch, run the generator, and prepare the masked sentence (CNM and CPL; PPS reads the words anew)."""
    video, video_mask = front.frames(batch)
    projected = front.behind_start(batch.words)
    positions = positions_of(projected)
    read_mask = nn.functional.pad(batch.word_mask, (1, 0), value=True)
    hidden, memory = generator.generate(video, video_mask, projected + positions, read_mask, last=front.read_places)
    text = front.masked_words(projected, masked) + positions
    columns = text.shape[1] - (front.config.end_symbol != "always")
    targets, counted = front.targets(batch, columns)
    clips, clip_mask = front.cells(video, video_mask, batch.frames.shape[1])
    return Encoded(hidden, memory, clips, clip_mask, text[:, :columns], counted, targets, text, read_mask)


def constant(module: nn.Module) -> Callable[..., Any]:
    """``module`` with its parameters as constants: gradients pass through to its inputs alone."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return lambda *inputs: torch.func.functional_call(module, parameters, inputs)


def pick(values: Float[Tensor, "B P *A"], index: Int[Tensor, " B"]) -> Float[Tensor, "B *A"]:
    """``values[b, index[b]]`` without leaving the device."""
    wide = index.view(-1, 1, *(1 for _ in values.shape[2:])).expand(-1, 1, *values.shape[2:])
    return values.gather(1, wide).squeeze(1)


#: centers and widths
Spans = tuple[Float[Tensor, "B M"], Float[Tensor, "B M"]]


class Generator(Method[MomentBatch]):
    """What CNM, CPL and PPS are: positive proposals, a reconstructor, and losses.  P0 sits on any of them."""

    front: FrontEnd
    reconstructor: DualTransformer  #: reads the masked sentence from masked clips

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """Projection, generation and the masked sentence; True hides a word."""
        raise TypeError(f"{type(self).__name__} does not define encode")

    def positives(self, encoded: Any) -> Proposals:
        """The proposals of each query."""
        raise TypeError(f"{type(self).__name__} does not define positives")

    def base_loss(
        self, proposals: Any, best: Float[Tensor, " B"], whole: Float[Tensor, " B"] | None, *, regularise: bool = True
    ) -> LossTerms:
        """The loss without negatives.

        Args:
            best: NLL of each query's best proposal.
            whole: NLL without a mask; None leaves the terms that compare with it out.
            regularise: keep what spreads proposals or holds them together.
        """
        raise TypeError(f"{type(self).__name__} does not define base_loss")

    def negative_spans(self, encoded: Any, proposals: Any, best: Int[Tensor, " B"], fraction: float) -> Spans | None:
        """Centers and widths ``(B, M)`` of the negatives of each query's best proposal, where they are intervals."""
        return None

    def masked_words(self, batch: MomentBatch, generator: torch.Generator) -> Bool[Tensor, "B L"]:
        """A third of the words of each sentence, drawn by their weights; one draw serves the whole step (A15)."""
        return draw_masked_words(batch.word_weights, batch.word_mask, generator)

    def window_masks(
        self, centers: Float[Tensor, "B R"], widths: Float[Tensor, "B R"], cells: int
    ) -> Float[Tensor, "B R S"]:
        """What a positive window gives to each cell, where its center and width alone say it.

        Raises:
            ConfigError: where they do not, as for mixtures.
        """
        raise ConfigError(f"the positives of {type(self).__name__} are no Gaussians of one center and one width")

    def reconstruct(
        self,
        encoded: Encoded,
        masks: Float[Tensor, "B R S"] | Conditioning,
        tape: DropoutTape | None = None,
        *,
        fixed: bool = False,
    ) -> Float[Tensor, "B R"]:
        """The NLL of the sentence under each mask.

        Args:
            fixed: clips, words and the network are constants; gradients reach the masks (and gates) alone.
        """
        return self.front.nll(self.word_logits(encoded, masks, tape, fixed=fixed), encoded)

    def word_logits(
        self,
        encoded: Encoded,
        masks: Float[Tensor, "B R S"] | Conditioning,
        tape: DropoutTape | None = None,
        *,
        fixed: bool = False,
    ) -> Float[Tensor, "B R L V"]:
        """The scores of every word of the vocabulary at each place of the sentence; see :meth:`reconstruct`."""
        at = masks if isinstance(masks, Conditioning) else Conditioning(masks, tape=tape)
        clips, text = encoded.clips, encoded.text
        reader: Callable[..., Any] = self.reconstructor
        head: Callable[..., Any] = self.front.vocabulary_head
        if fixed:
            clips, text = clips.detach(), text.detach()
            reader, head = constant(self.reconstructor), constant(self.front.vocabulary_head)
        found: Tensor = head(reader(clips, encoded.clip_mask, text, encoded.text_mask, at).hidden)
        return found

    def reconstruct_beside(
        self, encoded: Encoded, rows: Conditioning, others: Conditioning
    ) -> tuple[Float[Tensor, "B R"], Float[Tensor, "B R2"]]:
        """The NLL under two groups of masks, in one pass where the network reads both in the same form."""
        if rows.form != others.form:
            return self.reconstruct(encoded, rows), self.reconstruct(encoded, others)
        first, second = self.reconstruct(encoded, rows.beside(others)).split(
            (rows.weight.shape[1], others.weight.shape[1]), dim=1
        )
        return first, second

    def answers(
        self, encoded: Encoded, masks: Float[Tensor, "B R S"], token: Float[Tensor, " Dw"]
    ) -> Float[Tensor, "B R D"]:
        """The reconstructor's output at a word vector ``token`` right behind the last word, under each mask (A13).

        The text is causal, so the token changes nothing for the words; its key is valid for itself.
        """
        sentence = nn.functional.pad(encoded.sentence, (0, 0, 0, 1))
        column = encoded.sentence_mask.sum(dim=1)  # first column behind start token and words
        columns = torch.arange(sentence.shape[1], device=sentence.device)
        here = columns == column[:, None]
        asked = self.front.word_projection(token) + positions_of(sentence)
        text, key = torch.where(here[..., None], asked, sentence), columns <= column[:, None]
        out = self.reconstructor(encoded.clips, encoded.clip_mask, text, key, Conditioning(masks), column=column)
        found: Tensor = out.hidden.squeeze(2)
        return found

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """P spans ordered by NLL.  Words are masked at random at test time too: seed the generator."""
        encoded = self.encode(batch, self.masked_words(batch, generator))
        proposals = self.positives(encoded)
        nll = self.reconstruct(encoded, proposals.masks)
        order = nll.argsort(dim=1, stable=True)
        found = self.negative_spans(encoded, proposals, order[:, 0], progress.fraction if progress else 1.0)
        return Predictions(
            centers=proposals.centers,
            widths=proposals.widths,
            starts=proposals.starts,
            ends=proposals.ends,
            nll=nll,
            order=order,
            top1=order[:, 0],
            negative_centers=found[0] if found else None,
            negative_widths=found[1] if found else None,
        )


@dataclass(frozen=True)
class Explained:
    """One training forward of CPL or PPS: everything their losses look at."""

    encoded: Any  #: :class:`Encoded`
    proposals: Any  #: :class:`Proposals`
    nll: Float[Tensor, "B P"]
    whole_video: Float[Tensor, " B"]  #: NLL without a mask
    best: Int[Tensor, " B"]
    negatives: Float[Tensor, "B N"] | None  #: NLL of the best proposal's N negatives


class ContrastingGenerator(Generator):
    """What CPL and PPS share: of P proposals the best learns, against the whole video and its own negatives."""

    config: Any  #: with ``use_negatives, plan, whole_video_margin, rank_weight``

    def negative_masks(self, encoded: Any, proposals: Any, progress: Progress) -> Float[Tensor, "B P N S"]:
        """N negatives of each proposal."""
        raise TypeError(f"{type(self).__name__} does not define negative_masks")

    def regularisers(self, proposals: Any) -> LossTerms:
        """What spreads proposals or holds them together."""
        raise TypeError(f"{type(self).__name__} does not define regularisers")

    def losses(self, out: Explained) -> LossTerms:
        """The loss of a forward pass, negatives included."""
        raise TypeError(f"{type(self).__name__} does not define losses")

    def forward(self, batch: MomentBatch, masked: Bool[Tensor, "B L"], progress: Progress) -> Explained:
        """The proposals of a batch, and how well they, the whole video and the best one's negatives explain it."""
        encoded = self.encode(batch, masked)
        return self.explain(encoded, self.positives(encoded), progress)

    def explain(self, encoded: Encoded, proposals: Proposals, progress: Progress) -> Explained:
        """One pass for all positives and the whole video, one for the negatives that the loss will look at.

        The loss uses only the negatives of the proposal with the lowest NLL, so ``plan="selected"`` computes those N
        instead of N P (``"all"``, the released program).
        """
        whole = torch.ones_like(proposals.masks[:, :1])
        nll = self.reconstruct(encoded, torch.cat((proposals.masks, whole), dim=1))
        nll, reference = nll[:, :-1], nll[:, -1]
        best = nll.argmin(dim=1)
        negatives = None
        if self.config.use_negatives:
            masks = self.negative_masks(encoded, proposals, progress)
            if self.config.plan == "all":
                negatives = pick(self.reconstruct(encoded, masks.flatten(1, 2)).unflatten(1, masks.shape[1:3]), best)
            else:
                negatives = self.reconstruct(encoded, pick(masks, best))
        return Explained(encoded, proposals, nll, reference, best, negatives)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """See :meth:`losses`."""
        return self.losses(self(batch, self.masked_words(batch, generator), progress))

    def base_loss(
        self, proposals: Any, best: Float[Tensor, " B"], whole: Float[Tensor, " B"] | None, *, regularise: bool = True
    ) -> LossTerms:
        """``(a + ref) / 2 + rank_weight mean max(a - ref + beta_1, 0) + regularisers``: the loss without negatives.

        Args:
            best: a, the NLL of each query's best proposal.
            whole: ref, the NLL without a mask; None leaves its terms out.
            regularise: add :meth:`regularisers`.
        """
        total = best.mean()
        terms = {"nll": total}
        if whole is not None:
            terms["nll_whole_video"] = whole.mean()
            terms["rank_whole_video"] = margin(best, whole, self.config.whole_video_margin).mean()
            total = (terms["nll"] + terms["nll_whole_video"]) / 2 + self.config.rank_weight * terms["rank_whole_video"]
        if regularise:
            extra = self.regularisers(proposals)
            total, terms = total + extra.total, terms | extra.terms
        return LossTerms(total, terms)
