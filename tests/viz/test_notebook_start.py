"""A notebook works in the repository, wherever it was started, and warns about nothing of ours."""

import warnings
from pathlib import Path

import pandas as pd
import pytest

from vmlkit.viz import notebook as nb


def test_the_working_directory_becomes_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "repository" / "notebooks" / "deep"
    inside.mkdir(parents=True)
    (tmp_path / "repository" / "pyproject.toml").touch()
    monkeypatch.chdir(inside)
    with warnings.catch_warnings():
        nb.start()
    assert Path.cwd() == (tmp_path / "repository").resolve()


def test_outside_a_repository_nothing_moves(tmp_path: Path) -> None:
    assert nb.repository(tmp_path) == tmp_path
    (tmp_path / "notebooks").mkdir()
    assert nb.repository(tmp_path) == tmp_path, "a folder called notebooks alone is no repository"


def test_tables_stand_behind_one_line_that_opens_them() -> None:
    frame = pd.DataFrame({"mIoU": [45.14]}, index=["CPL <b>"])
    text = nb.fold("3 claims <held>", frame, nb.fold("inner", frame)).data
    assert text.startswith("<details><summary>3 claims &lt;held&gt;</summary>\n\n|  | mIoU |")
    assert text.count("<details>") == text.count("</details>") == 2
    assert text.count("| CPL &lt;b> | 45.1 |") == 2
