"""One experiment from settings to a scored run directory, and back."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vmlkit.config import from_dict, to_dict
from vmlkit.data.action_sources import load_action_splits
from vmlkit.data.batches import MomentDataset
from vmlkit.data.detr_dataset import load_detr_splits
from vmlkit.data.sources import DataConfig, load_splits
from vmlkit.errors import ConfigError
from vmlkit.experiments import component_methods as p4
from vmlkit.experiments.action_methods import ACTION_CONFIGS, action_task, make_action
from vmlkit.experiments.detr_methods import detr_method, detr_task
from vmlkit.metrics.moments import VoteRule
from vmlkit.models.bm_detr import BMDetr, BMDetrConfig
from vmlkit.models.cnm import CNM, CNMConfig
from vmlkit.models.components import XCLIPWithComponents, xclip_with_components
from vmlkit.models.components_detr import MomentDetrWithComponents, QDDetrWithComponents, detr_with_components
from vmlkit.models.cpl import CPL, CPLConfig
from vmlkit.models.front import DataShape
from vmlkit.models.lnp_training import LNPOnCNM, LNPOnCPL, LNPOnPPS, build_lnp
from vmlkit.models.method import Method
from vmlkit.models.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.models.pps import PPS, PPSConfig
from vmlkit.models.qd_detr import QDDetr, QDDetrConfig
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.final import final_evaluation
from vmlkit.training.loop import TrainConfig, train
from vmlkit.training.task import Task


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run needs; saved with it, and enough to repeat it."""

    method: str
    data: DataConfig
    model: Any  #: the method's settings, e.g. :class:`vmlkit.models.cpl.CPLConfig`
    train: TrainConfig
    vote: VoteRule | None = None  #: how the answer is chosen; None is the proposal with the lowest NLL
    test_draws: int = 3  #: draws of the masked words over which test metrics are averaged


def _moment_task(experiment: Experiment) -> Task:
    return Task(vote=experiment.vote)


@dataclass(frozen=True)
class MethodEntry:
    """What a method's name stands for."""

    make: Callable[[Any, Any], Method]  #: from its settings and the training split
    config: type  #: its settings
    task: Callable[[Experiment], Task] = _moment_task
    load: Callable[..., Any] = load_splits  #: the splits of a :class:`DataConfig`


def _reconstruction(make: Callable[[Any, DataShape], Method]) -> Callable[[Any, MomentDataset], Method]:
    """The reconstruction family reads three sizes off the data, and rescales lambda to its grid."""

    def made(settings: Any, data: MomentDataset) -> Method:
        _say_rescaled_lambda(settings, data)
        frame_dim, word_dim = data.frames.shape[-1], data.vectors.shape[-1]
        return make(settings, DataShape(frame_dim=frame_dim, word_dim=word_dim, vocabulary=len(data.vocabulary)))

    return made


#: the one place where a method is found by name
METHODS: dict[str, MethodEntry] = {
    "cnm": MethodEntry(_reconstruction(CNM), CNMConfig),
    "cpl": MethodEntry(_reconstruction(CPL), CPLConfig),
    "pps": MethodEntry(_reconstruction(PPS), PPSConfig),
    "lnp-cnm": MethodEntry(_reconstruction(build_lnp), LNPOnCNM),
    "lnp-cpl": MethodEntry(_reconstruction(build_lnp), LNPOnCPL),
    "lnp-pps": MethodEntry(_reconstruction(build_lnp), LNPOnPPS),
    "moment-detr": MethodEntry(detr_method(MomentDetr), MomentDetrConfig, detr_task, load_detr_splits),
    "qd-detr": MethodEntry(detr_method(QDDetr), QDDetrConfig, detr_task, load_detr_splits),
    "bm-detr": MethodEntry(detr_method(BMDetr), BMDetrConfig, detr_task, load_detr_splits),
    **{name: MethodEntry(make_action, kind, action_task, load_action_splits) for name, kind in ACTION_CONFIGS.items()},
    "p4-moment-detr": MethodEntry(
        detr_with_components, MomentDetrWithComponents, p4.moment_task, p4.load_detr_with_components
    ),
    "p4-qd-detr": MethodEntry(detr_with_components, QDDetrWithComponents, p4.moment_task, p4.load_detr_with_components),
    "p4-xclip": MethodEntry(xclip_with_components, XCLIPWithComponents, p4.retrieval_task, p4.load_with_components),
}


def build(experiment: Experiment, data: Any) -> Method:
    """The method with freshly drawn weights, fixed by ``train.seed`` and sized to the training split ``data``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        return METHODS[experiment.method].make(experiment.model, data)


def _say_rescaled_lambda(settings: Any, data: MomentDataset) -> None:
    """Warn where lambda is rescaled because the grid is not the one it was published for."""
    host = getattr(settings, "host", settings)
    cells = host.reconstruction.cells or data.frames.shape[1] // 4
    published = getattr(host, "published_cells", None)
    if published not in (None, cells):
        warnings.warn(
            f"lambda was published for a grid of {published} cells; on {cells} it is multiplied by "
            f"{published / cells:.3g}, so that widths keep their size (published_cells=None takes it as it stands)",
            stacklevel=4,
        )


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
    entry = METHODS[experiment.method]
    splits = splits or entry.load(experiment.data, progress=progress)
    method, task = build(experiment, splits.train), entry.task(experiment)
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
