"""A run directory has one writer, and says with what it was made when that changes on the way."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.tiny import tiny_train
from vmlkit.errors import DataError
from vmlkit.files import write_json
from vmlkit.files.locking import alone
from vmlkit.runs import RunDirectory

HOLD = """
import sys, time
from vmlkit.files.locking import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock of ``run``."""
    with holding(tmp_path / "run") as process:
        yield process


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path, holder: subprocess.Popen) -> None:
    with pytest.raises(DataError, match="run: is being written by another process; wait until it has ended"):
        tiny_train(tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_a_killed_process_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / ".run.lock").exists(), "the file stays, its lock does not"
    tiny_train(tmp_path / "run", epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_lock_ends_with_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "run"), pytest.raises(DataError, match="another process"), alone(tmp_path / "run"):
            pass
    with pytest.raises(RuntimeError, match="inside"), alone(tmp_path / "run"):
        raise RuntimeError("inside")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="needs a user for whom a folder can be made unwritable, and not root")
def test_a_finished_run_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    tiny_train(tmp_path / "home" / "run", epochs=1)
    (tmp_path / "home").chmod(0o500)
    try:
        run, _ = tiny_train(tmp_path / "home" / "run", epochs=1)
        assert run.finished
        with pytest.raises(DataError, match="cannot be made"):
            tiny_train(tmp_path / "home" / "other", epochs=1)
    finally:
        (tmp_path / "home").chmod(0o700)


def interrupted(folder: Path) -> Path:
    """A run of two epochs as it stood after the first."""
    tiny_train(folder / "run", epochs=1)
    config = json.loads((folder / "run" / "config.json").read_text())
    config["settings"]["train"]["epochs"] = 2
    (folder / "run" / "last.safetensors").unlink()
    write_json(folder / "run" / "config.json", config)
    write_json(folder / "run" / "state.json", json.loads((folder / "run" / "state.json").read_text()) | {"epochs": 2})
    return folder / "run"


def test_other_versions_are_written_down_when_a_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = interrupted(tmp_path)
    made = RunDirectory(path).config
    write_json(path / "config.json", {**made, "versions": {**made["versions"], "torch": "1.0"}, "revision": "0" * 40})
    run, _ = tiny_train(path, epochs=2)
    assert run.finished
    assert "goes on with other versions.torch, revision than before" in capsys.readouterr().err
    entry = {"epoch": 1, "versions": made["versions"], "revision": made["revision"]}
    assert run.config["resumed"] == [entry]
    assert run.config["versions"]["torch"] == "1.0", "what it was begun with stays"
    tiny_train(path, epochs=2)
    assert RunDirectory(path).config["resumed"] == [entry]


def test_nothing_is_written_down_where_nothing_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = interrupted(tmp_path)
    run, _ = tiny_train(path, epochs=2)
    assert "resumed" not in run.config
    assert "goes on with" not in capsys.readouterr().err


def test_a_moved_run_goes_on_and_one_without_its_history_is_refused(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    moved = tmp_path / "elsewhere"
    path.rename(moved)
    (moved / "epochs.parquet").rename(tmp_path / "kept")
    with pytest.raises(DataError, match=r"epochs\.parquet: is missing"):
        tiny_train(moved, epochs=2)
    (tmp_path / "kept").rename(moved / "epochs.parquet")
    run, _ = tiny_train(moved, epochs=2)
    assert run.finished
