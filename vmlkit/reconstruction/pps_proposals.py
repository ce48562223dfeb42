"""What the proposals of PPS are: mixtures, the importance of their components, and their negatives."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.reconstruction.front import Proposals
from vmlkit.reconstruction.mixtures import component_table


@dataclass(frozen=True)
class MixtureProposals(Proposals):
    """Mixture proposals; ``centers`` and ``widths`` are means of the components', weighted as the masks are.

    ``starts`` and ``ends`` are ``center -+ (1 - pred_gamma) width / 2``, clipped to [0, 1].
    """

    component_centers: Float[Tensor, "B P P"]  #: zero where a proposal has no further component
    component_widths: Float[Tensor, "B P P"]
    component_masks: Float[Tensor, "B P P S"]
    weights: Float[Tensor, "B P P"]  #: q, sums to one over the last axis


@dataclass(frozen=True)
class Negatives:
    """One negative mask a proposal, and the spans it is made of (None for the inverse kinds, which cover a rest)."""

    masks: Float[Tensor, "B P S"]
    centers: Float[Tensor, "B P M"] | None
    widths: Float[Tensor, "B P M"] | None


class ComponentScore(nn.Module):
    """``score = v^T tanh(W h)`` of a reconstructor feature h (specification 6.4)."""

    def __init__(self, hidden: int, *, unused: bool) -> None:
        super().__init__()
        self.project = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.unused = nn.Linear(hidden, hidden) if unused else None

    def forward(self, features: Float[Tensor, "B R D"]) -> Float[Tensor, "B R"]:
        """One number for each row."""
        return self.score(torch.tanh(self.project(features))).squeeze(-1)


def hull(proposals: MixtureProposals) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P"]]:
    """From the first start to the last end of a proposal's components, clipped to [0, 1]."""
    centers, widths = proposals.component_centers, proposals.component_widths
    absent = ~component_table(centers.shape[1], centers.device)
    start = (centers - widths / 2).masked_fill(absent, torch.inf).min(dim=-1).values
    end = (centers + widths / 2).masked_fill(absent, -torch.inf).max(dim=-1).values
    return start.clamp(0, 1), end.clamp(0, 1)
