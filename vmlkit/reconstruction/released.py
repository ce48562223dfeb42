"""Parameter names of the released CNM, CPL and PPS, as rules for :mod:`vmlkit.released`, from ``released.json``.

Of these, ``transformer`` (the layers of the dual transformer) and ``front`` are common to the three.
"""

from pathlib import Path

from vmlkit.files import read_json

Rules = tuple[tuple[str, str], ...]

_NAMES: dict[str, Rules] = read_json(Path(__file__).with_suffix(".json"))
TRANSFORMER, FRONT = _NAMES["transformer"], _NAMES["front"]
RULES: dict[str, Rules] = {name: (*FRONT, *_NAMES[name], *TRANSFORMER) for name in ("cnm", "cpl", "pps")}
RULES["dual_transformer"] = TRANSFORMER
