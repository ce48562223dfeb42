"""Kinds of negative proposals (P0 Table 4), for any generator of positives.

Rule-based ones are functions of the best positive; learned ones are in :mod:`vmlkit.reconstruction.lnp`.  All are masks
on the proposal grid, so a reconstructor cannot tell where they came from.

=============== ======================================================================= =====
kind            mask                                                                    M
=============== ======================================================================= =====
none            --                                                                      0
random          0 inside a random interval, 1 outside                                   1
square          0 inside the positive's span, 1 outside (no gradient to the span)       1
gaussian        a Gaussian left and one right of the positive, filling the free time    2
reversed        1 - the positive's mask (CNM)                                           1
variable        as ``gaussian``, growing with (epoch / epochs)^gamma (CPL)              2
learned         M Gaussians at learned places, P0 Eq. (1)                               M
=============== ======================================================================= =====
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.nn.attention import no_autocast
from vmlkit.reconstruction.gaussian import grid, outer_spans, peak_gaussian

NegativeKind = Literal["none", "random", "square", "gaussian", "reversed", "variable", "learned"]


@dataclass(frozen=True)
class NegativeProposals:
    """M negatives of each query; a complement is no interval, so its center and width are not a number."""

    masks: Float[Tensor, "B M S"]
    centers: Float[Tensor, "B M"]
    widths: Float[Tensor, "B M"]


def rule_based(
    kind: NegativeKind,
    center: Float[Tensor, " B"],
    width: Float[Tensor, " B"],
    mask: Float[Tensor, "B S"],
    *,
    sigma: float,
    ratio: float | Tensor,
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
    if kind == "none":
        return NegativeProposals(mask[:, None][:, :0], center[:, None][:, :0], width[:, None][:, :0])
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


def remedies(
    masks: Float[Tensor, "B M S"], raw: Float[Tensor, "B M 2"] | None, logit_decay: float, negative_diversity: float
) -> dict[str, Tensor]:
    """Optional terms that keep learned negatives readable while c < 0, weights included.

    Args:
        raw: centers and widths before the sigmoid; None for rule-based negatives.
        logit_decay: weight of their mean square.
        negative_diversity: weight of the overlap between the masks of a query.
    """
    terms = {}
    if logit_decay and raw is not None:
        terms["logit_decay"] = logit_decay * (raw**2).mean()
    if negative_diversity:
        rows = nn.functional.normalize(masks, dim=-1)
        with no_autocast(rows):
            gram = rows @ rows.transpose(1, 2)
        apart = gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))
        terms["negative_diversity"] = negative_diversity * (apart**2).sum(dim=(1, 2)).mean()
    return terms
