"""Run directories: atomic writing, reading, and one clear sentence for everything that can be wrong with a file."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from vmlkit import files, provenance, runs
from vmlkit.errors import DataError
from vmlkit.runs import PROPOSAL_COLUMNS, RunDirectory

PROBED = {"query_id": "q", "video_id": "v", "sentence": "a", "words": ["a"], "duration_s": 3.0, "span_s": [0.0, 1.0]}


@pytest.fixture
def run_dir(tmp_path):
    """A small, complete run directory written with the module's own writers."""
    folder = tmp_path / "run"
    folder.mkdir()
    files.write_json(folder / "config.json", {"schema": runs.SCHEMA, "name": "x", "seed": 3})
    epochs = pd.DataFrame({"epoch": [0, 1], "metric/R@1,mIoU": [0.1, 0.2], "seconds": [1.0, 2.0]})
    files.write_parquet(folder / "epochs.parquet", epochs)
    row = dict.fromkeys(PROPOSAL_COLUMNS, 0) | {"query_id": "q", "role": "positive"}
    files.write_parquet(folder / "proposals.parquet", pd.DataFrame([row]).astype(PROPOSAL_COLUMNS))
    files.write_json(folder / "probe.json", [PROBED])
    files.write_npz(folder / "strips.npz", {"heat": np.zeros((1, 4), np.float16), "video_ids": np.array(["v"])})
    files.write_json(folder / "metrics.json", {"test": {"R@1,mIoU": 0.2}})
    files.write_json(folder / "state.json", {"epoch": 1, "epochs": 1})
    return folder


def test_everything_reads_back(run_dir):
    run = RunDirectory(str(run_dir))
    assert run.config["seed"] == 3
    assert run.epochs["metric/R@1,mIoU"].tolist() == [0.1, 0.2]
    assert {name: str(kind) for name, kind in run.proposals.dtypes.items()} == PROPOSAL_COLUMNS
    assert run.probe == [PROBED]
    assert run.strips["heat"].dtype == np.float16
    assert run.strips["video_ids"].tolist() == ["v"]
    assert run.metrics["test"] == {"R@1,mIoU": 0.2}
    assert run.finished
    assert run.checkpoint == run_dir / "checkpoint.safetensors"
    assert str(run_dir) in repr(run)


def test_a_run_in_progress_can_be_followed(run_dir):
    run = RunDirectory(run_dir)
    files.write_json(run_dir / "state.json", {"epoch": 1, "epochs": 5})
    assert not run.finished
    files.write_parquet(run_dir / "epochs.parquet", pd.DataFrame({"epoch": [0], "seconds": [1.0]}))
    assert len(run.epochs) == 1


@pytest.mark.parametrize("name", ["epochs", "proposals", "probe", "strips", "metrics", "state"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "noise"])
def test_a_damaged_file_is_one_clear_sentence(run_dir, name, damage):
    path = next(run_dir.glob(f"{name}.*"))
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "noise": os.urandom(99)}[damage])
    with pytest.raises(DataError) as caught:
        getattr(RunDirectory(run_dir), name)
    message = str(caught.value)
    says = {"missing": "is missing", "noise": "is not |cannot be read "}.get(damage, "is not ")
    assert re.match(f"{re.escape(str(path))}: ({says})", message)
    assert "\n" not in message
    assert message.count(".;") == 0


def test_a_missing_column_is_named(run_dir):
    table = RunDirectory(run_dir).proposals.drop(columns="width")
    files.write_parquet(run_dir / "proposals.parquet", table)
    with pytest.raises(DataError, match=r"proposals\.parquet: lacks the column 'width'"):
        _ = RunDirectory(run_dir).proposals


def test_directories_that_are_no_runs(tmp_path, run_dir):
    with pytest.raises(DataError, match="is not a directory"):
        RunDirectory(tmp_path / "absent")
    with pytest.raises(DataError, match=r"config\.json: is missing"):
        RunDirectory(tmp_path)
    files.write_json(run_dir / "config.json", {"schema": 99})
    with pytest.raises(DataError, match="has schema version 99, and this vmlkit reads version 1"):
        RunDirectory(run_dir)
    files.write_json(run_dir / "config.json", {"schema": runs.SCHEMA, "settings": {"model": "1.5"}})
    with pytest.raises(DataError, match=r"'settings\.model' is '1\.5'; write an object"):
        RunDirectory(run_dir)
    files.write_json(run_dir / "config.json", ["not", "a", "mapping"])
    with pytest.raises(DataError, match="schema version None"):
        RunDirectory(run_dir)


def test_pickled_arrays_are_refused(run_dir):
    np.savez(run_dir / "strips.npz", heat=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"strips\.npz: is not a readable npz"):
        _ = RunDirectory(run_dir).strips
    with pytest.raises(ValueError, match="allow_pickle=False"):
        files.write_npz(run_dir / "other.npz", {"x": np.array([{"a": 1}], dtype=object)})
    assert not (run_dir / "other.npz").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def half(temporary):
        temporary.write_text('{"new"')
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        half(temporary)
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_target_appears_only_when_complete(tmp_path):
    path = tmp_path / "a.bin"
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_json_takes_arrays_paths_and_nan(tmp_path):
    data = {"a": np.float32(0.5), "b": np.arange(3), "c": float("nan"), "d": tmp_path, "e": (1, float("inf")), 2: "ü"}
    files.write_json(tmp_path / "a.json", data)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "ü" in text
    assert json.loads(text) == {"a": 0.5, "b": [0, 1, 2], "c": None, "d": str(tmp_path), "e": [1, None], "2": "ü"}


def test_reading_runs_needs_no_torch():
    code = "import sys, vmlkit.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_provenance_names_versions_and_hardware_but_no_host(monkeypatch):
    import platform

    assert {"python", "torch", "numpy", "pandas", "vmlkit"} == set(provenance.versions())
    facts = provenance.hardware("a GPU", 3)
    assert (facts["accelerator"], facts["threads"]) == ("a GPU", 3)
    node = platform.node()
    assert not node or node not in json.dumps(facts)


def test_revision_marks_changed_sources_and_is_absent_outside_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "clone" / "vmlkit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    assert provenance.revision() is None

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path / "clone"), *identity, *arguments], check=True, capture_output=True)

    git("init")
    assert provenance.revision() is None, "inside somebody's repository that does not track the package"
    git("add", ".")
    git("commit", "-m", "first")
    clean = provenance.revision()
    assert len(clean) == 40
    (package / "__init__.py").write_text("changed = True\n")
    assert provenance.revision() == clean + "+changes"
