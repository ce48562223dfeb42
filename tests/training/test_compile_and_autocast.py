"""Every method under ``torch.compile`` and under bfloat16 autocast: the loss and the gradients of plain execution.

``aot_eager`` traces forward and backward as every compiler back end gets them, but runs the traced operations as they
are; so nothing may differ, not in the last bit (one method but for the order of a sum).  Dropout is left on: the traced
program draws from the same global generator in the same order.  A hook that waits for a later backward, or a number
read in Python, would show here.
"""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.compiled import PROGRESS, made, ran
from vmlkit.methods import METHODS

#: largest relative difference of the loss, and of the gradient in its norm, under bfloat16 (8 bits: 0.4 % a number)
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 0.01, 0.25
#: the same for a compiled gradient in bfloat16 against the plain one in bfloat16
HALF_TOLERANCE = 0.02
#: draws of random numbers split its trace, and gradients that meet there are added in another order
REORDERED = ("p4-qd-detr", "pps", "lnp-pps")
LNP = ("lnp-cnm", "lnp-cpl", "lnp-pps")
#: compiled in every run; the others take ten to twenty seconds each
QUICK = ("lnp-cpl", "lnp-cpl:bf16", "basnet")


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param(tuple(n for n in METHODS if n not in QUICK), marks=pytest.mark.slow)]
)
def test_compiled_losses_and_gradients_are_the_eager_ones(names: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.training.compiled", *names]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {line["method"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == set(names)
    for name, line in found.items():
        if name.endswith(":bf16"):  # the compiler leaves out roundings between its operations
            assert not line["missing"], f"{name}: {line['missing']}"
            assert line["difference"] < HALF_TOLERANCE, name
            continue
        assert line["same loss"], name
        assert not line["missing"], f"{name}: {line['missing']}"
        assert line["difference"] < 1e-6, name
        assert name in REORDERED or not line["different"], f"{name}: {line['different']}"
        assert line["learn"], name


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_has_the_loss_and_gradients_of_full_precision(name: str) -> None:
    method, batch = made(name)
    loss, gradients = ran(method, method.training_loss, batch)
    rough, blurred = ran(method, method.training_loss, batch, half=True)
    assert rough.dtype == torch.float32, "losses are taken in float32"
    assert blurred.keys() == gradients.keys()
    assert abs(float(rough - loss)) <= LOSS_TOLERANCE * abs(float(loss))
    exact = torch.cat([g.flatten() for g in gradients.values()])
    other = torch.cat([blurred[n].flatten() for n in gradients])
    assert float((other - exact).norm()) <= GRADIENT_TOLERANCE * float(exact.norm())


@pytest.mark.parametrize("name", ["cpl", "pps", "lnp-cpl", "lnp-pps"])
def test_proposals_and_likelihoods_are_float32_under_half_precision(name: str) -> None:
    """The best proposal is chosen among them, so fewer bits would choose another one."""
    method, batch = made(name)
    words, generator = torch.zeros_like(batch.word_mask), torch.Generator().manual_seed(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = method(batch, words, PROGRESS, *([generator] if name in LNP else []))
    found = {key: value for key, value in _tensors(out) if not key.startswith("encoded")}
    assert {"best", "proposals.centers", "proposals.masks", "whole_video"} <= found.keys()
    assert "nll" in found
    assert {value.dtype for key, value in found.items() if key != "best"} <= {torch.float32, torch.bool}


def _tensors(record: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            yield prefix + field.name, value
        elif dataclasses.is_dataclass(value):
            yield from _tensors(value, f"{prefix}{field.name}.")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", LNP)
def test_who_learns_from_what_does_not_depend_on_the_precision(name: str, half: bool) -> None:
    """A10 (i): L_mt sends nothing to the heads of the negatives; L_dce does."""
    method, batch = made(name, lnp__margin=5.0)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        norms = method.diagnose(batch, PROGRESS, torch.Generator().manual_seed(5))
    assert norms["triplet on heads"] == 0
    assert norms["triplet on reconstructor"] > 0
    assert norms["dual_signed on heads"] > 0
