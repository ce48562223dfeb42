"""What reaches the centers of CPL's windows, and what can be known of the true ones: one training a lever.

    python -m benchmarks.levers --json benchmarks/results/levers.json

Each lever of :data:`LEVERS` is the row *CPL* of the study ``windows-cause`` with something changed that is no setting
of a method, because it needs labels or serves nothing else.  Numbers are of validation videos at the last epoch; they
chose nothing.  docs/windows.md shows them.  Trainings are kept in ``--runs``: the same command goes on after a stop.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchmarks import _frame
from benchmarks.levers.model import LeveredCPL, Levers, known_of_the_center
from vmlkit.config import config_hash, to_dict, with_overrides
from vmlkit.methods import METHODS, STUDIES
from vmlkit.reconstruction.methods import sized
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.experiment import Experiment
from vmlkit.training.history import turn_and_end
from vmlkit.training.loop import train
from vmlkit.training.task import MomentTask

#: what is kept of ``dependence/...``
KEPT = ("positive center spread", "positive center R2")


@dataclass(frozen=True, kw_only=True)
class Lever:
    """Settings of CPL, and what is changed beside them."""

    levers: Levers = dataclasses.field(default_factory=Levers)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_TWO = {f"model.reconstruction.transformer.{stack}": 2 for stack in ("video_layers", "text_layers")}
#: by what is done
LEVERS: dict[str, Lever] = {
    "CPL": Lever(),
    "taught with true spans": Lever(levers=Levers(taught_epochs=16)),
    "taught, centers read from the clips": Lever(
        levers=Levers(taught_epochs=16), settings={"model.reading.centers": "sentence"}
    ),
    "taught so for eight epochs, then released for eight": Lever(
        levers=Levers(taught_epochs=8), settings={"model.reading.centers": "sentence"}
    ),
    "head ten times as large at first": Lever(levers=Levers(head_scale=10.0)),
    "all words hidden": Lever(levers=Levers(hide_one_in=1)),
    "taught, two layers": Lever(levers=Levers(taught_epochs=16), settings=_TWO),
}


@dataclass(frozen=True, kw_only=True)
class TaughtTask(MomentTask[Any, Any]):
    """Training batches carry their true spans."""

    supervised: ClassVar[bool] = True


def experiment_of(lever: Lever, seed: int = 0) -> Experiment:
    """The row *CPL* of the study of causes with a lever's settings."""
    (base,) = (row.experiment for row in STUDIES["windows-cause"]().rows if row.name == "CPL")
    return with_overrides(base, {**lever.settings, "train.seed": seed})


def measure(runs: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Train every lever; by lever, lists over the seeds: ``end``, ``release``, ``gradient`` by epoch, ``known``."""
    splits = METHODS["cpl"].load(experiment_of(Lever()).data, progress=False)
    rows = {}
    for name, lever in LEVERS.items():
        trained = [_trained(experiment_of(lever, seed), lever, splits, runs) for seed in seeds]
        histories = [run.epochs for run, _ in trained]
        known = [known_of_the_center(method, splits.train, splits.validation) for _, method in trained]
        rows[name] = {
            "levers": dataclasses.asdict(lever.levers),
            "seeds": list(seeds),
            "changed": dict(lever.settings),
            "end": by_name([_end(epochs) for epochs in histories]),
            **_release(lever, histories),
            "gradient": by_name([_gradient(epochs) for epochs in histories]),
            "known": by_name([{key: round(value, 4) for key, value in one.items()} for one in known]),
        }
    return rows


def by_name(each: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """One list over the seeds for each name."""
    return {name: [one[name] for one in each] for name in each[0]}


def _end(epochs: Any) -> dict[str, float]:
    found = turn_and_end(epochs)["end"]
    return {name: found[name] for name in ("epoch", *KEPT)}


def _release(lever: Lever, histories: Sequence[Any]) -> dict[str, list[float]]:
    """R2 of all positives at the last epoch that was taught, where others follow."""
    last = lever.levers.taught_epochs
    tables = [epochs.set_index("epoch")["dependence/positive center R2"] for epochs in histories]
    return {"release": [round(float(t.loc[last]), 4) for t in tables]} if 0 < last < tables[0].index[-1] else {}


def _gradient(epochs: Any) -> dict[str, list[float]]:
    columns = epochs.filter(like="gradient/").dropna()
    return {str(name).split("/")[1]: columns[name].round(5).tolist() for name in columns}


def _trained(experiment: Experiment, lever: Lever, splits: Any, runs: Path) -> tuple[RunDirectory, LeveredCPL]:
    def make(config: Any, shape: Any) -> LeveredCPL:
        return LeveredCPL(config, shape, lever.levers)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        method = sized(make)(experiment.model, splits.train)
    assert isinstance(method, LeveredCPL)
    settings = {**to_dict(experiment), "levers": dataclasses.asdict(lever.levers)}
    folder = runs / f"{config_hash(experiment)}-{config_hash(lever.levers)}"
    described = {"name": folder.name, "method": "cpl", "settings": settings, "data": {"name": experiment.data.name}}
    parts = (splits.train, splits.validation)
    run = train(method, *parts, experiment.train, folder, described, task=TaughtTask(), progress=False)
    load_weights(method, run.checkpoint)
    return run, method


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write or print the record."""
    parser = _frame.options(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "levers", help="where trainings are kept")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="of every lever (default: 1)")
    options = parser.parse_args(arguments)
    rows = measure(options.runs, range(options.seeds))
    print(options.json or rows)
    _frame.keep(options.json, "levers", command=f"python -m benchmarks.levers --seeds {options.seeds}", rows=rows)


if __name__ == "__main__":
    main()
