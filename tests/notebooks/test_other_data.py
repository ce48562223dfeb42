"""Pages run on real sentences and actions over planted features, from top to bottom."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.experiments.test_pages import each_page, knobs
from vmlkit.experiments.notebooks import failing_cells, read

pytestmark = [pytest.mark.notebook, pytest.mark.slow]

#: below $VMLKIT_DATA
FOLDERS = {"planted:charades": "charades_sta", "planted:charades_cd": "charades_cd", "planted:thumos14": "thumos14"}


@each_page
def test_a_page_runs_on_planted_data(
    path: Path, execute: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At ci size; what the page says of the toy world's numbers need not hold there, and is said where it does not."""
    data = next(name for name in knobs(path)[1] if name in FOLDERS)
    home = os.environ.get("VMLKIT_DATA")
    if not home or not Path(home, FOLDERS[data]).is_dir():
        pytest.skip(f"needs real annotations: set VMLKIT_DATA to the folder that holds {FOLDERS[data]}")
    monkeypatch.delenv("VMLKIT_CHECK_FIGURES")  # sentences of people are as long as they are
    notebook = read(execute(path, None, tmp_path / "out", parameters={"data": data}, keep_going=True))
    assert [notebook.cells[i].outputs for i in failing_cells(notebook.cells)] == []
