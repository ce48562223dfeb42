"""Proposals from activations and attention against loops over snippets, and the released programs' traps."""

from dataclasses import replace

import numpy as np
import pytest

from vmlkit.actions.detections import Detections
from vmlkit.actions.nms import soft_nms
from vmlkit.actions.proposals import (
    HAMNET,
    P3,
    BasNetProposalConfig,
    activation_proposals,
    attention_proposals,
    class_scores,
    drop_ambiguous,
    outer_inner_contrast,
    runs_of,
    upsample,
)
from vmlkit.errors import DataError


def random_video(seed: int, snippets: int = 50, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 9])
    cas = rng.normal(size=(snippets, classes + 1)).astype(np.float32)
    cas[:, 1] += 3 * (np.sin(np.arange(snippets) / 4) > 0)
    attention = 1 / (1 + np.exp(-3 * np.sin(np.arange(snippets) / 4) - rng.normal(0, 0.5, snippets)))
    return cas, attention.astype(np.float32)


def naive_runs(inside: list[bool]) -> list[list[int]]:
    indices, runs = [i for i, yes in enumerate(inside) if yes], []
    if not any(indices):
        return []
    for i in indices:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def naive_contrast(curve: np.ndarray, run: list[int], margin: float) -> float:
    first, last, length = run[0], run[-1], len(run)
    low, high = max(0, int(first - margin * length)), min(len(curve) - 1, int(last + margin * length))
    outer = [curve[i] for i in [*range(low, first), *range(last + 1, high + 1)]]
    return float(np.mean([curve[i] for i in run]) - (np.mean(outer) if outer else 0.0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", [P3, HAMNET], ids=["p3", "hamnet"])
def test_attention_proposals_equal_a_naive_loop(config, seed: int) -> None:
    cas, attention = random_video(seed)
    found = attention_proposals(cas, attention, config, video=3)
    activation = (cas * attention[:, None]).astype(np.float64)
    k = max(1, len(cas) // 10)
    top = np.array([sorted(column)[-k:] for column in activation.T]).mean(axis=1)
    scores = np.exp(top) / np.exp(top).sum()
    scale = 0.64 if config.unit == "seconds" else 1.0
    expected = []
    for label in [c for c in range(4) if scores[c] >= 0.2]:
        rows = []
        for level in np.linspace(0.1, 0.9, 10):
            for run in naive_runs([a > level for a in attention.tolist()]):
                score = naive_contrast(activation[:, label], run, 0.25) + 0.2 * scores[label]
                rows.append((run[0] * scale, (run[-1] + 1) * scale, score))
        table = np.array(rows)
        order, decayed = soft_nms(table[:, :2], table[:, 2], sigma=0.3)
        expected += [(*table[i, :2], label, s) for i, s in zip(order, decayed, strict=True)]
    assert len(expected) > 10
    np.testing.assert_allclose(found.rows(), np.array(expected), atol=1e-5)
    assert set(found.video.tolist()) == {3}
    assert found.unit == config.unit


def test_without_a_class_above_the_threshold_p3_takes_the_best_and_hamnet_none() -> None:
    _, attention = random_video(0)
    flat = np.zeros((50, 21), dtype=np.float32)
    flat[:, 7] = 0.05
    assert set(attention_proposals(flat, attention, P3).labels.tolist()) == {7}
    assert len(attention_proposals(flat, attention, HAMNET)) == 0


def test_a_lone_first_snippet_counts_as_nothing() -> None:
    cas, attention = np.ones((10, 3), dtype=np.float32), np.full(10, 0.01, dtype=np.float32)
    attention[0] = 0.95
    assert len(attention_proposals(cas, attention)) == 0
    attention[1] = 0.95
    assert attention_proposals(cas, attention).spans[0].tolist() == [0, 2]


def test_no_attention_gives_no_proposal() -> None:
    assert len(attention_proposals(np.ones((6, 3)), np.zeros(6))) == 0


def test_runs_and_contrast_at_the_borders() -> None:
    assert runs_of(np.ones(4, dtype=bool)).tolist() == [[0, 3]]
    assert runs_of(np.zeros(3, dtype=bool)).tolist() == []
    curve = np.array([1.0, 2.0, 3.0, 4.0])
    # nothing lies outside, then one snippet on either side
    assert outer_inner_contrast(curve, np.array([[0, 3]])).tolist() == [2.5]
    assert outer_inner_contrast(curve, np.array([[1, 2]]), margin=0.5).tolist() == [0.0]
    assert outer_inner_contrast(curve, np.array([[3, 3]])).tolist() == [4.0 - 0.0 - 3.0]


def test_class_scores_use_at_least_one_snippet() -> None:
    activation = np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    expected = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
    np.testing.assert_allclose(class_scores(activation, 0), expected[:2])
    top = np.exp([1.0, 0.5, 0.0])
    np.testing.assert_allclose(class_scores(activation, 2), (top / top.sum())[:2])


@pytest.mark.parametrize("seed", range(4))
def test_the_ambiguity_filter_equals_sets_of_indices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 80, 40)
    rows = np.column_stack((start, start + rng.integers(1, 9, 40), rng.integers(0, 3, 40), rng.random(40)))
    regions = [(float(a), float(a + b)) for a, b in zip(rng.uniform(0, 50, 4), rng.uniform(0, 3, 4), strict=True)]
    kept = drop_ambiguous(Detections.from_rows(rows, "snippets"), regions)
    blocked = {i for a, b in regions for i in range(round(a * 25 / 16), round(b * 25 / 16))}
    expected = [row for row in rows.tolist() if not blocked & set(range(int(row[0]), int(row[1])))]
    assert kept.rows().tolist() == expected
    assert 0 < len(expected) < 40


def test_the_ambiguity_filter_wants_snippets() -> None:
    with pytest.raises(DataError, match="are in seconds"):
        drop_ambiguous(Detections.from_rows([[0, 1, 0, 1]], "seconds"), [])


def test_upsampling_is_linear_and_goes_on_at_the_end() -> None:
    curve = np.random.default_rng(0).normal(size=7)
    fine = upsample(curve, 24)
    at = np.arange(0, 7, 1 / 24)
    inner = at <= 6
    np.testing.assert_allclose(fine[inner], np.interp(at[inner], np.arange(7), curve), atol=1e-12)
    np.testing.assert_allclose(fine[~inner], curve[6] + (at[~inner] - 6) * (curve[6] - curve[5]), atol=1e-12)
    assert upsample(np.array([3.0]), 2).tolist() == [3.0, 3.0]


def test_activation_proposals_equal_a_naive_loop() -> None:
    rng = np.random.default_rng(3)
    cas = rng.normal(size=(30, 4)) + 2 * (np.sin(np.arange(30) / 3) > 0)[:, None]
    scores = np.array([0.4, 0.1, 0.3, 0.2])
    config = BasNetProposalConfig()
    found = activation_proposals(cas, scores, 90, config)
    assert set(found.labels.tolist()) == {0, 2}
    for label in (0, 2):
        column = cas[:, label]
        low, high = max(column.min(), 0), max(column.max(), 0)
        curve = upsample((column - low) / (high - low), 24)
        rows = []
        for level in np.arange(0, 0.25, 0.025):
            cut = [0.0 if value < level else value for value in curve]
            for run in naive_runs([value > 0 for value in cut]):
                score = naive_contrast(np.array(cut), run, 0.25) + 0.2
                rows.append((run[0] * 16 * 90 / (24 * 30 * 25), (run[-1] + 1) * 16 * 90 / (24 * 30 * 25), score))
        rows.sort(key=lambda row: -row[2])
        kept: list[tuple[float, float, float]] = []
        for row in rows:
            ious = []
            for other in kept:
                inter = max(min(row[1], other[1]) - max(row[0], other[0]) + 1, 0)
                ious.append(inter / (row[1] - row[0] + 1 + other[1] - other[0] + 1 - inter))
            if all(iou < 0.7 for iou in ious):
                kept.append(row)
        mine = found.where(found.labels == label).rows()[:, [0, 1, 3]]
        np.testing.assert_allclose(mine, np.array(kept), atol=1e-9)


def test_a_video_of_class_zero_alone_gets_nothing_as_released_and_something_as_written() -> None:
    cas = np.tile(np.sin(np.arange(20) / 3)[:, None], (1, 3))
    scores = np.array([0.9, 0.05, 0.05])
    assert len(activation_proposals(cas, scores, 20)) == 0
    paper = replace(BasNetProposalConfig(), skip_lone_class_zero=False)
    assert len(activation_proposals(cas, scores, 20, paper)) > 0
