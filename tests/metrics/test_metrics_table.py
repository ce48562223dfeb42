"""The table a reader sees: percent, and the denominator."""

import pytest

from vmlkit.errors import DataError
from vmlkit.metrics.report import metrics_table


def test_values_are_percent_and_carry_their_denominator():
    table = metrics_table({"a": {"R@1,mIoU": 0.25}, "b": {"R@1,mIoU": 0.5}}, count=4)
    assert table["R@1,mIoU"].tolist() == [25.0, 50.0]
    assert table["N"].tolist() == [4, 4]
    assert table.attrs == {"N": 4, "unit": "percent"}


def test_rows_with_different_metrics_are_refused():
    with pytest.raises(DataError, match="differ in R@5,mIoU"):
        metrics_table({"a": {"R@1,mIoU": 0.25}, "b": {"R@1,mIoU": 0.5, "R@5,mIoU": 0.5}}, count=4)
    with pytest.raises(DataError, match="no row"):
        metrics_table({}, count=4)
