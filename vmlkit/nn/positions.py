"""Sinusoidal positions of clips and of spans (the DETR family); those of words lie in :mod:`vmlkit.nn.transformer`."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.nn.tables import device_table


def clip_positions(
    mask: Bool[Tensor, "B T"], hidden: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B T D"]:
    """Sine positions of clips, relative to each video's own length.

    ``e = 2 pi rank / n`` with ``rank = 1..n`` (n stays on padding), and ``pe[2m], pe[2m+1] = sin, cos(e / f_m)`` with
    ``f_m = 10000^(2m / D)``.

    >>> clip_positions(torch.tensor([[True, True]]), 2).round(decimals=2).tolist()
    [[[0.0, -1.0], [-0.0, 1.0]]]
    """
    rank = mask.cumsum(1, dtype=dtype)
    return span_positions(rank / (rank[:, -1:] + 1e-6), hidden)


def span_positions(turns: Float[Tensor, "..."], features: int) -> Float[Tensor, "... F"]:
    """Sine features of one coordinate x of a span in [0, 1]: ``[sin(a / f_0), cos(a / f_0), sin(a / f_1), ...]``.

    ``a = 2 pi x`` and ``f_m = 10000^(2m / F)``; a pair shares its frequency.
    """
    phase = turns[..., None] * device_table(_rates, features, device=turns.device, dtype=turns.dtype)
    return torch.stack((phase.sin(), phase.cos()), dim=-1).flatten(-2)


def _rates(features: int) -> Float[Tensor, " pairs"]:
    """``2 pi / f_m`` of each pair of features."""
    return 2 * math.pi / 10000 ** (2 * torch.arange(features // 2, dtype=torch.float64) / features)
