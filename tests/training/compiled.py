"""Every method compiled: ``python -m tests.training.compiled METHOD[:bf16]...`` prints one line of JSON a method.

A program of its own because the checks of shapes that the tests install would be traced too.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vmlkit.config import with_overrides
from vmlkit.experiments.experiment import build
from vmlkit.methods import METHODS, preset
from vmlkit.training.method import LossTerms, Method, Progress

PROGRESS = Progress(epoch=3, max_epochs=10)
TINY = {"data.train_videos": 8, "data.validation_videos": 3, "data.test_videos": 3}
#: three pairs of videos that share an action, which co-activity asks for
QUERIES = 6


def made(name: str, **settings: Any) -> tuple[Method, Any]:
    """The method's smallest toy preset with some settings of its model changed, and a batch."""
    model = {f"model.{key.replace('__', '.')}": value for key, value in settings.items()}
    experiment = with_overrides(preset(name, "toy", "ci"), {**TINY, **model})
    entry = METHODS[name]
    splits = entry.load(experiment.data, progress=False)
    batch = entry.task(experiment).batch(splits.train, torch.arange(QUERIES), seed=1)
    return build(experiment, splits.train).train(), batch


def ran(
    method: Method, loss: Callable[..., LossTerms], batch: Any, *, half: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients by parameter, from fixed states of both generators."""
    torch.manual_seed(0)
    method.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        total = loss(batch, PROGRESS, torch.Generator().manual_seed(5)).total
    total.backward()
    return total.detach(), {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}


def compared(name: str, *, half: bool = False) -> dict[str, Any]:
    """Whether the compiled loss, and which compiled gradients, differ from the eager ones in any bit."""
    method, batch = made(name)
    loss, gradients = ran(method, method.training_loss, batch, half=half)
    torch._dynamo.reset()
    compiled, traced = ran(method, torch.compile(method.training_loss, backend="aot_eager"), batch, half=half)
    differences = [(gradients[n] - traced[n]).norm() for n in gradients.keys() & traced.keys()]
    size = torch.nn.utils.get_total_norm(list(gradients.values()))
    return {
        "method": f"{name}:bf16" if half else name,
        "difference": float(torch.stack(differences).norm() / size),
        "same loss": torch.equal(loss, compiled),
        "parameters": len(gradients),
        "missing": sorted(gradients.keys() ^ traced.keys()),
        "different": [n for n in gradients.keys() & traced.keys() if not torch.equal(gradients[n], traced[n])],
        "learn": sorted({n.split(".")[0] for n, g in traced.items() if bool(g.any())}),
    }


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        name, _, half = wanted.partition(":")
        print(json.dumps(compared(name, half=half == "bf16")), flush=True)
