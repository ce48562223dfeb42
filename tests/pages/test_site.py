"""The book from disk, without a network: equations, search, scrubber, playgrounds, light and dark, on a phone too."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browsing import ROOT, Complaints
from tests.viz.make_run import write_run
from tools.pages.site import build_site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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
TEXT = r"""# Live

**What a page of the book has.** See the [glossary](glossary.md) and P0 Eq. (3).

## An equation

$$c = \left(\frac{e}{e_{max}}\right)^\alpha - \beta$$
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of one notebook with every live picture, executed by papermill, and of the repository's own texts."""
    folder = tmp_path_factory.mktemp("site")
    for name, epochs in (("a", 4), ("b", 3)):
        write_run(folder / "notebooks" / name, epochs=epochs, name=name, queries=3)
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell(TEXT), v4.new_code_cell(PAGE.strip()), v4.new_markdown_cell("## Pictures")]
    cells += [v4.new_code_cell(source) for source in SHOWN]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = folder / "notebooks" / "00_live.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), notebook)
    (folder / "notebooks" / "glossary.md").write_text((ROOT / "notebooks" / "glossary.md").read_text())
    return build_site([notebook], folder / "executed", ROOT / "figures", folder / "out", ROOT / "docs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_works_from_disk(index: Path, browser: Any, scheme: str) -> None:
    page = browser(offline=True, color_scheme=scheme)
    wrong = Complaints(page, "file:")
    page.goto(index.as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.click("main >> text=Live")
    page.wait_for_selector("canvas.stage[data-ready]")
    assert page.locator(".vmlkit-live").count() == page.locator("canvas[data-ready]").count() == len(SHOWN)
    assert page.locator(".vmlkit-live").first.get_attribute("data-theme") == scheme

    equation = page.locator("math[display=block]").bounding_box()
    letter = page.locator("math[display=block] mi").first.bounding_box()
    assert equation["height"] > 1.8 * letter["height"], "the fraction is not drawn as one"

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

    other = {"light": "dark", "dark": "light"}[scheme]
    page.click(".theme")
    page.wait_for_selector(f".vmlkit-scrubber[data-theme={other}]")
    page.click("main >> text=glossary")
    page.wait_for_url("**/glossary.html")
    assert page.evaluate("document.documentElement.dataset.theme") == other, "the choice was forgotten"
    assert wrong.found == []


def test_search_is_by_keyboard_and_leads_to_a_section(index: Path, browser: Any) -> None:
    page = browser(offline=True)
    wrong = Complaints(page, "file:")
    page.goto(index.as_uri())
    page.keyboard.press("/")
    page.keyboard.type("selection weight")
    page.wait_for_selector(".found a")
    assert page.locator(".found mark").count() > 0
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == page.locator(".found a").first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{focused}")
    page.keyboard.press("/")
    page.keyboard.type("zyzzyva")
    page.wait_for_selector(".found p")
    page.keyboard.press("Escape")
    assert page.locator(".found").is_hidden()
    assert wrong.found == []


def test_every_page_reads_on_a_phone_without_raw_tex(index: Path, browser: Any) -> None:
    page = browser(offline=True, viewport={"width": 390, "height": 844})
    wrong = Complaints(page, "file:")
    pages = sorted(index.parent.glob("*.html"))
    assert len(pages) > 25
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, f"{path.name} is wider than a phone"
        text = page.evaluate("document.body.innerText")
        assert "$\\" not in text, path.name
        assert not re.search(r"\\(frac|mathcal|sum|alpha|left)\b", text), path.name
    page.click(".menu")
    assert page.locator(".contents").is_visible()
    assert wrong.found == []


def test_previous_and_next_lead_through_all_pages(index: Path, browser: Any) -> None:
    page = browser(offline=True)
    page.goto(index.as_uri())
    seen = [page.url]
    while (onward := page.locator("[rel=next]")).count():
        page.goto((index.parent / onward.get_attribute("href")).as_uri())
        seen.append(page.url)
    assert {url.rpartition("/")[2] for url in seen} == {path.name for path in index.parent.glob("*.html")}
    page.click("[rel=prev]")
    page.wait_for_url(seen[-2])
