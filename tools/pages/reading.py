"""Reads the HTML of chapters: headings, citations made into links, links that lead nowhere, and text for the search."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

from tools.pages.chapters import REFERENCE, Chapter
from vmlkit.papers import papers

#: what search and citations leave alone: equations, live pictures and what scripts read
_SILENT = {"script", "style", "math", "svg", "textarea", "button", "select"}
#: what the search leaves alone besides: code cells, their numbers, and signs for links
_UNSAID = {"jp-InputArea-editor", "jp-InputPrompt", "jp-OutputPrompt", "anchor-link"}
_HEADINGS = ("h1", "h2", "h3", "h4")
#: characters of a section that the search reads
SEARCHED = 2000

Sections = list[tuple[str, str, str]]


def anchor(citation: str) -> str:
    """The place of a citation on the page of the papers.

    >>> anchor("P0 Eq. (3)")
    'P0-Eq-3'
    """
    return re.sub(r"\W+", "-", citation).strip("-")


@cache
def _known() -> re.Pattern[str]:
    every = (f"{key} {label}" for key, paper in papers().items() for label in paper["labels"])
    return re.compile("(" + "|".join(map(re.escape, sorted(every, key=len, reverse=True))) + r")(?![\w.]*\w)")


def read(chapter: Chapter, pages: set[str], repository: str = "") -> tuple[Sections, list[str]]:
    """Finish the body of a chapter in place, and return its sections and what it cites.

    Args:
        chapter: its ``body`` and ``headings`` are set.
        pages: addresses of all pages; a link to anything else beside them becomes one into the repository, or text.
        repository: ``OWNER/NAME`` on GitHub; empty where none is known.

    Returns:
        (anchor, heading, text) of every section, and all citations in their order.
    """
    soup = BeautifulSoup(chapter.body, "html.parser")
    _unique_anchors(soup)
    for link in soup.find_all("a", href=True):
        _mend(link, pages, repository)
    cited = [] if chapter.part == REFERENCE else list(_cite(soup))
    sections = list(_sections(soup, chapter.title))
    chapter.headings = [(h["id"], _words(h)) for h in soup.find_all("h2", id=True)]
    chapter.body = str(soup)
    return sections, cited


def _unique_anchors(soup: BeautifulSoup) -> None:
    seen: dict[str, int] = {}
    for heading in soup.find_all(_HEADINGS):
        name = str(heading.get("id") or _words(heading).replace(" ", "-"))
        seen[name] = seen.get(name, 0) + 1
        heading["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"
        for link in heading.find_all("a", class_="anchor-link"):
            link["href"] = f"#{heading['id']}"
            link["aria-label"] = "Link to this heading"


def _mend(link: Tag, pages: set[str], repository: str) -> None:
    address = str(link["href"])
    if address.startswith("#") or re.match(r"\w+:", address) or address.partition("#")[0] in pages:
        return
    if repository:
        inside = re.sub(r"^(\.\./)+", "", address)
        link["href"] = f"https://github.com/{repository}/blob/main/{inside}"
    else:
        link.unwrap()


def _cite(soup: BeautifulSoup) -> Iterator[str]:
    for text in soup.find_all(string=_known()):
        if type(text) is not NavigableString or any(p.name in {"a", "code", "pre", *_SILENT} for p in text.parents):
            continue
        pieces: list[Any] = []
        for i, piece in enumerate(_known().split(text)):
            if i % 2:
                key, _, label = piece.partition(" ")
                link = soup.new_tag("a", href=f"papers.html#{anchor(piece)}", title=papers()[key]["labels"][label])
                link["class"] = "cite"
                link.string = piece
                pieces.append(link)
                yield piece
            elif piece:
                pieces.append(NavigableString(piece))
        text.replace_with(*pieces)


def _said(tag: Tag) -> Iterator[Tag | str]:
    """Text of a tag in its order, and its headings as tags: what a reader reads."""
    for child in tag.children:
        if isinstance(child, Tag):
            if child.name in _HEADINGS:
                yield child
            elif child.name not in _SILENT and _UNSAID.isdisjoint(child.get_attribute_list("class")):
                yield from _said(child)
        elif type(child) is NavigableString:
            yield str(child)


def _words(heading: Tag) -> str:
    return " ".join("".join(map(str, _said(heading))).split())


def _sections(soup: BeautifulSoup, title: str) -> Iterator[tuple[str, str, str]]:
    found: list[tuple[str, str, list[str]]] = [("", title, [])]
    for piece in _said(soup):
        if isinstance(piece, Tag):
            found.append((str(piece["id"]), _words(piece), []))
        else:
            found[-1][2].append(piece)
    for place, heading, texts in found:
        text = " ".join(" ".join(texts).split())
        if place or text:
            yield place, heading, text[:SEARCHED]


def write_index(chapters: Sequence[Chapter], sections: Sequence[Sections], out: Path) -> None:
    """The index of the search as a script, which a page may load from ``file://`` where it may not load JSON."""
    pages = [{"title": c.title, "href": c.href, "weight": 0.5 if c.part == REFERENCE else 1} for c in chapters]
    entries = [[number, *section] for number, found in enumerate(sections) for section in found]
    text = json.dumps({"pages": pages, "sections": entries}, ensure_ascii=False, separators=(",", ":"))
    out.write_text(f"window.BOOK_INDEX = {text};\n", encoding="utf-8")
