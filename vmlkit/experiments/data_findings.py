"""Findings about the data of a source: what is wrong with annotations and features, and how much it matters.

*Damage* makes training fail or its numbers incomparable, a *warning* may, and a *note* is worth knowing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from vmlkit.data.annotations.charades import DURATION_TOLERANCE
from vmlkit.data.clock import RowWatch
from vmlkit.data.feature_files import FeatureStore, FolderFeatures, ListedFeatures
from vmlkit.data.features import meant
from vmlkit.data.left_out import Finding, Ledger, LeftOut
from vmlkit.data.packed import PackedFeatures
from vmlkit.errors import DataError
from vmlkit.experiments.data_tables import SourceTables

Weight = Literal["damage", "warning", "note"]
#: examples that are kept of each finding
EXAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class DataFinding(Finding):
    """A finding about a split, or about the source."""

    weight: Weight
    split: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        split = f"{self.split}: " if self.split else ""
        return f"{self.weight:8}{split}{super().__str__()}" + (f"; {self.remedy}" if self.remedy else "")

    def record(self) -> dict[str, Any]:
        """What the JSON report keeps."""
        found = {"weight": self.weight, "split": self.split, "what": self.what, "count": self.count, "of": self.total}
        return found | {"such_as": list(self.where[:EXAMPLES]), "remedy": self.remedy}


def check_annotations(tables: SourceTables) -> Iterator[DataFinding]:
    """Spans outside their videos, without length or twice; durations that disagree; what two splits share."""
    for split, part in tables.moments.groupby("split", sort=False):
        yield from _check_split(str(split), part, tables)
    for video_split, part in tables.videos.groupby("split", sort=False):
        zero = part[part["duration"] <= 0]
        yield _rows("damage", str(video_split), "videos have a duration that is not above 0", zero["video"], len(part))
    yield from _check_overlap(tables)


def _check_split(split: str, part: pd.DataFrame, tables: SourceTables) -> Iterator[DataFinding]:
    sentences = tables.kind == "sentences"
    refused = hasattr(tables.config, "beyond_duration")  # by a setting of these sources; others keep what is outside
    unit = "moments" if sentences else "segments"
    names = "record " + part["record"].astype(str) + " of " + part["video"]
    start, end, duration = part["start"], part["end"], part["duration"]
    late = end > duration + DURATION_TOLERANCE
    span = part["end"] - part["start"]

    def found(weight: Weight, what: str, which: pd.Series, remedy: str = "") -> DataFinding:
        return _rows(weight, split, f"{unit} {what}", names[which], len(part), remedy)

    yield found("damage", "end before or where they start", end <= start)
    yield found("damage", "start before 0", start < 0)
    bad: Weight = "damage" if refused else "warning"
    yield found(bad, "start after the end of their video", start >= duration, "the durations may belong elsewhere")
    cut = "they are refused, cut or left out by --set data.beyond_duration=error, clip or skip" if refused else ""
    yield found("warning", "end after their video", late & (start < duration), cut)
    yield found("note", "are as long as their video, or longer", (span >= duration) & ~late)
    yield found("note", "are shorter than a hundredth of their video", (span > 0) & (span < 0.01 * duration))
    twice = part.duplicated(["video", "start", "end", "sentence"])
    yield found("warning", "are there twice", twice)
    if sentences:
        empty = part["sentence"].astype(str).str.strip() == ""
        yield found("damage", "have an empty sentence", empty)
    lengths = part.groupby("video")["duration"].agg(["min", "max"])
    differ = lengths.index[lengths["max"] - lengths["min"] > DURATION_TOLERANCE]
    yield _rows("warning", split, "videos have several durations", differ, len(lengths))


def _check_overlap(tables: SourceTables) -> Iterator[DataFinding]:
    """What a test split shares with the training split."""
    videos = {str(split): set(part["video"]) for split, part in tables.videos.groupby("split", sort=False)}
    for split, mine in videos.items():
        if split == "train" or "train" not in videos:
            continue
        both = sorted(mine & videos["train"])
        weight: Weight = "damage" if split.startswith("test") else "warning"
        yield _rows(weight, split, "videos are also in the training split", both, len(mine))
        if tables.kind == "sentences":
            known, own = set(_sentences(tables, "train")), _sentences(tables, split)
            same = [text for text in own if text in known]
            yield _rows("note", split, "sentences are also in the training split, word for word", same, len(own))


def _sentences(tables: SourceTables, split: str) -> list[str]:
    """The sentences of a split, a record with several windows once, without differences of case."""
    part = tables.moments[tables.moments["split"] == split].drop_duplicates("record")
    return [str(text).strip().lower() for text in part["sentence"]]


@dataclass(frozen=True, kw_only=True)
class FeatureScan:
    """What every array of a store looks like."""

    #: split, video, duration, and where the features were read: rows, dimensions, seconds_per_row, norm, zeros
    videos: pd.DataFrame
    findings: tuple[DataFinding, ...]
    #: seconds a row that most videos share, and the number of dimensions, where they share them
    seconds_per_row: float | None = None
    dimensions: tuple[int, ...] = field(default=())


def scan_features(tables: SourceTables, store: FeatureStore, *, progress: bool = False) -> FeatureScan:
    """Read the features of every video once, and say what is missing, unusable, odd or superfluous."""
    findings: list[DataFinding] = []
    frames, clocks = [], []
    for split, part in tables.videos.groupby("split", sort=False):
        seen = _Seen(store)
        wanted = list(part["video"])
        for video in tqdm(wanted, desc=f"features ({split})", unit="video", disable=not progress, leave=False):
            seen.read(video)
        findings += seen.findings(str(split), len(wanted))
        durations = dict(zip(part["video"], part["duration"], strict=True))
        found = _clock(seen, durations, str(split), getattr(tables.config, "seconds_per_row", None))
        findings += found[1]
        clocks.append(found[0])
        described = pd.DataFrame.from_dict(seen.rows, orient="index", columns=["rows", "dimensions", "norm", "zeros"])
        frames.append(part.merge(described, how="left", left_on="video", right_index=True))
    videos = pd.concat(frames, ignore_index=True)
    videos["seconds_per_row"] = videos["duration"] / videos["rows"]
    findings += _about_store(store, set(tables.videos["video"]))
    shared = clocks[0] if len(set(clocks)) == 1 else None
    widths = tuple(int(width) for width in sorted(videos["dimensions"].dropna().unique()))
    return FeatureScan(videos=videos, findings=tuple(findings), seconds_per_row=shared, dimensions=widths)


class _Seen:
    """What reading the videos of a split came to."""

    def __init__(self, store: FeatureStore) -> None:
        self.store, self.watch = store, RowWatch(store)
        self.rows: dict[str, tuple[int, int, float, float]] = {}
        self.missing: list[str] = []
        self.broken: dict[str, str] = {}
        self.content: dict[int, str] = {}
        self.same: list[str] = []

    def read(self, video: str) -> None:
        """Look at the features of a video."""
        if video not in self.store:
            self.missing.append(video)
            return
        try:
            array = np.asarray(self.store.read(video))
            self.watch.see(video, array)
        except DataError as error:
            self.broken[video] = f"{error.what}"
            return
        norms = np.linalg.norm(array.astype(np.float32), axis=1)
        self.rows[video] = len(array), array.shape[1], float(norms.mean()), float((norms == 0).mean())
        twin = self.content.setdefault(hash(array.tobytes()), video)
        if twin != video and norms.any():
            self.same.append(video)

    def findings(self, split: str, total: int) -> Iterator[DataFinding]:
        """What is missing, unusable or twice there."""
        remedy = meant(self.store, self.missing) if self.missing else None
        yield _rows("damage", split, "videos have no features", self.missing, total, remedy or "")
        first = next(iter(self.broken.values()), "")
        yield _rows("damage", split, "videos have unusable features", self.broken, total, first)
        what = "videos have exactly the features of a video before them"
        yield _rows("warning", split, what, self.same, total)


def _clock(
    seen: _Seen, durations: dict[str, float], split: str, given: float | None
) -> tuple[float | None, list[DataFinding]]:
    """Seconds a row, and what does not fit the durations."""
    watch, ledger = seen.watch, Ledger()
    if isinstance(seen.store, PackedFeatures):
        watch = RowWatch(seen.store)
        watch.restore(seen.store.seen(list(seen.rows)))
    known = {video: None if np.isnan(durations[video]) else durations[video] for video in watch.rows}
    if not watch.rows or all(seconds is None for seconds in known.values()):
        return None, []
    try:
        clock = watch.clock(known, ledger, split, given=given)
    except DataError as error:
        return None, [DataFinding(weight="damage", split=split, what=error.what, count=len(known), total=len(known))]
    found = list(of_account(ledger))
    if clock.common is None and clock.resampled is None:
        what = "videos have rows that fit no common number of seconds, so each is stretched over its own duration"
        found.append(DataFinding(weight="warning", split=split, what=what, count=len(known), total=len(known)))
    return clock.common, found


def _about_store(store: FeatureStore, wanted: set[str]) -> Iterator[DataFinding]:
    if isinstance(store, FolderFeatures):
        yield _rows(
            "warning", "", "videos have several files, of which the first kind is read", store.twice, len(wanted)
        )
    if isinstance(store, PackedFeatures) and not store.intact():
        yield DataFinding(weight="damage", what="packed files are not what was packed", count=1, total=1,
                          remedy="pack again")  # fmt: skip
    if isinstance(store, ListedFeatures):
        extra = [name for name in store.names() if name not in wanted]
        yield _rows("note", "", "features belong to no video of the annotations", extra, len(extra) + len(wanted))


def of_account(entries: Iterable[LeftOut]) -> Iterator[DataFinding]:
    """The account of a loading as findings: lost videos and queries are damage, words are worth a note."""
    for entry in entries:
        lost = "left out" in entry.done and not entry.what.startswith("tokens")
        words = entry.what.startswith("tokens") or "more than" in entry.what or "no word" in entry.what
        weight: Weight = "damage" if lost else "note" if words else "warning"
        what = f"{entry.what} and {entry.done}" if entry.done else entry.what
        yield DataFinding(
            weight=weight, split=entry.split, what=what, count=entry.count, total=entry.total, where=entry.where
        )


def _rows(weight: Weight, split: str, what: str, where: Iterable[Any], total: int, remedy: str = "") -> DataFinding:
    names: Sequence[str] = [str(name) for name in where]
    unique = tuple(dict.fromkeys(names))
    return DataFinding(
        weight=weight, split=split, what=what, count=len(names), total=total, where=unique, remedy=remedy
    )
