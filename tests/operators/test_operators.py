"""No training step makes a tensor on the host, copies between devices or waits, and none grows unnoticed.

Everything is on the meta device, so a mistake that would only show on a card shows here.
"""

import contextlib

import pytest
import torch
from torch import nn

from benchmarks.operators import FAMILIES, META, audited, committed, count, make, sizes
from vmlkit.methods import METHODS

#: a count may differ by so much from the committed one before it has to be learned again
TOLERANCE = 0.02
LEARN = "run `python -m benchmarks.operators METHOD --learn` if that is meant"


def family(name: str) -> str:
    """The family that has the method of a counted step."""
    return next(f for f, methods in FAMILIES.items() if name.split()[0] in methods)


def test_every_method_is_counted() -> None:
    assert {name.split()[0] for name in sizes()} == set(METHODS)
    for name in FAMILIES:
        assert set(committed(name)) == {n for n in sizes() if family(n) == name}


@pytest.mark.parametrize("name", sizes())
def test_a_step_stays_on_its_device_and_does_not_grow(name: str) -> None:
    audit = count(name)
    assert audit.problems == []
    for kind, expected in committed(family(name))[name].items():
        found = audit.counts[kind]
        assert abs(found - expected) <= TOLERANCE * expected, f"{found} {kind} instead of {expected}: {LEARN}"


@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith("lnp")])
def test_answers_and_diagnoses_stay_on_their_device(method: str) -> None:
    """Those of P0 too, but an answer asks once whether its negatives are intervals at all."""
    case = make(f"{method} (toy)")
    case.answer()
    with audited() as audit:
        case.answer()
    assert audit.problems == []
    assert audit.launches


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda x: x + torch.arange(3), "on cpu"),
        (lambda x: x * torch.zeros(3).to(x), "on cpu"),
        (lambda x: x.new_tensor([1.0, 2.0]), "new_tensor makes a tensor on the host"),
        (lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=META), "tensor makes a tensor on the host"),
        (lambda x: x[[0, 2]], "an index is a list of the host"),
        (lambda x: float(x.sum()), "reads a tensor back"),
        (lambda x: x[x > 0], "index by a mask waits"),
        (lambda x: (x > 0).nonzero(), "nonzero waits"),
    ],
)
def test_a_mistake_is_seen(mistake, said) -> None:  # type: ignore[no-untyped-def]
    """Meta tensors refuse some of these by themselves; what they let pass is noted."""
    with contextlib.suppress(RuntimeError, NotImplementedError), audited() as audit:
        mistake(torch.ones(3, device=META))
    assert any(said in problem for problem in audit.problems), audit.problems


def test_backward_is_counted_and_views_are_no_launches() -> None:
    layer = nn.Linear(2, 3, device=META)
    x = torch.ones(4, 2, device=META)
    with audited() as forward:
        loss = layer(x).t().sum()
    with audited() as backward:
        loss.backward()
    assert forward.operators["addmm"] == 1
    assert backward.operators["mm"] == 1
    assert forward.launches == forward.operators.total() - forward.operators["t"]  # of the weight and of the result
