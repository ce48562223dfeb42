"""How results are packed into two small files: a parquet table of a byte or so an outcome, and JSON by lines.

In the JSON, cells of the same keys that follow each other are a table by columns, so that no key is written twice.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vmlkit.files import atomic_path, plain, write_text

#: of the table; packing is slow and reading is not
LEVEL = 19


def write_outcomes(path: Path, frame: pd.DataFrame) -> None:
    """Write the table, smallest first: names and IoU by dictionary, numbers of queries as differences, zstd."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    by_dictionary = [name for name in table.column_names if name not in ("query", "seed")]
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=by_dictionary,
            column_encoding={"query": "DELTA_BINARY_PACKED", "seed": "DELTA_BINARY_PACKED"},
            write_statistics=False,
        )


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write JSON with a line for each entry of the lists and tables at the top, so that a change shows where it is.

    ``cells`` are written by columns.
    """
    lines = []
    for key, value in plain(record).items():
        if key == "cells":
            columns = ([f"{_text(name)}: {_text(of)}" for name, of in table.items()] for table in by_columns(value))
            lines.append(
                f"{_text(key)}: [\n" + ",\n".join("  {" + ",\n   ".join(table) + "}" for table in columns) + "\n ]"
            )
        elif isinstance(value, list) and value:
            lines.append(f"{_text(key)}: [\n" + ",\n".join(f"  {_text(item)}" for item in value) + "\n ]")
        elif isinstance(value, dict) and value:
            items = (f"  {_text(name)}: {_text(item)}" for name, item in value.items())
            lines.append(f"{_text(key)}: {{\n" + ",\n".join(items) + "\n }")
        else:
            lines.append(f"{_text(key)}: {_text(value)}")
    write_text(path, "{\n " + ",\n ".join(lines) + "\n}\n")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def by_columns(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A table for each run of entries of the same keys, those of their parts too; what all entries share stands once.

    >>> same = {"row": "A"}
    >>> by_columns([{**same, "test": {"mIoU": 0.3}}, {**same, "test": {"mIoU": 0.4}}, {**same, "test": {}}])
    [{'row': 'A', 'test': {'mIoU': [0.3, 0.4]}}, {'row': ['A'], 'test': [{}]}]
    """
    return [_columns(list(alike)) for _, alike in groupby(lines, key=_keys)]


def _keys(entry: Any) -> Any:
    return {name: _keys(part) for name, part in entry.items()} if isinstance(entry, Mapping) else None


def _columns(lines: list[Mapping[str, Any]]) -> dict[str, Any]:
    columns = {name: [line[name] for line in lines] for name in lines[0]}
    return {name: _columns(of) if isinstance(of[0], Mapping) and of[0] else _shared(of) for name, of in columns.items()}


def _shared(column: list[Any]) -> Any:
    """The one value of a column of equal words or numbers, else the column; of one entry nobody can tell."""
    if len(column) < 2 or any(isinstance(value, list | Mapping) for value in column):
        return column
    return column[0] if len({(type(value), value) for value in column}) == 1 else column


def by_lines(tables: Any) -> list[dict[str, Any]]:
    """The entries of which :func:`by_columns` made the tables.

    Raises:
        ValueError: for what it did not make: no list of tables, or columns that differ in length.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("is no list of tables")
    return [line for table in tables for line in _lines(table, _length(table))]


def _length(table: Any) -> int:
    """How many entries a table has.

    Raises:
        ValueError: where its columns differ in length, or none of them says it.
    """
    lengths, parts = set[int](), [table]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            lengths.add(len(part))
        parts += part.values() if isinstance(part, dict) else ()
    if len(lengths) != 1:
        raise ValueError("has columns that differ in length" if lengths else "has something else than a column")
    return lengths.pop()


def _lines(column: Any, length: int) -> list[Any]:
    if isinstance(column, list):
        return column
    if not isinstance(column, dict):
        return [column] * length
    columns = {name: _lines(part, length) for name, part in column.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def changes(there: Any, here: Any, path: str = "") -> dict[str, Any]:
    """What makes ``here`` of ``there``, by dotted key; where the names of two parts differ, the whole part.

    >>> changes({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 5, "d": 3}})
    {'b.c': 5}
    """
    if isinstance(there, dict) and isinstance(here, dict) and there.keys() == here.keys():
        found: dict[str, Any] = {}
        for name in here:
            found |= changes(there[name], here[name], f"{path}.{name}" if path else name)
        return found
    return {} if there == here else {path: here}


def undone(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what is ``changed``.

    >>> undone({"a": 1, "b": {"c": 2, "d": 3}}, {"b.c": 5})
    {'a': 1, 'b': {'c': 5, 'd': 3}}
    """
    made = dict(base)
    for path, value in changed.items():
        name, _, rest = path.partition(".")
        made[name] = undone(made[name], {rest: value}) if rest else value
    return made
