"""Options and checks that hold for every test."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Shapes in the signatures are checked here and nowhere else: run-time checks would break torch.compile for users.
CHECKED = ("spans", "nn", "losses", "metrics", "models")
install_import_hook([f"vmlkit.{room}" for room in CHECKED], "typecheck.checked")

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
