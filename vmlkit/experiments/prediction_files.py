"""What the layouts of predictions share: endings, what may be done to answers, tables, and reading names back."""

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vmlkit.errors import ConfigError, DataError
from vmlkit.files import read_text, write_text
from vmlkit.files.records import shown
from vmlkit.files.tables import csv_rows


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Post-processing of answers before they are written; without any they are what the run's metrics score.

    Raises:
        ConfigError: for a number out of range.
    """

    #: windows are cut to the video and rounded to whole clips of so many seconds, and there is a score for each clip
    clip_length: float | None = None
    #: a worse answer that overlaps a better one with more than this IoU goes: of the first ten windows of a query, or
    #: of the detections of one class in a video
    nms: float | None = None
    top: int | None = None  #: the best so many of a query; of actions: of a video

    def __post_init__(self) -> None:
        if self.clip_length is not None and self.clip_length <= 0:
            raise ConfigError(f"--clip-length is {self.clip_length:g}: a clip lasts more than 0 seconds")
        if self.nms is not None and not 0 <= self.nms <= 1:
            raise ConfigError(f"--nms is {self.nms:g}: an IoU lies between 0 and 1")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"--top is {self.top}: keep at least one answer")

    def only(self, what: str, *names: str) -> None:
        """Refuse a change that is not among ``names``, which act on answers that are ``what``."""
        wrong = next((f.name for f in fields(self) if getattr(self, f.name) is not None and f.name not in names), None)
        if wrong is not None:
            raise ConfigError(f"--{wrong.replace('_', '-')} does nothing to {what}: leave it out")


def kind_of(path: Path, kinds: Sequence[str]) -> str:
    """The ending of a file, without ``.gz``.

    Raises:
        ConfigError: for one that is not among ``kinds``.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in kinds:
        raise ConfigError(f"{path}: predictions of this run are written and read as {' or '.join(kinds)}, or with .gz")
    return suffix


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file with a header; floats keep all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields of each row.

    Raises:
        DataError: for a table without one of ``columns``, or a row with another number of fields.
    """
    for line, row in csv_rows(read_text(path), path, f"give {', '.join(columns)}", columns):
        if None in row or None in row.values():
            raise DataError(path, f"line {line} has another number of fields", "write one per column")
        yield line, row


def number(path: Path, line: int, row: Mapping[str, str], name: str) -> float:
    """A finite number of a row of a table.

    Raises:
        DataError: naming line and column.
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(found := float(row[name])):
            return found
    raise DataError(path, f"line {line}: '{name}' is {shown(row[name])}", "write a finite number")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records))


def places(path: Path, found: Iterable[Any], names: Sequence[Any], what: str, complete: bool = True) -> list[int]:
    """Position among ``names`` of each name that a file has, compared as text.

    Raises:
        DataError: for a name that is not there, or, where the file must be ``complete``, one that the file lacks.
    """
    position = {str(name): i for i, name in enumerate(names)}
    chosen = []
    for name in found:
        if str(name) not in position:
            raise DataError(path, f"the {what} '{name}' is not one of this split", "choose the split with --split")
        chosen.append(position[str(name)])
    if complete and len(set(chosen)) < len(names):
        there = set(chosen)
        gone = next(name for i, name in enumerate(names) if i not in there)
        raise DataError(path, f"has no prediction for the {what} '{gone}'", "predict the whole split")
    return chosen
