"""The published protocols: all numbers against naive loops, denominators, and what is left out."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from tests.metrics import naive_evaluation as naive
from tests.parity.golden_detr_metrics import flat
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.errors import DataError
from vmlkit.metrics.protocols import evaluate_charades, evaluate_qvhighlights, evaluate_tvsum, percent


def random_case(seed, count=40):
    """Queries with windows of every range, ties of scores, more than ten predictions, score lists of odd lengths."""
    rng = np.random.default_rng(seed)
    queries, predictions = [], []
    for qid in rng.permutation(count).tolist():
        clips = int(rng.integers(20, 76))
        windows = []
        for _ in range(rng.integers(1, 5)):
            start, size = int(rng.integers(0, clips - 1)), int(rng.choice([1, 5, 8, 15, 16, 40]))
            windows.append((2.0 * start, 2.0 * min(clips, start + size)))
        ids = sorted({c for s, e in windows for c in range(int(s / 2), int(e / 2))})
        scores = [tuple(rng.integers(0, 5, 3).tolist()) for _ in ids]
        queries.append(
            QueryAnnotation(
                qid=qid, query="q", vid=f"v{qid}", duration_s=2.0 * clips + float(rng.integers(0, 2)),
                windows_s=tuple(windows), relevant_clip_ids=tuple(ids), saliency_scores=tuple(scores),
            )
        )  # fmt: skip
        guesses = np.sort(rng.integers(0, clips, (int(rng.integers(1, 14)), 2)) * 2.0, axis=1)
        guesses[0] = windows[0] if rng.random() < 0.5 else guesses[0]
        ranked = np.column_stack((guesses, rng.choice([0.1, 0.2, 0.4, 0.8], len(guesses))))
        length = clips + int(rng.integers(-5, 6))
        predictions.append(QueryPrediction(qid=qid, windows_s=ranked, clip_scores=rng.integers(-4, 9, length) / 8))
    rng.shuffle(queries)
    return predictions, queries


@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_are_those_of_the_naive_loops(seed):
    predictions, queries = random_case(seed)
    found, expected = (
        flat(evaluate_qvhighlights(predictions, queries).metrics),
        flat(naive.qvhighlights(predictions, queries)),
    )
    assert len(found) == 104
    assert len(expected) == 104 - 14
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=0.005 + 1e-9), key
    assert found["brief/MR-full-mAP"] == found["full/MR-mAP/average"]
    assert found["brief/HL-min-Good-Hit1"] == found["HL-min-Good/HL-Hit1"]


def test_every_range_has_its_own_denominator():
    predictions, queries = random_case(4)
    counts = evaluate_qvhighlights(predictions, queries).denominators
    lengths = [[e - s for s, e in q.windows_s] for q in queries]
    assert counts["short"] == sum(any(0 < x <= 10 for x in row) for row in lengths)
    assert counts["middle"] == sum(any(10 < x <= 30 for x in row) for row in lengths)
    assert counts["long"] == sum(any(30 < x <= 150 for x in row) for row in lengths)
    assert counts["full"] == counts["HL"] == len(queries)


def query(qid, windows, duration=100.0, **rest):
    return QueryAnnotation(qid=qid, query="q", vid=f"v{qid}", duration_s=duration, windows_s=tuple(windows), **rest)


def prediction(qid, windows, scores=None):
    return QueryPrediction(qid=qid, windows_s=np.array(windows, dtype=float).reshape(-1, 3), clip_scores=scores)


def test_an_empty_range_is_not_a_number_and_says_so():
    found = evaluate_qvhighlights([prediction(1, [(0, 8, 1)])], [query(1, [(0, 8)])])
    assert found.denominators == {"short": 1, "middle": 0, "long": 0, "full": 1}
    assert found.metrics["short"]["MR-R1"]["0.95"] == 100.0
    assert math.isnan(found.metrics["long"]["MR-mAP"]["average"])
    assert math.isnan(found.metrics["brief"]["MR-long-mAP"])


def test_a_range_takes_its_upper_bound_and_not_its_lower_one():
    queries = [query(1, [(0, 10)]), query(2, [(0, 30)]), query(3, [(0, 30.5)])]
    found = evaluate_qvhighlights([prediction(i, [(0, 10, 1)]) for i in (1, 2, 3)], queries)
    assert [found.denominators[name] for name in ("short", "middle", "long")] == [1, 1, 1]


def test_queries_of_one_side_only_are_refused_or_listed():
    predictions = [prediction(1, [(0, 8, 1)]), prediction(9, [(0, 8, 1)])]
    queries = [query(1, [(0, 8)]), query("2", [(0, 8)])]
    with pytest.raises(DataError, match="'2' has no prediction"):
        evaluate_qvhighlights(predictions, queries)
    with pytest.raises(DataError, match="9 has no ground truth"):
        evaluate_qvhighlights(predictions, queries[:1])
    found = evaluate_qvhighlights(predictions, queries, common_only=True)
    assert found.denominators["full"] == 1
    assert found.dropped == {"no prediction": ("2",), "predicted, but not in the ground truth": (9,)}
    with pytest.raises(DataError, match="belong together"):
        evaluate_qvhighlights(predictions[1:], queries, common_only=True)


def test_ids_agree_as_numbers_and_as_texts_and_must_not_repeat():
    found = evaluate_qvhighlights([prediction("1", [(0, 8, 1)])], [query(1, [(0, 8)])])
    assert found.denominators["full"] == 1
    with pytest.raises(DataError, match="occurs twice"):
        evaluate_qvhighlights([prediction("1", [(0, 8, 1)]), prediction(1, [(0, 8, 1)])], [query(1, [(0, 8)])])


def test_a_query_without_window_stays_in_the_denominator_and_is_noted():
    found = evaluate_charades([prediction(1, []), prediction(2, [(0, 8, 1)])], [query(1, [(0, 8)]), query(2, [(0, 8)])])
    assert found.metrics["full"]["MR-R1"]["0.5"] == 50.0
    assert found.metrics["full"]["MR-mAP"]["average"] == 50.0
    assert found.noted == {"no predicted window: counts as a miss": 1}


def test_the_limit_cuts_true_windows_and_leaves_out_what_lies_beyond():
    queries = [query(1, [(70, 80)]), query(2, [(75, 90)]), query(3, [(10, 20)])]
    predictions = [prediction(1, [(70, 75, 1)]), prediction(2, [(0, 1, 1)]), prediction(3, [(10, 20, 1)])]
    cut = evaluate_charades(predictions, queries, limit_s=75.0)
    assert cut.denominators == {"full": 2}
    assert cut.dropped == {"every true window lies beyond 75 s": (2,)}
    assert cut.metrics["brief"]["MR-full-R1@0.7"] == 100.0
    plain = evaluate_charades(predictions, queries)
    assert plain.denominators == {"full": 3}
    assert plain.metrics["brief"]["MR-full-R1@0.7"] == 33.33
    assert queries[0].windows_s == ((70, 80),)
    with pytest.raises(DataError, match="no window begins before 5 s"):
        evaluate_charades(predictions, queries, limit_s=5.0)


def test_what_the_official_program_does_with_an_empty_union_is_noted():
    found = evaluate_charades([prediction(1, [(9, 8, 1)])], [query(1, [(7, 8)])])
    assert found.metrics["full"]["MR-mAP"]["average"] == 100.0
    assert found.metrics["full"]["MR-R1"]["0.3"] == 0.0
    assert sum("0 / 0" in what or "before it starts" in what for what in found.noted) == 2


def test_tvsum_averages_over_annotators_videos_and_domains():
    rng = np.random.default_rng(0)
    videos = [("a", 30), ("a", 12), ("b", 20)]
    labels = [rng.integers(1, 6, (clips, 20)).tolist() for _, clips in videos]
    queries = [
        query(i, [], domain=domain, clip_labels=tuple(map(tuple, rows)))
        for i, ((domain, _), rows) in enumerate(zip(videos, labels, strict=True))
    ]
    # one list shorter than the labels, one longer: the clips of both count
    scores = [rng.random(30), rng.random(9), rng.random(25)]
    found = evaluate_tvsum([QueryPrediction(qid=i, clip_scores=s) for i, s in enumerate(scores)], queries)
    each = [
        np.mean(naive.top_clips(s[:n].tolist(), rows[:n]))
        for s, rows, n in zip(scores, labels, (30, 9, 20), strict=True)
    ]
    assert found.metrics["mAP_by_domain"]["a"] == pytest.approx(np.mean(each[:2]), abs=6e-6)
    assert found.metrics["brief"]["mAP"] == pytest.approx((np.mean(each[:2]) + each[2]) / 2, abs=6e-6)
    assert found.denominators == {"a": 2, "b": 1}
    assert list(found.noted.values()) == [2]


@pytest.mark.parametrize(
    ("evaluate", "predicted", "truth", "message"),
    [
        (
            evaluate_charades,
            QueryPrediction(qid=1, clip_scores=np.ones(3)),
            query(1, [(0, 8)]),
            "pred_relevant_windows",
        ),
        (evaluate_tvsum, prediction(1, [(0, 8, 1)]), query(1, [(0, 8)]), "pred_saliency_scores"),
        (evaluate_tvsum, QueryPrediction(qid=1, clip_scores=np.ones(3)), query(1, []), "give a TVSum file"),
        (
            evaluate_qvhighlights,
            prediction(1, [(0, 8, 1)], np.ones(4)),
            query(1, [(0, 8)]),
            "'saliency_scores' is missing",
        ),
        (
            evaluate_qvhighlights,
            prediction(1, [(0, 8, 1)], np.ones(4)),
            query(1, [(0, 8)], 8.0, relevant_clip_ids=(4,), saliency_scores=((1, 2, 3),)),
            "the clip 4 in a video of 4",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(evaluate, predicted, truth, message):
    with pytest.raises(DataError, match=message):
        evaluate([predicted], [truth])


def test_percent_formats_as_the_official_programs_do():
    # 0.125 and 0.375 percent are exact in binary: halves go to the even digit
    assert [percent(v) for v in (0.00125, 0.00375, 0.5394193548)] == [0.12, 0.38, 53.94]
    assert str(evaluate_charades([prediction(1, [(0, 8, 1)])], [query(1, [(0, 8)])])) == (
        "Charades: MR-full-R1@0.3 100.0, MR-full-R1@0.5 100.0, MR-full-R1@0.7 100.0 (full N=1; left out: none)"
    )


def test_out_of_distribution_denominators():
    """3,375 queries; 14 lie beyond 75 s; BM-DETR's loader drops two more, as long as their videos."""
    path = Path(os.environ.get("VMLKIT_DATA", "")) / "charades_cd" / "test_ood.jsonl"
    if not path.is_file():
        pytest.skip("needs the Charades-CD annotations: set VMLKIT_DATA to the folder that holds charades_cd")
    everything = read_queries(path).queries
    with pytest.warns(UserWarning, match="as long as the video, or longer: 2"):
        loaded = read_queries(path, "charades_cd").queries
    counts = []
    for queries, limit in ((everything, None), (everything, 75.0), (loaded, 75.0)):
        predictions = [prediction(q.qid, [(0, q.duration_s, 1)]) for q in queries]
        counts.append(evaluate_charades(predictions, queries, limit_s=limit).denominators["full"])
    assert counts == [3375, 3361, 3359]
