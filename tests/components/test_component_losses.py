"""P4's losses: by hand, against loops, their gradients, and where the adaptive one leads."""

import math

import jaxtyping
import pytest
import torch
from torch import Tensor

from vmlkit.components.importance import Importance, ImportanceModule
from vmlkit.components.losses import (
    ComponentLossConfig,
    adaptive,
    component_loss,
    entropy,
    mean_over_valid,
    most_discernable,
    simple_contrastive,
    single_losses,
)
from vmlkit.errors import ConfigError

KINDS = ("simple", "discernable", "adaptive")


def free(logits: Tensor) -> Importance:
    """An importance whose logits are parameters of their own."""
    return Importance(logits=logits, attention=torch.ones(*logits.shape, 1), value=logits[..., None])


def case(seed: int = 0, samples: int = 5, components: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    positive = torch.rand(samples, generator=draw, dtype=torch.float64)
    negatives = torch.rand(samples, components, generator=draw, dtype=torch.float64)
    valid = torch.rand(samples, components, generator=draw) > 0.4
    valid[0], valid[1] = True, False
    return positive, negatives, valid, torch.randn(samples, components, generator=draw, dtype=torch.float64)


def by_loop(kind: str, positive: Tensor, negatives: Tensor, valid: Tensor, logits: Tensor, tau: float) -> float:
    values = []
    for i in range(len(positive)):
        kept = [j for j in range(negatives.shape[1]) if valid[i, j]]
        if not kept:
            continue
        gaps = [math.exp(float(negatives[i, j] - positive[i]) / tau) for j in kept]
        single = [math.log(1 + g) for g in gaps]
        weight = [math.exp(float(logits[i, j])) for j in kept]
        values.append(
            {
                "simple": math.log(1 + sum(gaps)),
                "discernable": min(single),
                "adaptive": sum(w * x for w, x in zip(weight, single, strict=True)) / sum(weight),
            }[kind]
        )
    return sum(values) / len(values)


def test_one_sentence_by_hand() -> None:
    positive, negatives = torch.tensor([1.0]), torch.tensor([[1.0, 0.0]])
    losses = single_losses(positive, negatives, tau=1.0)
    assert torch.allclose(losses, torch.tensor([[math.log(2), math.log(1 + math.exp(-1))]]))
    assert torch.allclose(simple_contrastive(positive, negatives, 1.0), torch.tensor([math.log(2 + math.exp(-1))]))
    smallest, chosen = most_discernable(losses)
    assert chosen.tolist() == [1]
    assert torch.equal(smallest, losses[:, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use_invalid", [False, True])
def test_a_loop_over_samples_gives_the_same(kind: str, use_invalid: bool) -> None:
    positive, negatives, valid, logits = case()
    config = ComponentLossConfig(kind=kind, tau=0.3, use_invalid=use_invalid)  # type: ignore[arg-type]
    ours = component_loss(positive, negatives, valid, config, free(logits)).loss
    seen = torch.ones_like(valid) if use_invalid else valid
    assert float(ours) == pytest.approx(by_loop(kind, positive, negatives, seen, logits, 0.3), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_central_differences(kind: str) -> None:
    positive, negatives, valid, logits = case(seed=3)
    config = ComponentLossConfig(kind=kind, tau=0.3)  # type: ignore[arg-type]
    inputs = [x.clone().requires_grad_() for x in (positive, negatives, logits)]

    def loss(p: Tensor, n: Tensor, m: Tensor) -> Tensor:
        return component_loss(p, n, valid, config, free(m)).loss

    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-7)


def test_with_one_component_all_three_are_one_loss() -> None:
    positive, negatives, _, logits = case(components=1)
    every = torch.ones_like(negatives, dtype=torch.bool)
    values = [
        component_loss(positive, negatives, every, ComponentLossConfig(kind=k), free(logits)).loss  # type: ignore[arg-type]
        for k in KINDS
    ]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(values[0], values[2])


def test_uniform_importance_is_the_mean_and_not_the_simple_loss() -> None:
    positive, negatives, _, _ = case()
    losses = single_losses(positive, negatives, 0.3)
    even = torch.full_like(losses, 1 / losses.shape[1])
    torch.testing.assert_close(adaptive(losses, even), losses.mean(1))
    assert not torch.allclose(adaptive(losses, even), simple_contrastive(positive, negatives, 0.3), rtol=0.01)


def test_gradient_of_the_adaptive_loss_on_the_logits() -> None:
    """dL/dm_j = w_j (L_j - L)."""
    positive, negatives, valid, logits = case(seed=5)
    logits.requires_grad_()
    result = component_loss(positive, negatives, valid, ComponentLossConfig(tau=0.3), free(logits))
    result.loss.backward()
    assert result.weights is not None
    own = adaptive(result.losses, result.weights)[:, None]
    count = valid.any(1).sum()
    torch.testing.assert_close(logits.grad, result.weights * (result.losses - own) / count)


def test_weight_drifts_to_the_easiest_component() -> None:
    """Free logits, losses .2 to 2, steps of .05: the easiest of ten holds most of the weight, and ever more."""
    losses = torch.linspace(0.2, 2.0, 10, dtype=torch.float64)[None]
    logits = torch.zeros(1, 10, dtype=torch.float64)
    held, spread = {}, []
    for step in range(1, 2001):
        weights = logits.softmax(1)
        logits = logits - 0.05 * weights * (losses - adaptive(losses, weights)[:, None])
        spread.append(float(entropy(weights)))
        held[step] = float(logits.softmax(1)[0, 0])
    assert 0.75 < held[500] < held[2000]
    assert held[2000] > 0.95
    assert spread == sorted(spread, reverse=True), "the entropy only falls"


def test_an_entropy_bonus_holds_the_weights_apart() -> None:
    losses = torch.linspace(0.2, 2.0, 5, dtype=torch.float64)
    ends = {}
    for bonus in (0.0, 1.0):
        logits = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
        for _ in range(500):
            weights = logits.softmax(1)
            loss = (weights * losses).sum() - bonus * entropy(weights).sum()
            (gradient,) = torch.autograd.grad(loss, logits)
            logits = (logits - 0.1 * gradient).detach().requires_grad_()
        ends[bonus] = float(entropy(logits.detach().softmax(1)))
    assert ends[0.0] < 0.6 * ends[1.0]


def test_the_bonus_enters_the_loss_as_minus_beta_times_the_entropy() -> None:
    positive, negatives, valid, logits = case()
    values = {
        beta: component_loss(positive, negatives, valid, ComponentLossConfig(entropy_bonus=beta), free(logits))
        for beta in (0.0, 0.5)
    }
    bonus = 0.5 * values[0.0].terms["importance_entropy"]
    torch.testing.assert_close(values[0.5].loss, values[0.0].loss - bonus)


@pytest.mark.parametrize("detached", [False, True])
def test_detaching_stops_what_the_importance_learns_and_nothing_else(detached: bool) -> None:
    positive, negatives, valid, _ = case()
    positive, negatives = positive.float().requires_grad_(), negatives.float().requires_grad_()
    torch.manual_seed(0)
    module = ImportanceModule(6, 4)
    sentence, words = torch.randn(5, 6, requires_grad=True), torch.randn(5, 4, 3, 6, requires_grad=True)
    importance = module(sentence, words, torch.ones(5, 4, 3, dtype=torch.bool))
    config = ComponentLossConfig(tau=0.3, detach_importance=detached)
    result = component_loss(positive, negatives, valid, config, importance)
    result.loss.backward()
    reached = [p.grad is not None and bool((p.grad != 0).any()) for p in (*module.parameters(), sentence, words)]
    assert reached == [not detached] * len(reached)
    assert bool((negatives.grad != 0).any())
    other = component_loss(positive, negatives, valid, ComponentLossConfig(tau=0.3), importance)
    torch.testing.assert_close(result.loss, other.loss)


def test_on_a_tie_only_the_first_smallest_learns() -> None:
    losses = torch.tensor([[2.0, 1.0, 1.0]], requires_grad=True)
    smallest, chosen = most_discernable(losses)
    smallest.sum().backward()
    assert chosen.tolist() == [1]
    assert losses.grad.tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_any_component_gives_zero_and_no_gradient(kind: str) -> None:
    positive, negatives, valid, logits = case()
    leaves = [x.requires_grad_() for x in (positive, negatives, logits)]
    config = ComponentLossConfig(kind=kind)  # type: ignore[arg-type]
    value = component_loss(positive, negatives, torch.zeros_like(valid), config, free(logits)).loss
    value.backward()
    assert float(value.detach()) == 0
    assert all(x.grad is None or bool((x.grad == 0).all()) for x in leaves)


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_component_changes_nothing(kind: str) -> None:
    positive, negatives, valid, logits = case()
    config = ComponentLossConfig(kind=kind, tau=0.3)  # type: ignore[arg-type]
    before = component_loss(positive, negatives, valid, config, free(logits)).loss
    spoilt = torch.where(valid, negatives, 77.0)
    after = component_loss(positive, spoilt, valid, config, free(torch.where(valid, logits, 55.0))).loss
    torch.testing.assert_close(before, after)


def test_means_leave_out_samples_without_a_component() -> None:
    valid = torch.tensor([[True, False], [False, False]])
    assert float(mean_over_valid(torch.tensor([3.0, 9.0]), valid)) == 3.0


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # a user has no run-time checks of types
    with pytest.raises(ConfigError, match="kind"):
        ComponentLossConfig(kind="hard")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tau"):
        ComponentLossConfig(tau=0.0)
    positive, negatives, valid, _ = case()
    with pytest.raises(ConfigError, match="importance"):
        component_loss(positive, negatives, valid, ComponentLossConfig())
