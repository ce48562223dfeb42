"""mAP of detections against a naive loop, and at the corners of its definition."""

import numpy as np
import pytest

from vmlkit.actions.detection import THRESHOLDS, detection_map, without_each_video
from vmlkit.actions.detections import Detections
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError


def truth_of(*rows: tuple[str, float, float, str], videos=("a", "b"), classes=("run", "jump")) -> ActionSegments:
    return ActionSegments.build(rows, videos, classes)


def found_of(*rows: tuple[int, float, float, int, float], unit="seconds") -> Detections:
    table = np.array(rows, dtype=float).reshape(-1, 5)
    return Detections(
        video=table[:, 0].astype(int),
        spans=table[:, 1:3],
        labels=table[:, 3].astype(int),
        scores=table[:, 4],
        unit=unit,
    )


def naive_ap(found: Detections, target: np.ndarray, truth: ActionSegments, label: int, level: float) -> float:
    """One class at one threshold, detection by detection."""
    rows = [i for i in range(len(found)) if found.labels[i] == label]
    rows.sort(key=lambda i: (found.scores[i], i), reverse=True)
    taken, hits, total = set(), [], int((truth.labels == label).sum())
    for i in rows:
        same = [g for g in range(len(truth)) if truth.labels[g] == label and truth.video[g] == found.video[i]]
        overlaps = []
        for g in same:
            inter = max(0.0, min(found.spans[i, 1], target[g, 1]) - max(found.spans[i, 0], target[g, 0]))
            union = found.spans[i, 1] - found.spans[i, 0] + target[g, 1] - target[g, 0] - inter
            overlaps.append((inter / union if union > 0 else 0.0, g))
        hit = False
        for overlap, g in sorted(overlaps, reverse=True):
            if overlap < level:
                break
            if g not in taken:
                taken.add(g)
                hit = True
                break
        hits.append(hit)
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precision[k:]) for k in range(len(hits)) if hits[k]) / total


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("protocol", ["p3", "seconds", "activitynet"])
def test_equals_a_naive_loop(protocol: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 5])
    start = rng.uniform(0, 20, 30)
    truth = ActionSegments(
        video=rng.integers(3, size=30),
        spans_s=np.column_stack((start, start + rng.uniform(0.1, 6, 30))),
        labels=np.concatenate((np.arange(3), rng.integers(3, size=27))),
        video_ids=("a", "b", "c", "d"),
        classes=("x", "y", "z"),
    )
    spans = np.sort(rng.uniform(0, 26, (120, 2)), axis=1)
    close = rng.random(120) < 0.6
    picked = rng.integers(30, size=120)
    spans[close] = np.sort(truth.spans_s[picked[close]] + rng.normal(0, 0.5, (int(close.sum()), 2)), axis=1)
    rate = np.array([25 / 16, 1.0, 2.0, 1.5])
    video = np.where(close, truth.video[picked], rng.integers(4, size=120))
    target = truth.spans_s
    if protocol == "p3":
        spans, target = np.round(spans * 25 / 16) + np.array([0, 1]), np.round(target * rate[truth.video][:, None])
    found = Detections(
        video=video,
        spans=spans,
        labels=rng.integers(3, size=120),
        scores=rng.integers(40, size=120).astype(float),
        unit="snippets" if protocol == "p3" else "seconds",
    )
    result = detection_map(found, truth, protocol, snippets_per_s=rate)
    for k, level in enumerate(THRESHOLDS[protocol]):
        for label in range(3):
            expected = naive_ap(found, target, truth, label, level)
            assert result.ap[k, label] == pytest.approx(expected, abs=1e-12)
    others = list(without_each_video(found, truth, protocol, snippets_per_s=rate))
    assert len(others) == 4
    for video, rest in enumerate(others):
        left = truth.where(truth.video != video)
        alone = detection_map(found.where(found.video != video), left, protocol, snippets_per_s=rate)
        np.testing.assert_array_equal(rest.ap, alone.ap)
        assert rest.metrics() == alone.metrics()
        assert (rest.instances == alone.instances).all()
        assert (rest.detections, rest.zero_length) == (alone.detections, alone.zero_length)


def test_a_perfect_answer_scores_one_under_every_protocol() -> None:
    truth = truth_of(("a", 0.0, 16.0, "run"), ("a", 32.0, 48.0, "jump"), ("b", 16.0, 32.0, "run"))
    seconds = found_of((0, 0, 16, 0, 0.9), (0, 32, 48, 1, 0.8), (1, 16, 32, 0, 0.7))
    snippets = found_of((0, 0, 25, 0, 0.9), (0, 50, 75, 1, 0.8), (1, 25, 50, 0, 0.7), unit="snippets")
    for protocol in ("seconds", "activitynet"):
        assert detection_map(seconds, truth, protocol).mean_ap.tolist() == [1.0] * len(THRESHOLDS[protocol])
    assert detection_map(snippets, truth, "p3").mean_ap.tolist() == [1.0] * 9


def test_an_instance_is_found_once() -> None:
    truth = truth_of(("a", 0.0, 10.0, "run"))
    twice = found_of((0, 0, 10, 0, 0.9), (0, 0, 10, 0, 0.8))
    assert detection_map(twice, truth, "seconds", [0.5]).mean_ap[0] == 1.0
    late = found_of((0, 50, 60, 0, 0.9), (0, 0, 10, 0, 0.8))
    assert detection_map(late, truth, "seconds", [0.5]).mean_ap[0] == 0.5


def test_the_threshold_itself_is_enough() -> None:
    truth = truth_of(("a", 0.0, 10.0, "run"))
    half = found_of((0, 0, 5, 0, 1.0))
    assert detection_map(half, truth, "seconds", [0.5, 0.5000001]).mean_ap.tolist() == [1.0, 0.0]


def test_three_tenths_is_found_under_p3_and_not_under_seconds() -> None:
    """The released programs differ in the last bit of 0.3: the decimal 0.3, or linspace's 0.30000000000000004."""
    truth = truth_of(("a", 0.0, 6.4, "run"))
    snippets = found_of((0, 0, 3, 0, 1.0), unit="snippets")
    assert detection_map(snippets, truth, "p3").mean_ap[2] == 1.0
    # tIoU 3/10 in numbers that are exact, so that nothing but the threshold differs
    exact = truth_of(("a", 0.0, 10.0, "run"))
    assert detection_map(found_of((0, 0, 3, 0, 1.0)), exact, "seconds").mean_ap[2] == 0.0


def test_p3_rounds_half_to_even_and_loses_short_instances() -> None:
    # 0.32 s is half a snippet, 0.96 s one and a half: they round to 0 and 2
    truth = truth_of(("a", 0.32, 0.96, "run"), ("a", 10.0, 10.2, "run"))
    result = detection_map(found_of((0, 0, 2, 0, 1.0), unit="snippets"), truth, "p3", [0.9])
    assert result.zero_length == 1
    assert result.mean_ap[0] == 0.5
    assert (result.instances.tolist()[0], result.detections) == (2, 1)


def test_classes_without_instances_do_not_count_and_those_without_detections_do() -> None:
    truth = truth_of(("a", 0.0, 10.0, "run"), ("b", 0.0, 10.0, "jump"), classes=("run", "jump", "swim"))
    result = detection_map(found_of((0, 0, 10, 0, 1.0), (0, 0, 10, 2, 1.0)), truth, "seconds", [0.5])
    assert np.isnan(result.ap[0, 2])
    assert result.ap[0, :2].tolist() == [1.0, 0.0]
    assert result.mean_ap[0] == 0.5


def test_detections_in_a_video_without_instances_are_wrong() -> None:
    truth = truth_of(("a", 0.0, 10.0, "run"))
    found = found_of((1, 0, 10, 0, 0.9), (0, 0, 10, 0, 0.8))
    assert detection_map(found, truth, "seconds", [0.5]).mean_ap[0] == 0.5


def test_no_detection_at_all_is_zero() -> None:
    result = detection_map(found_of(), truth_of(("a", 0.0, 10.0, "run")), "activitynet")
    assert result.mean_ap.tolist() == [0.0] * 10
    assert result.metrics()["mAP@0.5:0.95"] == 0.0


def test_averages() -> None:
    truth = truth_of(("a", 0.0, 10.0, "run"), ("a", 20.0, 30.0, "jump"))
    result = detection_map(found_of((0, 0, 5.5, 0, 1.0)), truth, "seconds")
    assert result.average(0.1, 0.5) == 0.5
    assert result.average(0.3, 0.7) == pytest.approx(0.3)
    assert result.metrics()["mAP@0.3:0.7"] == result.average(0.3, 0.7)
    with pytest.raises(DataError, match="no threshold lies between"):
        result.average(0.95, 0.99)


@pytest.mark.parametrize(
    ("protocol", "found", "message"),
    [
        ("p3", found_of((0, 0, 5, 0, 1.0)), "compares snippets"),
        ("seconds", found_of((0, 0, 5, 0, 1.0), unit="snippets"), "convert them with in_unit"),
        ("seconds", found_of((2, 0, 5, 0, 1.0)), "does not list"),
        ("seconds", found_of((0, 0, 5, 7, 1.0)), "does not list"),
        ("thumos", found_of((0, 0, 5, 0, 1.0)), "no protocol 'thumos'"),
    ],
)
def test_bad_input_says_what_is_wrong(unchecked, protocol: str, found: Detections, message: str) -> None:
    with pytest.raises(DataError, match=message):
        detection_map(found, truth_of(("a", 0.0, 10.0, "run")), protocol)


def test_no_instance_is_an_error() -> None:
    with pytest.raises(DataError, match="holds no instance"):
        detection_map(found_of((0, 0, 5, 0, 1.0)), truth_of(), "seconds")
    alone = truth_of(("a", 0.0, 5.0, "run"))
    with pytest.raises(DataError, match="video 0 holds all of them"):
        list(without_each_video(found_of((0, 0, 5, 0, 1.0)), alone, "seconds"))


def test_a_class_that_only_one_video_has_is_left_out_with_it() -> None:
    truth = truth_of(("a", 0.0, 5.0, "run"), ("b", 0.0, 5.0, "jump"))
    found = found_of((0, 0, 5, 0, 1.0), (1, 0, 2, 1, 1.0))
    first, second = without_each_video(found, truth, "seconds")
    assert first.mean_ap.tolist() == [0.0 if level > 0.4 else 1.0 for level in first.thresholds]
    assert second.mean_ap.tolist() == [1.0] * len(second.thresholds)


def test_detections_check_convert_and_join() -> None:
    first = Detections.from_rows([[0, 2, 1, 0.5]], "snippets", video=1)
    assert first.in_unit("seconds").spans.tolist() == [[0.0, 1.28]]
    assert first.in_unit("seconds", np.array([1.0, 3.0])).spans.tolist() == [[0.0, 6.0]]
    joined = Detections.concatenate([first, Detections.from_rows([[1, 3, 0, 0.1]], "snippets")])
    assert joined.video.tolist() == [1, 0]
    assert joined.rows().tolist() == [[0, 2, 1, 0.5], [1, 3, 0, 0.1]]
    assert len(Detections.concatenate([], "snippets")) == 0
    with pytest.raises(DataError, match="mixed"):
        Detections.concatenate([first, first.in_unit("seconds")])
    with pytest.raises(DataError, match="not a finite number"):
        Detections.from_rows([[0, 2, 1, np.nan]], "seconds")
