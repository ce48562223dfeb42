"""Mixtures of temporal masks, and what pulls and pushes their components: proposal i of PPS is built from i + 1.

P proposals have ``C = P (P + 1) / 2`` components in all, listed proposal after proposal: 0 | 1 1 | 2 2 2 | ...  Written
row by row that list is the lower triangle of a P x P table, so :func:`tabulate` turns ``(B, C, ...)`` into a padded
``(B, P, P, ...)``: one proposal a row, one component a column.  Nothing here loops over the batch.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.nn.attention import no_autocast
from vmlkit.reconstruction.gaussian import grid, peak_gaussian

ComponentWidths = Literal["first", "own", "released"]
RuleNegative = Literal["inverse_gaussian", "gaussian", "saturated_gaussian"]


def peak_laplace(
    center: Float[Tensor, "*A"], width: Float[Tensor, "*A"], cells: int, *, sigma: float, floor: float = 0.01
) -> Float[Tensor, "*A S"]:
    """``exp(-|x - c| sigma / max(w, floor))`` divided by its largest cell.

    As for :func:`vmlkit.reconstruction.gaussian.peak_gaussian`, the gradient flows through the maximum.
    """
    distance = (grid(cells, center) - center[..., None]).abs()
    scale = width.clamp_min(floor)[..., None] / sigma
    return torch.exp(-(distance - distance.min(dim=-1, keepdim=True).values) / scale)


def component_table(proposals: int, device: torch.device) -> Bool[Tensor, "P P"]:
    """True where the table holds a component: the lower triangle."""
    return torch.ones(proposals, proposals, dtype=torch.bool, device=device).tril()


def tabulate(values: Float[Tensor, "B C *A"], proposals: int, fill: float = 0.0) -> Float[Tensor, "B P P *A"]:
    """The list of components as a table, ``fill`` where a proposal has no further component.

    >>> tabulate(torch.arange(1.0, 7.0)[None], 3)[0].tolist()
    [[1.0, 0.0, 0.0], [2.0, 3.0, 0.0], [4.0, 5.0, 6.0]]
    """
    row, column = torch.tril_indices(proposals, proposals, device=values.device)
    table = values.new_full((values.shape[0], proposals, proposals, *values.shape[2:]), fill)
    table[:, row, column] = values
    return table


def share_widths(widths: Float[Tensor, "B C"], proposals: int, mode: ComponentWidths) -> Float[Tensor, "B C"]:
    """Which width each component uses, out of one predicted for every component.

    ``own``: its own.  ``first``: all components of a proposal take its first one's.  ``released`` is what the released
    code computes: of the ``B n`` widths of a proposal with n components, in sample-major order, it
    takes the first B, so query b uses the width of component ``b mod n`` of query ``b // n``, and the result depends
    on the order of the batch.  For B = 1 that is ``first``.
    """
    if mode == "own":
        return widths
    shared = []
    for i, own in enumerate(widths.split(list(range(1, proposals + 1)), dim=1)):
        one = own[:, :1] if mode == "first" else own.flatten()[: own.shape[0], None]
        shared.append(one.expand(-1, i + 1))
    return torch.cat(shared, dim=1)


def component_weights(scores: Float[Tensor, "B C"], proposals: int) -> Float[Tensor, "B P P"]:
    """Softmax of the scores within each proposal; zero where there is no component."""
    return torch.softmax(tabulate(scores, proposals, fill=-torch.inf), dim=-1)


def peak_mixture(masks: Float[Tensor, "*A J S"]) -> Float[Tensor, "*A S"]:
    """Sum of J masks divided by its largest cell."""
    total = masks.sum(dim=-2)
    return total / total.max(dim=-1, keepdim=True).values.clamp_min(torch.finfo(total.dtype).tiny)


def outside_spans(start: Float[Tensor, "*A"], end: Float[Tensor, "*A"]) -> Float[Tensor, "*A 2 2"]:
    """(center, width) of the two rule-based negatives: the free time left and right of a proposal, in half.

    With l = start and r = end: center and width l/2 on the left; center 1 - (1 - r)/2, width (1 - r)/2 on the right.
    """
    left, right = start / 2, (1 - end) / 2
    return torch.stack((torch.stack((left, left), -1), torch.stack((1 - right, right), -1)), -2)


def rule_negative(
    start: Float[Tensor, "*A"], end: Float[Tensor, "*A"], cells: int, *, kind: RuleNegative, sigma: float
) -> Float[Tensor, "*A S"]:
    """The negative mask that a rule gives a proposal from ``start`` to ``end``.

    ``inverse_gaussian``: one minus the Gaussian of the span.  ``gaussian``: a Gaussian on each side
    (:func:`outside_spans`), added, so values reach 2.  ``saturated_gaussian``: the same, but each is 1 from its center
    to the border of the video.
    """
    if kind == "inverse_gaussian":
        return 1 - peak_gaussian((start + end) / 2, end - start, cells, sigma=sigma)
    spans = outside_spans(start, end)
    center = spans[..., 0]  # (..., 2)
    sides = peak_gaussian(center, spans[..., 1], cells, sigma=sigma)  # (..., 2, S)
    if kind == "saturated_gaussian":
        edge = (center * cells).floor()
        cell = torch.arange(cells, device=start.device)
        left = cell <= edge[..., :1]
        right = cell >= edge[..., 1:].clamp_max(cells - 1)
        sides = sides.masked_fill(torch.stack((left, right), dim=-2), 1.0)
    return sides.sum(dim=-2)


def pull(centers: Float[Tensor, "B P J"], present: Bool[Tensor, "P J"]) -> Float[Tensor, ""]:
    """``sum_i mean_b (max_j c_ij - min_j c_ij)^2``: the components of one proposal stay together.

    PPS, pull loss.  A proposal with one component contributes zero.

    Args:
        centers: component centers in fractions of the video, padded to J components.
        present: which of them exist.

    >>> present = torch.tensor([[True, False], [True, True]])
    >>> round(float(pull(torch.tensor([[[0.3, 0.0], [0.2, 0.6]]]), present)), 4)
    0.16
    """
    most = centers.masked_fill(~present, -torch.inf).max(dim=-1).values
    least = centers.masked_fill(~present, torch.inf).min(dim=-1).values
    return ((most - least) ** 2).mean(dim=0).sum()


def component_diversity(
    masks: Float[Tensor, "B P J S"], present: Bool[Tensor, "P J"], target: float
) -> Float[Tensor, ""]:
    """``mean_b sum_i || lambda I - G_i G_i^T ||_F^2``, the rows of G_i being the components of proposal i.

    PPS, intra-proposal push: :func:`vmlkit.reconstruction.losses.diversity` within each proposal that has at least two
    components; rows sum to one.
    """
    several = present.sum(dim=1) > 1  # (P,)
    total = masks.sum(dim=-1, keepdim=True)
    rows = masks / torch.where(present[..., None], total, 1.0)
    with no_autocast(rows):
        gram = rows @ rows.transpose(-1, -2)  # (B, P, J, J)
    eye = torch.diag_embed(present.to(gram.dtype))  # (P, J, J)
    error = ((target * eye - gram) ** 2).sum(dim=(-2, -1))  # (B, P)
    return (error * several).sum(dim=1).mean()
