"""Object arrays are read without running a single instruction of theirs."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vmlkit.actions.object_arrays import read_array
from vmlkit.errors import DataError


def objects(*items) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def stored(path: Path, array: np.ndarray, protocol: int) -> Path:
    """An object array as any version of Python and NumPy would have written it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": array.shape})
        pickle.dump(array, file, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_lists_of_numbers_and_texts_come_back(tmp_path: Path, protocol: int) -> None:
    items = [[[1.5, 2.0], [3.0, -4.25]], [], ["run", "jump"], [b"bytes"], [1, 300, 70000, 2**40, True, None]]
    path = stored(tmp_path / "a.npy", objects(*items), protocol)
    assert read_array(path) == items


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", "S3", "<U2"])
def test_numeric_arrays_inside_come_back(tmp_path: Path, protocol: int, dtype: str) -> None:
    inner = [np.arange(6).reshape(2, 3).astype(dtype), np.asfortranarray(np.arange(4).reshape(2, 2).astype(dtype))]
    found = read_array(stored(tmp_path / "a.npy", objects(*inner), protocol))
    for mine, theirs in zip(found, inner, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_scalars_of_numpy_become_numbers(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.npy", objects([np.float64(1.5), np.int32(7)], np.float32(0.25)), 2)
    assert read_array(path) == [[1.5, 7], 0.25]


def test_plain_arrays_are_loaded_as_ever(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert read_array(tmp_path / "a.npy").tolist() == [0, 1, 2, 3, 4]


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_is_refused_and_never_made(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made"
    path = stored(tmp_path / "a.npy", objects(Malicious(target), [1.0]), protocol)
    with pytest.raises(DataError, match=r"holds the name '.*mkdir'.*thumos14_reduced.json or gt.json"):
        read_array(path)
    assert not target.exists()


@pytest.mark.parametrize("item", [{"a": 1}, {1, 2}, Path("x"), 3 + 4j, objects([1]).reshape(1, 1)], ids=repr)
def test_anything_but_plain_data_is_refused(tmp_path: Path, item: object) -> None:
    with pytest.raises(DataError, match="not only lists of numbers and texts"):
        read_array(stored(tmp_path / "a.npy", objects(item, [1.0]), 2))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = stored(tmp_path / "a.npy", objects([1.0, 2.0], [3.0]), 2).read_bytes()
    for cut in range(1, len(whole) - 1, 7):
        (tmp_path / "cut.npy").write_bytes(whole[:cut])
        with pytest.raises(DataError):
            read_array(tmp_path / "cut.npy")
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(DataError, match="is not a readable npy file"):
        read_array(tmp_path / "text.npy")
    with pytest.raises(DataError, match="no such file"):
        read_array(tmp_path / "missing.npy")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_mutilated_files_end_in_a_value_or_a_sentence(tmp_path: Path, protocol: int) -> None:
    items = objects([[1.5, 2.0], "run"], np.arange(4.0), [b"x", np.float64(2.0)])
    whole = stored(tmp_path / "a.npy", items, protocol).read_bytes()
    rng = np.random.default_rng(protocol)
    refused = 0
    for _ in range(400):
        changed = bytearray(whole)
        for place in rng.integers(128, len(whole), size=2):
            changed[place] = rng.integers(256)
        (tmp_path / "b.npy").write_bytes(bytes(changed))
        try:
            assert len(read_array(tmp_path / "b.npy")) == 3
        except DataError:
            refused += 1
    assert refused > 100


def test_a_list_of_lists_of_lists_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("vmlkit.actions.object_arrays._MOST_ENTRIES", 10_000)
    wide: list = [0.0]
    for _ in range(18):
        wide = [wide] * 10
    with pytest.raises(DataError, match="more than two million entries"):
        read_array(stored(tmp_path / "a.npy", objects(wide), 4))
