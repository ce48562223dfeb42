"""What a number was computed with: versions, revision of the source, hardware.  Standard library only."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from vmlkit import __version__

PACKAGES = ("torch", "numpy", "pandas")


def versions() -> dict[str, str]:
    """Version of Python, of the packages that decide the numbers, and of vmlkit."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found | {"vmlkit": __version__}


#: stands behind a revision whose files were changed
CHANGES = "+changes"


def revision(*, package_alone: bool = False) -> str | None:
    """Git revision of the source, with ``+changes`` where tracked files differ from it; None outside a checkout.

    Args:
        package_alone: only files of the package count, and among them also those that git does not know yet.
    """
    source = Path(__file__).resolve().parent
    # a package installed into an environment inside somebody's own repository must not report that repository
    if _git(source, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(source, "rev-parse", "HEAD")
    if commit is None:
        return None
    which = ("--untracked-files=normal", "--", ".") if package_alone else ("--untracked-files=no",)
    return commit + (CHANGES if _git(source, "status", "--porcelain", *which) else "")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware(accelerator: str | None = None, threads: int | None = None) -> dict[str, Any]:
    """Processor, number of cores, threads in use and accelerator; never a host name."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "accelerator": accelerator,
    }


def made_with(accelerator: str | None = None, threads: int | None = None) -> dict[str, Any]:
    """What a measurement records beside its numbers: ``versions``, ``revision`` and ``hardware``."""
    return {"versions": versions(), "revision": revision(), "hardware": hardware(accelerator, threads)}


def _processor() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or None
