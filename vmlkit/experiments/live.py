"""An experiment that trains at a button, for notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmlkit.experiments.experiment import run_in_turns
from vmlkit.training.experiment import Experiment

#: steps of training between two looks at the hand
_TURN = 4


def train_live(
    experiment: Experiment, run_dir: str | Path, *, splits: Any = None, columns: Sequence[str] | None = None
) -> Any:
    """A button that trains ``experiment`` in ``run_dir``, with its curves while it runs, and one that stops it.

    The run is that of :func:`vmlkit.experiments.experiment.run_experiment`, with the same numbers; stopped, it goes on
    from its last epoch at the next press, and so does ``run_experiment`` on the same directory.

    Args:
        run_dir: where the run is recorded; what is there already is shown.
        splits: the experiment's data, where the caller has it already.
        columns: of ``epochs.parquet`` to draw.

    Raises:
        MissingDependency: without anywidget.
    """
    from vmlkit.viz.training_widget import LiveTraining

    def begin() -> Any:
        return run_in_turns(experiment, Path(run_dir), splits, progress=False, turn=_TURN)

    return LiveTraining(begin, run_dir, experiment.train.epochs, columns)
