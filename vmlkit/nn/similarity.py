"""Similarities between vectors and between sets of vectors: cosine, and two ways to compare word matrices.

Axes: B samples, L words of the one text, M words of the other, D hidden.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: temperature of the softmax that stands in for a maximum (X-CLIP)
SHARP = 0.01


class _Unit(torch.autograd.Function):
    """``y = x / max(|x|, 1e-12)``; the gradient is that of y less its share along y, by a third of the operators."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(1e-12)
        found: Tensor = x / length
        ctx.save_for_backward(found, length)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        found, length = ctx.saved_tensors
        along = (found * gradient).sum(dim=-1, keepdim=True)
        across: Tensor = torch.addcmul(gradient, found, along, value=-1) / length
        return across


def unit(x: Float[Tensor, "*A D"]) -> Float[Tensor, "*A D"]:
    """``x / |x|`` along the last axis; a zero vector stays zero."""
    found: Tensor = _Unit.apply(x)
    return found


def cosine(a: Float[Tensor, "*#A D"], b: Float[Tensor, "*#A D"]) -> Float[Tensor, "*#A"]:
    """Cosine along the last axis."""
    return (unit(a) * unit(b)).sum(dim=-1)


def resized(words: Float[Tensor, "*A L D"], mask: Bool[Tensor, "*A L"], length: int) -> tuple[Tensor, Tensor]:
    """``words`` and ``mask`` with exactly ``length`` positions: cut, or padded with zeros and False."""
    missing = length - words.shape[-2]  # a negative number cuts
    return torch.nn.functional.pad(words, (0, 0, 0, missing)), torch.nn.functional.pad(mask, (0, missing))


def masked_mean(x: Float[Tensor, "*A L D"], mask: Bool[Tensor, "*A L"]) -> Float[Tensor, "*A D"]:
    """Mean over the positions where ``mask`` is True; zero where there are none."""
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(dim=-2) / weight.sum(dim=-2).clamp_min(1)


def masked_softmax(scores: Tensor, mask: Bool[Tensor, "*A"] | None, dim: int) -> Tensor:
    """Softmax over the positions where ``mask`` (broadcast to ``scores``) is True; uniform where there are none."""
    if mask is None:
        return torch.softmax(scores, dim=dim)
    return torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=dim)


def soft_maximum(
    scores: Tensor, dim: int, mask: Bool[Tensor, "*A"] | None = None, temperature: float = SHARP
) -> Tensor:
    """``sum_i softmax_i(scores / temperature) scores_i``: a maximum that has a gradient everywhere.

    >>> soft_maximum(torch.tensor([0.1, 0.9]), dim=0).round(decimals=4)
    tensor(0.9000)
    """
    return (masked_softmax(scores / temperature, mask, dim) * scores).sum(dim=dim)


def late_interaction(
    words: Float[Tensor, "*#A L D"],
    mask: Bool[Tensor, "*#A L"],
    others: Float[Tensor, "*#A M D"],
    other_mask: Bool[Tensor, "*#A M"],
    *,
    form: str = "late",
    temperature: float = SHARP,
) -> Float[Tensor, "*#A"]:
    """Similarity of two texts from their words: P4 Eq. (7), of which the paper's own definition is not public.

    Every word looks for its like in the other text (a soft maximum), in both directions; then the words are summed up.

    * ``late``: by their mean, as in other work on late interaction.  One word that finds no like costs ``1 / L``.
    * ``aosm``: by a second soft maximum, X-CLIP's own form with identity matrices.  It is nearly the *best* pair of
      words, so texts that share a single word look alike.

    Args:
        words: of the one text; need not be of unit length.
        mask: real words only: a start token has the same state in every text and would make ``aosm`` exactly 1.
        others: words of the other text.
        form: "late" or "aosm".
    """
    pairs = unit(words) @ unit(others).transpose(-1, -2)  # (..., L, M)
    there, back = other_mask[..., None, :], mask[..., :, None]
    own = soft_maximum(pairs, -1, there, temperature)  # (..., L)
    their = soft_maximum(pairs, -2, back, temperature)  # (..., M)
    if form == "aosm":
        return (soft_maximum(own, -1, mask, temperature) + soft_maximum(their, -1, other_mask, temperature)) / 2
    if form != "late":
        raise ValueError(f"form is {form!r}: choose 'late' or 'aosm'")
    return (_mean(own, mask) + _mean(their, other_mask)) / 2


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(values.dtype)
    return (values * weight).sum(dim=-1) / weight.expand_as(values).sum(dim=-1).clamp_min(1)
