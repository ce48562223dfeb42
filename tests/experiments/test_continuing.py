"""``vmlkit continue``: a finished run with more epochs has the bits of a long one, or is refused."""

import json
import re
from pathlib import Path

import pytest

from tests.experiments.tiny import tiny
from tests.training.test_resume import assert_same_run
from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments import continuing
from vmlkit.experiments.continuing import continue_run
from vmlkit.experiments.experiment import run_experiment
from vmlkit.methods import METHODS
from vmlkit.runs import RunDirectory

#: those of P0's curricula follow the share of epochs that are done
CURRICULA = ("cpl", "lnp-cnm", "lnp-cpl", "lnp-pps")


def run_of(method: str, folder: Path, **changes) -> RunDirectory:
    return run_experiment(with_overrides(tiny(method), changes), folder, progress=False)


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("method", METHODS)
def test_more_epochs_are_those_of_a_long_run_or_refused(method: str, tmp_path: Path) -> None:
    run = run_of(method, tmp_path / "run")
    first = run.epochs
    long = run_of(method, tmp_path / "long", **{"train.epochs": 2})
    kept = (run.path / "metrics.json").read_bytes()
    if method in CURRICULA:
        assert not long.epochs[:2].drop(columns="seconds").equals(first.drop(columns="seconds"))
        with pytest.raises(ConfigError, match="follows the share of epochs that are done"):
            continue_run(run.path, 2, progress=False)
        assert (run.path / "metrics.json").read_bytes() == kept, "nothing was touched"
        continue_run(run.path, 2, other_schedule=True, progress=False)
        (entry,) = RunDirectory(run.path).config["continued"]
        assert "share of epochs" in entry["differs"][0]
        assert run.state["epoch"] == run.state["epochs"] == 2
        assert len(run.epochs) == 3
        return
    continue_run(run.path, 2, progress=False)
    run = RunDirectory(run.path)
    assert_same_run(run, long)
    assert run.metrics == long.metrics
    assert (run.path / "predictions.npz").is_file()
    assert run.config["settings"] == long.config["settings"]
    (entry,) = run.config["continued"]
    assert (entry["from"], entry["to"], entry["differs"]) == (1, 2, [])


@pytest.mark.parametrize("where", ["fill", "config", "state", "train"])
def test_a_kill_at_any_moment_is_taken_up(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("moment-detr", tmp_path / "run")
    long = run_of("moment-detr", tmp_path / "long", **{"train.epochs": 3})

    class Killed(BaseException):
        pass

    def write(path, data, real=continuing.write_json):
        if path.stem == where:
            raise Killed
        real(path, data)

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(continuing, "write_json", write)
        if where == "fill":
            patched.setattr(Path, "unlink", killed)
        if where == "train":
            patched.setattr(continuing, "run_experiment", killed)
        with pytest.raises(Killed):
            continue_run(run.path, 3, progress=False)
    continue_run(run.path, 3, progress=False)
    assert_same_run(RunDirectory(run.path), long)
    assert RunDirectory(run.path).metrics == long.metrics


def test_the_command_and_what_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of("moment-detr", tmp_path / "run")
    assert cli.main(["continue", str(run.path), "--epochs", "1"]) == 2
    assert "has 1 epochs: give --epochs a larger number, not 1" in capsys.readouterr().err
    settings = with_overrides(tiny("moment-detr"), {"train.epochs": 2})
    with pytest.raises(ConfigError, match=f"vmlkit continue {re.escape(str(run.path))} --epochs 2"):
        run_experiment(settings, run.path, progress=False)
    assert cli.main(["continue", str(run.path), "--epochs", "2", "--quiet"]) == 0
    assert "test split, percent; epoch 2, the last epoch" in capsys.readouterr().out
    content = json.loads((run.path / "state.json").read_text())
    (run.path / "state.json").write_text(json.dumps({**content, "epoch": 1}))
    assert cli.main(["continue", str(run.path), "--epochs", "3"]) == 2
    assert "has done 1 of 2 epochs: finish it first" in capsys.readouterr().err


def test_an_imported_run_has_no_state(tmp_path: Path) -> None:
    run = run_of("moment-detr", tmp_path / "run")
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({**config, "imported": {"file": "x"}}))
    with pytest.raises(ConfigError, match="was imported and has no training state"):
        continue_run(run.path, 2, progress=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.optimizer": "bert_adam"}, "the rate of train.optimizer=bert_adam"),
        ({"train.evaluate_every": 2}, "epoch 1 was evaluated because it was the last"),
    ],
)
def test_what_else_depends_on_the_number_of_epochs(changes: dict, said: str, tmp_path: Path) -> None:
    run = run_of("p4-xclip", tmp_path / "run", **changes)
    with pytest.raises(ConfigError, match=said):
        continue_run(run.path, 2, progress=False)


def test_a_curriculum_that_is_off_does_not_stop_anybody(tmp_path: Path) -> None:
    run = run_of("cpl", tmp_path / "run", **{"model.gamma": 0.0})
    long = run_of("cpl", tmp_path / "long", **{"model.gamma": 0.0, "train.epochs": 2})
    continue_run(run.path, 2, progress=False)
    assert_same_run(RunDirectory(run.path), long)
