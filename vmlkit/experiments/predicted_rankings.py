"""Rankings of text-video retrieval as JSON lines or as a table, and back.

One line a sentence: ``qid, query, vid`` (its own video) and ``pred_videos``, all videos with their scores, the best
first.  Scores have the digits of float32, so that rankings of videos by sentence and of sentences by video, ties
included, follow from the file.  No layout of rankings circulates: the released programs keep a matrix.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.components.retrieval import caption_rows
from vmlkit.data.annotations.json_lines import Record, read_lines
from vmlkit.data.batches import MomentDataset
from vmlkit.errors import DataError
from vmlkit.experiments.prediction_files import Changes, number, places, read_table, write_lines, write_table
from vmlkit.files.records import is_number
from vmlkit.training.task import Kept

KINDS = (".jsonl", ".csv")
#: of the table
COLUMNS = ("qid", "query", "rank", "vid", "score")


def check(changes: Changes) -> None:
    """Refuse what does nothing to rankings."""
    changes.only("rankings of videos", "top")


def write(path: Path, kind: str, data: MomentDataset, kept: Kept, changes: Changes, task: Any, source: str) -> None:
    """Write the file, in the order of the split."""
    videos = video_ids(data)
    rankings = (_ranking(row, videos, changes.top) for row in kept["logits"])
    asked = zip(data.query_ids, data.sentences, data.video_ids, rankings, strict=True)
    if kind == ".jsonl":
        write_lines(path, ({"qid": q, "query": s, "vid": v, "pred_videos": found} for q, s, v, found in asked))
        return
    rows = ((q, s, rank, *pair) for q, s, _, found in asked for rank, pair in enumerate(found, start=1))
    write_table(path, COLUMNS, rows)


def read(path: Path, kind: str, data: MomentDataset, task: Any) -> Kept:
    """The matrix of scores; a video that a ranking leaves out comes after all others.

    Raises:
        DataError: for sentences or videos of another split, or a sentence without a ranking.
    """
    rankings = dict(_lines(path) if kind == ".jsonl" else _table(path))
    rows = places(path, rankings, data.query_ids, "query")
    names = video_ids(data)
    logits = np.full((len(data), len(names)), -np.inf, dtype=np.float32)
    for row, found in zip(rows, rankings.values(), strict=True):
        columns = places(path, (vid for vid, _ in found), names, "video", complete=False)
        logits[row, columns] = [score for _, score in found]
    return {"logits": logits}


def video_ids(data: MomentDataset) -> list[str]:
    """The videos of a split that have a sentence, by column of the scores."""
    rows = caption_rows(data)
    first = np.unique(rows, return_index=True)[1]
    return [data.video_ids[i] for i in first]


def _ranking(scores: np.ndarray, videos: list[str], top: int | None) -> list[list[Any]]:
    order = np.argsort(-scores, kind="stable")[:top]
    # the shortest decimals that give the float32 back
    return [[videos[i], float(str(np.float32(scores[i])))] for i in order]


def _lines(path: Path) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for line, fields in read_lines(path):
        record = Record(path, line, fields)
        given = record.get("pred_videos")
        if not isinstance(given, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and is_number(pair[1])
            for pair in given
        ):
            raise record.error("pred_videos", "is no list of [video, score]", "write the ranking of the sentence")
        yield str(record.qid()), [(vid, score) for vid, score in given]


def _table(path: Path) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for line, row in read_table(path, COLUMNS):
        found.setdefault(row["qid"], []).append((row["vid"], number(path, line, row, "score")))
    if not found:
        raise DataError(path, "holds no ranking", "check that the file is complete")
    yield from found.items()
