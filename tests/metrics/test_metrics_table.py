"""The table a reader sees: percent, the denominator, the baselines beneath the model."""

import numpy as np
import pytest

from vmlkit.errors import DataError
from vmlkit.metrics.baselines import NAMES, baseline_metrics
from vmlkit.metrics.moments import moment_metrics
from vmlkit.metrics.report import metrics_table, table_with_baselines

TRUTH = np.array([[0.0, 0.5], [0.25, 0.75], [0.5, 1.0], [0.0, 1.0]])
TRAIN = np.array([[0.0, 0.5], [0.1, 0.5], [0.5, 0.9]])


def oracle():
    order = np.zeros((4, 1), dtype=int)
    return moment_metrics(TRUTH[:, None], order, order[:, 0], TRUTH)


def test_values_are_percent_and_carry_their_denominator():
    table = metrics_table({"a": {"R@1,mIoU": 0.25}, "b": {"R@1,mIoU": 0.5}}, count=4)
    assert table["R@1,mIoU"].tolist() == [25.0, 50.0]
    assert table["N"].tolist() == [4, 4]
    assert table.attrs == {"N": 4, "unit": "percent"}


def test_the_model_comes_first_and_every_baseline_follows():
    table = table_with_baselines({"oracle": oracle()}, TRAIN, TRUTH, draws=2)
    assert table.index.tolist() == ["oracle", *NAMES]
    assert table.columns.tolist() == [*oracle(), "N"]
    assert (table.loc["oracle", list(oracle())] == 100).all()
    whole = baseline_metrics(TRAIN, TRUTH, draws=2)["whole video"]
    assert table.loc["whole video", "R@1,mIoU"] == pytest.approx(100 * whole["R@1,mIoU"])
    assert table.loc["whole video", "R@1,mIoU"] == pytest.approx(62.5)


def test_rows_with_different_metrics_are_refused():
    with pytest.raises(DataError, match="differ in R@5,mIoU"):
        metrics_table({"a": {"R@1,mIoU": 0.25}, "b": {"R@1,mIoU": 0.5, "R@5,mIoU": 0.5}}, count=4)
    with pytest.raises(DataError, match="no row"):
        metrics_table({}, count=4)
    with pytest.raises(DataError, match="name of a baseline"):
        table_with_baselines({"whole video": oracle()}, TRAIN, TRUTH, draws=1)
