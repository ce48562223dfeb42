"""Pages of docs/ and the reference of the site: they name what exists, and link to each other."""

import importlib
import importlib.util
import re
from pathlib import Path
from textwrap import dedent

import pytest

from tools.pages import api
from tools.pages.site import build_site

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, item = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), item) or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_names_are_looked_up() -> None:
    assert exists("vmlkit.spans.iou")
    assert exists("vmlkit.actions.proposals")
    assert not exists("vmlkit.spans.nothing")
    assert not exists("vmlkit.nothing.iou")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_names_and_links_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`(vmlkit\.[\w.]+)`", text):
        assert exists(name), f"{page.name} names {name}, which does not exist"
    for path in re.findall(r"`(vmlkit/[\w/.]+)`|\]\(([\w./]+)\)", text):
        assert any((folder / "".join(path)).exists() for folder in (ROOT, page.parent)), f"{page.name}: no {path}"


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert linked == {page.stem for page in PAGES} - {"index"}
    assert "(docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_shows_signatures_tables_and_fields(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    (package / "room").mkdir(parents=True)
    (package / "room" / "file.py").write_text(
        dedent('''
        """What it is.

        ====== ======
        left   right
        ====== ======
        ``a``  first
               goes on
        ====== ======
        """

        class Settings(Base):
            """See :func:`pack.other`."""

            #: said
            #: above,
            #: twice
            alpha: float = 0.5
            beta: int | None  #: said beside

            def method(self) -> None: ...

            def _hidden(self) -> None: ...

        def function(first: dict[str, int], second: tuple[int, ...] = (1, 2), *rest: str, key: str = "a, b") -> str:
            """Return it.

            Args:
                first: one
                    thing.

            >>> 1 + 1
            2
            """
        ''')
    )
    pages = api.pages(package)
    assert list(pages) == ["api_room"]
    text = pages["api_room"]
    assert text.startswith("# vmlkit.room\n\n## pack.room.file\n\nWhat it is.")
    assert "| left | right |\n| --- | --- |\n| `a` | first goes on |" in text
    assert "class Settings(Base)" in text
    assert "See `pack.other`." in text
    assert "| <code>alpha</code> | <code>float</code> | <code>0.5</code> | said above, twice |" in text
    assert "| <code>beta</code> | <code>int &#124; None</code> |  | said beside |" in text
    assert "#### method" in text
    assert "_hidden" not in text
    assert "    second: tuple[int, ...]=(1, 2),\n    *rest: str,\n    key: str='a, b',\n) -> str" in text
    assert "**Args**\n\n- `first`: one thing." in text
    assert "```text\n>>> 1 + 1\n2\n```" in text


def test_the_reference_describes_every_public_module() -> None:
    text = "\n".join(api.pages().values())
    modules = {path.stem for path in api.PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert {name.rpartition(".")[2] for name in re.findall(r"^## vmlkit\.([\w.]+)$", text, re.M)} == modules


def test_the_site_shows_pages_and_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbconvert")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Inside\n\nSee [that](other.md).")
    (docs / "other.md").write_text("# Other\n\n![drawn](drawn.png)")
    (docs / "drawn.png").write_bytes(b"a picture")
    monkeypatch.setattr(api, "pages", lambda: {"api_nn": "# vmlkit.nn\n\nWords."})
    index = build_site([], tmp_path / "executed", tmp_path / "figures", tmp_path / "site", docs)
    links = set(re.findall(r'href="([\w.]+html)"', index.read_text(encoding="utf-8")))
    assert links == {"index.html", "papers.html", "docs.html", "other.html", "api_nn.html"}
    assert all((index.parent / link).is_file() for link in links)
    assert 'src="drawn.png"' in (index.parent / "other.html").read_text(encoding="utf-8")
    assert (index.parent / "drawn.png").read_bytes() == b"a picture"
    assert 'href="other.html"' in (index.parent / "docs.html").read_text(encoding="utf-8")
