"""Executed notebooks as HTML: equations as MathML, live pictures without a kernel, folded cells as ``<details>``.

Nothing on such a page is fetched: equations are translated when the page is written (latex2mathml), and browsers draw
MathML by themselves.
"""

import html
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError, required
from vmlkit.experiments.notebooks import read, strip_widgets, title
from vmlkit.files import write_text
from vmlkit.viz.live import read_asset

TEMPLATE = "notebook.html.j2"
#: what the template extends: a whole page with JupyterLab's style sheet, or the cells alone
WHOLE_PAGE, CELLS = "lab/index.html.j2", "lab/base.html.j2"

#: a function without brackets, whose name browsers draw without room before its argument
_FUNCTION = re.compile(r"(<m([io])>[a-z]{2,}</m\2>)(?=<m(?:[inr]|sub|sup|sqrt|frac))")
#: latex2mathml takes these two words for one that it does not know
_ARGUMENT = re.compile(r"\\arg\s*\\(?=(?:min|max)(?![A-Za-z]))")


@cache
def mathml(tex: str, *, block: bool = False) -> str:
    r"""An equation as one ``<math>`` element, its TeX kept as ``alttext`` for copying and for screen readers.

    >>> mathml("x^2").partition("<mrow>")[2]
    '<msup><mi>x</mi><mn>2</mn></msup></mrow></math>'

    Args:
        tex: without dollars.
        block: an equation on a line of its own.

    Returns:
        The element; for what the translator cannot read, the TeX itself in ``<code class="tex">``.

    Raises:
        MissingDependency: without the ``notebooks`` extra.
    """
    converter = required("latex2mathml.converter", "notebooks", "writing equations on a page")
    words = _ARGUMENT.sub(r"\\operatorname{arg}\\,\\", tex)
    try:
        element = str(converter.convert(words, display="block" if block else "inline"))
    except Exception:  # its errors for TeX that it does not know share no class
        element = "\\"
    if "\\" in re.sub("<[^>]*>", "", element):
        return f'<code class="tex">{html.escape(tex)}</code>'
    element = _FUNCTION.sub(r'\1<mspace width="0.17em"></mspace>', element)
    # HTML knows the element without its namespace, and a heading that is read as XML would spell it out
    named = f'<math alttext="{html.escape(" ".join(tex.split()))}"'
    return element.replace('<math xmlns="http://www.w3.org/1998/Math/MathML"', named, 1)


def render_html(executed: Path, out: Path) -> Path:
    """Write an executed notebook as one HTML page, with everything inside it, and return ``out``.

    Raises:
        MissingDependency: without the ``notebooks`` extra.
    """
    notebook = read(executed)
    write_text(out, _export(notebook, WHOLE_PAGE, title(notebook) or executed.stem))
    return out


def html_cells(notebook: Any) -> str:
    """The cells of a notebook (nbformat node) as HTML without a page or a style sheet around them."""
    return _export(notebook, CELLS, title(notebook) or "")


def asides(notebook: Any) -> list[tuple[int, int, str]]:
    """(first cell, last cell, heading) of the sections that a page shows behind a line which opens them.

    Such a section begins with a Markdown cell that is tagged ``aside`` and starts with a heading; it ends before the
    next cell that starts with a heading of this level or a higher one, and may hold asides of a lower level.

    Raises:
        DataError: for a tagged cell that does not start with a heading.
    """
    found, cells = [], notebook.cells
    for first, cell in enumerate(cells):
        if "aside" not in cell.metadata.get("tags", []):
            continue
        level = _heading(cell)
        if level is None:
            raise DataError(cell.source[:40], "is tagged 'aside' and is no heading", "begin the cell with one")
        ends = (i for i in range(first + 1, len(cells)) if (_heading(cells[i]) or 9) <= level)
        last = next(ends, len(cells)) - 1
        found.append((first, last, cell.source.splitlines()[0].lstrip("# ")))
    return found


def _heading(cell: Any) -> int | None:
    """The level of the heading with which a Markdown cell starts."""
    marks = re.match(r"#+(?= )", cell.source) if cell.cell_type == "markdown" else None
    return len(marks.group()) if marks else None


def _export(notebook: Any, base: str, name: str) -> str:
    exporter = _exporter()
    notebook = strip_widgets(notebook)
    for first, last, heading in asides(notebook):
        # a line that begins with "2." would be an item of a list
        notebook.cells[first].metadata["opens"] = re.sub(r"^(\d+)\.", r"\1\.", heading)
        notebook.cells[last].metadata["closes"] = notebook.cells[last].metadata.get("closes", 0) + 1
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}, "base_template": base})
    # pages of the site lie side by side and link to each other
    return re.sub(
        r'href="(?:(?:\.\./)?(?:docs|notebooks)/)?(\w+)\.(?:md|ipynb)(#[^"]*)?"', r'href="\1.html\2"', str(page)
    )


@cache
def _exporter() -> Any:
    """nbconvert's HTML exporter with our template, and equations that need no script."""
    nbconvert = required("nbconvert", "notebooks", "rendering a notebook")
    from jinja2 import DictLoader, pass_context  # a dependency of nbconvert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    logging.getLogger("traitlets").setLevel(logging.ERROR)  # alternative texts are in the captions

    class Equations(IPythonRenderer):  # type: ignore[misc,unused-ignore]  # nbconvert states no types
        def block_math(self, body: str) -> str:
            return mathml(body, block=True)

        def inline_math(self, body: str) -> str:
            return mathml(body)

        def latex_environment(self, name: str, body: str) -> str:
            return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    @pass_context
    def markdown(context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return str(MarkdownWithMath(renderer=Equations(escape=False, attachments=attachments)).render(source))

    loader = DictLoader({TEMPLATE: read_asset(TEMPLATE)})
    exporter = nbconvert.HTMLExporter(extra_loaders=[loader], template_file=TEMPLATE)
    exporter.register_filter("markdown2html", markdown)
    return exporter
