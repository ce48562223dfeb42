"""One experiment as data, what a method's name stands for, and studies of several experiments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vmlkit.data.settings import DataConfig
from vmlkit.data.sources import MOMENTS, Splits, View, load
from vmlkit.metrics.moments import VoteRule
from vmlkit.training.loop import TrainConfig
from vmlkit.training.method import Method
from vmlkit.training.task import MomentTask, Task

#: ``ci`` finishes in about a minute on two cores, ``demo`` in a few, ``paper`` is the published setting
Size = Literal["ci", "demo", "paper"]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run needs; saved with it, and enough to repeat it."""

    method: str
    data: DataConfig
    model: Any  #: the method's settings, e.g. :class:`vmlkit.reconstruction.cpl.CPLConfig`
    train: TrainConfig
    vote: VoteRule | None = None  #: how the answer is chosen; None is the proposal with the lowest NLL
    test_draws: int = 3  #: draws of the masked words over which test metrics are averaged


def moment_task(experiment: Experiment) -> Task[Any, Any, Any]:
    """Single moments without time labels."""
    return MomentTask(vote=experiment.vote)


@dataclass(frozen=True)
class MethodEntry:
    """What a method's name stands for."""

    make: Callable[[Any, Any], Method[Any]]  #: from its settings and the training split
    config: type  #: its settings
    #: the experiment of (method, size) by the name of its data
    presets: Mapping[str, Callable[[str, Size], Experiment]] = field(default_factory=dict)
    task: Callable[[Experiment], Task[Any, Any, Any]] = moment_task
    view: View[Any] = MOMENTS  #: what it trains on, from which sources
    #: its recorded settings as they are called now, for runs that were written before
    renamed: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    #: named changes of its settings: what no paper has, or a paper's text where presets follow the release
    variants: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def load(self, config: DataConfig, *, cache_dir: str | Path | None = None, progress: bool = True) -> Splits[Any]:
        """The splits of a source as the method reads it; see :func:`vmlkit.data.sources.load`."""
        return load(config, view=self.view, cache_dir=cache_dir, progress=progress)
