"""Suppression against loops over single numbers."""

import math

import numpy as np
import pytest

from vmlkit.actions.nms import hard_nms, soft_nms
from vmlkit.errors import DataError


def overlap(a: list[float], b: list[float]) -> float:
    inter = max(min(a[1], b[1]) - max(a[0], b[0]) + 1, 0)
    return inter / (a[1] - a[0] + 1 + b[1] - b[0] + 1 - inter)


def naive_soft(spans: list, scores: list, method: str, sigma: float, threshold: float) -> tuple[list, list]:
    left, scores = list(range(len(scores))), list(scores)
    order, final = [], []
    while left:
        best = max(range(len(left)), key=lambda i: (scores[left[i]], -i))
        left[0], left[best] = left[best], left[0]
        pick = left.pop(0)
        order.append(pick)
        final.append(scores[pick])
        for i in left:
            iou = overlap(spans[pick], spans[i])
            if method == "gaussian":
                scores[i] *= math.exp(-iou * iou / sigma)
            elif iou > threshold:
                scores[i] *= 1 - iou if method == "linear" else 0
    return order, final


@pytest.mark.parametrize("method", ["gaussian", "linear", "hard"])
@pytest.mark.parametrize("seed", range(4))
def test_soft_suppression_equals_a_naive_loop(method: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    spans = np.sort(rng.integers(0, 40, (25, 2)), axis=1).astype(float)
    scores = np.round(rng.normal(size=25), 1)  # ties and negative scores
    order, final = soft_nms(spans, scores, method, sigma=0.4, threshold=0.3)
    expected, values = naive_soft(spans.tolist(), scores.tolist(), method, 0.4, 0.3)
    assert order.tolist() == expected
    np.testing.assert_allclose(final, values, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_hard_suppression_equals_a_naive_loop(seed: int) -> None:
    rng = np.random.default_rng([seed, 2])
    spans = np.sort(rng.uniform(0, 40, (25, 2)), axis=1)
    scores = rng.integers(10, size=25).astype(float)
    expected: list[int] = []
    for i in sorted(range(25), key=lambda i: (scores[i], i), reverse=True):
        if all(overlap(spans[i].tolist(), spans[j].tolist()) < 0.5 for j in expected):
            expected.append(i)
    assert hard_nms(spans, scores, 0.5).tolist() == expected


def test_nothing_goes_in_and_nothing_comes_out() -> None:
    order, scores = soft_nms(np.zeros((0, 2)), np.zeros(0))
    assert len(order) == len(scores) == len(hard_nms(np.zeros((0, 2)), np.zeros(0))) == 0


def test_the_unit_changes_what_is_suppressed() -> None:
    """One second apart is an overlap with +1 in seconds and none with +1 in snippets of 0.64 s."""
    snippets = np.array([[0.0, 2.0], [4.0, 6.0]])
    scores = np.array([0.9, 0.8])
    assert soft_nms(snippets, scores)[1][1] == 0.8
    assert soft_nms(snippets * 0.2, scores)[1][1] < 0.8


def test_soft_suppression_leaves_its_input_alone() -> None:
    spans, scores = np.array([[0.0, 9.0], [1.0, 9.0]]), np.array([0.5, 0.9])
    soft_nms(spans, scores)
    assert scores.tolist() == [0.5, 0.9]


def test_an_unknown_method_is_refused(unchecked) -> None:
    with pytest.raises(DataError, match="no method 'soft'"):
        soft_nms(np.zeros((1, 2)), np.zeros(1), "soft")
