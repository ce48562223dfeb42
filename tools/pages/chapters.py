"""What the book is made of: chapters from notebooks, from Markdown and from docstrings, in parts and in order."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from vmlkit.experiments import notebooks as nb
from vmlkit.experiments.rendering import html_cells

#: parts of the book with the pages in them, by name; a page that no part names comes into the last but one
PARTS: Mapping[str, tuple[str, ...]] = {
    "Start": ("index", "open"),
    "Notebooks": (),
    "Beside the notebooks": ("glossary", "papers", "TEACHING"),
    "What we found": ("findings", "windows", "weak_2026", "elsewhere"),
    "Papers and programs": (
        *("docs", "reconstruction", "detr", "actions", "components"),
        *("tables", "tables_p0", "tables_p1", "tables_p2", "tables_p3", "tables_p4", "core"),
    ),
    "Work with it": ("find", "video", "gpu", "studies"),
    "About": ("datasheet_toy", "datasheet_planted", "jose", "CHANGELOG"),
    "Reference": (),
}
NOTEBOOKS, OTHERS, REFERENCE = "Notebooks", "About", "Reference"

#: headings, pictures, badges, HTML, tables, equations, quotations and lists
_NO_PROSE = re.compile(r"#|!\[|\[!\[|<|\||\$|>|[-*+] |\d+\. ")


@dataclass
class Chapter:
    """One page of the book."""

    name: str  #: the address without ``.html``
    title: str
    body: str  #: HTML between the head and the foot of the page
    part: str
    summary: str = ""
    seconds: float | None = None  #: how long the notebook ran
    picture: str | None = None  #: relative to the book
    source: str | None = None  #: the notebook in the repository
    headings: list[tuple[str, str]] = field(default_factory=list)  #: of the second level: (anchor, words)

    @property
    def href(self) -> str:
        """The address, relative to the book."""
        return f"{self.name}.html"


@dataclass(frozen=True)
class Part:
    """Chapters under one heading of the contents."""

    title: str
    pages: list[Chapter]
    folded: bool = False


def arranged(chapters: Iterable[Chapter]) -> list[Part]:
    """The parts that have chapters, each in the order of :data:`PARTS`; notebooks and reference by name."""
    chapters = list(chapters)
    parts = []
    for title, names in PARTS.items():
        inside = [chapter for chapter in chapters if chapter.part == title]
        inside.sort(key=lambda c: (names.index(c.name) if c.name in names else len(names), c.name))
        parts.append(Part(title, inside, folded=title == REFERENCE))
    return [part for part in parts if part.pages]


def part_of(name: str) -> str:
    """The part that names a page."""
    return next((part for part, names in PARTS.items() if name in names), OTHERS)


def from_notebook(name: str, executed: Path, figures: Path, site: Path) -> Chapter:
    """The chapter of an executed notebook; the picture that stands for it is copied into ``site``."""
    notebook = nb.read(executed)
    saved = figure_of(name, figures)
    picture = saved.read_bytes() if saved else shown_picture(notebook)
    if picture is not None:
        (site / "figures").mkdir(parents=True, exist_ok=True)
        (site / "figures" / f"{name}.png").write_bytes(picture)
    return Chapter(
        name=name,
        title=nb.title(notebook) or name,
        body=html_cells(notebook),
        part=NOTEBOOKS,
        summary=summary(notebook),
        seconds=float(notebook.metadata.papermill.duration),
        picture=f"figures/{name}.png" if picture else None,
        source=f"notebooks/{name}.ipynb",
    )


def from_markdown(name: str, text: str, part: str | None = None) -> Chapter:
    """The chapter of a text in Markdown."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    title = nb.title(notebook) or name
    return Chapter(name, title, html_cells(notebook), part or part_of(name), summary=summary(notebook))


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
