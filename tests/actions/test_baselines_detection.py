"""Baselines of action detection: what they may know, and what they score."""

import numpy as np
import pytest

from vmlkit.actions.baselines import NAMES, baseline_detection_metrics, baseline_detections
from vmlkit.actions.detection import detection_map
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError


def split(seed: int, videos: int, prefix: str) -> tuple[ActionSegments, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(videos):
        for _ in range(3):
            a = rng.uniform(0, 20)
            rows.append((f"{prefix}{i}", a, a + rng.uniform(2, 8), "xyz"[rng.integers(3)]))
    names = [f"{prefix}{i}" for i in range(videos)]
    return ActionSegments.build(rows, names, list("xyz")), np.full(videos, 30.0)


def test_every_baseline_is_a_valid_answer() -> None:
    (train, seconds), (truth, durations) = split(0, 12, "a"), split(1, 7, "b")
    drawn = baseline_detections(train, seconds, truth, durations, np.random.default_rng(0), per_video=9)
    assert tuple(drawn) == NAMES
    for name, found in drawn.items():
        assert (found.spans >= 0).all(), name
        assert (found.spans <= 30 + 1e-9).all(), name
        assert (found.spans[:, 0] <= found.spans[:, 1]).all(), name
        assert 0 <= detection_map(found, truth, "seconds").average(0.1, 0.9) <= 1
    assert len(drawn["uniform random segments"]) == 7 * 9
    assert len(drawn["whole video"]) == 7 * 3


def test_only_the_named_ones_know_the_classes_of_a_test_video() -> None:
    (train, seconds), (truth, durations) = split(0, 12, "a"), split(1, 7, "b")
    other = ActionSegments.build([(v, 1.0, 2.0, "x") for v in truth.video_ids], truth.video_ids, truth.classes)
    first, second = (
        baseline_detections(train, seconds, part, durations, np.random.default_rng(4)) for part in (truth, other)
    )
    for name in NAMES:
        same = np.array_equal(first[name].rows(), second[name].rows())
        assert same == ("true classes" not in name), name
    present = truth.multi_hot() > 0
    for name in NAMES[3:]:
        assert present[first[name].video, first[name].labels].all(), name


def test_whole_video_is_right_where_instances_fill_the_video() -> None:
    names = ["a", "b"]
    truth = ActionSegments.build([("a", 0.0, 32.0, "x"), ("b", 0.0, 32.0, "y")], names, ["x", "y"])
    for protocol in ("p3", "seconds"):
        rows = baseline_detection_metrics(truth, np.full(2, 32.0), truth, np.full(2, 32.0), protocol, draws=1)
        assert rows["whole video (true classes)"]["mAP@0.9"] == 1.0
        assert rows["whole video"]["mAP@0.9"] < 1.0
        assert set(rows) == set(NAMES)


def test_draws_are_averaged_and_repeatable() -> None:
    (train, seconds), (truth, durations) = split(0, 12, "a"), split(1, 7, "b")
    arguments = (train, seconds, truth, durations, "seconds", [0.3])
    one = [baseline_detection_metrics(*arguments, seed=s, draws=1) for s in (0, 0, 1)]
    assert one[0] == one[1]
    assert one[0] != one[2]
    five = baseline_detection_metrics(*arguments, seed=0, draws=5)
    assert five["whole video"] == one[0]["whole video"]


def test_bad_input_says_what_is_wrong(unchecked) -> None:
    train, seconds = split(0, 3, "a")
    empty = train.where(np.zeros(len(train), dtype=bool))
    with pytest.raises(DataError, match="no training instance"):
        baseline_detections(empty, seconds, train, seconds, np.random.default_rng(0))
    with pytest.raises(DataError, match="2 durations for 3 videos"):
        baseline_detections(train, seconds[:2], train, seconds, np.random.default_rng(0))
