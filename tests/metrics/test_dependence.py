"""How much proposals depend on the sentence: by hand, by brute force, and where a split cannot say."""

import numpy as np
import pytest

from vmlkit.errors import DataError
from vmlkit.metrics.dependence import MEASURES, explained, sentence_dependence
from vmlkit.spans import iou


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    videos = [f"v{i}" for i in rng.integers(0, 9, 40)] + ["alone"]
    starts = rng.uniform(0, 0.6, 41)
    truth = np.stack((starts, starts + rng.uniform(0.1, 0.4, 41)), axis=1)
    truth[1] = truth[0]  # two sentences about one moment
    videos[1] = videos[0]
    return rng.uniform(0, 1, (41, 3)), rng.uniform(0.1, 0.5, (41, 3)), truth, videos


def test_overlaps_and_exchange_equal_a_loop_over_all_pairs() -> None:
    centers, widths, truth, videos = world()
    own, others, pairs = [], [], []
    for i in range(41):
        same = [j for k in range(1, 41) for j in [(i + k) % 41] if videos[j] == videos[i]]
        # the next sentence of the video, in the order of the split and then round
        same = [j for j in same if not np.allclose(truth[j], truth[i])]
        if not same:
            continue
        spans = np.clip(np.stack((centers[i] - widths[i] / 2, centers[i] + widths[i] / 2), axis=-1), 0, 1)
        own.append(iou(spans, truth[i]).mean())
        others.append(np.mean([iou(spans, truth[j]).mean() for j in same]))
        pairs.append((i, same[0]))
    found = sentence_dependence(centers, widths, truth, videos)
    assert found["own IoU"] == pytest.approx(np.mean(own))
    assert found["others' IoU"] == pytest.approx(np.mean(others))
    i, j = np.array(pairs).T
    by_hand = [np.corrcoef(centers[i, p], truth.mean(axis=1)[j])[0, 1] ** 2 for p in range(3)]
    assert found["center R2, exchanged"] == pytest.approx(np.mean(by_hand))
    assert set(found) == set(MEASURES)


def test_windows_that_never_move_depend_on_nothing() -> None:
    _, _, truth, videos = world()
    still = sentence_dependence(np.full((41, 2), 0.5), np.full((41, 2), 0.3), truth, videos)
    assert max(still["center spread"], still["center spread in a video"], still["width spread"]) < 1e-9
    assert still["center R2"] == still["center R2, exchanged"] == 0
    assert abs(still["own IoU"] - still["others' IoU"]) < 0.05


def test_spread_alone_is_no_dependence_and_truth_is() -> None:
    _, _, truth, videos = world()
    rng = np.random.default_rng(1)
    noise = sentence_dependence(rng.permutation(truth.mean(1))[:, None], np.full((41, 1), 0.3), truth, videos)
    assert noise["center spread"] == pytest.approx(1)
    assert noise["center R2"] < 0.2
    exact = sentence_dependence(truth.mean(1)[:, None], np.diff(truth, axis=1), truth, videos)
    assert exact["center R2"] == pytest.approx(1)
    assert exact["own IoU"] == pytest.approx(1)
    assert exact["center spread in a video"] == pytest.approx(1)
    assert exact["center R2, exchanged"] < 0.2
    assert exact["others' IoU"] < 0.6


def test_a_split_that_cannot_say_gives_no_number() -> None:
    alone = sentence_dependence(np.array([[0.1], [0.2]]), np.full((2, 1), 0.2), np.array([[0.0, 0.2]] * 2), ["a", "b"])
    assert all(np.isnan(alone[name]) for name in MEASURES if name != "center spread in a video")
    assert np.isnan(explained(np.array([[0.5]]), np.array([0.5])))


def test_what_does_not_fit_is_refused() -> None:
    centers, widths, truth, videos = world()
    with pytest.raises(DataError, match="41 centers, 41 widths, 41 moments, 40 videos"):
        sentence_dependence(centers, widths, truth, videos[1:])
    with pytest.raises(DataError, match="not finite"):
        sentence_dependence(centers * np.nan, widths, truth, videos)
