"""Every layout in which visual features circulate: read, or answered with its name and the conversion."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from tests.data.conftest import write_tags
from vmlkit import cli
from vmlkit.actions.feature_layouts import open_action_features
from vmlkit.actions.sources import ActionData
from vmlkit.data.feature_files import FileFeatures, FolderFeatures, ListedFeatures
from vmlkit.data.feature_layouts import FEATURES, layout_of
from vmlkit.data.features import load_clips, open_features
from vmlkit.data.layouts import near_names
from vmlkit.data.packed import pack_features
from vmlkit.detr.corpora import CORPORA
from vmlkit.detr.line_features import open_kinds
from vmlkit.detr.settings import DetrData
from vmlkit.errors import DataError

Arrays = dict[str, np.ndarray]


@pytest.fixture
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {f"V{i:03d}": rng.normal(size=(6 + i, 4)).astype(np.float32) for i in range(6)}


def hdf5(path: Path, arrays: dict) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def each(suffix: str, save: Callable[[Path, np.ndarray], object]) -> Callable[[Path, Arrays], Path]:
    def write(folder: Path, arrays: Arrays) -> Path:
        (folder / "each").mkdir()
        for name, array in arrays.items():
            save(folder / "each" / f"{name}{suffix}", array)
        return folder / "each"

    return write


def one(name: str, save: Callable[[Path, Arrays], object]) -> Callable[[Path, Arrays], Path]:
    def write(folder: Path, arrays: Arrays) -> Path:
        save(folder / name, arrays)
        return folder / name

    return write


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


READ = {
    "npz of all": one("all.npz", lambda p, a: np.savez(p, **a)),
    "compressed npz of all": one("all.npz", lambda p, a: np.savez_compressed(p, **a)),
    "pt of all": one("all.pt", lambda p, a: torch.save(tensors(a), p)),
    "old pt of all": one("all.pt", lambda p, a: torch.save(tensors(a), p, _use_new_zipfile_serialization=False)),
    "pt under another name": one("clips.dat", lambda p, a: torch.save(tensors(a), p)),
    "pt of dicts": one("all.pt", lambda p, a: torch.save({k: {"feature": v} for k, v in tensors(a).items()}, p)),
    "safetensors of all": one("all.safetensors", lambda p, a: save_file(a, p)),
    "hdf5 of all": one("all.h5", hdf5),
    "hdf5 groups": one("all.h5", lambda p, a: hdf5(p, {f"{k}/c3d_features": v for k, v in a.items()})),
    "npy each": each(".npy", np.save),
    "npz each": each(".npz", lambda p, a: np.savez(p, features=a, mask=np.ones(len(a)))),
    "pt each": each(".pt", lambda p, a: torch.save(torch.from_numpy(a), p)),
    "pth each, of dicts": each(".pth", lambda p, a: torch.save({"feature": torch.from_numpy(a), "fps": 25.0}, p)),
    "safetensors each": each(".safetensors", lambda p, a: save_file({"feature": a}, p)),
    "h5 each": each(".h5", lambda p, a: hdf5(p, {"feature": a})),
    "h5 each, in a group": each(".hdf5", lambda p, a: hdf5(p, {f"{p.stem}/x": a})),
}


@pytest.mark.parametrize("write", READ.values(), ids=READ)
def test_a_layout_is_read(tmp_path, arrays: Arrays, write: Callable[[Path, Arrays], Path]) -> None:
    path = write(tmp_path, arrays)
    with open_features(path) as store:
        assert isinstance(store, ListedFeatures)
        assert sorted(store.names()) == sorted(arrays)
        assert "other" not in store
        for name, array in arrays.items():
            np.testing.assert_array_equal(store.read(name), array)
        before = store.stamp(["V000"])
        assert before == store.stamp(["V000"])


def test_bfloat16_is_read_as_float32(tmp_path) -> None:
    save_tensors({"a": torch.tensor([[1.5, 2.0]], dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    with open_features(tmp_path / "a.safetensors") as store:
        assert store.read("a").tolist() == [[1.5, 2.0]]
        assert store.read("a").dtype == np.float32


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def trap(save: Callable[[Path, object], object], name: str) -> Callable[[Path, Arrays], Path]:
    def write(folder: Path, arrays: Arrays) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        save(path, {"V000": Trap(folder / "trace")})
        return path.parent if path.parent != folder else path

    return write


def dump(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


def save_objects(path: Path, content: dict) -> None:
    np.save(path, np.array([content], dtype=object), allow_pickle=True)


def folders(*names: str) -> Callable[[Path, Arrays], Path]:
    def write(folder: Path, arrays: Arrays) -> Path:
        for name in names:
            (folder / "f" / name).mkdir(parents=True)
            np.save(folder / "f" / name / "V000.npy", arrays["V000"])
        return folder / "f"

    return write


def text(name: str, content: bytes) -> Callable[[Path, Arrays], Path]:
    def write(folder: Path, arrays: Arrays) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path.parent if path.parent != folder else path

    return write


LGI = one("l.h5", lambda p, a: hdf5(p, {f"{g}/0": np.ones(1) for g in ("start_pos", "end_pos", "att_mask")}))
REFUSED = {
    "pickle": (trap(dump, "all.pkl"), "a pickle, which runs code when it is opened; where you trust the file"),
    "pickle in disguise": (trap(dump, "all.pt"), "a pickle, which runs code"),
    "folder of pickles": (trap(dump, "f/V000.pkl"), "a folder of pickles, which run code"),
    "pt with objects": (trap(lambda p, c: torch.save(c, p), "all.pt"), "it holds pickled objects, which vmlkit never"),
    "npy of objects": (trap(save_objects, "all.npy"), "is one array without the ids of videos"),
    "one array": (one("all.npy", lambda p, a: np.save(p, a["V000"])), "without the ids of videos; save arrays"),
    "splits in one HDF5": (
        one("all.h5", lambda p, a: hdf5(p, {f"train/{k}": v for k, v in a.items()})),
        "under the name of each split; write the groups of the videos at the top",
    ),
    "labels of LGI": (LGI, "is labels of LGI .*i3d_finetuned"),
    "two streams": (folders("rgb", "flow"), "two streams in the folders rgb and flow; give one of the two"),
    "two kinds": (folders("clip_features", "slowfast_features"), "several kinds of features in a folder each"),
    "splits": (folders("train", "test"), "a folder for each split; put the files of all splits into one"),
    "lmdb": (text("f/data.mdb", b"\0" * 64), "an LMDB environment"),
    "videos": (text("f/V000.mp4", b"\0" * 64), "a folder of videos; extract features first"),
    "tables": (text("f/V000.csv", b"1,2"), "a folder of tables of text; load each with numpy.loadtxt"),
    "matlab": (text("f/V000.mat", b"MATLAB 5.0"), "is MATLAB files; load each"),
    "tar": (text("all.tar", b"\0" * 257 + b"ustar"), "a packed archive; unpack it"),
    "gzip": (text("all.npy.gz", b"\x1f\x8b" + b"\0" * 64), "a packed archive; unpack it"),
    "parquet": (text("all.parquet", b"PAR1" + b"\0" * 64), "a Parquet table"),
    "empty": (text("all.h5", b""), "an empty file or folder"),
    "something else": (text("all.h5", b"<html>" + b" " * 64), "of no known layout of features; give a file or folder"),
    "cut npz": (text("all.npz", b"PK\x03\x04" + b"\0" * 64), "not a readable npz file .* it may be cut off"),
    "cut hdf5": (text("all.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64), "not a readable HDF5 file .* it may be cut off"),
    "absent": (lambda folder, arrays: folder / "no", "there is no such file or folder"),
}


@pytest.mark.parametrize(("write", "message"), REFUSED.values(), ids=REFUSED)
def test_a_layout_is_refused_by_its_name(
    tmp_path, arrays: Arrays, write: Callable[[Path, Arrays], Path], message: str
) -> None:
    path = write(tmp_path, arrays)
    with pytest.raises(DataError, match=message) as caught, open_features(path):
        pass
    assert caught.value.where == str(path)
    assert not (tmp_path / "trace").exists()


def test_every_layout_has_a_reader_or_says_what_to_do() -> None:
    assert all((layout.read is None) == bool(layout.remedy) for layout in FEATURES)


def test_each_layout_is_met_by_a_test(tmp_path, arrays: Arrays) -> None:
    met = set()
    with FileFeatures(READ["hdf5 of all"](tmp_path, arrays)) as store:
        pack_features(store, list(arrays), tmp_path / "packed.safetensors")
    met.add(layout_of(tmp_path / "packed.safetensors")[0].name)
    for number, (name, write) in enumerate({**READ, **{name: case[0] for name, case in REFUSED.items()}}.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, arrays)
        if path.exists() and name != "cut hdf5":
            layout, _ = layout_of(path)
            met |= {layout.name} if layout else set()
    assert met == {layout.name for layout in FEATURES}


def test_a_video_with_two_files_is_read_from_the_first_kind(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros((2, 3)))
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    store = FolderFeatures(tmp_path)
    assert store.read("a").all()
    assert store.twice == {"a": ("a.npy", "a.npz")}


def test_a_file_of_one_array_is_no_store(tmp_path) -> None:
    torch.save(torch.ones(3, 2), tmp_path / "a.pt")
    with pytest.raises(DataError, match="holds a single Tensor and no ids of videos"):
        FileFeatures(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("wanted", "have", "rule", "pairs"),
    [
        (["v_XYZ"], ["XYZ"], "without the prefix 'v_'", {"v_XYZ": "XYZ"}),
        (["XYZ"], ["v_XYZ"], "without the prefix 'v_'", {"XYZ": "v_XYZ"}),
        (["xyz"], ["XYZ"], "in lower case", {"xyz": "XYZ"}),
        (["s13-d21"], ["s13-d21.avi"], "without the ending of a video file", {"s13-d21": "s13-d21.avi"}),
        (["XYZ"], ["XYZ_val"], "without the name of the split", {"XYZ": "XYZ_val"}),
        (["XYZ"], ["XYZ-rgb"], "without the name of the stream", {"XYZ": "XYZ-rgb"}),
        (["abc"], ["abc_60.0_210.0"], "without the times of the clip", {"abc": "abc_60.0_210.0"}),
        (["v_XYZ"], ["xyz.mp4"], "without prefix, endings and upper case", {"v_XYZ": "xyz.mp4"}),
    ],
)
def test_near_names(wanted, have, rule, pairs) -> None:
    found = near_names(wanted, have)
    assert found is not None
    assert (found.rule, found.pairs) == (rule, pairs)


def test_a_name_that_could_be_two_is_none() -> None:
    assert near_names(["xyz"], ["XYZ", "Xyz"]) is None
    assert near_names(["one"], []) is None


def test_missing_videos_are_answered_with_near_names(tmp_path, arrays: Arrays) -> None:
    hdf5(tmp_path / "all.h5", arrays)
    say = (
        r"video 'v_V000' has no features \(nor have 1 more .*\); it has 'V000' \(1 of 2 match without the prefix 'v_'\)"
    )
    with open_features(tmp_path / "all.h5") as store, pytest.raises(DataError, match=say):
        load_clips(store, ["v_V000", "V001", "v_W"], 4)


def test_the_array_can_be_named_for_action_and_detr_sources_too(tmp_path, arrays: Arrays) -> None:
    hdf5(tmp_path / "two.h5", {f"{k}/{s}": v * (s == "flow") for k, v in arrays.items() for s in ("rgb", "flow")})
    with open_action_features(tmp_path / "two.h5", list(arrays), "flow") as store:
        np.testing.assert_array_equal(store.read("V001"), arrays["V001"])
    one = {"unit_rows": False, "dataset": "flow"}
    with open_kinds(tmp_path / "two.h5", ("clip",), CORPORA["qvhighlights"], 99, **one) as joined:
        np.testing.assert_array_equal(joined.read("V001"), arrays["V001"])
    for settings in (ActionData(name="thumos14"), DetrData(name="qvhighlights")):
        assert settings.feature_dataset is None


CASES = ("all.npz", "all.pt", "all.safetensors", "pt", "h5_each", "two.h5")


@pytest.mark.filterwarnings("ignore:lambda was published")  # the grid of 16 clips is small
@pytest.mark.parametrize("case", CASES)
def test_training_on_every_format(tmp_path, capsys, case: str) -> None:
    """The public report: one file of all videos, and a file per video, which were taken for damaged HDF5."""
    rng = np.random.default_rng(1)
    records: dict[str, list[list]] = {"train": [], "test": []}
    arrays = {}
    for split, first, count in (("train", 0, 8), ("test", 100, 3)):
        for i in range(first, first + count):
            video = f"V{i:03d}"
            arrays[video] = rng.normal(size=(20 + i % 7, 8)).astype(np.float32)
            records[split] += [[video, 30.0, [2.0, 9.0], "a person opens the door"]]
    for split, rows in records.items():
        (tmp_path / f"{split}.json").write_text(json.dumps(rows))
    write_tags(tmp_path, records)
    path, chosen = tmp_path / case, []
    if case == "two.h5":
        with h5py.File(path, "w") as file:
            for video, array in arrays.items():
                file[f"{video}/rgb"], file[f"{video}/flow"] = array, -array
        chosen = ["--set", "data.feature_dataset=rgb"]
    elif "." in case:
        READ[f"{path.suffix[1:]} of all"](tmp_path, arrays)
    else:
        READ["pt each" if case == "pt" else "h5 each"](tmp_path, arrays).rename(path)
    command = ["train", "cpl", "--data", "charades", "--annotations", str(tmp_path), "--features", str(path), "--quiet"]
    small = ["--set", "train.epochs=1", "--set", "data.clips=16", "--set", "train.batch_size=4"]
    small += ["--set", "train.probe_queries=2", "--run-dir", str(tmp_path / "run")]
    if chosen:
        assert cli.main(command + small) == 2
        assert "--set data.feature_dataset=rgb" in capsys.readouterr().err
    assert cli.main(command + small + chosen) == 0
    assert "run directory" in capsys.readouterr().out
