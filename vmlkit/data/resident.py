"""Splits that lie on the device, so that a batch is one index operation there and only row numbers are copied.

A split says which of its fields batches are gathered from (``gathered``).  Features keep the type in which they were
loaded: with ``data.feature_dtype="float16"``, as the published sizes have it, Charades-STA takes 2.7 GB.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from vmlkit.errors import ConfigError

S = TypeVar("S")
#: "auto": where they fit; "on": on the device or not at all; "off": on the host, batches are copied
Resident = Literal["auto", "on", "off"]
#: share of what is free on a device that splits may take, unless a budget is named; the rest is for training
SHARE = 0.5


def gathered_tensors(split: Any) -> Iterator[Tensor]:
    """Every tensor that batches of ``split`` are gathered from; a split within it counts too."""
    for name in getattr(split, "gathered", ()):
        value = getattr(split, name)
        if isinstance(value, Tensor):
            yield value
        else:
            yield from gathered_tensors(value)


def placed(split: S, move: Callable[[Tensor], Tensor]) -> S:
    """The split with ``move`` applied to what batches are gathered from; all else is shared."""
    changes: dict[str, Any] = {}
    for name in getattr(split, "gathered", ()):
        value = getattr(split, name)
        changes[name] = move(value) if isinstance(value, Tensor) else placed(value, move)
    if not changes:
        return split
    moved: S = dataclasses.replace(split, **changes)  # type: ignore[type-var]
    return moved


class Residence:
    """The memory of one device that splits may take.

    What two splits share, such as the features of a training file and of the videos set aside from it, lies there once.

    Args:
        device: where training happens.
        mode: see :data:`Resident`.
        budget_gb: how much the splits may take, in 10^9 bytes; half of what is free on the device unless given.
        say: is told, in one line, of a split that stays on the host.
    """

    def __init__(
        self,
        device: torch.device,
        mode: Resident = "auto",
        budget_gb: float | None = None,
        say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    ) -> None:
        self.device = torch.empty(0, device=device).device  # "cuda" is "cuda:0", or whichever card is the current one
        self.mode, self._say = mode, say
        self.allowed = free_bytes(device) * SHARE if budget_gb is None else budget_gb * 1e9
        self.used = 0
        #: what was moved and where to; the first is kept, so that no other tensor takes its place in memory
        self._there: dict[tuple[Any, ...], tuple[Tensor, Tensor]] = {}

    def admit(self, split: S) -> S:
        """The split on the device, or as it is where it does not fit.

        Raises:
            ConfigError: where it does not fit and ``mode`` is "on".
        """
        missing = {_key(t): t for t in gathered_tensors(split) if t.device != self.device}
        if self.mode == "off" or not missing:
            return split
        needed = sum(t.nbytes for key, t in missing.items() if key not in self._there)
        if needed > self.allowed - self.used:
            name = getattr(split, "name", "a split")
            what = (
                f"{name} needs {_gb(needed)} on {self.device}, and {_gb(max(self.allowed - self.used, 0))} are allowed"
            )
            if self.mode == "on":
                raise ConfigError(f"{what}: raise 'train.resident_gb', or set 'train.resident' to 'auto' or 'off'")
            self._say(f"{what} ('train.resident_gb'): it stays on the host, and each batch is copied")
            return split
        self.used += needed
        return placed(split, self._move)

    def _move(self, tensor: Tensor) -> Tensor:
        key = _key(tensor)
        if key not in self._there:
            self._there[key] = tensor, tensor.to(self.device)
        return self._there[key][1]


def free_bytes(device: torch.device) -> float:
    """Memory that is free on a device; without end where that is not counted (the CPU, the meta device)."""
    if device.type in ("cpu", "meta"):
        return float("inf")
    free: int = torch.get_device_module(device).mem_get_info(device)[0]
    return free


def _key(tensor: Tensor) -> tuple[Any, ...]:
    """The same for two views of the same numbers."""
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


def _gb(count: float) -> str:
    return f"{count / 1e9:.3g} GB"
