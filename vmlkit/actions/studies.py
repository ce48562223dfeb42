"""Studies of action localisation, from ``studies.json``: P3's additions and tables on the toy world, planted THUMOS14.

``p3-toy`` and ``p3-tables`` run 300 iterations a row where it says nothing else.  The settings ``free`` leave out the
two losses that want a small attention as long as all looks like background.
"""

from pathlib import Path

from vmlkit.actions.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
