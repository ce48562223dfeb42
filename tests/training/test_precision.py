"""``train.precision``: what a step multiplies in bfloat16, what it must not, and that nothing else notices."""

import pytest
import torch
from torch import nn

from tests.training.compiled import PROGRESS, made, ran
from tests.training.graph_double import DoubleGraphs
from tests.training.test_captured import SETTINGS, EpochsAsTensors
from tests.training.test_resume import assert_same_run
from tests.training.tiny import TinyMethod, tiny_train
from vmlkit.errors import ConfigError
from vmlkit.methods import METHODS
from vmlkit.training import loop
from vmlkit.training.captured import CapturedStep
from vmlkit.training.optim import ScheduledAdam
from vmlkit.training.precision import at_precision

CPU = torch.device("cpu")
#: methods with one update, with two, and with four phases
QUICK = ("lnp-cpl", "cnm", "tsm-vlc")


def step_of(name: str, precision: str, **settings) -> tuple:
    """The method after one step without a clip, which leaves its gradients, and the step."""
    method, batch = made(name)
    optimizers = {n: ScheduledAdam(p, clip_norm=None, **settings) for n, p in method.parameter_groups().items()}
    torch.manual_seed(0)
    step = CapturedStep(method, optimizers, torch.Generator().manual_seed(5), None, precision)
    return method, batch, step


@pytest.mark.parametrize("name", METHODS)
def test_forward_passes_are_halved_and_backward_passes_are_not(name):
    method, batch, step = step_of(name, "bf16")
    forward, backward = [], []
    for module in method.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            module.register_forward_hook(lambda module, given, found: forward.append(found.dtype))
    for parameter in method.parameters():
        parameter.register_hook(lambda gradient: backward.append(torch.is_autocast_enabled("cpu")))
    loss = step(batch, PROGRESS)
    assert torch.bfloat16 in forward
    assert backward
    assert not any(backward)
    assert loss.total.dtype == torch.float32
    assert all(p.grad is None or p.grad.dtype == p.dtype == torch.float32 for p in method.parameters())


def test_a_step_has_the_gradients_of_its_halved_loss():
    method, batch, step = step_of("lnp-cpl", "bf16")
    expected = ran(method, method.training_loss, batch, half=True)[1]
    torch.manual_seed(0)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    step(batch, PROGRESS)
    found = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(not torch.equal(p, before[name]) for name, p in method.named_parameters())


def test_halved_parameters_are_those_after_the_update():
    layer, x = nn.Linear(4, 4), torch.randn(3, 4)
    optimizer = ScheduledAdam(layer.parameters(), lr=0.5, warmup_updates=0)
    with at_precision("bf16", CPU):
        layer(x).float().sum().backward()
        optimizer.step(clip=[])
        later = layer(x)
    with at_precision("bf16", CPU):
        assert torch.equal(later, layer(x))


@pytest.mark.parametrize("name", QUICK)
def test_a_captured_step_in_bf16_is_the_plain_one(name):
    rows = []
    for recorder in (None, DoubleGraphs):
        method, batch, _ = step_of(name, "bf16")
        optimizers = {n: ScheduledAdam(p, warmup_updates=2) for n, p in method.parameter_groups().items()}
        torch.manual_seed(0)
        step = CapturedStep(method, optimizers, torch.Generator().manual_seed(5), recorder, "bf16")
        values = [torch.stack([v.float() for v in step(batch, PROGRESS).terms.values()]).detach() for _ in range(6)]
        rows.append([*values, *(p.detach() for p in method.parameters())])
        assert step.replays == (3 if recorder else 0)
    assert all(torch.equal(a, b) for a, b in zip(*rows, strict=True))


def test_a_run_in_bf16(tmp_path, monkeypatch):
    evaluated = []

    class Watched(EpochsAsTensors):
        def predict(self, batch, generator, progress=None):
            evaluated.append(torch.is_autocast_enabled("cpu"))
            return super().predict(batch, generator, progress)

    full, _ = tiny_train(tmp_path / "fp32", method=Watched(), **SETTINGS)
    half, _ = tiny_train(tmp_path / "bf16", method=Watched(), precision="bf16", **SETTINGS)
    assert not any(evaluated), "evaluations are made in float32"
    a, b = full.epochs["loss/total"][1:], half.epochs["loss/total"][1:]
    assert (a != b).all()
    assert ((a - b).abs() <= 0.05 * a.abs()).all()
    assert half.config["settings"]["train"]["precision"] == "bf16"
    monkeypatch.setattr(loop, "recorder_for", lambda device: DoubleGraphs)
    captured, _ = tiny_train(tmp_path / "captured", method=Watched(), precision="bf16", **SETTINGS)
    assert_same_run(captured, half)


def test_tf32_is_refused_where_there_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r"'train.precision' is 'tf32', which cpu has not: choose fp32 or bf16"):
        tiny_train(tmp_path / "run", method=TinyMethod(), precision="tf32")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_afterwards_torch_is_as_before(precision):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with at_precision(precision, CPU):
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tf32_reaches_products_and_not_heads():
    from vmlkit.nn.attention import precisely

    device = torch.device("cuda")
    layer, x = nn.Linear(512, 512, device=device), torch.randn(64, 512, device=device)
    with at_precision("fp32", device):
        exact = layer(x)
    with at_precision("tf32", device):
        rough, head = layer(x), precisely(layer, x)
    assert torch.equal(head, exact)
    assert not torch.equal(rough, exact)
