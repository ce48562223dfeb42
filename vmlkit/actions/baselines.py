"""What an action detector must beat: answers that never look at a test video, scored exactly like a model.

Two kinds.  The plain ones know the training set only.  Those marked "(true classes)" are told which classes occur in
each test video, which a good classifier could say, and still do not localise: what a model gains over them is
localisation.  The priors fitted on training *instances* know more than weak supervision allows, times included.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from vmlkit.actions.detection import Protocol, detection_map
from vmlkit.actions.detections import SNIPPETS_PER_S, Detections, per_instance
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError

#: baselines in the order in which tables print them
NAMES = (
    "whole video",
    "uniform random segments",
    "random training segments",
    "whole video (true classes)",
    "uniform random segments (true classes)",
    "random training segments (true classes)",
)


def baseline_detections(
    train: ActionSegments,
    train_durations: Float[np.ndarray, " train"],
    truth: ActionSegments,
    durations: Float[np.ndarray, " test"],
    rng: np.random.Generator,
    per_video: int = 50,
) -> dict[str, Detections]:
    """One draw of every baseline, in seconds.

    * ``whole video``: every class from start to end, the more frequent in training the higher the score;
    * ``uniform random segments``: ``per_video`` intervals between two uniform points, random scores;
    * ``random training segments``: as many training instances, moved to the same relative place; random scores;
    * ``(true classes)``: the same with the classes of the video, equally likely, in place of the training frequencies.

    Args:
        train: training instances; ``train_durations`` seconds of its videos.
        truth: test instances, of which only the set of classes of each video is used, and only where the name says so.
        durations: seconds of the test videos.

    Raises:
        DataError: for no training instance, or durations that do not fit the videos.
    """
    if not len(train):
        raise DataError("detection baselines", "there is no training instance", "check the training split")
    for split, seconds in ((train, train_durations), (truth, durations)):
        if len(seconds) != len(split.video_ids) or not (seconds > 0).all():
            what = f"{len(seconds)} durations for {len(split.video_ids)} videos"
            raise DataError("detection baselines", what, "give one positive number of seconds per video")
    shares = train.counts() / len(train)
    frequency = train.multi_hot().mean(axis=0).astype(np.float64)
    present = truth.multi_hot() > 0
    places = train.spans_s / train_durations[train.video][:, None]
    out = {}
    for suffix, known in (("", False), (" (true classes)", True)):
        video, label = np.nonzero(present if known else np.ones_like(present))
        whole = np.column_stack((np.zeros(len(video)), durations[video]))
        out[f"whole video{suffix}"] = _detections(video, whole, label, frequency[label] + 1e-6)
        chosen = np.repeat(np.arange(len(durations)), per_video)
        chosen = chosen[present[chosen].any(axis=1)] if known else chosen
        count, length = len(chosen), durations[chosen][:, None]
        picked = rng.integers(len(train), size=count)
        score = rng.random(count)
        drawn = _draw(present[chosen], rng) if known else rng.choice(len(frequency), size=count, p=shares)
        points = np.sort(rng.random((count, 2)), axis=1)
        out[f"uniform random segments{suffix}"] = _detections(chosen, points * length, drawn, score)
        # without the classes of the video, an instance keeps its own
        own = drawn if known else train.labels[picked]
        out[f"random training segments{suffix}"] = _detections(chosen, places[picked] * length, own, score)
    return {name: out[name] for name in NAMES}


def baseline_detection_metrics(
    train: ActionSegments,
    train_durations: Float[np.ndarray, " train"],
    truth: ActionSegments,
    durations: Float[np.ndarray, " test"],
    protocol: Protocol,
    thresholds: Sequence[float] | None = None,
    snippets_per_s: float | Float[np.ndarray, " test"] = SNIPPETS_PER_S,
    seed: int = 0,
    draws: int = 5,
) -> dict[str, dict[str, float]]:
    """The metrics of :meth:`~vmlkit.actions.detection.DetectionResult.metrics` of every baseline, mean over the draws.

    For protocol ``"p3"`` bounds are rounded to snippets, and every detection keeps at least one.

    Args:
        snippets_per_s: one number, or one per test video.

    >>> part = ActionSegments.build([("a", 0.0, 10.0, "run")], ["a"], ["run"])
    >>> rows = baseline_detection_metrics(part, np.array([10.0]), part, np.array([10.0]), "seconds", draws=1)
    >>> rows["whole video"]["mAP@0.5"]
    1.0
    """
    collected: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        for name, found in baseline_detections(train, train_durations, truth, durations, rng).items():
            given = for_protocol(found, protocol, snippets_per_s)
            collected[name].append(detection_map(given, truth, protocol, thresholds, snippets_per_s).metrics())
    return {
        name: {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} for name, rows in collected.items()
    }


def _detections(
    video: Int[np.ndarray, " N"], spans: Float[np.ndarray, "N 2"], labels: Int[np.ndarray, " N"], scores: np.ndarray
) -> Detections:
    return Detections(video=video, spans=spans, labels=labels, scores=scores.astype(np.float64), unit="seconds")


def _draw(allowed: np.ndarray, rng: np.random.Generator) -> Int[np.ndarray, " N"]:
    """One of the allowed classes of each row."""
    found: np.ndarray = np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)
    return found


def for_protocol(found: Detections, protocol: Protocol, snippets_per_s: float | np.ndarray) -> Detections:
    """Detections in seconds as a protocol counts them: for ``"p3"`` in whole snippets, at least one each."""
    if protocol != "p3":
        return found
    spans = np.round(found.spans * per_instance(snippets_per_s, found.video))
    spans[:, 1] = np.maximum(spans[:, 1], spans[:, 0] + 1)
    return replace(found, spans=spans, unit="snippets")
