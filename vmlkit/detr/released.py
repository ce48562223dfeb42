"""Parameter names of the released Moment-DETR, QD-DETR and BM-DETR, as rules for :mod:`vmlkit.released`."""

from pathlib import Path

from vmlkit.files import read_json

DETR: tuple[tuple[str, str], ...] = tuple(
    (pattern, ours) for pattern, ours in read_json(Path(__file__).with_suffix(".json"))
)
RULES = {"moment_detr": DETR, "qd_detr": DETR, "bm_detr": DETR}
