"""mAP at nine thresholds over 17,000 detections: vectorised against a naive loop, side by side.

    python -m benchmarks.detection --json benchmarks/results/detection_cpu.json

First the correctness gate: for every protocol the two must agree within 1e-12, else the timing is void and the exit
status is 1.  Then the two alternate, after one warm-up each, in one process and one thread; the figures are medians
with the smallest and largest round.  The videos have the size of THUMOS14's test set: 212 with 3,358 instances of
20 classes.
"""

from typing import Any

import numpy as np

from benchmarks import _frame
from vmlkit.actions.detection import THRESHOLDS, detection_map
from vmlkit.actions.detections import Detections
from vmlkit.actions.segments import ActionSegments

VIDEOS, INSTANCES, CLASSES = 212, 3358, 20
TOLERANCE = 1e-12


def ground_truth(rng: np.random.Generator) -> ActionSegments:
    """Instances of one class a video, in seconds."""
    video = np.sort(rng.integers(VIDEOS, size=INSTANCES))
    start = rng.uniform(0, 200, INSTANCES)
    spans = np.column_stack((start, start + rng.gamma(2.0, 2.0, INSTANCES) + 0.3))
    names, classes = tuple(f"v{i}" for i in range(VIDEOS)), tuple(f"c{i}" for i in range(CLASSES))
    return ActionSegments(
        video=video, spans_s=spans, labels=rng.integers(CLASSES, size=VIDEOS)[video], video_ids=names, classes=classes
    )


def detections(count: int, truth: ActionSegments, unit: str, rng: np.random.Generator) -> Detections:
    """Jittered copies of instances, a tenth of them with another class, scored by their overlap and chance."""
    chosen = rng.integers(len(truth), size=count)
    spans = truth.spans_s[chosen] + rng.normal(0, 1, (count, 2))
    spans = np.sort(spans, axis=1)
    spans[:, 1] += 0.5
    if unit == "snippets":
        spans = np.round(spans * 25 / 16)
        spans[:, 1] += 1
    wrong = rng.random(count) < 0.1
    labels = np.where(wrong, rng.integers(CLASSES, size=count), truth.labels[chosen])
    return Detections(video=truth.video[chosen], spans=spans, labels=labels, scores=rng.random(count), unit=unit)


def naive(found: Detections, truth: ActionSegments, protocol: str) -> np.ndarray:
    """AP (thresholds, classes), one detection at a time."""
    levels = THRESHOLDS[protocol]
    target = np.round(truth.spans_s * 25 / 16) if protocol == "p3" else truth.spans_s
    instances: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for v, c, (a, b) in zip(truth.video.tolist(), truth.labels.tolist(), target.tolist(), strict=True):
        instances.setdefault((v, c), []).append((a, b))
    ap = np.zeros((len(levels), CLASSES))
    rows = sorted(
        zip(found.scores.tolist(), found.video.tolist(), found.labels.tolist(), found.spans.tolist(), strict=True),
        reverse=True,
    )
    for k, level in enumerate(levels):
        for label in range(CLASSES):
            total = sum(len(spans) for (_, c), spans in instances.items() if c == label)
            taken: set[tuple[int, int]] = set()
            hits = []
            for _, video, c, span in rows:
                if c != label:
                    continue
                overlaps = [(_tiou(span, other), i) for i, other in enumerate(instances.get((video, label), []))]
                for overlap, i in sorted(overlaps, reverse=True):
                    if overlap >= level and (video, i) not in taken:
                        taken.add((video, i))
                        hits.append(True)
                        break
                else:
                    hits.append(False)
            ap[k, label] = _average_precision(hits, total)
    return ap


def _tiou(a: list[float], b: tuple[float, float]) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = a[1] - a[0] + b[1] - b[0] - inter
    return inter / union if union > 0 else 0.0


def _average_precision(hits: list[bool], total: int) -> float:
    if not total:
        return float("nan")
    best, area, right = 0.0, 0.0, sum(hits)
    for place in range(len(hits), 0, -1):
        best = max(best, right / place)
        if hits[place - 1]:
            area += best
            right -= 1
    return area / total


def measure(protocol: str, count: int, rounds: int, seed: int) -> dict[str, Any]:
    """The gate, then seconds of the processor of both."""
    rng = np.random.default_rng(seed)
    truth = ground_truth(rng)
    found = detections(count, truth, "snippets" if protocol == "p3" else "seconds", rng)
    difference = float(np.nanmax(np.abs(detection_map(found, truth, protocol).ap - naive(found, truth, protocol))))
    ways = {
        "vectorised": lambda: detection_map(found, truth, protocol),
        "naive": lambda: naive(found, truth, protocol),
    }
    return {"difference": difference, "thresholds": len(THRESHOLDS[protocol]), **_frame.in_turn(ways, rounds)}


def main() -> int:
    """Run, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--detections", type=int, default=17_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = {}
    for protocol in THRESHOLDS:
        rows[protocol] = row = measure(protocol, options.detections, options.rounds, options.seed)
        print(f"{protocol:12} {_frame.against_naive(row)}")
    size = {"videos": VIDEOS, "instances": INSTANCES, "classes": CLASSES, "detections": options.detections}
    _frame.keep(options.json, "detection", size=size, rounds=options.rounds, seconds=rows)
    return _frame.verdict(all(row["difference"] <= TOLERANCE for row in rows.values()))


if __name__ == "__main__":
    raise SystemExit(main())
