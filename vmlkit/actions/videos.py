"""Annotated videos of an action data set, whatever file they came from."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError

_THUMOS = """BaseballPitch BasketballDunk Billiards CleanAndJerk CliffDiving CricketBowling CricketShot Diving
FrisbeeCatch GolfSwing HammerThrow HighJump JavelinThrow LongJump PoleVault Shotput SoccerPenalty TennisSwing
ThrowDiscus VolleyballSpiking"""
THUMOS_CLASSES = frozenset(_THUMOS.split())
#: names under which projects have the subsets, each tried in this order
_TRAINING, _VALIDATION, _TESTING = ("training", "train"), ("validation", "val"), ("test", "testing")

#: one instance: start s, end s, class
Segment = tuple[float, float, str]


@dataclass(frozen=True, kw_only=True)
class ActionVideo:
    """One video: its video-level labels and, independently, its instances with times."""

    video_id: str
    subset: str
    duration: float | None  #: seconds; ``None`` where the file does not say
    labels: tuple[str, ...]  #: video level, in the order of the file; not always the classes of the segments
    segments: tuple[Segment, ...]
    ambiguous: tuple[tuple[float, float], ...] = ()  #: seconds; P3 and CO2-Net drop detections that touch them
    in_gt_json: bool | None = None  #: whether the list of BaS-Net and HAM-Net has it; ``None`` if that is not known


@dataclass(frozen=True, kw_only=True)
class ActionAnnotations:
    """All videos of a file, in its order."""

    path: Path
    layout: str  #: what was read: "reduced", "npy", "gt.json" or "database"
    classes: tuple[str, ...]
    videos: tuple[ActionVideo, ...]

    @property
    def thumos(self) -> bool:
        """Whether this is THUMOS14 and not ActivityNet or another set of classes, whatever the layout."""
        return self.layout != "database" or set(self.classes) <= THUMOS_CLASSES

    @property
    def subsets(self) -> tuple[str, str]:
        """Names of the subset trained on and of the one reported.

        Where there is a training subset, that and the validation subset, or else the test subset (ActivityNet, OpenTAD,
        ``gt.json``); without one, the validation subset is trained on and the test subset reported (THUMOS14 as most
        projects have it).  Subsets that the file lacks have these names too.
        """
        found = {video.subset for video in self.videos}

        def first(names: Sequence[str]) -> str | None:
            return next((name for name in names if name in found), None)

        training, validation, testing = map(first, (_TRAINING, _VALIDATION, _TESTING))
        if training is None:
            return validation or _VALIDATION[0], testing or _TESTING[0]
        return training, validation or testing or _VALIDATION[0]

    def subset(self, name: str) -> "ActionAnnotations":
        """The videos of one subset.

        Raises:
            DataError: if there is none.
        """
        chosen = tuple(video for video in self.videos if video.subset == name)
        if not chosen:
            found = sorted({video.subset for video in self.videos})
            raise DataError(self.path, f"has no video of the subset '{name}'", f"use one of {', '.join(found)}")
        return replace(self, videos=chosen)

    def truth(self, video_ids: Sequence[str] | None = None) -> ActionSegments:
        """Instances of all videos, or of those listed, in the order of the list."""
        names = [video.video_id for video in self.videos] if video_ids is None else video_ids
        rows = [(video.video_id, *segment) for video in self.videos for segment in video.segments]
        return ActionSegments.build(rows, names, self.classes)


def check_video(path: str | Path, video: ActionVideo, classes: Container[str]) -> ActionVideo:
    """The video, or a sentence about what in it cannot be used.

    Labels that disagree with the segments, segments beyond the end, and very short ones are *not* errors: the data sets
    in circulation have them, see :func:`vmlkit.actions.label_report.label_report`.

    Raises:
        DataError: for a class that is not in the list, a bound that is not a finite number, an end before its start,
            or a duration that is not positive.
    """
    name = f"video '{video.video_id}'"
    for start, end, _ in video.segments:
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end < start:
            raise DataError(path, f"{name} has the segment {start!r} to {end!r}", "write start and end in seconds")
    for what, labels in (("a segment of the class", [c for _, _, c in video.segments]), ("the label", video.labels)):
        for label in labels:
            if label not in classes:
                raise DataError(path, f"{name} has {what} {label!r}", "add it to the list of classes")
    if video.duration is not None and not (math.isfinite(video.duration) and video.duration > 0):
        raise DataError(path, f"{name} has the duration {video.duration!r}", "write a positive number of seconds")
    return video
