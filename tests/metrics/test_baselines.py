"""Baselines: seeded, averaged, fitted on training spans only, and scored like a model."""

import numpy as np
import pytest

from vmlkit.errors import DataError
from vmlkit.metrics.baselines import NAMES, baseline_metrics, baseline_predictions, best_constant_windows
from vmlkit.metrics.moments import moment_metrics


def spans(count, seed):
    return np.sort(np.random.default_rng(seed).random((count, 2)), axis=-1)


def naive_iou(a, b, eps=1e-10):
    overlap = min(a[1], b[1]) - max(a[0], b[0]) + eps
    return max(0.0, overlap / (max(a[1], b[1]) - min(a[0], b[0]) + eps))


def naive_windows(train, threshold, count, cells):
    """Greedy choice by exhaustive search."""

    def gain(window, span):
        overlap = naive_iou(window, span)
        return overlap if threshold is None else float(overlap >= threshold)

    grid = [i / cells for i in range(cells + 1)]
    every = [(a, b) for a in grid for b in grid if a < b]
    chosen = []
    for _ in range(count):
        scores = [sum(max(gain(w, t) for w in [*chosen, window]) for t in train) for window in every]
        chosen.append(every[max(range(len(every)), key=lambda i: scores[i])])
    return np.array(chosen)


@pytest.mark.parametrize("threshold", [None, 0.5, 0.7])
def test_constant_windows_equal_an_exhaustive_search(threshold):
    train = spans(37, seed=0)
    found = best_constant_windows(train, threshold, count=3, step=0.1)
    np.testing.assert_array_equal(found, naive_windows(train.tolist(), threshold, 3, 10))


def test_a_window_on_the_grid_is_found_and_more_training_spans_than_a_block_holds_change_nothing():
    train = np.tile([[0.25, 0.6]], (40_000, 1))
    np.testing.assert_array_equal(best_constant_windows(train), [[0.25, 0.6]])


def test_the_two_windows_differ_where_the_two_scores_do():
    starts = np.linspace(0, 0.8, 81)
    train = np.stack((starts, starts + 0.2), axis=-1)
    by_overlap, by_recall = best_constant_windows(train)[0], best_constant_windows(train, threshold=0.5)[0]
    assert by_overlap[1] - by_overlap[0] > by_recall[1] - by_recall[0] + 0.2


def test_every_baseline_is_there_and_lies_in_the_video():
    found = baseline_predictions(spans(20, 1), test_count=7, draws=3)
    assert tuple(found) == NAMES
    for name, predicted in found.items():
        repetitions = 3 if name in NAMES[:3] else 1
        assert predicted.shape == (repetitions, 7, 1 if name == "whole video" else 5, 2), name
        assert predicted.min() >= 0, name
        assert predicted.max() <= 1, name
        assert (predicted[..., 0] <= predicted[..., 1]).all(), name


def test_the_seed_decides_and_every_draw_differs():
    train = spans(50, 1)
    first, same, other = (baseline_predictions(train, 9, seed=s, draws=2) for s in (0, 0, 1))
    for name in NAMES[:3]:
        np.testing.assert_array_equal(first[name], same[name])
        assert (first[name] != other[name]).any(), name
        assert (first[name][0] != first[name][1]).any(), name


def test_random_training_spans_are_training_spans():
    train = spans(15, 2)
    drawn = baseline_predictions(train, 30, draws=2)["random training span"]
    members = {tuple(row) for row in train}
    assert {tuple(row) for row in drawn.reshape(-1, 2)} <= members
    assert len({tuple(row) for row in drawn.reshape(-1, 2)}) == len(members)


def test_nothing_is_fitted_on_the_test_spans():
    train, truth = np.array([[0.0, 0.25]] * 5), np.array([[0.75, 1.0]] * 5)
    rows = baseline_metrics(train, truth, draws=2)
    for name in ("best constant window", "best constant window (IoU=0.5)", "random training span"):
        assert rows[name]["R@1,mIoU"] == 0, name
    assert rows["whole video"]["R@1,mIoU"] == pytest.approx(0.25)


def test_metrics_are_the_mean_over_the_draws():
    train, truth = spans(30, 3), spans(12, 4)
    rows = baseline_metrics(train, truth, seed=5, draws=3)
    predicted = baseline_predictions(train, 12, seed=5, draws=3)["two uniform random points"]
    order = np.tile(np.arange(5), (12, 1))
    each = [moment_metrics(p, order, order[:, 0], truth) for p in predicted]
    for key, value in rows["two uniform random points"].items():
        assert value == pytest.approx(np.mean([metrics[key] for metrics in each]), abs=1e-15), key


def test_two_uniform_points_have_the_expected_overlap_with_the_whole_video():
    rows = baseline_metrics(spans(5, 0), np.tile([[0.0, 1.0]], (2000, 1)), draws=5)
    assert rows["two uniform random points"]["R@1,mIoU"] == pytest.approx(1 / 3, abs=0.01)
    assert rows["whole video"] == dict.fromkeys(rows["whole video"], 1.0)


def test_five_constant_windows_answer_better_than_one():
    train = spans(200, 6)
    rows = baseline_metrics(train, train, draws=1)
    assert rows["best constant window"]["R@5,mIoU"] > rows["best constant window"]["R@1,mIoU"] + 0.1
    assert rows["whole video"]["R@5,mIoU"] == rows["whole video"]["R@1,mIoU"]
    recall = "R@1,IoU=0.5"
    assert rows["best constant window (IoU=0.5)"][recall] >= rows["best constant window"][recall]
    assert rows["best constant window"]["R@1,mIoU"] >= rows["best constant window (IoU=0.5)"]["R@1,mIoU"]


@pytest.mark.parametrize("train", [np.zeros((0, 2)), np.array([[0.5, 0.2]]), np.array([[0.0, np.nan]]), np.zeros(4)])
def test_unusable_training_spans_are_refused(train, unchecked):
    with pytest.raises(DataError, match="the training spans"):
        baseline_predictions(train, 3)
