"""In which number format a training step multiplies matrices.

======== ==================================================================================================
setting  what it does
======== ==================================================================================================
fp32     float32 throughout, with 24 bits of mantissa; the reference
tf32     products and convolutions of float32 tensors with 11 bits, summed in float32; CUDA only
bf16     autocast: products of bfloat16 tensors, 8 bits, summed in float32; parameters stay float32
======== ==================================================================================================

Whatever places or compares proposals is float32 in all of them: heads, Gaussians and Gram matrices, attention scores,
log-likelihoods and with them every choice of a best proposal (:func:`vmlkit.nn.attention.precisely`).  Predictions and
evaluations are always made in fp32.  ``docs/gpu.md`` has what the settings change, measured.
"""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch

from vmlkit.errors import ConfigError

Precision = Literal["fp32", "tf32", "bf16"]


def check_precision(precision: Precision, device: torch.device) -> None:
    """Whether ``device`` has the format.

    Raises:
        ConfigError: for tf32 on anything but a CUDA device.
    """
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"setting 'train.precision' is 'tf32', which {device.type} has not: choose fp32 or bf16")


@contextlib.contextmanager
def at_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """For a step; afterwards torch's settings are as they were."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    half = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    try:
        with half:
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
