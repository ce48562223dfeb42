"""Options and checks that hold for every test."""

import os
from pathlib import Path

import jaxtyping
import pytest
from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401  (the hook looks it up by name)

# Shapes in the signatures are checked here and nowhere else: run-time checks would break torch.compile for users.
CHECKED = (
    "spans", "nn", "metrics",
    "reconstruction.cnm", "reconstruction.cpl", "reconstruction.pps", "reconstruction.lnp", "reconstruction.front",
    "reconstruction.negatives", "reconstruction.gaussian", "reconstruction.mixtures", "reconstruction.losses",
    "reconstruction.lnp_hosts",
    "detr.method", "detr.moment_detr", "detr.qd_detr", "detr.bm_detr", "detr.layers", "detr.attention",
    "detr.span_decoder", "detr.criterion", "detr.assignment", "detr.windows",
    "actions.method", "actions.basnet", "actions.hamnet", "actions.co2net", "actions.localiser", "actions.tsm",
    "actions.vlc", "actions.losses", "actions.cross_modal", "actions.recurrent", "actions.text_queries",
    "actions.baselines", "actions.detection", "actions.detections",
    "actions.frame_rates", "actions.model_selection", "actions.nms", "actions.proposals",
    "components.method", "components.on_detr", "components.xclip", "components.losses", "components.importance",
    "components.temporal", "components.xclip_heads", "components.ranking",
)  # fmt: skip
install_import_hook([f"vmlkit.{room}" for room in CHECKED], "tests.typecheck.checked")

ROOT = Path(__file__).resolve().parent.parent

# Real annotations are never part of the repository; where a shared copy lies beside the checkout, tests use it.
if (ROOT.parent / "shared" / "data").is_dir():
    os.environ.setdefault("VMLKIT_DATA", str(ROOT.parent / "shared" / "data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=str(ROOT / "tests" / "golden"),
        help="folder of golden vectors for tests/parity (default: the selection in the repository)",
    )


@pytest.fixture
def unchecked(monkeypatch):
    """Without run-time annotation checks: a user has none, so the functions' own sentences are tested."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
