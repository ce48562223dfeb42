"""Studies of action localisation, from ``studies.json``: P3's additions and tables on the toy world, planted THUMOS14.

``planted-thumos14`` has P3's rivals and the words of a real encoder, ``p3-toy`` the hosts with TSM, VLC and both, and
``p3-tables`` P3's own network.  Rates are from sweeps (:mod:`vmlkit.experiments.sweeps`).  The settings ``free`` leave
out the two losses that want a small attention as long as all looks like background.
"""

from pathlib import Path

from vmlkit.actions.presets import PRESETS
from vmlkit.training.study import studies_of

STUDIES = studies_of(Path(__file__).with_suffix(".json"), PRESETS)
