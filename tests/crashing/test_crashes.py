"""One run of each family killed at a few instants and operations, and begun twice at once: the same bits in the end.

Continuous integration draws them by the day; ``make crash`` takes fifty instants, ``EVERY=1`` all operations.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashing.runner import FAMILIES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_runs_that_are_killed_or_begun_twice_end_with_the_same_bits() -> None:
    command = [sys.executable, "-m", "tests.crashing.runner", "--kills", "2", "--points", "40"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^(\w+): (\d+) runs: \2 same$", done.stdout, re.MULTILINE)
    assert [family for family, _ in lines] == [*FAMILIES], done.stdout
    assert all(int(count) >= 4 for _, count in lines), "of the two writers, two operations and the instants"
