"""Sources of the DETR family: the toy world, planted Charades-CD, and data sets of JSON lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vmlkit.data.batches import MomentDataset
from vmlkit.data.sources import Splits, View, load_corpus, load_toy
from vmlkit.detr.dataset import EARLY, SELDOM, DetrDataset
from vmlkit.detr.loading import load_lines
from vmlkit.detr.settings import DetrCharadesCDData, DetrData, DetrToyData, PlantedLinesData, grouped


def _detr(source: Callable[[Any, Path | None, bool], Splits[MomentDataset]]) -> Callable[..., Splits[DetrDataset]]:
    def loader(config: DetrToyData | DetrCharadesCDData, cache_dir: Path | None, progress: bool) -> Splits[DetrDataset]:
        def adapt(name: str, split: MomentDataset) -> DetrDataset:
            if isinstance(config, DetrToyData) and config.moments != "anywhere" and name != "test":
                split = split.subset(_kept(split.spans, config))
            groups = name == "test" and grouped(config)
            return DetrDataset.of(split, candidates=True, groups=groups, rules=config.negatives)

        return source(config, cache_dir, progress).map(adapt)

    return loader


def _kept(spans: Float[np.ndarray, "N 2"], config: DetrToyData) -> Int[np.ndarray, " K"]:
    """Queries that ``config.moments`` keeps: always as many as there are early ones, drawn by the seed of the data."""
    first = spans.mean(axis=1) <= EARLY
    early, late = np.flatnonzero(first), np.flatnonzero(~first)
    share = {"early": 0.0, "mostly_early": SELDOM, "as_they_are": len(late) / max(1, len(spans))}[config.moments]
    count, rng = min(len(late), round(share * len(early))), np.random.default_rng([config.seed, len(spans)])
    drawn = [rng.choice(early, len(early) - count, replace=False), rng.choice(late, count, replace=False)]
    rows: np.ndarray = np.sort(np.concatenate(drawn))
    return rows


#: moments with candidates for negative queries
DETR_MOMENTS: View[DetrDataset] = View(
    "sentences with negatives",
    {
        DetrToyData: _detr(load_toy),
        DetrCharadesCDData: _detr(load_corpus),
        DetrData: load_lines,
        PlantedLinesData: load_lines,
    },
)
