"""HL-mAP, Hit@1 and top-5 mAP: against naive loops, and the stated conventions one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import naive_evaluation as naive
from vmlkit.errors import DataError
from vmlkit.metrics import highlights as hl

# few distinct scores: ties are frequent; negative ones lie below the zeros of missing clips
score = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
ANNOTATORS = 3


@st.composite
def queries(draw):
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        clips = draw(st.integers(1, 9))
        labels = draw(st.lists(st.lists(st.booleans(), min_size=clips, max_size=clips), min_size=3, max_size=3))
        rows.append((draw(st.lists(score, min_size=1, max_size=11)), labels))
    return rows


def arrays(rows):
    scores, lengths = hl.pad_scores([np.array(s) for s, _ in rows])
    clips = np.array([len(labels[0]) for _, labels in rows])
    positive = np.zeros((len(rows), clips.max(), ANNOTATORS), dtype=bool)
    for i, (_, labels) in enumerate(rows):
        positive[i, : clips[i]] = np.array(labels).T
    return scores, lengths, positive, clips


@settings(max_examples=200, deadline=None)
@given(queries())
def test_average_precision_is_that_of_the_naive_loop(rows):
    found = hl.highlight_average_precision(*arrays(rows))
    expected = [[naive.highlight_ap(scores, positive) for positive in labels] for scores, labels in rows]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(queries())
def test_hit_at_one_is_that_of_the_naive_loop(rows):
    assert hl.hit_at_one(*arrays(rows)).tolist() == [naive.hit_at_one(scores, labels) for scores, labels in rows]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_top_clips_are_those_of_the_naive_loop(data):
    clips = data.draw(st.integers(1, 9))
    scores = data.draw(st.lists(score, min_size=clips, max_size=clips))
    labels = data.draw(st.lists(st.lists(st.integers(1, 5), min_size=4, max_size=4), min_size=clips, max_size=clips))
    found = hl.top_clips_average_precision(np.array(scores), np.array(labels, dtype=float))
    np.testing.assert_allclose(found, naive.top_clips(scores, labels), rtol=0, atol=1e-12)


def ap(scores, positive):
    return hl.highlight_average_precision(*arrays([(scores, [positive] * ANNOTATORS)]))[0, 0]


def test_no_positive_clip_is_zero_and_only_positive_clips_are_one():
    assert ap([0.3, 0.2], [False, False]) == 0.0
    assert ap([0.3, 0.2], [True, True]) == 1.0


def test_a_group_of_equal_scores_counts_once():
    # one level with both positives: its precision 2/3 once; the usual AP would weigh it twice, with the same mean
    assert ap([1.0, 0.5, 0.5], [True, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    assert ap([0.5, 0.5, 0.5, 0.1], [True, True, False, True]) == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_missing_clips_score_zero_and_surplus_clips_are_cut():
    assert ap([-1.0], [False, True]) == 1.0
    assert ap([1.0], [False, True]) == 0.5
    assert ap([0.5, 0.1, 9.0], [True, False]) == 1.0


def test_hit_looks_at_the_whole_list_and_at_any_annotator():
    one_of_three = [[True, False], [False, False], [False, False]]
    assert hl.hit_at_one(*arrays([([0.9, 0.9], one_of_three)])).tolist() == [True]
    assert hl.hit_at_one(*arrays([([0.1, 0.9], one_of_three)])).tolist() == [False]
    # the highest score lies beyond the video: a miss, though every clip is positive
    assert hl.hit_at_one(*arrays([([0.1, 0.2, 0.9], [[True, True]] * 3)])).tolist() == [False]


def test_the_median_is_the_lower_one_and_must_be_exceeded():
    labels = np.array([[1.0], [2.0], [3.0], [4.0]])
    # lower median 2: the clips 3 and 4 are positive
    assert hl.top_clips_average_precision(np.array([0.1, 0.2, 0.3, 0.4]), labels, top=2).tolist() == [1.0]
    assert hl.top_clips_average_precision(np.array([0.4, 0.3, 0.2, 0.1]), labels, top=2).tolist() == [0.0]


@pytest.mark.parametrize("count", [0, 2])
def test_scores_and_labels_of_different_length_are_refused(count, unchecked):
    with pytest.raises(DataError, match="labelled clips"):
        hl.top_clips_average_precision(np.zeros(count), np.ones((3, 4)))
