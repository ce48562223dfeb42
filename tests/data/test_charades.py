"""Annotation readers: both layouts, and one clear sentence for everything that can be wrong."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from vmlkit.data.annotations.charades import (
    MomentAnnotation,
    read_annotations,
    read_durations,
)
from vmlkit.errors import DataError

GOOD = ["AO8RW", 33.67, [0.0, 6.9], "a person is putting a book on a shelf."]


def write(path: Path, records: object) -> Path:
    data = json.dumps(records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_json_layout(tmp_path: Path, name: str) -> None:
    rows = read_annotations(write(tmp_path / name, [GOOD, ["v_1", 5, [0, 5], " Two words "]]))
    assert rows[0] == MomentAnnotation(
        video_id="AO8RW", duration=33.67, start=0.0, end=6.9, sentence="a person is putting a book on a shelf.", row=0
    )
    assert rows[1].sentence == "Two words"
    assert isinstance(rows[1].duration, float)
    assert rows[1].row == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (["AO8RW", 33.67, [0.0, 6.9]], r"record 1 has 3 columns instead of four; write it as \[video id, duration"),
        ({"vid": "AO8RW"}, "record 1 has a JSON dict instead of four"),
        (["AO8RW", 33.67, 6.9, "a"], r"record 1 has the span 6\.9; write it as"),
        (["AO8RW", 33.67, [1.0], "a"], r"record 1 has the span \[1\.0\]"),
        (["AO8RW", 33.67, [9.0, 6.9], "a"], r"record 1 \(AO8RW\): the end 6\.9 s is not after the start 9 s; correct"),
        (["AO8RW", 33.67, [6.9, 6.9], "a"], "is not after the start"),
        (
            ["AO8RW", 33.67, [1, 40.5], "a"],
            r"the span 1 to 40\.5 s goes beyond the duration 33\.67 s; correct it, or set",
        ),
        (["AO8RW", 33.67, [-1, 6.9], "a"], "has the start -1; write a number of seconds"),
        (["AO8RW", float("nan"), [1, 6.9], "a"], "has the duration nan"),
        (["AO8RW", True, [0, 0.5], "a"], "has the duration True"),
        (["AO8RW", 0, [0, 0.5], "a"], "has a duration of zero"),
        (["AO8RW", "33", [0, 0.5], "a"], "has the duration '33'"),
        ([17, 33.67, [0, 0.5], "a"], "record 1 has the video id 17; write it as a text"),
        (["AO8RW", 33.67, [0, 0.5], "  "], "has an empty sentence; write the sentence or delete the record"),
        (["AO8RW", 33.67, [0, 0.5], None], "has the sentence None"),
    ],
)
def test_bad_records(tmp_path: Path, record: object, message: str) -> None:
    path = write(tmp_path / "bad.json", [GOOD, record])
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: record 1")
    assert "; " in text
    assert text.endswith(".")
    assert "\n" not in text


def test_spans_beyond_the_duration(tmp_path: Path) -> None:
    late = ["AO8RW", 33.67, [30.0, 40.0], "a"]
    path = write(tmp_path / "a.json", [GOOD, late, ["AO8RW", 33.67, [30.0, 33.68], "a"]])
    with pytest.warns(UserWarning, match=r"a\.json: 1 of 3 spans end after their video and are cut there"):
        cut = read_annotations(path, beyond_duration="clip")
    assert [row.end for row in cut] == [6.9, 33.67, 33.68]  # a hundredth is rounding, and kept as written
    with pytest.warns(UserWarning, match=r"1 of 3 spans end after their video and are left out \(record 1 of AO8RW\)"):
        left = read_annotations(path, beyond_duration="skip")
    assert [row.row for row in left] == [0, 2]
    outside = write(tmp_path / "b.json", [GOOD, ["AO8RW", 33.67, [35.0, 40.0], "a"]])
    with pytest.raises(DataError, match=r"set beyond_duration to 'skip' \(nothing of it lies in the video\)"):
        read_annotations(outside, beyond_duration="clip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[[1, 2", "not valid JSON"),
        (b"{}", "holds a JSON dict of no known layout; give a list of records"),
        (b"[]", "holds no usable record"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / "a.json")


def test_cut_off_gzip_and_missing_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json.gz", [GOOD] * 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.json\.gz: cannot be read .*; write or download the file again"):
        read_annotations(path)
    with pytest.raises(DataError, match="there is no such file"):
        read_annotations(tmp_path / "no.json")
    with pytest.raises(DataError, match=r"none of \.json, \.jsonl and \.txt"):
        read_annotations(tmp_path / "a.csv")


def test_text_layout(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("AO8RW 0.0 6.9##a person is putting a book.\n\nY6R7T 7.3 17.3##person ## pours.\n")
    (tmp_path / "d.csv").write_text('id,subject,length\nAO8RW,"x, y",33.67\nY6R7T,z,29.42\n')
    (tmp_path / "d.json").write_text('{"AO8RW": 33.67, "Y6R7T": {"duration": 29.42}}')
    by_csv = read_annotations(tmp_path / "c.txt", durations=tmp_path / "d.csv")
    by_json = read_annotations(tmp_path / "c.txt", durations=tmp_path / "d.json")
    by_mapping = read_annotations(tmp_path / "c.txt", durations={"AO8RW": 33.67, "Y6R7T": 29.42})
    assert by_csv == by_json == by_mapping
    assert by_csv[1] == MomentAnnotation(
        video_id="Y6R7T", duration=29.42, start=7.3, end=17.3, sentence="person ## pours.", row=2
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AO8RW 0.0 6.9 a person", "line 1 is 'AO8RW 0.0 6.9 a person'; write it as 'id start end##sentence'"),
        ("AO8RW 6.9##a person", "line 1 is"),
        ("AO8RW zero 6.9##a person", r"line 1 has the times \['zero', '6\.9'\]; write seconds"),
        ("OTHER 0.0 6.9##a person", "line 1: video 'OTHER' has no duration; add it to the durations"),
        ("AO8RW 7.0 6.9##a person", "is not after the start"),
        ("AO8RW 0.0 nan##a person", "has the end nan"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "c.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / "c.txt", durations={"AO8RW": 33.67})


def test_durations_are_needed_and_checked(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("AO8RW 0.0 6.9##a person")
    with pytest.raises(DataError, match="this layout holds no durations; give a CSV or JSON file"):
        read_annotations(tmp_path / "c.txt")
    for name, content, message in [
        (
            "a.csv",
            "video,seconds\nA,3\n",
            r"has the columns \['video', 'seconds'\]; name the columns 'id' and 'length'",
        ),
        ("b.csv", "id,length\nA,long\n", "video 'A' has the duration 'long'; give a positive number"),
        ("c.json", '{"A": -1}', "video 'A' has the duration -1"),
        ("d.json", "[1]", "holds a JSON list"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=message):
            read_durations(tmp_path / name)


def test_real_charades(charades_folder: Path) -> None:
    train, test = (read_annotations(charades_folder / f"{split}.json") for split in ("train", "test"))
    assert (len(train), len(test)) == (10602, 3158)
    assert (len({r.video_id for r in train}), len({r.video_id for r in test})) == (4842, 1225)
    share = [(r.end - r.start) / r.duration for r in train + test]
    assert np.mean(share) == pytest.approx(0.27, abs=0.005)


def test_real_activitynet_needs_no_other_reader(activitynet_folder: Path) -> None:
    rows = read_annotations(activitynet_folder / "test_data.json.gz")
    assert len(rows) == 17031
    assert all(row.sentence == row.sentence.strip() for row in rows)
    assert max(row.end - row.duration for row in rows) < 0.02
