"""Studies of CNM, CPL and P0, from ``studies.json``: on the toy world and on planted Charades-STA.

P0's are its generators (P0 Fig. 4), schedules (P0 Table 3), kinds of negatives (P0 Table 4) and ablations (P0 Table 5a,
P0 Table 5b, P0 Table 5c); the group ``visible`` is :func:`vmlkit.reconstruction.presets.visible_negatives`.  On the toy
world all but ``cpl`` run at a *study size*: 400 training videos and 8 epochs, with the full validation and test splits,
so that the many rows of an ablation fit into an evening on one core.
"""

from pathlib import Path

from vmlkit.reconstruction.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
