"""A run directory that another process is writing: every command refuses it in a sentence and changes nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.crashing.runner import FAMILIES
from tests.experiments.tiny import SIZE, tiny
from tests.training.test_contention import holding
from vmlkit import cli
from vmlkit.errors import DataError
from vmlkit.experiments.continuing import continue_run
from vmlkit.experiments.experiment import run_experiment
from vmlkit.files.locking import alone

WRITTEN = "is being written by another process; wait until it has ended, or choose another run directory"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", FAMILIES.values(), ids=FAMILIES)
def test_a_second_writer_of_each_family_is_refused(method: str, tmp_path: Path) -> None:
    run = run_experiment(tiny(method), tmp_path / "run", progress=False)
    before = contents(run.path)
    with holding(run.path):
        with pytest.raises(DataError, match=WRITTEN):
            run_experiment(tiny(method), run.path, progress=False)
        with pytest.raises(DataError, match=WRITTEN):
            continue_run(run.path, 2, other_schedule=True, progress=False)
        with pytest.raises(DataError, match=WRITTEN):
            run_experiment(tiny(method), run.path, resume=False, progress=False)
    assert contents(run.path) == before
    (tmp_path / ".run.lock").touch()  # what a killed process leaves
    assert run_experiment(tiny(method), run.path, progress=False).finished


def test_of_several_seeds_the_one_that_is_written_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "moment-detr", "--seeds", "0", "1", "--run-dir", str(tmp_path / "runs"), "--quiet"]
    command += [part for name, value in SIZE.items() for part in ("--set", f"{name}={value}")]
    with holding(tmp_path / "runs" / "seed0"):
        assert cli.main(command) == 2
    said = capsys.readouterr()
    assert f"vmlkit: 1 of 2 runs failed: {tmp_path}/runs/seed0: {tmp_path}/runs/seed0: {WRITTEN}" in said.err
    assert said.err.count("\n") == 1
    assert [path.name for path in (tmp_path / "runs").glob("seed*")] == ["seed1"]
    assert cli.main(command) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["seed0", "seed1"]


def test_a_lock_that_is_no_lock_is_not_waited_for(tmp_path: Path) -> None:
    """A folder or a link of that name, by somebody else."""
    for number, make in enumerate((Path.mkdir, lambda path: path.symlink_to("nowhere/else"))):
        make(tmp_path / f".run{number}.lock")
        with alone(tmp_path / f"run{number}"):
            assert (tmp_path / f".run{number}.lock").lstat(), "it stays as it is"
    assert len([*tmp_path.iterdir()]) == 2


def test_processes_that_end_free_the_lock_however_they_end(tmp_path: Path) -> None:
    for end in (subprocess.Popen.terminate, subprocess.Popen.kill):
        with holding(tmp_path / "run") as process:
            end(process)
            process.wait()
            assert (tmp_path / ".run.lock").exists()
            with alone(tmp_path / "run"), pytest.raises(DataError, match=WRITTEN), alone(tmp_path / "run"):
                pass
            assert not (tmp_path / ".run.lock").exists()
