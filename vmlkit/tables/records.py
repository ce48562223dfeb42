"""Published tables and figures: one record each, read from ``pN.json`` beside this file and checked as it is read.

A record holds the cells of the paper as numbers, in the unit of their column, and null where the paper has a dash.
Captions are in our own words.  Of a figure only the numbers that the paper's text gives are entered; ``drawn`` says
what is in the picture alone.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import pandas as pd

from vmlkit import papers
from vmlkit.errors import ConfigError, DataError

#: unit -> the values that a cell may have
UNITS: Mapping[str, tuple[float, float]] = {
    "%": (0, 100),
    "points": (-100, 100),
    "probability": (0, 1),
    "similarity": (-1, 1),
    "rank": (1, float("inf")),
    **dict.fromkeys(("count", "words", "ms", "s", "h"), (0, float("inf"))),
}
KINDS = ("comparison", "ablation", "statistics", "cost", "numbers", "example", "figure")
#: whose result a row is: measured by this paper, cited from another, or of another method run again by this paper
AUTHORS = ("paper", "cited", "reproduced")
#: pictures of single questions: windows over the epochs; signals and windows a row; a sentence's weights; similarities
PICTURES = ("epochs", "signals", "importance", "similarities")
#: how far the sum of a column may be from the sum that the record states: half of the last digit
_SLACK = 5e-4


@dataclass(frozen=True, kw_only=True)
class Column:
    """What the cells of a column are."""

    metric: str  #: as a run names it, such as ``R@1,IoU=0.5``
    unit: str  #: one of :data:`UNITS`
    split: str  #: part of the data, such as ``test`` or ``val_2``
    data: str = ""  #: as ``--data`` takes it; empty where the rows are about several
    host: str = ""  #: the method that a row's loss is added to, where the table has several side by side

    def __str__(self) -> str:
        return " ".join(filter(None, (self.data, self.split if self.data else "", self.host, self.metric)))


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One line of a table."""

    name: str  #: as printed; described where the table has marks in place of names
    by: str  #: one of :data:`AUTHORS`
    cells: tuple[float | None, ...]  #: None where the paper has a dash
    method: str = ""  #: of :data:`vmlkit.methods.METHODS`; empty where vmlkit lacks it or its columns are of several
    set: Mapping[str, Any] = field(default_factory=dict)  #: settings that make the row of the method's preset
    #: parts of it that are those of another method's preset on the same data, by setting
    take: Mapping[str, str] = field(default_factory=dict)
    data: str = ""  #: the data set that the row is about, where rows are about several
    group: str = ""  #: what lines are grouped by, such as their features
    factors: tuple[Any, ...] = ()  #: values of the table's ``factors``
    measured: tuple[tuple[str, str], ...] = ()  #: (study, row) pairs of vmlkit that have this line


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a figure draws: rows that the paper's text gives no numbers of, and the metrics of each."""

    metrics: tuple[str, ...]
    rows: tuple[PublishedRow, ...]  #: without cells
    over: str = ""  #: "epochs": the metrics by epoch, on validation
    picture: str = ""  #: of single questions, one of :data:`PICTURES`


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """A table or figure of a paper."""

    id: str  #: such as ``P0/3`` or ``P2/fig3``
    label: str  #: the citation that has it, such as ``P0 Table 3``
    kind: str  #: one of :data:`KINDS`
    about: str  #: what it shows
    data: tuple[str, ...]  #: the data sets that it is about, as ``--data`` takes them
    features: str  #: what the paper's rows were trained on
    factors: tuple[str, ...]  #: names of what an ablation varies
    size: Mapping[str, int]  #: rows and columns, counted in the paper
    sums: tuple[float, ...]  #: of each column, added up in the paper
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...]  #: contradictions within the paper, with another paper, or with its own text
    text: str  #: what the extraction of the paper's text garbled, and how it was settled
    drawn: str  #: what is only drawn
    hosts: Mapping[str, str] = field(default_factory=dict)  #: the method of each ``host`` of the columns
    #: settings of every row on a source, such as those that give the toy world a test split of two groups
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    draws: Drawn | None = None  #: what a figure draws, where it is made of numbers
    texts: Mapping[str, str] = field(default_factory=dict)  #: by row, of an example of texts; "anchor" is the original
    see: str = ""  #: what shows or measures that which no training of rows does

    @property
    def paper(self) -> str:
        """``P0`` to ``P4``."""
        return self.id.partition("/")[0]

    @property
    def lines(self) -> tuple[PublishedRow, ...]:
        """The published rows, or, of a figure that is made of numbers, what it draws."""
        return self.rows if self.draws is None else self.draws.rows

    def frame(self) -> pd.DataFrame:
        """The cells as numbers, NaN for a dash; rows by group, name and factors, columns by data set and metric."""
        levels = {"group": [row.group for row in self.rows], "row": [row.name for row in self.rows]}
        for i, factor in enumerate(self.factors):
            levels[factor] = [row.factors[i] for row in self.rows]
        if not any(levels["group"]):
            del levels["group"]
        index = pd.MultiIndex.from_arrays(list(levels.values()), names=list(levels))
        heads = [(" ".join(filter(None, (c.data, c.split, c.host))), c.metric) for c in self.columns]
        columns = pd.MultiIndex.from_tuples(heads, names=["data", "metric"]) if heads else None
        cells = [row.cells for row in self.rows]
        return pd.DataFrame(cells, index=index if len(levels) > 1 else index.get_level_values(0), columns=columns,
                            dtype=float)  # fmt: skip


@cache
def every() -> tuple[PublishedTable, ...]:
    """All tables and figures, paper by paper, in the paper's order.

    Raises:
        DataError: for a record that is not consistent; it names the file, the table and the field.
    """
    found = tuple(table for key in papers.papers() for table in read(key))
    twice = [name for name, count in Counter(table.id for table in found).items() if count > 1]
    if twice:
        raise DataError("the published tables", f"'{twice[0]}' stands there twice", "give each its own id")
    return found


def load(name: str) -> PublishedTable:
    """The table of this id.

    >>> load("P0/5a").rows[1].cells
    (38.49, 61.72)

    Raises:
        ConfigError: for an unknown id, or one that stands for several.
    """
    found = find(name)
    if len(found) > 1:
        raise ConfigError(f"'{name}' stands for several tables: choose one of {', '.join(t.id for t in found)}")
    return found[0]


def find(name: str) -> tuple[PublishedTable, ...]:
    """The tables that an id, a table in parts or a paper stands for; a label of a citation works as well.

    >>> [table.id for table in find("P0/5")], len(find("P1")), find("P2 Fig. 3")[0].id
    (['P0/5a', 'P0/5b', 'P0/5c'], 6, 'P2/fig3')

    Raises:
        ConfigError: for one that does not exist.
    """
    parts = re.compile(rf"{re.escape(name)}[a-z]?", re.IGNORECASE)
    tables = every()
    found = tuple(t for t in tables if t.id.lower() == name.lower()) or tuple(
        t for t in tables if parts.fullmatch(t.id) or parts.fullmatch(t.label) or t.paper == name.upper()
    )
    if not found:
        own = [t.id for t in tables if t.paper == name[:2].upper()]
        choices = ", ".join(own) if own else "the papers P0 to P4, or such as P0/3"
        raise ConfigError(f"there is no published table '{name}': choose one of {choices}")
    return found


def read(key: str) -> Iterator[PublishedTable]:
    """The checked records of a paper's file."""
    place = files("vmlkit.tables").joinpath(f"{key.lower()}.json")
    for record in json.loads(place.read_text(encoding="utf-8"))["tables"]:
        yield table_of(record, f"{key.lower()}.json")


def captions(key: str) -> str:
    """Whether a paper's captions stand ``above`` or ``below`` its tables."""
    record = json.loads(files("vmlkit.tables").joinpath(f"{key.lower()}.json").read_text(encoding="utf-8"))
    return str(record["captions"])


def table_of(record: Mapping[str, Any], file: str) -> PublishedTable:
    """A record as a table.

    Raises:
        DataError: where a field is missing or unknown, or what is checked in :func:`_wrong` does not hold.
    """
    where = f"{file}: {record.get('id', 'a table without id')}"
    try:
        parts: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in record.items()}
        parts["columns"] = tuple(Column(**column) for column in record["columns"])
        parts["rows"] = tuple(_row(row) for row in record["rows"])
        if "draws" in record:
            parts["draws"] = _drawn(record["draws"])
        table = PublishedTable(**parts)
    except (TypeError, KeyError) as error:
        raise DataError(where, f"its fields are not those of a table ({error})", "see PublishedTable") from error
    for wrong in _wrong(table):
        raise DataError(where, wrong, "compare the record with the paper")
    return table


def _row(record: Mapping[str, Any]) -> PublishedRow:
    row: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    row["measured"] = tuple((study, name) for study, name in row.get("measured", ()))
    return PublishedRow(**row)


def _drawn(record: Mapping[str, Any]) -> Drawn:
    """``rows`` one by one, or a ``grid``: of a ``method``, every combination of the values of some settings.

    ``measured`` has the rows of studies that are a combination, by its name.
    """
    given = list(record.get("rows", ()))
    grid: Mapping[str, Any] = record.get("grid", {})
    for values in product(*grid.values()) if grid else ():
        name = ", ".join(f"{key.rpartition('.')[2]} {value:g}" for key, value in zip(grid, values, strict=True))
        chosen = dict(zip(grid, values, strict=True))
        measured = record.get("measured", {}).get(name, ())
        given.append({"name": name, "method": record["method"], "set": chosen, "measured": measured})
    rows = tuple(_row({"by": "paper", "cells": [], **row}) for row in given)
    kind = {key: record[key] for key in ("over", "picture") if key in record}
    return Drawn(metrics=tuple(record["metrics"]), rows=rows, **kind)


def _wrong(table: PublishedTable) -> Iterator[str]:
    """What is not consistent: names, sizes, units, ranges, sums."""
    key, _, number = table.id.partition("/")
    if key not in papers.papers() or not number or not table.label.startswith(f"{key} "):
        yield f"its id and its label '{table.label}' are not of one paper"
    papers.label(table.label)
    if table.kind not in KINDS:
        yield f"its kind '{table.kind}' is none of {', '.join(KINDS)}"
    if table.draws and (table.draws.over not in ("", "epochs") or table.draws.picture not in ("", *PICTURES)):
        yield f"it draws over '{table.draws.over}' a picture '{table.draws.picture}', which nothing draws"
    if not table.rows and not table.drawn:
        yield "it has neither rows nor a word about what is drawn"
    if strange := {column.data for column in table.columns if column.data} - set(table.data):
        yield f"its columns are about {', '.join(sorted(strange))}, which its data do not name"
    if table.size != {"rows": len(table.rows), "columns": len(table.columns)}:
        yield f"it has {len(table.rows)} rows and {len(table.columns)} columns, and its size says {table.size}"
    names = Counter((row.group, row.name, row.factors) for row in table.rows)
    yield from (f"the row '{name}' stands there twice" for (_, name, _), count in names.items() if count > 1)
    for row in table.rows:
        yield from _wrong_row(table, row)
    for i, column in enumerate(table.columns):
        total = sum(row.cells[i] or 0 for row in table.rows)
        if len(table.sums) != len(table.columns) or abs(total - table.sums[i]) > _SLACK:
            yield f"the column '{column}' adds up to {total:g}, and its sums are {table.sums}"


def _wrong_row(table: PublishedTable, row: PublishedRow) -> Iterator[str]:
    if row.by not in AUTHORS:
        yield f"the row '{row.name}' is by '{row.by}', which is none of {', '.join(AUTHORS)}"
    if len(row.cells) != len(table.columns) or len(row.factors) != len(table.factors):
        yield f"the row '{row.name}' has {len(row.cells)} cells and {len(row.factors)} factors"
        return
    for column, cell in zip(table.columns, row.cells, strict=True):
        if column.unit not in UNITS:
            yield f"the unit '{column.unit}' is none of {', '.join(UNITS)}"
        elif cell is not None and not UNITS[column.unit][0] <= cell <= UNITS[column.unit][1]:
            yield f"the row '{row.name}' has {cell:g} in the column '{column}', which is no value in {column.unit}"
