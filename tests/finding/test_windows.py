"""Windows over long videos, suppression across them, and windows of a curve."""

import numpy as np
import pytest

from vmlkit.finding.windows import best_windows, place_windows, suppressed
from vmlkit.spans import hull_iou


@pytest.mark.parametrize(("rows", "length"), [(1, 60), (60, 60), (61, 60), (119, 60), (1200, 60), (7200, 60), (9, 1)])
def test_windows_cover_the_video_and_overlap_by_half(rows: int, length: int) -> None:
    found = place_windows(rows, length)
    covered = np.zeros(rows, dtype=bool)
    for first, end in found:
        covered[first:end] = True
    assert covered.all()
    assert found[0, 0] == 0
    assert found[-1, 1] == rows
    assert (np.diff(found, axis=1) == min(rows, length)).all()
    steps = np.diff(found[:, 0])
    assert ((steps > 0) & (steps <= max(1, length // 2))).all()
    assert len(found) <= 2 * rows / length + 2


def test_every_moment_up_to_half_a_window_lies_in_one() -> None:
    found = place_windows(500, 60)
    for start in range(471):
        assert ((found[:, 0] <= start) & (found[:, 1] >= start + 30)).any()


def test_suppression_keeps_the_best_of_what_overlaps() -> None:
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 50, 60)
    windows = np.column_stack((starts, starts + rng.uniform(2, 12, 60), rng.uniform(0, 1, 60)))
    kept = suppressed(windows, 60)
    pairs = hull_iou(kept[:, None, :2], kept[None, :, :2])
    assert (pairs[~np.eye(len(kept), dtype=bool)] <= 0.5 + 1e-6).all()
    assert (np.diff(kept[:, 2]) <= 0).all()
    for window in windows:
        better = kept[kept[:, 2] >= window[2]]
        assert (hull_iou(better[:, :2], window[:2]) > 0.5 - 1e-6).any()
    assert len(suppressed(windows, 3)) == 3


def test_windows_of_a_curve_are_its_high_stretches() -> None:
    curve = np.zeros(100)
    curve[10:20], curve[40:60], curve[80:82] = 0.9, 1.0, 0.95
    seconds = np.column_stack((np.arange(100) / 2, np.arange(1, 101) / 2))
    found = best_windows(curve, seconds, 5)
    assert found[:, :2].tolist() == [[20, 30], [5, 10], [40, 41]]
    assert found[:, 2].tolist() == pytest.approx([1.0, 0.9, 0.95])
    assert len(best_windows(np.ones(5), seconds[:5], 3)) == 0, "a flat curve has no high stretch"
