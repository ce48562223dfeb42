"""Where notebooks run in tests: a repository in which they find everything but write beside the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from vmlkit.experiments.notebooks import run_notebook

ROOT = Path(__file__).parents[2]
#: written by notebooks, or of no use to them
OWN = {"figures", "runs", "notebooks", "site", ".git"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """The stand-in for the repository."""
    folder = tmp_path / "repository"
    for name in ("figures", "runs", "notebooks"):
        (folder / name).mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in OWN:
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def execute(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs a notebook, or an edition of it, there: ``execute(path, edition or None, folder for the result)``.

    A figure that it saves with cut text, with a label without ticks, or wider than a page is an error in its cell.
    """
    monkeypatch.setenv("VMLKIT_CHECK_FIGURES", "1")

    def run(path: Path, edition: Any, out: Path, **options: Any) -> Path:
        copy = sandbox / "notebooks" / path.name
        copy.write_bytes(path.read_bytes()) if edition is None else nbformat.write(edition, copy)
        return run_notebook(copy, out, **options)

    return run
