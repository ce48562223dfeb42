"""A finished run trained for more epochs.

The state at the end of a run is all that training needs, so that the epochs to come have the bits of a run that was
long from the start, unless something in it asks how many epochs there are: a curriculum, an optimiser whose rate is
spread over the whole run, or an evaluation that took place because the epoch was the last.  Each of these is found by
asking the method itself, and then the run is left alone, or continued and said to be another one.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, experiment_of, run_experiment, task_of
from vmlkit.experiments.passports import require_passports
from vmlkit.files import write_json
from vmlkit.files.locking import alone
from vmlkit.methods import METHODS
from vmlkit.runs import PREDICTIONS, RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import BATCH_DRAWS, derive_seed, undisturbed
from vmlkit.training.experiment import Experiment
from vmlkit.training.method import Method, Progress


def continue_run(
    run_dir: str | Path, epochs: int, *, other_schedule: bool = False, progress: bool = True
) -> RunDirectory:
    """Train a finished run until it has ``epochs`` epochs, and score it anew.

    Args:
        other_schedule: go on also where the result is not that of ``epochs`` epochs from the start; what differs is
            recorded under ``continued`` in ``config.json``.

    Raises:
        ConfigError: for a run that is not finished, that has as many epochs, or that was imported; and, without
            ``other_schedule``, where something depends on the number of epochs.
        DataError: where another process is writing the run; nothing of it is then changed.
    """
    run = RunDirectory(run_dir)
    experiment = experiment_of(run)
    before = experiment.train.epochs
    going = bool(run.config.get("continued")) and run.state["epoch"] < before == epochs  # it was interrupted
    if not going:
        _check(run, before, epochs)
    require_passports(run, experiment.data)
    splits = METHODS[experiment.method].load(experiment.data, progress=progress)
    if not going:
        experiment = with_overrides(experiment, {"train.epochs": epochs})
        method = build(experiment, splits.train)
        load_weights(method, run.checkpoint)
        reasons = list(differences(experiment, method, splits.train, before))
        if reasons and not other_schedule:
            raise ConfigError(
                f"{run.path}: {epochs} epochs from the start are not {before} and {epochs - before} more: "
                f"{'; '.join(reasons)}. Train anew, or go on with --other-schedule, which records this."
            )
        with alone(run.path):
            _check(run, before, epochs)  # again: another process may have begun to write it
            _prepare(run, before, epochs, reasons)
    return run_experiment(experiment, run.path, splits=splits, progress=progress)


def _check(run: RunDirectory, before: int, epochs: int) -> None:
    if run.config.get("imported"):
        raise ConfigError(f"{run.path} was imported and has no training state: train a run of its settings")
    if run.state["epoch"] < before:
        done = f"has done {run.state['epoch']} of {before} epochs"
        raise ConfigError(f"{run.path} {done}: finish it first, with the command that started it")
    if epochs <= before:
        raise ConfigError(f"{run.path} has {before} epochs: give --epochs a larger number, not {epochs}")


def differences(experiment: Experiment, method: Method[Any], train: Any, before: int) -> Iterator[str]:
    """What would have been otherwise in the first ``before`` epochs of a run of ``experiment.train.epochs``."""
    settings = experiment.train
    if settings.optimizer == "bert_adam":
        yield "the rate of train.optimizer=bert_adam rises and falls over all epochs"
    if before % settings.evaluate_every:
        yield f"epoch {before} was evaluated because it was the last (train.evaluate_every={settings.evaluate_every})"
    clocks = [(Progress(epoch, before), Progress(epoch, settings.epochs)) for epoch in range(1, before + 1)]
    names = dict.fromkeys(
        name
        for short, long in clocks
        for name, value in method.curriculum(short).items()
        if value != method.curriculum(long)[name]
    )
    if names:
        yield f"the schedule of {', '.join(names)} follows the share of epochs that are done"
    elif _losses_differ(experiment, method, train, clocks[:: max(1, (before - 1) // 2)]):
        yield f"the loss of '{experiment.method}' follows the share of epochs that are done"


def _losses_differ(
    experiment: Experiment, method: Method[Any], train: Any, clocks: list[tuple[Progress, Progress]]
) -> bool:
    """Whether the first batch of the data has another loss at the same epoch of a longer run."""
    seed = derive_seed(experiment.train.seed, BATCH_DRAWS, 0)
    batch = task_of(experiment).batch(train, torch.arange(min(experiment.train.batch_size, len(train))), seed)

    def loss(clock: Progress) -> torch.Tensor:
        return method.training_loss(batch, clock, torch.Generator().manual_seed(seed)).total.detach()

    with undisturbed(method), torch.enable_grad():
        return any(not torch.equal(loss(short), loss(long)) for short, long in clocks)


def _prepare(run: RunDirectory, before: int, epochs: int, reasons: list[str]) -> None:
    """Make the directory one of an unfinished run of ``epochs`` epochs.

    Its end goes first, so that a kill at any moment leaves a run that either command takes up.
    """
    for name in ("metrics.json", PREDICTIONS, "last.safetensors"):
        (run.path / name).unlink(missing_ok=True)
    entry = {"from": before, "to": epochs, "date": datetime.date.today().isoformat(), "differs": reasons}
    settings = run.config["settings"] | {"train": run.config["settings"]["train"] | {"epochs": epochs}}
    continued = [*run.config.get("continued", []), entry]
    write_json(run.path / "config.json", run.config | {"settings": settings, "continued": continued})
    write_json(run.path / "state.json", run.state | {"epochs": epochs})
