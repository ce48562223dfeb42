"""Temporal masks: what a proposal ``(center, width)`` gives to each cell of the grid.

All functions take centers and widths of any shape ``(...)`` in fractions of the video and return ``(..., S)`` values on
the grid ``x_i = i / (S - 1)``.  Maxima are taken out in log space, so a narrow Gaussian that falls between two cells of
a coarse grid stays finite (the released code divides 0 by 0 there).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def grid(cells: int, like: Tensor) -> Float[Tensor, " S"]:
    """Cell positions 0 ... 1 on the device and in the type of ``like``."""
    return torch.linspace(0, 1, cells, device=like.device, dtype=like.dtype)


def _squared_distance(center: Tensor, cells: int) -> Tensor:
    return (grid(cells, center) - center[..., None]) ** 2


def cnm_mask(
    center: Float[Tensor, "*A"], width: Float[Tensor, "*A"], cells: int, *, alpha: float, floor: float = 0.1
) -> Float[Tensor, "*A S"]:
    """P1 Eq. (4): ``exp(-alpha (x - c)^2 / w^2)``, not normalised; widths below ``floor`` count as ``floor``."""
    return torch.exp(-alpha * _squared_distance(center, cells) / width.clamp_min(floor)[..., None] ** 2)


def peak_gaussian(
    center: Float[Tensor, "*A"], width: Float[Tensor, "*A"], cells: int, *, sigma: float, floor: float = 0.01
) -> Float[Tensor, "*A S"]:
    """CPL: a Gaussian of standard deviation ``max(w, floor) / sigma`` whose largest cell is 1.

    The gradient flows through the maximum, as in the released code.
    """
    distance = _squared_distance(center, cells)
    deviation = width.clamp_min(floor)[..., None] / sigma
    return torch.exp(-(distance - distance.min(dim=-1, keepdim=True).values) / (2 * deviation**2))


def paper_gaussian(
    center: Float[Tensor, "*A"], width: Float[Tensor, "*A"], cells: int, *, floor: float = 0.01, exponent: float = 1.0
) -> Float[Tensor, "*A S"]:
    """P0 Eq. (1): ``exp(-(x - mu)^2 / sigma^2)``, with ``sigma`` = width clamped at ``floor``.

    About 6.4 times wider than a CPL positive of the same center and width; ``exponent`` scales it (1 is literal).
    """
    return torch.exp(-exponent * _squared_distance(center, cells) / width.clamp_min(floor)[..., None] ** 2)


def outer_spans(
    center: Float[Tensor, "*A"], width: Float[Tensor, "*A"], ratio: float | Tensor
) -> Float[Tensor, "*A 2 2"]:
    """CPL: (center, width) of the two rule-based negatives, left and right of a positive.

    ``ratio`` = (epoch / epochs)^gamma grows from the borders of the video (easy) to the borders of the positive (hard).
    Each covers its share of the free time, with its width equal to its center's distance from the border.
    """
    left = 0.5 * ratio * (center - width / 2).clamp_min(0)
    right = 0.5 * ratio * (1 - center - width / 2).clamp_min(0)
    return torch.stack((torch.stack((left, left), -1), torch.stack((1 - right, right), -1)), -2)


def natural_width(sigma: float, diversity: float, cells: int) -> float:
    """The width that CPL's diversity term alone would give every proposal: ``sigma / (2 sqrt(pi) lambda S)``.

    The diagonal of the Gram matrix of normalised Gaussians is ``1 / (2 sqrt(pi) s S)`` and the term
    pulls it to lambda.  So lambda, sigma and the grid fix the width *together*; changing one alone moves every width.

    >>> round(natural_width(9, 0.146, 50), 3)
    0.348
    """
    found: float = sigma / (2 * torch.pi**0.5 * diversity * cells)
    return found


def present(masks: Float[Tensor, "B M S"]) -> Float[Tensor, "B M"]:
    """0 for a mask without any mass: attention would fall back to the whole video, so its terms do not count."""
    return (masks.amax(dim=-1) > 0).to(masks.dtype)
