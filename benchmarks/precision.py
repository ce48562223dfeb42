"""What a number format changes in a training step, on a CPU: loss, gradients and choices against float64.

``python -m benchmarks.precision [--json PATH] [METHOD ...]``: every method at the size of the toy world with fresh
weights, the same batch and words, dropout off (float64 would draw other masks).  fp32 is the yardstick: no format is
nearer to float64 than that.
"""

import dataclasses
import json
from typing import Any

import torch
from torch import Tensor

from benchmarks import _frame
from vmlkit.config import with_overrides
from vmlkit.experiments.experiment import build
from vmlkit.methods import METHODS, preset
from vmlkit.training.method import LossTerms, Method, Progress, outside_autocast
from vmlkit.training.precision import Precision, at_precision

CPU, CLOCK = torch.device("cpu"), Progress(3, 10)
TINY = {"data.train_videos": 24, "data.validation_videos": 3, "data.test_videos": 3}
#: parts of parameters' names that place or weigh proposals
HEADS = ("proposal_head", "learner.head", "learner.selection", "negative_head", "span_head", "class_head")


@dataclasses.dataclass(frozen=True)
class Found:
    """One step."""

    loss: Tensor
    gradients: dict[str, Tensor]
    best: Tensor | None  #: of each query, where answers are ranked


def made(name: str) -> tuple[Method[Any], Any]:
    """The method with fresh weights and a batch, both in float64."""
    experiment = with_overrides(preset(name, "toy", "ci"), TINY)
    entry = METHODS[name]
    splits = entry.load(experiment.data, progress=False)
    task = entry.task(experiment)
    batch = task.batch(splits.train, task.order(splits.train, 16, 0, 1)[0], seed=1)
    doubled = batch.map(lambda t: t.double() if t.is_floating_point() else t)
    return build(experiment, splits.train).double().eval(), doubled


def step(method: Method[Any], batch: Any, precision: Precision) -> Found:
    """Loss and gradients, and what the method would answer."""
    method.zero_grad(set_to_none=True)
    with at_precision(precision, CPU):
        loss: LossTerms = method.training_loss(batch, CLOCK, torch.Generator().manual_seed(5))
        with outside_autocast(loss.total):
            loss.total.backward()
        try:
            said = method.predict(batch, torch.Generator().manual_seed(5), CLOCK)
        except TypeError:  # actions and retrieval answer otherwise
            best = None
        else:
            best = said.order[:, 0] if said.order.shape[1] > 1 else None
    gradients = {n: p.grad.double() for n, p in method.named_parameters() if p.grad is not None}
    return Found(loss.total.detach().double(), gradients, best)


def compared(exact: Found, found: Found) -> dict[str, float | None]:
    """Relative differences of the loss, of all gradients and of those of heads, and the share of other choices."""
    heads = [n for n in exact.gradients if any(part in n for part in HEADS)]
    other = None if exact.best is None or found.best is None else float((exact.best != found.best).double().mean())
    return {
        "loss": float((found.loss - exact.loss).abs() / exact.loss.abs()),
        "gradient": _apart(exact, found, list(exact.gradients)),
        "heads": _apart(exact, found, heads) if heads else None,
        "other_best": other,
    }


def _apart(exact: Found, found: Found, names: list[str]) -> float:
    true = torch.cat([exact.gradients[n].flatten() for n in names])
    return float((torch.cat([found.gradients[n].flatten() for n in names]) - true).norm() / true.norm())


def measure(name: str) -> dict[str, dict[str, float | None]]:
    """fp32 and bf16 against float64."""
    method, batch = made(name)
    exact = step(method, batch, "fp32")
    method, batch = method.float(), batch.map(lambda t: t.float() if t.is_floating_point() else t)
    return {p: compared(exact, step(method, batch, p)) for p in ("fp32", "bf16")}  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> None:
    """Print the differences; keep them with ``--json``."""
    parser = _frame.options(__doc__)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="all unless given")
    options = parser.parse_args(arguments)
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"unknown method '{min(unknown)}': choose from {', '.join(METHODS)}")
    torch.set_num_threads(1)
    found = {}
    for name in options.methods or METHODS:
        found[name] = measure(name)
        print(name, json.dumps(found[name]), flush=True)
    _frame.keep(options.json, "precision", methods=found)


if __name__ == "__main__":
    main()
