"""X-CLIP's four similarities between texts and videos: coarse, and three fine-grained ones (AOSM).

Axes: N texts, V videos, W words, T frames, D width.  Every feature is of unit length; ``lambda = exp(logit_scale)``.

| score  | between            | formula                                                                          |
| ------ | ------------------ | -------------------------------------------------------------------------------- |
| S_VS   | video, sentence    | ``s G v``                                                                        |
| S_VW   | video, words       | ``sum_w a_w (softmax(a / t) A)_w``, ``a_w = w v``                                |
| S_SF   | sentence, frames   | ``sum_t b_t (softmax(b / t) B)_t``, ``b_t = s f_t``                              |
| S_FW   | frames, words      | both ways over ``M = W L F'``: words within frames, then frames; and the reverse |

    # PAPER: attention over similarity matrices, without parameters / CODE: eight learnt matrices, identity at first
    # -> no switch, because at the identity they are the paper's form
    # PAPER: (silent) / CODE: padded words and frames take part in S_VW, S_SF and S_FW -> mask_padding
    # PAPER: (silent) / CODE: S_SF and S_FW read the frames from before the temporal encoder -> no switch, because the
    # authors recommend it and released no other

The matrices tie a model to its W and T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.data.batches import Batch
from vmlkit.nn.similarity import SHARP, masked_softmax, unit

S = TypeVar("S", bound="States")


@dataclass(frozen=True)
class States(Batch):
    """Encoded texts or videos."""

    def __getitem__(self: S, rows: slice | int) -> S:
        return self.map(lambda x: x[rows])


def joined(parts: Sequence[S], dim: int = 0) -> S:
    """Several groups of states along one axis."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return type(parts[0])(*(torch.cat(tensors, dim) for tensors in columns))


@dataclass(frozen=True)
class TextStates(States):
    """N encoded texts, not yet of unit length."""

    sentence: Float[Tensor, "*N D"]  #: state of the end token
    words: Float[Tensor, "*N W D"]
    mask: Bool[Tensor, "*N W"]  #: True on words and the end token


@dataclass(frozen=True)
class VideoStates(States):
    """V encoded videos: pooled after the temporal encoder, frames from *before* it (a switch of the released code)."""

    video: Float[Tensor, "V D"]  #: unit length
    frames: Float[Tensor, "V T D"]
    mask: Bool[Tensor, "V T"]


@dataclass(frozen=True)
class Scores:
    """The four scores, each multiplied by lambda, their mean, and what lies on the way (not multiplied)."""

    video_sentence: Float[Tensor, "N V"]
    video_words: Float[Tensor, "N V"]
    sentence_frames: Float[Tensor, "N V"]
    frame_words: Float[Tensor, "N V"]
    pairs: Float[Tensor, "N W V T"]  #: M
    over_words: Float[Tensor, "N V T"]  #: p
    over_frames: Float[Tensor, "N W V"]  #: q
    to_frames: Float[Tensor, "N V"]  #: sum over frames of p
    to_words: Float[Tensor, "N V"]  #: sum over words of q

    @property
    def logits(self) -> Float[Tensor, "N V"]:
        """Mean of the four."""
        return (self.video_sentence + self.video_words + self.sentence_frames + self.frame_words) / 4


class SimilarityHeads(nn.Module):
    """The eight matrices and the scores of the module docstring.

    Args:
        width: D.
        words: W, fixed by the matrices.
        frames: T, fixed by the matrices.
        temperature: t.
        mask_padding: keep padded words and frames out of the fine-grained scores (not in the release).
    """

    def __init__(
        self, width: int, words: int, frames: int, temperature: float = SHARP, mask_padding: bool = False
    ) -> None:
        super().__init__()
        self.temperature, self.mask_padding = temperature, mask_padding
        self.video_sentence, self.local = (nn.Parameter(torch.eye(width)) for _ in range(2))  # G, L
        self.video_words, self.words_first, self.words_second = (nn.Parameter(torch.eye(words)) for _ in range(3))
        self.sentence_frames, self.frames_first, self.frames_second = (
            nn.Parameter(torch.eye(frames)) for _ in range(3)
        )

    def forward(self, text: TextStates, video: VideoStates, scale: Float[Tensor, ""]) -> Scores:
        """Scores of every text with every video; ``scale`` is lambda."""
        sentence, words, pooled, frames = unit(text.sentence), unit(text.words), video.video, unit(video.frames)
        word_mask = text.mask[:, None, :] if self.mask_padding else None  # (N, 1, W)
        frame_mask = video.mask[None, :, :] if self.mask_padding else None  # (1, V, T)
        coarse = sentence @ self.video_sentence @ pooled.T
        a = torch.einsum("nwd,vd->nvw", words, pooled)
        b = torch.einsum("nd,vtd->nvt", sentence, frames)
        pairs = torch.einsum("nwd,vtd->nvwt", words @ self.local, frames)
        # words are the last axis while they are summed over, frames while those are
        p = self._mix(pairs.transpose(-1, -2), self.words_first, _spread(word_mask))  # (N, V, T)
        q = self._mix(pairs, self.frames_first, _spread(frame_mask))  # (N, V, W)
        to_frames = self._mix(p, self.frames_second, frame_mask)
        to_words = self._mix(q, self.words_second, word_mask)
        return Scores(
            video_sentence=scale * coarse,
            video_words=scale * self._mix(a, self.video_words, word_mask),
            sentence_frames=scale * self._mix(b, self.sentence_frames, frame_mask),
            frame_words=scale * (to_frames + to_words) / 2,
            pairs=pairs.transpose(1, 2),
            over_words=p,
            over_frames=q.transpose(1, 2),
            to_frames=to_frames,
            to_words=to_words,
        )

    def _mix(self, x: Tensor, matrix: Tensor, mask: Tensor | None) -> Tensor:
        """``sum_i x_i (softmax(x / t) matrix)_i`` over the last axis (a row vector times the matrix)."""
        weights = masked_softmax(x / self.temperature, mask, dim=-1) @ matrix
        if mask is not None:
            weights = weights * mask  # the matrix must not bring padding back
        return (x * weights).sum(dim=-1)


def _spread(mask: Tensor | None) -> Tensor | None:
    """A mask over the last axis of ``(N, V, x, y)`` from one over ``(N, V, y)``."""
    return None if mask is None else mask[:, :, None, :]


def symmetric_loss(logits: Float[Tensor, "B B"]) -> Float[Tensor, ""]:
    """``(mean_i -log softmax(X_i.)_i + mean_j -log softmax(X_.j)_j) / 2``; row i and column i belong together.

    Two captions of one video in a batch count as each other's negatives, as in the released code.
    """
    own = torch.arange(len(logits), device=logits.device)
    return (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2
