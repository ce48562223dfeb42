"""``vmlkit data check``: everything that can be known about the data of a source before a model sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vmlkit.actions.label_report import label_report
from vmlkit.actions.sources import ActionData, PlantedActionData, find_actions
from vmlkit.data.packed import is_packed
from vmlkit.data.published import PUBLISHED
from vmlkit.data.settings import DataConfig
from vmlkit.data.sources import Splits
from vmlkit.detr.settings import LinesData
from vmlkit.errors import DataError
from vmlkit.experiments.data_findings import DataFinding, FeatureScan, check_annotations, of_account, scan_features
from vmlkit.experiments.data_priors import best_window, location_priors
from vmlkit.experiments.data_tables import SourceTables, open_source, settings_of, tables_of, tables_of_splits
from vmlkit.training.experiment import MethodEntry


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was found out about a source."""

    source: str
    files: Mapping[str, str]  #: name of the annotation file of each split
    tables: SourceTables
    findings: tuple[DataFinding, ...]  #: those that were met at least once
    priors: pd.DataFrame  #: percent, see :func:`vmlkit.experiments.data_priors.location_priors`
    window: tuple[float, float] | None  #: the best constant window, in fractions of the video
    scan: FeatureScan | None = None  #: of the features; None where none were named
    notes: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)

    @property
    def damaged(self) -> bool:
        """Whether something was found that makes training fail or its numbers incomparable."""
        return any(finding.weight == "damage" for finding in self.findings)

    @property
    def sizes(self) -> pd.DataFrame:
        """Videos, moments, hours and the median length of a moment of each split."""
        moments, videos = self.tables.moments.copy(), self.tables.videos
        moments["length"] = moments["end"] - moments["start"]
        of = moments.groupby("split", sort=False)
        rows = {
            split: {
                "videos": len(part),
                "moments": len(of.get_group(split)) if split in of.groups else 0,
                "hours": part["duration"].sum() / 3600,
                "median s": of.get_group(split)["length"].median() if split in of.groups else float("nan"),
            }
            for split, part in videos.groupby("split", sort=False)
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def __str__(self) -> str:
        lines = [f"{self.source}: {', '.join(f'{split} from {name}' for split, name in self.files.items())}"]
        lines += ["", self.sizes.to_string(float_format=lambda value: f"{value:.1f}")]
        if self.scan is not None:
            clock = (
                "no common clock" if self.scan.seconds_per_row is None else f"{self.scan.seconds_per_row:.3g} s a row"
            )
            read = int(self.scan.videos["rows"].notna().sum())
            widths = "/".join(map(str, self.scan.dimensions))
            lines += ["", f"features: {read} of {len(self.scan.videos)} videos, {widths} dimensions, {clock}"]
        lines += ["", *map(str, self.findings)] if self.findings else ["", "nothing was found"]
        lines += self.notes
        if len(self.priors):
            lines += ["", "answers that never look at a video, percent"]
            lines.append(self.priors.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
        if self.window is not None:
            lines.append(
                f"best constant window of the training split: [{self.window[0]:g}, {self.window[1]:g}] of a video"
            )
        lines += ["", *(f"{what}: {where}" for what, where in self.published.items())] if self.published else []
        counts = {weight: sum(f.weight == weight for f in self.findings) for weight in ("damage", "warning", "note")}
        verdict = "training would be damaged" if self.damaged else "nothing damages training"
        lines += ["", f"{verdict}: " + ", ".join(f"{count} {weight}" for weight, count in counts.items())]
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Everything but the tables of single videos and moments, for JSON."""
        scan = self.scan
        return {
            "source": self.source,
            "files": dict(self.files),
            "damaged": self.damaged,
            "sizes": self.sizes.to_dict("index"),
            "features": None if scan is None else {
                "seconds_per_row": scan.seconds_per_row, "dimensions": list(scan.dimensions),
                "videos": int(scan.videos["rows"].notna().sum()),
            },
            "findings": [finding.record() for finding in self.findings],
            "priors_percent": self.priors.to_dict("records"),
            "best_constant_window": None if self.window is None else list(self.window),
            "notes": list(self.notes),
            "published": dict(self.published),
        }  # fmt: skip


def check_data(
    source: str,
    given: Mapping[str, Any] | None = None,
    *,
    size: str | None = None,
    cache_dir: Path | None = None,
    progress: bool = False,
) -> DataReport:
    """Check the data of a source as they lie there, and as training would load them.

    Args:
        source: one of :data:`vmlkit.methods.DATA`.
        given: settings by dotted key, such as ``{"data.annotations": "a", "data.features": "f.h5"}``.
        size: of the preset; by default the smallest for sources that make their own features, else the published one.
        cache_dir: where tags and rendered videos are kept.

    Raises:
        ConfigError: for an unknown source or setting.
        DataError: for annotations that are missing or cannot be read at all.
    """
    own = source == "toy" or source.startswith("planted:")
    _, entry, config = settings_of(source, size or ("ci" if own else "paper"), given or {})
    tables = tables_of(config)
    findings: list[DataFinding] = []
    notes: list[str] = []
    scan = None
    with open_source(config) as store:
        if tables is not None and store is not None:
            scan = scan_features(tables, store, progress=progress)
    findings += scan.findings if scan is not None else []
    splits = None
    if own or (scan is not None and not isinstance(config, ActionData)):
        splits, found, notes = _loaded(entry, config, cache_dir, progress)
        findings += found
    elif not own and scan is None:
        notes = ["no features were named (--features PATH), so the annotations alone were checked"]
    if tables is None:
        if not own:
            what = "is checked by training alone, which names what is wrong with a file"
            raise DataError(source, what, f"train on it: vmlkit train METHOD --data {source}")
        if splits is None:
            raise DataError(config.name, "could not be loaded", "see `vmlkit check`")
        tables = tables_of_splits(config, splits)
    findings = [*check_annotations(tables), *findings, *_labels(config)]
    return DataReport(
        source=source,
        files={split: path.name for split, path in tables.files.items()},
        tables=tables,
        findings=tuple(finding for finding in findings if finding.count),
        priors=location_priors(tables),
        window=best_window(tables),
        scan=scan,
        notes=tuple(notes),
        published=_published(config),
    )


def _loaded(
    entry: MethodEntry, config: DataConfig, cache_dir: Path | None, progress: bool
) -> tuple[Splits[Any] | None, list[DataFinding], list[str]]:
    """The splits as training loads them, with what that leaves out; a refusal is a finding."""
    # one clip a video: words and sentences are looked at here, features were read already
    files = getattr(config, "features", None) is not None and not _packed(config)
    small = replace(config, clips=1) if files else config
    try:
        splits = entry.view.loaders[type(config)](small, cache_dir, progress)
    except DataError as error:
        refusal = f"attempts to load them as training does end in an error: {error}"
        return None, [DataFinding(weight="damage", what=refusal, count=1, total=1)], []
    # what the scan of the features says of videos is not said twice
    kept = [entry for entry in splits.left_out if not entry.what.startswith("videos")]
    found, notes = list(of_account(kept)), list(splits.notes)
    if splits.words is not None and splits.words.random:
        said = f"words come from {splits.words.line}"
        total = max(len(splits.train.vocabulary) - 1, splits.words.hashed)
        found.append(
            DataFinding(
                weight="warning", what="words have a random vector", count=splits.words.hashed, total=total, remedy=said
            )
        )
    elif splits.words is not None:
        notes.append(f"words: {splits.words.line}")
    return splits, found, notes


def _published(config: DataConfig) -> Mapping[str, str]:
    """Where annotations and features of the source are published."""
    if isinstance(config, LinesData):
        return {"annotations": config.corpus.annotations_at, "features": config.corpus.features_at}
    return PUBLISHED.get(config.name.removeprefix("planted:"), {})


def _packed(config: DataConfig) -> bool:
    path = Path(str(getattr(config, "features", "")))
    return path.is_file() and is_packed(path)


def _labels(config: DataConfig) -> list[DataFinding]:
    """The known defects of the labels of an action data set."""
    if not isinstance(config, (ActionData, PlantedActionData)):
        return []
    return [
        DataFinding(weight="warning", what=f.what, count=f.count, total=f.total, where=f.where)
        for f in label_report(find_actions(config)).findings
        if f.kind != "beyond_end"  # counted among the segments
    ]
