"""Actions in a file of video: what an action method detects, in overlapping windows as long as its training videos."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detections import Detections
from vmlkit.actions.method import ActionMethod
from vmlkit.actions.nms import hard_nms
from vmlkit.actions.segments import ActionSegments
from vmlkit.actions.task import ActionTask
from vmlkit.actions.toy import project_halves
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import load_run, task_of
from vmlkit.finding.finder import encoder_for, toy_world
from vmlkit.finding.models import check_features
from vmlkit.finding.videos import encoded
from vmlkit.finding.windows import SUPPRESS_ABOVE, place_windows
from vmlkit.runs import RunDirectory
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.opening import EncodedVideo
from vmlkit.video.toy_encoder import ToyEncoder

#: columns of a table of detected actions
COLUMNS = ("label", "start", "end", "score")


@dataclass(frozen=True)
class FoundActions:
    """Detected actions of one video, the best first; times in seconds."""

    frame: pd.DataFrame
    model: str

    def __str__(self) -> str:
        if self.frame.empty:
            return f"{self.model}: no action was found"
        rows = (f"{r.start:7.2f} – {r.end:7.2f}  {r.score:6.3f}  {r.label}" for r in self.frame.itertuples())
        return "\n".join((f"actions by {self.model} (s, score)", *rows))


def find_actions(
    path: str | Path,
    run_dir: str | Path,
    top: int = 5,
    *,
    encoder: str | Path | None = None,
    device: str = "auto",
    cache_dir: str | Path | None = None,
) -> FoundActions:
    """The best ``top`` detections of a run's chosen epoch in a file of video.

    Raises:
        ConfigError: for a run that detects no actions.
        DataError: for a file that is no video, or features that the run was not trained on.
    """
    if top < 1:
        raise ConfigError(f"ask for at least one action, not {top}")
    run = RunDirectory(run_dir)
    method, splits, experiment = load_run(run_dir, progress=False, device=device)
    task = task_of(experiment)
    if not isinstance(task, ActionTask) or not isinstance(method, ActionMethod):
        raise ConfigError(f"{run.path} ('{experiment.method}') detects no actions: ask it a sentence with --run")
    made = encoder_for(run_dir, encoder, device)
    check_features(run, experiment.data, made)
    if isinstance(experiment.data, ToyConfig):
        made = ToyEncoder(toy_world(experiment.data), project=project_halves)
    video = encoded(path, made, cache_dir)
    parts = video_parts(video, made, splits.test)
    found = task.detect(task.activations(method, parts), parts).in_unit("seconds", parts.snippet_s)
    offsets = np.array([float(name) for name in parts.video_ids])
    return FoundActions(ranked(found, offsets, parts.classes, top), f"{experiment.method}, {run.path.name}")


def video_parts(video: EncodedVideo, encoder: VideoEncoder, like: ActionDataset) -> ActionDataset:
    """Windows of a video as videos of a split, named after the second at which each begins.

    The toy world's videos all have as many clips as training has; those of other data keep their rows.
    """
    toy = isinstance(encoder, ToyEncoder)
    per_s = len(video.rows) / float(video.times[-1, 1] - video.times[0, 0])
    longest = float(np.median(like.durations))
    places = place_windows(len(video.rows), max(1, round(longest * per_s)))
    rows = [encoder.clips(video.rows[a:b], like.clips if toy else int(b - a)) for a, b in places]
    starts = np.maximum(video.times[places[:, 0], 0], 0)
    seconds = video.times[places[:, 1] - 1, 1] - starts
    count = len(rows)
    names = tuple(f"{start:.6f}" for start in starts)
    lengths = torch.tensor([0, *(len(part) for part in rows)])
    return dataclasses.replace(
        like,
        name="your video",
        rows=torch.from_numpy(np.concatenate(rows)),
        offsets=lengths.cumsum(0),
        labels=torch.zeros(count, len(like.classes)),
        truth=ActionSegments.build([], names, like.classes),
        durations=seconds,
        snippet_s=seconds / lengths[1:].numpy(),
        video_ids=names,
        sentences=("",) * count,
        word_ids=like.word_ids[:1].expand(count, -1),
        word_mask=like.word_mask[:1].expand(count, -1),
        word_weights=like.word_weights[:1].expand(count, -1),
        ambiguous_s=((),) * count,
        unlisted=frozenset(),
        film_strip=None,
        fingerprint="",
    )


def ranked(found: Detections, offsets: np.ndarray, classes: tuple[str, ...], top: int) -> pd.DataFrame:
    """The best detections over all windows; of one class, none overlaps a better one by more than half."""
    spans = found.spans + offsets[found.video][:, None]
    kept = []
    for label in np.unique(found.labels):
        mine = np.flatnonzero(found.labels == label)
        kept.append(mine[hard_nms(spans[mine], found.scores[mine], SUPPRESS_ABOVE)])
    order = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    order = order[np.argsort(-found.scores[order], kind="stable")][:top]
    columns = ([classes[i] for i in found.labels[order]], *spans[order].T, found.scores[order])
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
