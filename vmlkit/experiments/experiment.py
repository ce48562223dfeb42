"""One experiment from settings to a scored run directory, and back."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from vmlkit.config import from_dict, kind_of, to_dict
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.passports import as_record, passports_of, require_clock, require_passports
from vmlkit.files.locking import alone
from vmlkit.methods import METHODS
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.experiment import Experiment
from vmlkit.training.final import final_evaluation
from vmlkit.training.loop import TrainConfig, train_in_turns
from vmlkit.training.many import Outcome, in_turns, turn_on
from vmlkit.training.method import Method
from vmlkit.training.start import choose_device
from vmlkit.training.task import MomentTask, Task


def build(experiment: Experiment, data: Any) -> Method[Any]:
    """The method with freshly drawn weights, fixed by ``train.seed`` and sized to the training split ``data``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        return METHODS[experiment.method].make(experiment.model, data)


def task_of(experiment: Experiment) -> Task[Any, Any, Any]:
    """How the experiment's batches are drawn and its answers scored.

    Raises:
        ConfigError: for a vote, or several draws of words, where no answer depends on them, or an epoch that is to be
            chosen by validation where no video is set aside.
    """
    if getattr(experiment.data, "validation_share", 1) == 0 and experiment.train.choose_epoch_by != "last":
        raise ConfigError(
            "setting 'data.validation_share' is 0, so no video is set aside to choose an epoch by: set "
            "train.choose_epoch_by to 'last'"
        )
    task = METHODS[experiment.method].task(experiment)
    if experiment.vote is not None and getattr(task, "vote", None) != experiment.vote:
        raise ConfigError(
            f"setting 'vote' is {experiment.vote!r}, and '{experiment.method}' does not choose its answer by a vote: "
            "leave it out"
        )
    if experiment.test_draws != 1 and (not isinstance(task, MomentTask) or task.supervised):
        raise ConfigError(f"setting 'test_draws' must be 1: nothing in an answer of '{experiment.method}' is drawn")
    return task


def run_experiment(
    experiment: Experiment, run_dir: str | Path, *, resume: bool = True, progress: bool = True, splits: Any = None
) -> RunDirectory:
    """Load the data, train, score the chosen epoch on the test split; a finished run is returned as it is.

    Args:
        splits: the experiment's data, where the caller has it already.
    """
    for _ in run_in_turns(experiment, Path(run_dir), splits, resume=resume, progress=progress):
        pass
    return RunDirectory(run_dir)


def run_experiments(
    experiments: Mapping[Path, Experiment],
    *,
    resume: bool = True,
    progress: bool = True,
    splits: Any = None,
    turn: int | None = None,
) -> list[Outcome]:
    """:func:`run_experiment` for several on the same data in one process; see :mod:`vmlkit.training.many`.

    Args:
        experiments: by run directory.
        splits: their data, where the caller has it already.
        turn: steps of a run before the next has its turn; None leaves it to the device.
    """
    if splits is None:
        first = next(iter(experiments.values()))
        splits = METHODS[first.method].load(first.data, progress=progress)
    works = []
    for folder, experiment in experiments.items():
        steps = turn or turn_on(experiment.train.device)
        works.append(
            run_in_turns(experiment, folder, splits, resume=resume, progress=progress and not steps, turn=steps)
        )
    return [Outcome(folder, error) for folder, error in zip(experiments, in_turns(works), strict=True)]


def run_in_turns(
    experiment: Experiment,
    run_dir: Path,
    splits: Any,
    *,
    resume: bool = True,
    progress: bool = True,
    turn: int | None = None,
) -> Iterator[None]:
    """:func:`run_experiment`, resting after every ``turn`` steps; closed at a rest, it goes on from its saved state.

    Args:
        splits: the experiment's data; loaded where None.
        turn: None never rests.
    """
    task = task_of(experiment)
    passports = passports_of(experiment.data)
    require_clock(passports, experiment.data)
    settings = as_recorded(experiment, run_dir)
    if settings is not None:
        require_passports(RunDirectory(run_dir), experiment.data)
    splits = splits or METHODS[experiment.method].load(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    description = {
        "name": run_dir.name,
        "method": experiment.method,
        "settings": settings or to_dict(experiment),
        **as_record(passports),
        "data": {"name": experiment.data.name, "test_queries": len(splits.test)},
    }
    parts = (splits.train, splits.validation)
    given = (method, *parts, experiment.train, run_dir, description)
    yield from train_in_turns(*given, resume=resume, task=task, progress=progress, turn=turn)
    if not (run_dir / "metrics.json").is_file():
        rest: dict[str, Any] = {"draws": experiment.test_draws, "account": splits.account()}
        rest["device"] = choose_device(experiment.train.device)
        with alone(run_dir):
            final_evaluation(method, run_dir, *parts, splits.test, task=task, **rest)


def as_recorded(experiment: Experiment, run_dir: str | Path) -> dict[str, Any] | None:
    """The experiment's settings as they stand in the directory, where it records this experiment, else ``None``."""
    try:
        recorded = RunDirectory(run_dir).config["settings"]
        same = experiment_of_settings(recorded) == experiment
    except (ConfigError, DataError, KeyError):
        same = False
    return recorded if same else None


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
    entry = METHODS[method]
    return Experiment(
        method=method,
        data=from_dict(entry.view.settings, upgraded(settings["data"], entry.view.settings)),
        model=from_dict(entry.config, entry.renamed(used(settings["model"]))),
        train=from_dict(TrainConfig, settings["train"]),
        vote=settings["vote"],
        test_draws=settings["test_draws"],
    )


def used(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model without the ``unused_...`` ones of earlier versions, which built parts that nothing read."""
    kept = {key: value for key, value in settings.items() if not key.startswith("unused_")}
    return {key: used(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def upgraded(data: Mapping[str, Any], kinds: Any) -> dict[str, Any]:
    """Settings of a source, also as runs wrote them when one flat list held those of all sources.

    What did not act on the source is left out; a setting that no source has any more stays, to be refused by name.

    Args:
        data: as written.
        kinds: the kinds of sources now, a union of dataclasses.
    """
    if "toy_train_videos" not in data:
        return dict(data)
    types: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(kind_of(kinds, data))}
    every = {f.name for entry in METHODS.values() for kind in entry.view.loaders for f in dataclasses.fields(kind)}
    flat = {key.removeprefix("toy_"): value for key, value in data.items() if not key.startswith("planted_")}
    if data["name"] in ("thumos14", "activitynet1.3"):
        flat.pop("feature_dtype", None)  # action sources did not read it
    new = {key: value for key, value in flat.items() if key in types or key not in every}
    if "planted" in types:
        planted = [key for key in data if key.startswith("planted_")]
        given = {key.removeprefix("planted_").removeprefix("action_"): data[key] for key in planted}
        given["d"] = given["dim"] // 2  # of planted actions: columns of one of two modalities
        new["planted"] = {f.name: given[f.name] for f in dataclasses.fields(types["planted"]) if f.name in given}
    return new


def load_run(run_dir: str | Path, *, progress: bool = True, device: str = "cpu") -> tuple[Method[Any], Any, Experiment]:
    """A finished run back in memory: its method with the chosen weights, its data and its settings.

    Args:
        device: where the method is put, see :func:`vmlkit.training.start.choose_device`.  The data stay on the CPU;
            ``task.evaluate`` brings what it asks to the method, and any other batch is moved by ``batch.to(device)``.
    """
    run = RunDirectory(run_dir)
    experiment = experiment_of(run)
    require_passports(run, experiment.data)
    splits = METHODS[experiment.method].load(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    load_weights(method, run.checkpoint)
    return method.to(choose_device(device, "device")).eval(), splits, experiment
