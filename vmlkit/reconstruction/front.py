"""What CNM, CPL and PPS share before and after the transformer (specification 3.4-3.7).

Frames and words are projected, a learnable token may follow the frames, masked words are replaced by one learnable
vector, every fourth clip becomes a cell of the proposal grid, and a vocabulary head reads reconstructed words.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch
from vmlkit.data.features import proposal_grid
from vmlkit.nn.positions import word_positions
from vmlkit.nn.transformer import Conditioning, DualTransformer, Reconstruction, TransformerConfig
from vmlkit.reconstruction.losses import EndSymbol, target_mask, word_nll
from vmlkit.reconstruction.ranking import margin
from vmlkit.training.method import DataShape, LossTerms


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig:
    """Settings of the reconstruction family that every paper shares; defaults are the released code's."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    cells: int | None = None  #: S, cells of the proposal grid; None is T // 4
    end_symbol: EndSymbol = "reference"  #: see :func:`vmlkit.reconstruction.losses.target_mask`
    label_smoothing: float = 0.1  #: 0 is the papers' plain cross-entropy
    nll_reduction: Literal["mean", "sum"] = "mean"  #: over the words of a sentence; the CNM paper sums


@dataclass(frozen=True)
class Encoded:
    """A batch after projection and generation: what proposals are made from and reconstructed with."""

    hidden: Float[Tensor, "B T1 D"]  #: generator output; T1 = T, or T + 1 with a token at the end
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


class FrontEnd(nn.Module):
    """Projections, learnable vectors and the vocabulary head."""

    def __init__(self, config: ReconstructionConfig, shape: DataShape, *, token: bool) -> None:
        super().__init__()
        size = config.transformer.hidden
        self.config = config
        self.frame_projection = nn.Linear(shape.frame_dim, size)
        self.word_projection = nn.Linear(shape.word_dim, size)
        self.vocabulary_head = nn.Linear(size, shape.vocabulary)
        self.start = nn.Parameter(torch.zeros(shape.word_dim))
        self.mask = nn.Parameter(torch.zeros(shape.word_dim))
        self.token = nn.Parameter(torch.zeros(shape.frame_dim)) if token else None
        self.dropout = nn.Dropout(config.transformer.dropout)

    def frames(self, batch: MomentBatch) -> tuple[Float[Tensor, "B T1 D"], Bool[Tensor, "B T1"]]:
        """Projected frames, with the token appended where there is one.

        The token's key stays masked: it is only ever a query, so it changes nothing but its own output.
        """
        frames, mask = batch.frames, batch.frame_mask
        if self.token is not None:
            frames = torch.cat((frames, self.token.expand(frames.shape[0], 1, -1)), dim=1)
            mask = nn.functional.pad(mask, (0, 1), value=False)
        return self.frame_projection(self.dropout(frames)), mask

    def words(self, batch: MomentBatch) -> Float[Tensor, "B L1 D"]:
        """Projected words behind the start vector, without positions (L1 = L + 1)."""
        return self.behind_start(batch.words)

    def behind_start(self, words: Float[Tensor, "B L Dw"]) -> Float[Tensor, "B L1 D"]:
        """The same from word vectors alone."""
        start = self.start.expand(words.shape[0], 1, -1)
        return self.word_projection(self.dropout(torch.cat((start, words), dim=1)))

    def masked_words(self, projected: Float[Tensor, "B L1 D"], masked: Bool[Tensor, "B L"]) -> Float[Tensor, "B L1 D"]:
        """Projected words with the drawn ones replaced by the projected mask vector (no dropout on it)."""
        replace = nn.functional.pad(masked, (1, projected.shape[1] - masked.shape[1] - 1), value=False)
        return torch.where(replace[..., None], self.word_projection(self.mask), projected)

    def cells(
        self, video: Float[Tensor, "B T1 D"], mask: Bool[Tensor, "B T1"], clips: int
    ) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """The clips on the proposal grid (specification 3.5): cell i is clip ``trunc(i (T - 1) / (S - 1))``."""
        count = self.config.cells or clips // 4
        index = proposal_grid(clips, count, video.device)
        return video[:, index], mask[:, index]

    def targets(self, batch: MomentBatch, columns: int) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """Word ids to predict and which of them count; one more column when every sentence ends with a symbol."""
        mask = target_mask(batch.word_mask, self.config.end_symbol)
        return nn.functional.pad(batch.word_ids, (0, columns - batch.word_ids.shape[1])), mask

    def nll(self, hidden: Float[Tensor, "B R L D"], encoded: Encoded) -> Float[Tensor, "B R"]:
        """The reconstruction loss of each row, by the configured smoothing and reduction."""
        return word_nll(
            self.vocabulary_head(hidden),
            encoded.targets,
            encoded.text_mask,
            smoothing=self.config.label_smoothing,
            reduction=self.config.nll_reduction,
        )


def encode(front: FrontEnd, generator: DualTransformer, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
    """Project a batch, run the generator, and prepare the masked sentence (CNM and CPL; PPS reads the words anew)."""
    video, video_mask = front.frames(batch)
    projected = front.words(batch)
    positions = word_positions(projected.shape[1], projected.shape[2]).to(projected)
    read_mask = nn.functional.pad(batch.word_mask, (1, 0), value=True)
    hidden, memory = generator.generate(video, video_mask, projected + positions, read_mask)
    text = front.masked_words(projected, masked) + positions
    columns = text.shape[1] - (front.config.end_symbol != "always")
    targets, counted = front.targets(batch, columns)
    clips, clip_mask = front.cells(video, video_mask, batch.frames.shape[1])
    return Encoded(hidden, memory, clips, clip_mask, text[:, :columns], counted, targets, text, read_mask)


def reconstruct(
    front: FrontEnd, transformer: DualTransformer, encoded: Encoded, conditioning: Conditioning
) -> tuple[Float[Tensor, "B R"], Reconstruction]:
    """The NLL of the sentence under each of R masks, all in one batched pass."""
    out = transformer.reconstruct(encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, conditioning)
    return front.nll(out.hidden, encoded), out


def pick(values: Float[Tensor, "B P *A"], index: Int[Tensor, " B"]) -> Float[Tensor, "B *A"]:
    """``values[b, index[b]]`` without leaving the device."""
    wide = index.view(-1, 1, *(1 for _ in values.shape[2:])).expand(-1, 1, *values.shape[2:])
    return values.gather(1, wide).squeeze(1)


def reconstruction_terms(
    best: Float[Tensor, " B"], whole: Float[Tensor, " B"] | None, *, gap: float, rank_weight: float
) -> LossTerms:
    """``(a + ref) / 2 + rank_weight mean max(a - ref + gap, 0)``: what CPL and PPS share.

    Args:
        best: a, the NLL of each query's best proposal.
        whole: ref, the NLL without a mask; None leaves its terms out.
    """
    terms = {"nll": best.mean()}
    if whole is None:
        return LossTerms(terms["nll"], terms)
    terms["nll_whole_video"] = whole.mean()
    terms["rank_whole_video"] = margin(best, whole, gap).mean()
    rec = (terms["nll"] + terms["nll_whole_video"]) / 2
    return LossTerms(rec + rank_weight * terms["rank_whole_video"], terms)
