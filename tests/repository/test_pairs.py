"""Notebooks: the two files of a pair agree, carry no outputs, and follow the conventions of CONTRIBUTING.md."""

import ast
import re
from pathlib import Path
from typing import Any

import jupytext
import pytest

from vmlkit.experiments.notebooks import list_notebooks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = list_notebooks(FOLDER)
CELL_LINES = 40
REPAIR = "run `make pair` if the .py is right, or `jupytext --to py:percent --update notebooks/NAME.ipynb` if not"

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def tags(cell: Any) -> list[str]:
    return sorted(cell.metadata.get("tags", []))


def comparable(path: Path) -> list[tuple[str, str, list[str]]]:
    return [(cell.cell_type, cell.source, tags(cell)) for cell in jupytext.read(path).cells]


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def test_folder_readme_and_ci_name_the_same_notebooks() -> None:
    folder = sorted(path.stem for path in FOLDER.glob("*.py"))
    readme = re.findall(r"\(notebooks/(\w+)\.ipynb\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert folder, "there are no notebooks"
    assert [path.stem for path in NOTEBOOKS] == folder, "a notebook without its .py, or a .py without its notebook"
    assert readme == folder, "README.md must list every notebook once, in order"


@each_notebook
def test_the_pair_agrees(path: Path) -> None:
    notebook, script = comparable(path), comparable(path.with_suffix(".py"))
    differing = [i for i, (a, b) in enumerate(zip(notebook, script, strict=False)) if a != b]
    assert notebook == script, f"{path.stem}: cells {differing or 'at the end'} differ; {REPAIR}"


@each_notebook
def test_the_notebook_is_clean(path: Path) -> None:
    notebook = jupytext.read(path)
    assert all(cell.execution_count is None and not cell.outputs for cell in code_cells(path)), "it carries outputs"
    assert not {"widgets", "papermill", "vmlkit"} & set(notebook.metadata), "it carries the state of a run"
    known = {"tags", "jupyter", "jp-MarkdownHeadingCollapsed", "lines_to_next_cell"}
    assert all(set(cell.metadata) <= known for cell in notebook.cells), "unexpected metadata of a cell"
    assert notebook.metadata.kernelspec.name == "python3"


@each_notebook
def test_one_cell_of_literal_parameters(path: Path) -> None:
    found = [cell for cell in code_cells(path) if "parameters" in tags(cell)]
    assert len(found) == 1, "exactly one cell is tagged 'parameters'"
    names = []
    for statement in ast.parse(found[0].source).body:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign)), f"not an assignment: {ast.unparse(statement)}"
        assert statement.value is not None
        ast.literal_eval(statement.value)
        names += [ast.unparse(target) for target in getattr(statement, "targets", [getattr(statement, "target", None)])]
    assert "size" in names, "the parameter 'size' is missing"


@each_notebook
def test_solutions_are_folded_and_each_exercise_is_checked(path: Path) -> None:
    cells = code_cells(path)
    order = [kind for cell in cells for kind in ("exercise", "solution", "check") if kind in tags(cell)]
    assert order == ["exercise", "solution", "check"] * (len(order) // 3), f"exercise, solution, check: {order}"
    open_ones = [c for c in cells if "solution" in tags(c) and not c.metadata.get("jupyter", {}).get("source_hidden")]
    assert not open_ones, "a cell tagged 'solution' is not folded"


@each_notebook
def test_cells_are_short(path: Path) -> None:
    long = {i: n for i, cell in enumerate(code_cells(path)) if (n := len(cell.source.splitlines())) > CELL_LINES}
    assert not long, f"code cells (index: lines) longer than {CELL_LINES} lines: {long}"
