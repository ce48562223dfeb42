"""The smallest experiment of a method on the toy world that still trains, votes and draws as the method does."""

from typing import Any

from vmlkit.config import with_overrides
from vmlkit.methods import METHODS, preset
from vmlkit.training.experiment import Experiment, moment_task

SIZE = {
    "data.train_videos": 12, "data.validation_videos": 4, "data.test_videos": 6, "train.epochs": 1,
    "train.batch_size": 12, "train.threads": 1, "train.probe_queries": 2, "train.choose_epoch_by": "last",
}  # fmt: skip


def tiny(method: str, **changes: Any) -> Experiment:
    """One epoch on twelve videos; the words of reconstruction are drawn twice, and CPL's answer is voted for."""
    experiment = preset(method)
    more: dict[str, Any] = {"test_draws": 2} if METHODS[method].task is moment_task else {}
    if method == "cpl":
        more["vote"] = "charades"
    if hasattr(experiment.model, "steps_per_epoch"):
        more["model.steps_per_epoch"] = 1
    return with_overrides(experiment, {**SIZE, **more, **changes})
