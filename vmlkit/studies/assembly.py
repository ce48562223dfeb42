"""From cells to the two files of a study's results, and several such pairs into one.

Cells come from the folder of this machine and from results that are there already: those of the repository, or of
another machine.  A cell belongs to a study if the settings of its row are the row's and it answered the same test
split.  The first of two copies of a cell is kept.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vmlkit.config import to_dict
from vmlkit.errors import ConfigError, DataError
from vmlkit.files import file_digest
from vmlkit.provenance import CHANGES
from vmlkit.studies.cells import Cell, Store, cells_of
from vmlkit.studies.outcomes import stored_influence
from vmlkit.studies.results import SCHEMA, Results, load_results
from vmlkit.studies.storage import changes, write_outcomes, write_record
from vmlkit.training.study import Study

#: of the JSON file, what a cell has
KEPT = ("chosen_epoch", "seconds_per_epoch", "validation", "test", "words", "made")
#: measures of dependence that are kept of an answer and of negatives, at the turn and at the end, of every study
DEPENDENCE = ("center R2", "center R2, exchanged", "own IoU", "others' IoU")


@dataclass
class Measured:
    """Cells of a study from any source, and what was said about those that were left out."""

    study: Study
    summaries: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    frames: dict[tuple[str, int], pd.DataFrame] = field(default_factory=dict)
    selections: dict[str, str] = field(default_factory=dict)
    #: outcomes of baselines by the row on whose training split they were fitted
    baselines: dict[str, pd.DataFrame] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def add(self, row: str, seed: int, summary: dict[str, Any], frame: pd.DataFrame, source: object) -> None:
        """A cell; of two copies that differ, the first stays.

        Raises:
            DataError: where it answered another test split than the others.
        """
        first = next(iter(self.frames.values()), None)
        if first is not None and list(first["video"].astype(str)) != list(frame["video"].astype(str)):
            what = f"'{row}', seed {seed}, answered another test split than the cells before it"
            raise DataError(source, what, "measure all cells of a study on the same data")
        if (row, seed) not in self.frames:
            self.summaries[row, seed], self.frames[row, seed] = summary, frame
        elif not _same(self.frames[row, seed], frame):
            self.said.append(f"'{row}', seed {seed}: {source} has other numbers, and the first are kept")


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    shared = [name for name in one.columns if name in other.columns and name not in ("row", "seed", "video", "group")]
    here, there = (_narrow(frame[shared]).to_numpy(np.float64) for frame in (one, other))
    return np.array_equal(here, there, equal_nan=True)


def _narrow(frame: pd.DataFrame) -> pd.DataFrame:
    """With influences as files of results have them."""
    return frame.assign(**{name: stored_influence(frame[name]) for name in frame if str(name).startswith("mAP@")})


def add_cells(measured: Measured, store: Store, cells: Sequence[Cell]) -> None:
    """Every finished cell of the folder."""
    for cell in cells:
        summary = store.summary(cell)
        if summary is None:
            continue
        name = cell.row.name
        measured.add(name, cell.seed, summary, store.outcomes(cell), store.folder(cell))
        measured.selections.setdefault(name, summary["selection"])
        if name not in measured.baselines and (frame := store.baselines(summary["baselines"])) is not None:
            measured.baselines[name] = frame


def add_results(measured: Measured, results: Results, *, strict: bool) -> None:
    """Every cell of a pair of files whose row is one of the study.

    Args:
        strict: refuse rows with other settings; otherwise they are left out, and said.

    Raises:
        ConfigError: for such a row where ``strict``.
    """
    experiments = {row.name: row.experiment for row in measured.study.rows}
    frames = dict(list(results.outcomes.groupby(["row", "seed"], observed=True)))
    for name in results.rows:
        if name not in experiments or results.experiment(name) != experiments[name]:
            what = f"{results.path}: the row '{name}' was measured with settings that it does not have now"
            if strict:
                raise ConfigError(f"{what}: measure it again, or leave that file out")
            measured.said.append(f"{what}; its cells are left out")
            continue
        measured.selections.setdefault(name, results.record["rows"][name]["selection"])
        for cell in results.record["cells"]:
            if cell["row"] == name:
                made = results.record["made"][cell["made"]]
                if (name, cell["seed"]) not in frames:
                    what = f"has no outcomes of the row '{name}' with seed {cell['seed']}"
                    raise DataError(results.path.with_suffix(".parquet"), what, "restore both files")
                frame = frames[name, cell["seed"]].drop(columns=["row", "seed"])
                measured.add(name, cell["seed"], {**cell, "made": made}, frame, results.path)
    for name, of in results.record["baselines"].items():
        if of in measured.selections:
            own = results.of(name).assign(row=name.removesuffix(f" ({of})"))
            earlier = measured.baselines.get(of)
            if earlier is None:
                measured.baselines[of] = own
            elif name not in set(earlier["row"]):
                measured.baselines[of] = pd.concat([earlier, own], ignore_index=True)


def study_hash(study: Study) -> str:
    """Twelve digits that change when a row, a claim or the plan of seeds does: the study as it stands."""
    text = json.dumps([_rows(study), [dataclasses.asdict(c) for c in study.claims], study.primary, study.metrics])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _rows(study: Study) -> list[tuple[str, dict[str, Any], tuple[int, ...]]]:
    return [(row.name, to_dict(row.experiment), study.seeds_of(row.name)) for row in study.rows]


def write_results(measured: Measured, folder: Path) -> Path:
    """Write both files; the JSON last.

    Raises:
        DataError: where no cell is finished.
    """
    study = measured.study
    if not measured.frames:
        raise DataError(study.name, "no cell is finished", f"run `vmlkit study run {study.name}`")
    order = sorted(measured.frames, key=lambda key: (_place(study, key[0]), key[1]))
    baselines, named = _baselines(measured)
    parts = [measured.frames[key].assign(row=key[0], seed=key[1]) for key in order]
    table = _table(study, [*parts, *baselines])
    path = Path(folder) / f"{study.name}.json"
    write_outcomes(path.with_suffix(".parquet"), table)
    made: list[dict[str, Any]] = []
    cells = [_cell(measured.summaries[key], key, study, made) for key in order]
    record = {
        "schema": SCHEMA,
        "study": study.name,
        "title": study.title,
        "note": study.note,
        "command": study.command or f"vmlkit study run {study.name}",
        "study_hash": study_hash(study),
        "outcomes": file_digest(path.with_suffix(".parquet")),
        "dirty": any(CHANGES in f"{one['revision']} {one['revisions']}" for one in made),
        "metrics": study.metrics,
        "primary": study.primary,
        "claims": [_claim(claim) for claim in study.claims],
        "rows": _row_records(measured),
        "baselines": named,
        "missing": [[c.row.name, c.seed] for c in cells_of(study) if (c.row.name, c.seed) not in measured.frames],
        "made": made,
        "cells": cells,
    }
    write_record(path, record)
    return path


def _place(study: Study, row: str) -> int:
    return [each.name for each in study.rows].index(row)


def _metrics(study: Study) -> list[str]:
    """Those that the study shows or claims."""
    return list(dict.fromkeys((*study.metrics, *(claim.metric for claim in study.claims))))


def _claim(claim: Any) -> dict[str, Any]:
    written = dataclasses.asdict(claim)
    return {("class" if name == "kind" else name): value for name, value in written.items()}


def _cell(summary: dict[str, Any], key: tuple[str, int], study: Study, made: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {name: summary[name] for name in KEPT if name in summary}
    asked = _metrics(study)
    kept["test"] = {name: summary["test"][name] for name in asked if name in summary["test"]}
    curves = {name: values for name, values in summary.get("curves", {}).items() if name in study.curves}
    kept |= {"curves": curves} if curves else {}
    kept["dependence"] = {
        when: {name: value for name, value in measured.items() if _followed(name) or f"dependence/{name}" in asked}
        for when, measured in summary.get("dependence", {}).items()
    }
    if kept["made"] not in made:
        made.append(kept["made"])
    return {"row": key[0], "seed": key[1], **kept, "made": made.index(kept["made"])}


def _followed(name: str) -> bool:
    role, _, measure = name.partition(" ")
    return name == "epoch" or (role in ("chosen", "negative") and measure in DEPENDENCE)


def _row_records(measured: Measured) -> dict[str, dict[str, Any]]:
    """Settings of the rows; of rows of the same method, the first in full and of the others what differs."""
    first: dict[str, str] = {}
    written: dict[str, dict[str, Any]] = {}
    settings = {row.name: to_dict(row.experiment) for row in measured.study.rows}
    for row in measured.study.rows:
        seeds = sorted(seed for name, seed in measured.frames if name == row.name)
        if not seeds:
            continue
        own: dict[str, Any] = {
            "hash": Cell(row, 0).hash,
            "published": row.published,
            "selection": measured.selections[row.name],
        }
        base = first.setdefault(row.experiment.method, row.name)
        if base == row.name:
            own["settings"] = settings[row.name]
        else:
            own |= {"like": base, "changed": changes(settings[base], settings[row.name])}
        written[row.name] = {**own, "seeds": seeds}
    return written


def _baselines(measured: Measured) -> tuple[list[pd.DataFrame], dict[str, str]]:
    """Their outcomes once, and by name the row on whose training split each was fitted.

    Of those that chance decides, only what a claim is about: five draws of each take more room than a row.
    """
    claimed = {claim.worse for claim in measured.study.claims}
    frames: dict[str, pd.DataFrame] = {}
    named: dict[str, str] = {}
    for row in measured.study.rows:
        found = measured.baselines.get(row.name)
        for name, frame in found.groupby("row", observed=True) if found is not None else ():
            drawn = set(frame["seed"]) != {-1} and name not in claimed
            if drawn or (name in frames and _same(frames[name], frame)):
                continue
            own = name if name not in frames else f"{name} ({row.name})"
            frames[own], named[own] = frame.assign(row=own), row.name
    return list(frames.values()), named


def _table(study: Study, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All outcomes that the metrics of the study need, in narrow types."""
    metrics = _metrics(study)
    whole = pd.concat([part.assign(video=part["video"].astype(str)) for part in parts], ignore_index=True)
    wanted = [name for name in whole.columns if _needed(name, metrics)]
    types: dict[str, Any] = {"row": "category", "seed": "int16", "query": "int32", "video": "category"}
    types |= {name: "float16" for name in wanted if name.startswith("iou")}
    if "group" in whole:
        types["group"] = "category"
    return _narrow(whole[[*types, *(name for name in wanted if name not in types)]]).astype(types)


def _needed(column: str, metrics: Sequence[str]) -> bool:
    starts = {"iou1": "R@1,", "iou5": "R@5,", "rank": "t2v ", "rank_v2t": "v2t "}
    name = column.partition(", draw ")[0]
    if name in starts:
        return any(metric.startswith(starts[name]) and "mIoN" not in metric for metric in metrics)
    return column in metrics and column.startswith("mAP@")


def known_elsewhere(study: Study, folder: Path, tell: Callable[[str], None]) -> Results | None:
    """Results of the study in the folder; None where there are none, or damaged ones, which is told.

    A kill between the two files leaves a pair that does not belong together; they are written again from the cells.
    """
    if not (Path(folder) / f"{study.name}.json").is_file():
        return None
    try:
        return load_results(study.name, folder)
    except DataError as error:
        tell(f"these results are left out: {error}")
        return None
