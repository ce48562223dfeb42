"""What a user installs: the wheel holds the package whole, with its scripts for the browser, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files of a wheel built from a copy of the source (building writes beside it)."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "vmlkit", source / "vmlkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "results", source / "results")
    (source / "tests").mkdir()
    (source / "tests" / "test_nothing.py").write_text("")
    target = source / "wheel"
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(target)], cwd=source, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-1500:]
    with zipfile.ZipFile(next(target.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_every_source_and_data_file_is_inside(wheel: set[str]) -> None:
    shipped = {".py", ".json", ".mjs", ".css", ".html", ".j2", ".mplstyle", ".typed", ".safetensors"}
    files = (p for p in (ROOT / "vmlkit").rglob("*") if p.suffix in shipped or p.name == "py.typed")
    wanted = {p.relative_to(ROOT).as_posix() for p in files if "__pycache__" not in p.parts}
    assert wanted - wheel == set()


def test_the_scrubber_module_is_inside(wheel: set[str]) -> None:
    assert any(name.startswith("vmlkit/viz/") and name.endswith(".mjs") for name in wheel)


def test_nothing_else_is_installed(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert "vmlkit" in tops
    assert all(top == "vmlkit" or top.endswith((".dist-info", ".data")) for top in tops)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_results_of_the_studies_come_along(wheel: set[str]) -> None:
    """A notebook that was copied out of the repository finds them under the interpreter's ``share/vmlkit``."""
    wanted = {p.relative_to(ROOT).as_posix() for p in (ROOT / "results").rglob("*.*") if "data" not in p.parts}
    found = {name.partition(".data/data/share/vmlkit/")[2] for name in wheel if ".data/" in name}
    assert found == wanted


def test_the_command_is_declared(wheel: set[str]) -> None:
    assert any(name.endswith("entry_points.txt") for name in wheel)
