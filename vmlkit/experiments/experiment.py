"""One experiment from settings to a scored run directory, and back."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vmlkit.config import from_dict, to_dict
from vmlkit.data.batches import MomentDataset
from vmlkit.data.sources import DataConfig, Splits, load_splits
from vmlkit.errors import ConfigError
from vmlkit.metrics.moments import VoteRule
from vmlkit.models.cnm import CNM, CNMConfig
from vmlkit.models.cpl import CPL, CPLConfig
from vmlkit.models.front import DataShape
from vmlkit.models.lnp_training import LNPOnCNM, LNPOnCPL, LNPOnPPS, build_lnp
from vmlkit.models.method import Method
from vmlkit.models.pps import PPS, PPSConfig
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import final_evaluation
from vmlkit.training.loop import TrainConfig, train

#: the one place where a method is found by name: (how it is made, its settings)
METHODS: dict[str, tuple[Callable[..., Method], type]] = {
    "cnm": (CNM, CNMConfig),
    "cpl": (CPL, CPLConfig),
    "pps": (PPS, PPSConfig),
    "lnp-cnm": (build_lnp, LNPOnCNM),
    "lnp-cpl": (build_lnp, LNPOnCPL),
    "lnp-pps": (build_lnp, LNPOnPPS),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run needs; saved with it, and enough to repeat it."""

    method: str
    data: DataConfig
    model: Any  #: the method's settings, e.g. :class:`vmlkit.models.cpl.CPLConfig`
    train: TrainConfig
    vote: VoteRule | None = None  #: how the answer is chosen; None is the proposal with the lowest NLL
    test_draws: int = 3  #: draws of the masked words over which test metrics are averaged


def build(experiment: Experiment, data: MomentDataset) -> Method:
    """The method with freshly drawn weights, fixed by ``train.seed`` and sized to the data.

    Warns where lambda is rescaled because the grid is not the one it was published for.
    """
    make, _ = METHODS[experiment.method]
    host = getattr(experiment.model, "host", experiment.model)
    cells = host.reconstruction.cells or data.frames.shape[1] // 4
    published = getattr(host, "published_cells", None)
    if published not in (None, cells):
        warnings.warn(
            f"lambda was published for a grid of {published} cells; on {cells} it is multiplied by "
            f"{published / cells:.3g}, so that widths keep their size (published_cells=None takes it as it stands)",
            stacklevel=2,
        )
    shape = DataShape(frame_dim=data.frames.shape[-1], word_dim=data.vectors.shape[-1], vocabulary=len(data.vocabulary))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        return make(experiment.model, shape)


def run_experiment(
    experiment: Experiment,
    run_dir: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    splits: Splits | None = None,
) -> RunDirectory:
    """Load the data, train, score the chosen epoch on the test split; a finished run is returned as it is.

    Args:
        splits: the experiment's data, where the caller has it already.
    """
    splits = splits or load_splits(experiment.data, progress=progress)
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
        vote=experiment.vote,
        progress=progress,
    )
    if not (run.path / "metrics.json").is_file():
        final_evaluation(
            method,
            run.path,
            splits.train,
            splits.validation,
            splits.test,
            vote=experiment.vote,
            draws=experiment.test_draws,
        )
    return RunDirectory(run.path)


def experiment_of(run: RunDirectory) -> Experiment:
    """The experiment that a run directory records.

    Raises:
        ConfigError: if its settings no longer exist.
    """
    settings = run.config["settings"]
    method = settings.get("method")
    if method not in METHODS:
        raise ConfigError(f"{run.path}: method '{method}' is not one of {', '.join(METHODS)}")
    return Experiment(
        method=method,
        data=from_dict(DataConfig, settings["data"]),
        model=from_dict(METHODS[method][1], settings["model"]),
        train=from_dict(TrainConfig, settings["train"]),
        vote=settings["vote"],
        test_draws=settings["test_draws"],
    )


def load_run(run_dir: str | Path, *, progress: bool = True) -> tuple[Method, Splits, Experiment]:
    """A finished run back in memory: its method with the chosen weights, its data and its settings."""
    run = RunDirectory(run_dir)
    experiment = experiment_of(run)
    splits = load_splits(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    load_weights(method, run.checkpoint)
    method.eval()
    return method, splits, experiment
