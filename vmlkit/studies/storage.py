"""How results are packed into two small files: a parquet table of a byte or so an outcome, and JSON by lines."""

import json
from collections.abc import Mapping
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
    """Write JSON with a line for each entry of the lists and tables at the top, so that a change shows where it is."""
    lines = []
    for key, value in plain(record).items():
        if isinstance(value, list) and value:
            lines.append(f"{_text(key)}: [\n" + ",\n".join(f"  {_text(item)}" for item in value) + "\n ]")
        elif isinstance(value, dict) and value:
            items = (f"  {_text(name)}: {_text(item)}" for name, item in value.items())
            lines.append(f"{_text(key)}: {{\n" + ",\n".join(items) + "\n }")
        else:
            lines.append(f"{_text(key)}: {_text(value)}")
    write_text(path, "{\n " + ",\n ".join(lines) + "\n}\n")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


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
