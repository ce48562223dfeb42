"""Sources of the DETR family: the toy world, planted Charades-CD, and data sets of JSON lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.data.batches import MomentDataset
from vmlkit.data.sources import Splits, View, load_corpus, load_toy
from vmlkit.detr.dataset import EARLY, DetrDataset
from vmlkit.detr.loading import load_lines
from vmlkit.detr.settings import DetrCharadesCDData, DetrData, DetrToyData, PlantedLinesData, grouped


def _detr(source: Callable[[Any, Path | None, bool], Splits[MomentDataset]]) -> Callable[..., Splits[DetrDataset]]:
    def loader(config: DetrToyData | DetrCharadesCDData, cache_dir: Path | None, progress: bool) -> Splits[DetrDataset]:
        early = isinstance(config, DetrToyData) and config.moments == "early"

        def adapt(name: str, split: MomentDataset) -> DetrDataset:
            if early and name != "test":
                split = split.subset(np.flatnonzero(split.spans.mean(axis=1) <= EARLY))
            groups = name == "test" and grouped(config)
            return DetrDataset.of(split, candidates=True, groups=groups, rules=config.negatives)

        return source(config, cache_dir, progress).map(adapt)

    return loader


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
