"""Every notebook runs from top to bottom at CI size, and its numbers stay within their bands (tests/regression).

On the way answers are tried at its exercises: three wrong ones, which the check must refuse, and the right one.  The
copies with outputs go to a temporary folder, or to ``$VMLKIT_EXECUTED``, from where ``make site`` takes them.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browsing import chromium, new_page
from tests.notebooks.budget import HEIGHT, ROWS, table_rows
from tests.notebooks.trials import outcomes, with_trials, without_trials
from tests.notebooks.wrong_answers import WRONG
from tools.pages.site import build_site
from tools.regression.quantities import drift, load, path_of, recorded
from vmlkit.experiments.notebooks import (
    cpu_budget,
    cpu_seconds,
    failing_cells,
    fingerprint,
    is_current,
    list_notebooks,
    read,
    write,
)

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.notebook, pytest.mark.slow]
each_notebook = pytest.mark.parametrize("path", list_notebooks(ROOT / "notebooks"), ids=lambda p: p.stem)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where executed copies go."""
    return Path(os.environ.get("VMLKIT_EXECUTED") or tmp_path_factory.mktemp("executed"))


@each_notebook
def test_notebook_runs(
    path: Path,
    sandbox: Path,
    copies: Path,
    execute: Callable[..., Path],
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edition = with_trials(read(path), WRONG[path.stem])
    executed = execute(path, edition, copies)
    notebook = read(executed)
    assert not failing_cells(notebook.cells)
    tried = outcomes(notebook)
    notebook = without_trials(notebook)
    notebook.metadata["vmlkit"]["fingerprint"] = fingerprint(path)
    write(notebook, executed)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.metadata.papermill.status == "completed" for cell in code)
    assert all(cell.execution_count for cell in code)
    assert table_rows(notebook) <= ROWS, f"{table_rows(notebook)} rows of tables are open: fold some"
    assert refused(tried) == []

    metrics = list((sandbox / "runs").rglob("metrics.json"))
    assert metrics, "the notebook left no run (runs/NAME/metrics.json)"
    assert all(json.loads(file.read_text()) for file in metrics)
    figures = list((sandbox / "figures").glob(f"{path.stem}*.png"))
    assert figures, f"the notebook saved no figures/{path.stem}*.png"
    assert all(file.stat().st_size > 2000 for file in figures)

    if path_of(path.stem).is_file():  # a new page has none until its bands are learned
        assert drift(load(path.stem), recorded(executed)) == []

    seconds = float(notebook.metadata.papermill.duration)
    record_property("seconds", seconds)
    assert seconds > 0.2, "it ran suspiciously fast: did any cell do anything?"
    taken, budget = cpu_seconds(executed), cpu_budget(path.stem)
    record_property("cpu_seconds", taken)
    with capsys.disabled():
        print(f"\n{path.stem}: {taken} CPU s of {budget}, {seconds:.0f} s of the clock")
    assert taken is None or taken <= budget, f"{path.stem} takes too long at ci size: train less in it"


@pytest.mark.browser
def test_no_page_of_the_book_is_too_high(copies: Path, tmp_path: Path) -> None:
    """As the book opens it, of the pages that ran just now."""
    made = [path for path in list_notebooks(ROOT / "notebooks") if is_current(copies / path.name, path)]
    if not made:
        pytest.skip("no page was executed in this run")
    executable = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
    build_site(made, copies, ROOT / "figures", tmp_path / "site")
    with api.sync_playwright() as playwright:
        page = new_page(playwright, tmp_path / "profile", executable, offline=True)
        heights = {}
        for path in made:
            page.goto((tmp_path / "site" / f"{path.stem}.html").as_uri())
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            heights[path.stem] = page.evaluate("document.querySelector('main').scrollHeight")
        page.context.close()
    high = {name: height for name, height in heights.items() if height > HEIGHT}
    assert not high, f"pages higher than {HEIGHT} pixels, of {heights}: make a section an aside, or fold code"


def refused(tried: dict[str, list[str]]) -> list[str]:
    """What checks said that they should not have: of a stub, of wrong answers, of the solution."""
    wrong = []
    for name, (stub, *answers, solution) in tried.items():
        wrong += [f"stub of {name}: {stub!r}"] if "not done yet" not in stub else []
        wrong += [f"answer {i} to {name}: {said!r}" for i, said in enumerate(answers) if "wrong at" not in said]
        wrong += [f"solution of {name}: {solution!r}"] if "**right**" not in solution else []
    return wrong
