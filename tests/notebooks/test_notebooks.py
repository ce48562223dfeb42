"""Every notebook runs from top to bottom at CI size, and every exercise checks what it says it checks.

The copies with outputs go to a temporary folder, or to ``$VMLKIT_EXECUTED``, from where ``make site`` takes them.
"""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.pages.__main__ import student_edition
from vmlkit.experiments.notebooks import (
    NotebookFailed,
    failing_cells,
    list_notebooks,
    read,
    run_notebook,
)

ROOT = Path(__file__).parents[2]
BUDGET_SECONDS = 90

pytestmark = [pytest.mark.notebook, pytest.mark.slow]
each_notebook = pytest.mark.parametrize("path", list_notebooks(ROOT / "notebooks"), ids=lambda p: p.stem)


#: written by notebooks, or of no use to them
OWN = {"figures", "runs", "notebooks", "site", ".git"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A repository in which notebooks find everything but write beside the real one."""
    folder = tmp_path / "repository"
    for name in ("figures", "runs", "notebooks"):
        (folder / name).mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in OWN:
            (folder / entry.name).symlink_to(entry)
    return folder


def execute(path: Path, sandbox: Path, edition: Any, out: Path, **options: Any) -> Path:
    copy = sandbox / "notebooks" / path.name
    copy.write_bytes(path.read_bytes()) if edition is None else nbformat.write(edition, copy)
    return run_notebook(copy, out, **options)


@each_notebook
def test_notebook_runs(path: Path, sandbox: Path, record_property: Callable[[str, object], None]) -> None:
    executed = execute(path, sandbox, None, Path(os.environ.get("VMLKIT_EXECUTED", sandbox / "executed")))
    notebook = read(executed)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.metadata.papermill.status == "completed" for cell in code)
    assert all(cell.execution_count for cell in code)
    assert not failing_cells(notebook.cells)

    metrics = list((sandbox / "runs").rglob("metrics.json"))
    assert metrics, "the notebook left no run (runs/NAME/metrics.json)"
    assert all(json.loads(file.read_text()) for file in metrics)
    figures = list((sandbox / "figures").glob(f"{path.stem}*.png"))
    assert figures, f"the notebook saved no figures/{path.stem}*.png"
    assert all(file.stat().st_size > 2000 for file in figures)

    seconds = float(notebook.metadata.papermill.duration)
    record_property("seconds", seconds)
    assert seconds > 0.2, "it ran suspiciously fast: did any cell do anything?"
    if seconds > BUDGET_SECONDS:
        warnings.warn(f"{path.stem} took {seconds:.0f} s at CI size; the budget is {BUDGET_SECONDS} s", stacklevel=1)


@each_notebook
def test_without_solutions_the_checks_fail(path: Path, sandbox: Path) -> None:
    notebook = read(path)
    edition = student_edition(notebook)
    if len(edition.cells) == len(notebook.cells):
        pytest.skip("the notebook has no exercise with a solution")
    with pytest.raises(NotebookFailed) as caught:
        execute(path, sandbox, edition, sandbox / "executed", keep_going=True)
    assert caught.value.executed is not None
    cells = read(caught.value.executed).cells
    failing = failing_cells(cells)
    checks = [i for i, cell in enumerate(cells) if "check" in cell.metadata.get("tags", [])]
    assert failing[0] == checks[0], (
        f"the first failing cell is {failing[0]}, which is no check: {cells[failing[0]].source}"
    )
    assert set(checks) <= set(failing), "a check passes although nobody solved its exercise"
