"""What is wrong with the labels of an action data set, said before anybody trains on them.

Nothing is repaired: published numbers were computed with these defects, so repairing them would change the task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vmlkit.actions import thumos
from vmlkit.actions.prompts import PromptConfig, prompt_text, prompt_tokens, prompt_vocabulary
from vmlkit.actions.videos import ActionAnnotations, ActionVideo

#: seconds per snippet of I3D features at 25 fps
SNIPPET_S = 16 / 25
#: seconds by which a segment may end after its video unremarked
END_TOLERANCE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of defect: how often, over how many, where."""

    kind: str
    what: str  #: a sentence part that follows the count
    count: int
    total: int
    where: tuple[str, ...]  #: videos, each once, in the order of the file

    def __str__(self) -> str:
        first = ", ".join(self.where[:3]) + (", ..." if len(self.where) > 3 else "")
        if not self.total:
            return f"not known how many {self.what}: the file does not say"
        return f"{self.count} of {self.total} {self.what}" + (f" ({first})" if self.where else "")


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """Every check with its count, those that found nothing included."""

    source: str
    inventory: tuple[str, ...]  #: videos and instances per subset
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """One line per defect that occurs."""
        return [f"labels: {finding}" for finding in self.findings if finding.count]

    def count(self, kind: str) -> int:
        """How often a kind of defect occurs; raises ``KeyError`` for a kind that was not looked for."""
        return {finding.kind: finding.count for finding in self.findings}[kind]

    def __str__(self) -> str:
        return "\n".join([f"{self.source}", *self.inventory, *map(str, self.findings)])


def label_report(annotations: ActionAnnotations, prompt: PromptConfig | None = None) -> LabelReport:
    """Count the known kinds of defects.

    * ``label_mismatch``: video-level labels are not the classes of the segments;
    * ``no_label``, ``no_segment``, ``not_in_gt_json``: of videos;
    * ``beyond_end``: segments that end more than 0.05 s after their video;
    * ``shorter_than_snippet``, ``no_length_in_snippets`` (both bounds round to the same snippet, test subset);
    * ``two_classes_at_once``: a segment of another class has the same bounds (by design for CliffDiving, Diving);
    * ``glued_prompt``: training videos whose sentence has words that its vocabulary lacks.

    Args:
        prompt: how sentences are made; P3's released way by default.
    """
    videos = annotations.videos
    training, testing = annotations.subsets
    tested = [v for v in videos if v.subset == testing]
    trained = [v for v in videos if v.subset == training]
    listed = [v for v in videos if v.in_gt_json is not None]
    described = [v for v in videos if v.segments or v.labels]
    timed = [v for v in videos if v.duration is not None]
    findings = (
        _videos(
            "label_mismatch", "videos have labels that are not the classes of their segments", described, _mismatch
        ),
        _videos("no_label", "videos have no video-level label", described, lambda v: not v.labels),
        _videos("no_segment", "videos have labels but no segment", described, lambda v: not v.segments),
        _videos("not_in_gt_json", "videos are missing from gt.json", listed, lambda v: v.in_gt_json is False),
        _segments("beyond_end", f"segments end more than {END_TOLERANCE_S:g} s after their video", timed, _beyond),
        _segments("shorter_than_snippet", f"segments are shorter than a snippet ({SNIPPET_S:g} s)", videos, _short),
        _segments(
            "no_length_in_snippets",
            f"segments of the subset '{testing}' have no length after rounding to snippets (protocol p3)",
            tested,
            _collapsed,
        ),
        _segments("two_classes_at_once", "segments have the bounds of a segment of another class", videos, _twins),
        _glued(trained, annotations.classes, prompt or PromptConfig()),
    )
    return LabelReport(
        source=f"{annotations.path} ({annotations.layout}, {len(annotations.classes)} classes)",
        inventory=tuple(_inventory(annotations)),
        findings=findings,
    )


def _inventory(annotations: ActionAnnotations) -> list[str]:
    lines = []
    for subset in dict.fromkeys(video.subset for video in annotations.videos):
        chosen = [video for video in annotations.videos if video.subset == subset]
        instances = sum(len(video.segments) for video in chosen)
        sizes = np.bincount([len(video.labels) for video in chosen])
        labels = ", ".join(f"{n} with {k}" for k, n in enumerate(sizes.tolist()) if n)
        lines.append(f"{subset}: {len(chosen)} videos, {instances} segments; video-level labels: {labels}")
    return lines


def _videos(kind: str, what: str, videos: Sequence[ActionVideo], wrong: Callable[[ActionVideo], bool]) -> Finding:
    where = tuple(video.video_id for video in videos if wrong(video))
    return Finding(kind=kind, what=what, count=len(where), total=len(videos), where=where)


def _segments(kind: str, what: str, videos: Sequence[ActionVideo], wrong: Callable[[ActionVideo], int]) -> Finding:
    counts = {video.video_id: wrong(video) for video in videos}
    return Finding(
        kind=kind,
        what=what,
        count=sum(counts.values()),
        total=sum(len(video.segments) for video in videos),
        where=tuple(name for name, count in counts.items() if count),
    )


def _mismatch(video: ActionVideo) -> bool:
    return set(video.labels) != {label for _, _, label in video.segments}


def _beyond(video: ActionVideo) -> int:
    end = (video.duration or 0.0) + END_TOLERANCE_S
    return sum(b > end for _, b, _ in video.segments)


def _short(video: ActionVideo) -> int:
    return sum(b - a < SNIPPET_S for a, b, _ in video.segments)


def _collapsed(video: ActionVideo) -> int:
    return sum(round(a * 25 / 16) == round(b * 25 / 16) for a, b, _ in video.segments)


def _twins(video: ActionVideo) -> int:
    bounds: dict[tuple[float, float], set[str]] = {}
    for a, b, label in video.segments:
        bounds.setdefault((a, b), set()).add(label)
    return sum(len(bounds[a, b]) > 1 for a, b, _ in video.segments)


def _glued(videos: Sequence[ActionVideo], classes: Sequence[str], prompt: PromptConfig) -> Finding:
    vocabulary = prompt_vocabulary([thumos.class_text(name) for name in classes], prompt)

    def unknown(video: ActionVideo) -> bool:
        text = prompt_text([thumos.class_text(name) for name in video.labels], prompt)
        return any(word not in vocabulary for word in prompt_tokens(text))

    what = (
        f"training videos have a sentence with words glued together (join='{prompt.join}'), which the vocabulary lacks"
    )
    return _videos("glued_prompt", what, videos, unknown)
