"""Adam against a naive numpy version, the schedule against recorded learning rates, the clip against its formula."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vmlkit.errors import ConfigError
from vmlkit.training.optim import ScheduledAdam, scheduled_lr


def naive_adam(start, gradients, lrs, eps_rule, eps=1e-8, b1=0.9, b2=0.999):
    """One parameter, float64, written from the formula."""
    value, m, v = start.astype(np.float64), 0.0, 0.0
    for t, (gradient, lr) in enumerate(zip(gradients, lrs, strict=True), start=1):
        m = b1 * m + (1 - b1) * gradient
        v = b2 * v + (1 - b2) * gradient**2
        if eps_rule == "reference":
            value = value - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        else:
            value = value - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return value


@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize("eps_rule", ["reference", "torch"])
def test_updates_equal_a_naive_adam(eps_rule, scale):
    """At gradients of 1e-9 the place of epsilon decides the size of the step."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 2)), scale * rng.normal(size=(6, 3, 2))
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = ScheduledAdam([parameter], lr=0.1, warmup_updates=3, eps_rule=eps_rule, clip_norm=None)
    lrs = [scheduled_lr(n, lr=0.1, warmup_updates=3, warmup_init_lr=1e-7) for n in range(6)]
    for gradient, lr in zip(gradients, lrs, strict=True):
        parameter.grad = torch.tensor(gradient)
        norm = optimizer.step([parameter])
        assert float(norm) == pytest.approx(np.linalg.norm(gradient))
        assert optimizer.lr_used == lr
    expected = naive_adam(start, gradients, lrs, eps_rule)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    other = naive_adam(start, gradients, lrs, {"reference": "torch", "torch": "reference"}[eps_rule])
    assert (np.abs(other - expected).max() > 1e-3) == (scale < 1e-6)


def test_schedule_is_the_references():
    rate = {"lr": 4e-4, "warmup_updates": 400, "warmup_init_lr": 1e-7}
    assert scheduled_lr(0, **rate) == 1e-7
    assert scheduled_lr(100, **rate) == pytest.approx(1e-7 + 100 * (4e-4 - 1e-7) / 400)
    assert scheduled_lr(400, **rate) == 4e-4
    assert scheduled_lr(1600, **rate) == pytest.approx(2e-4)
    assert scheduled_lr(1600, **rate, schedule="constant") == 4e-4
    assert scheduled_lr(100, **rate, schedule="constant") == scheduled_lr(100, **rate)
    assert scheduled_lr(7, lr=0.1, warmup_updates=0, warmup_init_lr=1e-7) == 0.1


@pytest.mark.parametrize("case", ["cnm_a", "cpl_a"])
def test_rates_equal_those_of_the_released_programs(case):
    """minghangz/cnm@5ccb192 and minghangz/cpl@cb7562a, warm-up of 2 updates."""
    recorded = np.load(Path(__file__).parents[1] / "golden" / "wsml" / f"{case}.npz")["output/steps_lr"]
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = ScheduledAdam([parameter], lr=4e-4, warmup_updates=2)
    used = []
    for _ in recorded:
        parameter.grad = torch.ones(2)
        optimizer.step([parameter])
        used.append(optimizer.lr_used)
    assert len(used) == 4
    np.testing.assert_allclose(used, recorded, rtol=1e-6)


def test_the_clip_sees_gradients_of_others_and_scales_them():
    mine, other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(4))
    optimizer = ScheduledAdam([mine], clip_norm=1.0)
    mine.grad, other.grad = torch.full((3,), 2.0), torch.full((4,), 3.0)
    norm = optimizer.step([mine, other])
    total = np.sqrt(3 * 4 + 4 * 9)
    assert float(norm) == pytest.approx(total)
    assert float(optimizer.last_norm) == pytest.approx(total)
    np.testing.assert_allclose(mine.grad, 2 / (total + 1e-6), rtol=1e-6)
    np.testing.assert_allclose(other.grad, 3 / (total + 1e-6), rtol=1e-6)
    assert torch.equal(other, torch.zeros(4)), "only the own parameters move"
    optimizer.zero_grad()
    assert mine.grad is None
    assert other.grad is not None


def test_small_gradients_are_not_scaled():
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = ScheduledAdam([parameter], clip_norm=10.0)
    parameter.grad = torch.tensor([3.0, 4.0])
    assert float(optimizer.step([parameter])) == 5.0
    assert parameter.grad.tolist() == [3.0, 4.0]


def test_a_parameter_without_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = ScheduledAdam([used, unused], warmup_updates=0)
    used.grad = torch.ones(2)
    optimizer.step([used, unused])
    assert (used < 1).all()
    assert torch.equal(unused, torch.ones(2))


def test_an_update_without_any_gradient_has_norm_zero():
    parameter = nn.Parameter(torch.ones(2))
    assert float(ScheduledAdam([parameter]).step([parameter])) == 0.0
    assert torch.equal(parameter, torch.ones(2))


def test_an_empty_group_is_refused():
    with pytest.raises(ConfigError, match="at least one"):
        ScheduledAdam([])


def test_state_round_trip_continues_to_the_same_bits(tmp_path):
    def fresh():
        parameter = nn.Parameter(torch.ones(5))
        return parameter, ScheduledAdam([parameter], warmup_updates=3, lr=0.1)

    def go(parameter, optimizer, first, last):
        for n in range(first, last):
            parameter.grad = torch.sin(torch.arange(5.0) + n)
            optimizer.step([parameter])

    straight, optimizer = fresh()
    go(straight, optimizer, 0, 8)
    halfway, optimizer = fresh()
    go(halfway, optimizer, 0, 4)
    torch.save({"p": halfway.detach(), "o": optimizer.state_dict()}, tmp_path / "s.pt")
    saved = torch.load(tmp_path / "s.pt", weights_only=True)
    resumed, optimizer = fresh()
    resumed.data.copy_(saved["p"])
    optimizer.load_state_dict(saved["o"])
    assert optimizer.updates == 4
    go(resumed, optimizer, 4, 8)
    assert torch.equal(resumed, straight)


def test_an_update_runs_without_a_device_to_read_from():
    """On the meta device any look at a value raises."""
    parameter = nn.Parameter(torch.zeros(3, device="meta"))
    optimizer = ScheduledAdam([parameter], clip_norm=1.0)
    parameter.grad = torch.zeros(3, device="meta")
    norm = optimizer.step([parameter])
    assert norm.device.type == "meta"
    assert optimizer.updates == 1


def test_a_strided_gradient_moves_the_right_elements() -> None:
    """``autograd.grad`` may hand over a view; the fused kernel would read it in another order."""
    values = torch.arange(6.0).view(2, 3)
    ours, plain = (torch.nn.Parameter(values.clone()) for _ in range(2))
    gradient = torch.tensor([[1.0, 9.0], [-1.0, 9.0], [1.0, 9.0]]).t()[:1].expand(2, 3)
    ours.grad, plain.grad = gradient, gradient.contiguous()
    ScheduledAdam([ours], lr=0.1, warmup_updates=0, eps_rule="torch", clip_norm=None).step([ours])
    torch.optim.Adam([plain], lr=0.1).step()
    torch.testing.assert_close(ours, plain)


def test_decay_and_lag() -> None:
    """P3: coupled L2 as torch's Adam has it; the schedule one update behind."""
    ours, plain = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    ours.grad, plain.grad = torch.tensor([0.1, 0.3]), torch.tensor([0.1, 0.3])
    ScheduledAdam([ours], lr=0.1, warmup_updates=0, eps_rule="torch", clip_norm=None, l2=0.5).step([ours])
    torch.optim.Adam([plain], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(ours, plain)
    late = ScheduledAdam([ours], lr=1.0, warmup_updates=2, warmup_init_lr=0.1, lag=1)
    rates = []
    for _ in range(4):
        ours.grad = torch.ones(2)
        late.step([ours])
        rates.append(late.lr_used)
    assert rates == pytest.approx([0.1, 0.1, 0.55, 1.0])
