"""Every layout of annotations that circulates: read as plain rows, or answered with its name and what to do."""

import gzip
import json
import re
from pathlib import Path

import pytest

from vmlkit.actions.thumos import read_actions
from vmlkit.data.annotations.charades import read_annotations
from vmlkit.data.annotations.detr_jsonl import read_queries
from vmlkit.data.annotations.foreign import Row
from vmlkit.data.annotations.layouts import ANNOTATIONS, layout_of, rows_of
from vmlkit.data.annotations.predictions_jsonl import read_predictions
from vmlkit.errors import DataError
from vmlkit.files import read_text


def row(video: str, duration: float, window: tuple[float, float], sentence: str, qid: int | str | None = None) -> Row:
    return Row(video_id=video, duration=duration, windows=(window,), sentence=sentence, qid=qid)


def lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


EGO4D = {
    "version": "v1",
    "videos": [
        {
            "video_uid": "u",
            "clips": [
                {
                    "clip_uid": "c",
                    "video_start_sec": 100.0,
                    "video_end_sec": 580.0,
                    "annotations": [
                        {
                            "annotation_uid": "n",
                            "language_queries": [
                                {"clip_start_sec": 2.0, "clip_end_sec": 5.0, "query": "Where was the knife?"},
                                {"clip_start_sec": 2.0, "clip_end_sec": 5.0, "query": None},
                            ],
                        }
                    ],
                }
            ],
        }
    ],
}
READ = {
    "CNM": (json.dumps([["v", 30.0, [1.0, 4.5], "a"]]), [row("v", 30.0, (1.0, 4.5), "a")]),
    "ActivityNet Captions": (
        json.dumps({"v_a": {"duration": 82.73, "timestamps": [[0.8, 19.8], [17.3, 60.8]], "sentences": ["a", "b"]}}),
        [row("v_a", 82.73, (0.8, 19.8), "a"), row("v_a", 82.73, (17.3, 60.8), "b")],
    ),
    "TACoS of 2D-TAN": (
        json.dumps({"s1.avi": {"fps": 25.0, "num_frames": 500, "timestamps": [[50, 100]], "sentences": ["a"]}}),
        [row("s1", 20.0, (2.0, 4.0), "a")],
    ),
    "LGI": (
        json.dumps({"7": {"timestamps": [0, 6.9], "query": "a", "tokens": ["a"], "duration": 33.67, "video_id": "v"}}),
        [row("v", 33.67, (0.0, 6.9), "a", "7")],
    ),
    "TimeLens": (
        json.dumps({"v": {"duration": 30, "spans": [[1, 4], [5, 9]], "queries": ["a", "b"], "source": "x"}}),
        [row("v", 30.0, (1.0, 4.0), "a"), row("v", 30.0, (5.0, 9.0), "b")],
    ),
    "TimeLens, several spans": (
        json.dumps({"v": {"duration": 30, "spans": [[[1, 4], [6, 7]]], "queries": ["a"]}}),
        [Row(video_id="v", duration=30.0, windows=((1.0, 4.0), (6.0, 7.0)), sentence="a")],
    ),
    "DiDeMo": (
        json.dumps(
            [{"description": "a", "video": "x.y.mov", "times": [[0, 0], [1, 2], [1, 2]], "num_segments": 6,
              "annotation_id": 3}]
        ),
        [row("x.y", 30.0, (5.0, 15.0), "a", 3)],
    ),
    "TVR": (
        lines(
            {"vid_name": "friends_s01e03_seg02_clip_19", "duration": 61.46, "ts": [19.36, 29.19], "desc": "a",
             "type": "v", "desc_id": 90200},
            {"vid_name": "w", "duration": 60.0, "ts": [1, 2], "desc": "b", "type": "vt", "desc_id": 2},
        ),
        [row("friends_s01e03_seg02_clip_19", 61.46, (19.36, 29.19), "a", 90200), row("w", 60.0, (1.0, 2.0), "b", 2)],
    ),
    "Ego4D": (json.dumps(EGO4D), [row("c", 480.0, (2.0, 5.0), "Where was the knife?", "n_0")]),
    "YouCook2": (
        json.dumps({"database": {"v": {"duration": 241.6, "annotations": [{"segment": [25, 37], "sentence": "a"}]}}}),
        [row("v", 241.6, (25.0, 37.0), "a")],
    ),
    "Moment-DETR": (
        lines({"qid": 1, "query": "a", "vid": "v", "duration": 150, "relevant_windows": [[2, 4]]}),
        [row("v", 150.0, (2.0, 4.0), "a", 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "rows"), READ.values(), ids=READ)
@pytest.mark.parametrize("packed", [False, True])
def test_a_layout_is_read(tmp_path, text: str, rows: list[Row], packed: bool) -> None:
    path = tmp_path / ("file.json.gz" if packed else "file.json")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert rows_of(path) == rows


@pytest.mark.parametrize(("text", "rows"), READ.values(), ids=READ)
def test_weak_sources_read_it_where_a_sentence_has_one_moment(tmp_path, text: str, rows: list[Row]) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    if len(rows[0].windows) > 1:
        with pytest.raises(DataError, match=r"record 0 \(v\) has 2 windows; give it to a source of the DETR family"):
            read_annotations(path)
        return
    found = read_annotations(path)
    assert [(a.video_id, a.duration, a.start, a.end, a.sentence) for a in found] == [
        (r.video_id, r.duration, *r.windows[0], r.sentence) for r in rows
    ]


ANSWERED = {
    "pickle": (b"\x80\x04\x95", "a pickle, which runs code"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS .* git lfs pull"),
    "page": (b"<!DOCTYPE html>\n<html></html>", "a web page instead of the file"),
    "MSR-VTT": (b'{"info": {}, "videos": [{"video_id": "video0"}], "sentences": []}', "captions of MSR-VTT"),
    "MSR-VTT list": (b"key,vid_key,video_id,sentence\nret0,msr1,video1,a\n", "the test list of MSR-VTT"),
    "ActivityNet 1.3": (b'{"version": "1.3", "database": {"v": {"annotations": []}}}', "a database of actions"),
    "detections": (b'{"version": "1.3", "results": {}, "external_data": {}}', "detections in the layout of the Act"),
    "reduced": (b'{"classes": ["a"], "videos": []}', "a database of actions .*--data thumos14"),
    "no database": (b'{"v": {"subset": "test", "duration": 3.0, "annotations": []}}', "a database of actions"),
    "vocabulary": (b'{"wtoi": {"a": 1}, "itow": {"1": "a"}, "query_lengths": {}}', "the vocabulary that LGI makes"),
    "durations": (b'{"v": {"duration": 30.0, "fps": 24}}', "durations of videos.*--set data.durations="),
    "plain durations": (b'{"v": 30.0, "w": 12.5}', "durations of videos, without sentences"),
    "csv": (b"id,subject,length\nv,s,30\n", "durations of videos, without sentences"),
    "text": (b"v 0.0 6.9##a person opens a door\n", "Charades-STA's text, which holds no durations; name it"),
    "predictions": (b'{"qid": 1, "pred_relevant_windows": []}\n', "predictions, not annotations; score it"),
    "labels": (b'{"qid": "a", "vid": "a", "query": "b", "duration": 4, "label": [[1], [2]]}\n', "clip labels of TVSum"),
    "unknown": (b'{"a": 1, "b": "c"}', "of no known layout of annotations; give one of these: the JSON list of CNM"),
    "empty": (b"", "of no known layout"),
}


@pytest.mark.parametrize(("content", "message"), ANSWERED.values(), ids=ANSWERED)
def test_a_layout_without_a_reader_is_answered_by_its_name(tmp_path, content: bytes, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        rows_of(path)


def test_each_layout_is_met_by_a_test(tmp_path) -> None:
    met = set()
    contents = [text.encode() for text, _ in READ.values()] + [content for content, _ in ANSWERED.values()]
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.json"
        path.write_bytes(content)
        layout, _ = layout_of(path)
        met |= {layout.name} if layout else set()
    assert met == {layout.name for layout in ANNOTATIONS}


def test_no_layout_is_without_a_way_on() -> None:
    assert all(bool(layout.read) != bool(layout.remedy) for layout in ANNOTATIONS)


@pytest.mark.parametrize("name", ["ActivityNet Captions", "TVR", "DiDeMo", "CNM", "TimeLens"])
def test_the_reader_of_moment_detr_names_another_layout(tmp_path, name: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(READ[name][0])
    layout, _ = layout_of(path)
    with pytest.raises(DataError) as caught:
        read_queries(path)
    assert layout is not None
    assert f"is {layout.name}; convert it: vmlkit data convert {path} --out FILE.jsonl" in str(caught.value)


def test_its_own_faults_are_told_as_before(tmp_path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(lines({"qid": 1, "query": "a", "vid": "v", "duration": 150, "relevant_windows": [[4, 2]]}))
    with pytest.raises(DataError, match=r"line 1: field 'relevant_windows' has the window \[4, 2\]"):
        read_queries(path)


def test_annotations_in_the_place_of_predictions(tmp_path) -> None:
    path = tmp_path / "pred.jsonl"
    path.write_text(READ["Moment-DETR"][0])
    with pytest.raises(DataError, match=r"is JSON lines of Moment-DETR; convert|is JSON lines of Moment-DETR"):
        read_predictions(path)


@pytest.mark.parametrize("name", ["ActivityNet Captions", "TVR", "Ego4D", "CNM"])
def test_the_reader_of_actions_names_another_layout(tmp_path, name: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(READ[name][0])
    layout, _ = layout_of(path)
    assert layout is not None
    with pytest.raises(DataError, match=re.escape(f"is {layout.name}; convert it")):
        read_actions(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"v": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["a", "b"]}}', "after 1 sentences, the last of v"),
        ('{"v": {"duration": "x", "timestamps": [[1, 2]], "sentences": ["a"]}}', r"in the first record \(ValueError"),
        ('{"v": {"duration": 9, "timestamps": [[1]], "sentences": ["a"]}}', "in the first record"),
        ('{"v": {"duration": 9, "timestamps": [], "sentences": []}}', "holds no sentence"),
    ],
)
def test_a_record_that_does_not_fit_is_named(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        rows_of(path)


def test_text_of_windows_is_read_and_other_encodings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("v 1 2##a person opens a café\n".encode("utf-16"))
    assert read_text(path) == "v 1 2##a person opens a café\n"
    for encoding, text in (("cp1252", "a naïve café"), ("gb18030", "一个人打开门")):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match=rf"looks like .*{encoding}.*; save it as UTF-8: iconv -f {encoding} -t"):
            read_text(path)
    path.write_bytes(b"\x93NUMPY\x01\x00\xff" * 20)
    with pytest.raises(DataError, match="it is no text"):
        read_text(path)
