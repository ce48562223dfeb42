"""R@1 and mAP over several windows: against naive loops, and the stated conventions one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import naive_evaluation as naive
from vmlkit.errors import DataError
from vmlkit.metrics import windows as win

# whole numbers on a short line and few scores: ties of IoU, of scores and exact thresholds are frequent
point = st.integers(0, 12).map(float)
window = st.tuples(point, point).map(lambda w: (min(w), max(w)))
true_window = window.filter(lambda w: w[1] > w[0])
ranked = st.tuples(point, point, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
query = st.tuples(st.lists(ranked, max_size=14), st.lists(true_window, min_size=1, max_size=5))
THRESHOLDS = (0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0)


def arrays(queries):
    padded, predicted = win.pad_rows([p for p, _ in queries], columns=3)
    truth, true = win.pad_rows([t for _, t in queries], columns=2)
    return padded[..., :2], padded[..., 2], predicted, truth, true


@settings(max_examples=150, deadline=None)
@given(st.lists(query, min_size=1, max_size=5))
def test_average_precision_is_that_of_the_naive_loop(queries):
    found = win.window_average_precision(*arrays(queries), thresholds=THRESHOLDS)
    expected = [[naive.average_precision(p, t, threshold) for threshold in THRESHOLDS] for p, t in queries]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.lists(query, min_size=1, max_size=5))
def test_recall_at_one_is_that_of_the_naive_loop(queries):
    predictions, _, predicted, truth, true = arrays(queries)
    found = win.first_window_iou(predictions, predicted, truth, true)
    np.testing.assert_allclose(found, [naive.recall_at_one(p, t) for p, t in queries], rtol=0, atol=1e-12)


def ap(predictions, truth, thresholds=(0.5,), **rest):
    return win.window_average_precision(*arrays([(predictions, truth)]), thresholds=thresholds, **rest)[0].tolist()


def test_an_iou_at_the_threshold_counts():
    assert ap([(0, 4, 1)], [(2, 4)], thresholds=(0.5, 0.500001)) == [1.0, 0.0]


def test_only_the_first_ten_of_the_list_count_whatever_their_score():
    far = [(50, 60, 0.1)] * 10
    assert ap([*far, (0, 4, 0.9)], [(0, 4)]) == [0.0]
    assert ap([*far[:9], (0, 4, 0.9)], [(0, 4)]) == [1.0]
    assert ap([*far, (0, 4, 0.9)], [(0, 4)], max_predictions=None) == [1.0]


def test_equal_scores_keep_the_order_of_the_list():
    assert ap([(0, 4, 0.5), (50, 60, 0.5)], [(0, 4)]) == [1.0]
    assert ap([(50, 60, 0.5), (0, 4, 0.5)], [(0, 4)]) == [0.5]


def test_a_true_window_is_found_once_and_the_next_best_is_tried():
    # both predictions fit the first window best; the second one still finds the other
    assert ap([(0, 10, 0.9), (0, 9, 0.8)], [(0, 10), (0, 6)]) == [1.0]
    assert ap([(0, 10, 0.9), (0, 9, 0.8)], [(0, 10), (50, 60)]) == [0.5]


def test_of_equal_overlaps_the_later_window_is_taken():
    # (4, 8) and (8, 12) both have IoU 1/2 with (4, 12); taking the later one leaves (4, 8) to the next prediction
    truth = [(4, 8), (8, 12)]
    assert ap([(4, 12, 0.9), (4, 8, 0.5)], truth) == [1.0]
    assert ap([(4, 12, 0.9), (8, 12, 0.5)], truth) == [0.5]


def test_recall_at_one_takes_the_first_of_the_list_not_the_best_score():
    predictions, _, predicted, truth, true = arrays([([(50, 60, 0.1), (0, 4, 0.9)], [(0, 4)])])
    assert win.first_window_iou(predictions, predicted, truth, true).tolist() == [0.0]


def test_a_query_without_prediction_misses_every_threshold():
    predictions, scores, predicted, truth, true = arrays([([], [(0, 4)]), ([(0, 4, 1)], [(0, 4)])])
    assert win.first_window_iou(predictions, predicted, truth, true).tolist() == [-1.0, 1.0]
    rows = win.window_average_precision(predictions, scores, predicted, truth, true, thresholds=(0.0,))
    assert rows.tolist() == [[0.0], [1.0]]


def test_an_empty_union_is_zero_or_the_match_that_the_official_programs_see():
    pair = np.array([[[9.0, 8.0]]]), np.array([[[7.0, 8.0]]])
    assert win.window_iou(*pair).tolist() == [[[0.0]]]
    assert ap([(9, 8, 1)], [(7, 8)]) == [0.0]
    assert ap([(9, 8, 1)], [(7, 8)], empty_union=np.inf) == [1.0]


@pytest.mark.parametrize("queries", [[], [([(0, 4, 1)], [])]])
def test_a_query_without_true_window_is_refused(queries, unchecked):
    predictions, scores, predicted, truth, true = arrays(queries)
    with pytest.raises(DataError, match="no true window"):
        win.window_average_precision(predictions, scores, predicted, truth, true)
    with pytest.raises(DataError, match="no true window"):
        win.first_window_iou(predictions, predicted, truth, true)
