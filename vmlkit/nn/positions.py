"""Sinusoidal word positions, as in the released CNM, CPL and PPS."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def word_positions(length: int, hidden: int) -> Float[Tensor, "L D"]:
    """Position table: row p is ``[sin(p w_i) | cos(p w_i)]``, ``w_i = exp(-i ln(1e4) / (D/2 - 1))``.

    The halves are not interleaved, and row 0 is **zero** (specification 2.3): the start token carries no position.

    >>> word_positions(2, 4)[0].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    half = hidden // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates[None]
    table = torch.cat((angles.sin(), angles.cos()), dim=1)
    if hidden % 2:
        table = torch.nn.functional.pad(table, (0, 1))
    table[0] = 0.0
    return table
