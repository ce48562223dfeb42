"""Index sampling against the released loop, written out."""

import numpy as np
import pytest

from vmlkit.actions.sampling import random_indices, uniform_indices
from vmlkit.errors import DataError


def released(length: int, count: int, seed: int) -> list[int]:
    draw = np.random.RandomState(seed)
    if length == count:
        return list(range(count))
    samples = np.arange(count) * length / count
    chosen = []
    for i in range(count):
        low = int(samples[i])
        high = int(samples[i + 1]) if i < count - 1 else length - 1
        chosen.append(int(draw.choice(range(low, high + 1))) if low < high else low)
    return chosen


@pytest.mark.parametrize(("length", "count"), [(20, 20), (7, 20), (53, 20), (1, 5), (1000, 320), (321, 320)])
def test_indices_equal_the_released_loop(length: int, count: int) -> None:
    for seed in range(3):
        assert random_indices(length, count, np.random.RandomState(seed)).tolist() == released(length, count, seed)
        generators = np.random.default_rng(seed), np.random.default_rng(seed)
        one_by_one = np.append(starts := uniform_indices(length, count), length - 1)
        for i in np.flatnonzero(starts < one_by_one[1:]) if length != count else ():
            one_by_one[i] = generators[0].choice(range(starts[i], np.append(starts, length - 1)[i + 1] + 1))
        assert random_indices(length, count, generators[1]).tolist() == one_by_one[:-1].tolist()
        assert generators[0].random() == generators[1].random(), "and no number more or less"
    assert uniform_indices(length, count).tolist() == [int(i * length / count) for i in range(count)]


def test_ranges_share_an_end_so_an_index_may_go_back_by_one() -> None:
    rng = np.random.default_rng(0)
    steps = np.concatenate([np.diff(random_indices(60, 20, rng)) for _ in range(200)])
    assert steps.min() == 0
    assert steps.max() <= 6
    chosen = np.stack([random_indices(60, 20, rng) for _ in range(300)])
    assert (chosen.min(axis=0) == np.arange(20) * 3).all()
    assert (chosen.max(axis=0)[:-1] == np.arange(1, 20) * 3).all()
    assert chosen.max() == 59


@pytest.mark.parametrize(("length", "count"), [(0, 5), (5, 0)])
def test_nothing_to_sample_is_an_error(length: int, count: int) -> None:
    with pytest.raises(DataError, match="give positive numbers"):
        uniform_indices(length, count)
