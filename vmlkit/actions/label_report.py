"""What is wrong with the labels of an action data set, said before anybody trains on them.

Nothing is repaired: published numbers were computed with these defects, so repairing them would change the task.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vmlkit.actions import thumos
from vmlkit.actions.detections import SNIPPET_S
from vmlkit.actions.prompts import PromptConfig, prompt_text, prompt_tokens, prompt_vocabulary
from vmlkit.actions.videos import ActionAnnotations, ActionVideo
from vmlkit.data.left_out import Finding

#: seconds by which a segment may end after its video unremarked
END_TOLERANCE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class LabelFinding(Finding):
    """One kind of defect, over all videos or segments that are asked."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """Every check with its count, those that found nothing included."""

    source: str
    inventory: tuple[str, ...]  #: videos and instances per subset
    findings: tuple[LabelFinding, ...]

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
    videos, (training, testing) = annotations.videos, annotations.subsets
    described = [v for v in videos if v.segments or v.labels]
    glued, unknown = _glued(annotations.classes, prompt or PromptConfig())
    of_videos: tuple[tuple[str, str, Iterable[ActionVideo], Callable[[ActionVideo], bool]], ...] = (
        ("label_mismatch", "have labels that are not the classes of their segments", described,
         lambda v: set(v.labels) != {label for _, _, label in v.segments}),
        ("no_label", "have no video-level label", described, lambda v: not v.labels),
        ("no_segment", "have labels but no segment", described, lambda v: not v.segments),
        ("not_in_gt_json", "are missing from gt.json", (v for v in videos if v.in_gt_json is not None),
         lambda v: v.in_gt_json is False),
        ("glued_prompt", glued, (v for v in videos if v.subset == training), unknown),
    )  # fmt: skip
    of_segments: tuple[tuple[str, str, Iterable[ActionVideo], Callable[[ActionVideo], list[bool]]], ...] = (
        ("beyond_end", f"end more than {END_TOLERANCE_S:g} s after their video",
         (v for v in videos if v.duration is not None),
         lambda v: [b > (v.duration or 0.0) + END_TOLERANCE_S for _, b, _ in v.segments]),
        ("shorter_than_snippet", f"are shorter than a snippet ({SNIPPET_S:g} s)", videos,
         lambda v: [b - a < SNIPPET_S for a, b, _ in v.segments]),
        ("no_length_in_snippets",
         f"of the subset '{testing}' have no length after rounding to snippets (protocol p3)",
         (v for v in videos if v.subset == testing),
         lambda v: [round(a * 25 / 16) == round(b * 25 / 16) for a, b, _ in v.segments]),
        ("two_classes_at_once", "have the bounds of a segment of another class", videos, _twins),
    )  # fmt: skip
    findings = [
        _finding(kind, f"videos {what}", {v.video_id: [wrong(v)] for v in chosen})
        for kind, what, chosen, wrong in of_videos
    ]
    findings += [
        _finding(kind, f"segments {what}", {v.video_id: wrong(v) for v in chosen})
        for kind, what, chosen, wrong in of_segments
    ]
    return LabelReport(
        source=f"{annotations.path} ({annotations.layout}, {len(annotations.classes)} classes)",
        inventory=tuple(_inventory(annotations)),
        findings=tuple(findings),
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


def _finding(kind: str, what: str, wrong: Mapping[str, list[bool]]) -> LabelFinding:
    """One kind of defect from what is wrong in each video: with it as a whole, or with each of its segments."""
    where = tuple(name for name, each in wrong.items() if any(each))
    count, total = sum(map(sum, wrong.values())), sum(map(len, wrong.values()))
    return LabelFinding(kind=kind, what=what, count=count, total=total, where=where)


def _twins(video: ActionVideo) -> list[bool]:
    bounds: dict[tuple[float, float], set[str]] = {}
    for a, b, label in video.segments:
        bounds.setdefault((a, b), set()).add(label)
    return [len(bounds[a, b]) > 1 for a, b, _ in video.segments]


def _glued(classes: Sequence[str], prompt: PromptConfig) -> tuple[str, Callable[[ActionVideo], bool]]:
    """What is said of videos whose sentence has words that the vocabulary lacks, and whether a video is one."""
    vocabulary = prompt_vocabulary([thumos.class_text(name) for name in classes], prompt)

    def unknown(video: ActionVideo) -> bool:
        text = prompt_text([thumos.class_text(name) for name in video.labels], prompt)
        return any(word not in vocabulary for word in prompt_tokens(text))

    return f"have a sentence with words glued together (join='{prompt.join}'), which the vocabulary lacks", unknown
