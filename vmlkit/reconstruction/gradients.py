"""Deciding who learns from a loss."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Valve:
    """An identity whose gradient is multiplied by a factor that is known only later, once the losses are.

    Two losses may share one forward pass and yet send different gradients into what they were computed from: pass the
    input through the valve, compute both losses, then set ``factor`` (broadcast to the input) before ``backward``.
    """

    def __init__(self) -> None:
        self.factor: Tensor | float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` itself; its gradient will be scaled by the factor of that time."""
        if not x.requires_grad:
            return x
        out = x.view_as(x)
        out.register_hook(self._scale)
        return out

    def _scale(self, gradient: Tensor) -> Tensor:
        factor = self.factor
        if isinstance(factor, Tensor):
            factor = factor.view(*factor.shape, *(1 for _ in range(gradient.dim() - factor.dim())))
        return gradient * factor


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within the block the parameters of ``module`` count as constants; gradients still pass through to its inputs."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def gradient_norm(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """Global norm of the gradient of ``loss`` in ``parameters`` (0-d; the graph is kept)."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    found = [g for g in gradients if g is not None]
    return torch.nn.utils.get_total_norm(found) if found else loss.new_zeros(())
