"""Operators of one training step of every method, counted without a card, and what in it would wait for the host.

``python -m benchmarks.operators [METHOD ...] [--learn]``: everything lies on the *meta* device, where tensors have
shapes and no numbers, so the released sizes cost nothing.  A step is the method's own, forward and backward through all
its stages, with optimisers that do nothing.  Counted are the operators that torch dispatches, and of those the ones
that launch a kernel (not views).  ``--learn`` writes the counts to ``tests/operators/FAMILY.json``, against which
``tests/operators`` holds every method within 2 %; a change that lowers a count learns it again.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks._frame import IdleOptimizer
from vmlkit.actions import methods as actions
from vmlkit.actions.method import ActionMethod
from vmlkit.components import methods as components
from vmlkit.detr import methods as detr
from vmlkit.experiments.experiment import build, task_of
from vmlkit.methods import METHODS, preset
from vmlkit.reconstruction import methods as reconstruction
from vmlkit.training.experiment import Experiment
from vmlkit.training.method import Method, Progress

FAMILIES = {
    "reconstruction": reconstruction.METHODS,
    "detr": detr.METHODS,
    "actions": actions.METHODS,
    "components": components.METHODS,
}
#: where each family's released sizes are; the toy world has the rest
RELEASED = {"reconstruction": "charades", "detr": "planted:charades_cd", "actions": "thumos14", "components": "toy"}
FOLDER = Path(__file__).resolve().parent.parent / "tests" / "operators"
META = torch.device("meta")

#: calls that make a tensor from numbers of the host, or read one back
_FROM_HOST = {torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy, Tensor.new_tensor}
_TO_HOST = {Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.numpy, Tensor.__bool__, Tensor.__int__, Tensor.__float__}
#: operators whose result has a size that only the device knows, or that hand a number to the host
_WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "is_nonzero", "equal")


class DrawsOnMeta(torch.Generator):
    """A generator that says it lies on the meta device, which has none of its own."""

    device = META


class _Dispatched(TorchDispatchMode):
    """Counts operators, and notes those that touch another device than META or wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.launches, self.problems = 0, []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.operators[name] += 1
        self.launches += not func.is_view
        if name in _WAITING:
            self.problems.append(f"{name} waits for the device")
        if "index" in name and any(isinstance(i, Tensor) and i.dtype == torch.bool for i in tree_leaves(args[1:2])):
            self.problems.append(f"{name} by a mask waits for the device")
        self._note(name, (args, kwargs))
        result = func(*args, **(kwargs or {}))
        self._note(name, result)
        return result

    def _note(self, name: str, values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor) and value.device != META:
                self.problems.append(f"{name} has a tensor {tuple(value.shape)} on {value.device}")


class _Called(TorchFunctionMode):
    """Notes calls that copy between the host and the device, which leave no trace among meta operators."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FROM_HOST:
            self.problems.append(f"{func.__name__} makes a tensor on the host")
        elif func in _TO_HOST:
            self.problems.append(f"{func.__name__} reads a tensor back")
        elif func in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, (list, np.ndarray)) for part in index):
                self.problems.append("an index is a list of the host")
        return func(*args, **(kwargs or {}))


@dataclasses.dataclass
class Audit:
    """What happened within :func:`audited`."""

    operators: Counter[str] = dataclasses.field(default_factory=Counter)
    launches: int = 0  #: operators that are no views
    problems: list[str] = dataclasses.field(default_factory=list)  #: copies between devices, and waits

    @property
    def counts(self) -> dict[str, int]:
        """The two numbers that are committed."""
        return {"operators": self.operators.total(), "launches": self.launches}


@contextlib.contextmanager
def audited() -> Iterator[Audit]:
    """Watch every torch operator of the block; the result is filled in at its end."""
    found, dispatched, called = Audit(), _Dispatched(), _Called()
    try:
        with dispatched, called:
            yield found
    finally:
        found.operators, found.launches = dispatched.operators, dispatched.launches
        found.problems = dispatched.problems + called.problems


@dataclasses.dataclass
class Case:
    """A method on the meta device with a batch of its family."""

    experiment: Experiment
    method: Method[Any]
    batch: Any
    progress: Progress = dataclasses.field(default_factory=lambda: Progress(3, 10, 40))

    def step(self) -> dict[str, IdleOptimizer]:
        """One training step."""
        self.method.train()
        optimizers = {name: IdleOptimizer(group) for name, group in self.method.parameter_groups().items()}
        self.method.step(self.batch, self.progress, DrawsOnMeta(), optimizers)
        return optimizers

    def answer(self) -> None:
        """What a method says of a batch, and what it measures on one at the end of an epoch."""
        self.method.eval()
        with torch.no_grad():
            if isinstance(self.method, ActionMethod):
                self.method.localise(self.batch.frames, self.method.localiser.class_queries())
            elif self.experiment.method != "p4-xclip":  # ranks a whole split at once, by the parts of its step
                self.method.predict(self.batch, DrawsOnMeta(), self.progress)
        self.method.diagnose(self.batch, self.progress, DrawsOnMeta())


def sizes() -> dict[str, Experiment]:
    """What is counted, by name: each method at its released size, and at that of the toy world's tests."""
    found = {}
    for family, methods in FAMILIES.items():
        for method in methods:
            found[method] = preset(method, RELEASED[family], "paper")
            found[f"{method} (toy)"] = preset(method, "toy", "ci")
    return found


def make(name: str) -> Case:
    """A method of :func:`sizes` with a few videos of the toy world, whose sizes do not change any count."""
    experiment = sizes()[name]
    toy = preset(experiment.method, "toy", "ci").data
    few = dataclasses.replace(toy, train_videos=24, validation_videos=3, test_videos=3)
    splits = _splits(experiment.method, few)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lambda was published")
        method, task = build(experiment, splits.train), task_of(experiment)
    rows = task.order(splits.train, experiment.train.batch_size, 0, 1)[0]
    return Case(experiment, method.to(META), task.batch(splits.train, rows[:10], 0).to(META))


@functools.lru_cache(maxsize=4)
def _splits(method: str, data: Any) -> Any:
    return METHODS[method].load(data, progress=False)


def count(name: str) -> Audit:
    """One training step, watched; the step before it has made what is kept from step to step."""
    case = make(name)
    case.step()
    with audited() as audit:
        case.step()
    return audit


def committed(family: str) -> dict[str, dict[str, int]]:
    """The learned counts of a family."""
    counts: dict[str, dict[str, int]] = json.loads((FOLDER / f"{family}.json").read_text())
    return counts


def main() -> None:
    """Print the counts, optionally keep them."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: python -m benchmarks.operators lnp-cpl cpl --learn"
    )
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="all unless given")
    parser.add_argument("--learn", action="store_true", help="write the counts to tests/operators/FAMILY.json")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="also print the N most frequent operators")
    arguments = parser.parse_args()
    if unknown := set(arguments.methods) - set(METHODS):
        parser.error(f"unknown method '{min(unknown)}': choose from {', '.join(METHODS)}")
    print(f"{'step':28s} operators  launches")
    for family, methods in FAMILIES.items():
        path = FOLDER / f"{family}.json"
        counts = committed(family) if path.is_file() else {}
        names = [n for n, e in sizes().items() if e.method in methods and e.method in (arguments.methods or METHODS)]
        for name in names:
            audit = count(name)
            before = f"  (committed: {counts[name]['operators']})" if name in counts else ""
            print(f"{name:28s} {audit.counts['operators']:9d} {audit.launches:9d}{before}")
            for operator, times in audit.operators.most_common(arguments.most):
                print(f"    {times:5d} {operator}")
            for problem, times in Counter(audit.problems).items():
                print(f"    {times} x {problem}")
            counts[name] = audit.counts
        if arguments.learn and names:
            path.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
