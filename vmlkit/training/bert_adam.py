"""X-CLIP's optimiser: "BertAdam", Adam without bias correction, with decoupled decay, two clips and a cosine schedule.

Three habits of the released code are kept because they change results:

* the schedule starts at 0, so the first update changes nothing, and it falls from 1 to 0.976 at the end of warm-up;
* every tensor is clipped to norm 1 on its own, on top of the global clip;
* decay reaches LayerNorm weights, the logit scale and the identity matrices: the code excludes tensors with "bias" in
  their name, and a name ("LayerNorm.") that never occurs.

What is *not* kept: CLIP weights as float16, updated in float16 with a rate of 1e-7, of which nearly all never move.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from vmlkit.errors import ConfigError
from vmlkit.training.optim import ClippedOptimizer, require_moment


def warmup_cosine(fraction: float, warmup: float = 0.1) -> float:
    """Factor on the learning rate after ``fraction`` of all updates: ``x / warmup``, then ``(1 + cos(pi x)) / 2``.

    >>> [round(warmup_cosine(x), 4) for x in (0.0, 0.05, 0.1, 1.0)]
    [0.0, 0.5, 0.9755, 0.0]
    """
    return fraction / warmup if fraction < warmup else 0.5 * (1 + math.cos(math.pi * fraction))


def decayed(name: str) -> bool:
    """Whether the released code decays a parameter of this name.

    # PAPER: (silent) / CODE: everything without "bias" in its name decays, norms and scales too
    #   -> no switch, because the optimiser is there for parity with that program
    """
    return "bias" not in name


class BertAdam(ClippedOptimizer):
    """``u = mu / (sqrt(nu) + eps) + wd p; p <- p - lr r(n / N) u`` with ``mu, nu`` running means without correction.

    Args:
        lr: learning rate of each, or one for all.
        total_updates: N, updates of the whole run.
        weight_decay: of each, or one for all.
        warmup: share of the run in which the rate rises.
        tensor_clip: largest norm of the gradient of a single tensor; None does not clip.

    Raises:
        ConfigError: where the numbers of parameters, rates and decays differ, or N is not positive.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float | Sequence[float],
        total_updates: int,
        weight_decay: float | Sequence[float] = 0.2,
        warmup: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        clip_norm: float | None = 1.0,
        tensor_clip: float | None = 1.0,
    ) -> None:
        super().__init__(parameters, clip_norm)
        count = len(self._parameters)
        self._lr, self._decay = _each(lr, count), _each(weight_decay, count)
        if len(self._lr) != count or len(self._decay) != count or total_updates < 1:
            raise ConfigError("BertAdam needs a rate and a decay for each parameter, and at least one update")
        self._total, self._warmup, self._betas, self._eps = total_updates, warmup, betas, eps
        self._tensor_clip = tensor_clip
        self._mean = [torch.zeros_like(p) for p in self._parameters]
        self._square = [torch.zeros_like(p) for p in self._parameters]
        self._steps = [0] * count  # a parameter without a gradient does not count the update

    def rates(self) -> list[float]:
        """Learning rate that the next update uses, per parameter."""
        return [lr * warmup_cosine(n / self._total, self._warmup) for lr, n in zip(self._lr, self._steps, strict=True)]

    def _update(self) -> None:
        rates, (first, second) = self.rates(), self._betas
        self.lr_used = rates[0]
        for i, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                continue
            if self._tensor_clip is not None:
                gradient = gradient * (self._tensor_clip / (gradient.norm() + 1e-6)).clamp_max(1.0)
            self._mean[i].mul_(first).add_(gradient, alpha=1 - first)
            self._square[i].mul_(second).addcmul_(gradient, gradient, value=1 - second)
            update = self._mean[i] / (self._square[i].sqrt() + self._eps)
            if self._decay[i]:
                update = update + self._decay[i] * parameter
            parameter.sub_(rates[i] * update)
            self._steps[i] += 1

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`ClippedOptimizer.state_dict`."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps, **super().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        for own, saved in ((self._mean, state["mean"]), (self._square, state["square"])):
            for target, value in zip(own, saved, strict=True):
                require_moment(value, target)
                target.copy_(value)
        self._steps = list(state["steps"])
        super().load_state_dict(state)


def _each(value: float | Sequence[float], count: int) -> list[float]:
    return [float(value)] * count if isinstance(value, (int, float)) else [float(v) for v in value]


def bert_adam_for(
    model: nn.Module, group: Iterable[nn.Parameter], *, lr: float, total_updates: int, clip_norm: float | None = 1.0
) -> BertAdam:
    """BertAdam over ``group`` with the released rules: decay .2 except on biases, CLIP parameters at a thousandth.

    CLIP parameters are those named ``clip.*``; the toy model has none.
    """
    kept = {id(p) for p in group}
    named = [(name, p) for name, p in model.named_parameters() if id(p) in kept]
    return BertAdam(
        [p for _, p in named],
        lr=[lr * 1e-3 if name.startswith("clip.") else lr for name, _ in named],
        total_updates=total_updates,
        weight_decay=[0.2 if decayed(name) else 0.0 for name, _ in named],
        clip_norm=clip_norm,
    )
