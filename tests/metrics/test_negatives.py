"""R@n,mIoN and what is printed beside it: against naive loops and constructed cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmlkit.errors import DataError
from vmlkit.metrics.negatives import ion_metrics, mean_ion, pairwise_ion, random_intervals


def naive_ion(p, n, g):
    p, n = ([min(max(x, 0.0), 1.0) for x in span] for span in (p, n))
    start, end = max(p[0], n[0]), min(p[1], n[1])
    if end <= start or n[1] <= n[0]:
        return 0.0
    inside = max(0.0, min(end, g[1]) - max(start, g[0]))
    return (end - start - inside) / (n[1] - n[0])


def naive_mean_ion(positives, order, negatives, truth, n, over):
    values = []
    for p, o, m, g in zip(positives, order, negatives, truth, strict=True):
        rows = [[naive_ion(p[k], negative, g) for negative in m] for k in o[:n]]
        values.append(max(max(row) if over == "max" else sum(row) / len(row) for row in rows))
    return sum(values) / len(values)


def random_case(count=30, positives=6, negatives=3, seed=0):
    rng = np.random.default_rng(seed)
    p = np.sort(rng.uniform(-0.2, 1.2, (count, positives, 2)), axis=-1)
    n = np.sort(rng.uniform(-0.2, 1.2, (count, negatives, 2)), axis=-1)
    return p, rng.permuted(np.tile(np.arange(positives), (count, 1)), axis=1), n, np.sort(rng.random((count, 2)), -1)


@pytest.mark.parametrize(("positives", "negatives"), [(6, 3), (1, 1), (3, 5)])
def test_ion_metrics_equal_a_naive_loop(positives, negatives):
    p, order, n, truth = random_case(positives=positives, negatives=negatives)
    found = ion_metrics(p, order, n, truth, draws=2)
    for rank in (1, 5):
        maximum = naive_mean_ion(p, order, n, truth, rank, "max")
        mean = naive_mean_ion(p, order, n, truth, rank, "mean")
        assert found[f"R@{rank},mIoN"] == pytest.approx(maximum, abs=1e-12)
        assert found[f"R@{rank},mIoN mean over negatives"] == pytest.approx(mean, abs=1e-12)


def test_width_and_overlap_with_the_truth_equal_a_naive_loop():
    p, order, n, truth = random_case()
    found = ion_metrics(p, order, n, truth, draws=1)
    widths, overlaps = [], []
    for row, g in zip(n, truth, strict=True):
        for start, end in np.clip(row, 0, 1):
            widths.append(end - start)
            common = min(end, g[1]) - max(start, g[0]) + 1e-10
            overlaps.append(max(0.0, common / (max(end, g[1]) - min(start, g[0]) + 1e-10)))
    assert found["negative width"] == pytest.approx(np.mean(widths), abs=1e-12)
    assert found["negative-truth IoU"] == pytest.approx(np.mean(overlaps), abs=1e-12)


def test_every_row_a_reader_needs_is_there():
    assert set(ion_metrics(*random_case(count=2), draws=1)) == {
        "R@1,mIoN",
        "R@5,mIoN",
        "R@1,mIoN mean over negatives",
        "R@5,mIoN mean over negatives",
        "R@1,mIoN random intervals",
        "R@5,mIoN random intervals",
        "negative width",
        "negative width random intervals",
        "negative-truth IoU",
    }


def test_the_control_depends_on_the_seed_alone_and_not_on_the_negatives():
    p, order, n, truth = random_case()
    first = ion_metrics(p, order, n, truth, seed=1, draws=3)
    other = ion_metrics(p, order, n * 0.1, truth, seed=1, draws=3)
    assert first["R@1,mIoN random intervals"] == other["R@1,mIoN random intervals"]
    assert first["R@1,mIoN"] != other["R@1,mIoN"]
    again = ion_metrics(p, order, n, truth, seed=2, draws=3)
    assert again["R@1,mIoN random intervals"] != first["R@1,mIoN random intervals"]


def test_the_control_has_as_many_intervals_as_there_are_negatives():
    p, order, n, truth = random_case(count=200, negatives=1)
    one = ion_metrics(p, order, n, truth, draws=5)
    six = ion_metrics(p, order, np.repeat(n, 6, axis=1), truth, draws=5)
    assert six["R@1,mIoN"] == one["R@1,mIoN"]
    assert six["R@1,mIoN random intervals"] > one["R@1,mIoN random intervals"] + 0.05


def test_a_vanishing_negative_in_a_wrong_positive_scores_1_and_its_width_shows_it():
    positive, truth = np.array([[[0.5, 1.0]]]), np.array([[0.0, 0.5]])
    found = ion_metrics(positive, np.array([[0]]), np.array([[[0.7, 0.7001]]]), truth)
    assert found["R@1,mIoN"] == pytest.approx(1.0)
    assert found["negative width"] == pytest.approx(1e-4)
    assert 0 < found["R@1,mIoN random intervals"] < 1


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_more_positives_never_lower_it_and_the_mean_never_exceeds_the_maximum(seed):
    p, order, n, truth = random_case(count=8, seed=seed)
    found = ion_metrics(p, order, n, truth, draws=1)
    assert 0 <= found["R@1,mIoN"] <= found["R@5,mIoN"] <= 1
    for rank in (1, 5):
        assert found[f"R@{rank},mIoN mean over negatives"] <= found[f"R@{rank},mIoN"] + 1e-15


def test_complements_of_the_positive_score_0():
    rng = np.random.default_rng(0)
    p, truth = np.sort(rng.random((50, 1, 2)), -1), np.sort(rng.random((50, 2)), -1)
    zeros, ones = np.zeros((50, 1)), np.ones((50, 1))
    sides = np.stack((np.stack((zeros, p[..., 0]), -1), np.stack((p[..., 1], ones), -1)), 1)[:, :, 0]
    assert pairwise_ion(p, sides, truth).max() == 0
    assert mean_ion(p, sides, truth) == 0


def test_random_intervals_lie_in_the_video_and_have_the_mean_width_of_the_clipped_draw():
    drawn = random_intervals((20_000, 2), np.random.default_rng(3))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert (drawn[..., 0] <= drawn[..., 1]).all()
    # E[width] = 1/2, less twice the mean part beyond one end, E[max(w/2 - c, 0)] = E[w^2 / 8] = 1/24
    assert np.mean(drawn[..., 1] - drawn[..., 0]) == pytest.approx(1 / 2 - 2 / 24, abs=0.005)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"negatives": c["negatives"][:, :0]}, "negatives have shape"),
        (lambda c: c | {"order": c["order"][:, :1]}, "shapes disagree"),
        (lambda c: {k: v[:0] for k, v in c.items()}, "no query"),
        (lambda c: c | {"negatives": c["negatives"] * np.nan}, "negatives hold a value that is not finite"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(change, message, unchecked):
    p, order, n, truth = random_case(count=3)
    with pytest.raises(DataError, match=message):
        ion_metrics(**change({"positives": p, "order": order, "negatives": n, "truth": truth}))
