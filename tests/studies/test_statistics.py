"""Intervals cover the truth as often as they say, from few seeds and many; parts agree with work by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.studies.simulated import SPREADS, rows
from vmlkit.errors import ConfigError
from vmlkit.studies.statistics import Sample, contrast, holm, mean_sample, scalar_sample

STUDIES = 1500


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("spread", SPREADS)
def test_an_interval_of_95_percent_covers_the_truth_as_often(spread: str, seeds: int) -> None:
    better, worse = rows([0.02, 0.0], spread, seeds=seeds, studies=STUDIES)
    low, high = contrast(better, worse).interval()
    assert 0.93 <= np.mean((low <= 0.02) & (high >= 0.02)) <= 0.97


def test_without_the_part_that_both_levels_hold_an_interval_is_too_wide() -> None:
    found = contrast(*rows([0.0, 0.0], "toy world", seeds=5, studies=STUDIES))
    reach = (found.interval()[1] - found.difference) / found.se
    wide = np.hypot(found.se_seeds, found.se_videos)
    assert np.mean(np.abs(found.difference) <= reach * wide) > 0.97


def test_an_interval_that_forgets_the_videos_covers_far_less() -> None:
    found = contrast(*rows([0.0, 0.0], "videos", seeds=10, studies=STUDIES))
    reach = (found.interval()[1] - found.difference) / found.se
    assert np.mean(np.abs(found.difference) <= reach * found.se_seeds) < 0.8


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_p_values_are_uniform_where_nothing_is_different(seeds: int) -> None:
    p = contrast(*rows([0.0, 0.0], "toy world", seeds=seeds, studies=STUDIES)).p
    for share in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(p <= share) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / STUDIES))


def test_more_seeds_see_smaller_differences() -> None:
    """The former rule (above zero with every seed) lost power with every seed."""
    power = [
        np.mean(contrast(*rows([0.03, 0.0], "seeds", seeds=seeds, studies=500)).interval()[0] > 0)
        for seeds in (3, 5, 10, 20)
    ]
    assert power == sorted(power)
    assert power[-1] > 0.8


def test_the_detectable_difference_is_found_with_the_power_it_says() -> None:
    quiet = contrast(*rows([0.0, 0.0], "toy world", seeds=10, studies=400))
    effect = float(np.median(quiet.detectable()))
    loud = contrast(*rows([effect, 0.0], "toy world", seeds=10, studies=STUDIES, draw=1))
    assert np.mean(loud.p <= 0.05) == pytest.approx(0.8, abs=0.04)


def test_the_test_of_equivalence_is_the_interval_of_90_percent() -> None:
    found = contrast(*rows([0.0, 0.0], "seeds", seeds=10, studies=300))
    low, high = found.interval(0.9)
    inside = (low > -0.03) & (high < 0.03)
    assert 10 < inside.sum() < 290
    np.testing.assert_array_equal(found.p_equivalent(0.03) <= 0.05, inside)


def outcomes(values: list[list[float]], videos: list[str]) -> pd.DataFrame:
    """Tidy outcomes of one row: values[seed][query]."""
    lines = [
        {"seed": seed, "query": query, "video": videos[query], "hit": value}
        for seed, row in enumerate(values)
        for query, value in enumerate(row)
    ]
    return pd.DataFrame(lines).sample(frac=1, random_state=0)


def test_queries_of_a_video_are_one_cluster() -> None:
    """Two videos, with three queries and one: sums of centred outcomes times V / Q, by hand."""
    sample = mean_sample(outcomes([[1, 1, 0, 0], [1, 0, 0, 0]], ["a", "a", "a", "b"]), "hit")
    np.testing.assert_allclose(sample.values, [0.5, 0.25])
    np.testing.assert_allclose(sample.videos, [[(0.5 + 0.5 - 0.5) / 2, -0.5 / 2], [0.125, -0.125]])


def test_a_contrast_by_hand() -> None:
    a = mean_sample(outcomes([[1, 1, 0, 0], [1, 0, 0, 0]], ["a", "a", "a", "b"]), "hit")
    b = mean_sample(outcomes([[0, 0, 0, 1]], ["a", "a", "a", "b"]), "hit", deterministic=True)
    found = contrast(a, b)
    assert found.difference == pytest.approx(0.125)
    assert found.se_seeds**2 == pytest.approx(0.03125 / 2)
    apart = np.array([0.1875, -0.1875]) - np.array([-0.375, 0.375])
    assert found.se_videos**2 == pytest.approx(apart.var(ddof=1) / 2)
    both = 2 * 0.0625**2 * 2 / (1 * 1) / (2 * 2)
    assert found.se**2 == pytest.approx(found.se_seeds**2 + found.se_videos**2 - both)


def test_a_metric_of_a_whole_test_set_covers_too() -> None:
    """The ratio of two means (as a precision is), stored as what each video adds to it; its truth is 2/3."""
    generator, covered = np.random.default_rng(1), 0
    always = Sample(np.array([2 / 3]), np.zeros((1, 40)), deterministic=True)
    for _ in range(150):
        top, bottom = generator.random((2, 5, 40)) + np.array([0.5, 1.0])[:, None, None]
        top, bottom = (part + generator.normal(0, 0.15, 40) for part in (top, bottom))
        whole = (top.sum(axis=1) / bottom.sum(axis=1))[:, None]
        without = (top.sum(axis=1)[:, None] - top) / (bottom.sum(axis=1)[:, None] - bottom)
        added = whole + 39 * (without.mean(axis=1, keepdims=True) - without)
        sample = mean_sample(outcomes(added.tolist(), [str(v) for v in range(40)]), "hit")
        low, high = contrast(sample, always).interval()
        covered += int(low <= 0 <= high)
    assert covered >= 0.9 * 150


def test_one_seed_says_nothing_and_a_prior_needs_no_second() -> None:
    many, single = scalar_sample([0.5, 0.6, 0.55]), scalar_sample([0.1])
    assert np.isinf(contrast(many, single).se)
    assert contrast(many, single).p == 1
    prior = contrast(many, scalar_sample([0.1], deterministic=True))
    assert prior.se == pytest.approx(0.05 / np.sqrt(3))
    assert prior.df == pytest.approx(2)
    assert not prior.videos_counted


def test_rows_of_other_queries_or_videos_are_refused() -> None:
    whole = outcomes([[1, 0], [0, 1]], ["a", "b"])
    with pytest.raises(ConfigError, match="different queries"):
        mean_sample(whole[~((whole.seed == 1) & (whole["query"] == 1))], "hit")
    other = mean_sample(outcomes([[1, 0, 1], [0, 1, 1]], ["a", "b", "c"]), "hit")
    with pytest.raises(ConfigError, match="different videos"):
        contrast(mean_sample(whole, "hit"), other)


def test_the_rule_of_holm_keeps_the_risk_of_a_whole_family() -> None:
    generator = np.random.default_rng(0)
    false = np.mean([min(holm(generator.random(8).tolist())) <= 0.05 for _ in range(2000)])
    assert false == pytest.approx(0.05, abs=0.015)
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_two_seeds_have_at_least_one_degree_of_freedom() -> None:
    """What seeds and videos have in common is subtracted; what is left can be less than one degree."""
    draws = np.random.default_rng(0)
    for _ in range(50):
        values, videos = draws.normal(0, 1, 2), draws.normal(0, 1, (2, 6))
        found = contrast(
            Sample(values, videos - videos.mean(axis=1, keepdims=True), False), Sample(np.zeros(1), None, True)
        )
        low, high = found.interval()
        assert found.df >= 1
        assert np.isfinite(high - low)
        shared = Sample(np.zeros(1), np.zeros((1, 6)), True)
        both = contrast(Sample(values, videos - videos.mean(axis=1, keepdims=True), False), shared)
        assert both.df >= 1
