"""The site from disk, without a network: from the index to a page, where everything live is live."""

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browsing import ROOT, Complaints
from tools.pages.site import build_site

sys.path.insert(0, str(ROOT / "tests" / "viz"))

from tests.viz.make_run import write_run

pytestmark = pytest.mark.browser

PAGE = """
from vmlkit.viz.playgrounds import gaussian_playground, overlap_playground, schedule_playground
from vmlkit.viz.scrubber import scrubber
"""
SHOWN = (
    "scrubber('a', compare='b', query='test/0')",
    "gaussian_playground()",
    "schedule_playground()",
    "overlap_playground()",
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one notebook with every live picture, executed by papermill, and a text beside it."""
    folder = tmp_path_factory.mktemp("site")
    for name, epochs in (("a", 4), ("b", 3)):
        write_run(folder / "notebooks" / name, epochs=epochs, name=name, queries=3)
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Live\n\nSee the [glossary](glossary.md)."), v4.new_code_cell(PAGE.strip())]
    cells += [v4.new_code_cell(source) for source in SHOWN]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = folder / "notebooks" / "00_live.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), notebook)
    (folder / "notebooks" / "glossary.md").write_text("# Glossary\n\nWords.\n")
    return build_site([notebook], folder / "executed", folder / "figures", folder / "out")


def test_every_live_picture_of_a_page_works_from_disk(index: Path, browser: Any) -> None:
    page = browser(offline=True)
    wrong = Complaints(page, "file:")
    page.goto(index.as_uri())
    assert page.locator("a[href='glossary.html']").inner_text() == "Glossary"
    page.click("text=Live")
    page.wait_for_selector("canvas.stage[data-ready]")
    assert page.locator(".vmlkit-live").count() == len(SHOWN)
    assert page.locator("canvas[data-ready]").count() == len(SHOWN)

    stages = page.locator(".vmlkit-scrubber canvas.stage")
    before = stages.first.screenshot()
    page.locator(".vmlkit-scrubber input[type=range]").focus()
    page.keyboard.press("End")
    assert [stages.nth(i).get_attribute("data-epoch") for i in range(2)] == ["4", "4"]
    assert stages.first.screenshot() != before
    for name, dial in (("gaussian", "width"), ("schedule", "alpha"), ("overlap", "truth_end")):
        label = page.locator(f".vmlkit-{name} .label")
        said = label.inner_text()
        page.locator(f".vmlkit-{name} input.{dial}").focus()
        page.keyboard.press("ArrowRight")
        assert label.inner_text() != said, f"the {name} playground does not answer"

    page.click("text=glossary")
    page.wait_for_url("**/glossary.html")
    # equations are typeset by a script from elsewhere where there is a network; nothing else is asked for
    assert [w for w in wrong.found if "mathjax" not in w.lower() and "ERR_INTERNET_DISCONNECTED" not in w] == []
