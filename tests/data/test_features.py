"""Clip resampling, the proposal grid, and feature files with everything that can be wrong with them."""

import itertools

import h5py
import numpy as np
import pytest

from vmlkit.data.clock import RowWatch
from vmlkit.data.feature_files import FileFeatures, FolderFeatures, check_features
from vmlkit.data.features import clip_boundaries, load_clips, open_features, resample_clips
from vmlkit.errors import DataError


def resample_by_loop(features: np.ndarray, clips: int) -> np.ndarray:
    """The rule of the references, one clip after the other."""
    rows = len(features)
    edges = [min(round(j / clips * rows), rows - 1) for j in range(clips + 1)]
    out = []
    for start, stop in itertools.pairwise(edges):
        out.append(features[start] if start == stop else features[start:stop].astype(np.float64).mean(axis=0))
    return np.array(out)


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 16, 17, 31, 32, 33, 200, 333])
@pytest.mark.parametrize("clips", [1, 2, 16, 64])
def test_resampling_equals_the_loop(rows: int, clips: int) -> None:
    features = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    got = resample_clips(features, clips)
    assert got.shape == (clips, 5)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, resample_by_loop(features, clips), rtol=0, atol=1e-6)


def test_boundaries_round_half_to_even() -> None:
    # 5 rows to 2 clips: the middle boundary is 2.5 and goes to 2, not 3
    assert clip_boundaries(5, 2).tolist() == [0, 2, 4]
    # 7 rows to 2 clips: 3.5 goes to 4
    assert clip_boundaries(7, 2).tolist() == [0, 4, 6]


def test_resampling_keeps_accuracy_of_large_values() -> None:
    features = np.full((4001, 1), 1e7, dtype=np.float32)
    features[1::2] += 1
    means = resample_clips(features.astype(np.float64), 4)
    assert np.abs(means - (1e7 + 0.5)).max() < 1e-3
    assert resample_clips(features, 4).dtype == np.float32


def test_resampling_keeps_integer_and_half_inputs_exact() -> None:
    assert resample_clips(np.array([[1], [2], [4]]), 1).tolist() == [[1.5]]
    half = np.array([[0.5], [1.5]], dtype=np.float16)
    assert resample_clips(half, 4).ravel().tolist() == [0.5, 0.5, 1.5, 1.5]


@pytest.mark.parametrize("shape", [(0, 3), (4,), (2, 3, 4)])
def test_resampling_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="rows, dimensions"):
        resample_clips(np.zeros(shape), 4)


def test_both_kinds_of_store_give_the_same_clips(corpus) -> None:
    videos = ["tr03", "tr00", "te01"]
    with open_features(corpus / "arrays") as folder, open_features(corpus / "features.hdf5") as file:
        assert "tr03" in folder
        assert "tr03" in file
        a, b = load_clips(folder, videos, 8), load_clips(file, videos, 8)
    assert a.shape == (3, 8, 6)
    np.testing.assert_array_equal(a, b)


def test_groups_in_hdf5(tmp_path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["v_a/c3d_features"] = np.ones((3, 2))
        file["v_b/anything"] = np.zeros((3, 2))
        file["v_c/x"], file["v_c/y"] = np.zeros((3, 2)), np.ones((3, 2))
    with FileFeatures(tmp_path / "f.h5") as store:
        assert store.read("v_a").tolist() == [[1.0, 1.0]] * 3
        assert store.read("v_b").tolist() == [[0.0, 0.0]] * 3
        say = r"'v_c' is a group with the arrays \['x', 'y'\]; say which to read, .* --set data\.feature_dataset=x"
        with pytest.raises(DataError, match=say):
            store.read("v_c")
    with FileFeatures(tmp_path / "f.h5", dataset="y") as store:
        assert store.read("v_c").tolist() == [[1.0, 1.0]] * 3


def test_npz_and_singleton_axes(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", features=np.ones((3, 1, 1, 4)), other=np.zeros((1, 1)))
    np.savez(tmp_path / "b.npz", one=np.zeros(1), two=np.zeros(1))
    store = FolderFeatures(tmp_path)
    assert store.read("a").shape == (3, 4)
    with pytest.raises(DataError, match=r"b.npz: video 'b' is a group with the arrays \['one', 'two'\]; say which"):
        store.read("b")
    assert FolderFeatures(tmp_path, dataset="other").read("a").shape == (1, 1)


@pytest.mark.parametrize("video", ["../secret", "a/b", "..", "", "a\\b", "a\0b"])
def test_ids_never_leave_the_folder(tmp_path, video: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    np.save(tmp_path / "secret.npy", np.ones((2, 2)))
    store = FolderFeatures(inside)
    assert video not in store
    with pytest.raises(DataError, match="has no features"):
        store.read(video)


def test_pickled_arrays_are_refused(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"a\.npy: is not a readable npz or npy file .*; it holds pickled objects, which vmlkit never"
    ):
        FolderFeatures(tmp_path).read("a")


def test_missing_videos_are_counted(corpus) -> None:
    message = (
        r"features\.hdf5: video 'zz' has no features \(nor have 1 more of 3 videos\); "
        r"extract what is missing or leave its queries out\."
    )
    with open_features(corpus / "features.hdf5") as store, pytest.raises(DataError, match=message):
        load_clips(store, ["tr00", "zz", "yy"], 4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.array([[1.0, np.nan], [1, 1], [np.inf, 1]]),
            r"video 'v' has NaN or infinity in 2 of 3 rows \(first: row 0\)",
        ),
        (np.zeros(4), r"video 'v' has features of shape \(4,\); store a non-empty array"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.zeros((3, 2, 4)), r"shape \(3, 2, 4\)"),
        (np.array([["a"]]), r"holds <U1 instead of numbers"),
    ],
)
def test_unusable_arrays(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        check_features(array, "f.h5", "v")
    assert str(caught.value).startswith("f.h5: ")


def test_other_dimensions_are_refused(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4)))
    np.save(tmp_path / "b.npy", np.ones((2, 5)))
    with pytest.raises(DataError, match="video 'b' has 5 dimensions where the videos before it have 4"):
        load_clips(FolderFeatures(tmp_path), ["a", "b"], 4)


def test_truncated_hdf5(corpus) -> None:
    path = corpus / "features.hdf5"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"features\.hdf5: is not a readable HDF5 file .*; copy or download it again"):
        FileFeatures(path)


def test_missing_files(tmp_path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"), open_features(tmp_path / "no.h5"):
        pass
    with pytest.raises(DataError, match="there is no such folder"):
        FolderFeatures(tmp_path / "no")


def test_half_precision_and_its_range(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4)))
    np.save(tmp_path / "b.npy", np.full((2, 4), 1e6))
    store = FolderFeatures(tmp_path)
    assert load_clips(store, ["a"], 4, dtype="float16").dtype == np.float16
    with pytest.raises(DataError, match="video 'b' exceeds the range of float16"):
        load_clips(store, ["a", "b"], 4, dtype="float16")


def test_cache_is_used_and_follows_the_files(tmp_path) -> None:
    folder, cache = tmp_path / "in", tmp_path / "cache"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((2, 4)))
    store = FolderFeatures(folder)
    first = load_clips(store, ["a"], 4, cache_dir=cache).copy()
    (file,) = cache.glob("*.npy")
    np.save(file, first + 1)
    np.testing.assert_array_equal(load_clips(store, ["a"], 4, cache_dir=cache), first + 1)
    np.save(folder / "a.npy", np.zeros((3, 4)))
    assert np.abs(load_clips(store, ["a"], 4, cache_dir=cache)).max() == 0
    assert len(list(cache.glob("*.npy"))) == 2


def test_what_was_seen_of_the_rows_is_kept_with_the_cache(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.zeros((7, 4)))
    seen = []
    for _ in range(2):
        watch = RowWatch("in")
        load_clips(FolderFeatures(tmp_path / "in"), ["a"], 4, cache_dir=tmp_path / "cache", watch=watch)
        seen.append(watch.record())
    assert seen[0] == seen[1] == {"rows": {"a": 7}, "odd": {"have features that are all zero": ["a"]}}
