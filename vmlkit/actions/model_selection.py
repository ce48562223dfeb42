"""Which evaluation of a training run is reported: the last, the mean of the last few, or the best on the test set.

The released programs of action localisation evaluate on the test set every few iterations and report the best of all
evaluations.  The best of many noisy numbers is higher than any of them deserves, and the more evaluations, the more.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.files.tables import check_columns, read_csv


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The same run under three ways to choose."""

    last: float
    tail_mean: float  #: mean of the last ``window`` evaluations
    tail_deviation: float  #: their standard deviation (of the sample)
    best: float
    best_at: int  #: position of the best evaluation, from 0
    window: int
    evaluations: int


def selections(values: Float[np.ndarray, " evaluations"], window: int = 20) -> Selection:
    """The three choices; where there are fewer evaluations than ``window``, the mean is over all of them.

    Raises:
        DataError: for no evaluation, or one that is not a finite number.

    >>> s = selections(np.array([1.0, 3.0, 2.0, 2.0]), window=2)
    >>> s.last, s.tail_mean, s.best, s.best_at
    (2.0, 2.0, 3.0, 1)
    """
    if not len(values) or not np.isfinite(values).all():
        raise DataError("model selection", "there is no evaluation, or one is not a finite number", "check the run")
    tail = values[-window:]
    return Selection(
        last=float(values[-1]),
        tail_mean=float(tail.mean()),
        tail_deviation=float(tail.std(ddof=1)) if len(tail) > 1 else 0.0,
        best=float(values.max()),
        best_at=int(values.argmax()),
        window=len(tail),
        evaluations=len(values),
    )


def read_training_curve(path: str | Path) -> pd.DataFrame:
    """The authors' own log of P3 (``p3_author_training_curve.csv``): one row per evaluation on the test set.

    The index is the iteration; columns are ``mAP@0.1`` .. ``mAP@0.9`` and the averages ``mAP@0.1:0.5`` and
    ``mAP@0.3:0.7``, in percent.

    Raises:
        DataError: for a file without these columns.
    """
    names = {f"map_{t:.1f}": f"mAP@{t:.1g}" for t in np.arange(1, 10) / 10}
    names |= {"avg_0.1_0.5": "mAP@0.1:0.5", "avg_0.3_0.7": "mAP@0.3:0.7"}
    table = read_csv(path, "copy it again")
    check_columns(table, dict.fromkeys(("iteration", *names), "number"), path, "copy it again")
    return table.set_index("iteration")[list(names)].rename(columns=names)
