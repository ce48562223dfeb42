"""Action instances with times: the ground truth of temporal action detection."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vmlkit.errors import DataError


@dataclass(frozen=True, kw_only=True)
class ActionSegments:
    """All instances of a list of videos, in seconds.

    A video without an instance stays in ``video_ids``: detections in it are false positives.
    """

    video: Int[np.ndarray, " N"]  #: position in ``video_ids``
    spans_s: Float[np.ndarray, "N 2"]  #: start and end, seconds
    labels: Int[np.ndarray, " N"]  #: position in ``classes``
    video_ids: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.video.shape != (count,) or self.spans_s.shape != (count, 2):
            shapes = f"{self.video.shape}, {self.spans_s.shape} and {self.labels.shape}"
            raise DataError("action segments", f"arrays of shapes {shapes}", "give N videos, N spans and N labels")
        if len(set(self.video_ids)) != len(self.video_ids):
            raise DataError("action segments", "a video id occurs twice", "list every video once")
        for name, values, limit in (("video", self.video, self.video_ids), ("label", self.labels, self.classes)):
            if count and not (values.min() >= 0 and values.max() < len(limit)):
                raise DataError("action segments", f"a {name} index is outside 0..{len(limit) - 1}", "check the lists")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def build(
        cls, rows: Sequence[tuple[str, float, float, str]], video_ids: Sequence[str], classes: Sequence[str]
    ) -> "ActionSegments":
        """From records ``(video id, start s, end s, class name)``; records of videos not listed are left out.

        >>> s = ActionSegments.build([("a", 1.0, 2.0, "run"), ("z", 0.0, 1.0, "run")], ["a", "b"], ["jump", "run"])
        >>> len(s), s.labels.tolist(), s.of(0)[0].tolist()
        (1, [1], [[1.0, 2.0]])
        """
        where = {name: i for i, name in enumerate(video_ids)}
        number = {name: i for i, name in enumerate(classes)}
        kept = [row for row in rows if row[0] in where]
        unknown = sorted({row[3] for row in kept} - number.keys())
        if unknown:
            raise DataError("action segments", f"the class {unknown[0]!r} is not in the list", "add it to the classes")
        return cls(
            video=np.array([where[row[0]] for row in kept], dtype=np.int64),
            spans_s=np.array([row[1:3] for row in kept], dtype=np.float64).reshape(-1, 2),
            labels=np.array([number[row[3]] for row in kept], dtype=np.int64),
            video_ids=tuple(video_ids),
            classes=tuple(classes),
        )

    def of(self, video: int) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
        """Spans in seconds and labels of one video, in the order of the file."""
        mine = self.video == video
        return self.spans_s[mine], self.labels[mine]

    def where(self, keep: Bool[np.ndarray, " N"]) -> "ActionSegments":
        """The chosen instances of the same videos."""
        return replace(self, video=self.video[keep], spans_s=self.spans_s[keep], labels=self.labels[keep])

    def for_videos(self, video_ids: Sequence[str]) -> "ActionSegments":
        """The instances of other videos or of the same in another order; a video not known here has none."""
        rows = [
            (self.video_ids[v], float(a), float(b), self.classes[c])
            for v, (a, b), c in zip(self.video.tolist(), self.spans_s.tolist(), self.labels.tolist(), strict=True)
        ]
        return ActionSegments.build(rows, video_ids, self.classes)

    def counts(self) -> Int[np.ndarray, " C"]:
        """Instances of each class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def multi_hot(self) -> Float[np.ndarray, "videos C"]:
        """1 where a video has an instance of a class; for THUMOS14 not the same as its video-level labels."""
        out = np.zeros((len(self.video_ids), len(self.classes)), dtype=np.float32)
        out[self.video, self.labels] = 1.0
        return out
