"""CNM without its mask generator: sliding windows, chosen by a policy that the reconstruction rewards (P1 Table 3).

Windows of a few lengths slide over the video, the same for every query.  A score for each is read where the window
ends; some are drawn by their scores, far from each other, and reconstruct the sentence.  The better a drawn window
explains it, the higher its reward, and the policy gradient raises its score.  Nothing moves a window.

================= ====================================================== ===============
symbol            here                                                   shape
================= ====================================================== ===============
windows           :func:`window_spans`, start and end, the same for all  (W, 2)
scores            :meth:`SlidingCNM.scores`                              (B, W)
drawn windows     :func:`spread_out`                                     (B, K)
``L_rec``         mean NLL of the drawn ones, and NLL of the whole video mean over B
``L_policy``      :func:`policy_gradient`                                mean over B
================= ====================================================== ===============

# PAPER: P1 Table 3: sliding windows and policy gradient as in SCN, no more is said / CODE: none released -> lengths
# PAPER: P1 Table 3: (silent) / CODE: none released; windows are drawn without near copies of each other -> max_overlap
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit import spans as sp
from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.nn.tables import device_table
from vmlkit.nn.transformer import DualTransformer
from vmlkit.reconstruction.front import Encoded, FrontEnd, Generator, Proposals, ReconstructionConfig, encode
from vmlkit.training.method import DataShape, LossTerms, Progress

#: what a window loses for each drawn one that it overlaps, and for being drawn: far beyond any score
_NEAR, _DRAWN = 1e3, 1e5


@dataclass(frozen=True, kw_only=True)
class SlidingConfig:
    """Settings of CNM without its mask generator; defaults are for Charades-STA.

    Raises:
        ConfigError: for a length outside ]0, 1], or a size below one.
    """

    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    lengths: tuple[float, ...] = (0.1125, 0.225, 0.3375, 0.45)  #: of the windows, fractions of the video
    places: int = 16  #: windows of each length, spread evenly over the video
    #: K, windows of a query that reconstruct its sentence: all where there are fewer; from a single one the scores
    #: learn nothing
    drawn: int = 5
    max_overlap: float = 0.5  #: IoU above which two windows are not drawn together, while others are left
    policy_weight: float = 1.0  #: of the policy gradient beside the reconstruction

    def __post_init__(self) -> None:
        at_least(self, 1, "places drawn")
        at_least(self, 0, "policy_weight")
        positive(self, "max_overlap")
        if not self.lengths or not all(0 < length <= 1 for length in self.lengths):
            raise ConfigError(f"setting 'lengths' must be fractions of the video in ]0, 1], not {self.lengths}")


def window_spans(*sizes: float) -> Float[Tensor, "W 2"]:
    """Start and end of every window in fractions of the video, length by length.

    Args:
        sizes: the lengths, and behind them the number of places.

    >>> window_spans(0.5, 1.0, 2).tolist()
    [[0.0, 0.5], [0.5, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """
    *lengths, places = sizes
    share = torch.linspace(0, 1, int(places)) if places > 1 else torch.tensor([0.5])
    starts = [share * (1 - length) for length in lengths]
    found = [torch.stack((start, start + length), dim=-1) for start, length in zip(starts, lengths, strict=True)]
    return torch.cat(found)


def box_masks(*sizes: float) -> Float[Tensor, "W S"]:
    """1 on the cells of a window and 0 elsewhere, cells at ``i / (S - 1)``; a window between two cells has the nearest.

    Args:
        sizes: the lengths, the number of places, and the number of cells.

    >>> box_masks(0.5, 2, 5).tolist()
    [[1.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0]]
    """
    *windows, cells = sizes
    center, width = sp.to_center_width(window_spans(*windows)).unbind(-1)
    apart = (torch.linspace(0, 1, int(cells)) - center[:, None]).abs()
    inside = apart <= width[:, None] / 2 + 1e-6
    return (inside | (apart == apart.min(dim=1, keepdim=True).values)).float()


def near_windows(*sizes: float) -> Float[Tensor, "W W"]:
    """1 where two windows have a larger IoU than the limit, 0 elsewhere and for a window with itself.

    Args:
        sizes: the lengths, the number of places, and the limit.
    """
    *windows, limit = sizes
    spans = window_spans(*windows).numpy()
    near = torch.from_numpy(sp.iou(spans[:, None], spans[None]) > limit)
    return near.float().fill_diagonal_(0)


def spread_out(scores: Float[Tensor, "B W"], near: Float[Tensor, "W W"], count: int) -> Int[Tensor, "B K"]:
    """The windows of the highest scores one after the other, without those near a drawn one as long as others are left.

    >>> near = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> spread_out(torch.tensor([[3.0, 2.0, 1.0]]), near, 3).tolist()
    [[0, 2, 1]]
    """
    left, found = scores.detach(), []
    used = torch.full_like(left[:, :1], -_DRAWN)
    for _ in range(count):
        found.append(left.argmax(dim=1))
        left = (left - _NEAR * near[found[-1]]).scatter_add(1, found[-1][:, None], used)
    return torch.stack(found, dim=1)


def policy_gradient(
    scores: Float[Tensor, "B W"], drawn: Int[Tensor, "B K"], nll: Float[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """``-sum_k (r_k - mean r) log p(k)``, mean over the batch: the score of a window that explains its sentence rises.

    The reward r falls from 1 for the lowest NLL of the drawn windows to 0 for the highest, by rank.
    """
    rank = nll.detach().argsort(dim=1).argsort(dim=1)
    reward = 1 - rank / max(drawn.shape[1] - 1, 1)
    chance = scores.log_softmax(dim=1).gather(1, drawn)
    return -((reward - reward.mean(dim=1, keepdim=True)) * chance).sum(dim=1).mean()


class SlidingCNM(Generator):
    """CNM's reconstructor over sliding windows; see the module docstring."""

    def __init__(self, config: SlidingConfig, shape: DataShape) -> None:
        super().__init__()
        self.config = config
        network = config.reconstruction
        self.front = FrontEnd(network, shape, token=False)
        self.front.read_places = None
        self.reconstructor = DualTransformer(network.transformer)
        self.score_head = nn.Linear(network.transformer.hidden, len(config.lengths))

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """P1 Eq. (1): projection, generation and the masked sentence."""
        return encode(self.front, self.reconstructor, batch, masked)

    def scores(self, encoded: Encoded) -> Float[Tensor, "B W"]:
        """A number for each window, read at the clip where it ends, which has seen all of it and the sentence."""
        ends = self._table(window_spans, encoded.hidden)[:, 1]
        at = (ends * (encoded.hidden.shape[1] - 1)).round().long()
        read: Tensor = precisely(self.score_head, encoded.hidden[:, at]).unflatten(1, (len(self.config.lengths), -1))
        return read.diagonal(dim1=1, dim2=3).transpose(1, 2).flatten(1)

    def proposals(self, encoded: Encoded, drawn: Int[Tensor, "B K"]) -> Proposals:
        """The windows of these numbers."""
        spans = self._table(window_spans, encoded.clips)[drawn]
        masks = self._table(box_masks, encoded.clips, encoded.clips.shape[1])[drawn]
        starts, ends = spans.unbind(-1)
        return Proposals((starts + ends) / 2, ends - starts, masks, starts, ends)

    def positives(self, encoded: Encoded) -> Proposals:
        """The K windows of the highest scores, which the reconstruction ranks in an answer."""
        return self.proposals(encoded, self._spread(self.scores(encoded)))

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Windows drawn by their scores with Gumbel noise; both losses in one update."""
        encoded = self.encode(batch, self.masked_words(batch, generator))
        scores = self.scores(encoded)
        chance = torch.rand(scores.shape, generator=generator, device=scores.device).clamp(1e-6, 1 - 1e-6)
        drawn = self._spread(scores - (-chance.log()).log())
        masks = self.proposals(encoded, drawn).masks
        nll = self.reconstruct(encoded, torch.cat((masks, torch.ones_like(masks[:, :1])), dim=1))
        own, whole = nll[:, :-1], nll[:, -1].mean()
        terms = {"nll": own.mean(), "nll_whole_video": whole, "policy": policy_gradient(scores, drawn, own)}
        return LossTerms(terms["nll"] + whole + self.config.policy_weight * terms["policy"], terms)

    def _spread(self, scores: Float[Tensor, "B W"]) -> Int[Tensor, "B K"]:
        near = self._table(near_windows, scores, self.config.max_overlap)
        return spread_out(scores, near, min(self.config.drawn, scores.shape[1]))

    def _table(self, make: Callable[..., Tensor], like: Tensor, *more: float) -> Tensor:
        return device_table(make, *self.config.lengths, self.config.places, *more, device=like.device)
