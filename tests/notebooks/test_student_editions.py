"""The edition without solutions: every check fails there until its exercise is done.

In a file of its own, so that it runs in another process than the notebooks with their solutions.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.pages.__main__ import student_edition
from vmlkit.experiments.notebooks import NotebookFailed, failing_cells, list_notebooks, read

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.notebook, pytest.mark.slow]


@pytest.mark.parametrize("path", list_notebooks(ROOT / "notebooks"), ids=lambda p: p.stem)
def test_without_solutions_the_checks_fail(path: Path, execute: Callable[..., Path], tmp_path: Path) -> None:
    notebook = read(path)
    edition = student_edition(notebook)
    if len(edition.cells) == len(notebook.cells):
        pytest.skip("the notebook has no exercise with a solution")
    with pytest.raises(NotebookFailed) as caught:
        execute(path, edition, tmp_path / "executed", keep_going=True)
    assert caught.value.executed is not None
    cells = read(caught.value.executed).cells
    failing = failing_cells(cells)
    checks = [i for i, cell in enumerate(cells) if "check" in cell.metadata.get("tags", [])]
    assert failing[0] == checks[0], (
        f"the first failing cell is {failing[0]}, which is no check: {cells[failing[0]].source}"
    )
    assert set(checks) <= set(failing), "a check passes although nobody solved its exercise"
