"""Comparing texts word by word, and the importance of their components."""

import pytest
import torch

from vmlkit.components.importance import ImportanceModule
from vmlkit.nn.similarity import cosine, late_interaction, masked_mean, masked_softmax, soft_maximum, unit


def texts(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(3, 6, 16, generator=draw), torch.randn(3, 5, 16, generator=draw)


def ones(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:-1], dtype=torch.bool)


def naive_late(words: torch.Tensor, others: torch.Tensor, temperature: float, form: str) -> float:
    """Loops over words, after the equation."""
    pairs = [[float(cosine(w, o)) for o in others] for w in words]

    def soft(values: list[float]) -> float:
        weights = torch.softmax(torch.tensor(values, dtype=torch.float64) / temperature, 0)
        return sum(float(w) * v for w, v in zip(weights, values, strict=True))

    own = [soft(row) for row in pairs]
    their = [soft([row[j] for row in pairs]) for j in range(len(others))]
    if form == "aosm":
        return (soft(own) + soft(their)) / 2
    return (sum(own) / len(own) + sum(their) / len(their)) / 2


@pytest.mark.parametrize("form", ["late", "aosm"])
def test_late_interaction_follows_the_loop_and_ignores_padding(form: str) -> None:
    words, others = texts()
    mask, other_mask = ones(words), ones(others)
    mask[:, 4:], other_mask[:, 3:] = False, False
    ours = late_interaction(words, mask, others, other_mask, form=form, temperature=0.1)
    for i in range(3):
        assert float(ours[i]) == pytest.approx(naive_late(words[i, :4], others[i, :3], 0.1, form), rel=1e-5)
    words[:, 4:], others[:, 3:] = 100.0, -100.0
    torch.testing.assert_close(late_interaction(words, mask, others, other_mask, form=form, temperature=0.1), ours)


def test_one_foreign_word_shows_in_late_and_hides_in_aosm() -> None:
    words, _ = texts()
    changed = words.clone()
    changed[:, 2] = -words[:, 2]
    late, aosm = (late_interaction(words, ones(words), changed, ones(words), form=f) for f in ("late", "aosm"))
    assert (late < 0.93).all()
    assert (aosm > 0.99).all(), "the best pair of words is still perfect"


def test_a_word_that_every_text_shares_makes_aosm_one() -> None:
    """CLIP's start token has the same state in every text."""
    words, others = texts()
    words[:, 0], others[:, 0] = 1.0, 1.0
    both = late_interaction(words, ones(words), others, ones(others), form="aosm")
    torch.testing.assert_close(both, torch.ones(3), atol=1e-4, rtol=0)


def test_unknown_form() -> None:
    words, others = texts()
    with pytest.raises(ValueError, match="late"):
        late_interaction(words, ones(words), others, ones(others), form="best")


def test_a_soft_maximum_lies_below_the_maximum_and_has_a_gradient_everywhere() -> None:
    scores = torch.tensor([0.3, 0.9, 0.5], requires_grad=True)
    value = soft_maximum(scores, 0, temperature=0.5)
    value.backward()
    assert 0.5 < float(value.detach()) < 0.9
    assert bool((scores.grad != 0).all())


def test_means_and_softmaxes_of_nothing_are_finite() -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert masked_mean(torch.ones(2, 3, 4), nothing).tolist() == [[0.0] * 4] * 2
    torch.testing.assert_close(masked_softmax(torch.randn(2, 3), nothing, -1), torch.full((2, 3), 1 / 3))


def module(scaled: bool = True) -> ImportanceModule:
    torch.manual_seed(1)
    return ImportanceModule(8, 5, scaled)


def test_importance_by_hand() -> None:
    net, draw = module(), torch.Generator().manual_seed(2)
    sentence, words = torch.randn(2, 8, generator=draw), torch.randn(2, 3, 4, 8, generator=draw)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[0, 1, 2:] = False
    said = net(sentence, words, mask)
    for i, j, count in ((0, 1, 2), (1, 2, 4)):
        x, query = words[i, j, :count], sentence[i] @ net.W_Q
        attention = ((x @ net.W_K) @ query / 5**0.5).softmax(0)
        value = attention @ (x @ net.W_V)
        torch.testing.assert_close(said.attention[i, j, :count], attention)
        torch.testing.assert_close(said.value[i, j], value)
        torch.testing.assert_close(said.logits[i, j], value @ net.w_omega)
    assert float(said.attention[0, 1, 2:].detach().abs().max()) == 0


def test_weights_sum_to_one_over_valid_components() -> None:
    net = module()
    said = net(torch.randn(2, 8), torch.randn(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool))
    valid = torch.tensor([[True, False, True], [False, False, False]])
    weights = said.weights(valid)
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 0.0]))
    assert float(weights[0, 1].detach()) == 0
    torch.testing.assert_close(said.weights().sum(1), torch.ones(2))


def test_scaling_changes_the_attention() -> None:
    sentence, words = torch.randn(2, 8), torch.randn(2, 3, 4, 8)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    sharp, soft = (module(scaled)(sentence, words, mask).attention for scaled in (False, True))
    assert float(sharp.detach().max()) > float(soft.detach().max())


def test_unit_vectors_have_the_gradient_of_torch() -> None:
    x, results = texts()[0].double(), []
    x[0, 0] = 0.0
    for normalise in (unit, lambda y: torch.nn.functional.normalize(y, dim=-1)):
        given = x.clone().requires_grad_()
        out = normalise(given)
        results.append((out, *torch.autograd.grad((out * torch.arange(16.0)).sum(), given)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
