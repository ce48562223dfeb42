"""Sinusoidal positions of clips and of spans (the DETR family); those of words lie in :mod:`vmlkit.nn.transformer`."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def clip_positions(
    mask: Bool[Tensor, "B T"], hidden: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B T D"]:
    """Sine positions of clips, relative to each video's own length.

    ``e = 2 pi rank / n`` with ``rank = 1..n`` (n stays on padding), and ``pe[2m], pe[2m+1] = sin, cos(e / f_m)`` with
    ``f_m = 10000^(2m / D)``.

    >>> clip_positions(torch.tensor([[True, True]]), 2).round(decimals=2).tolist()
    [[[0.0, -1.0], [-0.0, 1.0]]]
    """
    rank = mask.to(dtype).cumsum(1)
    angle = rank / (rank[:, -1:] + 1e-6) * (2 * math.pi)
    return _interleaved(angle, hidden)


def span_positions(values: Float[Tensor, "..."], features: int) -> Float[Tensor, "... F"]:
    """Sine features of one coordinate of a span in [0, 1]: ``sin, cos(2 pi x / f_m)``, ``f_m = 10000^(2m / F)``."""
    return _interleaved(values * (2 * math.pi), features)


def _interleaved(angle: Float[Tensor, "..."], features: int) -> Float[Tensor, "... F"]:
    """``[sin(a / f_0), cos(a / f_0), sin(a / f_1), ...]``, the two halves of a pair sharing a frequency."""
    pair = torch.div(torch.arange(features, device=angle.device), 2, rounding_mode="floor").to(angle.dtype)
    phase = angle[..., None] / 10000 ** (2 * pair / features)
    return torch.stack((phase[..., 0::2].sin(), phase[..., 1::2].cos()), dim=-1).flatten(-2)
