"""Adam with the references' epsilon, inverse-square-root schedule with warm-up, and a clip that never asks the device.

The released CNM, CPL and PPS use fairseq's Adam and schedule.  Two details differ from ``torch.optim``:

* epsilon joins ``sqrt(v)`` before the bias correction (``eps_rule="reference"``), so early steps on tiny gradients
  are larger or smaller than torch's;
* the clip runs over whatever list the caller hands over.  CNM passes *all* parameters at both of its stages, so the
  norm includes the gradients that the other stage left behind.
"""

import functools
import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vmlkit.errors import ConfigError
from vmlkit.training.method import StepOptimizer

Schedule = Literal["inverse_sqrt", "constant", "steps"]
EpsRule = Literal["reference", "torch"]


def scheduled_lr(
    updates: int,
    *,
    lr: float,
    warmup_updates: int,
    warmup_init_lr: float,
    schedule: Schedule = "inverse_sqrt",
    drop_updates: int = 0,
) -> float:
    """Learning rate after ``updates`` updates, i.e. the one that update number ``updates + 1`` uses.

    ``init + n (lr - init) / warmup`` for ``n < warmup``, then ``lr sqrt(warmup / n)``; the ``constant`` schedule stays
    at ``lr`` after the same warm-up, and ``steps`` divides it by ten after every ``drop_updates`` updates (0: never).

    >>> [float(f"{scheduled_lr(n, lr=4e-4, warmup_updates=2, warmup_init_lr=1e-7):.6g}") for n in range(4)]
    [1e-07, 0.00020005, 0.0004, 0.000326599]
    """
    if updates < warmup_updates:
        return warmup_init_lr + updates * (lr - warmup_init_lr) / warmup_updates
    if schedule == "steps" and drop_updates:
        return lr * 0.1 ** (updates // drop_updates)
    if schedule != "inverse_sqrt" or warmup_updates == 0:
        return lr
    return lr * math.sqrt(warmup_updates / updates)


class ClippedOptimizer(StepOptimizer):
    """One group of parameters, a clip of the global gradient norm before each update, and what the history reads.

    Args:
        parameters: what is updated, in order.
        clip_norm: largest global norm of what is handed to :meth:`step`; None measures the norm and clips nothing.

    Attributes:
        updates: number of updates made.
        lr_used: learning rate of the last update (of the first parameter, where they differ).
        last_norm: gradient norm that the last clip saw, a 0-d tensor on the parameters' device.

    Raises:
        ConfigError: where there are no parameters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], clip_norm: float | None) -> None:
        self._parameters, self._clip_norm = list(parameters), clip_norm
        if not self._parameters:
            raise ConfigError("an optimiser needs at least one trainable parameter")
        self.updates, self.lr_used = 0, 0.0
        self.last_norm = torch.zeros((), device=self._parameters[0].device)

    def zero_grad(self) -> None:
        """Forget the gradients of its own parameters."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, clip: list[nn.Parameter]) -> Tensor:
        """Clip the global norm over ``clip``, update the own parameters, return the norm before clipping (0-d).

        All gradients in ``clip`` are scaled, own or not, as ``clip_grad_norm_`` does in the references.
        """
        norm = torch.nn.utils.get_total_norm([p.grad for p in clip if p.grad is not None])
        if self._clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(clip, self._clip_norm, norm)
        self._update()
        self.updates += 1
        torch.clear_autocast_cache()  # the halved copies are of the parameters before the update
        self.last_norm = norm.detach().to(self._parameters[0].device)
        return self.last_norm

    def _update(self) -> None:
        raise TypeError(f"{type(self).__name__} does not define an update")

    def state_dict(self) -> dict[str, Any]:
        """Moments and counters as tensors and plain numbers (loads with ``weights_only=True``)."""
        return {"updates": self.updates, "lr_used": self.lr_used, "last_norm": self.last_norm}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        if type(state["updates"]) is not int or state["updates"] < 0 or not 0 <= state["lr_used"] < math.inf:
            raise ValueError("its number of updates or its learning rate is none")
        self.updates, self.lr_used = state["updates"], state["lr_used"]
        self.last_norm = state["last_norm"].to(self._parameters[0].device)


def require_moment(moment: Tensor, parameter: Tensor) -> None:
    """Raise ``ValueError`` for a saved moment that is not of its parameter's shape, or not finite."""
    if moment.shape != parameter.shape or not moment.is_floating_point() or not bool(moment.isfinite().all()):
        raise ValueError("a moment of an optimiser does not fit its parameter")


class ScheduledAdam(ClippedOptimizer):
    """Adam over one group of parameters, with its own schedule and clip.

    Args:
        lr: peak learning rate.
        warmup_updates: updates until the peak; 0 means no warm-up and, since the inverse square root has no scale
            then, a constant rate.
        warmup_init_lr: learning rate of the first update.
        eps_rule: ``"reference"``: ``p -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)``; ``"torch"``: epsilon is
            added after the bias correction.  Parameters that had no gradient in some updates share the group's ``t``
            in the reference rule's epsilon (and only there).
        weight_decay: decoupled (AdamW); the DETR family.
        drop_updates: of the ``steps`` schedule.
        l2: weight decay added to the gradient after the clip, as ``torch.optim.Adam`` does (P3, CO2-Net, BaS-Net).
        lag: updates by which the schedule stays behind; P3 sets the rate after the update, so its first two updates
            both run at ``warmup_init_lr`` (lag 1).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float = 4e-4,
        warmup_updates: int = 400,
        warmup_init_lr: float = 1e-7,
        clip_norm: float | None = 10.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_rule: EpsRule = "reference",
        schedule: Schedule = "inverse_sqrt",
        weight_decay: float = 0.0,
        drop_updates: int = 0,
        l2: float = 0.0,
        lag: int = 0,
    ) -> None:
        super().__init__(parameters, clip_norm)
        self._rate = functools.partial(
            scheduled_lr,
            lr=lr,
            warmup_updates=warmup_updates,
            warmup_init_lr=warmup_init_lr,
            schedule=schedule,
            drop_updates=drop_updates,
        )
        self._lag = lag
        self._beta2, self._eps, self._eps_rule = betas[1], eps, eps_rule
        self.lr_used = self._rate(0)
        # one kernel for all tensors: a quarter of the time of torch's default loop on a CPU, and no host reads
        fused = all(p.device.type in ("cpu", "cuda") for p in self._parameters)
        # l2 joins the gradient (Adam), weight_decay does not (AdamW)
        adam: Any = torch.optim.AdamW if weight_decay else torch.optim.Adam
        decay = weight_decay or l2
        self._adam = adam(self._parameters, lr=self.lr_used, betas=betas, eps=eps, fused=fused, weight_decay=decay)

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        """As :meth:`ClippedOptimizer.step`, on gradients that lie in memory as their parameters do."""
        for p in self._parameters:
            # the fused kernel reads memory in the parameter's order, and autograd.grad may return a strided view
            if p.grad is not None and p.grad.stride() != p.stride():
                p.grad = torch.empty_like(p).copy_(p.grad)
        return super().step(clip)

    def _update(self) -> None:
        self.lr_used = self._rate(max(self.updates - self._lag, 0))
        group = self._adam.param_groups[0]
        group["lr"] = self.lr_used
        if self._eps_rule == "reference":
            group["eps"] = self._eps / math.sqrt(1 - self._beta2 ** (self.updates + 1))
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`ClippedOptimizer.state_dict`."""
        return {"adam": self._adam.state_dict(), **super().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`.

        Raises:
            ValueError: for moments of another shape than their parameters, which torch would take.
        """
        for key, moments in state["adam"]["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                require_moment(moments[name], self._parameters[key])
        for own, saved in zip(self._adam.param_groups, state["adam"]["param_groups"], strict=True):
            # rates are tensors where steps are captured; further names are those of another torch
            kinds = {name: type(value) for name, value in own.items() if name not in ("lr", "eps")}
            if any(type(saved[name]) is not kind for name, kind in kinds.items() if name in saved):
                raise ValueError("it holds other settings of Adam")
        self._adam.load_state_dict(state["adam"])
        super().load_state_dict(state)
