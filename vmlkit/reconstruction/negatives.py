"""Six kinds of negative proposals, for any generator of positives (P0, Table 4; specification 12.3).

Rule-based ones are functions of the best positive; learned ones are read off the generator's token by one linear
layer (P0, section 3.2).  All are masks on the proposal grid, so a reconstructor cannot tell where they came from.

=============== ======================================================================= =====
kind            mask                                                                    M
=============== ======================================================================= =====
none            --                                                                      0
random          0 inside a random interval, 1 outside                                   1
square          0 inside the positive's span, 1 outside (no gradient to the span)       1
gaussian        a Gaussian left and one right of the positive, filling the free time    2
reversed        1 - the positive's mask (CNM)                                           1
variable        as ``gaussian``, growing with (epoch / epochs)^gamma (CPL)              2
learned         M Gaussians at learned places (P0, Eq. 1)                               M
=============== ======================================================================= =====
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.reconstruction.gaussian import grid, outer_spans, peak_gaussian

NegativeKind = Literal["none", "random", "square", "gaussian", "reversed", "variable", "learned"]
Selection = Literal["random", "uniform", "hard", "soft"]


@dataclass(frozen=True)
class NegativeProposals:
    """M negatives of each query; a complement is no interval, so its center and width are not a number."""

    masks: Float[Tensor, "B M S"]
    centers: Float[Tensor, "B M"]
    widths: Float[Tensor, "B M"]

    @property
    def present(self) -> Bool[Tensor, "B M"]:
        """False for a mask without any mass: attention would fall back to the whole video, so its terms are skipped."""
        return self.masks.amax(dim=-1) > 0


def rule_based(
    kind: NegativeKind,
    center: Float[Tensor, " B"],
    width: Float[Tensor, " B"],
    mask: Float[Tensor, "B S"],
    *,
    sigma: float,
    ratio: float,
    generator: torch.Generator,
) -> NegativeProposals:
    """The negatives of one positive per query.

    Args:
        center: of the positive, in fractions of the video.
        width: likewise.
        mask: of the positive.
        sigma: of the positive's family; the two Gaussians are twice as wide for their width.
        ratio: (epoch / epochs)^gamma for ``variable``; ``gaussian`` is ratio 1.
        generator: draws the interval of ``random``.
    """
    cells = mask.shape[-1]
    if kind in ("gaussian", "variable"):
        spans = outer_spans(center, width, ratio if kind == "variable" else 1.0)  # (B, 2, 2)
        masks = peak_gaussian(spans[..., 0], spans[..., 1], cells, sigma=sigma / 2)
        return NegativeProposals(masks, spans[..., 0], spans[..., 1])
    if kind == "reversed":
        outside = 1 - mask
    elif kind == "square":
        outside = _outside(center.detach(), width.detach(), cells)
    elif kind == "random":
        drawn = torch.rand((2, len(center)), generator=generator, device=generator.device).to(center)
        outside = _outside(drawn[0], drawn[1], cells)
    else:
        raise ValueError(f"'{kind}' negatives follow no rule")
    unknown = torch.full_like(center, torch.nan)[:, None]
    return NegativeProposals(outside[:, None], unknown, unknown)


def _outside(center: Float[Tensor, " B"], width: Float[Tensor, " B"], cells: int) -> Float[Tensor, "B S"]:
    distance = (grid(cells, center) - center[:, None]).abs()
    return (distance > width[:, None] / 2).to(center.dtype)


class NegativeHead(nn.Module):
    """P0, section 3.2: ``(mu_m, sigma_m) = sigmoid(FC(token))``, M centers and widths in fractions of the video.

    Args:
        spread: initial bias of the m-th center runs linearly from ``-spread`` to ``spread`` (0: as released elsewhere).
        width_bias: initial bias of every width.
    """

    def __init__(self, hidden: int, count: int, *, spread: float = 0.0, width_bias: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(hidden, 2 * count)
        with torch.no_grad():
            pairs = self.layer.bias.view(count, 2)
            if spread:
                pairs[:, 0] = torch.linspace(-spread, spread, count)
            if width_bias:
                pairs[:, 1] = width_bias

    def forward(
        self, token: Float[Tensor, "B D"]
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M"], Float[Tensor, "B M 2"]]:
        """Centers, widths, and the values before the sigmoid."""
        raw = self.layer(token).unflatten(-1, (-1, 2))
        centers, widths = torch.sigmoid(raw).unbind(-1)
        return centers, widths, raw


class SelectionHead(nn.Module):
    """P0, section 3.3: two layers read the [CLASS] outputs under each mask; softmax over the M negatives."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, states: Float[Tensor, "B M D"]) -> Float[Tensor, "B M"]:
        """Soft selection weights s, summing to one."""
        return torch.softmax(self.outer(torch.relu(self.inner(states))).squeeze(-1), dim=-1)


def select(
    soft: Float[Tensor, "B M"], strategy: Selection, generator: torch.Generator
) -> tuple[Float[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """P0, Table 5b: selection weights and which loss terms count.

    ``soft``: as they are.  ``hard``: one-hot of the largest with the soft weights' gradient (straight-through).
    ``uniform``: 1 / M.  ``random``: one m per query and step.  A one-hot choice drops the other terms.
    """
    count = soft.shape[1]
    if strategy == "soft":
        return soft, torch.ones_like(soft, dtype=torch.bool)
    if strategy == "uniform":
        return torch.full_like(soft, 1 / count), torch.ones_like(soft, dtype=torch.bool)
    if strategy == "hard":
        chosen = nn.functional.one_hot(soft.argmax(dim=1), count)
        return chosen + soft - soft.detach(), chosen.bool()
    drawn = torch.rand(soft.shape, generator=generator, device=generator.device).to(soft.device)
    chosen = nn.functional.one_hot(drawn.argmax(dim=1), count)
    return chosen.to(soft.dtype), chosen.bool()
