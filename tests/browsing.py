"""What every test with a browser shares: finding Chromium, and the tools that drive JupyterLab."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from lab import FLAGS, Complaints, Lab, evaluate, find_chromium, jupyterlab, new_page  # noqa: E402

__all__ = ["FLAGS", "ROOT", "Complaints", "Lab", "chromium", "evaluate", "jupyterlab", "new_page"]


def chromium() -> str:
    """Path of an installed Chromium; skips without one, unless VMLKIT_REQUIRE_BROWSER=1 asks for a failure."""
    path = find_chromium()
    if path is None:
        reason = "no Chromium: install it, or name it in VMLKIT_CHROMIUM"
        if os.environ.get("VMLKIT_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
