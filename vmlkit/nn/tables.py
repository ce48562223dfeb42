"""Constant tables that a step reads, made once and kept on every device where they are asked for.

A table made anew in each step is a dozen kernels on a card, or a copy for which the host waits; and a captured graph
may read only memory that stays where it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

#: never emptied, since a captured graph goes on reading what it found; there are as many tables as sizes in use
_KEPT: dict[tuple[Any, ...], Tensor] = {}


def device_table(
    make: Callable[..., Tensor], *sizes: float, device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """``make(*sizes)`` on ``device``, the same tensor at every call; it must not be written to.

    The numbers are computed on the CPU, so that they are the same on every device.

    Args:
        make: a function of numbers alone.
        dtype: of the result; that of ``make`` by default.
    """
    if torch.compiler.is_compiling():  # the compiler keeps what does not change
        return make(*sizes).to(device=device, dtype=dtype)
    key = (make, sizes, device, dtype)
    if (found := _KEPT.get(key)) is None:
        with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
            found = _KEPT[key] = make(*sizes).to(device=device, dtype=dtype)
    return found


def weighted_sum(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """``sum_i weights_i values_i`` of 0-d tensors, or of all numbers of tensors with an axis, by three operators."""
    row = [weight for value, weight in zip(values, weights, strict=True) for _ in range(value.numel())]
    factors = device_table(_row, *row, device=values[0].device, dtype=values[0].dtype)
    return (torch.cat([value.reshape(-1) for value in values]) * factors).sum()


def _row(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)
