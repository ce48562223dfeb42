"""``vmlkit predict RUN``: what a run's chosen epoch answers, as a file in the layout of its field; and back.

======== ============================== ==================================================================
family   layout                         module
======== ============================== ==================================================================
moments  Moment-DETR's JSON lines       :mod:`vmlkit.experiments.predicted_moments`
actions  ActivityNet's JSON, or lines   :mod:`vmlkit.experiments.predicted_actions`
retrieval JSON lines of rankings        :mod:`vmlkit.experiments.predicted_rankings`
======== ============================== ==================================================================

Each can also be a table (``.csv``), and any of them gzipped.  Numbers keep all their digits, so that a file without
post-processing scores exactly as the run does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vmlkit.actions.task import ActionTask
from vmlkit.components.retrieval import RetrievalTask
from vmlkit.experiments import predicted_actions, predicted_moments, predicted_rankings
from vmlkit.experiments.experiment import build, experiment_of, task_of
from vmlkit.experiments.passports import require_passports
from vmlkit.experiments.prediction_files import Changes, kind_of
from vmlkit.methods import METHODS
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import EVALUATION, derive_seed
from vmlkit.training.experiment import Experiment
from vmlkit.training.final import kept_predictions
from vmlkit.training.method import Progress
from vmlkit.training.start import choose_device
from vmlkit.training.task import Kept, Task

#: the splits, as the final scoring numbers them; the training split comes after those
NUMBERS = {"validation": 0, "test": 1, "train": 2}


def predict_run(
    run_dir: str | Path,
    split: str = "test",
    out: str | Path | None = None,
    changes: Changes | None = None,
    *,
    progress: bool = True,
    device: str = "auto",
) -> tuple[Path, int]:
    """Write what the run answers to a split; the path, and the number of queries (of actions: videos).

    The answers to the test split are those that the run kept.  Others, and those of runs of earlier versions, are
    asked of the model again, with the seeds and draws of ``metrics.json``.

    Args:
        split: ``test``, ``validation`` or ``train``.
        out: its ending chooses the layout; ``predictions-SPLIT.jsonl`` in the run directory unless given.
        changes: post-processing, which the run's own numbers do not have.
        device: where the model answers, see :func:`vmlkit.training.start.choose_device`.

    Raises:
        ConfigError: for an ending or a change that the family does not know, or a device that is not there.
        DataError: where the data of a run have changed.
    """
    run, changes = RunDirectory(run_dir), changes or Changes()
    path = Path(out) if out is not None else run.path / f"predictions-{split}.jsonl"
    experiment = experiment_of(run)
    task = task_of(experiment)
    files = _layout(task)
    files.check(changes)
    place = choose_device(device, "--device")
    kind = kind_of(path, files.KINDS)
    require_passports(run, experiment.data)
    splits = METHODS[experiment.method].load(experiment.data, progress=progress)
    data = getattr(splits, split)
    kept = kept_predictions(run, data, task) if split == "test" else None
    if kept is None:
        kept = _answers(run, experiment, task, splits, split, place)
    files.write(path, kind, data, kept, changes, task, f"{experiment.method}, run {run.config['name']}")
    return path, len(data)


def score_file(
    path: str | Path, run_dir: str | Path, split: str = "test", *, progress: bool = True
) -> tuple[dict[str, float], Mapping[str, Any]]:
    """The metrics of a file of predictions, scored as the run was, and the content of the run's ``metrics.json``.

    Raises:
        DataError: for a file that is not of this split, or that cannot be read.
    """
    run, path = RunDirectory(run_dir), Path(path)
    experiment = experiment_of(run)
    task = task_of(experiment)
    files = _layout(task)
    kind = kind_of(path, files.KINDS)
    require_passports(run, experiment.data)
    data = getattr(METHODS[experiment.method].load(experiment.data, progress=progress), split)
    return task.score(data, files.read(path, kind, data, task)), run.metrics


def _layout(task: Task[Any, Any, Any]) -> Any:
    """The module that writes and reads the answers of a task."""
    if isinstance(task, ActionTask):
        return predicted_actions
    return predicted_rankings if isinstance(task, RetrievalTask) else predicted_moments


def _answers(
    run: RunDirectory,
    experiment: Experiment,
    task: Task[Any, Any, Any],
    splits: Any,
    split: str,
    device: torch.device,
) -> Kept:
    """The chosen epoch is asked again, as the final scoring asks it."""
    method = build(experiment, splits.train).to(device)
    chosen = load_weights(method, run.checkpoint)
    seed = derive_seed(int(run.config["seed"]), EVALUATION, chosen["epoch"], NUMBERS[split])
    clock = Progress(chosen["epoch"], experiment.train.epochs, chosen["step"])
    _, arrays = task.answer(method, getattr(splits, split), seed, 128, experiment.test_draws, clock)
    return task.kept(arrays)
