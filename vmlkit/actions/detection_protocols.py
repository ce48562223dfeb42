"""The same detections under every protocol: what the choice of evaluation alone is worth."""

import numpy as np
import pandas as pd

from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detection import THRESHOLDS, DetectionResult, Protocol, detection_map
from vmlkit.actions.detections import Detections
from vmlkit.actions.proposals import drop_ambiguous
from vmlkit.errors import DataError


def under_every_protocol(found: Detections, dataset: ActionDataset) -> dict[Protocol, DetectionResult]:
    """Evaluate detections as P3, BaS-Net and HAM-Net, and ActivityNet would.

    For ``"p3"`` whatever touches an ambiguous region is left out, and bounds stay in snippets; for the others they
    become seconds, and the instances of videos that ``gt.json`` lacks do not count.

    Args:
        found: in snippets, *before* any ambiguity filter.
        dataset: the split that was localised, in its order.

    Raises:
        DataError: for detections in seconds: rounding them would not give back the snippets.
    """
    if found.unit != "snippets":
        raise DataError("protocols", "the detections are in seconds", "give them in snippets, before any conversion")
    rate = 1 / dataset.snippet_s
    kept = [
        drop_ambiguous(found.where(found.video == video), regions, float(rate[video])) if regions else None
        for video, regions in enumerate(dataset.ambiguous_s)
    ]
    clear = found.where(np.array([not dataset.ambiguous_s[v] for v in found.video], dtype=bool))
    filtered = Detections.concatenate([clear, *(part for part in kept if part is not None)])
    seconds = found.to_seconds(dataset.snippet_s)
    return {
        protocol: detection_map(
            filtered if protocol == "p3" else seconds, dataset.truth_under(protocol), protocol, snippets_per_s=rate
        )
        for protocol in THRESHOLDS
    }


def protocol_table(results: dict[Protocol, DetectionResult]) -> pd.DataFrame:
    """mAP in percent, one row per protocol, one column per threshold that any of them uses; then the denominators."""
    levels = sorted({round(t, 6) for result in results.values() for t in result.thresholds})
    rows = {}
    for protocol, result in results.items():
        known = {round(t, 6): 100 * float(v) for t, v in zip(result.thresholds, result.mean_ap, strict=True)}
        rows[protocol] = {
            **{f"{t:g}": known.get(t, np.nan) for t in levels},
            "instances": int(result.instances.sum()),
            "of zero length": result.zero_length,
            "detections": result.detections,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
