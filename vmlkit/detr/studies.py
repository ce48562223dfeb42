"""Studies of P2, from ``studies.json``: BM-DETR in both modes beside its ancestors, its ablations, planted Charades-CD.

All toy rows train on moments of which nine in ten are *early* (centered in the first 55 % of their video), so that each
run reports an in- and an out-of-distribution group of the same test split; the row whose training is as the test shows
what the second group is worth.  The epoch is chosen on validation, which is as training.  A row is small enough for a
study of many rows on one core: 16 clips, about 840 steps.
"""

from pathlib import Path

from vmlkit.detr.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
