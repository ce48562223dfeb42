"""Losses of action localisation against their definitions, and what each leaves without gradient."""

import pytest
import torch

from vmlkit.actions.losses import (
    bag_cross_entropy,
    bag_target,
    coactivity,
    consistency,
    dropped_attention,
    guide,
    mil,
    mutual,
    suppress,
    topk_mean,
)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_suppression_pulls_to_the_smallest_logit() -> None:
    cas, attention = draws(2, 5, 4), torch.zeros(2, 5, dtype=torch.float64)
    low = cas.min(dim=2, keepdim=True).values.expand_as(cas)
    torch.testing.assert_close(suppress(cas, attention), low)
    torch.testing.assert_close(suppress(cas, attention + 1), cas)


@pytest.mark.parametrize(("snippets", "ratio", "count"), [(21, 7, 3), (6, 7, 1), (20, 7, 2)])
def test_bag_loss_by_hand(snippets: int, ratio: int, count: int) -> None:
    cas, labels = draws(2, snippets, 4), torch.tensor([[1.0, 0, 1], [0, 1, 0]], dtype=torch.float64)
    top = cas.sort(dim=1, descending=True).values[:, :count].mean(dim=1)
    torch.testing.assert_close(topk_mean(cas, count), top)
    for background in (0.0, 1.0):
        expected = []
        for row, y in zip(top, labels, strict=True):
            target = torch.cat((y, torch.tensor([background], dtype=torch.float64)))
            expected.append(-(target / (target.sum() + 1e-4) * torch.log_softmax(row, 0)).sum())
        ours = mil(cas, labels, background=background, ratio=ratio)
        torch.testing.assert_close(ours, torch.stack(expected))


def test_a_video_without_a_label_asks_for_background_only() -> None:
    target = bag_target(torch.zeros(1, 3), 1.0)
    assert target[0, :3].sum() == 0
    assert target[0, 3] == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(mil(draws(1, 9, 4).float(), torch.zeros(1, 3), background=0.0, ratio=7)).all()


def naive_coactivity(features: torch.Tensor, supp: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    def distance(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return 1 - (u @ v) / (u.norm() * v.norm())

    weights = supp.softmax(dim=1)
    total, count = torch.zeros((), dtype=torch.float64), 0.0
    for i, j in ((0, 1), (2, 3), (4, 5)):
        for c in range(labels.shape[1]):
            shared = labels[i, c] * labels[j, c]
            a, b = weights[i, :, c], weights[j, :, c]
            n = supp.shape[1] - 1
            hi, hj = features[i].t() @ a, features[j].t() @ b
            li, lj = features[i].t() @ (1 - a) / n, features[j].t() @ (1 - b) / n
            near = distance(hi, hj)
            term = (near - distance(hi, lj) + 0.5).clamp(min=0) + (near - distance(hj, li) + 0.5).clamp(min=0)
            total, count = total + shared * 0.5 * term, count + float(shared)
    return total / count


def test_coactivity_is_the_naive_sum_over_pairs() -> None:
    labels = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 1], [1, 1], [1, 1], [0, 1]], dtype=torch.float64)
    features, supp = draws(7, 9, 6), draws(7, 9, 3, seed=1)
    torch.testing.assert_close(coactivity(features, supp, labels), naive_coactivity(features, supp, labels))


def test_coactivity_without_a_shared_class_or_feature_is_finite() -> None:
    labels = torch.tensor([[1.0, 0], [0, 1]] * 3)
    features = draws(6, 5, 4).float().requires_grad_()
    loss = coactivity(features, draws(6, 5, 3, seed=1).float(), labels)
    assert loss == 0
    empty = torch.zeros(6, 5, 4, requires_grad=True)
    loss = coactivity(empty, draws(6, 5, 3).float(), torch.ones(6, 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(empty.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mse", "mae", "kl"])
def test_consistency_moves_its_own_side_only(kind: str) -> None:
    own = torch.rand(3, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    other = torch.rand(3, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    consistency(own, other, kind).backward()  # type: ignore[arg-type]
    assert own.grad is not None
    assert own.grad.abs().sum() > 0
    assert other.grad is None
    same = consistency(own, own, kind).detach()  # type: ignore[arg-type]
    assert same == pytest.approx(0, abs=1e-6)


def test_consistency_by_hand() -> None:
    own, other = torch.tensor([[0.2, 0.6]]), torch.tensor([[0.5, 0.5]])
    assert consistency(own, other, "mse") == pytest.approx((0.09 + 0.01) / 2)
    assert consistency(own, other, "mae") == pytest.approx(0.2)
    expected = 0.5 * torch.log(torch.tensor(0.5 / 0.25)) + 0.5 * torch.log(torch.tensor(0.5 / 0.75))
    assert consistency(own, other, "kl") == pytest.approx(float(expected), abs=1e-5)


def test_mutual_learning_holds_the_other_side_fixed() -> None:
    first, second = (torch.rand(2, 5).requires_grad_() for _ in range(2))
    mutual(first, second).backward()
    torch.testing.assert_close(first.grad, (first - second).detach() / first.numel())
    torch.testing.assert_close(second.grad, (second - first).detach() / first.numel())


def test_guide_reaches_attention_and_activation() -> None:
    attention, cas = torch.rand(2, 5).requires_grad_(), draws(2, 5, 4).float().requires_grad_()
    loss = guide(attention, cas)
    by_hand = (1 - attention - cas.softmax(2)[..., -1]).abs().mean()
    torch.testing.assert_close(loss, by_hand)
    loss.backward()
    assert attention.grad is not None
    assert cas.grad is not None
    assert cas.grad[..., -1].abs().sum() > 0


def test_semi_soft_drop_leaves_the_weak_snippets() -> None:
    attention = torch.tensor([[0.05, 0.1, 0.9], [0.5, 0.6, 0.7]])
    torch.testing.assert_close(dropped_attention(attention, 0.2), torch.tensor([[0.05, 0.1, 0.0], [0.0, 0.0, 0.0]]))
    kept = dropped_attention(attention, 0.6, from_min=True)
    torch.testing.assert_close(kept, torch.tensor([[0.05, 0.1, 0.0], [0.5, 0.6, 0.0]]))


def test_bag_cross_entropy_is_element_wise() -> None:
    score, labels = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[1.0, 1.0]])
    target = torch.tensor([[1 / 3, 1 / 3, 1 / 3]])
    expected = -(target * score.log() + (1 - target) * (1 - score).log()).mean()
    assert bag_cross_entropy(score, labels, background=1.0) == pytest.approx(float(expected))
