"""What an evaluation says beside its numbers: peculiar predictions are counted, and lines end where they end."""

import json
from pathlib import Path

import numpy as np
import pytest

from vmlkit.data.annotations.charades import read_durations
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation
from vmlkit.data.annotations.json_lines import read_lines
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.errors import DataError
from vmlkit.experiments.prediction_report import Options, evaluate_file
from vmlkit.metrics.protocols import evaluate_charades, evaluate_qvhighlights, evaluate_tvsum
from vmlkit.text.tagging import read_tagged

OUTSIDE = "a predicted window begins before 0 or ends after its video"
UNSORTED = "the list is not sorted by score: R@1 takes the first of the list"


def moment(qid: int, duration_s: float = 150.0) -> QueryAnnotation:
    return QueryAnnotation(qid=qid, query="q", vid="v", duration_s=duration_s, windows_s=((20.0, 40.0),))


def said(qid: int, *rows: tuple[float, float, float]) -> QueryPrediction:
    return QueryPrediction(qid=qid, windows_s=np.array(rows))


@pytest.mark.parametrize(
    ("row", "counted"),
    [((-5, 20, 1), True), ((20, 150.5, 1), True), ((0, 150, 1), False), ((-1, 200, 1), True)],
)
def test_windows_beyond_the_video_are_counted(row: tuple[float, float, float], counted: bool) -> None:
    noted = evaluate_qvhighlights([said(1, row), said(2, (20, 40, 1))], [moment(1), moment(2)]).noted
    assert noted.get(OUTSIDE, 0) == int(counted)


def test_padding_is_no_window_of_a_short_video() -> None:
    """Lists of unequal length are padded; a row of padding must not count as beginning or ending anywhere."""
    predictions = [said(1, (1, 2, 0.9), (0, 1, 0.5), (2, 3, 0.1)), said(2, (1, 2, 0.3))]
    assert not evaluate_qvhighlights(predictions, [moment(1, 41), moment(2, 41)]).noted


@pytest.mark.parametrize(("scores", "counted"), [((0.1, 0.9), 1), ((0.9, 0.1), 0), ((0.5, 0.5), 0)])
def test_lists_that_are_not_sorted_are_counted(scores: tuple[float, float], counted: int) -> None:
    found = evaluate_qvhighlights([said(1, (0, 5, scores[0]), (20, 40, scores[1]))], [moment(1)])
    assert found.noted.get(UNSORTED, 0) == counted
    assert found.metrics["full"]["MR-R1"]["0.5"] == 0.0, "R@1 takes the first of the list, whatever its score"


@pytest.mark.parametrize(
    ("change", "unit"),
    [
        (lambda spans, duration: spans / duration, "fractions"),
        (lambda spans, duration: 100 * spans / duration, "percent"),
        (lambda spans, duration: 25 * spans, "frames"),
        (lambda spans, duration: 1000 * spans, "frames"),
        (lambda spans, duration: spans, None),
    ],
)
@pytest.mark.parametrize("durations", [(150.0,) * 6, (20.0, 35.0, 28.0, 60.0, 90.0, 31.0), (12.0, 240.0, 90.0, 600.0)])
def test_a_unit_other_than_seconds_is_said(change, unit: str | None, durations: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    predictions, queries = [], []
    for qid, duration in enumerate(durations):
        spans = np.sort(rng.random((5, 2)) * duration, axis=1)
        spans[0, 1] = duration * (0.97 + 0.03 * rng.random())
        rows = np.column_stack((change(spans, duration), np.linspace(1, 0, 5)))
        predictions.append(QueryPrediction(qid=qid, windows_s=rows))
        queries.append(QueryAnnotation(qid=qid, query="q", vid="v", duration_s=duration, windows_s=((1.0, 5.0),)))
    noted = evaluate_charades(predictions, queries).noted
    said = [what for what in noted if what.endswith("instead of seconds?")]
    assert len(said) == (unit is not None)
    assert unit is None or (unit in said[0] and noted[said[0]] == len(durations))


def rated(qid: int) -> QueryAnnotation:
    return QueryAnnotation(
        qid=qid, query="q", vid="v", duration_s=10.0, windows_s=((2.0, 6.0),), relevant_clip_ids=(1, 2),
        saliency_scores=((4.0, 4.0, 4.0), (3.0, 3.0, 3.0)),
    )  # fmt: skip


@pytest.mark.parametrize(("length", "said"), [(3, "fewer clip scores"), (5, None), (7, "more clip scores")])
def test_score_lists_of_another_length_are_counted(length: int, said: str | None) -> None:
    one = QueryPrediction(qid=1, windows_s=np.array([[2.0, 6.0, 1.0]]), clip_scores=np.arange(length, dtype=float))
    noted = evaluate_qvhighlights([one], [rated(1)]).noted
    assert [what for what in noted if "clip scores than clips" in what] == [w for w in noted if said and said in w]
    assert bool(noted) == (said is not None)


def test_fields_that_are_not_scored_are_counted() -> None:
    windows, scores = np.array([[2.0, 6.0, 1.0]]), np.arange(5, dtype=float)
    both = QueryPrediction(qid=1, windows_s=windows, clip_scores=scores)
    assert evaluate_charades([both], [rated(1)]).noted == {
        "clip scores are predicted, and this protocol scores windows only": 1
    }
    silent = QueryPrediction(qid=1, windows_s=windows)
    assert evaluate_qvhighlights([silent], [rated(1)]).noted == {"clips are rated, and no clip score is predicted": 1}
    only = QueryPrediction(qid=1, clip_scores=scores)
    assert evaluate_qvhighlights([only], [rated(1)]).noted == {"windows are annotated, and none is predicted": 1}
    labelled = clips(1, [[float(v)] for v in (1, 5, 2, 3, 4)])
    assert "windows are predicted, and this protocol scores clips only" in evaluate_tvsum([both], [labelled]).noted


def clips(qid: int, labels: list[list[float]], domain: str = "dog") -> QueryAnnotation:
    return QueryAnnotation(
        qid=qid, query=domain, vid="v", duration_s=2.0 * len(labels), windows_s=(), domain=domain,
        clip_labels=tuple(map(tuple, labels)),
    )  # fmt: skip


def naive_highlight_ap(scores: list[float], labels: list[int]) -> float:
    """Precision over recall of all clips by trapezoids from (0, 1), one clip after the other."""
    ranked = [label for _, label in sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])]
    area, recall, precision, found = 0.0, 0.0, 1.0, 0
    for rank, label in enumerate(ranked, start=1):
        found += label
        now = found / sum(labels)
        area += (now - recall) * (precision + found / rank) / 2
        recall, precision = now, found / rank
    return area


def test_binary_labels_are_youtube_highlights() -> None:
    rng = np.random.default_rng(0)
    rows = [([float(v) for v in rng.random(9)], [1, 1, 0, 1, 1, 1, 0, 1, 1]) for _ in range(4)]
    queries = [clips(i, [[float(v)] for v in labels]) for i, (_, labels) in enumerate(rows)]
    predictions = [QueryPrediction(qid=i, clip_scores=np.array(scores)) for i, (scores, _) in enumerate(rows)]
    found = evaluate_tvsum(predictions, queries, binary=True)
    expected = np.mean([naive_highlight_ap(scores, labels) for scores, labels in rows])
    assert found.metrics["brief"]["mAP"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(DataError, match="YouTube Highlights"):
        evaluate_tvsum(predictions, queries)
    with pytest.raises(DataError, match="not all 0 or 1"):
        evaluate_tvsum(predictions[:1], [clips(0, [[3.0]] * 9)], binary=True)


def test_a_perfect_ranking_of_many_positives_scores_one(tmp_path: Path) -> None:
    labels = [[1.0]] * 6 + [[0.0]] * 2
    record = {"qid": "a", "query": "dog", "duration": 16.0, "vid": "a", "label": labels, "domain": "dog"}
    (tmp_path / "gt.jsonl").write_text(json.dumps(record), encoding="utf-8")
    scores = [row[0] + 0.001 * i for i, row in enumerate(labels)]
    (tmp_path / "p.jsonl").write_text(json.dumps({"qid": "a", "pred_saliency_scores": scores}), encoding="utf-8")
    report = evaluate_file(tmp_path / "p.jsonl", tmp_path / "gt.jsonl", Options(json=tmp_path / "o.json"))
    assert report.startswith("YouTube Highlights")
    assert json.loads((tmp_path / "o.json").read_text())["metrics"]["mAP_by_domain"] == {"dog": 1.0}


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.jsonl"
    text = "\r\n".join(json.dumps({"qid": i, "query": f"a{mark}b"}, ensure_ascii=False) for i in range(2))
    path.write_bytes((text + "\n").encode())
    assert [(n, r["query"]) for n, r in read_lines(path)] == [(1, f"a{mark}b"), (2, f"a{mark}b")]
    tagged = {"split": "test", "row": 3, "tokens": [f"a{mark}b"], "tags": ["NN"]}
    path.write_text(json.dumps(tagged, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(read_tagged(path)) == [("test", 3)]


def test_a_table_of_durations_may_quote_any_character(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text('id,length,note\nv1,3.5,"a\u2028b"\nv2,4,c\n', encoding="utf-8")
    assert read_durations(path) == {"v1": 3.5, "v2": 4.0}
