"""Ranked moments of sentences as Moment-DETR's JSON lines or as a table, and back.

One line a query: ``qid, query, vid``, windows in seconds with their scores, and a score of each clip where the method
gives one.  The answer comes first, then the other windows by score; a vote may put a lower score first.  Where the
masked words were drawn several times, ``other_draws`` holds the windows of every draw after the first.
``vmlkit evaluate FILE --ground-truth ANNOTATIONS`` reads the first draw.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from vmlkit.data.annotations.json_lines import Qid
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, read_predictions, write_predictions
from vmlkit.data.batches import MomentDataset
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.official import predictions
from vmlkit.detr.windows import PostProcessing, ranked_windows, suppress
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.prediction_files import Changes, number, places, read_table, write_table
from vmlkit.training.evaluate import KEPT, SIGNAL
from vmlkit.training.task import Kept

KINDS = (".jsonl", ".csv")
#: of the table
COLUMNS = ("qid", "query", "vid", "draw", "rank", "start", "end", "score")


def check(changes: Changes) -> None:
    """Everything acts on windows."""


def write(path: Path, kind: str, data: MomentDataset, kept: Kept, changes: Changes, task: Any, source: str) -> None:
    """Write the file; four decimals where windows are rounded to clips, else all digits.

    Answers about JSON lines are what the run's metrics score: processed as the released programs do.
    """
    if isinstance(data, DetrDataset) and data.lines is not None:
        rows = _published(data, kept, changes)
    else:
        rows = [_row(data, qid, kept, i, changes) for i, qid in enumerate(query_ids(data))]
    if kind == ".jsonl":
        write_predictions(path, rows, decimals=None if changes.clip_length is None else 4)
        return
    if any(row.windows_s is None for row in rows):
        raise ConfigError(f"{path}: a table holds windows, and these answers are scores of clips: write .jsonl")
    table = (
        (row.qid, row.query, row.vid, draw, rank, *map(float, window))
        for row in rows
        for draw, windows in enumerate((row.windows_s, *row.other_draws))
        for rank, window in enumerate(windows if windows is not None else (), start=1)
    )
    write_table(path, COLUMNS, table)


def read(path: Path, kind: str, data: MomentDataset, task: Any) -> Kept:
    """Answers as :func:`vmlkit.training.evaluate.kept_moments` keeps them, of signals per clip the saliency at most.

    Raises:
        DataError: for queries of another split, a query without windows, or other draws for some of them.
    """
    rows = read_predictions(path) if kind == ".jsonl" else _from_table(path)
    order = places(path, (row.qid for row in rows), query_ids(data), "query")
    found: list[tuple[Any, ...]] = [()] * len(data)
    for place, row in zip(order, rows, strict=True):
        found[place] = (row.windows_s, *row.other_draws)
    signals: dict[str, np.ndarray] = {}
    if rows[0].clip_scores is not None:
        by_place = dict(zip(order, rows, strict=True))
        signals[f"{SIGNAL}saliency"] = _padded([by_place[i].clip_scores for i in range(len(data))])
        if rows[0].windows_s is None:
            return _without_windows(len(data)) | signals
    draws = len(found[0])
    for qid, windows in zip(query_ids(data), found, strict=True):
        if len(windows) != draws or any(part is None or not len(part) for part in windows):
            raise DataError(path, f"query {qid!r} has no windows, or another number of draws", "predict every query")
    seconds = data.prediction_seconds if isinstance(data, DetrDataset) else data.durations
    most = max(len(part) for windows in found for part in windows)
    parts = [_kept([windows[draw] for windows in found], seconds, most) for draw in range(draws)]
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]} | signals


def _padded(scores: Sequence[Any]) -> Float[np.ndarray, "N T"]:
    """Clip scores of all queries, NaN on padding."""
    out = np.full((len(scores), max(map(len, scores))), np.nan)
    for row, values in zip(out, scores, strict=True):
        row[: len(values)] = values
    return out


def _without_windows(count: int) -> dict[str, np.ndarray]:
    """One draw of answers about clips alone."""
    return {
        "proposals": np.zeros((1, count, 1, 2)),
        "nll": np.zeros((1, count, 1)),
        "order": np.zeros((1, count, 1), dtype=np.int64),
        "top1": np.zeros((1, count), dtype=np.int64),
    }


def _published(data: DetrDataset, kept: Kept, changes: Changes) -> list[QueryPrediction]:
    """What the run's metrics score, with fewer windows where asked."""
    if changes.clip_length is not None:
        raise ConfigError("--clip-length does nothing to answers about JSON lines, which are rounded to their clips")
    rows = []
    for row in predictions(data, kept):
        windows = row.windows_s
        if windows is not None and changes.nms is not None:
            windows = np.array(suppress(windows[:10].tolist(), changes.nms))
        rows.append(replace(row, windows_s=None if windows is None else windows[: changes.top]))
    return rows


def query_ids(data: MomentDataset) -> list[Qid]:
    """The identifiers of the annotation file: Charades-CD's queries carry the part of the test split before them."""
    if isinstance(data, DetrDataset) and data.lines is not None:
        return [query.qid for query in data.lines.queries]
    if data.name.startswith("planted:charades_cd/"):
        return [int(name.rpartition("/")[2]) for name in data.query_ids]
    return list(data.query_ids)


def _row(data: MomentDataset, qid: Qid, kept: Kept, index: int, changes: Changes) -> QueryPrediction:
    duration = float(data.durations[index])
    draws = [
        _windows(proposals, nll, ranked, top1, duration, changes)
        for proposals, nll, ranked, top1 in zip(*(kept[name][:, index] for name in KEPT), strict=True)
    ]
    cells = kept.get(f"{SIGNAL}saliency")
    return QueryPrediction(
        qid=qid,
        query=data.sentences[index],
        vid=data.video_ids[index],
        windows_s=draws[0],
        other_draws=tuple(draws[1:]),
        clip_scores=None if cells is None else clip_scores(cells[index], duration, changes.clip_length),
    )


def _windows(
    proposals: Float[np.ndarray, "P 2"],
    nll: Float[np.ndarray, " P"],
    ranked: Int[np.ndarray, " P"],
    top1: Int[np.ndarray, ""],
    duration: float,
    changes: Changes,
) -> Float[np.ndarray, "P 3"]:
    """Start, end and score: the answer, then the others by score."""
    scores = falling(nll, ranked)
    order = np.concatenate((ranked[ranked == top1], ranked[ranked != top1]))
    if changes.clip_length is None:
        windows = np.column_stack((proposals.astype(np.float64) * duration, scores))[order]
    else:
        edges, seconds = torch.from_numpy(proposals.astype(np.float64)), torch.tensor([duration], dtype=torch.float64)
        found = ranked_windows(edges[None], torch.from_numpy(scores)[None], seconds, torch.from_numpy(order)[None])
        windows = PostProcessing(clip_length=changes.clip_length, latest=duration)(found[0].numpy())
    if changes.nms is not None:
        windows = np.array(suppress(windows[:10].tolist(), changes.nms))
    best: np.ndarray = windows[: changes.top]
    return best


def falling(nll: Float[np.ndarray, " P"], ranked: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """``exp(-nll)``, made to fall along the ranking where it stands still, so that it alone gives the ranking back.

    A method with one proposal may leave its NLL out.

    >>> falling(np.array([0.0, 0.0]), np.array([1, 0])).tolist()
    [0.9999999999999999, 1.0]
    """
    scores: np.ndarray = np.nan_to_num(np.exp(-nll.astype(np.float64)), nan=1.0)
    for better, worse in itertools.pairwise(ranked.tolist()):
        scores[worse] = min(scores[worse], np.nextafter(scores[better], -np.inf))
    return scores


def _kept(
    windows: Sequence[Float[np.ndarray, "P 3"]], durations: Float[np.ndarray, " N"], most: int
) -> dict[str, np.ndarray]:
    """One draw; where a query has fewer windows than the ``most`` that one has in any draw, empty ones follow."""
    shape = (len(windows), most)
    proposals, scores = np.zeros((*shape, 2), dtype=np.float32), np.full(shape, -np.inf)
    for row, (found, duration) in enumerate(zip(windows, durations, strict=True)):
        proposals[row, : len(found)] = found[:, :2] / duration
        scores[row, : len(found)] = found[:, 2]
    with np.errstate(divide="ignore"):
        nll = -np.log(np.maximum(scores, 0))
    order = np.argsort(-scores, axis=1, kind="stable")
    return {"proposals": proposals, "nll": nll, "order": order, "top1": np.zeros(len(windows), dtype=np.int64)}


def _from_table(path: Path) -> list[QueryPrediction]:
    """Windows by query and draw, in the order of their ranks."""
    found: dict[str, dict[int, list[tuple[float, ...]]]] = {}
    for line, row in read_table(path, COLUMNS):
        draw, *window = (number(path, line, row, name) for name in ("draw", "rank", "start", "end", "score"))
        found.setdefault(row["qid"], {}).setdefault(int(draw), []).append(tuple(window))
    out = []
    for qid, draws in found.items():
        first, *others = (np.array(sorted(draws[draw]))[:, 1:] for draw in sorted(draws))
        out.append(QueryPrediction(qid=qid, windows_s=first, other_draws=tuple(others)))
    return out


def clip_scores(cells: Float[np.ndarray, " T"], duration: float, clip_length: float | None) -> Float[np.ndarray, " C"]:
    """Scores without padding; with ``clip_length``, that of the cell in which the middle of each whole clip lies."""
    cells = cells[~np.isnan(cells)].astype(np.float64)
    if clip_length is None:
        return cells
    middles = (np.arange(max(int(duration / clip_length), 1)) + 0.5) * clip_length / duration
    found: np.ndarray = cells[np.minimum((middles * len(cells)).astype(int), len(cells) - 1)]
    return found
