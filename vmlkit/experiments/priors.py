"""What answers that never look at a video reach in the columns of the published tables; no features are needed.

An answer of fixed windows meets thresholds exactly: on ActivityNet Captions 42 moments are a tenth or a half of their
video to the last digit of the file.  On which side of ``>= 0.1`` they fall depends on how a program rounds, so the way
of counting is named:

============  ==========================================================================================
``released``  fractions of the duration in float64 and 1e-10 added above and below, as the released evaluation
              programs of CNM, CPL and PPS count, and every run of vmlkit; moments on a threshold are hits
``plain``     the same without the 1e-10: about half of the moments on a threshold are lost to rounding
``exact``     whole numbers made of the decimals of the file, for the fixed windows; drawn answers as in ``plain``
``official``  JSON lines: the published evaluation program of the data set
``seconds``   actions: tIoU in seconds, as ActivityNet's program computes it
============  ==========================================================================================
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vmlkit import spans as sp
from vmlkit.actions.sources import ActionData, PlantedActionData
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.data.corpus import VALIDATION_FILES
from vmlkit.data.settings import DataConfig
from vmlkit.detr.corpora import find_files
from vmlkit.detr.settings import LinesData
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.data_priors import action_priors
from vmlkit.experiments.data_tables import SourceTables, settings_of, tables_of
from vmlkit.experiments.prediction_report import CLIP_PROTOCOLS, baselines, evaluate
from vmlkit.files import write_json
from vmlkit.files.reading import unpacked
from vmlkit.metrics.baselines import baseline_predictions, best_constant_windows

#: ways of counting for sentences with one moment each
CONVENTIONS = ("released", "plain", "exact")
THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
RANKS = (1, 5)
DRAWS = 20
#: parts of a data set as the papers call them
_NAMES = {"validation": "val", "test_iid": "test-iid", "test_ood": "test-ood"}
#: what a count of scored queries means, by data set
_COUNTS: Mapping[str, Mapping[int, str]] = {
    "charades": {
        3158: "3,158 of the benchmark's 3,720 test queries: the file that CNM, CPL and PPS share lacks the 562 whose "
        "moment is annotated up to the end of its video or beyond, and has no other such query; no early window meets "
        "them, so constant windows, and perhaps methods, score higher on it than on the whole benchmark",
    },
    "charades_sta": {
        3720: "the whole benchmark of 3,720 test queries, as supervised methods score it; the file of CNM, CPL and PPS "
        "has the 3,158 whose moment ends before its video",
    },
    "thumos14": {
        212: "212 test videos; papers speak of 213, 211 and 210, by which of 0000270, 0001292 and 0001496 a list has",
    },
}


@dataclass(frozen=True, kw_only=True)
class Priors:
    """The priors of one part of a data set."""

    source: str
    split: str
    convention: str
    file: Path
    train: Path  #: the windows and the drawn moments come from there
    fitted: int  #: moments of it
    in_file: int  #: queries of the part; videos of an action data set
    left_out: Mapping[str, int]  #: reason -> queries that are not scored
    window: tuple[float, float] | None  #: the best constant window by mean IoU, in fractions of the video
    table: pd.DataFrame  #: percent; priors by metric

    @property
    def scored(self) -> int:
        """Queries in the denominator."""
        return self.in_file - sum(self.left_out.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What the number of queries means."""
        said = _COUNTS.get(self.source.removeprefix("planted:"), {}).get(self.scored)
        return () if said is None else (said,)

    def __str__(self) -> str:
        gone = "; ".join(f"{count:,} left out: {reason}" for reason, count in self.left_out.items())
        lines = [f"{self.source} {self.split} ({self.file.name}): {self.scored:,} scored, {gone or 'none left out'}"]
        window = "" if self.window is None else f", best constant window [{self.window[0]:g}, {self.window[1]:g}]"
        lines.append(f"fitted on {self.train.name}: {self.fitted:,} moments{window}; counted the {self.convention} way")
        lines += [*self.notes, "", self.table.to_string(float_format=lambda value: f"{value:.2f}")]
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """For JSON; SHA-256 is that of the unpacked files."""
        return {
            "file": self.file.name,
            "sha256": sha256(self.file),
            "train": self.train.name,
            "train_sha256": sha256(self.train),
            "fitted": self.fitted,
            "in_file": self.in_file,
            "left_out": dict(self.left_out),
            "scored": self.scored,
            "window": None if self.window is None else list(self.window),
            "notes": list(self.notes),
            "convention": self.convention,
            "percent": {name: {key: round(value, 3) for key, value in row.items()}
                        for name, row in self.table.to_dict("index").items()},
        }  # fmt: skip


def priors_of(
    source: str,
    given: Mapping[str, Any] | None = None,
    *,
    split: str | None = None,
    convention: str | None = None,
    draws: int = DRAWS,
) -> list[Priors]:
    """The priors of every part of a data set that is not trained on.

    Args:
        source: one of :data:`vmlkit.methods.DATA`.
        given: settings by dotted key, such as ``{"data.annotations": "a"}``.
        split: this part alone, such as ``test``, ``val_1`` or ``test-ood``.
        convention: of :data:`CONVENTIONS`, for sentences with one moment each; ``released`` unless given.
        draws: repetitions over which random answers of sentences with one moment are averaged.

    Raises:
        ConfigError: for a source without annotation files of moments, a part that it lacks, or a convention that
            does not apply to it.
        DataError: for files that are missing or cannot be read.
    """
    _, _, config = settings_of(source, "paper" if ":" not in source and source != "toy" else "ci", given or {})
    if convention is not None and (isinstance(config, (LinesData, ActionData, PlantedActionData))):
        raise ConfigError(f"'{source}' is counted in one way, its published program's: leave the convention out")
    if convention not in (None, *CONVENTIONS):
        raise ConfigError(f"unknown convention '{convention}': choose one of {', '.join(CONVENTIONS)}")
    if isinstance(config, LinesData):
        found = _of_lines(source, config)
    elif getattr(config, "name", "").endswith("activitynet"):
        found = _of_activitynet(source, given or {}, split, convention, draws)
    else:
        found = _of_tables(source, config, convention, draws)
    chosen = [part for part in found if split in (None, part.split)]
    if not chosen:
        raise ConfigError(f"'{source}' has no part '{split}': choose one of {', '.join(p.split for p in found)}")
    return chosen


def write_priors(path: Path, source: str, parts: Sequence[Priors]) -> None:
    """Write priors of a source as JSON, such as those that :mod:`vmlkit.tables.priors` reads."""
    record = {"source": source, "command": f"vmlkit priors {source} --json {path.name}"}
    write_json(path, {**record, "parts": [{"split": part.split, **part.record()} for part in parts]})


def sha256(path: Path) -> str:
    """Of the file as it is published: of its content where it is gzipped here."""
    return hashlib.sha256(unpacked(path)).hexdigest()


def _of_activitynet(
    source: str, given: Mapping[str, Any], split: str | None, convention: str | None, draws: int
) -> list[Priors]:
    """Both validation files where both are there; which one stands under ``test`` is a setting."""
    found, missing = [], None
    for name in [name for name in VALIDATION_FILES if split not in VALIDATION_FILES or name == split]:
        _, _, config = settings_of(source, "ci" if ":" in source else "paper", {**given, "data.test_split": name})
        try:
            parts = _of_tables(source, config, convention, draws)
        except DataError as error:
            missing = error
            continue
        found += [replace(part, split=name) for part in parts]
    if not found and missing is not None:
        raise missing
    return found


def _of_tables(source: str, config: DataConfig, convention: str | None, draws: int) -> list[Priors]:
    tables = tables_of(config)
    if tables is None:
        what = "has no annotation files of moments, so there is no place to fit"
        raise ConfigError(f"'{source}' {what}: its priors stand under the table of `vmlkit train METHOD`")
    splits = [str(name) for name in tables.videos["split"].unique() if name != "train"]
    if tables.kind == "actions":
        return [_actions(source, tables, split) for split in splits]
    return [_sentences(source, tables, split, convention or "released", draws) for split in splits]


def _sentences(source: str, tables: SourceTables, split: str, convention: str, draws: int) -> Priors:
    train, _ = _usable(tables.moments, "train")
    part, left_out = _usable(tables.moments, split)
    if train.empty or part.empty:
        raise DataError(tables.files[split], "no moment of it can be scored, or none fitted", "check the files")
    spans = _fractions(train)
    answers = baseline_predictions(spans, len(part), draws=draws, proposals=max(RANKS))
    rows = {}
    for name, repetitions in answers.items():
        each = [_score(convention, answer, part, fixed=len(repetitions) == 1) for answer in repetitions]
        rows[name] = {key: 100 * float(np.mean([found[key] for found in each])) for key in each[0]}
    start, end = best_constant_windows(spans)[0].tolist()
    records = tables.moments.loc[tables.moments["split"] == split, "record"].nunique()
    return Priors(
        source=source, split=_NAMES.get(split, split), convention=convention, file=tables.files[split],
        train=tables.files["train"], fitted=len(train), in_file=records, left_out=left_out, window=(start, end),
        table=pd.DataFrame.from_dict(rows, orient="index"),
    )  # fmt: skip


def _usable(moments: pd.DataFrame, split: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The sentences of a split with one moment of a positive length, and how many others there are, by reason."""
    part = moments[moments["split"] == split]
    several = part.duplicated("record", keep=False)
    empty = ~((part["duration"] > 0) & (part["end"] > part["start"])) & ~several
    left_out = {
        "several moments": int(part.loc[several, "record"].nunique()),
        "no moment of a positive length, or no duration": int(empty.sum()),
    }
    return part[~several & ~empty], {reason: count for reason, count in left_out.items() if count}


def _fractions(part: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = part[["start", "end"]].to_numpy(float) / part[["duration"]].to_numpy(float)
    return found


def _score(convention: str, answer: np.ndarray, part: pd.DataFrame, fixed: bool) -> dict[str, float]:
    """``R@n,IoU=m`` and ``R@n,mIoU`` of answers ``(N, P, 2)``, best first; a threshold counts as met.

    Args:
        fixed: the same P windows for every query, which can be counted exactly.
    """
    truth = _fractions(part)[:, None]
    overlap = sp.iou(answer, truth) if convention == "released" else sp.hull_iou(answer, truth)
    exact = _exact(answer[0], part) if convention == "exact" and fixed else None
    hits = {m: overlap >= m if exact is None else 10 * exact[0] >= round(10 * m) * exact[1] for m in THRESHOLDS}
    found: dict[str, float] = {}
    for n in RANKS:
        found |= {f"R@{n},IoU={m:g}": float(hit[:, :n].any(axis=1).mean()) for m, hit in hits.items()}
        found[f"R@{n},mIoU"] = float(overlap[:, :n].max(axis=1).mean())
    return found


def _exact(windows: np.ndarray, part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and hull ``(N, P)`` of moments with fixed windows as whole numbers, without any rounding.

    Times are counted in nanoseconds, which holds the decimals of a file and drops digits that an earlier program's
    rounding left in it (such as 111.71000000000001), and edges of windows in thousandths.
    """
    start, end, duration = (
        np.rint(part[name].to_numpy(float) * 1e9).astype(np.int64)[:, None] for name in ("start", "end", "duration")
    )
    first, last = np.rint(windows.T * 1000).astype(np.int64)
    begins, ends, start, end = first * duration, last * duration, 1000 * start, 1000 * end
    common = np.maximum(np.minimum(ends, end) - np.maximum(begins, start), 0)
    return common, np.maximum(ends, end) - np.minimum(begins, start)


def _of_lines(source: str, config: LinesData) -> list[Priors]:
    protocol = config.corpus.protocol
    if protocol in CLIP_PROTOCOLS:
        raise ConfigError(f"'{source}' rates clips and has no moments: its priors stand under `vmlkit evaluate`")
    files = find_files(config.corpus_name, config.annotations, config.test_file).files
    train = read_queries(files["train"], warn=False).queries
    return [_lines(source, protocol, part, path, files["train"], train) for part, path in files.items()
            if part != "train" and _labelled(path)]  # fmt: skip


def _labelled(path: Path) -> bool:
    """Whether a part has windows: those of QVHighlights' test part were held back for years."""
    return any(query.windows_s for query in read_queries(path, unlabelled=True, warn=False).queries)


def _lines(
    source: str, protocol: str, part: str, path: Path, train_file: Path, train: Sequence[QueryAnnotation]
) -> Priors:
    queries = read_queries(path, warn=False).queries
    said = [QueryPrediction(qid=q.qid, windows_s=np.array([[0.0, q.duration_s, 1.0]])) for q in queries]
    found = evaluate(protocol, said, queries)
    rows = {name: _columns(tree["full"]) for name, tree in baselines(protocol, found, said, queries, train).items()}
    spans = np.array([(s / q.duration_s, e / q.duration_s) for q in train for s, e in q.windows_s])
    start, end = best_constant_windows(np.clip(spans, 0, 1))[0].tolist()
    return Priors(
        source=source, split=_NAMES.get(part, part), convention="official", file=path, train=train_file,
        fitted=len(spans), in_file=len(queries), left_out={why: len(qids) for why, qids in found.dropped.items()},
        window=(start, end), table=pd.DataFrame.from_dict(rows, orient="index"),
    )  # fmt: skip


def _columns(tree: Mapping[str, Any]) -> dict[str, float]:
    recalls = {f"R@1,IoU={t}": tree["MR-R1"][t] for t in ("0.3", "0.5", "0.7") if t in tree["MR-R1"]}
    return recalls | {f"mAP@{t}": tree["MR-mAP"][t] for t in ("0.5", "0.75")} | {"mAP": tree["MR-mAP"]["average"]}


def _actions(source: str, tables: SourceTables, split: str) -> Priors:
    large = source.endswith("activitynet1.3")
    rows, count = action_priors(tables, split, draws=5, protocol="activitynet" if large else "seconds")
    videos = tables.videos[tables.videos["split"] == split]
    left_out = {"no duration": len(videos) - count} if len(videos) > count else {}
    fitted = int((tables.moments["split"] == "train").sum())
    return Priors(
        source=source, split=split, convention="seconds", file=tables.files[split], train=tables.files["train"],
        fitted=fitted, in_file=len(videos), left_out=left_out, window=None,
        table=100 * pd.DataFrame.from_dict(rows, orient="index"),
    )  # fmt: skip
