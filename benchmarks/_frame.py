"""What benchmarks share: options, ways that take turns, gates, processes of their own, and the record that is kept."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vmlkit import provenance
from vmlkit.files import write_json

#: what two ways to one step may differ by: rounding, of the loss and of the whole gradient
LOSS_GAP, GRADIENT_GAP = 1e-6, 1e-5


def options(about: str | None, example: str = "") -> argparse.ArgumentParser:
    """A parser with ``--json``, described by the first line of a benchmark's docstring."""
    parser = argparse.ArgumentParser(
        description=(about or "").splitlines()[0], epilog=f"example: {example}" if example else None
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers and where they come from")
    return parser


def keep(path: Path | None, name: str, accelerator: str | None = None, threads: int = 1, **numbers: Any) -> None:
    """Write the numbers of a benchmark with the command and what they were measured with; nothing without a path.

    Folders of the machine do not stand in it.
    """
    if path is not None:
        given = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
        command = " ".join(["python -m", f"benchmarks.{name}", *given])
        record = {"benchmark": name, "command": command, **numbers, **provenance.made_with(accelerator, threads)}
        write_json(path, record)


def of_a_process(benchmark: str, *arguments: str) -> Any:
    """What ``python -m benchmarks.NAME ARGUMENTS`` prints as the JSON of its last line: memory is that of one process.

    Raises:
        SystemExit: with the end of its messages, where it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{benchmark}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{benchmark} {' '.join(arguments)}: {done.stderr[-800:]}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def summary(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_turn(
    ways: Mapping[str, Callable[..., object]],
    rounds: int,
    warm: int = 1,
    clock: Callable[[], float] = time.process_time,
    each: Sequence[Any] | None = None,
) -> dict[str, dict[str, float]]:
    """Seconds of a call of each way, by default of the processor.

    The ways alternate, after some rounds that do not count; in a round each is called once, or with each of ``each``.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm + rounds):
        for name, run in ways.items():
            for arguments in ((),) if each is None else ((one,) for one in each):
                started = clock()
                run(*arguments)
                if turn >= warm:
                    seconds[name].append(clock() - started)
    return {name: summary(taken) for name, taken in seconds.items()}


def against_naive(row: Mapping[str, Any]) -> str:
    """A line about a vectorised way beside a naive one, and the largest difference of their numbers."""
    fast, slow = row["vectorised"], row["naive"]
    shown = "   ".join(
        f"{name} {1e3 * of['median']:8.1f} ms ({1e3 * of['min']:.1f}-{1e3 * of['max']:.1f})"
        for name, of in (("vectorised", fast), ("naive", slow))
    )
    return f"{shown}   x{slow['median'] / fast['median']:.0f}   difference {row['difference']:.1e}"


def verdict(correct: bool) -> int:
    """Say whether the gate holds, and return the exit status."""
    print("correct" if correct else "NOT EQUAL: the timing above is void")
    return 0 if correct else 1


class IdleOptimizer:
    """What a step needs of an optimiser, without an update: forward and backward alone are measured."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters, self.steps = parameters, 0

    def zero_grad(self) -> None:
        """Forget the gradients of its own parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        """Check that there is something to learn from, and leave it."""
        if all(parameter.grad is None for parameter in self.parameters):
            raise AssertionError("an optimiser steps on parameters without any gradient")
        self.steps += 1
        return torch.zeros((), device=self.parameters[0].device)


def gradient_of(model: nn.Module) -> Tensor:
    """The gradient of all parameters as one vector; 0 where one has none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


def apart(found: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The largest relative difference of each loss and gradient from the first ones.

    Raises:
        SystemExit: where it is more than rounding, :data:`LOSS_GAP` or :data:`GRADIENT_GAP`.
    """
    (loss, gradient), gaps = next(iter(found.values())), {}
    for name, (other_loss, other) in found.items():
        of_loss = float((other_loss - loss).abs() / loss.abs())
        of_gradient = float((other - gradient).norm() / gradient.norm())
        if of_loss > LOSS_GAP or of_gradient > GRADIENT_GAP:
            raise SystemExit(f"{name}: loss differs by {of_loss:.1e}, gradient by {of_gradient:.1e}; timing is void")
        gaps[name] = max(of_loss, of_gradient)
    return gaps
