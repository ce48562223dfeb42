"""MSVD's captions in the layouts that circulate, written on the spot."""

import json
from pathlib import Path

import pytest

from vmlkit.components.msvd import read_msvd
from vmlkit.errors import DataError


@pytest.fixture
def msvd(tmp_path: Path) -> Path:
    (tmp_path / "train_list.txt").write_text("b_1_9\na_0_5\n")
    (tmp_path / "test_list.txt").write_text("c_2_3\n")
    captions = {
        "a_0_5": ["a man is cooking", ["two", "dogs", "run"]],
        "b_1_9": ["a cat  sleeps"],
        "c_2_3": ["someone sings"],
        "unlisted": ["nobody asks"],
    }
    (tmp_path / "raw-captions.json").write_text(json.dumps(captions))
    return tmp_path


def test_captions_are_listed_video_by_video_in_the_order_of_the_list(msvd: Path) -> None:
    train = read_msvd(msvd, "train")
    assert train == ["a cat sleeps", "a man is cooking", "two dogs run"]
    assert len(read_msvd(msvd, "test")) == 1


def test_all_layouts_say_the_same(msvd: Path) -> None:
    expected = read_msvd(msvd, "train")
    captions = json.loads((msvd / "raw-captions.json").read_text())
    (msvd / "raw-captions.json").unlink()
    rows = [(v, c if isinstance(c, str) else " ".join(c)) for v, own in captions.items() for c in own]
    lines = ["# comment", "", *(f"{v} {c}" for v, c in rows)]
    (msvd / "AllVideoDescriptions.txt").write_text("\n".join(lines))
    assert read_msvd(msvd, "train") == expected
    (msvd / "AllVideoDescriptions.txt").unlink()
    table = ["VideoID,Start,End,Language,Description", 'a,0,5,German,"ein Mann kocht"']
    table += [",".join((*v.split("_"), "English", f'"{c}"')) for v, c in rows if v != "unlisted"]
    (msvd / "video_corpus.csv").write_text("\n".join(table))
    assert read_msvd(msvd, "train") == expected


def test_a_pickle_is_refused_with_the_way_out(msvd: Path) -> None:
    (msvd / "raw-captions.json").rename(msvd / "raw-captions.pkl")
    with pytest.raises(DataError, match=r"run code .*json\.dump"):
        read_msvd(msvd, "train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_list.txt", "", "lists no video"),
        ("train_list.txt", "a_0_5\na_0_5\n", "twice"),
        ("train_list.txt", "z_0_1\n", "no caption for 'z_0_1'"),
        ("raw-captions.json", "{", "not valid JSON"),
        ("raw-captions.json", "[]", "holds a list"),
        ("raw-captions.json", '{"a_0_5": "one"}', "a str of captions"),
        ("raw-captions.json", '{"a_0_5": [" "], "b_1_9": ["x"]}', "has the caption"),
    ],
)
def test_bad_files(msvd: Path, name: str, content: str, message: str) -> None:
    (msvd / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_msvd(msvd, "train")


def test_missing_files(msvd: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_msvd(msvd, "val")
    (msvd / "raw-captions.json").unlink()
    with pytest.raises(DataError, match="holds no captions"):
        read_msvd(msvd, "train")
