"""Every run keeps its answers to the test split, and they give the run's own numbers back, to the bit."""

from pathlib import Path

import pytest

from tests.experiments.tiny import tiny
from vmlkit.errors import DataError
from vmlkit.experiments.experiment import run_experiment, task_of
from vmlkit.methods import METHODS
from vmlkit.training.final import kept_predictions


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("method", METHODS)
def test_kept_answers_give_the_metrics_of_the_run(method: str, tmp_path: Path) -> None:
    experiment = tiny(method)
    splits = METHODS[method].load(experiment.data, progress=False)
    run = run_experiment(experiment, tmp_path / "run", progress=False, splits=splits)
    kept = kept_predictions(run, splits.test)
    assert kept is not None
    found = task_of(experiment).score(splits.test, kept)
    own = run.metrics["test"]
    assert found == {name: own[name] for name in found}
    assert set(task_of(experiment).columns) & set(own) <= set(found) | {name for name in own if "accuracy" in name}, (
        "what the table shows follows from the answers, but for what is measured beside them"
    )


def test_answers_to_other_data_are_refused_and_old_runs_have_none(tmp_path: Path) -> None:
    experiment = tiny("cnm")
    splits = METHODS["cnm"].load(experiment.data, progress=False)
    run = run_experiment(experiment, tmp_path / "run", progress=False, splits=splits)
    with pytest.raises(DataError, match=r"answers to another version of 'toy/validation'.*vmlkit evaluate"):
        kept_predictions(run, splits.validation)
    (run.path / "predictions.npz").unlink()
    assert kept_predictions(run, splits.test) is None
