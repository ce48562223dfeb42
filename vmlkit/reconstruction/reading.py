"""Proposals that follow their sentence: where centers are read from, and what they learn from.

CPL, PPS and P0 read every center from one token behind the clips.  Nothing tells that token *when* a clip is (clips
carry no positions), and what it hears of the loss is the slope of the CE curve at the place where its proposal already
lies.  Whether centers follow their sentence is measured at every epoch: the columns ``dependence/...`` of a history
(:mod:`vmlkit.metrics.dependence`).

Two small changes, both off in every paper's preset, let a center follow its sentence:

* :class:`SentenceReader` scores each clip *after it has read the sentence* and answers with the mean time under the
  softmax of the scores;
* :func:`follow` sweeps candidates over the video, asks the reconstructor for the CE of each, and draws the center
  towards those that serve the loss best: the minimum of the same objective, found by looking instead of by its slope.
  No time label is read.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.config import at_least, at_most, positive
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.reconstruction.front import Encoded, Generator, proposal_grid
from vmlkit.reconstruction.gaussian import grid


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """Where centers come from; the default is what every paper of the family does.

    Raises:
        ConfigError: for centers that shall follow candidates and are not read from the sentence, or for what acts on
            candidates without any.
    """

    centers: Literal["token", "sentence"] = "token"  #: of the token behind the clips, or by :class:`SentenceReader`
    follow_weight: float = 0.0  #: weight of :func:`follow`; 0 leaves the slope of the CE curve alone as a teacher
    candidates: int = 8  #: places that :func:`follow` looks at
    #: of the windows there, a fraction of the video; None is the mean of the query's own proposals
    candidate_width: float | None = None
    judge: Literal["own", "other"] = "own"  #: whose CE ranks them; "other", a query's neighbour, is a control

    def __post_init__(self) -> None:
        at_least(self, 0, "follow_weight")
        at_least(self, 1, "candidates")
        positive(self, "candidate_width")
        at_most(self, 1, "candidate_width")
        if not self.follow_weight and (self.candidate_width is not None or self.judge == "other"):
            raise ConfigError("settings 'reading.candidate_width' and 'reading.judge' act on candidates: leave them "
                              "out, or set reading.follow_weight too")  # fmt: skip
        if self.follow_weight and self.centers == "token":
            raise ConfigError("setting 'reading.follow_weight' acts on centers that are read from the sentence: set "
                              "reading.centers=sentence too")  # fmt: skip

    def draw(
        self,
        name: str,
        host: Generator,
        encoded: Encoded,
        read: Tensor,
        widths: Tensor,
        masks: "Masks",
        *,
        hardest: bool = False,
    ) -> dict[str, Tensor]:
        """:func:`follow` with its weight, as a term called ``name``, where a training asks for it; else no term."""
        if not (host.training and self.follow_weight):
            return {}
        judged = encoded if self.judge == "own" else of_the_neighbour(encoded)
        if self.candidate_width is not None:
            widths = torch.full_like(widths, self.candidate_width)
        near = follow(host, judged, read, widths, masks, self.candidates, hardest=hardest)
        return {name: self.follow_weight * near}

    def reader(self, hidden: int, columns: int) -> "SentenceReader | None":
        """A reader of ``columns`` centers, where they are read from the sentence."""
        return SentenceReader(hidden, columns) if self.centers == "sentence" else None


class SentenceReader(nn.Module):
    """``sum_i softmax_i(score(h_i)) x_i``: the mean time of the clips that fit the sentence, K of them a query."""

    def __init__(self, hidden: int, columns: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(hidden, hidden), nn.Linear(hidden, columns)

    def forward(self, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B S K"]:
        """A score of each clip that has read the sentence."""
        found: Tensor = self.outer(torch.relu(self.inner(hidden)))
        return found

    def read(self, encoded: Encoded) -> Float[Tensor, "B K"]:
        """Centers in fractions of the video, from the clips of the proposal grid."""
        cells, clips = encoded.clip_mask.shape[1], encoded.hidden.shape[1] - 1  # the token comes last
        scores = precisely(self, encoded.hidden[:, proposal_grid(clips, cells, encoded.hidden.device)])
        weights = torch.softmax(scores.masked_fill(~encoded.clip_mask[..., None], -torch.inf), dim=1)
        found: Tensor = (weights * grid(cells, weights)[:, None]).sum(dim=1)
        return found


def moved(read: Float[Tensor, "B K"], raw: Float[Tensor, "B P"], *, floor: float = 0.01) -> Float[Tensor, "B P"]:
    """Centers around what was read: ``sigmoid(logit(read) + raw)``, with ``read`` kept ``floor`` from the ends."""
    return torch.sigmoid(torch.logit(read.clamp(floor, 1 - floor)) + raw)


def of_the_neighbour(encoded: Encoded) -> Encoded:
    """Each query's clips beside the words of the next query of the batch: a judge that knows nothing of the query."""
    fields = ("text", "text_mask", "targets")
    return dataclasses.replace(encoded, **{name: getattr(encoded, name).roll(-1, dims=0) for name in fields})


#: masks of centers and widths, each ``(B, G)``
Masks = Callable[[Tensor, Tensor], Tensor]


def follow(
    host: Generator,
    encoded: Encoded,
    read: Float[Tensor, "B K"],
    widths: Float[Tensor, "B P"],
    masks: Masks,
    candidates: int,
    *,
    hardest: bool = False,
) -> Float[Tensor, ""]:
    """Mean distance of K centers from the K best of G evenly spaced candidates, in fractions of the video.

    The candidates have the mean of the widths and are told apart by the CE of the sentence under their masks,
    without dropout and without a graph.  In order of time, each center has one of its own, so that several never settle
    on the middle between two good places.

    Args:
        masks: the proposals' own, of centers and widths on the grid of the clips.
        candidates: G, at least K.
        hardest: those under which the sentence is explained worst (P0 while c < 0), not best.
    """
    places = (torch.arange(candidates, device=read.device, dtype=read.dtype) + 0.5) / candidates
    learning = host.training
    with torch.no_grad():
        host.eval()
        centers = places.expand(len(read), -1)
        nll = host.reconstruct(encoded, masks(centers, widths.mean(dim=1, keepdim=True).expand_as(centers)))
        host.train(learning)
        chosen = nll.topk(read.shape[1], dim=1, largest=hardest).indices.sort(dim=1).values
    return (read - places[chosen]).abs().mean()
