"""Masked words: how many, never padding, reproducible, and distributed like sequential draws without replacement."""

import itertools
import math

import pytest
import torch

from vmlkit.text.masking import draw_masked_words


def batch(lengths: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    weights = torch.randint(1, 3, mask.shape, generator=torch.Generator().manual_seed(1)).float()
    return torch.softmax(torch.where(mask, weights, -torch.inf), dim=1), mask


def exact_inclusion(p: list[float], draws: int) -> list[float]:
    """Probability of each word to be among ``draws`` sequential draws, by summing over all orders."""
    included = [0.0] * len(p)
    for order in itertools.permutations(range(len(p)), draws):
        probability, left = 1.0, sum(p)
        for i in order:
            probability *= p[i] / left
            left -= p[i]
        for i in order:
            included[i] += probability
    return included


def test_a_third_of_the_words_and_at_least_one() -> None:
    lengths = [1, 2, 3, 5, 6, 8, 9, 20]
    p, mask = batch(lengths, 20)
    for seed in range(50):
        drawn = draw_masked_words(p, mask, torch.Generator().manual_seed(seed))
        assert drawn.dtype == torch.bool
        assert drawn.sum(1).tolist() == [max(n // 3, 1) for n in lengths]
        assert not (drawn & ~mask).any()


@pytest.mark.parametrize("weights", [[2, 1, 2, 2, 1, 1], [2, 2, 2, 1, 1, 1, 1, 2, 1]])
def test_inclusion_probabilities_are_those_of_sequential_sampling(weights: list[int]) -> None:
    p = torch.softmax(torch.tensor(weights, dtype=torch.float32), 0)
    n, rows = len(weights), 200_000
    # two columns of padding must change nothing
    padded = torch.cat((p, torch.zeros(2))).expand(rows, n + 2)
    mask = (torch.arange(n + 2) < n).expand(rows, n + 2)
    drawn = draw_masked_words(padded, mask, torch.Generator().manual_seed(0)).double().mean(0)
    for measured, expected in zip(drawn[:n].tolist(), exact_inclusion(p.tolist(), n // 3), strict=True):
        spread = math.sqrt(expected * (1 - expected) / rows)
        assert abs(measured - expected) < 4.5 * spread


def test_joint_distribution_of_pairs() -> None:
    p, rows = [0.5, 0.3, 0.1, 0.05, 0.03, 0.02], 200_000
    mask = torch.ones(rows, 6, dtype=torch.bool)
    drawn = draw_masked_words(torch.tensor(p).expand(rows, 6), mask, torch.Generator().manual_seed(3))
    for i, j in itertools.combinations(range(6), 2):
        expected = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])
        measured = float((drawn[:, i] & drawn[:, j]).double().mean())
        assert abs(measured - expected) < 4.5 * math.sqrt(expected / rows)


def test_the_generator_alone_decides() -> None:
    p, mask = batch([9, 4, 12], 12)
    torch.manual_seed(0)
    first = draw_masked_words(p, mask, torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(first, draw_masked_words(p, mask, torch.Generator().manual_seed(5)))
    assert torch.equal(state, torch.get_rng_state())
    generator = torch.Generator().manual_seed(5)
    draws = {tuple(draw_masked_words(p, mask, generator).flatten().tolist()) for _ in range(20)}
    assert len(draws) > 5


def test_a_word_without_probability_is_still_preferred_to_padding() -> None:
    p = torch.zeros(1000, 4)
    mask = torch.tensor([[True, True, True, False]]).expand(1000, 4)
    drawn = draw_masked_words(p, mask, torch.Generator().manual_seed(0))
    assert drawn.sum(1).tolist() == [1] * 1000
    assert not drawn[:, 3].any()


def test_no_value_is_read_from_the_device() -> None:
    p, mask = batch([9, 4, 12], 12)
    drawn = draw_masked_words(p.to("meta"), mask.to("meta"), torch.Generator().manual_seed(0))
    assert drawn.device.type == "meta"
    assert drawn.shape == (3, 12)
