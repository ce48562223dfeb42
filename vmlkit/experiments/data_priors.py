"""What answers that never look at a video reach on real labels: the floor of every published number."""

import numpy as np
import pandas as pd

from vmlkit.actions.baselines import baseline_detection_metrics
from vmlkit.actions.detection import Protocol
from vmlkit.actions.segments import ActionSegments
from vmlkit.experiments.data_tables import SourceTables
from vmlkit.metrics.baselines import baseline_metrics, best_constant_windows

#: columns of the two kinds of sources, as fractions
MOMENT_COLUMNS: tuple[str, ...] = ("R@1,IoU=0.1", "R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU")
ACTION_COLUMNS: tuple[str, ...] = ("mAP@0.1", "mAP@0.3", "mAP@0.5", "mAP@0.7")


def location_priors(tables: SourceTables, draws: int = 5) -> pd.DataFrame:
    """Percent that each prior reaches on each split but the training split, whose moments it is fitted on.

    Sentences: R@1 and mIoU of :mod:`vmlkit.metrics.baselines`, over the sentences with one window.  Actions: mAP of
    :mod:`vmlkit.actions.baselines` in seconds, over the videos with a duration.  Spans are taken as the file has them.

    Returns:
        Columns split, prior, the metrics, N; no row where the source has no training split.
    """
    splits = [str(name) for name in tables.videos["split"].unique() if name != "train"]
    rows = []
    for split in splits if (tables.moments["split"] == "train").any() else ():
        if tables.kind == "sentences":
            train, truth = _fractions(tables.moments, "train"), _fractions(tables.moments, split)
            found = baseline_metrics(train, truth, draws=draws, n=(1,)) if len(train) and len(truth) else {}
            count, columns = len(truth), MOMENT_COLUMNS
        else:
            found, count = action_priors(tables, split, draws, thresholds=(0.1, 0.3, 0.5, 0.7))
            columns = ACTION_COLUMNS
        rows += [
            {"split": split, "prior": name, **{c: 100 * metrics[c] for c in columns}, "N": count}
            for name, metrics in found.items()
        ]
    return pd.DataFrame(rows)


def best_window(tables: SourceTables) -> tuple[float, float] | None:
    """The constant window, in fractions of the video, that fits the training moments best by mean IoU."""
    train = _fractions(tables.moments, "train") if tables.kind == "sentences" else np.empty((0, 2))
    if not len(train):
        return None
    start, end = best_constant_windows(train)[0].tolist()
    return start, end


def _fractions(moments: pd.DataFrame, split: str) -> np.ndarray:
    """Start and end of the moments of a split in fractions of their videos; unusable ones are left out."""
    part = moments[moments["split"] == split]
    part = part[(part["duration"] > 0) & (part["end"] > part["start"])]
    part = part[~part.duplicated("record", keep=False)]
    found: np.ndarray = part[["start", "end"]].to_numpy(float) / part[["duration"]].to_numpy(float)
    return found


def action_priors(
    tables: SourceTables,
    split: str,
    draws: int,
    protocol: Protocol = "seconds",
    thresholds: tuple[float, ...] | None = None,
) -> tuple[dict[str, dict[str, float]], int]:
    """Metrics of each prior of action segments as fractions, and the number of videos with a duration.

    Args:
        thresholds: of tIoU; None takes the protocol's own.
    """
    classes = sorted(tables.moments["sentence"].unique())
    parts = []
    for name in ("train", split):
        videos = tables.videos[(tables.videos["split"] == name) & (tables.videos["duration"] > 0)]
        segments = tables.moments[(tables.moments["split"] == name) & tables.moments["video"].isin(videos["video"])]
        segments = segments[segments["end"] > segments["start"]]
        columns = segments[["video", "start", "end", "sentence"]].itertuples(index=False, name=None)
        ids = list(videos["video"])
        parts.append((ActionSegments.build(list(columns), ids, classes), videos["duration"].to_numpy(float)))
    (train, train_s), (truth, truth_s) = parts
    if not len(train) or not len(truth):
        return {}, 0
    found = baseline_detection_metrics(train, train_s, truth, truth_s, protocol, thresholds=thresholds, draws=draws)
    return found, len(truth_s)
