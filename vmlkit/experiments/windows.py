"""Do windows follow their sentence, what keeps them from it, and what lets them: measured, seed by seed.

``python -m vmlkit.experiments.windows`` trains what is missing of the studies :data:`STUDIES_HERE` and of the levers
that are no settings (:data:`LEVERS`), and writes ``results/windows/NAME.json``; docs/windows.md shows them.  Runs are
kept, so the same command goes on from where it was stopped.  Measured on validation
videos, which chose nothing: the last epoch counts, and settings were chosen on another toy world.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vmlkit import provenance
from vmlkit.config import config_hash, to_dict, with_overrides
from vmlkit.errors import ConfigError, DataError, required
from vmlkit.experiments.experiment import run_experiments
from vmlkit.files import RESULTS, shipped, write_json
from vmlkit.methods import METHODS, STUDIES
from vmlkit.reconstruction.methods import sized
from vmlkit.reconstruction.windows import LeveredCPL, Levers, known_of_the_center
from vmlkit.runs import RunDirectory, read_json
from vmlkit.training.experiment import Experiment
from vmlkit.training.history import turn_and_end
from vmlkit.training.loop import train
from vmlkit.training.task import MomentTask

COMMAND = "python -m vmlkit.experiments.windows"
STUDIES_HERE = ("windows-remedy", "windows-controls", "windows-cause", "windows-planted")
#: what is kept of ``dependence/...``, and of the metrics
KEPT = (
    "positive center spread",
    "positive center R2",
    "positive center R2, exchanged",
    "chosen center R2",
    "chosen center R2, exchanged",
    "negative center R2",
    "negative own IoU",
    "negative others' IoU",
    "negative NLL gap",
)
METRIC = "R@1,mIoU"
#: what is kept of every evaluated epoch, where there are learned negatives
CURVES = ("positive center R2", "negative own IoU", "negative others' IoU", "negative NLL gap")


@dataclass(frozen=True, kw_only=True)
class Lever:
    """Something that no paper leaves open: settings of CPL, and what is changed beside them."""

    levers: Levers = dataclasses.field(default_factory=Levers)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_TWO = {f"model.reconstruction.transformer.{stack}": 2 for stack in ("video_layers", "text_layers")}
#: by what is done; sixteen epochs, as the study of causes
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
SEEDS = (0,)


@dataclass(frozen=True, kw_only=True)
class TaughtTask(MomentTask[Any, Any]):
    """Training batches carry their true spans."""

    supervised: ClassVar[bool] = True


def cell_of(run: RunDirectory) -> dict[str, dict[str, float]]:
    """What is kept of one training: at the turn of the clock, where there is one, and at the end."""
    epochs = run.epochs
    measures, metrics = turn_and_end(epochs), turn_and_end(epochs, "metric")
    return {
        when: {name: found[name] for name in ("epoch", *KEPT) if name in found} | {METRIC: metrics[when][METRIC]}
        for when, found in measures.items()
    }


def curves_of(histories: Sequence[RunDirectory]) -> dict[str, Any]:
    """Epochs, c, and a list for each seed of :data:`CURVES`; nothing for methods without a clock."""
    tables = [run.epochs.dropna(subset=["dependence/positive center R2"]).query("epoch > 0") for run in histories]
    first = tables[0]
    if "curriculum/c" not in first:
        return {}
    curves = {name: [table[f"dependence/{name}"].round(4).tolist() for table in tables] for name in CURVES}
    return {"epochs": first["epoch"].tolist(), "c": first["curriculum/c"].round(4).tolist(), "curves": curves}


def measure_study(name: str, runs: Path = Path("runs"), *, train_missing: bool = True) -> dict[str, Any]:
    """Gather the :func:`cell_of` of every run of a study, after training those that are missing.

    Raises:
        ConfigError: where a run failed, or a row has no finished run and none is to be trained.
    """
    study, rows, loaded = STUDIES[name](), {}, {}
    for row in study.rows:
        kept = runs / "windows"
        folders = {seed: kept / f"{config_hash(row.experiment)}-{seed}" for seed in study.seeds}
        if train_missing:
            key = config_hash(row.experiment.data)
            if key not in loaded:
                loaded = {key: METHODS[row.experiment.method].load(row.experiment.data, progress=False)}
            seeded = {folder: with_overrides(row.experiment, {"train.seed": s}) for s, folder in folders.items()}
            failed = [o for o in run_experiments(seeded, splits=loaded[key]) if o.error is not None]
            if failed:
                said = "; ".join(f"{outcome.run_dir}: {outcome.error}" for outcome in failed)
                raise ConfigError(f"{len(failed)} runs of '{row.name}' failed: {said}")
        done = {seed: folder for seed, folder in folders.items() if (folder / "metrics.json").is_file()}
        if not done:
            raise ConfigError(f"'{row.name}' of '{name}' has no finished run in {kept}: leave out --finished")
        histories = [RunDirectory(folder) for folder in done.values()]
        found = {**_by_measure([cell_of(run) for run in histories]), **curves_of(histories)}
        rows[row.name] = {"settings": to_dict(row.experiment), "seeds": list(done), **found}
    return {"title": study.title, "note": study.note, "rows": rows}


def lever_experiment(lever: Lever, seed: int = 0) -> Experiment:
    """The first row of the study of causes with a lever's settings."""
    base = STUDIES["windows-cause"]().rows[0].experiment
    return with_overrides(base, {**lever.settings, "train.seed": seed})


def measure_levers(runs: Path = Path("runs"), seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Train every lever; also what reaches the centers at each epoch, and what can be known of the true one."""
    splits = METHODS["cpl"].load(lever_experiment(Lever()).data, progress=False)
    rows = {}
    for name, lever in LEVERS.items():
        cells, gradients, known, released = [], [], [], []
        for seed in seeds:
            experiment = lever_experiment(lever, seed)
            run, method = _levered(experiment, lever, splits, runs)
            cells.append(cell_of(run))
            columns = run.epochs.filter(like="gradient/").dropna()
            gradients.append({c.split("/")[1]: columns[c].round(5).tolist() for c in columns})
            if 0 < lever.levers.taught_epochs < experiment.train.epochs:
                last = run.epochs.set_index("epoch").loc[lever.levers.taught_epochs]
                released.append(round(float(last["dependence/positive center R2"]), 4))
            known.append(known_of_the_center(method, splits.train, splits.validation))
        rows[name] = {
            "levers": dataclasses.asdict(lever.levers),
            "seeds": list(seeds),
            "changed": dict(lever.settings),
            **_by_measure(cells),
            **({"release": released} if len(released) == len(seeds) else {}),
            "gradient": {key: [one[key] for one in gradients] for key in gradients[0]},
            "known": {key: [round(one[key], 4) for one in known] for key in known[0]},
        }
    note = "As windows-cause; 'known' is what a linear reader says of the true center."
    return {"title": "Levers that are no settings", "note": note, "rows": rows}


def _levered(experiment: Experiment, lever: Lever, splits: Any, runs: Path) -> tuple[RunDirectory, LeveredCPL]:
    import torch

    from vmlkit.training.checkpoints import load_weights

    def make(config: Any, shape: Any) -> LeveredCPL:
        return LeveredCPL(config, shape, lever.levers)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.train.seed)
        method = sized(make)(experiment.model, splits.train)
    assert isinstance(method, LeveredCPL)
    settings = {**to_dict(experiment), "levers": dataclasses.asdict(lever.levers)}
    folder = runs / "windows" / f"{config_hash(experiment)}-{config_hash(lever.levers)}"
    described = {"name": folder.name, "method": "cpl", "settings": settings, "data": {"name": experiment.data.name}}
    parts = (splits.train, splits.validation)
    run = train(method, *parts, experiment.train, folder, described, task=TaughtTask(), progress=False)
    load_weights(method, run.checkpoint)
    return run, method


def _by_measure(cells: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """One list over the seeds for each measure."""
    return {when: {name: [cell[when][name] for cell in cells] for name in cells[0][when]} for when in cells[0]}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval by Student's t over seeds; one value has no ends.

    >>> tuple(round(value, 3) for value in interval([0.1, 0.2, 0.3]))
    (0.2, -0.048, 0.448)
    """
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    student = required("scipy.stats", "notebooks", "an interval over seeds").t
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5
    return mean, mean - half, mean + half


def differences(row: Mapping[str, Any]) -> dict[str, list[float]]:
    """Of a row with learned negatives, what the question is about, a value a seed."""
    turn, end = row["turn"], row["end"]

    def apart(when: Mapping[str, list[float]]) -> list[float]:
        return [own - other for own, other in zip(when["negative own IoU"], when["negative others' IoU"], strict=True)]

    gaps = zip(turn["negative NLL gap"], end["negative NLL gap"], strict=True)
    return {
        "own - others, turn": apart(turn),
        "own - others, end": apart(end),
        "NLL gap, turn - end": [first - last for first, last in gaps],
        "R2 of all positives, end": list(end["positive center R2"]),
    }


def reached(row: Mapping[str, Any]) -> dict[str, str]:
    """Whether negatives become easy and then hard per sentence, and positives say a third of the true center.

    ``holds`` where the interval lies on the right side of the bar, ``contradicted`` on the wrong one, else ``open``, as
    with fewer than three seeds; the third of the variance is asked of the mean, so that the interval only separates
    open from contradicted.
    """
    if len(row["end"]["positive center R2"]) < 3:
        return dict.fromkeys(differences(row), "open")
    found = {name: interval(values) for name, values in differences(row).items()}
    said = {name: _verdict(low, high, below=name == "own - others, turn") for name, (_, low, high) in found.items()}
    mean, _, high = found["R2 of all positives, end"]
    said["R2 of all positives, end"] = "holds" if mean >= 1 / 3 else "open" if high >= 1 / 3 else "contradicted"
    return said


def _verdict(low: float, high: float, *, below: bool) -> str:
    low, high = (-high, -low) if below else (low, high)
    return "holds" if low > 0 else "contradicted" if high < 0 else "open"


def load(name: str, results: Path = RESULTS) -> dict[str, Any]:
    """A committed file of results.

    Raises:
        DataError: if there is none, with the command that makes it.
    """
    path = shipped(results / "windows" / f"{name}.json")
    if not path.is_file():
        raise DataError(path, "there are no such results", f"run `{COMMAND}`")
    record: dict[str, Any] = read_json(path)
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, epilog=f"example: {COMMAND} levers windows-cause",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    everything = ("levers", *STUDIES_HERE)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(everything)}; default: all of them")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where trainings are kept (default: runs)")
    help_finished = "train no study: gather the runs that are finished, so that rows may have fewer seeds"
    parser.add_argument("--finished", action="store_true", help=help_finished)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: results)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in everything]
    if unknown:
        parser.error(f"unknown name '{unknown[0]}': choose from {', '.join(everything)}")
    for name in options.names or everything:
        if name == "levers":
            found = measure_levers(options.runs)
        else:
            found = measure_study(name, options.runs, train_missing=not options.finished)
        path = options.out / "windows" / f"{name}.json"
        write_json(path, {"command": f"{COMMAND} {name}", **found, **provenance.made_with(threads=1)})
        print(path)


if __name__ == "__main__":
    main()
