"""``python tools/lock.py`` (``make lock``): write ``lock.txt``, the pins of constraints.txt with hashes of their files.

Needs uv (``pip install uv``), which resolves for every system and every Python that is supported at once, so the same
file serves them all: pip leaves out what is for another system.  Each package is under a line ``# for: ...`` that names
the extras which need it, ``vmlkit`` where the package itself does, and ``gpu`` where only torch's builds for a GPU do;
``tools/bootstrap.py`` installs the groups that are asked for.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: the oldest Python of which every pinned package has a file; soupsieve has none for 3.11.0 to 3.11.4
PYTHON = "3.11.5"
#: what installs the package itself, without a network
BUILD = "setuptools"
#: packages that torch brings for a GPU; its builds for a CPU do without
GPU = ("nvidia-", "cuda-", "triton")
#: files that are not on PyPI: torch's CPU build for Python 3.11 on x86_64, with which the pins were tested
OTHER_FILES = {"torch": ("sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)}
#: extras of weights, which have a licence of their own; they are installed by hand
LEFT_OUT = ("all", "small-llm")

HEAD = """\
# The pins of constraints.txt and all that they need, with the hashes of their files, for every supported system and
# Python at once.  Made by `make lock`; not to be edited.  `make tour` installs from it.  By hand:
#
#     pip install --require-hashes --only-binary=:all: --no-deps -r lock.txt
#     pip install --no-index --no-build-isolation --no-deps -e .
"""


def main() -> int:
    """Resolve, name the groups and write the file."""
    if shutil.which("uv") is None:
        print("uv is not installed: run `pip install uv`, then this again", file=sys.stderr)
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for name in project["optional-dependencies"] if name not in LEFT_OUT]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.txt"
        whole.write_text(compiled(ROOT / "constraints.txt", extras, "--generate-hashes"), encoding="utf-8")
        groups = {"vmlkit": names(compiled(whole, [])) | {BUILD}}
        groups |= {extra: names(compiled(whole, [extra])) for extra in extras}
        (ROOT / "lock.txt").write_text(HEAD + "".join(blocks(whole.read_text(encoding="utf-8"), groups)), "utf-8")
    return 0


def compiled(constraints: Path, extras: list[str], *more: str) -> str:
    """What uv resolves for the package with some extras."""
    command = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", PYTHON, "--no-header"]
    command += ["--no-annotate", "--only-binary", ":all:", "--constraints", str(constraints), *more, "--quiet"]
    command += [part for extra in extras for part in ("--extra", extra)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def names(requirements: str) -> set[str]:
    """The packages of a file of requirements."""
    return set(re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE))


def blocks(requirements: str, groups: dict[str, set[str]]) -> list[str]:
    """A block for each package: its groups, its pin with a marker, its hashes."""
    found = []
    for block in re.split(r"^(?=[\w.-]+==)", requirements, flags=re.MULTILINE):
        if not (match := re.match(r"[\w.-]+", block)):
            continue
        name = match[0]
        uses = ["gpu"] if name.startswith(GPU) else [group for group, members in groups.items() if name in members]
        others = "".join(f" \\\n    --hash={value}" for value in OTHER_FILES.get(name, ()))
        found.append(f"\n# for: {', '.join(uses)}\n{block.rstrip()}{others}\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
