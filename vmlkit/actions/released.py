"""Parameter names of the released BaS-Net, HAM-Net, CO2-Net and P3, as rules for :mod:`vmlkit.released`.

In ``released.json``, where ActivityNet's name of the offsets stands beside THUMOS14's (``position``, ``add_weight``).
"""

from pathlib import Path

from vmlkit.files import read_json
from vmlkit.reconstruction.released import FRONT, TRANSFORMER, Rules

_NAMES: dict[str, Rules] = read_json(Path(__file__).with_suffix(".json"))
#: the attention parts of CO2-Net, TSM and VLC
_CROSS_MODAL = _NAMES["cross-modal attention"]
RULES: dict[str, Rules] = {
    "basnet": _NAMES["basnet"],
    "hamnet": _NAMES["hamnet"],
    "co2net": (*_NAMES["co2net"], *_CROSS_MODAL),
    "tsm": (*_NAMES["tsm"], *_CROSS_MODAL),
    "vlc": (*FRONT, *_NAMES["vlc"], *_CROSS_MODAL, *_NAMES["own attention of vlc"], *TRANSFORMER),
}
