"""Studies of CNM, CPL and P0, from ``studies.json``: on the toy world and on planted features of two corpora.

Of P0 there are, on planted Charades-STA and on planted ActivityNet Captions, the generators (P0 Fig. 4), the kinds of
negatives (P0 Table 4), the schedule (P0 Table 3, P0 Fig. 5, P0 Fig. 6), what is frozen, selected and counted
(P0 Table 5a, P0 Table 5b, P0 Table 5c) and, with eight proposals, the best of five answers.  They are at a *study size*
that many rows and seeds can afford, and share the cells of the rows that they have in common.
"""

from pathlib import Path

from vmlkit.reconstruction.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
