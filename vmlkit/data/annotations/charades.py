"""Sentences with spans: the JSON list of CNM, CPL and PPS, and the original Charades-STA text.

The JSON layout ``[video id, duration, [start, end], sentence]`` is also that of the ActivityNet Captions files of
these projects; files of other layouts are read too where :mod:`vmlkit.data.annotations.layouts` has a reader.  The text
layout, one ``id start end##sentence`` a line, carries no durations; they come from the ``length`` column of the
Charades CSV files or from a JSON mapping.  Times are seconds throughout.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vmlkit.data.annotations.foreign import Row
from vmlkit.data.annotations.layouts import CNM, layout_of, rows_in
from vmlkit.data.left_out import Ledger
from vmlkit.errors import DataError
from vmlkit.files import parse_json, read_json, read_text
from vmlkit.files.records import are_numbers, is_number
from vmlkit.files.tables import csv_rows

#: seconds by which an end may exceed the duration unremarked: durations are rounded to hundredths, and several
#: hundred ActivityNet rows exceed theirs by up to 0.01 s; the span is then kept as it is written
DURATION_TOLERANCE = 0.02

Beyond = Literal["error", "clip", "skip"]
Backward = Literal["error", "skip"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentAnnotation:
    """One sentence and its span in one video."""

    video_id: str
    duration: float  #: seconds
    start: float  #: seconds
    end: float  #: seconds, after ``start``
    sentence: str
    row: int  #: position in the file, from 0; skipped records leave gaps


def read_annotations(
    path: str | Path,
    *,
    durations: Mapping[str, float] | str | Path | None = None,
    beyond_duration: Beyond = "error",
    backward: Backward = "error",
    ledger: Ledger | None = None,
    split: str | None = None,
) -> list[MomentAnnotation]:
    """Read sentences with one moment each, from JSON or from the text of Charades-STA (``.txt``, ``.txt.gz``).

    JSON (``.json``, ``.jsonl``, also with ``.gz``) may be in any layout with a reader in
    :data:`vmlkit.data.annotations.layouts.ANNOTATIONS`, such as that of ActivityNet Captions' authors.

    Args:
        path: the file.
        durations: for the text layout, seconds by video id, or a file of them (see :func:`read_durations`).
        beyond_duration: what to do with a span that ends more than ``DURATION_TOLERANCE`` after its video:
            raise, cut it there, or leave the record out.
        backward: what to do with a span whose end is not after its start.
        ledger: the account of cut and skipped records; without one, a Python warning counts them.
        split: its name in the account; the file by default.

    Raises:
        DataError: for a record with a missing column, an end not after its start, a span beyond the duration, an
            empty sentence, or a value of the wrong kind.
    """
    records = records_of(path, durations)
    return _checked(path, records, beyond_duration, backward, ledger or Ledger(warn=True), split or str(path))


#: video id, duration, start, end, sentence
_Fields = tuple[Any, Any, Any, Any, Any]
_Records = Iterable[tuple[int, _Fields]]


def records_of(path: str | Path, durations: Mapping[str, float] | str | Path | None = None) -> _Records:
    """The records of a file as they stand there: position and (video id, duration, start, end, sentence).

    Raises:
        DataError: for a file that cannot be read, or a record without these fields; nothing else is checked.
    """
    name = Path(path).name.removesuffix(".gz")
    if name.endswith((".json", ".jsonl")):
        return _moment_records(path)
    if name.endswith(".txt"):
        return _text_records(path, durations)
    remedy = "rename the file by its layout"
    raise DataError(path, "the suffix is none of .json, .jsonl and .txt (nor these with .gz)", remedy)


def _moment_records(path: str | Path) -> _Records:
    """The JSON list of ``[video id, duration, [start, end], sentence]``, or another layout that has a reader."""
    layout, shape = layout_of(path)
    if layout is not None and layout.name != CNM:
        return enumerate(_one_moment(path, row, found) for row, found in enumerate(rows_in(layout, shape)))
    records = shape.value if shape.value is not None else parse_json(shape.text, path)
    if not isinstance(records, list):
        raise DataError(path, f"holds a JSON {type(records).__name__} of no known layout", "give a list of records")
    return ((row, _columns(path, row, record)) for row, record in enumerate(records))


def _one_moment(path: str | Path, row: int, found: Row) -> _Fields:
    if len(found.windows) != 1:
        what = f"record {row} ({found.video_id}) has {len(found.windows)} windows"
        raise DataError(path, what, "give it to a source of the DETR family, which takes several")
    return found.video_id, found.duration, *found.windows[0], found.sentence


def _text_records(path: str | Path, durations: Mapping[str, float] | str | Path | None) -> _Records:
    """Lines ``id start end##sentence``; blank lines are passed over."""
    if durations is None:
        raise DataError(
            path, "this layout holds no durations", "give a CSV or JSON file of them (Charades_v1_train.csv has them)"
        )
    table = durations if isinstance(durations, Mapping) else read_durations(durations)
    lines = [(i, line.strip()) for i, line in enumerate(read_text(path).split("\n")) if line.strip()]
    return ((i, _split_line(path, i, line, table)) for i, line in lines)


def read_durations(path: str | Path) -> dict[str, float]:
    """Seconds by video id: a CSV with columns ``id`` and ``length`` (or ``duration``), or a JSON mapping.

    Raises:
        DataError: for missing columns or a value that is not a positive number.
    """
    pairs: list[tuple[Any, Any]]
    if Path(path).name.removesuffix(".gz").endswith(".json"):
        mapping = read_json(path)
        if not isinstance(mapping, dict):
            raise DataError(path, f"holds a JSON {type(mapping).__name__}", "give a mapping from video id to seconds")
        pairs = [(k, v.get("duration") if isinstance(v, dict) else v) for k, v in mapping.items()]
    else:
        rows = [row for _, row in csv_rows(read_text(path), path, "write it as plain CSV")]
        names = list(rows[0]) if rows else []
        column = next((c for c in ("length", "duration") if c in names), None)
        if "id" not in names or column is None:
            raise DataError(path, f"has the columns {names}", "name the columns 'id' and 'length' (seconds)")
        pairs = [(row["id"], row[column]) for row in rows]
    table: dict[str, float] = {}
    for video_id, value in pairs:
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds > 0):
            raise DataError(path, f"video '{video_id}' has the duration {value!r}", "give a positive number of seconds")
        table[str(video_id)] = seconds
    return table


def _columns(path: str | Path, row: int, record: Any) -> _Fields:
    wanted = "[video id, duration, [start, end], sentence]"
    if not isinstance(record, list) or len(record) != 4:
        size = f"{len(record)} columns" if isinstance(record, list) else f"a JSON {type(record).__name__}"
        raise DataError(path, f"record {row} has {size} instead of four", f"write it as {wanted}")
    video_id, duration, span, sentence = record
    if not isinstance(span, list) or len(span) != 2:
        raise DataError(path, f"record {row} has the span {span!r}", f"write it as {wanted}")
    return video_id, duration, span[0], span[1], sentence


def _split_line(path: str | Path, row: int, line: str, durations: Mapping[str, float]) -> _Fields:
    head, mark, sentence = line.partition("##")
    fields = head.split()
    if not mark or len(fields) != 3:
        raise DataError(path, f"line {row + 1} is {line[:60]!r}", "write it as 'id start end##sentence'")
    video_id, *times = fields
    if video_id not in durations:
        raise DataError(
            path, f"line {row + 1}: video '{video_id}' has no duration", "add it to the durations or delete the line"
        )
    try:
        start, end = map(float, times)
    except ValueError as error:
        raise DataError(path, f"line {row + 1} has the times {times}", "write seconds as numbers") from error
    return video_id, durations[video_id], start, end, sentence


def _checked(
    path: str | Path, records: _Records, beyond: Beyond, backward: Backward, ledger: Ledger, split: str
) -> list[MomentAnnotation]:
    kept: list[MomentAnnotation] = []
    late: list[str] = []
    turned: list[str] = []
    count = 0
    for row, (video_id, duration, start, end, sentence) in records:
        count += 1
        _check_kinds(path, row, video_id, duration, start, end, sentence)
        if end <= start:
            if backward == "error":
                what = f"record {row} ({video_id}): the end {end:g} s is not after the start {start:g} s"
                raise DataError(path, what, "correct the span or delete it")
            turned.append(f"record {row} of {video_id}")
            continue
        if end > duration + DURATION_TOLERANCE:
            if beyond == "error" or (beyond == "clip" and start >= duration):
                raise _beyond_error(path, f"record {row} ({video_id})", start, end, duration)
            late.append(f"record {row} of {video_id}")
            if beyond == "skip":
                continue
            end = duration
        times = {"duration": float(duration), "start": float(start), "end": float(end)}
        kept.append(MomentAnnotation(video_id=video_id, **times, sentence=sentence.strip(), row=row))
    done = "are left out" if beyond == "skip" else "are cut there"
    ledger.note(split, "spans end before they start", "are left out", len(turned), count, turned)
    ledger.note(split, "spans end after their video", done, len(late), count, late)
    if not kept:
        raise DataError(path, "holds no usable record", "check that the file is complete")
    return kept


def _beyond_error(path: str | Path, record: str, start: float, end: float, duration: float) -> DataError:
    options = "'clip' or 'skip'" if start < duration else "'skip' (nothing of it lies in the video)"
    what = f"{record}: the span {start:g} to {end:g} s goes beyond the duration {duration:g} s"
    return DataError(path, what, f"correct it, or set beyond_duration to {options}")


def _check_kinds(path: str | Path, row: int, video_id: Any, duration: Any, start: Any, end: Any, sentence: Any) -> None:
    if not isinstance(video_id, str) or not video_id:
        raise DataError(path, f"record {row} has the video id {video_id!r}", "write it as a text in quotation marks")
    if not (are_numbers([duration, start, end]) and duration > 0 and start >= 0 and end >= 0):
        _refuse_times(path, f"record {row} ({video_id})", {"duration": duration, "start": start, "end": end})
    if not isinstance(sentence, str) or not sentence.strip():
        record = f"record {row} ({video_id})"
        if not isinstance(sentence, str):
            raise DataError(path, f"{record} has the sentence {sentence!r}", "write it as a text in quotation marks")
        raise DataError(path, f"{record} has an empty sentence", "write the sentence or delete the record")


def _refuse_times(path: str | Path, record: str, times: Mapping[str, Any]) -> None:
    for name, value in times.items():
        if not is_number(value) or value < 0:
            raise DataError(path, f"{record} has the {name} {value!r}", "write a number of seconds, zero or more")
    if times["duration"] == 0:
        raise DataError(path, f"{record} has a duration of zero", "write the length of the video in seconds")
