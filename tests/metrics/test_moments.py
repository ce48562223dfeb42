"""R@n,IoU=m, mIoU and the votes: against naive loops, and the stated conventions one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmlkit.errors import DataError
from vmlkit.metrics.moments import (
    THRESHOLDS,
    VoteRule,
    discounted_recall,
    moment_iou,
    moment_metrics,
    order_by_nll,
    vote,
)

RULES: tuple[VoteRule, ...] = ("none", "activitynet", "charades", "pps_charades")


def naive_iou(a, b, eps=1e-10):
    overlap = min(a[1], b[1]) - max(a[0], b[0]) + eps
    hull = max(a[1], b[1]) - min(a[0], b[0]) + eps
    return max(overlap / hull, 0.0)


def naive_order(nll):
    return sorted(range(len(nll)), key=lambda k: (nll[k], k))


def naive_vote(proposals, nll, rule):
    order = naive_order(nll)
    if rule == "none":
        return order[0]
    best, answer = -1.0, None
    for i in order:
        votes = 0.0
        for j in order:
            if rule == "activitynet":
                weight = 1.0
            elif rule == "charades":
                weight = naive_iou(proposals[order[0]], proposals[j])
            else:
                weight = 1 - nll[j] / max(nll)
            votes += weight * naive_iou(proposals[i], proposals[j])
        if votes > best:
            best, answer = votes, i
    return answer


def naive_metrics(proposals, nll, truth, rule, thresholds, ranks):
    sums = {}
    for spans, losses, target in zip(proposals.tolist(), nll.tolist(), truth.tolist(), strict=True):
        answer, order = naive_vote(spans, losses, rule), naive_order(losses)
        for n in ranks:
            chosen = [answer] if n == 1 else order[:n]
            best = max(naive_iou(spans[k], target) for k in chosen)
            for m in thresholds:
                sums.setdefault(f"R@{n},IoU={m:g}", []).append(1.0 if best >= m else 0.0)
            sums.setdefault(f"R@{n},mIoU", []).append(best)
    return {key: sum(values) / len(values) for key, values in sums.items()}


def random_case(count, proposals, seed=0):
    rng = np.random.default_rng(seed)
    spans = np.sort(rng.random((count, proposals, 2)), axis=-1)
    return spans, rng.random((count, proposals)) + 0.1, np.sort(rng.random((count, 2)), axis=-1)


def evaluate(spans, nll, truth, rule, **settings):
    return moment_metrics(spans, order_by_nll(nll), vote(spans, nll, rule), truth, **settings)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("proposals", [1, 3, 8])
def test_metrics_and_votes_equal_a_naive_loop(rule, proposals):
    spans, nll, truth = random_case(60, proposals)
    found = evaluate(spans, nll, truth, rule, n=(1, 2, 5))
    expected = naive_metrics(spans, nll, truth, rule, THRESHOLDS, (1, 2, 5))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10_000), st.sampled_from(RULES))
@settings(max_examples=40, deadline=None)
def test_votes_equal_a_naive_loop_with_repeated_spans_and_losses(seed, rule):
    rng = np.random.default_rng(seed)
    spans = np.sort(rng.integers(0, 5, (4, 5, 2)), axis=-1) / 4
    nll = rng.integers(1, 4, (4, 5)) / 4
    expected = [naive_vote(s, n, rule) for s, n in zip(spans.tolist(), nll.tolist(), strict=True)]
    assert vote(spans, nll, rule).tolist() == expected


def test_the_keys_are_the_papers_names():
    spans, nll, truth = random_case(4, 8)
    assert list(evaluate(spans, nll, truth, "none")) == [
        *(f"R@1,IoU={m}" for m in (0.1, 0.3, 0.5, 0.7, 0.9)),
        "R@1,mIoU",
        *(f"R@5,IoU={m}" for m in (0.1, 0.3, 0.5, 0.7, 0.9)),
        "R@5,mIoU",
    ]


def test_an_iou_exactly_at_the_threshold_counts():
    spans, truth = np.array([[[0.0, 0.5]]]), np.array([[0.0, 1.0]])
    found = moment_metrics(spans, np.array([[0]]), np.array([0]), truth, thresholds=(0.5, 0.51), n=(1,))
    assert (found["R@1,IoU=0.5"], found["R@1,IoU=0.51"]) == (1.0, 0.0)


def test_only_rank_1_follows_the_vote():
    spans = np.array([[[0.0, 0.2], [0.5, 0.9], [0.5, 1.0]]])
    nll, truth = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.9]])
    assert evaluate(spans, nll, truth, "none", n=(1,))["R@1,mIoU"] == 0
    voted = evaluate(spans, nll, truth, "activitynet", n=(1, 2))
    assert voted["R@1,mIoU"] == 1
    truth_first = moment_metrics(spans, np.array([[0, 2, 1]]), np.array([1]), truth, n=(2,))
    assert truth_first["R@2,mIoU"] == pytest.approx(0.8)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_recall_falls_with_the_threshold_and_rises_with_n(seed):
    spans, nll, truth = random_case(12, 6, seed)
    found = evaluate(spans, nll, truth, "none", n=(1, 2, 5))
    for n in (1, 2, 5):
        recalls = [found[f"R@{n},IoU={m:g}"] for m in THRESHOLDS]
        assert recalls == sorted(recalls, reverse=True)
        assert 0 <= found[f"R@{n},mIoU"] <= 1
    assert found["R@1,mIoU"] <= found["R@2,mIoU"] <= found["R@5,mIoU"]


def test_the_order_of_queries_does_not_matter():
    spans, nll, truth = random_case(50, 4)
    turned = slice(None, None, -1)
    forward = evaluate(spans, nll, truth, "activitynet")
    assert evaluate(spans[turned], nll[turned], truth[turned], "activitynet") == pytest.approx(forward, abs=1e-15)


def test_single_precision_spans_are_compared_in_double_precision():
    spans, _, truth = random_case(20, 3)
    single = spans.astype(np.float32)
    assert moment_iou(single, truth).dtype == np.float64
    np.testing.assert_array_equal(moment_iou(single, truth), moment_iou(single.astype(np.float64), truth))


@pytest.mark.parametrize("rule", RULES)
def test_votes_do_not_depend_on_how_many_queries_vote_at_a_time(rule, monkeypatch):
    spans, nll, _ = random_case(31, 4)
    whole = vote(spans, nll, rule)
    monkeypatch.setattr("vmlkit.metrics.moments._BLOCK", 7)
    np.testing.assert_array_equal(vote(spans, nll, rule), whole)
    assert vote(spans[:0], nll[:0], rule).shape == (0,)


def test_equal_losses_keep_the_lower_index_first():
    assert order_by_nll(np.array([[0.5, 0.1, 0.5, 0.1]])).tolist() == [[1, 3, 0, 2]]
    twins = np.array([[[0.5, 1.0], [0.5, 1.0]]])
    assert [int(vote(twins, np.array([[2.0, 2.0]]), rule)[0]) for rule in RULES] == [0, 0, 0, 0]
    assert int(vote(twins, np.array([[2.0, 1.0]]), "activitynet")[0]) == 1


def test_the_charades_rule_of_pps_ignores_the_worst_proposal():
    spans = np.array([[[0.0, 0.2], [0.6, 1.0], [0.5, 0.9]]])
    assert int(vote(spans, np.array([[1.0, 2.0, 2.0]]), "pps_charades")[0]) == 0
    assert int(vote(spans, np.zeros((1, 3)), "pps_charades")[0]) in (1, 2)


def test_discounted_recall_equals_a_naive_loop():
    spans, _, truth = random_case(40, 1)
    found = discounted_recall(spans[:, 0], truth)
    for m in THRESHOLDS:
        values = [
            (1 - abs(a[0] - g[0])) * (1 - abs(a[1] - g[1])) if naive_iou(a, g) >= m else 0.0
            for a, g in zip(spans[:, 0], truth, strict=True)
        ]
        assert found[f"dR@1,IoU={m:g}"] == pytest.approx(sum(values) / len(values), abs=1e-12)


def broken(name):
    spans, nll, truth = random_case(3, 2)
    order = order_by_nll(nll)
    case = {"proposals": spans, "order": order, "top1": order[:, 0], "truth": truth}
    changes = {
        "no query": {key: value[:0] for key, value in case.items()},
        "shape": {"truth": truth[:2]},
        "nan": {"proposals": np.where(np.arange(3)[:, None, None] == 1, np.nan, spans)},
        "inverted": {"truth": truth[:, ::-1]},
        "index": {"top1": order[:, 0] + 2},
        "rank": {"n": (0,)},
    }
    return case | changes[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no query", "no query"),
        ("shape", "truth has shape"),
        ("nan", "query 1 is not finite"),
        ("inverted", "truth of query 0"),
        ("index", "top1 points outside"),
        ("rank", "n is"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(name, message, unchecked):
    with pytest.raises(DataError, match=message):
        moment_metrics(**broken(name))


def test_unusable_losses_and_rules_are_refused(unchecked):
    spans, nll, _ = random_case(3, 2)
    with pytest.raises(DataError, match="NLL of query 2"):
        order_by_nll(np.where(np.arange(3)[:, None] == 2, np.nan, nll))
    with pytest.raises(DataError, match="no rule"):
        vote(spans, nll, "majority")
    with pytest.raises(DataError, match="disagree"):
        vote(spans[:, :1], nll, "none")
