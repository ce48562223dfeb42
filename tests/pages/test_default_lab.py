"""JupyterLab as ``make lab`` starts it, with default settings: the tour open, twins hidden, no blobs below the fold.

With the defaults a cell below the fold is in the document without being drawn, so that a live picture there may be made
before its colours are known.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browsing import Lab, evaluate, jupyterlab
from tests.viz.make_run import write_run
from tools.lab import HIDDEN, ROOT, main, options

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIVE = """
from vmlkit.viz.playgrounds import gaussian_playground
from vmlkit.viz.scrubber import scrubber
"""


@pytest.fixture(scope="module")
def folder(workspace: Path) -> Path:
    """The workspace with a notebook whose live pictures stand far below the fold."""
    write_run(workspace / "runs" / "a", epochs=4, name="a", queries=3)
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell(f"# Part {i}\n\n" + "Words. \n\n" * 12) for i in range(12)]
    cells.insert(0, v4.new_code_cell(LIVE.strip()))
    cells += [v4.new_code_cell("scrubber('runs/a')"), v4.new_code_cell("gaussian_playground()")]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), workspace / "below.ipynb")
    return workspace


@pytest.fixture(scope="module")
def default_lab(folder: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra 'notebooks')")
    with jupyterlab(folder, tmp_path_factory.mktemp("home"), every_cell=False) as server:
        yield server


#: the pixels of all pictures, and again after a change of the page's classes, which makes them read the theme anew
PIXELS = """async () => {
  const shown = () => [...document.querySelectorAll(".vmlkit-live canvas[data-ready]")].map((c) => c.toDataURL());
  const before = shown();
  document.body.classList.toggle("restyled");
  await new Promise((done) => setTimeout(done, 700));
  return [before, shown()];
}"""


def test_pictures_below_the_fold_are_drawn_in_the_colours_of_the_page(default_lab: Lab, browser: Any) -> None:
    page = browser()
    default_lab.enter(page)
    assert default_lab.open(page, "below.ipynb", kernel=True)["error"] is None
    assert [cell["errors"] for cell in default_lab.run_all(page)] == [[], [], []]
    page.wait_for_selector("canvas.stage[data-ready]", state="attached")
    page.wait_for_selector(".vmlkit-gaussian canvas[data-ready]", state="attached")
    page.wait_for_timeout(1000)
    before, after = evaluate(page, PIXELS)
    assert len(before) >= 2
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * len(before), "a picture was drawn unstyled"


def test_the_tour_is_open_and_twins_are_not_listed(default_lab: Lab) -> None:
    def ask(path: str) -> Any:
        return urllib.request.urlopen(f"{default_lab.home}{path}?token={default_lab.token}", timeout=60)

    with ask("") as answer:
        assert urllib.parse.urlsplit(answer.url).path == "/lab/tree/notebooks/00_tour.ipynb"
    with ask("api/contents/notebooks") as answer:
        listed = [entry["name"] for entry in json.load(answer)["content"]]
    assert "00_tour.ipynb" in listed
    assert [name for name in listed if name.endswith(".py")] == []


def test_make_lab_starts_that_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Done:
        returncode = 3

    monkeypatch.setattr("tools.lab.subprocess.run", lambda command, **_: started.append(command) or Done)
    assert main(["--no-browser"]) == 3
    assert started[0][2:4] == ["jupyter", "lab"]
    assert started[0][4:] == [*options(ROOT), "--no-browser"]
    assert f"--ServerApp.root_dir={ROOT}" in options(ROOT)
    assert [f"--ContentsManager.hide_globs={pattern}" for pattern in HIDDEN] == options(ROOT)[3:]
    assert "[0-9][0-9]_*.py" in HIDDEN
    assert "@$(BIN)/python -m tools.lab" in (ROOT / "Makefile").read_text(encoding="utf-8")
