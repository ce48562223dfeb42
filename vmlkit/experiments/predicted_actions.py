"""Detected actions in ActivityNet's JSON (which THUMOS14 borrows), as JSON lines or as a table, and back.

``.json``: ``{"version", "results": {video: [{"segment": [start, end], "label", "score"}]}, "external_data"}``, seconds.
``.jsonl``: one such list a line, ``{"vid", "detections"}``.  Where the run's protocol counts in snippets, detections
have ``segment_snippets`` too: their bounds in seconds would not give whole snippets back.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detections import Detections, Unit
from vmlkit.actions.nms import hard_nms
from vmlkit.actions.task import ActionTask
from vmlkit.data.annotations.json_lines import Record, read_lines
from vmlkit.errors import DataError
from vmlkit.experiments.prediction_files import Changes, number, places, read_table, write_lines, write_table
from vmlkit.files import read_json, write_text
from vmlkit.training.task import Kept

KINDS = (".jsonl", ".json", ".csv")
#: of the table; the last two only where the protocol counts in snippets
COLUMNS = ("vid", "start", "end", "label", "score", "start_snippets", "end_snippets")
#: one detection: bounds in seconds, label, score, bounds in snippets or None
Row = tuple[float, float, str, float, list[float] | None]


def check(changes: Changes) -> None:
    """Refuse what does nothing to detections."""
    changes.only("detected actions", "nms", "top")


def write(
    path: Path, kind: str, data: ActionDataset, kept: Kept, changes: Changes, task: ActionTask, source: str
) -> None:
    """Write the file, a video after the other, detections in the order of the method."""
    results = dict(_videos(data, Detections(**kept, unit=task.unit), changes))
    if kind == ".csv":
        names = COLUMNS if task.unit == "snippets" else COLUMNS[:-2]
        rows = ((vid, *row[:4], *(row[4] or ())) for vid, found in results.items() for row in found)
        write_table(path, names, rows)
        return
    written = {vid: [_record(row) for row in found] for vid, found in results.items()}
    if kind == ".jsonl":
        write_lines(path, ({"vid": vid, "detections": found} for vid, found in written.items()))
        return
    whole = {"version": "VERSION 1.3", "results": written, "external_data": {"used": True, "details": source}}
    write_text(path, json.dumps(whole, ensure_ascii=False, allow_nan=False) + "\n")


def read(path: Path, kind: str, data: ActionDataset, task: ActionTask) -> Kept:
    """Detections as the task keeps them.

    Raises:
        DataError: for a video or a label that the split does not have, or a field of another kind.
    """
    found = list(_table(path) if kind == ".csv" else _lines(path) if kind == ".jsonl" else _whole(path))
    videos = places(path, (vid for vid, _ in found), data.video_ids, "video", complete=False)
    labels = places(path, (row[2] for _, row in found), data.classes, "label", complete=False)
    order = np.argsort(videos, kind="stable")
    spans = [_bounds(row, task.unit, float(data.snippet_s[v])) for v, (_, row) in zip(videos, found, strict=True)]
    return {
        "video": np.array(videos, dtype=np.int64)[order],
        "spans": np.array(spans, dtype=np.float64).reshape(-1, 2)[order],
        "labels": np.array(labels, dtype=np.int64)[order],
        "scores": np.array([row[3] for _, row in found], dtype=np.float64)[order],
    }


def _videos(data: ActionDataset, detections: Detections, changes: Changes) -> Iterator[tuple[str, list[Row]]]:
    for video, vid in enumerate(data.video_ids):
        found = detections.where(detections.video == video)
        if changes.nms is not None:
            found = found.where(_suppressed(found, changes.nms))
        if changes.top is not None:
            found = found.where(np.argsort(-found.scores, kind="stable")[: changes.top])
        seconds = found.in_unit("seconds", data.snippet_s)
        snippets = found.spans.tolist() if found.unit == "snippets" else [None] * len(found)
        names = [data.classes[label] for label in found.labels]
        rows = zip(seconds.spans.tolist(), names, found.scores.tolist(), snippets, strict=True)
        yield vid, [(start, end, name, score, own) for (start, end), name, score, own in rows]


def _suppressed(found: Detections, threshold: float) -> np.ndarray:
    """Positions that stay, in their order: within a class, no better detection overlaps them by more."""
    kept = []
    for label in np.unique(found.labels):
        mine = np.flatnonzero(found.labels == label)
        kept.append(mine[hard_nms(found.spans[mine], found.scores[mine], threshold)])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)


def _record(row: Row) -> dict[str, Any]:
    start, end, label, score, snippets = row
    own = {} if snippets is None else {"segment_snippets": snippets}
    return {"segment": [start, end], "label": label, "score": score, **own}


def _bounds(row: Row, unit: Unit, snippet_s: float) -> list[float]:
    start, end, _, _, snippets = row
    if unit == "seconds":
        return [start, end]
    return snippets or [start / snippet_s, end / snippet_s]


def _whole(path: Path) -> Iterator[tuple[str, Row]]:
    content = read_json(path, remedy="write it again")
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise DataError(path, "has no object 'results'", "write {'results': {video: [detection, ...]}}")
    for place, (vid, found) in enumerate(results.items(), start=1):
        yield from _detections(Record(path, place, {"vid": vid, "detections": found}))


def _lines(path: Path) -> Iterator[tuple[str, Row]]:
    for line, fields in read_lines(path):
        yield from _detections(Record(path, line, fields))


def _detections(record: Record) -> Iterator[tuple[str, Row]]:
    vid, given = record.text("vid"), record.get("detections")
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise record.error("detections", "is no list of objects", "write one object for each detection")
    for item in given:
        own = item.get("segment_snippets")
        bounds = [item.get("segment"), *([] if own is None else [own])]
        numbers = Record(record.path, record.line, {"segment": bounds, "score": [item.get("score")]})
        (start, end), *snippets = numbers.rows("segment", width=2)
        label = Record(record.path, record.line, item).text("label")
        yield vid, (start, end, label, numbers.numbers("score")[0], snippets[0] if snippets else None)


def _table(path: Path) -> Iterator[tuple[str, Row]]:
    for line, row in read_table(path, COLUMNS[:5]):
        start, end, score = (number(path, line, row, name) for name in ("start", "end", "score"))
        own = [number(path, line, row, name) for name in COLUMNS[5:]] if COLUMNS[5] in row else None
        yield row["vid"], (start, end, row["label"], score, own)
