"""Splits that lie on the device, so that a batch is one index operation there and only row numbers are copied.

A split says which of its fields batches are gathered from (``gathered``).  Features keep the type in which they were
loaded: with ``data.feature_dtype="float16"``, as the published sizes have it, Charades-STA takes 2.7 GB.
"""

import dataclasses
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from vmlkit.errors import ConfigError

S = TypeVar("S")
#: what lies on a device already, by what it is a copy of; runs of one process that train on one split share it
_THERE: dict[tuple[Any, ...], tuple[weakref.ref[Tensor], weakref.ref[Tensor]]] = {}
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

    What several splits or runs share, such as the features of a training file and of the videos set aside from it, lies
    there once, as long as any of them uses it.

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

    def admit(self, split: S) -> S:
        """The split on the device, or as it is where it does not fit.

        Raises:
            ConfigError: where it does not fit and ``mode`` is "on".
        """
        away = {_key(t): t for t in gathered_tensors(split) if t.device != self.device}
        if self.mode == "off" or not away:
            return split
        needed = sum(t.nbytes for t in away.values() if self._copy_of(t) is None)
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
        if tensor.device == self.device:
            return tensor
        found = self._copy_of(tensor)
        if found is None:
            for key in [key for key, (host, copy) in _THERE.items() if host() is None or copy() is None]:
                del _THERE[key]
            found = tensor.to(self.device)
            _THERE[self.device, _key(tensor)] = weakref.ref(tensor), weakref.ref(found)
        return found

    def _copy_of(self, tensor: Tensor) -> Tensor | None:
        host, copy = _THERE.get((self.device, _key(tensor)), (lambda: None, lambda: None))
        return None if host() is None else copy()


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
