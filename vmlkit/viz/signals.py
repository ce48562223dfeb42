"""Per-clip signals of a run (saliency, attention, class activation, ...) for the scrubber, from ``clip_scores.npz``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.viz.blocks import Block
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.style import ROLES

#: points over the video that a signal keeps, and how many signals
POINTS, MAX_SIGNALS = 96, 6

#: the code of a missing value
_MISSING = 255

#: light, dark and dashes, beside the attention colour, which ``attention`` itself has
_LOOKS = (
    ("#22262B", "#E8EBEE", ()),
    ("#8A6D1F", "#D9BE6A", (6, 3)),
    ("#4F7C86", "#8FC1CB", (2, 2)),
    ("#7A6A4F", "#C9B48E", (8, 2, 2, 2)),
    ("#5B6470", "#AEB8C4", (4, 2)),
    ("#3C3F8F", "#AAB0F0", (1, 2)),
)


@dataclass(frozen=True)
class Signals:
    """``values[name]`` is (epochs, all queries of the file, points); ``rows`` says which row a query has."""

    values: dict[str, Float[np.ndarray, "E Q points"]]
    rows: dict[str, int]

    @property
    def bytes_per_epoch(self) -> int:
        """Of one query, once embedded."""
        return len(self.values) * POINTS

    def add_to(self, block: Block, queries: list[str]) -> list[dict[str, Any]]:
        """Append the signals of ``queries`` to a block and describe them; the first one is shown to begin with."""
        described: list[dict[str, Any]] = []
        for (name, every), (color, dark, dash) in zip(self.values.items(), _LOOKS, strict=False):
            missing = np.full((len(every), 1, POINTS), np.nan)
            picked = [every[:, [self.rows[q]]] if q in self.rows else missing for q in queries]
            values = np.concatenate(picked, axis=1)
            low, high = float(np.nanmin(every)), float(np.nanmax(every))
            block.add(f"signal/{name}", values, low, max(high, low + 1e-6), _MISSING)
            if name == "attention":
                color, dark = ROLES["attention"].color, ROLES["attention"].dark
            look = {"color": color, "dark": dark, "dash": list(dash), "shown": not described}
            described.append({"name": name, "title": name.replace("_", " "), **look})
        return described


def read_signals(view: RunView, epochs: list[int]) -> Signals:
    """The signals of a run at ``epochs``; empty where it recorded none.

    Clips beyond the end of a video (NaN) are dropped and the rest is resampled to :data:`POINTS` points, so that every
    signal spans its video.  An epoch that was not recorded stays missing.

    Raises:
        DataError: where an array has not the shape (epochs, queries, clips).
    """
    scores = view.clip_scores
    if not scores:
        return Signals({}, {})
    recorded = [int(e) for e in scores["epochs"]]
    rows = {str(q): i for i, q in enumerate(scores["query_ids"])}
    kept: dict[str, np.ndarray] = {}
    for name, stored in scores.items():
        if name in ("epochs", "query_ids") or len(kept) == MAX_SIGNALS:
            continue
        if stored.ndim != 3 or stored.shape[:2] != (len(recorded), len(rows)):
            what = f"the signal '{name}' has shape {stored.shape}, not ({len(recorded)}, {len(rows)}, clips)"
            raise DataError(view.name, what, "write clip_scores.npz as vmlkit.runs says, or delete it")
        if np.isfinite(stored).any():
            kept[name] = _resample(
                stored.astype(np.float64), [recorded.index(e) if e in recorded else -1 for e in epochs]
            )
    return Signals(kept, rows)


def _resample(stored: Float[np.ndarray, "E Q T"], places: list[int]) -> Float[np.ndarray, "E Q points"]:
    out = np.full((len(places), stored.shape[1], POINTS), np.nan)
    for e, place in enumerate(places):
        for q in range(stored.shape[1]):
            values = stored[place, q] if place >= 0 else np.empty(0)
            values = values[np.isfinite(values)]
            if len(values):
                out[e, q] = np.interp(
                    (np.arange(POINTS) + 0.5) / POINTS, (np.arange(len(values)) + 0.5) / len(values), values
                )
    return out
