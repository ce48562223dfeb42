"""Setting up from nothing: the installer behind `make tour`, with small commands in place of pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import bootstrap  # noqa: E402

PIP_OUTPUT = """\
Obtaining file:///somewhere
Collecting torch>=2.9 (from vmlkit==0.1.0)
  Downloading torch-2.13.0.whl (200 MB)
Requirement already satisfied: numpy>=1.26 in ./.venv (from vmlkit==0.1.0)
Collecting torch
"""


def test_progress_counts_each_package_once() -> None:
    progress = bootstrap.Progress()
    for line in PIP_OUTPUT.splitlines():
        progress.feed(line)
    assert progress.found == {"torch", "numpy"}
    assert progress.text(125) == "   2:05  2 packages found, last torch"
    progress.feed("Installing collected packages: a, b, c")
    assert progress.text(3600) == "  60:00  installing 3 packages"


def test_the_command_takes_pins_extras_and_arguments() -> None:
    command = bootstrap.pip_command(Path("p"), "test", "constraints.txt", "--extra-index-url 'a b'")
    assert command[:4] == ["p", "-m", "pip", "install"]
    assert command[-2:] == ["-e", ".[test]"]
    assert command[command.index("-c") + 1] == "constraints.txt"
    assert "a b" in command
    assert "-c" not in bootstrap.pip_command(Path("p"), "test", "", "")


def test_a_failing_installation_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    script = "import sys; [print('line', i) for i in range(40)]; sys.exit('no such version')"
    with pytest.raises(bootstrap.Failed, match="no such version") as caught:
        bootstrap.install([sys.executable, "-c", script], log)
    assert str(log) in str(caught.value)
    assert "line 39" in str(caught.value)
    assert "line 3\n" not in str(caught.value)


def test_a_working_installation_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.install([sys.executable, "-c", "print('Collecting x')"], tmp_path / "log")
    assert (tmp_path / "log").read_text() == "Collecting x\n"
    assert "Installed in" in capsys.readouterr().out


def test_an_old_python_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "NEEDED", (99, 0))
    assert bootstrap.main(["--venv", str(tmp_path / "venv")]) == 1
    message = capsys.readouterr().err.strip()
    assert "3.11 or newer" in message
    assert "\n" not in message
    assert not (tmp_path / "venv").exists()


def test_a_working_environment_is_kept_and_a_broken_one_made_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    python = bootstrap.make_venv(venv)
    marker = venv / "marker"
    marker.touch()
    assert bootstrap.make_venv(venv) == python
    assert marker.exists()
    python.unlink()
    python.write_text("not a program")
    assert bootstrap.make_venv(venv) == python
    assert not marker.exists()


needs_make = pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="needs make")


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)


@needs_make
def test_make_alone_lists_every_target() -> None:
    done = make()
    assert done.returncode == 0
    for target in ("tour", "test", "lab", "notebooks", "figures", "lint", "bench", "site", "study", "clean"):
        assert f"make {target} " in done.stdout


@needs_make
def test_make_without_a_python_says_what_to_do(tmp_path: Path) -> None:
    done = make("tour", "PYTHON=", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "vmlkit needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()
