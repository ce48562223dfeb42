"""What a run records while it learns: numbers per epoch, and every proposal of some probe queries.

History is data, not logging: two tables that are rewritten as a whole (atomically) after each epoch.  On resuming,
rows beyond the epoch of the training state are dropped; they will be computed again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from vmlkit import spans as sp
from vmlkit.data.batches import MomentDataset
from vmlkit.errors import DataError
from vmlkit.files import write_npz, write_parquet
from vmlkit.runs import PROPOSAL_COLUMNS, RunDirectory
from vmlkit.training.evaluate import PROBE, EvaluationArrays, derive_seed

#: groups of columns in ``epochs.parquet``, in order
_GROUPS = ("epoch", "loss", "metric", "dependence", "curriculum", "lr", "grad_norm", "gradient", "seconds")


def probe_indices(dataset: MomentDataset, count: int, seed: int) -> Int[np.ndarray, " probes"]:
    """Which queries to record: ``count`` of them (fewer if the split is smaller), spread over the videos.

    Videos come in a seeded order of their sorted ids, and each gives its queries in a seeded order, one per round: the
    first sentence of a video is often about its beginning, and a record of those alone would be one-sided.
    """
    by_video: dict[str, list[int]] = {}
    for index in sorted(range(len(dataset)), key=lambda i: dataset.query_ids[i]):
        by_video.setdefault(dataset.video_ids[index], []).append(index)
    videos, draw = sorted(by_video), np.random.default_rng(derive_seed(seed, PROBE))
    queues = [draw.permutation(by_video[videos[i]]).tolist() for i in draw.permutation(len(videos))]
    rounds = max((len(queue) for queue in queues), default=0)
    chosen = [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]
    return np.asarray(chosen[:count], dtype=np.int64)


def probe_records(
    dataset: MomentDataset, indices: Int[np.ndarray, " probes"], words: Callable[[str], list[str]] | None = None
) -> list[dict[str, Any]]:
    """The probe queries for people: sentence, the words that the method sees, and the true span in seconds.

    Args:
        words: of a sentence, where the method sees token states and no words of the vocabulary.
    """

    def seen(i: int) -> list[str]:
        if words is not None:
            return words(dataset.sentences[i])
        return [dataset.vocabulary.word(int(w)) for w in dataset.word_ids[i][dataset.word_mask[i]]]

    return [
        {
            "query_id": dataset.query_ids[i],
            "video_id": dataset.video_ids[i],
            "sentence": dataset.sentences[i],
            "words": seen(i),
            "duration_s": float(dataset.durations[i]),
            "span_s": [float(t) for t in dataset.spans_s[i]],
        }
        for i in indices
    ]


def probe_strips(
    dataset: MomentDataset, indices: Int[np.ndarray, " probes"], frames: int, pixels: int
) -> dict[str, np.ndarray]:
    """Something to look at for each probe video: thumbnails, or a trace of its features where there are no pictures.

    Returns:
        ``video_ids`` and either ``strips (videos, frames, pixels, pixels, 3)`` uint8 or ``heat (videos, T)`` float16,
        the first principal component of the clip features over these videos, scaled to [0, 1].

    Raises:
        DataError: where the film strip of the data set has another shape or type.
    """
    first_query = {dataset.video_ids[i]: int(i) for i in reversed(indices)}
    videos = sorted(first_query)
    named = {"video_ids": np.asarray(videos, dtype=np.str_)}
    if dataset.film_strip is None:
        rows = dataset.video_index[[first_query[v] for v in videos]]
        return named | {"heat": principal_trace(dataset.frames[rows].float().cpu().numpy())}
    strips = [np.asarray(dataset.film_strip(video, frames, pixels)) for video in videos]
    for video, strip in zip(videos, strips, strict=True):
        if strip.shape != (frames, pixels, pixels, 3) or strip.dtype != np.uint8:
            what = f"the film strip of video '{video}' is {strip.dtype} {strip.shape}"
            raise DataError(dataset.name, what, f"return uint8 ({frames}, {pixels}, {pixels}, 3)")
    return named | {"strips": np.stack(strips)}


def principal_trace(frames: Float[np.ndarray, "videos T Dv"]) -> Float[np.ndarray, "videos T"]:
    """The first principal component of the clip features over these videos, scaled to [0, 1]."""
    flat = frames.reshape(-1, frames.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(axis=0)
    axis = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    axis *= np.sign(axis[np.argmax(np.abs(axis))])  # an eigenvector's sign is arbitrary: fix it
    trace = flat @ axis
    spread = trace.max() - trace.min()
    trace = (trace - trace.min()) / (spread if spread > 0 else 1.0)
    found: np.ndarray = trace.reshape(frames.shape[:2]).astype(np.float16)
    return found


def moment_rows(epoch: int, arrays: EvaluationArrays, probes: Int[np.ndarray, " probes"]) -> pd.DataFrame:
    """The rows of ``proposals.parquet`` for one epoch: positives of all probe queries, then their negatives."""
    roles: dict[str, dict[str, np.ndarray | None]] = {
        "positive": {
            "spans": arrays.proposals,
            "center": arrays.centers,
            "width": arrays.widths,
            "nll": arrays.nll,
            "chosen": np.arange(arrays.nll.shape[1]) == arrays.top1[:, None],
        }
    }
    if arrays.negatives is not None:
        roles["negative"] = {
            "spans": arrays.negatives,
            "center": arrays.negative_centers,
            "width": arrays.negative_widths,
            "weight": arrays.negative_weights,
            "nll": arrays.negative_nll,
            "ion": arrays.negative_ion(),
        }
    here = {
        role: {name: values[probes] for name, values in columns.items() if values is not None}
        for role, columns in roles.items()
    }
    for columns in here.values():
        columns["spans"] = columns["spans"].astype(np.float64)
        columns["iou"] = sp.iou(columns["spans"], arrays.truth[probes][:, None])
    return proposal_rows(epoch, [arrays.query_ids[i] for i in probes], here)


def proposal_rows(epoch: int, query_ids: Sequence[str], roles: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Rows of ``proposals.parquet`` from plain columns.

    Args:
        query_ids: of the recorded queries.
        roles: for ``positive`` and ``negative``, as far as there are any: ``spans (queries, P, 2)`` start/end in
            fractions of the video, and any other column as ``(queries, P)``; a column that is missing is NaN, and
            nothing is ``chosen``.
    """
    everyone = pd.Index(query_ids)
    tables = [pd.DataFrame({name: [] for name in PROPOSAL_COLUMNS})] if not roles else []
    for role, columns in roles.items():
        count, proposals = columns["spans"].shape[:2]
        missing = np.full((count, proposals), np.nan)
        given = {
            "start": columns["spans"][..., 0],
            "end": columns["spans"][..., 1],
            "chosen": np.zeros((count, proposals), dtype=bool),
        }
        table = {name: {**given, **columns}.get(name, missing).ravel() for name in PROPOSAL_COLUMNS}
        table |= {"role": np.repeat(role, count * proposals), "query_id": np.repeat(everyone.to_numpy(), proposals)}
        tables.append(pd.DataFrame(table | {"index": np.tile(np.arange(proposals), count)}))
    categories = {
        "query_id": pd.CategoricalDtype(everyone),
        "role": pd.CategoricalDtype(pd.Index(["positive", "negative"])),
    }
    frame = pd.concat(tables, ignore_index=True).assign(epoch=epoch)
    return frame[list(PROPOSAL_COLUMNS)].astype({**PROPOSAL_COLUMNS, **categories})


@dataclass
class History:
    """The tables of a run, in memory."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    proposals: list[pd.DataFrame] = field(default_factory=list)
    #: (epoch, signals per clip of the probe queries) of every epoch whose method gives some
    clips: list[tuple[int, Mapping[str, np.ndarray]]] = field(default_factory=list)

    def append(
        self,
        row: Mapping[str, float],
        proposals: pd.DataFrame | None = None,
        clip_scores: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Add an epoch; ``proposals`` is None where it was not evaluated."""
        self.epochs.append(dict(row))
        if proposals is not None:
            self.proposals.append(proposals)
        if clip_scores:
            self.clips.append((int(row["epoch"]), clip_scores))

    def write(self, folder: Path) -> None:
        """Rewrite the files; ``clip_scores.npz`` exists only where a method gives signals per clip."""
        frame = pd.DataFrame(self.epochs)
        columns = sorted(frame.columns, key=lambda name: _GROUPS.index(name.split("/")[0]))
        write_parquet(folder / "epochs.parquet", frame[columns].astype({"epoch": "int64"}))
        # retrieval has none, and two empty tables together would lose their types
        filled = [table for table in self.proposals if len(table)] or self.proposals[-1:]
        proposals = pd.concat(filled, ignore_index=True)
        write_parquet(folder / "proposals.parquet", proposals)
        if self.clips:
            write_npz(folder / "clip_scores.npz", self._stacked_clips(proposals["query_id"].cat.categories))

    def _stacked_clips(self, query_ids: pd.Index) -> dict[str, np.ndarray]:
        """Epochs, probe queries, and one array (epochs, probes, T) a signal."""
        names = self.clips[0][1]
        signals = {name: np.stack([scores[name] for _, scores in self.clips]).astype(np.float16) for name in names}
        epochs = np.array([epoch for epoch, _ in self.clips], dtype=np.int32)
        return {"epochs": epochs, "query_ids": query_ids.to_numpy(dtype=np.str_), **signals}

    @classmethod
    def read(cls, run: RunDirectory, last_epoch: int) -> "History":
        """What was recorded up to and including ``last_epoch``.

        Raises:
            DataError: if a table is missing, unreadable, or ends before ``last_epoch``.
        """
        epochs, proposals = run.epochs, run.proposals
        if epochs["epoch"].tolist()[: last_epoch + 1] != list(range(last_epoch + 1)):
            what = f"does not hold the epochs 0 to {last_epoch} that the training state continues"
            raise DataError(run.path / "epochs.parquet", what, "delete the run directory and train again")
        kept = epochs[epochs["epoch"] <= last_epoch]
        seen = proposals[proposals["epoch"] <= last_epoch]
        stored = run.clip_scores
        signals = {name: values for name, values in stored.items() if name not in ("epochs", "query_ids")}
        clips: list[tuple[int, Mapping[str, np.ndarray]]] = [
            (int(epoch), {name: values[i] for name, values in signals.items()})
            for i, epoch in enumerate(stored.get("epochs", ()))
            if epoch <= last_epoch
        ]
        return cls([dict(row) for row in kept.to_dict("records")], [seen], clips)


def turn_and_end(epochs: pd.DataFrame, group: str = "dependence") -> dict[str, dict[str, float]]:
    """What a group of columns says at the ``turn`` and at the ``end`` of a training, four digits each.

    The turn is the last evaluated epoch with c(e) < 0, of methods that have such a clock; the end is the last evaluated
    epoch.  Nothing where the group was not recorded.

    >>> table = pd.DataFrame({"epoch": [1, 2, 3], "curriculum/c": [-0.5, -0.1, 0.2], "dependence/R2": [0.1, 0.2, 0.3]})
    >>> turn_and_end(table)
    {'turn': {'epoch': 2, 'R2': 0.2}, 'end': {'epoch': 3, 'R2': 0.3}}
    """
    columns = [name for name in epochs if name.startswith(f"{group}/")]
    known = epochs.dropna(subset=columns, how="all") if columns else epochs[:0]
    clock = known.get("curriculum/c", pd.Series(0.0, index=known.index))
    rows = {"turn": known[clock < 0], "end": known}
    return {
        when: {"epoch": int(table["epoch"].iloc[-1])}
        | {name.split("/", 1)[1]: round(float(table[name].iloc[-1]), 4) for name in columns}
        for when, table in rows.items()
        if len(table)
    }


def epoch_row(epoch: int, seconds: float, **groups: Mapping[str, float]) -> dict[str, float]:
    """A row of ``epochs.parquet``: ``group/name`` for every entry of every group.

    >>> epoch_row(1, 0.5, loss={"total": 2.0}, lr={"all": 0.1})
    {'epoch': 1, 'loss/total': 2.0, 'lr/all': 0.1, 'seconds': 0.5}
    """
    named = {f"{group}/{name}": float(value) for group, values in groups.items() for name, value in values.items()}
    return {"epoch": epoch, **named, "seconds": seconds}
