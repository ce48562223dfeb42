"""Packed features: the same numbers as the files they were packed from, out of one file mapped into memory."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.data.conftest import write_corpus
from vmlkit.data.clock import RowWatch
from vmlkit.data.feature_files import FolderFeatures
from vmlkit.data.features import load_clips, open_features, place_clips, resample_clips
from vmlkit.data.packed import PackedFeatures, pack_features
from vmlkit.data.settings import CorpusData
from vmlkit.data.sources import load
from vmlkit.errors import DataError


@pytest.fixture
def store(tmp_path) -> FolderFeatures:
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for i, name in enumerate(("a", "b", "ç")):
        np.save(tmp_path / "in" / f"{name}.npy", rng.normal(size=(4 + 3 * i, 5)).astype(np.float32))
    np.save(tmp_path / "in" / "zero.npy", np.zeros((9, 5), dtype=np.float32))
    return FolderFeatures(tmp_path / "in")


def packed(store: FolderFeatures, path: Path, clips: int | None = None, **rest) -> PackedFeatures:
    resample = None if clips is None else lambda rows: resample_clips(rows, clips)
    return pack_features(store, ["ç", "a", "zero"], path, resample=resample, clips=clips, **rest)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("clips", [None, 6])
def test_what_is_read_is_what_was_packed(tmp_path, store, clips: int | None, dtype: str) -> None:
    made = packed(store, tmp_path / "p.safetensors", clips, dtype=dtype)
    with open_features(tmp_path / "p.safetensors") as found:
        assert isinstance(found, PackedFeatures)
        assert found.names() == ["ç", "a", "zero"]
        assert found.clips == clips
        assert found.fingerprint == made.fingerprint
        for name in found.names():
            wanted = store.read(name) if clips is None else resample_clips(store.read(name), clips)
            np.testing.assert_array_equal(found.read(name), wanted.astype(dtype))
        assert "b" not in found
        with pytest.raises(DataError, match="video 'b' has no features; pack again with it"):
            found.read("b")


def test_it_is_a_safetensors_file_for_everybody_else(tmp_path, store) -> None:
    packed(store, tmp_path / "p.safetensors", 6)
    with safe_open(tmp_path / "p.safetensors", "pt") as file:
        assert list(file.keys()) == ["features"]
        assert file.get_tensor("features").shape == (3, 6, 5)
        assert json.loads(file.metadata()["seen"])["rows"] == {"ç": 10, "a": 4, "zero": 9}


def test_it_is_mapped_and_not_copied(tmp_path, store) -> None:
    found = packed(store, tmp_path / "p.safetensors", 6)
    frames, place = place_clips(found, ["zero", "ç"], 6, watch=RowWatch(found))
    assert isinstance(frames, np.memmap)
    assert np.shares_memory(frames, found.frames)
    assert (place["ç"], place["zero"]) == (0, 2)
    tensor = torch.from_numpy(frames)
    assert tensor.data_ptr() == torch.from_numpy(found.frames).data_ptr()


def test_the_clock_sees_what_it_saw_before_packing(tmp_path, store) -> None:
    found = packed(store, tmp_path / "p.safetensors", 6)
    watch, direct = RowWatch(found), RowWatch(store)
    place_clips(found, ["a", "zero"], 6, watch=watch)
    load_clips(store, ["a", "zero"], 6, watch=direct)
    assert watch.record() == direct.record()
    assert watch.odd == {"have features that are all zero": ["zero"]}


def test_another_number_of_clips_is_refused(tmp_path, store) -> None:
    found = packed(store, tmp_path / "p.safetensors", 6)
    with pytest.raises(DataError, match=r"packed at 6 clips a video, and data\.clips is 8; pack again, or --set data"):
        place_clips(found, ["a"], 8, watch=RowWatch(found))


def test_packed_rows_are_resampled_when_they_are_loaded(tmp_path, store) -> None:
    found = packed(store, tmp_path / "p.safetensors", dtype="float32")
    np.testing.assert_array_equal(load_clips(found, ["ç"], 6), load_clips(store, ["ç"], 6))


def test_a_changed_or_cut_file_is_noticed(tmp_path, store) -> None:
    path = tmp_path / "p.safetensors"
    assert packed(store, path, 6).intact()
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"\x01\x02")
    assert not PackedFeatures(path).intact()
    path.write_bytes(whole[:-2])
    with pytest.raises(DataError, match=r"has .* bytes where its header says .*; it is cut off"):
        PackedFeatures(path)


def test_nothing_half_written_is_left(tmp_path, store) -> None:
    np.save(tmp_path / "in" / "big.npy", np.full((2, 5), 1e6))
    with pytest.raises(DataError, match="video 'big' exceeds the range of float16; pack with --dtype float32"):
        pack_features(FolderFeatures(store.path), ["a", "big"], tmp_path / "p.safetensors")
    with pytest.raises(DataError, match="no video was asked for"):
        pack_features(store, [], tmp_path / "p.safetensors")
    assert not list(tmp_path.glob("*p.safetensors"))


def test_the_header_has_room_for_names_of_any_kind(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    names = ['"' * 40, "视频" * 20, *(f"v{i}" for i in range(300))]
    for name in names:
        np.save(tmp_path / "in" / f"{name}.npy", np.zeros((1, 2)))  # odd in two ways
    found = pack_features(FolderFeatures(tmp_path / "in"), names, tmp_path / "p.safetensors")
    assert found.names() == names
    assert found.intact()


def test_a_run_on_packed_features_sees_the_same_data(tmp_path) -> None:
    write_corpus(tmp_path)
    path = tmp_path / "p.safetensors"
    with open_features(tmp_path / "features.hdf5") as store:
        pack_features(store, sorted(store.names()), path, resample=lambda rows: resample_clips(rows, 8), clips=8)
    settings = {"name": "charades", "annotations": str(tmp_path), "clips": 8, "feature_dtype": "float16"}
    direct = load(CorpusData(**settings, features=str(tmp_path / "features.hdf5")), progress=False)
    mapped = load(CorpusData(**settings, features=str(path)), progress=False)
    for name in ("train", "validation", "test"):
        a, b = getattr(direct, name), getattr(mapped, name)
        everything = list(range(len(a)))
        assert torch.equal(a.batch(everything).frames, b.batch(everything).frames)
        assert a.query_ids == b.query_ids
    assert mapped.train.frames.data_ptr() == mapped.test.frames.data_ptr()
    assert mapped.left_out == direct.left_out
    assert len({mapped.train.fingerprint, mapped.test.fingerprint, direct.train.fingerprint}) == 3
