"""Studies of P4 on the toy world, from ``studies.json``: sentence components on X-CLIP, Moment-DETR and QD-DETR.

The weight of the loss, where the paper is silent, is from a sweep (:mod:`vmlkit.experiments.sweeps`).  Retrieval
follows P4 Table 3 and P4 Table 5, moments P4 Table 2, single components P4 Table 4.  Every gain stands beside controls
that train the same loss without what it is said to need: the video (``text only``, ``shuffled video``) or the own
variants of the sentence (``shuffled variants``).
"""

from pathlib import Path

from vmlkit.components.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
