"""Constant tables that a step reads, made once and kept on every device where they are asked for.

A table made anew in each step is a dozen kernels on a card, or a copy for which the host waits; and a captured graph
may read only memory that stays where it is.
"""

from collections.abc import Callable
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
        with torch.inference_mode(False), torch.no_grad():
            found = _KEPT[key] = make(*sizes).to(device=device, dtype=dtype)
    return found
