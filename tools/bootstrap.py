"""Make .venv and install the package into it; called by the Makefile with any Python 3.11 or newer.

Standard library only.  The installation writes its log to a file and shows one line of progress; when it fails,
the end of the log is printed and the exit status is 1.
"""

from __future__ import annotations  # so that an older Python gets as far as saying that it is too old

import argparse
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

NEEDED = (3, 11)
TAIL = 15  #: lines of the log shown after a failure
QUIET_SECONDS = 30.0  #: between two lines of progress where there is no terminal


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
    parser.add_argument("--pip-args", default="", help="more arguments for pip, as one string")
    options = parser.parse_args(arguments)
    try:
        python = make_venv(options.venv)
        command = pip_command(python, options.extras, options.constraints, options.pip_args)
        install(command, options.venv / "install.log")
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


def pip_command(python: Path, extras: str, constraints: str, pip_args: str) -> list[str]:
    """The installing command; an editable install, so that a change in the source counts at once."""
    pinned = ["-c", constraints] if constraints else []
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", *pinned, *shlex.split(pip_args)]
    return [str(python), "-m", "pip", "install", *options, "-e", f".[{extras}]"]


def install(command: list[str], log: Path) -> None:
    """Run pip, with its output in ``log`` and a line of progress on the screen.

    Raises:
        Failed: with the end of the log.
    """
    print("Installing the packages (several minutes the first time, most of it downloads).", flush=True)
    progress, started = Progress(), time.monotonic()
    with log.open("w", encoding="utf-8") as file:
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
