"""Readers of the Moment-DETR layout: what is read, what is refused in one sentence, what is counted."""

import dataclasses
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from vmlkit.data.annotations.detr_jsonl import PROFILES, QueryAnnotation, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, read_predictions, write_predictions
from vmlkit.errors import DataError

MOMENT = {"qid": 1, "query": " a person runs", "duration": 30.5, "vid": "v1", "relevant_windows": [[2, 9.5]]}
HIGHLIGHT = {
    **MOMENT, "qid": 2, "relevant_windows": [[2, 6], [20, 22]], "relevant_clip_ids": [1, 2, 10],
    "saliency_scores": [[1, 2, 3], [0, 4, 2], [2, 2, 2]],
}  # fmt: skip
LABELS = {"qid": "a", "query": "news", "duration": 6, "vid": "a", "domain": "VU", "relevant_windows": None,
          "relevant_clip_ids": None, "label": [[1.0, 5.0], [2.0, 2.0], [3.0, 1.0]]}  # fmt: skip
PREDICTION = {"qid": 1, "pred_relevant_windows": [[0, 4, 0.5]], "pred_saliency_scores": [0.5, 1]}


def write(tmp_path, *records, name="x.jsonl"):
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_a_moment_is_read_as_it_stands(tmp_path):
    file = read_queries(write(tmp_path, MOMENT, "", {**MOMENT, "qid": "s1_0", "neg_query_ids": [1]}, name="x.jsonl.gz"))
    assert file.kind == "moments"
    assert file.queries[0] == QueryAnnotation(
        qid=1, query="a person runs", vid="v1", duration_s=30.5, windows_s=((2.0, 9.5),), line=1
    )
    assert (file.queries[1].qid, file.queries[1].neg_query_ids, file.queries[1].line) == ("s1_0", (1,), 3)
    assert file.report.endswith("2 read, 2 kept")


def test_highlights_and_labels_have_their_fields(tmp_path):
    highlight = read_queries(write(tmp_path, HIGHLIGHT), "qvhighlights").queries[0]
    assert highlight.windows_s == ((2.0, 6.0), (20.0, 22.0))
    assert highlight.relevant_clip_ids == (1, 2, 10)
    assert highlight.saliency_scores == ((1, 2, 3), (0, 4, 2), (2, 2, 2))
    label = read_queries(write(tmp_path, LABELS)).queries[0]
    assert (label.domain, label.windows_s, label.clip_labels) == ("VU", (), ((1.0, 5.0), (2.0, 2.0), (3.0, 1.0)))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "line 2 is not valid JSON"),
        ("[1]", "line 2 is a JSON list"),
        ({k: v for k, v in HIGHLIGHT.items() if k != "vid"}, "line 2: field 'vid' is missing"),
        ({**HIGHLIGHT, "query": " "}, "line 2: field 'query' is ' '"),
        ({**HIGHLIGHT, "qid": True}, "line 2: field 'qid' holds True"),
        ({**HIGHLIGHT, "qid": 7}, "line 2: field 'qid' is 7, as in line 1"),
        ({**HIGHLIGHT, "duration": "30"}, "line 2: field 'duration' is '30'"),
        ({**HIGHLIGHT, "duration": float("nan")}, "line 2: field 'duration' is nan"),
        ({**HIGHLIGHT, "relevant_windows": None}, "line 2: field 'relevant_windows' is None"),
        ({**HIGHLIGHT, "relevant_windows": []}, "line 2: field 'relevant_windows' is empty"),
        ({**HIGHLIGHT, "relevant_windows": [[1, 2], [3]]}, r"has the entry 1 = \[3\]"),
        ({**HIGHLIGHT, "relevant_windows": [[9, 2]]}, r"field 'relevant_windows' has the window \[9, 2\]"),
        ({**HIGHLIGHT, "relevant_windows": [[-1, 2]]}, r"has the window \[-1, 2\]"),
        (
            {**HIGHLIGHT, "relevant_clip_ids": [1, 1, 2]},
            "field 'relevant_clip_ids' holds a negative, a fraction or a rep",
        ),
        ({**HIGHLIGHT, "relevant_clip_ids": [1, 2]}, "'saliency_scores' has 3 entries for 2 relevant clips"),
        ({**HIGHLIGHT, "saliency_scores": [[1, 2, 3], [1, 2], [1, 2, 3]]}, r"has the entry 1 = \[1, 2\]"),
        ({**HIGHLIGHT, "neg_query_ids": [99]}, "line 2: field 'neg_query_ids' names 99, which is no qid"),
        ({**HIGHLIGHT, "neg_query_ids": [2]}, "field 'neg_query_ids' names the query itself"),
        ({**HIGHLIGHT, "neg_query_ids": 3}, "field 'neg_query_ids' is 3"),
    ],
)
def test_a_fault_is_one_sentence_with_file_line_and_field(tmp_path, record, message):
    path = write(tmp_path, {**HIGHLIGHT, "qid": 7}, record)
    with pytest.raises(DataError, match=message) as caught:
        read_queries(path, "qvhighlights")
    assert str(caught.value).startswith(f"{path}: line 2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("no.jsonl", None, "no such file"), ("x.jsonl", b"", "no record"), ("x.jsonl.gz", b"plain", "cannot be read")],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_queries(tmp_path / name)


def test_an_unknown_profile_and_a_wrong_kind_are_refused(tmp_path):
    with pytest.raises(DataError, match="no data set profile 'charade'"):
        read_queries(write(tmp_path, MOMENT), "charade")
    with pytest.raises(DataError, match="field 'relevant_clip_ids' is missing"):
        read_queries(write(tmp_path, MOMENT), "qvhighlights")


LATE = {**MOMENT, "qid": 3, "relevant_windows": [[2, 9], [29, 31]]}
BEYOND = {**MOMENT, "qid": 4, "relevant_windows": [[40, 50]]}


def test_windows_outside_are_kept_and_noted_by_default(tmp_path):
    file = read_queries(write(tmp_path, MOMENT, LATE, BEYOND))
    assert [q.windows_s for q in file.queries][1:] == [((2.0, 9.0), (29.0, 31.0)), ((40.0, 50.0),)]
    assert dict(file.dropped) == {}
    assert sorted(file.noted.values()) == [1, 2]
    assert "noted: 2 (a window ends after the video: kept as it is)" in file.report


def test_windows_outside_can_be_cut_dropped_or_refused(tmp_path):
    path = write(tmp_path, MOMENT, LATE, BEYOND)
    with pytest.warns(UserWarning, match="every window starts after the end of the video: 1"):
        cut = read_queries(path, outside="clip")
    assert [q.windows_s for q in cut.queries] == [((2.0, 9.5),), ((2.0, 9.0), (29.0, 30.5))]
    assert cut.dropped == {"every window starts after the end of the video": (4,)}
    assert cut.noted == {"a window ends after the video: cut at its end": 1}
    with pytest.warns(UserWarning, match="a window ends after the video: 2"):
        dropped = read_queries(path, outside="drop")
    assert dropped.dropped == {"a window ends after the video": (3, 4)}
    assert dropped.report.splitlines() == [f"{path}: 3 read, 1 kept", "  left out: 2 (a window ends after the video)"]
    with pytest.raises(DataError, match=r"line 2: field 'relevant_windows' has a window that ends at 31 s"):
        read_queries(path, outside="error")


def test_windows_as_long_as_the_video_are_dropped_where_the_loader_drops_them(tmp_path):
    path = write(tmp_path, MOMENT, {**MOMENT, "qid": 5, "relevant_windows": [[0, 30.5]]})
    with pytest.warns(UserWarning, match="as long as the video"):
        assert [q.qid for q in read_queries(path, "charades_cd").queries] == [1]
    assert len(read_queries(path, "charades_cd", drop_whole_video=False)) == 2
    assert len(read_queries(path)) == 2
    only = write(tmp_path, {**MOMENT, "relevant_windows": [[0, 30.5]]})
    with pytest.raises(DataError, match="every query would be left out"):
        read_queries(only, "charades_sta")


def test_annotations_cannot_be_changed(tmp_path):
    query = read_queries(write(tmp_path, MOMENT)).queries[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.windows_s = ()


def test_predictions_are_read_in_list_order(tmp_path):
    first, second = read_predictions(write(tmp_path, PREDICTION, {**PREDICTION, "qid": 2, "pred_relevant_windows": []}))
    assert first.windows_s.tolist() == [[0, 4, 0.5]]
    assert first.clip_scores.tolist() == [0.5, 1.0]
    assert second.windows_s.shape == (0, 3)


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_written_predictions_are_read_again(tmp_path, name):
    said = [
        QueryPrediction(qid="s1", windows_s=np.array([[0.123456, 4, 0.98765]]), clip_scores=np.array([0.1, -2.0])),
        QueryPrediction(qid="s2", windows_s=np.zeros((0, 3)), clip_scores=np.array([3.0])),
    ]
    write_predictions(tmp_path / name, said)
    first, second = read_predictions(tmp_path / name)
    assert (first.qid, first.windows_s.tolist()) == ("s1", [[0.1235, 4.0, 0.9877]])
    assert first.clip_scores.tolist() == [0.1, -2.0]
    assert second.windows_s.shape == (0, 3)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"qid": 2}, "field 'pred_relevant_windows' is missing"),
        ({**PREDICTION, "qid": 1}, "field 'qid' is 1, as in line 1"),
        ({**PREDICTION, "qid": 2, "pred_relevant_windows": [[0, 4]]}, r"has the entry 0 = \[0, 4\]"),
        ({**PREDICTION, "qid": 2, "pred_relevant_windows": [[0, 4, "1"]]}, "write 3 finite numbers in each entry"),
        ({**PREDICTION, "qid": 2, "pred_relevant_windows": 4}, "field 'pred_relevant_windows' is 4"),
        ({**PREDICTION, "qid": 2, "pred_saliency_scores": [1, None]}, "'pred_saliency_scores' has the entry 1 = None"),
        ({**PREDICTION, "qid": 2, "pred_saliency_scores": []}, "'pred_saliency_scores' is empty"),
        ({"qid": 2, "pred_relevant_windows": []}, "field 'pred_saliency_scores' is missing"),
    ],
)
def test_a_fault_of_predictions_is_one_sentence(tmp_path, record, message):
    path = write(tmp_path, PREDICTION, record)
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(f"{path}: line 2")


def test_a_field_of_some_lines_only_is_refused(tmp_path):
    path = write(tmp_path, {"qid": 1, "pred_saliency_scores": [1]}, PREDICTION | {"qid": 2})
    with pytest.raises(DataError, match="field 'pred_relevant_windows' is in this line but not in the first"):
        read_predictions(path)
    with pytest.raises(DataError, match="field 'pred_relevant_windows' is missing"):
        read_predictions(write(tmp_path, {"qid": 1}))


REAL = [
    ("qvhighlights", "qvhighlights/highlight_train_release.jsonl.gz", 7218, 0),
    ("qvhighlights", "qvhighlights/highlight_val_release.jsonl", 1550, 0),
    ("qvhighlights", "qvhighlights/highlight_test_with_gt.jsonl", 1542, 0),
    ("charades_cd", "charades_cd/train.jsonl.gz", 11071, 1652),
    ("charades_cd", "charades_cd/val.jsonl", 859, 135),
    ("charades_cd", "charades_cd/test_iid.jsonl", 823, 151),
    ("charades_cd", "charades_cd/test_ood.jsonl", 3375, 348),
    ("charades_sta", "charades_sta_detr/train.jsonl.gz", 12408, 1789),
    ("charades_sta", "charades_sta_detr/test.jsonl", 3720, 550),
    ("tacos", "tacos/tacos_train_release.jsonl.gz", 9790, 0),
    ("tacos", "tacos/tacos_val_release.jsonl", 4436, 0),
    ("tacos", "tacos/tacos_test_release.jsonl", 4001, 0),
    ("activitynet", "activitynet_detr/activitynet_val_release.jsonl.gz", 17505, 5),
    ("tvsum", "tvsum/tvsum_train.jsonl", 40, 0),
    ("tvsum", "tvsum/tvsum_val.jsonl", 10, 0),
]


@pytest.mark.parametrize(("profile", "name", "count", "late"), REAL, ids=lambda x: str(x).rpartition("/")[2])
def test_every_real_file_is_read_whole(profile, name, count, late):
    path = Path(os.environ.get("VMLKIT_DATA", "")) / name
    if not path.is_file():
        pytest.skip(f"needs the annotations {name}: set VMLKIT_DATA to the folder that holds {name.split('/')[0]}")
    file = read_queries(path, profile, drop_whole_video=False)
    assert (len(file), file.read, dict(file.dropped)) == (count, count, {})
    assert file.noted.get("a window ends after the video: kept as it is", 0) == late
    assert file.kind == PROFILES[profile].kind
