"""What a run directory says about one query at one epoch, as plain arrays for the figures and the scrubber."""

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.runs import RunDirectory

#: std of a drawn Gaussian = width / sigma, where nothing else is said (CPL on real videos)
DEFAULT_SIGMA = 9.0


#: numbers of a proposal that a snapshot gives
_NUMBERS = ("center", "width", "start", "end", "weight", "nll", "iou", "ion")


@dataclass(frozen=True)
class CurveShape:
    """``exp(-|(t - c) sigma / max(w, floor)|^power / 2)``: a Gaussian at power 2, a plateau at a high power."""

    sigma: float
    floor: float = 0.01
    power: float = 2.0


#: a proposal that is an interval and no Gaussian: a plateau, falling off at start and end
INTERVAL = CurveShape(2.0, power=12.0)


@dataclass(frozen=True)
class Snapshot:
    """One query at one epoch; centers, widths, starts and ends are fractions of the video.

    ``chosen`` is the place of the predicted proposal among the positives, or None when nothing was chosen;
    ``negative_roles`` says by the sign of c what training asks of each negative, ``pushed_negative`` (c < 0) or
    ``pulled_negative`` (c > 0), or ``negative`` where there is no c.  How hard a negative is, is measured:
    :mod:`vmlkit.viz.hardness`.
    """

    epoch: int
    query_id: str
    positives: Float[np.ndarray, "P 2"]
    spans: Float[np.ndarray, "P 2"]
    positive_weights: Float[np.ndarray, " P"]
    nll: Float[np.ndarray, " P"]
    iou: Float[np.ndarray, " P"]
    negatives: Float[np.ndarray, "M 2"]
    negative_spans: Float[np.ndarray, "M 2"]
    negative_weights: Float[np.ndarray, " M"]
    negative_nll: Float[np.ndarray, " M"]
    negative_iou: Float[np.ndarray, " M"]
    ion: Float[np.ndarray, " M"]
    chosen: int | None
    negative_roles: tuple[str, ...]

    @property
    def chosen_iou(self) -> float:
        """IoU of the chosen proposal with the ground truth; NaN when nothing was chosen."""
        return float("nan") if self.chosen is None else float(self.iou[self.chosen])

    def answer_s(self, duration_s: float) -> tuple[float, float] | None:
        """Start and end of the chosen proposal in seconds; None when nothing was chosen."""
        if self.chosen is None:
            return None
        start, end = self.spans[self.chosen] * duration_s
        return float(start), float(end)


class RunView:
    """A run directory with its tables read once.

    Args:
        run: a :class:`vmlkit.runs.RunDirectory`, a path to one, another ``RunView``, or an object with the same fields.

    Raises:
        DataError: when the run has no recorded proposals.
    """

    def __init__(self, run: "AnyRun") -> None:
        opened = run.run if isinstance(run, RunView) else run
        self.run: RunDirectory = RunDirectory(Path(opened)) if isinstance(opened, (str, os.PathLike)) else opened
        self.name = str(getattr(run, "path", "the run"))

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch, in order."""
        return self.run.epochs.sort_values("epoch").reset_index(drop=True)

    @cached_property
    def proposals(self) -> pd.DataFrame:
        """The recorded proposals with ``query_id`` as text, in order of epoch, query, role and index."""
        table = self.run.proposals
        if table is None or len(table) == 0:
            raise DataError(self.name, "no proposals were recorded", "train with at least one probe query")
        table = table.assign(query_id=table["query_id"].astype(str))
        return table.sort_values(["epoch", "query_id", "role", "index"]).reset_index(drop=True)

    @cached_property
    def queries(self) -> dict[str, dict[str, Any]]:
        """The probe queries by id, in the order recorded."""
        return {str(q["query_id"]): {**q, "query_id": str(q["query_id"])} for q in self.run.probe}

    @cached_property
    def recorded_epochs(self) -> list[int]:
        """The epochs whose proposals were recorded, ascending."""
        return [int(e) for e in np.unique(self.proposals["epoch"].to_numpy())]

    @cached_property
    def _positives(self) -> pd.Series:
        """How many positives each query has at each epoch."""
        rows = self.proposals[self.proposals["role"] == "positive"]
        return rows.groupby(["epoch", "query_id"], sort=False, observed=True).size()

    @property
    def windows(self) -> int:
        """How many positives a query has; the most, where queries differ."""
        return int(self._positives.max()) if len(self._positives) else 0

    @property
    def steady(self) -> bool:
        """Whether a proposal is the same one at every epoch: detections, which are ranked anew, differ in number."""
        return bool(self._positives.nunique() <= 1)

    @property
    def planned_epochs(self) -> int:
        """How many epochs the training was to have, e_max; the last recorded one where the settings do not say."""
        train = (self.run.config.get("settings") or {}).get("train") or {}
        return int(train.get("epochs") or max(self.epochs["epoch"].max(), 1))

    @property
    def title(self) -> str:
        """The name of the run, for people."""
        return str(self.run.config.get("name") or Path(self.name).name)

    @cached_property
    def clip_scores(self) -> dict[str, np.ndarray]:
        """Per-clip signals as recorded: ``epochs``, ``query_ids``, one (E, Q, T) array per signal; {} without any."""
        return dict(getattr(self.run, "clip_scores", None) or {})

    @cached_property
    def _rows(self) -> dict[tuple[int, str], slice]:
        """Where the rows of an epoch and a query stand in :attr:`proposals`, which is in that order."""
        epochs, queries = (self.proposals[name].to_numpy() for name in ("epoch", "query_id"))
        new = np.flatnonzero((epochs[1:] != epochs[:-1]) | (queries[1:] != queries[:-1])) + 1
        edges = [0, *map(int, new), len(epochs)]
        return {(int(epochs[a]), str(queries[a])): slice(a, b) for a, b in itertools.pairwise(edges)}

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """The columns of :attr:`proposals` as arrays; a number that was not recorded is missing everywhere."""
        table = self.proposals
        missing = np.full(len(table), np.nan)
        numbers = {n: table[n].to_numpy(dtype=float) if n in table else missing for n in _NUMBERS}
        words = {n: table[n].to_numpy(dtype=object) for n in ("query_id", "role")}
        return {**numbers, **words, "chosen": table["chosen"].to_numpy(dtype=bool)}

    def columns(self, epoch: int) -> dict[str, np.ndarray]:
        """The recorded proposals of one epoch as arrays by column, in order of query, role and index."""
        start, end = np.searchsorted(self.proposals["epoch"].to_numpy(), [epoch, epoch + 1])
        return {name: column[start:end] for name, column in self._columns.items()}

    @cached_property
    def _strips(self) -> dict[str, np.ndarray]:
        path = getattr(self.run, "path", None)
        strips = None if path is not None and not (Path(path) / "strips.npz").is_file() else self.run.strips
        if strips is None:
            return {}
        pictures = strips["strips"] if "strips" in strips else strips["heat"]
        return {str(v): pictures[i] for i, v in enumerate(strips["video_ids"])}

    def query(self, query_id: object) -> dict[str, Any]:
        """The probe entry of a query: sentence, words, video_id, duration_s, span_s.

        Raises:
            DataError: for a query that is not among the probe queries.
        """
        if str(query_id) not in self.queries:
            raise DataError(self.name, f"query '{query_id}' was not recorded", f"choose from {_some(self.queries)}")
        return self.queries[str(query_id)]

    def truths(self, query_id: object) -> list[tuple[float, float]]:
        """Every true window of a query in seconds, in order of start; one where only ``span_s`` was recorded."""
        query = self.query(query_id)
        windows = query.get("spans_s") or [query["span_s"]]
        return sorted((float(start), float(end)) for start, end in windows)

    def film_strip(self, video_id: object) -> np.ndarray | None:
        """Film strip (n, px, px, 3) uint8, heat map (T,), or None when the run keeps neither."""
        return self._strips.get(str(video_id))

    def shapes(self) -> tuple[CurveShape, CurveShape]:
        """How the run's method turns (center, width) into a curve, for positives and for negatives.

        The method wrote it into ``config.json``; :data:`INTERVAL` where it did not, as in older runs.
        """
        curves = self.run.config.get("curves") or {}
        positive, negative = (
            CurveShape(**curves[role]) if role in curves else INTERVAL for role in ("positive", "negative")
        )
        return positive, negative

    @cached_property
    def _clock(self) -> dict[int, float]:
        """P0's c by epoch; {} for a run without it."""
        if "curriculum/c" not in self.epochs:
            return {}
        return {int(e): float(c) for e, c in zip(self.epochs["epoch"], self.epochs["curriculum/c"], strict=True)}

    def clock(self, epoch: int) -> float:
        """P0's c at an epoch (before training that of the first epoch); NaN for a run without it."""
        return self._clock.get(max(epoch, 1), float("nan"))

    def negative_role(self, epoch: int) -> str:
        """``pushed_negative`` while c is below zero, ``pulled_negative`` after; ``negative`` without c.

        For c < 0 P0's dual-signed cross-entropy pushes negatives away from the query, for c > 0 it pulls them to it.
        """
        c = self.clock(epoch)
        return "negative" if np.isnan(c) else "pushed_negative" if c < 0 else "pulled_negative"

    def snapshot(self, query_id: object, epoch: int) -> Snapshot:
        """The proposals of one query at one epoch.

        Raises:
            DataError: for a query or an epoch that was not recorded.
        """
        key = (int(epoch), self.query(query_id)["query_id"])
        if key not in self._rows:
            raise DataError(
                self.name,
                f"epoch {epoch} of query '{query_id}' was not recorded",
                f"choose from epochs {_some(self.recorded_epochs)}",
            )
        rows = {name: column[self._rows[key]] for name, column in self._columns.items()}
        is_positive = rows["role"] == "positive"
        # a complement is no interval and has no center; it cannot be drawn over time
        is_negative = ~is_positive & np.isfinite(rows["center"])
        positive, negative = ({n: c[some] for n, c in rows.items()} for some in (is_positive, is_negative))
        common = self.negative_role(key[0])
        chosen = np.flatnonzero(positive["chosen"])
        return Snapshot(
            epoch=key[0],
            query_id=key[1],
            positives=np.stack([positive["center"], positive["width"]], axis=1),
            spans=np.stack([positive["start"], positive["end"]], axis=1),
            positive_weights=positive["weight"],
            nll=positive["nll"],
            iou=positive["iou"],
            negatives=np.stack([negative["center"], negative["width"]], axis=1),
            negative_spans=np.stack([negative["start"], negative["end"]], axis=1),
            negative_weights=negative["weight"],
            negative_nll=negative["nll"],
            negative_iou=negative["iou"],
            ion=negative["ion"],
            chosen=int(chosen[0]) if len(chosen) else None,
            negative_roles=tuple(common if r == "negative" else str(r) for r in negative["role"]),
        )

    def pick_epochs(self, wanted: Iterable[int]) -> list[int]:
        """The recorded epochs nearest to those wanted (-1: the last), each once, ascending."""
        recorded = np.array(self.recorded_epochs)
        wanted = [recorded[-1] if e < 0 else e for e in wanted]
        return sorted({int(recorded[np.abs(recorded - e).argmin()]) for e in wanted})


#: what views open
AnyRun: TypeAlias = RunDirectory | RunView | str | os.PathLike[str]


def as_view(run: AnyRun) -> RunView:
    """A view of ``run``; a view itself, so that what it has read is not read again."""
    return run if isinstance(run, RunView) else RunView(run)


def thin_log(count: int, keep: int) -> list[int]:
    """``keep`` of the places 0..count-1: the first two, the last, and the rest evenly on a log scale.

    >>> thin_log(100, 6)
    [0, 1, 3, 10, 31, 99]
    >>> thin_log(4, 6)
    [0, 1, 2, 3]
    """
    if keep >= count:
        return list(range(count))
    if keep < 3:
        return [0, count - 1][:keep]
    places = [0, *np.round(np.geomspace(1, count - 1, keep - 1)).astype(int)]
    for i in range(1, keep - 1):
        places[i] = max(places[i], places[i - 1] + 1)
    return [int(p) for p in places]


def _some(names: Iterable[object]) -> str:
    words = [str(n) for n in names]
    return ", ".join(words[:8]) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
