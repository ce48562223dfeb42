"""The two pages that no file holds: the first one, and the papers with every equation and where the book uses it."""

import html
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.pages import readme
from tools.pages.chapters import Chapter, Part, from_markdown
from tools.pages.reading import anchor
from vmlkit.papers import papers

_LEAD = """\
# Watch a model learn when a sentence happens

<p class="lead">Given a video and a sentence, when does the sentence happen? The models of this book learn to answer
that <em>without ever being shown a start or an end</em>. From the equations of five papers to trained models whose
windows you scrub through, epoch by epoch, with every number beside honest baselines. Everything works from this folder,
without a network.</p>
"""

_RUN = """\
## Run it yourself

```
make tour    # trains a model on the toy world and renders what it learned into one page
make lab     # opens the notebooks in JupyterLab, the tour first
```

From a bare clone, with Python 3.11 or newer and nothing else installed; no data is downloaded and no GPU is needed.
"""


def first_page(parts: Sequence[Part], site: Path, figures: Path) -> Chapter:
    """The page that a visitor sees first: the question, the film, two ways in, and what there is."""
    text = _LEAD + _ways_in({page.name: page for part in parts for page in part.pages})
    film = figures / "scrubber.gif"
    if film.is_file() and (readme.RESULTS / readme.FILM).is_file():
        (site / "figures").mkdir(parents=True, exist_ok=True)
        shutil.copy(film, site / "figures" / film.name)
        text += f"\n\n{readme.film()}\n\n"
    chapter = from_markdown("index", text + _RUN)
    chapter.title = "First page"
    for part in parts:
        chapter.body += f"\n<h2>{html.escape(part.title)}</h2>\n"
        if part.folded:
            names = [f'<a href="{page.href}">{html.escape(page.title)}</a>' for page in part.pages]
            chapter.body += f"<p>{', '.join(names)}</p>\n"
        else:
            cards = "\n".join(map(_card, part.pages))
            chapter.body += f'<ul class="cards">\n{cards}\n</ul>\n'
    return chapter


def _ways_in(pages: Mapping[str, Chapter]) -> str:
    ways = {"00_tour": "Start with the tour", "findings": "What we found", "glossary": "Words and symbols"}
    links = [f'<a href="{pages[name].href}">{words}</a>' for name, words in ways.items() if name in pages]
    return f'\n<p class="go">{"".join(links)}</p>\n' if links else ""


def _card(page: Chapter) -> str:
    picture = f'<img src="{html.escape(page.picture)}" alt="">' if page.picture else ""
    ran = "" if page.seconds is None else f"<p><small>ran in {page.seconds:.0f} s</small></p>"
    return (
        f'<li><a href="{html.escape(page.href)}">{picture}<h3>{html.escape(page.title)}</h3>'
        f"<p>{html.escape(_shortened(page.summary))}</p>{ran}</a></li>"
    )


def _shortened(text: str, room: int = 180) -> str:
    """The text, or as many words of it as there is room for."""
    return text if len(text) <= room else text[:room].rsplit(" ", 1)[0] + " ..."


def papers_page(cited: Mapping[str, Sequence[Chapter]]) -> Chapter:
    """Every paper with its public page, and its equations, tables, figures and sections with the chapters citing them.

    Args:
        cited: chapters by citation, such as ``P0 Eq. (3)``.
    """
    parts = ["# The papers, label by label\n\nThe five papers, where to read them, and which pages use what of them."]
    for key, paper in papers().items():
        where = f"{paper['venue']} {paper['year']}"
        parts.append(
            f'## <span id="{key}">{key}, {html.escape(paper["short"])}</span>\n\n*{html.escape(paper["title"])}*, '
            f"{html.escape(where)}. [{html.escape(paper['at'])}]({paper['url']})."
        )
        rows = ["| label | what it is | used on |", "| --- | --- | --- |"]
        for label, about in paper["labels"].items():
            chapters = {c.href: c.title for c in cited.get(f"{key} {label}", ())}
            used = ", ".join(f"[{title}]({href})" for href, title in chapters.items())
            place = f'<span id="{anchor(f"{key} {label}")}">{html.escape(label)}</span>'
            rows.append(f"| {place} | {html.escape(about)} | {used} |")
        parts.append("\n".join(rows))
    return from_markdown("papers", "\n\n".join(parts))
