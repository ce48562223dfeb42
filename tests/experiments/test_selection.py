"""Three ways to choose an evaluation: the committed numbers, and how they come about."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vmlkit.actions.model_selection import read_training_curve, selections
from vmlkit.experiments.experiment import experiment_of_settings
from vmlkit.experiments.selection import COMMAND, SEEDS, load_selection, measure, own_experiment

ROOT = Path(__file__).parents[2]
TINY = {"data__train_videos": 24, "data__validation_videos": 3, "data__test_videos": 4,
        "model__steps_per_epoch": 1, "train__epochs": 2}  # fmt: skip


def test_committed_numbers_belong_to_the_command_as_it_is() -> None:
    record = load_selection(ROOT / "results")
    assert record["command"] == COMMAND
    assert [own["seed"] for own in record["ours"]["seeds"]] == list(SEEDS)
    assert experiment_of_settings(record["ours"]["settings"]) == own_experiment()
    for own in record["ours"]["seeds"]:
        again = selections(np.array(own["curve"]), window=10)
        assert own["best"] == pytest.approx(again.best, abs=1e-3)
        assert own["tail_mean"] == pytest.approx(again.tail_mean, abs=1e-3)
    assert record["authors"]["best"] > record["authors"]["tail_mean"]


def test_committed_numbers_are_those_of_the_published_curve() -> None:
    root = os.environ.get("VMLKIT_DATA")
    path = Path(root) / "thumos14" / "p3_author_training_curve.csv" if root else None
    if path is None or not path.is_file():
        pytest.skip("the published training curve is not part of the repository")
    authors = load_selection(ROOT / "results")["authors"]
    curve = read_training_curve(path)["mAP@0.3:0.7"]
    assert authors["best"] == pytest.approx(curve.max())
    assert authors["best_iteration"] == curve.idxmax()
    assert authors["tail_mean"] == pytest.approx(curve.iloc[-20:].mean())


def test_a_curve_and_own_runs_become_one_record(tmp_path: Path) -> None:
    iterations = np.arange(50, 5050, 50)
    columns = {f"map_{t / 10:.1f}": np.linspace(1, 30, len(iterations)) for t in range(1, 10)}
    table = pd.DataFrame({"iteration": iterations, **columns, "avg_0.1_0.5": 1.0})
    table["avg_0.3_0.7"] = np.where(iterations == 4000, 40.0, 30.0)
    table.to_csv(tmp_path / "curve.csv", index=False)
    measure(tmp_path / "curve.csv", tmp_path, tmp_path / "runs", experiment=own_experiment(**TINY), seeds=(0,))
    record = load_selection(tmp_path)
    assert (record["authors"]["best"], record["authors"]["best_iteration"]) == (40.0, 4000)
    assert record["authors"]["at_5000"] == 30.0
    assert len(record["ours"]["seeds"][0]["curve"]) == 2
