"""The layouts in which THUMOS14 and ActivityNet 1.3 circulate, read to the same videos."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmlkit.actions.databases import read_database
from vmlkit.actions.thumos import (
    GT_JSON,
    REDUCED,
    read_actions,
    read_ambiguous,
    read_npy_folder,
    read_prompts,
    read_reduced,
)
from vmlkit.errors import DataError

CLASSES = ["Diving", "HighJump"]
VIDEOS: list[dict[str, Any]] = [
    {
        "name": "video_validation_0000001",
        "subset": "validation",
        "duration": 20.5,
        "labels": ["HighJump", "Diving"],
        "segments": [[1.0, 2.5, "Diving"], [4.0, 8.0, "HighJump"]],
        "ambiguous": [],
        "in_gt_json": True,
    },
    {
        "name": "video_test_0000001",
        "subset": "test",
        "duration": 12.0,
        "labels": [],
        "segments": [[3.0, 4.0, "HighJump"]],
        "ambiguous": [[5.0, 6.5]],
        "in_gt_json": False,
    },
]


def database(videos: list[dict[str, Any]]) -> dict[str, Any]:
    entries = {
        v["name"]: {
            "subset": v["subset"],
            "annotations": [{"segment": [str(a), str(b)], "label": c} for a, b, c in v["segments"]],
        }
        for v in videos
        if v["in_gt_json"]
    }
    return {"class-list": {str(i): name for i, name in enumerate(CLASSES)}, "database": entries}


def write_npy(folder: Path) -> None:
    def objects(key: str, values: list[Any]) -> None:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        np.save(folder / f"{key}.npy", array, allow_pickle=True)

    np.save(folder / "videoname.npy", np.array([v["name"].encode() for v in VIDEOS]))
    np.save(folder / "subset.npy", np.array([v["subset"].encode() for v in VIDEOS]))
    np.save(folder / "duration.npy", np.array([[v["duration"]] for v in VIDEOS]))
    np.save(folder / "classlist.npy", np.array([c.encode() for c in CLASSES]))
    objects("segments", [[s[:2] for s in v["segments"]] for v in VIDEOS])
    objects("labels", [[s[2] for s in v["segments"]] for v in VIDEOS])
    objects("labels_all", [v["labels"] for v in VIDEOS])
    (folder / "Ambiguous_test.txt").write_text("video_test_0000001  5.0 6.5\n\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / REDUCED).write_text(json.dumps({"classes": CLASSES, "videos": VIDEOS}))
    (tmp_path / GT_JSON).write_text(json.dumps(database(VIDEOS)))
    write_npy(tmp_path)
    return tmp_path


def test_all_layouts_agree(folder: Path) -> None:
    reduced, arrays = read_reduced(folder / REDUCED), read_npy_folder(folder)
    assert reduced.videos == arrays.videos
    assert reduced.classes == arrays.classes == ("Diving", "HighJump")
    listed = read_database(folder / GT_JSON)
    assert [v.video_id for v in listed.videos] == ["video_validation_0000001"]
    assert listed.videos[0].segments == reduced.videos[0].segments
    assert listed.videos[0].duration is None
    # the labels of gt.json can only be the classes of its segments, in another order here
    assert listed.videos[0].labels == ("Diving", "HighJump")


def test_a_folder_is_read_from_the_best_file_in_it(folder: Path) -> None:
    assert read_actions(folder).layout == "reduced"
    (folder / REDUCED).unlink()
    assert read_actions(folder).layout == "npy"
    (folder / "segments.npy").unlink()
    assert read_actions(folder).layout == "gt.json"
    (folder / GT_JSON).unlink()
    with pytest.raises(DataError, match="holds none of"):
        read_actions(folder)


def test_files_are_told_apart_by_their_content(folder: Path) -> None:
    assert read_actions((folder / REDUCED).rename(folder / "mine.json")).layout == "reduced"
    assert read_actions((folder / GT_JSON).rename(folder / "yours.json")).layout == "gt.json"
    (folder / "other.json").write_text("[1]")
    with pytest.raises(DataError, match="of no known layout"):
        read_actions(folder / "other.json")


def test_activitynet(tmp_path: Path) -> None:
    content = {
        "version": "VERSION 1.3",
        "taxonomy": [],
        "database": {
            "v1": {
                "duration": 82.5,
                "subset": "training",
                "resolution": "320x240",
                "url": "",
                "annotations": [
                    {"segment": [6.0, 54.75], "label": "Zumba"},
                    {"segment": [60, 70], "label": "Archery"},
                    {"segment": [71.5, 72], "label": "Zumba"},
                ],
            },
            "v2": {"duration": 100, "subset": "testing", "annotations": []},
        },
    }
    path = tmp_path / "activity_net.v1-3.min.json"
    path.write_text(json.dumps(content))
    found = read_actions(path)
    assert (found.layout, found.classes) == ("database", ("Archery", "Zumba"))
    assert found.videos[0].labels == ("Zumba", "Archery")
    assert found.videos[0].segments[0] == (6.0, 54.75, "Zumba")
    assert found.videos[0].duration == 82.5
    assert found.videos[1].segments == ()
    assert found.subset("training").truth().labels.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="use one of testing, training"):
        found.subset("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(segments=[[5.0, 4.0, "Diving"]]), "has the segment 5.0 to 4.0"),
        (
            lambda v: v.update(segments=[[5.0, float("nan"), "Diving"]]),
            r"'videos\[0\].segments\[0\]\[1\]' is nan; write a finite",
        ),
        (lambda v: v.update(segments=[[1.0, 2.0, "Swim"]]), "segment of the class 'Swim'"),
        (lambda v: v.update(labels=["Swim"]), "has the label 'Swim'"),
        (lambda v: v.update(duration=0), "has the duration 0"),
        (lambda v: v.pop("labels"), r"'videos\[0\].labels' is missing; add it"),
        (lambda v: v.update(segments=[[1.0, 2.0]]), r"'videos\[0\].segments\[0\]' is a list of 2; write a list of 3"),
    ],
)
def test_bad_records_say_what_is_wrong(tmp_path: Path, change, message: str) -> None:
    videos = json.loads(json.dumps(VIDEOS))
    change(videos[0])
    (tmp_path / "a.json").write_text(json.dumps({"classes": CLASSES, "videos": videos}))
    with pytest.raises(DataError, match=message):
        read_actions(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("duration", np.array(7.0), "iteration over a 0-d array"),
        ("subset", np.array([b"\xed\xa0\x80", b"x"]), "decode"),
    ],
)
def test_arrays_that_hold_something_else_are_refused(folder: Path, name: str, values: np.ndarray, said: str) -> None:
    np.save(folder / f"{name}.npy", values)
    with pytest.raises(DataError, match=f"a record cannot be used .*{said}"):
        read_npy_folder(folder)


def test_files_of_different_lengths_are_refused(folder: Path) -> None:
    np.save(folder / "subset.npy", np.array([b"test"]))
    with pytest.raises(DataError, match=r"subset.npy: has 1 entries for 2 videos"):
        read_npy_folder(folder)


def test_ambiguous_lines_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("v  1.0 2.0\nv 3 4\n")
    assert read_ambiguous(tmp_path / "a.txt") == {"v": [(1.0, 2.0), (3.0, 4.0)]}
    (tmp_path / "a.txt").write_text("v 1.0\n")
    with pytest.raises(DataError, match=r"line 1 is 'v 1\.0'"):
        read_ambiguous(tmp_path / "a.txt")
    for wrong in ("v nan 2", "v 1 Infinity", "v 1e999 2"):
        (tmp_path / "a.txt").write_text(wrong)
        with pytest.raises(DataError, match="line 1 is"):
            read_ambiguous(tmp_path / "a.txt")


def test_broken_json_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_actions(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('[{"sentence": "x"}]')
    with pytest.raises(DataError, match=r"'\[0\].tokens' is missing; add it"):
        read_prompts(tmp_path / "a.json")


def test_the_real_files_agree() -> None:
    path = Path(os.environ.get("VMLKIT_DATA", "")) / "thumos14"
    if not (path / "segments.npy").is_file():
        pytest.skip("needs the THUMOS14 annotations: thumos14 below $VMLKIT_DATA")
    reduced, arrays = read_reduced(path / REDUCED), read_npy_folder(path)
    assert reduced.videos == arrays.videos
    listed = {v.video_id: v for v in read_database(path / GT_JSON).videos}
    assert len(reduced.videos) == 412
    assert len(listed) == 410
    for video in reduced.videos:
        if video.in_gt_json:
            assert sorted(listed[video.video_id].segments) == sorted(video.segments)
        else:
            assert video.video_id not in listed
