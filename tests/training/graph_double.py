"""Graphs without a card: what is recorded are the operations, and a replay runs them again on the same tensors.

As faithful as it must be to catch what a card would do:

* recording changes nothing: what was written is put back, generators stand where they stood;
* numbers that Python had at the time of recording are constants of the replay;
* results of a replay lie where they lay at recording, and are NaN until then: whoever reads them too early, or keeps
  something in that memory from one step to the next, gets NaN;
* reading a number or a shape back to Python, or drawing from a generator that was not registered, stops the recording.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: operations whose result depends on values, which a card cannot hand out while it records
READS = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "repeat_interleave.Tensor", "equal"}


class Recorded(TorchDispatchMode):
    """A graph on the CPU; see the module."""

    def __init__(self, family: "DoubleGraphs") -> None:
        super().__init__()
        self.family = family
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor | None]]] = []
        self.replays = 0

    def begin(self) -> None:
        self.__enter__()

    def end(self) -> None:
        self.__exit__(None, None, None)
        self.family.put_back()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name in READS or f"{name}.{func._overloadname}" in READS or self._indexes_by_mask(name, args):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        drawn_from = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Generator)]
        if any(g._cdata not in {known._cdata for known in self.family.generators} for g in drawn_from):
            raise RuntimeError("a generator that was not registered is drawn from")
        self.family.remember(func, args)
        found = func(*args, **kwargs)
        given = {_memory(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        results = [t for t in tree_leaves(found) if isinstance(t, Tensor)]
        own: list[Tensor | None] = [None if _memory(t) in given else t.detach() for t in results]
        self.family.keep([t for t in own if t is not None])
        self.operations.append((func, args, kwargs, own))
        return found

    @staticmethod
    def _indexes_by_mask(name: str, args: Any) -> bool:
        """Whether the shape of the result, or where it is written, depends on a boolean mask."""
        if name == "index":
            return any(i is not None and i.dtype == torch.bool for i in args[1])
        return name in ("index_put_", "index_put") and args[2].numel() > 1 and Recorded._indexes_by_mask("index", args)

    def replay(self) -> None:
        self.replays += 1
        if self is self.family.graphs[0]:
            self.family.forget()
        with torch.no_grad():
            for func, args, kwargs, own in self.operations:
                found = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, Tensor)]
                for held, value in zip(own, found, strict=True):
                    if held is not None:
                        held.copy_(value)


def _memory(tensor: Tensor) -> int:
    """What two tensors that share memory have in common."""
    return int(tensor.untyped_storage()._cdata)


class DoubleGraphs:
    """The graphs of one recording, with the memory that they share."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = tuple(generators)
        self.states = [(g, g.get_state()) for g in (torch.default_generator, *generators)]
        self.graphs: list[Recorded] = []
        self.made: list[Tensor] = []
        self.memory: set[int] = set()
        self.written: list[tuple[Tensor, Tensor]] = []

    def new(self) -> Recorded:
        self.graphs.append(Recorded(self))
        return self.graphs[-1]

    def keep(self, results: list[Tensor]) -> None:
        """Results lie where they lie for as long as the graphs exist."""
        self.made += results
        self.memory |= {_memory(t) for t in results}

    def remember(self, func: Any, args: Any) -> None:
        """Keep what an operation is about to overwrite, where the recording did not make it."""
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(value):
                    if isinstance(tensor, Tensor) and _memory(tensor) not in self.memory:
                        self.written.append((tensor.detach(), tensor.detach().clone()))

    def put_back(self) -> None:
        """Undo what recording did."""
        for tensor, value in reversed(self.written):
            tensor.copy_(value)
        self.written.clear()
        for generator, state in self.states:
            generator.set_state(state)

    def abandon(self) -> None:
        self.put_back()

    def forget(self) -> None:
        """Nothing of an earlier step is left in the shared memory."""
        for tensor in self.made:
            if tensor.is_floating_point():
                tensor.fill_(math.nan)
