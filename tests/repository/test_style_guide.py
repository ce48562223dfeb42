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

from tests.notebooks.wrong_answers import WRONG
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
def test_a_page_says_what_it_needs_what_it_gives_and_where_the_path_goes(path: Path) -> None:
    second = cells(path, "markdown")[1].source
    missing = [what for what in ("**You need:**", "**Afterwards you can**", "**Path:**") if what not in second]
    at = [p.stem for p in NOTEBOOKS].index(path.stem)
    beside = [NOTEBOOKS[i].name for i in (at - 1, at + 1) if 0 <= i < len(NOTEBOOKS)]
    missing += [f"a link to {name}" for name in beside if f"({name})" not in second]
    held(path, [f"the second cell lacks {what}" for what in missing])


@each_notebook
def test_exercises_are_three_to_five_and_know_the_learner(path: Path) -> None:
    """Stubs that give nothing away, hints in two steps, minutes and difficulty, solutions under other names."""
    stubs, solutions, checks = (
        [c for c in cells(path, "code") if tag in tags(c)] for tag in ("exercise", "solution", "check")
    )
    code = "\n".join(cell.source for cell in cells(path, "code"))
    departures = [] if 3 <= len(stubs) <= 5 else [f"{len(stubs)} exercises"]
    departures += [] if f"exercises = vk.Exercises({len(stubs)})" in code else ["another count in vk.Exercises(...)"]
    for stub, solution, check in zip(stubs, solutions, checks, strict=True):
        (made,) = (n for n in ast.parse(stub.source).body if isinstance(n, ast.FunctionDef))
        if ast.unparse(made.body[-1]) != "raise NotImplementedError":
            departures.append(f"the stub of {made.name} does not end in a plain `raise NotImplementedError`")
        if f"def solution_{made.name}(" not in solution.source or f"def {made.name}(" in solution.source:
            departures.append(f"the solution of {made.name} is not called solution_{made.name}")
        call = ast.parse(check.source).body[-1]
        if not ast.unparse(call).startswith(f"exercises.check({made.name},"):
            departures.append(f"the check of {made.name} does not end in exercises.check({made.name}, ...)")
        if len(WRONG.get(path.stem, {}).get(made.name, ())) != 3:
            departures.append(f"tests/notebooks/wrong_answers.py has not three wrong answers to {made.name}")
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    if any(text.count(f"<summary>Hint {step}<") != len(stubs) for step in (1, 2)):
        departures.append("an exercise without two hints in <details> blocks")
    if len(re.findall(r"^\*\d+ minutes, (?:easy|medium|hard|open)\.\*", text, re.MULTILINE)) < len(stubs):
        departures.append("an exercise without its minutes and difficulty")
    held(path, departures)


@each_notebook
def test_the_edition_without_solutions_needs_none(path: Path) -> None:
    kept = "\n".join(cell.source for cell in cells(path, "code") if "solution" not in tags(cell))
    used = {n.id for n in ast.walk(ast.parse(kept)) if isinstance(n, ast.Name)}
    assert not {name for name in used if name.startswith("solution_")}


@each_notebook
def test_every_page_has_the_knobs_and_no_folder_is_fixed(path: Path) -> None:
    """Size, seed, device and run_dir are parameters, checked by ``vk.open_page``; trainings go where it says."""
    first = next(cell.source for cell in cells(path, "code") if "parameters" in tags(cell))
    rest = "\n".join(cell.source for cell in cells(path, "code") if "parameters" not in tags(cell))
    departures = [
        f"no parameter '{n}'" for n in ("size", "seed", "device", "run_dir") if f"\n{n} = " not in f"\n{first}"
    ]
    (opened,) = (n for n in ast.walk(ast.parse(rest)) if isinstance(n, ast.Call) and "open_page" in ast.unparse(n.func))
    passed = {ast.unparse(argument) for argument in opened.args} | {k.arg for k in opened.keywords}
    departures += [f"vk.open_page does not get '{n}'" for n in {"size", "seed", "device", "run_dir"} - passed]
    if rest.count("run_dir") > 1:
        departures.append("run_dir is used beside vk.open_page: use page.train and page.path")
    held(path, departures)


@each_notebook
def test_jupyterlab_folds_what_the_book_folds(path: Path) -> None:
    """It folds the cells below a heading and not the rest of its own cell, so no table stands in that."""
    departures = []
    for cell in cells(path, "markdown"):
        heading = cell.source.splitlines()[0]
        if cell.metadata.get("jp-MarkdownHeadingCollapsed", False) != ("aside" in tags(cell)):
            departures.append(f"'{heading}': an aside has jp-MarkdownHeadingCollapsed=true, and nothing else has")
        if "aside" in tags(cell) and "\n|" in cell.source:
            departures.append(f"'{heading}': the table of an aside stands in a cell of its own")
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
