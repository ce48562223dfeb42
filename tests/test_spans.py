"""Interval algebra: against a naive form, its symmetries, and numpy against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmlkit import spans as sp

fractions = st.floats(0, 1, allow_subnormal=False)
spans = st.tuples(fractions, fractions).map(lambda pair: np.sort(np.array(pair)))
#: multiples of 1/64 are exact in binary, so sums and differences of them are too
exact_spans = st.tuples(st.integers(0, 64), st.integers(0, 64)).map(lambda pair: np.sort(np.array(pair)) / 64)


def naive_iou(a, b, eps=1e-10):
    overlap = min(a[1], b[1]) - max(a[0], b[0]) + eps
    hull = max(a[1], b[1]) - min(a[0], b[0]) + eps
    return max(overlap / hull, 0.0)


def counted_ion(positive, negative, truth, cells=64):
    """IoN by counting cells of 1/64 of the video."""

    def members(span):
        return {i for i in range(cells) if span[0] * cells <= i < span[1] * cells}

    if not members(negative):
        return 0.0
    return len((members(positive) & members(negative)) - members(truth)) / len(members(negative))


@given(spans, spans)
def test_iou_equals_the_reference_formula(a, b):
    assert sp.iou(a, b) == naive_iou(a, b)


@given(spans, spans)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert sp.iou(a, b) == sp.iou(b, a)
    assert 0 <= sp.iou(a, b) <= 1
    assert sp.iou(a, a) == 1


@given(exact_spans, exact_spans, st.integers(-200, 200))
def test_iou_is_translation_invariant(a, b, shift):
    assert sp.iou(a + shift / 64, b + shift / 64) == sp.iou(a, b)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0.5, 0.5], [0.5, 0.5], 1.0),
        ([0.5, 0.5], [0.25, 0.75], pytest.approx(2e-10, rel=1e-6)),
        ([0.0, 0.25], [0.5, 1.0], 0.0),
        ([0.0, 0.5], [0.5, 1.0], pytest.approx(1e-10, rel=1e-6)),
        ([0.0, 0.5], [0.0, 1.0], pytest.approx(0.5, abs=1e-9)),
    ],
)
def test_iou_of_empty_disjoint_and_touching_spans(a, b, expected):
    assert float(sp.iou(np.array(a), np.array(b))) == expected


@given(spans)
def test_center_width_and_start_end_are_inverse(span):
    np.testing.assert_allclose(sp.to_start_end(sp.to_center_width(span)), span, atol=1e-15)


@given(exact_spans, exact_spans)
def test_every_union_counts_the_common_part(a, b):
    common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    hull, lengths = max(a[1], b[1]) - min(a[0], b[0]), (a[1] - a[0]) + (b[1] - b[0])
    assert sp.hull_iou(a, b) == (common / hull if hull > 0 else 0)
    assert sp.sum_iou(a, b, empty=-1.0) == (common / (lengths - common) if lengths > common else -1)
    both_ends = max(0.0, min(a[1], b[1]) - max(a[0], b[0]) + 1)
    assert sp.sum_iou(a, b, plus=1) == both_ends / (lengths + 2 - both_ends)


@given(exact_spans, exact_spans, exact_spans)
def test_ion_equals_counting_cells(positive, negative, truth):
    assert float(sp.ion(positive, negative, truth)) == counted_ion(positive, negative, truth)


@given(spans, spans, spans)
def test_ion_is_between_0_and_1(positive, negative, truth):
    assert 0 <= sp.ion(positive, negative, truth) <= 1


@given(spans, spans)
def test_ion_is_0_for_a_positive_inside_the_truth_and_for_empty_spans(span, other):
    empty = np.array([0.3, 0.3])
    assert sp.ion(span, other, np.array([0.0, 1.0])) == 0
    assert sp.ion(empty, other, span) == 0
    assert sp.ion(span, empty, other) == 0


def test_ion_is_1_for_a_negative_inside_the_positive_and_outside_the_truth():
    assert float(sp.ion(np.array([0.1, 0.6]), np.array([0.2, 0.3]), np.array([0.7, 0.9]))) == 1.0


def test_pairs_broadcast_and_forms_agree_in_torch_and_numpy():
    rng = np.random.default_rng(0)
    p, n, g = (np.sort(rng.random(shape), axis=-1) for shape in ((6, 4, 1, 2), (6, 1, 3, 2), (6, 1, 1, 2)))
    n[0] = 0.5
    assert sp.ion(p, n, g).shape == (6, 4, 3)
    assert sp.iou(p, n).shape == sp.sum_iou(p, n).shape == sp.hull_iou(p, n).shape == (6, 4, 3)
    np.testing.assert_array_equal(sp.to_center_width(torch.from_numpy(p)).numpy(), sp.to_center_width(p))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_precision_of_the_input_is_kept(kind):
    a = np.array([0.25, 0.75], dtype=kind)
    assert sp.iou(a, a).dtype == sp.ion(a, a, a).dtype == sp.to_start_end(a).dtype == kind
    t = torch.from_numpy(a)
    assert sp.generalized_iou(t, t).dtype == sp.to_center_width(t).dtype == t.dtype
