"""The book without a browser: equations, citations, links, contents and the index of the search."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from tests.browsing import ROOT
from tools.pages import home, reading
from tools.pages.chapters import PARTS, REFERENCE, Chapter, arranged, figure_of, from_markdown
from tools.pages.site import build_site
from vmlkit.experiments.notebooks import list_notebooks, read
from vmlkit.experiments.rendering import html_cells, mathml
from vmlkit.papers import papers

v4 = nbformat.v4


def chapter(name: str, text: str, part: str = "Notebooks") -> Chapter:
    return from_markdown(name, text, part)


def test_equations_are_mathml_with_their_tex_as_alternative_text() -> None:
    cell = v4.new_markdown_cell("# T\n\n$a_i<b$ and\n\n$$\\frac{1}{2}$$\n\n| a |\n| --- |\n| $|x|$ |\n")
    page = html_cells(v4.new_notebook(cells=[cell]))
    assert 'alttext="a_i&lt;b"' in page
    assert "<mfrac>" in page
    assert page.count("<math ") == page.count("</math>") == 3
    assert 'display="block"' in page
    assert "$" not in re.sub("<[^>]+>", "", page)


@pytest.mark.parametrize("tex", [r"k^* = \arg\min_k a_k", r"\operatorname{arg}\,\max_k a_k"])
def test_the_least_argument_is_two_words(tex: str) -> None:
    assert re.search(r"<mo>arg</mo>.*<mo>m(in|ax)</mo>", mathml(tex))


def test_a_function_stands_apart_from_its_argument() -> None:
    assert "<mi>ln</mi><mspace" in mathml(r"\ln 2")
    assert "<mspace" not in mathml(r"\ln(2)")


def test_what_cannot_be_translated_is_shown_as_code() -> None:
    assert mathml(r"\nosuchthing{x} < 1") == r'<code class="tex">\nosuchthing{x} &lt; 1</code>'


@pytest.mark.parametrize("path", list_notebooks(ROOT / "notebooks"), ids=lambda p: p.stem)
def test_every_equation_of_a_notebook_is_translated(path: Path) -> None:
    notebook = read(path)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    page = html_cells(notebook)
    assert '<code class="tex">' not in page
    prose = re.sub(r"<(code|pre|math)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL)
    assert re.findall(r"\$[^$\n]*[\\^_{][^$\n]*\$", prose) == []


def test_citations_lead_to_the_page_of_the_papers_and_code_is_left_alone() -> None:
    page = chapter("a", f"# T\n\nAs P0 Eq. (3), P0 Table 5a and P0 Table {99} say; `P0 Eq. (3)`. [P0 Eq. (1)](b.md)\n")
    _, cited = reading.read(page, {"a.html", "b.html"})
    assert cited == ["P0 Eq. (3)", "P0 Table 5a"]
    links = re.findall(r'<a class="cite" href="([^"]+)" title="([^"]+)">([^<]+)</a>', page.body)
    assert links[0] == ("papers.html#P0-Eq-3", "dual-signed cross-entropy loss", "P0 Eq. (3)")
    assert len(links) == 2

    listed = home.papers_page({"P0 Eq. (3)": [page]})
    assert re.search(
        r'id="P0-Eq-3">Eq\. \(3\)</span></td>\s*<td>dual.*?</td>\s*<td><a href="a.html">T</a>', listed.body
    )
    for paper in papers().values():
        assert paper["url"].startswith("https://")
        assert f'href="{paper["url"]}"' in listed.body


def test_links_out_of_the_book_lead_to_the_repository_or_nowhere() -> None:
    text = "# T\n\n[b](b.md#x) [licence](../LICENSE) [out](https://example.org) [here](#T)\n"
    page = chapter("a", text)
    reading.read(page, {"a.html", "b.html"})
    assert re.findall(r'href="([^"]+)">(?!¶)', page.body) == ["b.html#x", "https://example.org", "#T"]
    assert "licence" in page.body
    page = chapter("a", text)
    reading.read(page, {"a.html", "b.html"}, "owner/name")
    assert 'href="https://github.com/owner/name/blob/main/LICENSE"' in page.body


def test_headings_have_anchors_of_their_own_and_sections_their_text() -> None:
    page = chapter("a", "# T\n\nBegin.\n\n## Again $x$\n\nOne `two`.\n\n## Again $x$\n\nThree.\n")
    sections, _ = reading.read(page, {"a.html"})
    places = [place for place, _, _ in sections]
    assert len(set(places)) == len(places) == 3
    assert [text for _, _, text in sections] == ["Begin.", "One two .", "Three."]
    assert [words for _, words in page.headings] == ["Again", "Again"]


def test_chapters_stand_in_the_order_of_the_contents() -> None:
    names = ("z_unknown", "core", "docs", "02_b", "01_a", "glossary")
    chapters = [Chapter(n, n, "", "Notebooks" if n[0] == "0" else from_markdown(n, "# T").part) for n in names]
    chapters.append(Chapter("api_b", "b", "", REFERENCE))
    parts = arranged(chapters)
    assert [[page.name for page in part.pages] for part in parts] == [
        ["01_a", "02_b"], ["glossary"], ["docs", "core"], ["z_unknown"], ["api_b"],
    ]  # fmt: skip
    assert [part.title for part in parts if part.folded] == [REFERENCE]


def test_every_page_that_the_contents_name_is_there() -> None:
    made = {"index", "papers", "docs"}
    texts = {p.stem for folder in ("docs", "notebooks", ".") for p in (ROOT / folder).glob("*.md")}
    assert {name for names in PARTS.values() for name in names} - made - texts == set()


def test_a_book_is_bound(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Docs\n\nSee [core](core.md) & ![a](a.png).\n")
    (docs / "core.md").write_text("# Core <b>\n\nP0 Eq. (3).\n\n## Deep\n\nneedle\n")
    (docs / "a.png").write_bytes(b"png")
    index = build_site([], tmp_path, tmp_path, tmp_path / "site", docs)
    site = index.parent
    text = (site / "core.html").read_text(encoding="utf-8")
    assert '<a rel="prev" href="docs.html">' in text
    assert "Papers used here" in text
    assert '<li><a href="#Deep">Deep</a></li>' in text
    assert (site / "a.png").is_file()
    script = (site / "search_index.js").read_text(encoding="utf-8")
    found = json.loads(script.removeprefix("window.BOOK_INDEX = ").rstrip(";\n"))
    number = [page["href"] for page in found["pages"]].index("core.html")
    assert [number, "Deep", "Deep", "needle"] in found["sections"]
    assert all(page["href"] != "index.html" for page in found["pages"])
    for page in site.glob("*.html"):
        for address in re.findall(r'(?:href|src)="([^"#:]+)[#"]', page.read_text(encoding="utf-8")):
            assert (site / address).is_file(), f"{page.name} links {address}"


def test_the_first_page_escapes_what_it_shows(tmp_path: Path) -> None:
    page = Chapter("a", "a < b", "", "Notebooks", summary="<script>", seconds=3.4)
    body = home.first_page(arranged([page]), tmp_path, tmp_path).body
    assert "a &lt; b" in body
    assert "<script>" not in body
    assert "<img" not in body
    assert "ran in 3 s" in body
    assert figure_of("00_a", tmp_path) is None
