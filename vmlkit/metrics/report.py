"""Metrics as a table in percent: the rows of a model with the baselines beneath them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.metrics.moments import RANKS, THRESHOLDS


def metrics_table(rows: Mapping[str, Mapping[str, float]], count: int) -> pd.DataFrame:
    """One row per method, one column per metric in **percent**, and a last column ``N``, the number of queries.

    Args:
        rows: name -> metric -> fraction, as :func:`~vmlkit.metrics.moments.moment_metrics` returns them.
        count: N, the denominator of every metric; also kept as ``table.attrs["N"]``, with ``attrs["unit"]``.

    Raises:
        DataError: for no row, or rows that do not hold the same metrics.

    >>> metrics_table({"whole video": {"R@1,IoU=0.5": 0.125}}, count=8)
                 R@1,IoU=0.5  N
    whole video         12.5  8
    """
    if not rows:
        raise DataError("metrics_table", "there is no row", "give at least one method")
    (first, wanted), *others = ((name, list(metrics)) for name, metrics in rows.items())
    for name, found in others:
        if set(found) != set(wanted):
            differing = ", ".join(sorted(set(found) ^ set(wanted)))
            raise DataError(
                "metrics_table", f"'{first}' and '{name}' differ in {differing}", "compute the same metrics"
            )
    table = 100 * pd.DataFrame.from_dict({k: dict(v) for k, v in rows.items()}, orient="index", columns=wanted)
    table["N"] = count
    table.attrs.update(N=count, unit="percent")
    return table


def table_with_baselines(
    models: Mapping[str, Mapping[str, float]],
    train_spans: Float[np.ndarray, "Nt 2"],
    truth: Float[np.ndarray, "N 2"],
    seed: int = 0,
    draws: int = 20,
    thresholds: Sequence[float] = THRESHOLDS,
    n: Sequence[int] = RANKS,
) -> pd.DataFrame:
    """The models' metrics in percent, then those of every baseline on the same queries.

    Args:
        models: name -> metric -> fraction; the metrics must be those of ``thresholds`` and ``n``.
        train_spans: start/end of the training moments in fractions of their videos (what the windows are fitted on).
        truth: start/end of the N test moments in fractions of their videos.
        seed: of the random baselines.
        draws: repetitions over which the random baselines are averaged.

    Raises:
        DataError: as :func:`metrics_table` and :func:`~vmlkit.metrics.baselines.baseline_metrics`, or for a model that
            has the name of a baseline.
    """
    baselines = baseline_metrics(train_spans, truth, seed, draws, thresholds, n)
    for name in models:
        if name in baselines:
            raise DataError("table_with_baselines", f"'{name}' is the name of a baseline", "rename the model's row")
    return metrics_table({**models, **baselines}, len(truth))
