"""A small static site: a page per notebook, the pages of docs/, a reference, and an index with pictures and claims.

``python -m tools.pages site`` (``make site``) executes only the notebooks whose last run is out of date.
"""

import base64
import html
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tools.pages import api
from vmlkit.experiments import notebooks as nb

_STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1.5rem; }
@media (min-width: 40rem) { ol { grid-template-columns: repeat(3, 1fr); } }
li { border: 1px solid #8886; border-radius: 6px; overflow: hidden; }
li a { text-decoration: none; color: inherit; display: block; }
li a:hover h2, li a:focus h2 { text-decoration: underline; }
img { display: block; width: 100%; height: 10rem; object-fit: contain; background: #fff; }
h2 { font-size: 1.1rem; margin: .6rem .8rem .2rem; }
li p { margin: .2rem .8rem .6rem; }
small { opacity: .75; }
"""

#: headings, pictures, badges, HTML, tables, equations, quotations and lists
_NO_PROSE = re.compile(r"#|!\[|\[!\[|<|\||\$|>|[-*+] |\d+\. ")


@dataclass(frozen=True)
class Page:
    """One entry of the index."""

    href: str  #: relative to the site
    title: str
    summary: str
    seconds: float  #: how long the notebook ran
    picture: str | None  #: relative to the site


def build_site(sources: list[Path], executed: Path, figures: Path, site: Path, docs: Path | None = None) -> Path:
    """Render the executed copies of ``sources`` into ``site`` and return its ``index.html``.

    Args:
        sources: notebooks of the repository, in the order of the index.
        executed: folder with their executed copies; a missing or outdated one is run first.
        figures: folder of pictures; a notebook's own begin with its name.
        site: written to; nothing else in it is touched.
        docs: folder of further pages in Markdown; with it comes a reference of the package.
    """
    pages = []
    for source in sources:
        copy = executed / source.name
        if not nb.is_current(copy, source):
            print(f"running {source.name}", flush=True)
            copy = nb.run_notebook(source, executed)
        nb.render_html(copy, site / f"{source.stem}.html")
        pages.append(_page(source.stem, copy, figures, site))
        print(f"rendered {site / pages[-1].href}", flush=True)
    texts = sorted({text for source in sources for text in source.parent.glob("*.md")})
    links = {"Besides": _render_texts(texts, site)}
    if docs is not None:
        links["Beside the code"] = _render_texts(sorted(docs.glob("*.md"), key=lambda p: (p.stem != "index", p)), site)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in api.pages().items():
                Path(folder, f"{name}.md").write_text(text, encoding="utf-8")
            links["Reference"] = _render_texts(sorted(Path(folder).glob("*.md")), site)
    index = site / "index.html"
    index.write_text(index_html(pages, links), encoding="utf-8")
    return index


def _render_texts(texts: list[Path], site: Path) -> dict[str, str]:
    """Write every Markdown file as a page, ``index.md`` as ``docs.html``, and return the titles by address."""
    names = {text: "docs" if text.stem == "index" else text.stem for text in texts}
    site.mkdir(parents=True, exist_ok=True)
    for picture in {picture for text in texts for picture in text.parent.glob("*.png")}:
        shutil.copy(picture, site / picture.name)
    return {f"{name}.html": render_text(text, site / f"{name}.html") for text, name in names.items()}


def index_html(pages: list[Page], links: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The index: a list of cards, readable without style sheets and in a dark theme.

    Args:
        pages: one card each.
        links: further pages by what they are: their titles by address.
    """
    more = ""
    for kind, titles in (links or {}).items():
        items = [f'<a href="{html.escape(href)}">{html.escape(title)}</a>' for href, title in titles.items()]
        more += f"<p>{html.escape(kind)}: {', '.join(items)}.</p>\n" if items else ""
    cards = "\n".join(_card(page) for page in pages)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>vmlkit notebooks</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>vmlkit notebooks</h1>\n"
        "<p>Every page was executed from top to bottom by one command, <code>make site</code>.</p>\n"
        f"{more}<ol>\n{cards}\n</ol>\n</body>\n</html>\n"
    )


def figure_of(stem: str, figures: Path) -> Path | None:
    """The picture that stands for a notebook: ``STEM.png``, or the first that begins with its name."""
    exact = figures / f"{stem}.png"
    return exact if exact.is_file() else next(iter(sorted(figures.glob(f"{stem}_*.png"))), None)


def shown_picture(notebook: Any) -> bytes | None:
    """The first picture that an executed notebook shows, as PNG; figures/ may be of another run, or empty."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    encoded = (output.get("data", {}).get("image/png") for output in outputs)
    first = next((text for text in encoded if text), None)
    return None if first is None else base64.b64decode(first)


def summary(notebook: Any) -> str:
    """The first paragraph of prose under the first heading, as plain text."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    after = re.split(r"^#.*$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", after))
    prose = next((p for p in paragraphs if p and not _NO_PROSE.match(p)), "")
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", lambda match: match.group(1) or "", prose)


def _page(stem: str, executed: Path, figures: Path, site: Path) -> Page:
    notebook = nb.read(executed)
    saved = figure_of(stem, figures)
    picture = saved.read_bytes() if saved else shown_picture(notebook)
    if picture is not None:
        (site / "figures").mkdir(exist_ok=True)
        (site / "figures" / f"{stem}.png").write_bytes(picture)
    return Page(
        href=f"{stem}.html",
        title=nb.title(notebook) or stem,
        summary=summary(notebook),
        seconds=float(notebook.metadata.papermill.duration),
        picture=f"figures/{stem}.png" if picture else None,
    )


def _card(page: Page) -> str:
    picture = f'<img src="{html.escape(page.picture)}" alt="">' if page.picture else ""
    return (
        f'<li><a href="{html.escape(page.href)}">{picture}<h2>{html.escape(page.title)}</h2>'
        f"<p>{html.escape(page.summary)}</p><p><small>ran in {page.seconds:.0f} s</small></p></a></li>"
    )


def render_text(text: Path, out: Path) -> str:
    """Write a Markdown file as a page of the site, like those of the notebooks, and return its title."""
    said = f"[All pages](index.html)\n\n{text.read_text(encoding='utf-8')}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(said)])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"{text.stem}.ipynb")
        nb.write(notebook, source)
        nb.render_html(source, out)
    return nb.title(notebook) or text.stem
