"""One experiment from settings to a scored run directory, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vmlkit.config import from_dict, to_dict
from vmlkit.data.sources import DataConfig
from vmlkit.errors import ConfigError
from vmlkit.methods import METHODS
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.experiment import Experiment
from vmlkit.training.final import final_evaluation
from vmlkit.training.loop import TrainConfig, train
from vmlkit.training.method import Method
from vmlkit.training.task import Task


def build(experiment: Experiment, data: Any) -> Method:
    """The method with freshly drawn weights, fixed by ``train.seed`` and sized to the training split ``data``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        return METHODS[experiment.method].make(experiment.model, data)


def task_of(experiment: Experiment) -> Task:
    """How the experiment's batches are drawn and its answers scored.

    Raises:
        ConfigError: for a vote where answers are not chosen by one.
    """
    task = METHODS[experiment.method].task(experiment)
    if experiment.vote is not None and getattr(task, "vote", None) != experiment.vote:
        raise ConfigError(
            f"setting 'vote' is {experiment.vote!r}, and '{experiment.method}' does not choose its answer by a vote: "
            "leave it out"
        )
    return task


def run_experiment(
    experiment: Experiment,
    run_dir: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    splits: Any = None,
) -> RunDirectory:
    """Load the data, train, score the chosen epoch on the test split; a finished run is returned as it is.

    Args:
        splits: the experiment's data, where the caller has it already.
    """
    task = task_of(experiment)
    splits = splits or METHODS[experiment.method].load(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    description = {
        "name": Path(run_dir).name,
        "method": experiment.method,
        "settings": to_dict(experiment),
        "data": {"name": experiment.data.name, "test_queries": len(splits.test)},
    }
    run = train(
        method,
        splits.train,
        splits.validation,
        experiment.train,
        run_dir,
        description,
        resume=resume,
        task=task,
        progress=progress,
    )
    if not (run.path / "metrics.json").is_file():
        final_evaluation(
            method,
            run.path,
            splits.train,
            splits.validation,
            splits.test,
            task=task,
            draws=experiment.test_draws,
        )
    return RunDirectory(run.path)


def experiment_of(run: RunDirectory) -> Experiment:
    """The experiment that a run directory records.

    Raises:
        ConfigError: if its settings no longer exist.
    """
    try:
        return experiment_of_settings(run.config["settings"])
    except (ConfigError, KeyError) as error:
        raise ConfigError(f"{run.path}: {error}") from error


def experiment_of_settings(settings: Mapping[str, Any]) -> Experiment:
    """The experiment that was written as ``settings``; what did not exist then takes its default.

    Raises:
        ConfigError: if a setting no longer exists, or the method does not.
    """
    method = settings["method"]
    if method not in METHODS:
        raise ConfigError(f"method '{method}' is not one of {', '.join(METHODS)}")
    return Experiment(
        method=method,
        data=from_dict(DataConfig, settings["data"]),
        model=from_dict(METHODS[method].config, settings["model"]),
        train=from_dict(TrainConfig, settings["train"]),
        vote=settings["vote"],
        test_draws=settings["test_draws"],
    )


def load_run(run_dir: str | Path, *, progress: bool = True) -> tuple[Method, Any, Experiment]:
    """A finished run back in memory: its method with the chosen weights, its data and its settings."""
    run = RunDirectory(run_dir)
    experiment = experiment_of(run)
    splits = METHODS[experiment.method].load(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    load_weights(method, run.checkpoint)
    method.eval()
    return method, splits, experiment
