"""Which evaluation is reported: the authors' published training curve of P3, and runs of our own, under three rules.

``python -m vmlkit.experiments.selection --curve PATH`` writes ``results/selection/p3.json``.  Our own runs look at the
test split at every epoch *for this page only*; their last epoch is what every other table shows.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmlkit import provenance
from vmlkit.actions.model_selection import read_training_curve, selections
from vmlkit.actions.task import ActionTask
from vmlkit.config import to_dict, with_overrides
from vmlkit.experiments.experiment import build
from vmlkit.files import RESULTS, file_digest, shipped, write_json
from vmlkit.methods import METHODS, preset
from vmlkit.runs import read_json
from vmlkit.training.experiment import Experiment
from vmlkit.training.loop import train

FILE = Path("selection") / "p3.json"
COMMAND = "python -m vmlkit.experiments.selection --curve PATH"
SEEDS = (0, 1, 2)


def own_experiment(**changes: Any) -> Experiment:
    """BaS-Net on the toy world, 30 evaluations; ``changes`` are settings by dotted name with ``__`` for the dot."""
    settings: dict[str, Any] = {"train.epochs": 30, "model.steps_per_epoch": 25}
    settings |= {name.replace("__", "."): value for name, value in changes.items()}
    return with_overrides(preset("basnet", "toy", "ci"), settings)


def measure(
    curve: Path,
    results: Path = RESULTS,
    runs: Path = Path("runs"),
    *,
    experiment: Experiment | None = None,
    seeds: Sequence[int] = SEEDS,
) -> Path:
    """Reduce the published curve to a few numbers, train three short runs of BaS-Net, write both with provenance."""
    experiment = experiment or own_experiment()
    table = read_training_curve(curve)
    average = table[ActionTask.headline]
    authors = dataclasses.asdict(selections(average.to_numpy()))
    authors |= {
        "best_iteration": int(average.idxmax()),
        "at_5000": float(average.loc[5000]),
        "per_tiou_at_best": {name: float(table.loc[average.idxmax(), name]) for name in table if ":" not in name},
        "source": "P3's THUMOS14 log, published with its code; mAP in percent, protocol p3, best on the test set",
        "sha256": file_digest(curve),
    }
    record = {
        "command": COMMAND,
        "metric": ActionTask.headline,
        "authors": authors,
        "ours": {"settings": to_dict(experiment), "seeds": [_own(experiment, s, runs) for s in seeds]},
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "hardware": provenance.hardware(),
    }
    path = results / FILE
    write_json(path, record)
    return path


def _own(experiment: Experiment, seed: int, runs: Path) -> dict[str, Any]:
    """One run that watches the test split: its curve in percent, and what each rule would report."""
    entry = METHODS[experiment.method]
    chosen = with_overrides(experiment, {"train.seed": seed})
    splits = entry.load(chosen.data, progress=False)
    run = train(
        build(chosen, splits.train), splits.train, splits.test, chosen.train, runs / "selection" / f"basnet-{seed}",
        {"name": "selection", "method": chosen.method, "settings": to_dict(chosen)}, task=entry.task(chosen),
        progress=False,
    )  # fmt: skip
    curve = 100 * run.epochs[f"metric/{ActionTask.headline}"].to_numpy()[1:]
    return {"seed": seed, "curve": curve.round(3).tolist(), **dataclasses.asdict(selections(curve, window=10))}


def load_selection(results: Path = RESULTS) -> dict[str, Any]:
    """What :func:`measure` wrote: in the folder, or as it came with the package."""
    found: dict[str, Any] = read_json(shipped(results / FILE))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=COMMAND.removesuffix(" --curve PATH"), description=__doc__)
    parser.add_argument("--curve", type=Path, required=True, help="p3_author_training_curve.csv")
    print(measure(parser.parse_args().curve))
