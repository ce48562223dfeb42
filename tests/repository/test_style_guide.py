"""Notebooks read alike: the order of a page, short cells, exercises that check themselves, one glossary.

Pages named in ``HELD`` must keep all of it.  For others a departure is a warning; a page joins the list when it has
none.
"""

import ast
import importlib
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

import jupytext
import pytest

from vmlkit.experiments.notebooks import list_notebooks

ROOT = Path(__file__).parents[2]
NOTEBOOKS = list_notebooks(ROOT / "notebooks")
HELD = {
    "00_tour",
    "01_cnm",
    "02_gaussian_proposals",
    "03_dual_signed_negatives",
    "04_bm_detr",
    "05_actions_with_text",
    "06_sentence_components",
    "07_your_own_video",
}

#: tests/repository/test_pairs.py has the hard limit for code cells
MARKDOWN_WORDS, CODE_LINES, DEFINITION_LINES = 120, 25, 20

#: what a page is made of, in this order, as headings say it
ORDER = (
    "question",
    "data|picture|idea",
    "symbols",
    "predict",
    "train",
    "watch it learn",
    "claims measured",
    "exercises",
    "what to read next",
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == kind]


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def held(path: Path, departures: list[str]) -> None:
    """Fail for a page of the list, warn for any other."""
    if path.stem in HELD:
        assert not departures, f"{path.stem}: {departures}"
    elif departures:
        warnings.warn(f"{path.stem} departs from the style guide: {departures}", StyleWarning, stacklevel=2)


class StyleWarning(UserWarning):
    """A page that is not held to the guide departs from it."""


def prose(cell: Any) -> str:
    """The text of a cell without tables, equations and HTML."""
    lines = [line for line in cell.source.splitlines() if not line.startswith("|")]
    return re.sub(r"\$\$.*?\$\$|<[^>]+>", " ", "\n".join(lines), flags=re.DOTALL)


@each_notebook
def test_a_page_opens_with_a_claim_a_time_and_the_glossary(path: Path) -> None:
    first = cells(path, "markdown")[0].source
    missing = {
        "a title": first.startswith("# "),
        "one sentence in bold": "**" in first,
        "the time it takes": "Time:" in first,
        "a link to the glossary": "(glossary.md)" in first,
    }
    held(path, [f"the first cell lacks {what}" for what, there in missing.items() if not there])


@each_notebook
def test_headings_come_in_the_order_of_the_guide(path: Path) -> None:
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    headings = [h.lower() for h in re.findall(r"^#{1,4} (.+)$", text, re.MULTILINE)]
    at, departures = 0, []
    for wanted in ORDER:
        found = next((i for i in range(at, len(headings)) if re.search(wanted, headings[i])), None)
        if found is None:
            departures.append(f"no heading '{wanted}' after '{headings[at - 1] if at else 'the title'}'")
        else:
            at = found + 1
    if not any("paper against code" in h for h in headings):
        departures.append("no heading 'paper against code'")
    held(path, departures)


@each_notebook
def test_cells_hold_one_thought(path: Path) -> None:
    departures = []
    for i, cell in enumerate(jupytext.read(path).cells):
        if cell.cell_type == "markdown" and (count := len(prose(cell).split())) > MARKDOWN_WORDS:
            departures.append(f"cell {i} has {count} words")
        if cell.cell_type == "code":
            definitions = [n for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            if (count := len(cell.source.splitlines())) > CODE_LINES:
                departures.append(f"cell {i} has {count} lines")
            long = [n.name for n in definitions if n.end_lineno - n.lineno + 1 > DEFINITION_LINES]
            departures += [f"cell {i} defines {name} in more than {DEFINITION_LINES} lines" for name in long]
    held(path, departures)


@each_notebook
def test_exercises_are_three_to_five_and_their_checks_teach(path: Path) -> None:
    stubs, checks = ([c for c in cells(path, "code") if tag in tags(c)] for tag in ("exercise", "check"))
    departures = [] if 3 <= len(stubs) <= 5 else [f"{len(stubs)} exercises"]
    for cell in stubs:
        raises = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Raise)]
        if not any("NotImplementedError(" in ast.unparse(n) for n in raises):
            departures.append(f"a stub does not raise with a hint: {cell.source[:40]}")
    for cell in checks:
        asserts = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Assert)]
        if not asserts or any(n.msg is None for n in asserts):
            departures.append(f"a check without a message that teaches: {cell.source[:40]}")
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    if text.count("<details>") != text.count("</details>") or text.count("<details>") < len(stubs):
        departures.append("an exercise without a hint in a <details> block")
    held(path, departures)


@each_notebook
def test_a_still_picture_comes_before_the_scrubber(path: Path) -> None:
    code = "\n".join(cell.source for cell in cells(path, "code"))
    scrubbed = code.find("\nscrubber(")
    still = any(
        0 <= code.find(f"{drawn}(") < scrubbed for drawn in ("draw_epochs", "draw_tracks", "draw_class_activation")
    )
    held(path, [] if still else ["no epochs drawn side by side before scrubber(...)"])


def test_the_glossary_names_what_exists() -> None:
    text = (ROOT / "notebooks" / "glossary.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(vmlkit\.[\w.]+)`", text))
    assert len(names) > 12
    for name in names:
        module, _, item = name.rpartition(".")
        assert hasattr(importlib.import_module(module), item), f"the glossary names {name}, which does not exist"


def test_pictures_of_the_readme_exist_and_load_quickly() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert "figures/scrubber.gif" in pictures
    sizes = {name: (ROOT / name).stat().st_size for name in pictures}
    assert max(sizes.values()) < 1_500_000, sizes


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    if done.returncode == 128:
        pytest.skip("this is not a git checkout")
    return done.stdout.split()


def test_git_keeps_the_pictures_of_the_readme_only_and_ignores_what_notebooks_write() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in git("ls-files", "figures") if f"({name})" not in readme] == []
    written = ["figures/00_tour.png", "runs/00_tour/metrics.json", "site/00_tour.html", "site/executed/00_tour.ipynb"]
    assert git("check-ignore", "--no-index", *written) == written


def test_plans_for_teaching_name_pages_and_headings_that_exist() -> None:
    text = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")
    assert "(glossary.md)" in text
    assert "(notebooks/TEACHING.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\d\d_\w+)`", text))
    assert named <= {path.stem for path in NOTEBOOKS}
    for page, words in re.findall(r"\| `(\d\d_\w+)`, (.+?) \|", text):
        headings = re.findall(
            r"^#+ (.+)$", "\n".join(c.source for c in cells(ROOT / "notebooks" / f"{page}.ipynb", "markdown")), re.M
        )
        for heading in re.findall(r"\*(.+?)\*", words):
            assert any(heading.lower() in h.lower() for h in headings), f"{page} has no heading '{heading}'"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"there is no `make {target}`"
