"""Make .venv and install the package into it; called by the Makefile with any Python 3.11 or newer.

With the tested versions each file is held against the hashes of ``lock.txt`` before anything in it is run, and the
package itself is installed last, without a network.  Only a build of torch that ``lock.txt`` does not know, from the
address of another index, comes without.

Standard library only.  The installation writes its log to a file and shows one line of progress; when it fails,
the end of the log is printed and the exit status is 1.
"""

from __future__ import annotations  # so that an older Python gets as far as saying that it is too old

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

NEEDED = (3, 11)
TAIL = 15  #: lines of the log shown after a failure
QUIET_SECONDS = 30.0  #: between two lines of progress where there is no terminal
PACKAGES = "the packages (several minutes the first time, most of it downloads)"
#: the group of lock.txt that torch's builds for a GPU need, and its builds for a CPU do without
GPU = "gpu"


class Failed(Exception):
    """Something the user must act on; the text says what."""


class Progress:
    """What pip is doing, gathered from the lines it prints.

    >>> progress = Progress()
    >>> progress.feed("Collecting numpy>=1.26 (from vmlkit==0.1.0)")
    >>> progress.text(61.0)
    '   1:01  1 package found, last numpy'
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.last = ""
        self.installing = 0

    def feed(self, line: str) -> None:
        """Take in one line of pip's output."""
        found = re.match(r"\s*(?:Collecting|Requirement already satisfied:|Processing) ([\w.-]+)", line)
        if found:
            self.last = found.group(1)
            self.found.add(self.last.lower())
        elif line.startswith("Installing collected packages:"):
            self.installing = line.count(",") + 1

    def text(self, seconds: float) -> str:
        """The line of progress after so many seconds."""
        clock = f"{int(seconds) // 60:4d}:{int(seconds) % 60:02d}"
        if self.installing:
            return f"{clock}  installing {self.installing} packages"
        plural = "" if len(self.found) == 1 else "s"
        return f"{clock}  {len(self.found)} package{plural} found{', last ' + self.last if self.last else ''}"


def main(arguments: list[str] | None = None) -> int:
    """Create, install, report; 0 on success."""
    parser = argparse.ArgumentParser(description="Make a virtual environment and install vmlkit into it.")
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--extras", default="notebooks,test,text,video,cluster")
    parser.add_argument("--constraints", default="constraints.txt", help="empty: take the newest versions")
    parser.add_argument("--lock", default="", help="lock.txt, whose hashes are then required; empty: none are")
    parser.add_argument("--pip-args", default="", help="more arguments for pip, as one string")
    options = parser.parse_args(arguments)
    try:
        python, log = make_venv(options.venv), options.venv / "install.log"
        log.unlink(missing_ok=True)
        for what, command in commands(python, options):
            install(command, log, what)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_venv(venv: Path) -> Path:
    """The interpreter of ``venv``, made anew where it is missing or broken; a working one is kept."""
    if sys.version_info < NEEDED:
        raise Failed(f"vmlkit needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if _works(python):
        return python
    print(f"Making {venv} with Python {sys.version.split()[0]}.", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True)
    if made.returncode:
        raise Failed(f"{sys.executable} could not make {venv}: {(made.stdout + made.stderr).strip()}")
    return python


def _works(python: Path) -> bool:
    check = f"import sys, pip; sys.exit(sys.version_info < {NEEDED})"
    try:
        return subprocess.run([str(python), "-c", check], capture_output=True).returncode == 0
    except OSError:  # missing, or left half written
        return False


def commands(python: Path, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """What is installed, and the command, one after the other; each is asked for when those before have ended."""
    usual = pip_command(python, options.extras, options.constraints, options.pip_args)
    if not options.lock:
        yield PACKAGES, usual
        return
    found = locked(Path(options.lock).read_text(encoding="utf-8"), options.extras.split(","))
    arguments = shlex.split(options.pip_args)
    torch = only_chosen(found.pop("torch")[1], chosen_file(python, "torch", options.constraints, arguments))
    gpu = {name: text for name, (groups, text) in found.items() if groups == [GPU]}
    rest = [text for name, (_, text) in found.items() if name not in gpu]
    checked = [*_pip(python), *arguments, "--require-hashes", "--only-binary", ":all:", "--no-deps", "-r"]
    yield PACKAGES, [*checked, _written(options.venv / "locked.txt", [*rest, torch])]
    if not torch:
        yield "another build of torch, whose hash lock.txt does not know", usual
        return
    if torch_needs(python, gpu):
        yield "what torch needs for a GPU", [*checked, _written(options.venv / "locked-gpu.txt", gpu.values())]
    yield "vmlkit", [*_pip(python), "--no-index", "--no-build-isolation", "-e", f".[{options.extras}]"]


def chosen_file(python: Path, name: str, constraints: str, arguments: list[str]) -> str:
    """The SHA-256 of the file of a package that pip would take without hashes; empty where it does not say.

    Told all hashes, pip would pass over a build on this machine or from a second index, since their addresses do not
    show a hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        asked = ["--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report", str(report)]
        subprocess.run([*_pip(python), *arguments, *asked, "-c", constraints, name], capture_output=True)
        try:
            (taken,) = json.loads(report.read_text(encoding="utf-8"))["install"]
            return str(taken["download_info"]["archive_info"]["hash"]).removeprefix("sha256=")
        except (OSError, ValueError, KeyError):
            return ""


def only_chosen(lines: str, digest: str) -> str:
    r"""The lines of a package with the one hash of the file that is taken; empty where it is not among them.

    >>> only_chosen("torch==2.13.0 --hash=sha256:a1 --hash=sha256:b2", "b2")
    'torch==2.13.0 --hash=sha256:b2\n'
    """
    pin, *hashes = lines.replace("\\\n", "").split("--hash=")
    known = f"sha256:{digest}" in [value.strip() for value in hashes]
    return f"{pin.strip()} --hash=sha256:{digest}\n" if known else ""


def locked(text: str, extras: list[str]) -> dict[str, tuple[list[str], str]]:
    """The packages of ``lock.txt`` for some extras, by name: the groups that need it, and its lines for pip.

    Raises:
        Failed: for an extra that the file does not know.

    >>> lock = "# for: vmlkit, test\\nsix==1.17.0 --hash=a\\n\\n# for: test\\npytest==9.2.0 --hash=b\\n"
    >>> locked(lock + "\\n# for: llm\\nopenai==3.52.0 --hash=c\\n", ["test"])["pytest"]
    (['test'], 'pytest==9.2.0 --hash=b\\n')
    """
    found = {}
    for block in text.split("# for: ")[1:]:
        groups, _, lines = block.partition("\n")
        found[lines.partition("==")[0]] = (groups.split(", "), lines.rstrip() + "\n")
    known = {group for groups, _ in found.values() for group in groups}
    for extra in extras:
        if extra not in known:
            choice = ", ".join(sorted(known - {"vmlkit", GPU}))
            raise Failed(f"lock.txt has no extra '{extra}', only {choice}; without hashes: make install LOCK=")
    wanted = {"vmlkit", GPU, *extras}
    return {name: kept for name, kept in found.items() if wanted.intersection(kept[0])}


def torch_needs(python: Path, packages: Iterable[str]) -> bool:
    """Whether the torch that is installed requires one of some packages."""
    code = "import importlib.metadata as m; print(*m.requires('torch') or (), sep='\\n')"
    asked = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    return not set(packages).isdisjoint(re.findall(r"^[\w.-]+", asked, re.MULTILINE))


def pip_command(python: Path, extras: str, constraints: str, pip_args: str) -> list[str]:
    """The installing command; an editable install, so that a change in the source counts at once."""
    pinned = ["-c", constraints] if constraints else []
    return [*_pip(python), *pinned, *shlex.split(pip_args), "-e", f".[{extras}]"]


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]


def _written(path: Path, requirements: Iterable[str]) -> str:
    path.write_text("".join(requirements), encoding="utf-8")
    return str(path)


def install(command: list[str], log: Path, what: str = PACKAGES) -> None:
    """Run pip, with its output at the end of ``log`` and a line of progress on the screen.

    Raises:
        Failed: with the end of the log.
    """
    print(f"Installing {what}.", flush=True)
    progress, started = Progress(), time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
        )
        reader = threading.Thread(target=_read, args=(process, file, progress), daemon=True)
        reader.start()
        _show_until_done(process, progress, started)
        reader.join()
    if process.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-TAIL:])
        raise Failed(f"{tail}\n\nThe installation failed; the whole log is {log}. Run the same command to try again.")
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _read(process: subprocess.Popen[str], file: TextIO, progress: Progress) -> None:
    for line in process.stdout or ():
        file.write(line)
        progress.feed(line)


def _show_until_done(process: subprocess.Popen[str], progress: Progress, started: float) -> None:
    live = sys.stdout.isatty()
    shown = started
    while process.poll() is None:
        time.sleep(0.2)
        now = time.monotonic()
        if now - shown >= (0.5 if live else QUIET_SECONDS):
            shown = now
            print(("\r\033[K" if live else "") + progress.text(now - started), end="" if live else "\n", flush=True)
    if live:
        print("\r\033[K", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
