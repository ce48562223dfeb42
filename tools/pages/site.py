"""The book: a page per notebook, the pages of docs/, a reference, search and contents, all working from disk.

``python -m tools.pages site`` (``make site``) executes only the notebooks whose last run is out of date.

Why pages of our own.  mystmd (and Jupyter Book 2, which is built on it) was tried: its theme is fetched from
api.mystmd.org while building, and what it writes is an application that asks a server for its pages, so neither the
build nor the result works without a network.  Equations come from latex2mathml, cells and Markdown from nbconvert,
code colours from Pygments; here are only the frame, the contents and the search.
"""

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment
from pygments.formatters import HtmlFormatter

from tools.pages import api, chapters, home, reading
from tools.pages.chapters import Chapter
from vmlkit.experiments import notebooks as nb
from vmlkit.files import write_text
from vmlkit.papers import papers


def build_site(
    sources: Sequence[Path],
    executed: Path,
    figures: Path,
    site: Path,
    docs: Path | None = None,
    repository: str = "",
) -> Path:
    """Render the executed copies of ``sources`` into ``site`` and return its ``index.html``.

    Args:
        sources: notebooks of the repository.
        executed: folder with their executed copies; a missing or outdated one is run first.
        figures: folder of pictures; a notebook's own begin with its name.
        site: written to; nothing else in it is touched.
        docs: folder of further pages in Markdown; with it come the changes and a reference of the package.
        repository: ``OWNER/NAME`` on GitHub, for links to the source and to Colab; empty for none.
    """
    site.mkdir(parents=True, exist_ok=True)
    found = [_notebook(source, executed, figures, site) for source in sources]
    found += [_text(path, site) for path in sorted({p for s in sources for p in s.parent.glob("*.md")})]
    if docs is not None:
        found += [_text(path, site) for path in sorted(docs.glob("*.md"))]
        changes = docs.parent / "CHANGELOG.md"
        found += [_text(changes, site)] if changes.is_file() else []
        found += [chapters.from_markdown(name, text, chapters.REFERENCE) for name, text in api.pages().items()]
    return _bind(found, site, figures, repository)


def _notebook(source: Path, executed: Path, figures: Path, site: Path) -> Chapter:
    copy = executed / source.name
    if not nb.is_current(copy, source):
        print(f"running {source.name}", flush=True)
        copy = nb.run_notebook(source, executed)
    return chapters.from_notebook(source.stem, copy, figures, site)


def _text(path: Path, site: Path) -> Chapter:
    """A Markdown file as a chapter, with the pictures beside it; ``index.md`` is called ``docs``."""
    text = path.read_text(encoding="utf-8")
    for picture in (p for p in path.parent.glob("*.png") if f"({p.name})" in text):
        shutil.copy(picture, site / picture.name)
    return chapters.from_markdown("docs" if path.stem == "index" else path.stem, text)


def _bind(found: list[Chapter], site: Path, figures: Path, repository: str) -> Path:
    """Read all chapters, make the pages that depend on them, and write everything."""
    pages = {c.href for c in found} | {"index.html", "papers.html"}
    read = {chapter.name: reading.read(chapter, pages, repository) for chapter in found}
    cited: dict[str, list[Chapter]] = {}
    for chapter in found:
        for citation in read[chapter.name][1]:
            cited.setdefault(citation, []).append(chapter)
    found.append(home.papers_page(cited))
    found.append(home.first_page(chapters.arranged(found), site, figures))
    for chapter in found[-2:]:
        read[chapter.name] = reading.read(chapter, pages, repository)
    parts = chapters.arranged(found)
    ordered = [chapter for part in parts for chapter in part.pages]
    page = Environment().from_string(_asset("page.html.j2"))
    for i, chapter in enumerate(ordered):
        facts = {
            "page": chapter,
            "parts": parts,
            "headings": [] if chapter.part == chapters.REFERENCE else chapter.headings,
            "before": _before(chapter, read[chapter.name][1], repository),
            "body": chapter.body,
            "previous": ordered[i - 1] if i else None,
            "next": ordered[i + 1] if i + 1 < len(ordered) else None,
        }
        write_text(site / chapter.href, page.render(facts))
    searched = [chapter for chapter in ordered if chapter.name != "index"]  # it repeats how others begin
    reading.write_index(searched, [read[chapter.name][0] for chapter in searched], site / "search_index.js")
    write_text(site / "book.css", _asset("book.css") + _code_colours())
    write_text(site / "book.js", _asset("book.js"))
    return site / "index.html"


def _before(chapter: Chapter, cited: Sequence[str], repository: str) -> str:
    """Lines above a chapter: the papers that it uses, and where else its notebook may be opened."""
    if chapter.name == "papers":
        return ""
    keys = [key for key in papers() if any(citation.startswith(f"{key} ") for citation in cited)]
    names = [f'<a href="{papers()[key]["url"]}">{key}, {papers()[key]["short"]}</a>' for key in keys]
    said = f'<p class="papers">Papers used here: {", ".join(names)} (<a href="papers.html">all labels</a>).</p>'
    lines = [said] if names else []
    if chapter.source and repository:
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/{chapter.source}"
        source = f"https://github.com/{repository}/blob/main/{chapter.source}"
        lines.append(
            f'<p class="elsewhere">Run it: <a href="{colab}">in Colab</a> (<a href="open.html">its first cell</a>), or '
            f'see its <a href="{source}">source</a>.</p>'
        )
    return "\n".join(lines)


def _asset(name: str) -> str:
    return files("tools.pages").joinpath("book", name).read_text(encoding="utf-8")


def _code_colours() -> str:
    """Style sheets for code in both themes."""
    light, dark = (HtmlFormatter(style=style) for style in ("default", "github-dark"))
    chosen = [light.get_style_defs(".highlight"), dark.get_style_defs(':root[data-theme="dark"] .highlight')]
    return "\n".join(["", *chosen, ".highlight, .highlight pre { background: var(--panel) !important; }", ""])
