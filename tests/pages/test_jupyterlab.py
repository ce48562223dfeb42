"""The notebooks in a real JupyterLab: they open, run, save, and the scrubber in them follows the hand."""

from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from tests.browsing import ROOT, Complaints, Lab, evaluate
from vmlkit.experiments.notebooks import list_notebooks
from vmlkit.experiments.rendering import render_html

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = list_notebooks(ROOT / "notebooks")

#: the tour, made small: this is about the page; at its own size the notebook runs in tests/notebooks
SMALL = {
    "train.epochs": 3,
    "train.probe_queries": 6,
    "data.max_train_queries": 32,
    "data.max_validation_queries": 16,
    "data.max_test_queries": 40,
}

SELECTED = """
from ipywidgets import Widget
views = [w for w in vars()['Out'].values() if type(w).__name__ == 'EpochScrubber']
print(views[-1].epoch, views[-1].query, views[-1].selected, views[-1].curves)
"""


def make_small(path: Path) -> None:
    """Shrink the tour, in both files of the pair; what it expects of quality needs the real size."""
    for file in (path, path.with_suffix(".py")):
        quote = '\\"' if file.suffix == ".ipynb" else '"'
        preset, expected = f"experiment = page.preset({quote}cpl{quote})", "page.expect(better["
        smaller = preset[:-1] + f", {SMALL})".replace("'", quote)
        text = file.read_text(encoding="utf-8")
        assert (text.count(preset), text.count(expected)) == (1, 1), "the tour has changed: change this too"
        file.write_text(text.replace(preset, smaller).replace(expected, "print(better["), encoding="utf-8")


def test_every_pair_opens_also_after_papermill_stamped_it(
    lab: Lab, inside: tuple[Any, Complaints], workspace: Path
) -> None:
    papermill = pytest.importorskip("papermill", reason="papermill is not installed (extra 'notebooks')")
    page, complaints = inside
    (workspace / "executed").mkdir()
    for source in NOTEBOOKS:
        cells = len(nbformat.read(source, as_version=4).cells)
        path = f"notebooks/{source.name}"
        assert lab.open(page, path, kernel=False) == {"error": None, "cells": cells, "path": path}
        lab.close(page)

        # in place, as `papermill a.ipynb a.ipynb` leaves it, and a copy elsewhere that has no .py beside it
        stamped, copy = workspace / path, workspace / "executed" / source.name
        papermill.execute_notebook(str(stamped), str(copy), {"size": "ci"}, prepare_only=True, progress_bar=False)
        papermill.execute_notebook(str(stamped), str(stamped), {}, prepare_only=True, progress_bar=False)
        assert "papermill" in nbformat.read(stamped, as_version=4).metadata
        assert lab.open(page, path, kernel=False) == {"error": None, "cells": cells, "path": path}
        lab.close(page)
        path = f"executed/{source.name}"
        assert lab.open(page, path, kernel=False) == {"error": None, "cells": cells + 1, "path": path}
        lab.close(page)
    assert complaints.found == []


@pytest.fixture(scope="module")
def tour(lab: Lab, inside: tuple[Any, Complaints], workspace: Path) -> Path:
    """The tour, run from top to bottom in JupyterLab, still open there."""
    path = workspace / "notebooks" / "00_tour.ipynb"
    for file in (path, path.with_suffix(".py")):
        file.write_bytes((ROOT / "notebooks" / file.name).read_bytes())
    make_small(path)
    page, _ = inside
    assert lab.open(page, "notebooks/00_tour.ipynb", kernel=True)["error"] is None
    cells = lab.run_all(page)
    assert [cell for cell in cells if cell["errors"]] == []
    assert all(cell["count"] for cell in cells), "a cell was not run"
    return path


def scrub(page: Any) -> None:
    """Keys, a drag, another query: the picture follows, and says so in words."""
    stage = page.locator("canvas.stage").first
    stage.scroll_into_view_if_needed()
    page.wait_for_selector("canvas.stage[data-ready]")
    last = int(page.locator(".vmlkit-scrubber input[type=range]").first.get_attribute("max"))
    slider = page.locator(".vmlkit-scrubber input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    draws, before = int(stage.get_attribute("data-draws")), stage.screenshot()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert stage.get_attribute("data-epoch") == "2"
    assert int(stage.get_attribute("data-draws")) >= draws + 2
    assert stage.screenshot() != before
    assert page.locator(".vmlkit-scrubber .label").first.inner_text().startswith("epoch 2 · ")

    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 2 / last, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert stage.get_attribute("data-epoch") == "0"
    page.keyboard.press("End")
    assert stage.get_attribute("data-epoch") == str(last)
    query = stage.get_attribute("data-query")
    page.locator(".vmlkit-scrubber .next").first.click()
    assert stage.get_attribute("data-query") != query


def test_the_tour_runs_and_python_sees_what_the_hand_does(lab: Lab, inside: tuple[Any, Complaints], tour: Path) -> None:
    page, complaints = inside
    scrub(page)
    stage = page.locator("canvas.stage").first
    page.locator(".vmlkit-scrubber .pick").first.select_option(label="positive 2")
    wanted = [stage.get_attribute("data-epoch"), stage.get_attribute("data-query"), "1"]
    # widgets send one change at a time and wait for the kernel in between, so the last may still be on its way
    for _ in range(200):
        seen = lab.execute(page, SELECTED).split(" ", 3)
        if seen[:3] == wanted:
            break
        page.wait_for_timeout(100)
    assert seen[:3] == wanted
    assert "loss/" in seen[3]
    lab.execute(page, "views[-1].epoch = 1")
    page.wait_for_selector("canvas.stage[data-epoch='1']")
    assert complaints.found == []


def test_it_wears_the_colours_and_the_width_of_jupyterlab(inside: tuple[Any, Complaints], tour: Path) -> None:
    page, complaints = inside
    view, stage = page.locator(".vmlkit-scrubber").first, page.locator("canvas.stage").first

    def change(theme: str) -> None:
        command = "([theme]) => window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => true)"
        evaluate(page, command, [theme])

    def width(locator: Any) -> int:
        return int(locator.evaluate("node => node.clientWidth"))

    assert view.get_attribute("data-theme") == "light"
    light = stage.screenshot()
    change("JupyterLab Dark")
    page.wait_for_selector(".vmlkit-scrubber[data-theme='dark']")
    assert stage.screenshot() != light
    change("JupyterLab Light")
    page.wait_for_selector(".vmlkit-scrubber[data-theme='light']")
    for _ in range(200):
        if width(stage) == width(view) == width(page.locator("canvas.panels").first):
            break
        page.wait_for_timeout(50)
    assert width(stage) == width(view), "the picture is not as wide as its cell"
    assert complaints.found == []


def test_it_is_saved_and_its_page_scrubs_without_a_network(
    lab: Lab, inside: tuple[Any, Complaints], tour: Path, browser: Any, tmp_path: Path
) -> None:
    page, complaints = inside
    lab.save(page)
    lab.close(page)
    saved = nbformat.read(tour, as_version=4)
    assert any(cell.get("outputs") for cell in saved.cells), "the outputs were not saved"
    sources = [(cell.cell_type, cell.source) for cell in saved.cells]
    assert sources == [(c.cell_type, c.source) for c in jupytext.read(tour.with_suffix(".py")).cells]
    assert complaints.found == []

    rendered = render_html(tour, tmp_path / "site" / "00_tour.html")
    offline = browser(offline=True)
    wrong = Complaints(offline, rendered.as_uri())
    offline.goto(rendered.as_uri())
    scrub(offline)
    assert wrong.found == []
    offline.goto((tour.parents[1] / "runs" / "00_tour" / "scrubber.html").as_uri())
    scrub(offline)
