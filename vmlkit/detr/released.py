"""Parameter names of the released Moment-DETR, QD-DETR and BM-DETR, as rules for :mod:`vmlkit.released`."""

import json
from pathlib import Path

DETR: tuple[tuple[str, str], ...] = tuple(
    (pattern, ours) for pattern, ours in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
)
RULES = {"moment_detr": DETR, "qd_detr": DETR, "bm_detr": DETR}
