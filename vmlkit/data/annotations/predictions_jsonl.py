"""Predicted windows and clip scores in the JSON-lines layout of Moment-DETR.

One object a line: ``qid``, ``pred_relevant_windows`` (a ranked list of ``[start, end, score]`` in seconds) and
``pred_saliency_scores`` (one number per clip), either of which may be absent from the whole file.  Where a method draws
something at random, ``other_draws`` (ours; others pass it over) holds the windows of further draws.
"""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.data.annotations.json_lines import Qid, Record, read_lines
from vmlkit.data.annotations.layouts import PREDICTIONS, explained
from vmlkit.files import write_text

WINDOWS, SCORES, DRAWS = "pred_relevant_windows", "pred_saliency_scores", "other_draws"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class QueryPrediction:
    """What a model says about one query."""

    qid: Qid
    windows_s: np.ndarray | None = None  #: (P, 3) float64: start, end (seconds), score; in list order, which counts
    clip_scores: np.ndarray | None = None  #: (C,) float64, one per clip
    other_draws: tuple[np.ndarray, ...] = ()  #: windows as above, of every draw after the first
    query: str | None = None  #: the sentence, for people; written where given, never read
    vid: str | None = None  #: the video, likewise
    line: int = 0  #: of the file, from 1


def read_predictions(path: str | Path) -> list[QueryPrediction]:
    """Read and check a file of predictions, plain or ``.gz``.

    Raises:
        DataError: naming file, line and field, for a missing field or a value of the wrong kind, a qid that occurs
            twice, or a field that only some of the lines have.
    """
    out: list[QueryPrediction] = []
    lines: dict[Qid, int] = {}
    wanted: list[str] = []
    with explained(path, PREDICTIONS):
        for line, fields in read_lines(path):
            record = Record(path, line, fields)
            qid = record.qid()
            if qid in lines:
                raise record.error("qid", f"is {qid!r}, as in line {lines[qid]}", "predict once for every query")
            lines[qid] = line
            if not out:
                wanted = [name for name in (WINDOWS, SCORES) if name in fields]
                if not wanted:
                    raise record.error(WINDOWS, "is missing", f"give windows, or clip scores in '{SCORES}'")
            for name in {WINDOWS, SCORES} & fields.keys() - set(wanted):
                raise record.error(name, "is in this line but not in the first", "write it in every line or in none")
            out.append(_prediction(record, wanted))
    return out


def prediction_from(fields: Mapping[str, object]) -> QueryPrediction:
    """One prediction from an object of the layout; errors as :func:`read_predictions`."""
    return _prediction(Record("prediction", 1, fields), fields)


def _prediction(record: Record, wanted: Container[str]) -> QueryPrediction:
    return QueryPrediction(
        qid=record.qid(),
        windows_s=_windows(record) if WINDOWS in wanted else None,
        clip_scores=_clip_scores(record) if SCORES in wanted else None,
        other_draws=_other_draws(record),
        line=record.line,
    )


def write_predictions(path: str | Path, predictions: Iterable[QueryPrediction], decimals: int | None = 4) -> None:
    """Write a file of the layout, gzipped where the name ends in ``.gz``; it appears whole or not at all.

    Args:
        decimals: of windows and their scores: four, as the released programs write them, or ``None`` for all.
    """

    def rows(windows: np.ndarray) -> list[list[float]]:
        if decimals is None:
            return [[float(value) for value in row] for row in windows]
        return [[float(f"{value:.{decimals}f}") for value in row] for row in windows]

    lines = []
    for prediction in predictions:
        record: dict[str, Any] = {"qid": prediction.qid}
        record |= {name: text for name in ("query", "vid") if (text := getattr(prediction, name)) is not None}
        if prediction.windows_s is not None:
            record[WINDOWS] = rows(prediction.windows_s)
        if prediction.clip_scores is not None:
            record[SCORES] = [float(value) for value in prediction.clip_scores]
        if prediction.other_draws:
            record[DRAWS] = [rows(windows) for windows in prediction.other_draws]
        lines.append(json.dumps(record, allow_nan=False) + "\n")
    write_text(Path(path), "".join(lines))


def _windows(record: Record) -> np.ndarray:
    return np.array(record.rows(WINDOWS, width=3), dtype=np.float64).reshape(-1, 3)


def _other_draws(record: Record) -> tuple[np.ndarray, ...]:
    given = record.fields.get(DRAWS, [])
    if not isinstance(given, list):
        raise record.error(DRAWS, f"is a {type(given).__name__}", "write a list of further lists of windows")
    parts = (Record(record.path, record.line, {WINDOWS: windows}) for windows in given)
    return tuple(_windows(part) for part in parts)


def _clip_scores(record: Record) -> np.ndarray:
    scores = np.array(record.numbers(SCORES), dtype=np.float64)
    if not len(scores):
        raise record.error(SCORES, "is empty", "write one number per clip")
    return scores
