"""Fixtures: a small corpus written on the spot, and the real Charades-STA annotations where they are."""

import gzip
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = ("<PAD>", "person", "a", "door", "opens", "closes", "window", "the", "slowly")
TAGS = {"person": "NN", "a": "DT", "door": "NN", "opens": "VBZ", "closes": "VBZ", "window": "NN", "slowly": "RB"}


def find_data(name: str) -> Path | None:
    """A folder of annotations below ``$VMLKIT_DATA`` or beside the repository."""
    root = Path(os.environ.get("VMLKIT_DATA", REPOSITORY.parent / "shared" / "data"))
    return root / name if (root / name).is_dir() else None


@pytest.fixture(scope="session")
def charades_folder() -> Path:
    folder = find_data("charades_sta")
    if folder is None:
        pytest.skip("needs the Charades-STA annotations: set VMLKIT_DATA to the folder that holds charades_sta")
    return folder


@pytest.fixture(scope="session")
def activitynet_folder() -> Path:
    folder = find_data("activitynet_captions")
    if folder is None:
        pytest.skip("needs the ActivityNet annotations: set VMLKIT_DATA to the folder that holds activitynet_captions")
    return folder


def write_tags(folder: Path, records: dict[str, list[list]]) -> None:
    lines = []
    for split, rows in records.items():
        for row, record in enumerate(rows):
            tokens = record[3].lower().split()
            tags = [TAGS.get(token, "DT") for token in tokens]
            lines.append(json.dumps({"split": split, "row": row, "tokens": tokens, "tags": tags}))
    (folder / "tokens_pos.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A small corpus in the layout of Charades-STA."""
    write_corpus(tmp_path)
    return tmp_path


def write_corpus(folder: Path, layout: str = "charades") -> None:
    """Ten training and three test videos with two sentences each, tags, word vectors and two kinds of features."""
    rng = np.random.default_rng(0)
    records: dict[str, list[list]] = {"train": [], "test": []}
    lengths = {}
    for split, count in (("train", 10), ("test", 3)):
        for i in range(count):
            video = f"{split[:2]}{i:02d}"
            lengths[video] = 10.0 + i
            records[split].append([video, lengths[video], [1.0, 4.5], "person opens a door"])
            records[split].append([video, lengths[video], [5.0, 9.0], "The window closes slowly"])
    for split, rows in records.items():
        name = f"{split}_data.json" if layout == "activitynet" else f"{split}.json"
        text = json.dumps(rows)
        if layout == "tvr":
            name = f"tvr_{'train' if split == 'train' else 'val'}_release.jsonl"
            lines = [dict(zip(("vid_name", "duration", "ts", "desc"), row, strict=True)) for row in rows]
            text = "\n".join(json.dumps({**line, "desc_id": i}) for i, line in enumerate(lines))
        (folder / name).write_text(text)
    write_tags(folder, records)
    vectors = rng.normal(size=(len(WORDS), 12)).astype(np.float32)
    vectors[0] = 0
    path = folder / f"glove_{layout}.npz"
    np.savez(path, words=np.array(WORDS), vectors=vectors, model_vocab=np.arange(1, len(WORDS)))
    (folder / "arrays").mkdir()
    with h5py.File(folder / "features.hdf5", "w") as file:
        for i, video in enumerate(lengths):
            rows = rng.normal(size=(5 + i, 6)).astype(np.float32)
            np.save(folder / "arrays" / f"{video}.npy", rows)
            file[video] = rows
