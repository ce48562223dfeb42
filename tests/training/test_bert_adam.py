"""X-CLIP's optimiser against a loop written from its formula."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from vmlkit.errors import ConfigError
from vmlkit.training.bert_adam import BertAdam, bert_adam_for, decayed, warmup_cosine


def naive(start: np.ndarray, gradients: np.ndarray, lr: float, decay: float, total: int) -> np.ndarray:
    value, mean, square = start.copy(), 0.0, 0.0
    for n, raw in enumerate(gradients):
        g = raw * min(1.0, 1.0 / (np.linalg.norm(raw) + 1e-6))
        mean, square = 0.9 * mean + 0.1 * g, 0.98 * square + 0.02 * g**2
        x = n / total
        rate = lr * (x / 0.1 if x < 0.1 else 0.5 * (1 + math.cos(math.pi * x)))
        value = value - rate * (mean / (np.sqrt(square) + 1e-6) + decay * value)
    return value


@pytest.mark.parametrize("scale", [0.01, 5.0])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_updates_equal_the_formula(scale: float, decay: float) -> None:
    draw = np.random.default_rng(0)
    start, gradients = draw.normal(size=(3, 2)), scale * draw.normal(size=(8, 3, 2))
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = BertAdam([parameter], lr=0.1, total_updates=10, weight_decay=decay, clip_norm=None)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        norm = optimizer.step([parameter])
        assert float(norm) == pytest.approx(np.linalg.norm(gradient))
    expected = naive(start, gradients, 0.1, decay, 10)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-9)


def test_the_first_update_changes_nothing_and_warm_up_ends_in_a_jump() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = BertAdam([parameter], lr=1.0, total_updates=100)
    parameter.grad = torch.ones(2)
    optimizer.step([parameter])
    assert parameter.tolist() == [1.0, 1.0]
    assert warmup_cosine(0.0999) > 0.99
    assert warmup_cosine(0.1) == pytest.approx(0.9755, abs=1e-4)


def test_global_clip_comes_first() -> None:
    big, small = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    big.grad, small.grad = torch.full((2,), 300.0), torch.full((2,), 3.0)
    BertAdam([big], lr=0.1, total_updates=5, clip_norm=1.0).step([big, small])
    assert float(torch.cat((big.grad, small.grad)).norm()) == pytest.approx(1.0)


def test_a_parameter_without_gradient_keeps_its_own_count() -> None:
    one, two = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = BertAdam([one, two], lr=1.0, total_updates=100)
    for _ in range(3):
        one.grad, two.grad = torch.ones(1), None
        optimizer.step([one])
    assert optimizer.rates() == [pytest.approx(0.3), 0.0]
    assert two.tolist() == [1.0]


def test_a_restored_state_goes_on_with_the_same_bits() -> None:
    def fresh() -> tuple[nn.Parameter, BertAdam]:
        parameter = nn.Parameter(torch.arange(4.0))
        return parameter, BertAdam([parameter], lr=0.1, total_updates=10)

    def go(parameter: nn.Parameter, optimizer: BertAdam, steps: range) -> None:
        for i in steps:
            parameter.grad = torch.sin(torch.arange(4.0) + i)
            optimizer.step([parameter])

    whole, first = fresh()
    go(whole, first, range(6))
    half, optimizer = fresh()
    go(half, optimizer, range(3))
    state, value = optimizer.state_dict(), half.detach().clone()
    again, restored = fresh()
    with torch.no_grad():
        again.copy_(value)
    restored.load_state_dict(state)
    go(again, restored, range(3, 6))
    assert torch.equal(again, whole)


def test_released_rules_of_decay_and_rate() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = nn.Linear(2, 2)
            self.norm = nn.LayerNorm(2)

    assert [decayed(n) for n in ("norm.weight", "norm.bias", "logit_scale")] == [True, False, True]
    model = Model()
    optimizer = bert_adam_for(model, model.parameters(), lr=1.0, total_updates=4)
    optimizer._steps = [1] * 4  # past the first update, whose rate is 0
    names = [name for name, _ in model.named_parameters()]
    rates = dict(zip(names, optimizer.rates(), strict=True))
    assert rates["clip.weight"] == pytest.approx(1e-3 * rates["norm.weight"])


def test_settings_must_match() -> None:
    with pytest.raises(ConfigError, match="rate"):
        BertAdam([nn.Parameter(torch.ones(1))], lr=[0.1, 0.2], total_updates=3)
    with pytest.raises(ConfigError, match="at least one trainable parameter"):
        BertAdam([], lr=0.1, total_updates=3)
