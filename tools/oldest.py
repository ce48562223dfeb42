"""``python tools/oldest.py``: the lower bounds of pyproject.toml as constraints for pip, one package a line."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def bounds(project: Path = PROJECT) -> str:
    """``NAME==VERSION`` for what the package and its extras require; the highest bound of several."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = [text for name, texts in table["optional-dependencies"].items() if name != "all" for text in texts]
    found: dict[str, str] = {}
    for text in [*table["dependencies"], *extras]:
        match = re.match(r"([\w.-]+)[^>]*>=([\d.]+)", text)
        if match:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            found[name] = max(found.get(name, "0"), match[2], key=lambda v: [int(part) for part in v.split(".")])
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


if __name__ == "__main__":
    sys.stdout.write(bounds())
