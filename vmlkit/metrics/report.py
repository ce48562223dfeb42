"""Metrics as a table in percent."""

from collections.abc import Mapping

import pandas as pd

from vmlkit.errors import DataError


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
