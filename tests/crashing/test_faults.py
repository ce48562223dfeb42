"""Disks that are full or can only be read, files that are missing, folders that moved, forms of other versions.

A run goes on to the bits of one that nobody disturbed, or is refused in a sentence; it never ends with other numbers.
"""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashing.runner import FAMILIES
from tests.experiments.tiny import SIZE, tiny
from tests.training.test_resume import assert_same_run
from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import experiment_of, run_experiment
from vmlkit.files import write_json
from vmlkit.runs import RunDirectory
from vmlkit.studies.results import load_results

ROOT = Path(__file__).parents[2]
SETTINGS = {**SIZE, "train.epochs": 2}


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@contextlib.contextmanager
def disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size at ``place``; skips where none may be mounted."""
    place.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small file system (root on Linux)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of two epochs that nothing disturbs."""
    return two_epochs("moment-detr", tmp_path_factory.mktemp("whole") / "run")


def two_epochs(method: str, path: Path) -> RunDirectory:
    return run_experiment(tiny(method, **{"train.epochs": 2}), path, progress=False)


def kilobytes(run: RunDirectory) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4 for path in run.path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.98])
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(
    share: float, whole: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    with disk(tmp_path / "disk", max(4, int(share * kilobytes(whole)))) as place:
        command = ["train", "moment-detr", "--run-dir", str(place / "run"), "--quiet", *settings]
        assert cli.main(command) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"vmlkit: {place}/")
        assert "No space left on device" in said
        assert said.count("\n") == 1
        mount("-o", "remount,size=200m", place)
        assert cli.main(command) == 0
        assert_same_run(RunDirectory(place / "run"), whole)
        assert RunDirectory(place / "run").metrics == whole.metrics
        assert [path.name for path in place.iterdir()] == ["run"]


def test_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 100_000) as place:
        run = run_experiment(tiny("moment-detr"), place / "run", progress=False)
        interrupted(run.path, place / "half")
        mount("-o", "remount,ro", place)
        assert run_experiment(tiny("moment-detr"), run.path, progress=False).finished
        with pytest.raises(OSError, match="Read-only file system") as caught:
            two_epochs("moment-detr", place / "half")
        assert str(caught.value.filename).startswith(str(place / "half"))
        with pytest.raises(DataError, match=r"new: cannot be made \(Read-only file system\)"):
            two_epochs("moment-detr", place / "new")
        mount("-o", "remount,rw", place)
        assert two_epochs("moment-detr", place / "half").finished


def interrupted(run: Path, place: Path) -> Path:
    """A copy of a run of one epoch as one of two epochs stands after its first."""
    shutil.copytree(run, place)
    for name in ("last.safetensors", "metrics.json", "predictions.npz"):
        (place / name).unlink()
    for name in ("config", "state"):
        content = json.loads((place / f"{name}.json").read_text())
        if name == "config":
            content["settings"]["train"]["epochs"] = 2
        write_json(place / f"{name}.json", content | ({"epochs": 2} if name == "state" else {}))
    return place


#: what a resumed run cannot do without; the rest is written anew
NEEDED = {"config.json", "epochs.parquet", "proposals.parquet", "state.pt"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("method", FAMILIES.values(), ids=FAMILIES)
def test_a_run_that_lost_a_file_goes_on_to_the_same_numbers_or_is_refused(method: str, tmp_path: Path) -> None:
    run = run_experiment(tiny(method), tmp_path / "first", progress=False)
    moved = interrupted(run.path, tmp_path / "whole")  # the copies stand where the run did not begin
    names = sorted(path.name for path in moved.iterdir())
    for name in names:
        (interrupted(run.path, tmp_path / name) / name).unlink()
    whole = two_epochs(method, moved)
    for name in names:
        if name in NEEDED:
            with pytest.raises((ConfigError, DataError), match=f"^.?{re.escape(str(tmp_path / name))}[^\n]*$"):
                two_epochs(method, tmp_path / name)
            continue
        found = two_epochs(method, tmp_path / name)
        assert found.metrics == whole.metrics, name
        assert (found.path / "last.safetensors").read_bytes() == (whole.path / "last.safetensors").read_bytes(), name
        assert found.epochs.drop(columns="seconds").equals(whole.epochs.drop(columns="seconds")), name
        assert name in {path.name for path in found.path.iterdir()}, f"{name} is not written again"


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5])
def test_a_run_of_another_form_is_refused(version: object, whole: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    write_json(tmp_path / "run" / "config.json", config | {"schema": version})
    with pytest.raises(DataError, match=r"config\.json: has schema version .*, and this vmlkit reads version 1"):
        two_epochs("moment-detr", tmp_path / "run")


@pytest.mark.parametrize("version", [1, 4, None])
def test_results_of_another_form_are_refused(version: object, tmp_path: Path) -> None:
    for ending in ("json", "parquet"):
        shutil.copy(ROOT / "results" / "studies" / f"cpl.{ending}", tmp_path)
    record = json.loads((tmp_path / "cpl.json").read_text())
    write_json(tmp_path / "cpl.json", record | {"schema": version})
    with pytest.raises(DataError, match=r"has schema version .*measure the study again with `vmlkit study run cpl`"):
        load_results("cpl", tmp_path)


def test_settings_of_a_newer_version_are_named(whole: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["settings"]["model"]["of_tomorrow"] = 1
    write_json(tmp_path / "run" / "config.json", config)
    with pytest.raises(ConfigError, match="of_tomorrow"):
        experiment_of(RunDirectory(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"holds another run: settings\.model\.of_tomorrow is 1 there and None here"):
        run_experiment(with_overrides(tiny("moment-detr"), {"train.epochs": 2}), tmp_path / "run", progress=False)
