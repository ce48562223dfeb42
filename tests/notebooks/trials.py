"""Answers tried on a page while it runs: wrong ones and the right one, each followed by the page's own check.

They run in cells of their own right after a check, and are taken out of the executed copy again, so that one execution
serves the tests and the site.
"""

import ast
from collections.abc import Iterator
from typing import Any

import nbformat

TAG = "trial"


def tagged(cell: Any, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def exercises(notebook: Any) -> Iterator[tuple[str, int, Any, Any]]:
    """(name of the function, index of the check, cell of the exercise, cell of the check) of every exercise."""
    cells = notebook.cells
    for i, cell in enumerate(cells):
        if tagged(cell, "exercise"):
            (made,) = (n for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef))
            check = next(j for j in range(i, len(cells)) if tagged(cells[j], "check"))
            yield made.name, check, cell, cells[check]


def with_trials(notebook: Any, wrong: dict[str, tuple[str, ...]]) -> Any:
    """A copy that tries wrong answers and the solution after each check, and then puts the stub back."""
    edition = nbformat.from_dict(notebook)
    for name, at, exercise, check in reversed(list(exercises(edition))):
        own = "import vmlkit as vk\nkept, exercises = exercises, vk.Exercises(exercises.count)"
        sources = [own]
        for answer in (*wrong.get(name, ()), f"solution_{name}"):
            sources.append(f"{name} = {answer}\n{name}.__name__ = {name!r}\n{check.source}")
        sources.append(f"exercises = kept\n{exercise.source}")
        made = [nbformat.v4.new_code_cell(source, metadata={"tags": [TAG, name]}) for source in sources]
        edition.cells[at + 1 : at + 1] = made
    return edition


def outcomes(notebook: Any) -> dict[str, list[str]]:
    """What each check of an executed edition said, by function: of the stub, of the wrong answers, of the solution."""
    found: dict[str, list[str]] = {}
    for name, _, _, check in exercises(notebook):
        tried = [cell for cell in notebook.cells if tagged(cell, TAG) and tagged(cell, name)]
        found[name] = [said(cell) for cell in (check, *tried[1:-1])]
    return found


def said(cell: Any) -> str:
    """The Markdown that a cell shows."""
    return "".join(output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", []))


def without_trials(notebook: Any) -> Any:
    """The executed page as a reader sees it."""
    notebook.cells = [cell for cell in notebook.cells if not tagged(cell, TAG)]
    return notebook
