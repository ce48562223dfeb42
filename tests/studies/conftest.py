"""A small study, measured once."""

import shutil
from pathlib import Path

import pytest

from tests.studies.tiny import tiny
from vmlkit.studies.cells import Store
from vmlkit.studies.run import Options, run_study

#: the working tree of a developer has changes
ASKED = Options(seeds=2, allow_dirty=True)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``runs`` and ``results`` of the study ``tiny`` with two seeds."""
    folder = tmp_path_factory.mktemp("study")
    run_study(tiny(), ASKED, store=Store(folder / "runs"), results=folder / "results")
    return folder


@pytest.fixture
def measured(once: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(once, tmp_path / "measured"))
