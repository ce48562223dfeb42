"""A small copy of the repository, a JupyterLab over it, and one page of a headless Chromium in that."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import ROOT, Complaints, Lab, chromium, jupyterlab, new_page

#: what notebooks read; they write into the copy
_SHARED = ("pyproject.toml", "jupytext.toml", "results", "vmlkit", "constraints.txt")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with notebooks of its own."""
    folder = tmp_path_factory.mktemp("workspace") / "repository"
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("figures", "runs"):
        (folder / name).mkdir()
    for name in _SHARED:
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that opens a page of a fresh profile."""
    executable = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
    with api.sync_playwright() as playwright:
        pages: list[Any] = []

        def start(**options: Any) -> Any:
            profile = tmp_path_factory.mktemp("profile")
            pages.append(new_page(playwright, profile, executable, **options))
            return pages[-1]

        yield start
        for page in pages:
            page.context.close()


@pytest.fixture(scope="module")
def lab(workspace: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The server; started once for the module."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra 'notebooks')")
    with jupyterlab(workspace, tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def inside(lab: Lab, browser: Any) -> tuple[Any, Complaints]:
    """The page with JupyterLab in it, and what went wrong there so far."""
    page = browser()
    complaints = Complaints(page, lab.home)
    lab.enter(page)
    return page, complaints
