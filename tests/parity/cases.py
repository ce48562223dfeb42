"""Which check holds a golden case: by the longest known prefix of its name."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.parity.golden import GoldenCase
from tests.parity.golden_blocks import check_dual_transformer, check_gauss_cnm, check_gauss_cpl
from tests.parity.golden_cnm import check_cnm
from tests.parity.golden_components import COMPONENT_CHECKS
from tests.parity.golden_cpl import check_cpl
from tests.parity.golden_data import check_planted_case, check_sampling_case
from tests.parity.golden_detr import check_bm_detr, check_moment_detr, check_qd_detr
from tests.parity.golden_detr_metrics import EVALUATION_CHECKS
from tests.parity.golden_detr_ops import check_bm_shift, check_ops
from tests.parity.golden_metrics import check_metrics_case
from tests.parity.golden_pps import check_gauss_pps, check_pps
from tests.parity.golden_text import TEXT_CHECKS
from tests.parity.golden_wtal_detection import DETECTION_CHECKS, check_action_case, is_action_case
from tests.parity.golden_wtal_vlc import WTAL_CHECKS
from tests.parity.golden_xclip import XCLIP_CHECKS


def _metrics(case: GoldenCase) -> None:
    check_metrics_case(case.arrays, case.meta)


def _sampling(case: GoldenCase) -> None:
    if is_action_case(case):
        return check_action_case(case)
    check_sampling_case(case.arrays, case.meta)


def _planted(case: GoldenCase) -> None:
    if is_action_case(case):
        return check_action_case(case)
    root = os.environ.get("VMLKIT_DATA")
    check_planted_case(case.arrays, case.meta, Path(root) / "charades_sta" if root else None)


CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    "dual_transformer_": check_dual_transformer,
    "gauss_cnm_": check_gauss_cnm,
    "gauss_cpl_": check_gauss_cpl,
    "cnm_": check_cnm,
    "cpl_": check_cpl,
    "sampling_": _sampling,
    "planted_": _planted,
    "metrics_cnm_": _metrics,
    "metrics_cpl_": _metrics,
    "metrics_pps_": _metrics,
    "p0_formulas_": _metrics,
    "pps_": check_pps,
    "gauss_pps_": check_gauss_pps,
    **DETECTION_CHECKS,
    **WTAL_CHECKS,
    **EVALUATION_CHECKS,
    "moment_detr_": check_moment_detr,
    "qd_detr_": check_qd_detr,
    "bm_detr_": check_bm_detr,
    "ops_": check_ops,
    "bm_shift_": check_bm_shift,
    **COMPONENT_CHECKS,
    **XCLIP_CHECKS,
    **TEXT_CHECKS,
}


def check_of(name: str) -> Callable[[GoldenCase], None]:
    """The check for a case of this name.

    Raises:
        KeyError: for a name that no known kind begins.
    """
    kinds = [kind for kind in CHECKS if name.startswith(kind)]
    if not kinds:
        raise KeyError(f"golden case '{name}' is of no known kind")
    return CHECKS[max(kinds, key=len)]


def cases_in(folder: Path) -> list[Path]:
    """One path per case below ``folder`` (its npz, or its JSON where there is no npz)."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        stem = path.name.split(".", 1)[0] if path.name.endswith((".json", ".json.gz", ".jsonl.gz")) else path.stem
        if path.suffix == ".npz" or (path.name.endswith((".json", ".json.gz", ".jsonl.gz")) and stem not in found):
            found[f"{path.parent}/{stem}"] = path
    return [found[key] for key in sorted(found)]
