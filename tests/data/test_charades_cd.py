"""Charades-CD over planted features: four small files written on the spot, and the real ones where they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.data.planted import PlantedConfig
from vmlkit.data.settings import CharadesCDData
from vmlkit.data.sources import load
from vmlkit.detr.settings import DetrCharadesCDData
from vmlkit.detr.sources import DETR_MOMENTS
from vmlkit.errors import DataError
from vmlkit.methods import preset

WORDS = ("<PAD>", "person", "a", "door", "opens", "closes", "window", "the", "slowly")
FILES = {"train": 6, "val": 3, "test_iid": 2, "test_ood": 4}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sentences a video; in ``train`` a window that ends late and one that fills its video."""
    rng, qid = np.random.default_rng(0), 0
    for stem, videos in FILES.items():
        lines = []
        for video in range(videos):
            for start, sentence in ((1.0, "person opens a door"), (5.0, "the window closes slowly")):
                window = [start, start + 3.0]
                if stem == "train" and video == 0:
                    window = [0.0, 10.0] if start == 1.0 else [5.0, 12.0]
                row = {"qid": qid, "query": sentence, "duration": 10.0, "vid": f"{stem}{video}"}
                lines.append(json.dumps({**row, "relevant_windows": [window]}))
                qid += 1
        (tmp_path / f"{stem}.jsonl").write_text("\n".join(lines) + "\n")
    vectors = rng.normal(size=(len(WORDS), 12)).astype(np.float32)
    vectors[0] = 0
    vocabulary = np.arange(1, len(WORDS))
    np.savez(tmp_path / "glove_charades.npz", words=np.array(WORDS), vectors=vectors, model_vocab=vocabulary)
    return tmp_path


def config(folder: Path, kind: type = CharadesCDData, **settings: object) -> CharadesCDData:
    made: CharadesCDData = kind(annotations=str(folder), clips=8, planted=PlantedConfig(dim=6), **settings)
    return made


def test_splits_and_groups(folder: Path) -> None:
    splits = load(config(folder, DetrCharadesCDData), view=DETR_MOMENTS, progress=False)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [11, 6, 12]
    assert splits.train.spans_s[0].tolist() == [5.0, 10.0], "cut to the video; the window that fills it is left out"
    assert splits.test.groups["iid"].tolist() == [True] * 4 + [False] * 8
    assert not splits.train.groups
    said = [str(entry) for entry in splits.left_out]
    assert any("1 of 12 queries: a window as long as the video, or longer and are left out" in line for line in said)
    videos = [set(s.video_ids) for s in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, videos)) == len(set.union(*videos)), "splits share no video"
    batch = splits.train.batch([0, 1], with_spans=True)
    assert batch.frames.shape == (2, 8, 8)
    assert torch.isfinite(batch.words).all()


def test_a_sample_of_each_file(folder: Path) -> None:
    small = config(folder, max_train_queries=5, max_test_queries=3)
    splits = load(small, progress=False)
    assert len(splits.train) == 5
    assert [q.split("/")[0] for q in splits.test.query_ids] == ["test_iid"] * 3 + ["test_ood"] * 3
    assert load(small, progress=False).train.query_ids == splits.train.query_ids


def test_half_precision_and_what_was_dropped(folder: Path) -> None:
    splits = load(config(folder, feature_dtype="float16", vocab_size=1), progress=False)
    assert splits.test.frames.dtype == torch.float16
    lost = splits.account()["left_out"]["test"]
    assert [entry["done"] for entry in lost if entry["what"].startswith("tokens")] == ["are dropped"]


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "test_ood.jsonl").unlink()
    with pytest.raises(DataError, match=r"test_ood\.jsonl"):
        load(config(folder), progress=False)
    with pytest.raises(DataError, match="no such file or folder"):
        load(config(folder / "nowhere"), progress=False)


def test_the_real_files_at_the_documented_size(charades_folder: Path) -> None:
    if not (charades_folder.parent / "charades_cd").is_dir():
        pytest.skip("needs the Charades-CD annotations beside charades_sta")
    splits = load(preset("bm-detr", "planted:charades_cd", "demo").data, view=DETR_MOMENTS, progress=False)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [3200, 300, 1200]
    assert splits.test.groups["ood"].sum() == 600
    assert 0.2 < splits.train.candidates.coverage < 0.9
