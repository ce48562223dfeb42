"""``vmlkit data pack`` and ``vmlkit data convert``, through the command line."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.conftest import write_corpus
from vmlkit import cli
from vmlkit.data.annotations.detr_jsonl import read_queries
from vmlkit.data.annotations.layouts import rows_of
from vmlkit.data.features import open_features, resample_clips
from vmlkit.data.packed import PackedFeatures


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    return tmp_path


def pack(corpus: Path, *more: str) -> int:
    paths = ["--annotations", str(corpus), "--features", str(corpus / "features.hdf5")]
    return cli.main(["data", "pack", "charades", *paths, "--out", str(corpus / "p.safetensors"), "--quiet", *more])


def test_pack_then_train(corpus: Path, capsys) -> None:
    assert pack(corpus, "--clips", "8") == 0
    out = capsys.readouterr().out
    assert "p.safetensors: 13 videos with 8 clips, 6 dimensions, float16" in out
    command = ["train", "cnm", "--data", "charades", "--annotations", str(corpus), "--quiet", "--features"]
    small = ["--set", "train.epochs=1", "--set", "train.batch_size=4", "--set", "train.probe_queries=2"]
    small += ["--set", "data.clips=8", "--run-dir", str(corpus / "run")]
    assert cli.main([*command, str(corpus / "p.safetensors"), *small]) == 0
    assert cli.main(["evaluate", str(corpus / "run")]) == 0


def test_clips_come_from_the_preset(corpus: Path) -> None:
    assert pack(corpus) == 0
    packed = PackedFeatures(corpus / "p.safetensors")
    assert packed.clips == 200
    with open_features(corpus / "features.hdf5") as store:
        wanted = resample_clips(store.read("tr00"), 200).astype(np.float16)
    np.testing.assert_array_equal(packed.read("tr00"), wanted)


def test_rows_can_be_kept_and_single_precision_too(corpus: Path, capsys) -> None:
    assert pack(corpus, "--keep-rows", "--dtype", "float32") == 0
    assert "13 videos with their own rows, 6 dimensions, float32" in capsys.readouterr().out
    packed = PackedFeatures(corpus / "p.safetensors")
    with open_features(corpus / "features.hdf5") as store:
        np.testing.assert_array_equal(packed.read("te02"), store.read("te02"))


def test_near_names_are_packed_under_the_id_and_what_is_missing_is_said(corpus: Path, capsys) -> None:
    with h5py.File(corpus / "features.hdf5", "a") as file:
        del file["tr09"]
        for video in list(file):
            file.move(video, f"v_{video}")
    assert pack(corpus) == 2
    assert "has none of the 13 videos; it has 'v_tr00' (12 of 13 match without the prefix" in capsys.readouterr().err
    assert not (corpus / "p.safetensors").exists()
    assert pack(corpus, "--near-names", "--clips", "4") == 0
    said = capsys.readouterr()
    assert "12 videos with 4 clips" in said.out
    assert "12 of them under another name (without the prefix 'v_')" in said.err
    assert "1 of 13 videos have no features, such as tr09" in said.err
    assert "tr00" in PackedFeatures(corpus / "p.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy"], "nothing to pack for 'toy': name its features"),
        (["charades"], "nothing to pack for 'charades': name its features (--features PATH)"),
        (["charades", "--features", "no.h5"], "no annotations were named"),
    ],
)
def test_what_cannot_be_packed(monkeypatch, tmp_path, capsys, arguments: list[str], message: str) -> None:
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    assert cli.main(["data", "pack", *arguments, "--out", str(tmp_path / "p")]) == 2
    assert message in capsys.readouterr().err


def test_a_packed_file_is_not_resampled_again(corpus: Path, capsys) -> None:
    assert pack(corpus, "--clips", "8") == 0
    paths = ["--annotations", str(corpus), "--features", str(corpus / "p.safetensors")]
    assert cli.main(["data", "pack", "charades", *paths, "--out", str(corpus / "q"), "--clips", "8", "--quiet"]) == 2
    assert "is packed and resampled already" in capsys.readouterr().err


def test_one_kind_of_a_detr_source_is_packed_in_its_rows(tmp_path, capsys) -> None:
    for part in ("train", "val", "test"):
        line = {"qid": 1, "query": "a", "vid": part, "duration": 60, "relevant_windows": [[2, 4]],
                "relevant_clip_ids": [1], "saliency_scores": [[1, 1, 1]]}  # fmt: skip
        name = "highlight_test_with_gt" if part == "test" else f"highlight_{part}_release"
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
        (tmp_path / "clip_features").mkdir(exist_ok=True)
        np.savez(tmp_path / "clip_features" / f"{part}.npz", features=np.ones((30, 4), dtype=np.float32))
    paths = ["--annotations", str(tmp_path), "--features", str(tmp_path), "--out", str(tmp_path / "p.safetensors")]
    assert cli.main(["data", "pack", "qvhighlights", *paths, "--quiet"]) == 2
    assert "several kinds of features (slowfast, clip) are joined when they are loaded" in capsys.readouterr().err
    assert cli.main(["data", "pack", "qvhighlights", *paths, "--quiet", "--set", 'data.kinds=["clip"]']) == 0
    assert PackedFeatures(tmp_path / "p.safetensors").read("val").shape == (30, 4)
    paths[3] = paths[5]
    check = ["data", "check", "qvhighlights", *paths[:4], "--quiet", "--set", 'data.kinds=["clip"]']
    assert cli.main(check) == 0
    assert "3 of 3 videos, 4 dimensions, 2 s a row" in capsys.readouterr().out


CAPTIONS = {"v_a": {"duration": 82.7, "timestamps": [[0.8, 19.8], [17.3, 60.8]], "sentences": ["one", "été"]}}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_convert(tmp_path, capsys, name: str) -> None:
    (tmp_path / "val_1.json").write_text(json.dumps(CAPTIONS), encoding="utf-8")
    assert cli.main(["data", "convert", str(tmp_path / "val_1.json"), "--out", str(tmp_path / name)]) == 0
    assert "2 sentences, read as ActivityNet Captions by video" in capsys.readouterr().out
    before, after = rows_of(tmp_path / "val_1.json"), rows_of(tmp_path / name)
    assert [(r.video_id, r.duration, r.windows, r.sentence) for r in before] == [
        (r.video_id, r.duration, r.windows, r.sentence) for r in after
    ]
    if "jsonl" in name:
        assert [q.qid for q in read_queries(tmp_path / name).queries] == [0, 1]


def test_convert_keeps_ids_and_refuses_what_does_not_fit(tmp_path, capsys) -> None:
    tvr = {"vid_name": "v", "duration": 61.4, "ts": [19.3, 29.1], "desc": "a", "type": "v", "desc_id": 90200}
    (tmp_path / "tvr.jsonl").write_text(json.dumps(tvr) + "\n")
    assert cli.main(["data", "convert", str(tmp_path / "tvr.jsonl"), "--out", str(tmp_path / "a.jsonl")]) == 0
    assert read_queries(tmp_path / "a.jsonl").queries[0].qid == 90200
    lens = {"v": {"duration": 30, "spans": [[[1, 4], [6, 7]]], "queries": ["a"]}}
    (tmp_path / "lens.json").write_text(json.dumps(lens))
    capsys.readouterr()
    for out, message in (("a.json", "has 2 windows; write .jsonl"), ("a.csv", "--out must end in .json (CNM) or")):
        assert cli.main(["data", "convert", str(tmp_path / "lens.json"), "--out", str(tmp_path / out)]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / out).exists()
