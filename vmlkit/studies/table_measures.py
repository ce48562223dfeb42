"""What no training measures of the published tables: times of methods, and sizes of data sets.

A measurement is kept as ``TABLE-DATA-SIZE.json`` beside the results of ``vmlkit table``, the next one takes its place.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vmlkit import provenance
from vmlkit.errors import ConfigError
from vmlkit.experiments.cost import Cost, cost_of, devices_of
from vmlkit.experiments.data_tables import SourceTables, settings_of, tables_of, tables_of_splits
from vmlkit.files import files_in, write_json
from vmlkit.files.records import COUNT, NUMBER, TEXT, Entry, Fixed, Many, checked
from vmlkit.runs import read_json
from vmlkit.tables.ours import Estimate, Head, Ours
from vmlkit.tables.records import PublishedTable
from vmlkit.tables.regenerate import about, command_of, experiment_of, measured_on, measured_otherwise
from vmlkit.training.experiment import Experiment

#: version of the form
SCHEMA = 1
#: a cell is the number of its line, the column's metric, the value, and digits after the point
RECORD = Entry({"schema": COUNT, "label": TEXT, "source": TEXT, "cells": Many(Fixed(COUNT, TEXT, NUMBER, COUNT))})
#: what a column of a table of costs takes from a method's cost on one device
COSTS: Mapping[str, Callable[[Cost, str, Experiment], float]] = {
    "time per video": lambda cost, on, _: cost.answer_ms[on],
    "iteration": lambda cost, on, _: cost.step_ms[on] * cost.batch / 1e3,
    "inference on the split": lambda cost, on, _: cost.answer_ms[on] * cost.questions / 1e3,
    "training": lambda cost, on, made: cost.step_ms[on] * cost.training_questions * made.train.epochs / 3.6e6,
}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A table of costs or of sizes on a source.

    Raises:
        ConfigError: for a source that no row of the table can be measured on.
    """

    table: PublishedTable
    data: str
    size: str
    settings: Mapping[str, Any]
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.data not in (known := measured_on(self.table)):
            raise ConfigError(
                f"no row of {self.table.id} is measured on '{self.data}': choose one of {', '.join(known)}"
            )

    @property
    def name(self) -> str:
        """Of the file of the measurement."""
        return f"{self.table.id}-{self.data}-{self.size}".replace("/", "-").replace(":", "-")

    def about(self) -> str:
        """What is done, in a line."""
        return f"{self.name}: {'training steps and answers are timed' if self.table.kind == 'cost' else 'counted'}"

    def take(self, folder: Path) -> None:
        """Measure and keep it.

        Raises:
            ConfigError: for a setting that does not exist.
            DataError: for files that are missing or cannot be read.
        """
        found = _costs(self) if self.table.kind == "cost" else _sizes(self)
        for number, record in enumerate(found):
            write_json(folder / f"{self.name}{f'-{number}' if number else ''}.json", {"schema": SCHEMA, **record})


def measures_of(table: PublishedTable, *folders: Path) -> list[Ours]:
    """What was measured of a table of costs or sizes, a group for each file; of two of one name the first.

    Raises:
        DataError: for a damaged file.
    """
    found = []
    names = f"{table.id.replace('/', '-')}-*.json"
    for path in files_in(names, *folders) if measured_otherwise(table) else ():
        record = checked(read_json(path), RECORD, path)
        cells = {(int(number), ("", str(metric))): Estimate(value=value, low=None, high=None, seeds=0, digits=digits)
                 for number, metric, value, digits in record["cells"]}  # fmt: skip
        heads: dict[Head, None] = {("", column.metric): None for column in table.columns}
        known = tuple(head for head in heads if any(of == head for _, of in cells))
        found.append(Ours(label=record["label"], heads=known, cells=cells, source=record["source"]))
    return found


def _costs(measure: Measure) -> Iterator[dict[str, Any]]:
    """A record for each device."""
    table, data, size = measure.table, measure.data, measure.size
    devices = devices_of(measure.device)
    made = {number: experiment_of(table, line, line.method, data, size, measure.settings)
            for number, line in enumerate(table.rows) if line.method}  # fmt: skip
    costs = {number: cost_of(experiment, devices) for number, experiment in made.items()}
    for name in devices:
        cells = [
            [number, column.metric, value, _digits(value)]
            for number, cost in costs.items()
            for column in table.columns
            if column.metric in COSTS
            for value in [COSTS[column.metric](cost, name, made[number])]
        ]
        counts = ", ".join(dict.fromkeys(f"{cost.questions} test questions" for cost in costs.values()))
        said = f"`{command_of(table, data, size, measure.settings)}`: medians of steps, and of answers to {counts}; a"
        said += " question counts as a video; training is a step's time for every training question and epoch"
        yield {"label": f"{data}, size {size}, {name}", "cells": cells, "source": f"{said}; {_machine()}"}


def _sizes(measure: Measure) -> Iterator[dict[str, Any]]:
    """One record: all splits of the source together, the mean of a video over videos and of a moment over moments."""
    tables = _tables(measure)
    moments, videos = tables.moments, tables.videos.drop_duplicates("video")
    queries = moments.drop_duplicates(["split", "record"])
    lengths, words = moments["end"] - moments["start"], queries["sentence"].str.split().str.len()
    values = {
        "videos": (len(videos), 0), "queries": (len(queries), 0), "mean moment": (lengths.mean(), 1),
        "mean video": (videos["duration"].mean(), 1), "words a query": (words.mean(), 1),
    }  # fmt: skip
    (number,) = (i for i, line in enumerate(measure.table.rows) if about(measure.table, line, measure.data))
    cells = [[number, metric, float(value), digits] for metric, (value, digits) in values.items()]
    files = ", ".join(dict.fromkeys(path.name for path in tables.files.values()))
    yield {"label": measure.data, "cells": cells, "source": f"counted in {files or 'what the package makes'}"}


def _tables(measure: Measure) -> SourceTables:
    _, entry, config = settings_of(measure.data, measure.size, measure.settings)
    found = tables_of(config)
    return found if found is not None else tables_of_splits(config, entry.load(config, progress=False))


def _digits(value: float) -> int:
    """After the point, for three digits that say something."""
    return 0 if value <= 0 else max(0, 2 - math.floor(math.log10(value)))


def _machine() -> str:
    found = provenance.made_with(None, torch.get_num_threads())
    hardware = found["hardware"]
    versions = ", ".join(f"{key} {version}" for key, version in found["versions"].items())
    return f"{hardware['processor']}, {hardware['threads']} threads; {versions}; revision {str(found['revision'])[:10]}"
