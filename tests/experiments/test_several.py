"""``vmlkit train METHOD --seeds ...``: several experiments in one process."""

from pathlib import Path

import pytest

from tests.studies.tiny import tiny
from tests.training.test_resume import assert_same_run
from vmlkit.cli import main
from vmlkit.config import with_overrides
from vmlkit.errors import TrainingDiverged
from vmlkit.experiments import experiment
from vmlkit.experiments.experiment import run_experiment, run_experiments
from vmlkit.training.many import Outcome

SMALL = ["--set", "data.train_videos=6", "--set", "data.validation_videos=3", "--set", "data.test_videos=3"]
SMALL += ["--set", "train.epochs=1", "--set", "train.probe_queries=2", "--quiet"]


def test_runs_that_take_turns_equal_runs_alone(tmp_path: Path) -> None:
    one = tiny().rows[1].experiment
    seeded = {tmp_path / f"seed{seed}": with_overrides(one, {"train.seed": seed}) for seed in (0, 1)}
    outcomes = run_experiments(seeded, turn=2, progress=False)
    for number, outcome in enumerate(outcomes):
        alone = run_experiment(seeded[outcome.run_dir], tmp_path / "alone" / f"seed{number}", progress=False)
        assert_same_run(outcome.run, alone)
        assert outcome.run.metrics == alone.metrics


def test_the_command_trains_each_seed_into_its_own_folder(tmp_path: Path, capsys) -> None:
    assert main(["train", "cnm", "--seeds", "0", "3", "--run-dir", str(tmp_path / "runs"), *SMALL]) == 0
    said = capsys.readouterr().out
    for seed in (0, 3):
        folder = tmp_path / "runs" / f"seed{seed}"
        assert f"run directory: {folder}" in said
        assert (folder / "metrics.json").is_file()


@pytest.mark.parametrize("seeds", [["1", "--seed", "2"], ["1", "1"]])
def test_seeds_that_contradict_are_refused(seeds: list[str], capsys) -> None:
    assert main(["train", "cnm", "--seeds", *seeds]) == 2
    assert "--seeds takes different numbers, and takes the place of --seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(TrainingDiverged("the loss is nan"), 2), (TypeError("a fault of the program"), 70)]
)
def test_the_command_names_the_run_that_failed(error, code, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(experiment, "run_experiments", lambda seeded, **_: [Outcome(f, error) for f in seeded])
    assert main(["train", "cnm", "--seeds", "4", "--run-dir", str(tmp_path)]) == code
    assert str(error) in capsys.readouterr().err
