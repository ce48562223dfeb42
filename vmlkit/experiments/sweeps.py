"""Settings that a study takes from a sweep on validation, and the sweeps as they were measured.

``python -m vmlkit.experiments.sweeps NAME`` trains every row of a sweep with every value and a few seeds, looks at the
validation split alone, and writes ``results/selection/NAME.json``.  The value whose mean over the seeds is highest is
the one that the study has (tested).  Rivals have the same values to choose from, seeds and steps.

``sweeps.json`` beside this module has, by name: the ``study`` and its ``rows``; the ``setting`` and its ``values``;
the ``metric`` on validation, more is better; and perhaps ``set``, settings of the sweep alone.
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from vmlkit import provenance
from vmlkit.config import config_hash, to_dict, with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, task_of
from vmlkit.files import RESULTS, shipped, write_json
from vmlkit.methods import METHODS, STUDIES
from vmlkit.runs import read_json
from vmlkit.training.experiment import Experiment
from vmlkit.training.loop import train

SEEDS = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is swept; see the module docstring."""

    name: str
    study: str
    rows: tuple[str, ...]
    setting: str
    values: tuple[Any, ...]
    metric: str
    set: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.setting.startswith("data."):
            raise ConfigError(f"the sweep '{self.name}' sweeps {self.setting}: settings of the data are not swept")

    def experiment(self, row: str, value: Any) -> Experiment:
        """The row of the study with the value, and with what only the sweep sets."""
        return with_overrides(self.row(row), {**self.set, self.setting: value})

    def row(self, name: str) -> Experiment:
        """The row as the study has it.

        Raises:
            ConfigError: for a row that the study does not have.
        """
        rows = {row.name: row.experiment for row in STUDIES[self.study]().rows}
        if name not in rows:
            raise ConfigError(f"the sweep '{self.name}' names the row '{name}', which '{self.study}' does not have")
        return rows[name]

    def taken(self, row: str) -> Any:
        """The value that the study has."""
        return reduce(getattr, self.setting.split("."), self.row(row))


def sweeps() -> dict[str, Sweep]:
    """All of ``sweeps.json``, by name."""
    records: dict[str, Any] = read_json(Path(__file__).with_suffix(".json"))
    found = {}
    for name, record in records.items():
        fields: dict[str, Any] = {**record, "rows": tuple(record["rows"]), "values": tuple(record["values"])}
        found[name] = Sweep(name=name, **fields)
    return found


def measure(sweep: Sweep, results: Path = RESULTS, *, progress: bool = True) -> Path:
    """Train what is missing in ``results/selection/NAME.json``, and write it after every row.

    What is known of a row with the same settings, the swept one included, is not measured again.
    """
    path = results / "selection" / f"{sweep.name}.json"
    known = read_json(path)["rows"] if path.is_file() else {}
    rows: dict[str, Any] = {row: known[row] for row in sweep.rows if row in known}
    for row in sweep.rows:
        settings = {str(value): config_hash(sweep.experiment(row, value)) for value in sweep.values}
        before = rows.get(row, {"settings": {}})
        same = [value for value, found in settings.items() if before["settings"].get(value) == found]
        found = {value: before["validation"][value] for value in same}
        missing = {str(v): sweep.experiment(row, v) for v in sweep.values if str(v) not in found}
        revisions = [*before["revisions"]] if same else []
        if missing:
            one = next(iter(missing.values()))  # a row has one data set, whatever is swept of its training
            splits = METHODS[one.method].load(one.data, progress=False)
            found |= {value: [_validation(sweep, e, seed, splits) for seed in SEEDS] for value, e in missing.items()}
            revisions = list(dict.fromkeys([*revisions, provenance.revision(package_alone=True)]))
        validation = {value: found[value] for value in settings}
        rows[row] = {"settings": settings, "validation": validation, "chosen": chosen(sweep, validation)}
        rows[row]["revisions"] = revisions
        if progress:
            print(f"{sweep.name}: {row}: {rows[row]['validation']} -> {rows[row]['chosen']}", flush=True)
        write_json(path, _record(sweep, rows))
    return path


def chosen(sweep: Sweep, validation: dict[str, list[float]]) -> Any:
    """The value of the highest mean; of equal ones the first."""
    return max(sweep.values, key=lambda value: sum(validation[str(value)]))


def _validation(sweep: Sweep, experiment: Experiment, seed: int, splits: Any) -> float:
    """The metric on validation at the last epoch."""
    experiment = with_overrides(experiment, {"train.seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            build(experiment, splits.train), splits.train, splits.validation, experiment.train, Path(folder) / "run",
            {"name": sweep.name, "method": experiment.method, "settings": to_dict(experiment)},
            task=task_of(experiment), progress=False,
        )  # fmt: skip
        return round(float(run.epochs[f"metric/{sweep.metric}"].dropna().iloc[-1]), 4)


def _record(sweep: Sweep, rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": f"python -m vmlkit.experiments.sweeps {sweep.name}",
        "study": sweep.study,
        "setting": sweep.setting,
        "values": list(sweep.values),
        "metric": sweep.metric,
        "seeds": list(SEEDS),
        "set": sweep.set,
        "rows": {row: rows[row] for row in sweep.rows if row in rows},
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }


def load_sweep(name: str, results: Path = RESULTS) -> dict[str, Any]:
    """What :func:`measure` wrote: in the folder, or as it came with the package."""
    found: dict[str, Any] = read_json(shipped(results / "selection" / f"{name}.json"))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m vmlkit.experiments.sweeps",
        description="Sweep a setting of a study on validation; for example: python -m vmlkit.experiments.sweeps p3-toy",
    )
    parser.add_argument("name", choices=sorted(sweeps()), help="of the sweep")
    print(measure(sweeps()[parser.parse_args().name]))
