"""Errors per snippet and classification of videos against loops."""

import numpy as np
import pytest

from vmlkit.actions.frame_rates import FrameCounts, classification_map, frame_counts
from vmlkit.errors import DataError


@pytest.mark.parametrize("seed", range(4))
def test_counts_equal_a_loop_over_snippets(seed: int) -> None:
    rng = np.random.default_rng([seed, 3])
    cas, attention = rng.normal(size=(40, 4)), rng.random(40)
    start = rng.uniform(0, 20, 4)
    spans, labels = np.column_stack((start, start + rng.uniform(0, 6, 4))), rng.integers(3, size=4)
    expected = dict.fromkeys(vars(FrameCounts()), 0)
    for t in range(40):
        center = (t + 0.5) * 0.64
        on = {int(c) for (a, b), c in zip(spans, labels, strict=True) if a <= center < b}
        best = max(range(4), key=lambda c: cas[t, c])
        expected["foreground" if on else "background"] += 1
        expected["attention_fp"] += not on and attention[t] > 0.5
        expected["attention_fn"] += bool(on) and attention[t] <= 0.5
        expected["class_fp"] += not on and best != 3
        expected["class_fn"] += bool(on) and best not in on
    assert vars(frame_counts(cas, attention, spans, labels)) == expected


def test_rates_are_pooled_over_videos() -> None:
    first = FrameCounts(background=10, foreground=0, attention_fp=5)
    second = FrameCounts(background=30, foreground=10, attention_fp=5, attention_fn=1, class_fn=10)
    rates = (first + second).rates()
    assert rates == {"attention_fpr": 0.25, "attention_fnr": 0.1, "class_fpr": 0.0, "class_fnr": 1.0}
    assert np.isnan(first.rates()["attention_fnr"])


def test_classification_equals_precision_at_each_carrier() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random((20, 3)), (rng.random((20, 3)) < 0.3).astype(float)
    labels[:, 2] = 0
    expected = []
    for c in range(2):
        order = sorted(range(20), key=lambda i: -scores[i, c])
        hits = [labels[i, c] for i in order]
        expected.append(np.mean([sum(hits[: k + 1]) / (k + 1) for k in range(20) if hits[k]]))
    assert classification_map(scores, labels) == pytest.approx(np.mean(expected))
    with pytest.raises(DataError, match="no video carries a class"):
        classification_map(scores, np.zeros((20, 3)))
