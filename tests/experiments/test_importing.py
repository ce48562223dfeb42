"""``vmlkit import``: released weights under the authors' names become a run that the other commands open."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.parity.golden import load_case
from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.experiments.experiment import build, load_run
from vmlkit.experiments.importing import RELEASES
from vmlkit.methods import METHODS, preset
from vmlkit.released import our_name
from vmlkit.runs import RunDirectory
from vmlkit.viz.snapshots import RunView

GOLDEN = Path(__file__).parents[1] / "golden"
#: a toy world of a few videos; the golden PPS has three proposals
SMALL: dict[str, Any] = {"data.train_videos": 6, "data.validation_videos": 4, "data.test_videos": 4}
SIZES = {"pps": {"model.proposals": 3}}


def released_state(method: str) -> dict[str, Tensor]:
    """Fresh weights under the authors' parameter names, which the golden cases know."""
    rules = RELEASES[method].rules
    experiment = with_overrides(preset(method), {**SMALL, **SIZES.get(method, {}), "train.seed": 5})
    model: Any = build(experiment, METHODS[method].load(experiment.data, progress=False).train)
    names = {our_name(n, rules): n for p in GOLDEN.rglob(f"{rules}_*.npz") for n in load_case(p).parameters()}
    names |= {our_name(n, "pps"): n for n in ("fc_mask.l_gauss.gauss.weight", "fc_mask.l_gauss.gauss.bias")}
    return {names[name]: value for name, value in getattr(model, "localiser", model).state_dict().items()}


def arguments(path: Path, method: str, folder: Path, **settings: Any) -> list[str]:
    items = {**SMALL, **SIZES.get(method, {}), **settings}
    sets = [part for key, value in items.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return ["import", str(path), "--method", method, "--size", "ci", "--quiet", "--run-dir", str(folder), *sets]


@pytest.mark.parametrize("method", RELEASES)
def test_a_released_checkpoint_becomes_a_run(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, path, folder = released_state(method), tmp_path / "best.pt", tmp_path / "run"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, path)
    assert cli.main(arguments(path, method, folder)) == 0
    shown = capsys.readouterr().out
    assert f"imported from best.pt of {RELEASES[method].project}" in shown
    assert f"run directory: {folder}" in shown
    run = RunDirectory(folder)
    assert run.config["imported"] == {
        "project": RELEASES[method].project,
        "file": "best.pt",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert len(run.epochs) == 1
    assert run.finished
    assert run.probe
    view = RunView(run)
    epoch = run.epochs["epoch"].item()
    assert sum(len(view.snapshot(query, epoch).positives) for query in view.queries) > 0
    loaded, _, _ = load_run(folder, progress=False)
    weights = getattr(loaded, "localiser", loaded).state_dict()
    ours = {our_name(name, RELEASES[method].rules): value for name, value in state.items()}
    assert all(torch.equal(value, ours[name]) for name, value in weights.items())
    scored = run.metrics
    assert cli.main(["evaluate", str(folder)]) == 0
    assert RunDirectory(folder).metrics == scored
    assert "imported from best.pt" in capsys.readouterr().out


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "cnm.safetensors"
    safetensors.torch.save_file({name: value.contiguous() for name, value in released_state("cnm").items()}, path)
    return path


def test_sizes_that_do_not_fit_are_named(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint.parent / "run"
    assert cli.main(arguments(checkpoint, "cnm", folder, **{"model.reconstruction.transformer.hidden": 32})) == 2
    assert "front.frame_projection.bias is (64,), expected (32,)" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - RELEASES.keys()))
def test_methods_without_a_release_are_refused(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import", "any.pt", "--method", method]) == 2
    assert f"no released checkpoint makes a whole '{method}'" in capsys.readouterr().err


def test_a_trained_run_is_not_overwritten_and_an_imported_one_not_continued(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, settings = checkpoint.parent / "run", {"train.epochs": 1, "data.max_train_queries": 8}
    assert cli.main(arguments(checkpoint, "cnm", folder, **settings)) == 0
    train = ["train", "cnm", *arguments(checkpoint, "cnm", folder, **settings)[4:]]
    assert cli.main(train) == 2
    assert "state.pt: is missing, so this run cannot be resumed" in capsys.readouterr().err
    assert cli.main(arguments(checkpoint, "cnm", folder, **settings)) == 0, "the same import again"
    assert cli.main([*train, "--restart"]) == 0
    trained = (folder / "checkpoint.safetensors").read_bytes()
    assert cli.main(arguments(checkpoint, "cnm", folder, **settings)) == 2
    assert "holds another run of these settings" in capsys.readouterr().err
    assert (folder / "checkpoint.safetensors").read_bytes() == trained


class Planted:
    """What an unpickler would build by running code."""


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"state_dict": released_state("cnm"), "made": Planted()}, path)
    assert cli.main(arguments(path, "cnm", tmp_path / "run")) == 2
    assert "without running code" in capsys.readouterr().err
