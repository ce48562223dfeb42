"""Answers that never look at a video, in the columns of the published tables: read from ``priors/``, never typed.

``vmlkit priors SOURCE --json FILE`` makes the files from annotations that circulate, whose SHA-256 they hold.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from vmlkit.tables.records import PublishedTable

#: of the ways of counting (:mod:`vmlkit.experiments.priors`), those that stand beside published numbers
BESIDE = ("released", "official", "seconds")
#: priors that use neither the training moments, which weakly supervised methods do not see, nor any class
BLIND = ("uniform random", "two uniform random points", "whole video", "uniform random segments")


@cache
def records() -> dict[str, Mapping[str, Any]]:
    """The committed priors by data set."""
    places = sorted((p for p in files("vmlkit.tables").joinpath("priors").iterdir() if p.name.endswith(".json")),
                    key=lambda p: p.name)  # fmt: skip
    found = (json.loads(place.read_text(encoding="utf-8")) for place in places)
    return {record["source"]: record for record in found}


def part(data: str, split: str) -> Mapping[str, Any] | None:
    """The priors of one part of a data set as they stand beside published numbers; None where there are none."""
    parts = records().get(data, {"parts": ()})["parts"]
    return next((p for p in parts if p["split"] == split and p["convention"] in BESIDE), None)


def beside(table: PublishedTable) -> pd.DataFrame:
    """Percent of every prior in the columns of a table, NaN where it has none; empty where none has any.

    >>> from vmlkit.tables import load
    >>> beside(load("P0/3")).loc["whole video"].round(2).tolist()
    [48.02, 34.57, 48.02, 34.57]
    """
    values = []
    for column in table.columns:
        found = part(column.data, column.split) if column.unit == "%" else None
        cells = {} if found is None else {name: row.get(column.metric) for name, row in found["percent"].items()}
        values.append(pd.Series(cells, dtype=float))
    frame = pd.concat(values, axis=1, sort=False) if values else pd.DataFrame()
    frame.columns = table.frame().columns
    return frame.dropna(how="all")


def below(table: PublishedTable, *, blind: bool) -> pd.Series:
    """How many published cells of every column lie below its best prior; empty where there is no prior.

    Args:
        blind: of the priors that know no label (:data:`BLIND`); else of those fitted on the training moments.
    """
    priors = beside(table)
    priors = priors[priors.index.isin(BLIND) == blind]
    if priors.empty:
        return pd.Series(dtype=int)
    return (table.frame() < priors.max()).sum()


def counts(table: PublishedTable) -> list[str]:
    """One line for each data set of a table: the file, how many queries it has, and what that number means."""
    lines = []
    for data, split in dict.fromkeys((c.data, c.split) for c in table.columns):
        found = part(data, split)
        if found is not None:
            gone = "".join(f", {count:,} left out: {why}" for why, count in found["left_out"].items())
            said = "".join(f"; {note}" for note in found["notes"])
            lines.append(f"{data} {split}: {found['scored']:,} of {found['file']}{gone}{said}")
    return lines
