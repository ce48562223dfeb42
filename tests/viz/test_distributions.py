"""Rows of a study drawn with their seeds, means and intervals."""

from typing import Any

import numpy as np
import pytest

from vmlkit.errors import DataError
from vmlkit.viz.distributions import draw_rows


class Results:
    """Two rows and a baseline over three seeds."""

    def __init__(self) -> None:
        self.numbers = {"CPL": [0.30, 0.32, 0.34], "CNM": [0.20, 0.22, 0.30], "whole video": [0.25, 0.25, 0.25]}
        self.record: dict[str, Any] = {"study": "s", "rows": {"CPL": {}, "CNM": {}}}

    def values(self, row: str, metric: str) -> list[float]:
        return self.numbers[row]


def dots(ax: Any) -> list[list[float]]:
    return [np.round(points.get_offsets()[:, 0], 6).tolist() for points in ax.collections]


def test_every_seed_is_a_dot_and_the_mean_has_its_interval() -> None:
    (ax,) = draw_rows(Results(), "R@1,mIoU", baselines=("whole video",)).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["CPL", "CNM"]
    assert dots(ax) == [[30, 32, 34], [20, 22, 30]]
    lines = [line.get_xdata() for line in ax.lines]
    error = 100 * np.std([0.30, 0.32, 0.34], ddof=1) / np.sqrt(3)
    assert any(np.allclose(line, [32 - 2 * error, 32 + 2 * error]) for line in lines if len(line) == 2)
    assert any(np.allclose(line, [25, 25]) for line in lines), "the baseline"


def test_differences_are_paired_by_seed() -> None:
    (ax,) = draw_rows(Results(), against="CPL").axes
    assert dots(ax) == [[-10, -10, -4]]
    assert ax.get_xlabel() == "percent points above 'CPL'"


def test_a_row_that_does_not_exist_is_named() -> None:
    with pytest.raises(DataError, match="has no row 'PPS'; choose one of CPL, CNM"):
        draw_rows(Results(), against="PPS")
