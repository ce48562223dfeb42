"""What the commands ``vmlkit data ...`` need of a source: its annotations as plain tables, and its features.

Tables are made from the annotation files alone, before anything is left out, cut or tokenised, so that what is wrong
with a file is seen as it is.  Times are seconds.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vmlkit.actions.feature_layouts import open_action_features
from vmlkit.actions.sources import ActionData, PlantedActionData, find_actions
from vmlkit.config import with_overrides
from vmlkit.data import charades_cd
from vmlkit.data.annotations.charades import records_of
from vmlkit.data.annotations.json_lines import Record, read_lines
from vmlkit.data.annotations.layouts import CLIP_LABELS, MOMENT_DETR, explained, rows_of
from vmlkit.data.corpus import annotation_files, durations_file, find_folder
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import open_features
from vmlkit.data.settings import CharadesCDData, CorpusData, DataConfig, PlantedData
from vmlkit.data.sources import Splits
from vmlkit.detr.corpora import find_files
from vmlkit.detr.line_features import open_kinds
from vmlkit.detr.settings import DetrData, LinesData
from vmlkit.errors import ConfigError
from vmlkit.methods import DATA, METHODS, preset
from vmlkit.training.experiment import MethodEntry

#: columns of the table of sentences, or of action segments (whose "sentence" is the class)
MOMENTS = ("split", "record", "video", "duration", "start", "end", "sentence")


@dataclass(frozen=True, kw_only=True)
class SourceTables:
    """The annotations of a source."""

    config: DataConfig
    kind: str  #: "sentences" or "actions"
    files: Mapping[str, Path]  #: annotation file of each split
    moments: pd.DataFrame  #: one row per window, with the columns of :data:`MOMENTS`
    videos: pd.DataFrame  #: one row per video of a split: split, video, duration (NaN where the file has none)


def settings_of(source: str, size: str, given: Mapping[str, Any]) -> tuple[str, MethodEntry, DataConfig]:
    """The first method that trains on a source, and the settings that its preset gives the source.

    Args:
        source: one of :data:`vmlkit.methods.DATA`.
        size: of the preset.
        given: values by dotted key, such as ``{"data.features": "f.h5"}``.

    Raises:
        ConfigError: for an unknown source, or a setting that the source does not have.
    """
    method = next((name for name, entry in METHODS.items() if source in entry.presets), None)
    if method is None:
        raise ConfigError(f"unknown source of data '{source}': choose one of {', '.join(DATA)}")
    experiment = preset(method, source, size)
    for name in ("annotations", "features"):
        if f"data.{name}" in given and not hasattr(experiment.data, name):
            raise ConfigError(f"the data '{source}' read no {name} from files: leave out --{name}")
    return method, METHODS[method], with_overrides(experiment, given).data


def tables_of(config: DataConfig) -> SourceTables | None:
    """The annotations of a source that reads annotation files; None for one that makes its own.

    Raises:
        DataError: for files that are missing or cannot be read at all.
    """
    if isinstance(config, (ActionData, PlantedActionData)):
        return _action_tables(config)
    if isinstance(config, LinesData):
        return _line_tables(config)
    if isinstance(config, CharadesCDData):
        files = charades_cd.annotation_files(find_folder(config.annotations, "charades_cd"))
        return _sentence_tables(config, files)
    if isinstance(config, (CorpusData, PlantedData)):
        corpus = config.name.removeprefix("planted:")
        folder = find_folder(config.annotations, corpus)
        return _sentence_tables(config, annotation_files(folder, corpus, config.test_split))
    return None


def _sentence_tables(config: DataConfig, files: Mapping[str, Path]) -> SourceTables:
    parts: list[tuple[Any, ...]] = []
    for split, path in files.items():
        if ".txt" in path.name:
            durations = getattr(config, "durations", None) or durations_file(path.parent, split)
            parts += [(split, row, *fields) for row, fields in records_of(path, durations)]
            continue
        for number, found in enumerate(rows_of(path, faulty=True)):
            windows = found.windows or ((float("nan"), float("nan")),)
            common = (split, number, found.video_id, found.duration)
            parts += [(*common, start, end, found.sentence) for start, end in windows]
    moments = pd.DataFrame(parts, columns=list(MOMENTS))
    videos = moments[["split", "video", "duration"]].drop_duplicates(["split", "video"], ignore_index=True)
    return SourceTables(config=config, kind="sentences", files=files, moments=moments, videos=videos)


def _line_tables(config: LinesData) -> SourceTables:
    """Lines of Moment-DETR as they stand there: a query may have several windows, or none where clips are rated."""
    moments: list[tuple[Any, ...]] = []
    videos: dict[tuple[str, str], float] = {}
    files = find_files(config.corpus_name, config.annotations, config.test_file).files
    for split, path in files.items():
        with explained(path, MOMENT_DETR, CLIP_LABELS):
            for line, fields in read_lines(path):
                record = Record(path, line, fields)
                video, duration = record.text("vid"), record.seconds("duration")
                videos.setdefault((split, video), duration)
                windows = record.rows("relevant_windows", width=2) if fields.get("relevant_windows") else []
                common = (split, line, video, duration)
                moments += [(*common, float(start), float(end), record.text("query")) for start, end in windows]
    return SourceTables(
        config=config,
        kind="sentences",
        files=files,
        moments=pd.DataFrame(moments, columns=list(MOMENTS)),
        videos=pd.DataFrame(
            [(*key, duration) for key, duration in videos.items()], columns=["split", "video", "duration"]
        ),
    )


def _action_tables(config: ActionData | PlantedActionData) -> SourceTables:
    annotations = find_actions(config)
    training, testing = annotations.subsets
    names = {training: "train", testing: "test"}
    used = [video for video in annotations.videos if video.subset in names]
    parts = [
        (names[video.subset], record, video.video_id, video.duration, start, end, label)
        for record, video in enumerate(used)
        for start, end, label in video.segments
    ]
    moments = pd.DataFrame(parts, columns=list(MOMENTS))
    videos = pd.DataFrame(
        [(names[video.subset], video.video_id, video.duration) for video in used],
        columns=["split", "video", "duration"],
    )
    for table in (moments, videos):
        table["duration"] = table["duration"].astype(float)
    files = dict.fromkeys(("train", "test"), annotations.path)
    return SourceTables(config=config, kind="actions", files=files, moments=moments, videos=videos)


def tables_of_splits(config: DataConfig, splits: Splits[Any]) -> SourceTables:
    """The tables of a source that makes its own data, from what it made."""
    parts: list[tuple[Any, ...]] = []
    videos: dict[tuple[Any, ...], None] = {}
    for split in ("train", "validation", "test"):
        made = getattr(splits, split)
        videos |= {(split, v, float(d)): None for v, d in zip(made.video_ids, made.durations, strict=True)}
        if hasattr(made, "spans_s"):
            columns = zip(made.video_ids, made.durations, made.spans_s, made.sentences, strict=True)
            parts += [(split, i, v, d, *span, text) for i, (v, d, span, text) in enumerate(columns)]
        elif hasattr(made, "truth"):
            spans = zip(made.truth.video, made.truth.spans_s, made.truth.labels, strict=True)
            parts += [
                (split, i, made.video_ids[v], made.durations[v], *span, made.classes[label])
                for i, (v, span, label) in enumerate(spans)
            ]
    moments = pd.DataFrame(parts, columns=list(MOMENTS))
    table = pd.DataFrame(list(videos), columns=["split", "video", "duration"])
    kind = "actions" if hasattr(splits.train, "truth") else "sentences"
    return SourceTables(config=config, kind=kind, files={}, moments=moments, videos=table)


@contextmanager
def open_source(config: DataConfig) -> Iterator[FeatureStore | None]:
    """The features that the settings name, as the source reads them; None where they name none.

    Raises:
        DataError: for features that cannot be opened.
    """
    path = getattr(config, "features", None)
    if path is None:
        yield None
    elif isinstance(config, ActionData):
        ids = [video.video_id for video in find_actions(config).videos]
        with open_action_features(path, ids, config.feature_dataset) as store:
            yield store
    elif isinstance(config, DetrData):
        # all rows of a video, so that its length can be held against its duration
        options: Any = {"unit_rows": False, "dataset": config.feature_dataset}
        with open_kinds(path, config.kinds, config.corpus, sys.maxsize, **options) as joined:
            yield joined
    else:
        with open_features(path, getattr(config, "feature_dataset", None)) as store:
            yield store
