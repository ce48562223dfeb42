"""Results of a study as tidy data: ``results/studies/NAME.parquet`` with ``NAME.json`` beside it.

The table has a line for each question of the test split, by row and seed: ``row``, ``seed``, ``query``, ``video``,
perhaps ``group``, and the outcomes of :mod:`vmlkit.studies.outcomes` that the study's metrics need.  Baselines are rows
like others, once, with seed -1 where chance decides nothing.  The JSON file has everything else:

``study``, ``title``, ``note``, ``command``, ``metrics``, ``claims``, ``primary``
    the study as it is, and ``study_hash`` of it
``rows``
    by name: ``settings`` (or ``like`` another row but for what is ``changed``), their ``hash``, ``published``,
    ``selection`` (the metric that chose the epoch), ``seeds``
``baselines``
    names of the rows that are baselines, and ``of``: the row on whose training split each was fitted
``cells``
    in the file by columns (:func:`vmlkit.studies.storage.by_columns`), here a row and a seed each: ``chosen_epoch``,
    ``seconds_per_epoch``, ``validation`` curve, ``test`` numbers that the study asks for, ``dependence`` on sentences
    at the turn and the end, perhaps ``curves`` by epoch on validation that the study asks for, and ``made``: its place
    in the list ``made``
``made``
    ``revision`` and ``revisions``, ``versions``, ``hardware`` with the processor's vector ``capability``, and
    ``study``: the hash of the study as it stood before the cell was computed
``missing``
    cells of the study's plan that are not there, ``[row, seed]``
``dirty``
    whether a cell was computed with changes that no revision names
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import experiment_of_settings
from vmlkit.files import RESULTS, file_digest, shipped
from vmlkit.files.reading import fit
from vmlkit.files.records import ANY, COUNT, FLAG, NULL, NUMBER, TEXT, Either, Entry, Fixed, Many, Table, checked, shown
from vmlkit.files.tables import check_columns
from vmlkit.runs import read_json, read_parquet
from vmlkit.studies.cells import MADE, MEASURED
from vmlkit.studies.outcomes import metric_outcomes
from vmlkit.studies.storage import by_lines, undone
from vmlkit.training.experiment import Experiment

#: where results of this form lie
STUDIES = RESULTS / "studies"
#: version of the form; in the one before, a cell was an entry of a list
SCHEMA, EARLIER = 3, 2
#: bytes of a table; those of whole studies have a thousandth of it
LARGEST = 2**28
#: begins the name of a measure of dependence on validation at the last epoch
BY_SENTENCE = "dependence/"
COLUMNS = {"row": "text", "seed": "whole", "query": "whole", "video": "text"}
RECORD = Entry(
    {
        **dict.fromkeys(("command", "outcomes"), TEXT),
        "dirty": FLAG,
        "metrics": Many(TEXT),
        "primary": Many(TEXT),
        "claims": Many(Entry(dict.fromkeys(("text", "better", "worse", "metric"), TEXT))),
        "rows": Table(Entry({"selection": TEXT}, {"settings": Table(ANY), "like": TEXT, "changed": Table(ANY)})),
        "baselines": Table(TEXT),
        "missing": Many(Fixed(TEXT, COUNT)),
        "made": Many(Entry(MADE)),
        "cells": Many(
            Entry(
                {"row": TEXT, "seed": COUNT, "made": COUNT, **MEASURED},
                {"dependence": Table(Table(Either(NUMBER, NULL)))},
            )
        ),
    },
    dict.fromkeys(("study", "title", "note", "study_hash"), TEXT),
)


@dataclass(frozen=True)
class Results:
    """The results of a study."""

    path: Path  #: of the JSON file
    record: dict[str, Any] = field(repr=False)
    #: ``row`` (category), ``seed`` (int16), ``query`` (int32), ``video`` (category), outcomes (float16, int16)
    outcomes: pd.DataFrame = field(repr=False)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A line a cell: ``row, seed, chosen_epoch, seconds_per_epoch, validation, test, dependence, made``."""
        return pd.DataFrame(self.record["cells"])

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows, baselines not among them."""
        return tuple(self.record["rows"])

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines."""
        return tuple(self.record["baselines"])

    def settings(self, row: str) -> dict[str, Any]:
        """The settings of a row in full."""
        own = self.record["rows"][row]
        return (
            undone(self.record["rows"][own["like"]]["settings"], own["changed"]) if "like" in own else own["settings"]
        )

    def experiment(self, row: str) -> Experiment:
        """The experiment of a row; a setting that came later has its default.

        Raises:
            ConfigError: for a setting that no longer exists.
        """
        return experiment_of_settings(self.settings(row))

    def of(self, row: str) -> pd.DataFrame:
        """The outcomes of one row or baseline.

        Raises:
            ConfigError: for a name that is neither.
        """
        found = self.outcomes[self.outcomes["row"] == row]
        if not len(found):
            raise ConfigError(f"{self.path}: no row or baseline {shown(row)}")
        return found

    def metric(self, row: str, metric: str) -> pd.DataFrame | None:
        """The outcomes whose mean is the metric, see :func:`vmlkit.studies.outcomes.metric_outcomes`."""
        return metric_outcomes(self.of(row), metric)

    def values(self, row: str, metric: str) -> dict[int, float]:
        """The metric of a row or baseline by seed, as fractions: the mean of its outcomes, else a number of its cells.

        That is one of ``test``, or ``dependence/NAME``, on validation at the last epoch.

        Raises:
            ConfigError: for a name that is neither.
            DataError: for a metric that the study does not keep.
        """
        found = self.metric(row, metric)
        if found is not None:
            return {int(seed): float(value) for seed, value in found.groupby("seed")["value"].mean().items()}
        cells = [cell for cell in self.record["cells"] if cell["row"] == row]
        kept = {int(cell["seed"]): _numbers(cell, metric) for cell in cells}
        name = metric.removeprefix(BY_SENTENCE)
        if not kept or any(numbers.get(name) is None for numbers in kept.values()):
            raise DataError(self.path, f"keeps no '{metric}' of '{row}'", "add it to the study's metrics")
        return {seed: numbers[name] for seed, numbers in kept.items()}

    @cached_property
    def origins(self) -> dict[tuple[str, int], str]:
        """The device, processor and torch that computed each cell, by the hash of its settings and its seed."""
        made, rows = [_origin(one) for one in self.record["made"]], self.record["rows"]
        names = ((rows.get(cell["row"], {}).get("hash", cell["row"]), cell) for cell in self.record["cells"])
        return {(name, cell["seed"]): made[cell["made"]] for name, cell in names}

    @property
    def provenance(self) -> str:
        """One line: command, cells by what computed them, versions, revisions; and what was not as it should be."""
        made = self.record["made"]
        parts = [f"`{self.record['command']}`", told(self.origins)]
        names = dict.fromkeys(name for one in made for name in one["versions"] if name != "torch")
        versions = {name: _each(made, lambda m, name=name: m["versions"].get(name, "?")) for name in names}
        parts += [", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items())] if versions else []
        parts += [
            f"revision {revision[:10]}"
            for revision in _each(made, lambda m: str(m["revision"]).removesuffix("+changes"))
        ]
        parts += [
            f"words: {words}" for words in dict.fromkeys(c["words"] for c in self.record["cells"] if "words" in c)
        ]
        if self.record["dirty"]:
            parts.append("**with changes that no revision names**")
        if self.record["missing"]:
            parts.append(f"**{len(self.record['missing'])} cells are missing**")
        return "; ".join(parts)


def _numbers(cell: Mapping[str, Any], metric: str) -> dict[str, float]:
    """Those of a cell among which the metric is."""
    found: dict[str, float] = (
        cell.get("dependence", {}).get("end", {}) if metric.startswith(BY_SENTENCE) else cell["test"]
    )
    return found


def _each(made: list[dict[str, Any]], text: Any) -> list[str]:
    return list(dict.fromkeys(text(one) for one in made))


def _origin(made: Mapping[str, Any]) -> str:
    hardware = made["hardware"]
    processor = ", ".join(str(hardware[key]) for key in ("processor", "capability") if hardware.get(key))
    device = f"{hardware['accelerator']} beside {processor}" if hardware.get("accelerator") else processor
    return f"{device}, torch {made['versions'].get('torch', '?')}"


def told(origins: Mapping[tuple[str, int], str]) -> str:
    """How many cells each origin of :attr:`Results.origins` computed, most first.

    >>> told({("a", 0): "a card, torch 2", ("b", 0): "a processor, torch 2", ("b", 1): "a processor, torch 2"})
    '2 cells on a processor, torch 2; 1 cell on a card, torch 2'
    """
    counts = Counter(origins.values()).most_common()
    return "; ".join(f"{count:,} cell{'s' if count > 1 else ''} on {origin}" for origin, count in counts)


def load_results(name: str, results: Path = STUDIES) -> Results:
    """The results of a study: of the folder, or those that came with the package.

    Raises:
        DataError: if there are none, with the command that makes them, or they are of another form or damaged.
    """
    path = shipped(Path(results) / f"{name}.json")
    if not path.is_file():
        raise DataError(path, "there are no results of this study", f"run `vmlkit study run {name}`")
    record = read_json(path)
    version = record.get("schema") if isinstance(record, dict) else None
    if version not in (SCHEMA, EARLIER):
        what = f"has schema version {version!r}, and this vmlkit reads version {SCHEMA}"
        raise DataError(path, what, f"measure the study again with `vmlkit study run {name}`")
    if version == SCHEMA:
        try:
            record["cells"] = by_lines(record.get("cells"))
        except ValueError as error:
            what = f"the table 'cells' {error}"
            raise DataError(path, what, f"restore it, or run `vmlkit study run {name}`") from None
    checked(record, RECORD, path)
    if (fault := _incoherent(record)) is not None:
        raise DataError(path, fault, f"restore it, or run `vmlkit study run {name}`")
    # its words become parts of pages; what could be an element there is nobody's row or claim
    if (found := re.search(r"<[A-Za-z/!?][^\"]{,40}", json.dumps(record, ensure_ascii=False))) is not None:
        raise DataError(path, f"has markup in its text ({shown(found[0])})", "restore it, or write plain words")
    table = path.with_suffix(".parquet")
    if table.is_file():
        fit(table, table.stat().st_size, most=LARGEST)  # before the hash of it is taken
    if not table.is_file() or file_digest(table) != record["outcomes"]:
        again = f"restore both, or run `vmlkit study run {name}`, which writes them from the cells that it keeps"
        raise DataError(table, "is not the table that belongs to the JSON file beside it", again)
    remedy = f"restore it, or run `vmlkit study run {name}`"
    outcomes = read_parquet(table, COLUMNS)
    kept = [column for column in outcomes if column not in COLUMNS and column != "group"]
    check_columns(outcomes, dict.fromkeys(kept, "number"), table, remedy)
    if (row := _with_holes(outcomes, kept)) is not None:
        raise DataError(table, f"lacks numbers of some questions of the row '{row}'", remedy)
    return Results(path, record, outcomes)


def _incoherent(record: dict[str, Any]) -> str | None:
    """A row without settings, or a cell of no row or of no machine."""
    rows = record["rows"]
    for name, row in rows.items():
        base = rows.get(row["like"], {}) if "like" in row else row
        if "settings" not in base or ("like" in row and "changed" not in row):
            return f"has no settings of the row {shown(name)}"
    wrong = next((c for c in record["cells"] if c["row"] not in rows or c["made"] >= len(record["made"])), None)
    return (
        None if wrong is None else f"has a cell of the row {shown(wrong['row'])}, which is not there, or of no machine"
    )


def _with_holes(outcomes: pd.DataFrame, kept: Iterable[str]) -> str | None:
    """A row without outcomes, or with one for some questions of a seed alone; a further draw may say nothing new."""
    first = [name for name in kept if ", draw " not in name]
    told = outcomes[first].notna().groupby([outcomes["row"], outcomes["seed"]], observed=True)
    holes = (told.any() & ~told.all()).any(axis=1) | ~told.any().any(axis=1)
    return str(holes.index[holes.to_numpy().argmax()][0]) if first and holes.any() else None


def studies_in(folder: Path) -> Iterator[str]:
    """Names of the studies of which a folder holds results."""
    yield from sorted(path.stem for path in Path(folder).glob("*.json") if path.with_suffix(".parquet").is_file())
