"""Three moments of a run with P0's clock, start, turn and end, and how they are told apart without a legend.

Training pushes negatives away from their moment until c turns, and pulls them to it afterwards.  If they follow, three
pictures are put into order by what they show: least of the negatives lies on the moment at the turn, and most at the
end.  Whether a run's negatives do follow is seen by whether this rule finds its order.
"""

from collections.abc import Mapping
from typing import TypeVar

import pandas as pd

from vmlkit.errors import DataError
from vmlkit.viz.snapshots import RunView

_Name = TypeVar("_Name")


def turning_points(view: RunView) -> tuple[int, int, int]:
    """The first recorded epoch, the last with c < 0 and the last.

    Raises:
        DataError: for a run without negatives whose c changes its sign.
    """
    epochs = view.recorded_epochs
    below = [epoch for epoch in epochs if view.clock(epoch) < 0]
    if not below or below[-1] == epochs[-1] or not (view.proposals["role"] == "negative").any():
        remedy = "record a run of P0 (vmlkit train lnp-cpl) over all of its epochs"
        raise DataError(view.name, "has no negatives whose c changes its sign", remedy)
    return epochs[0], below[-1], epochs[-1]


def negative_overlaps(view: RunView) -> pd.DataFrame:
    """Mean overlap (IoU) of each recorded sentence's negatives with its moment; a column each for start, turn and end.

    Raises:
        DataError: as :func:`turning_points`.
    """
    columns = dict(zip(("start", "turn", "end"), turning_points(view), strict=True))
    rows = view.proposals[view.proposals["role"] == "negative"]
    means = rows.groupby(["query_id", "epoch"], observed=True)["iou"].mean().astype(float).unstack("epoch")
    return pd.DataFrame({name: means[epoch] for name, epoch in columns.items()})


def in_order(shown: Mapping[_Name, float]) -> tuple[_Name, _Name, _Name]:
    """Three pictures as start, turn, end, from how much of the negatives each shows on the moment.

    >>> in_order({"b": 0.3, "c": 0.05, "a": 0.2})
    ('a', 'c', 'b')
    """
    turn, start, end = sorted(shown, key=lambda name: shown[name])
    return start, turn, end
