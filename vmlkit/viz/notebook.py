"""What a notebook shows besides figures: code behind an equation, sentences, folded tables, numbers it must keep."""

import html
import inspect
import math
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vmlkit.errors import ConfigError, required
from vmlkit.viz.style import use_style

if TYPE_CHECKING:
    from IPython.display import Code, Markdown

#: the output of a cell that :func:`record` made
QUANTITIES = "application/vnd.vmlkit.quantities+json"


def start() -> None:
    """Prepare a notebook: the figure style, the package's own warnings as errors, the repository as working directory.

    JupyterLab starts a notebook in its own folder, ``make notebooks`` in the repository; from here on both write the
    same ``figures/`` and ``runs/``.  Call it once, in the set-up cell.
    """
    use_style()
    os.chdir(repository(Path.cwd()))
    warnings.filterwarnings("error", category=UserWarning, module=r"vmlkit(\.|$)")


def repository(folder: Path) -> Path:
    """The nearest folder at or above ``folder`` that holds ``notebooks/`` and ``pyproject.toml``; else ``folder``."""
    marks = ("notebooks", "pyproject.toml")
    return next((f for f in (folder, *folder.parents) if all((f / m).exists() for m in marks)), folder)


def show_source(item: Callable[..., Any] | type) -> "Code":
    """The source of a function or class as it runs, so that a page never shows a copy that has drifted.

    Args:
        item: a function, method or class of the package.
    """
    display = _display()
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(item)))
    # without its docstring: the text beside it says the same
    source = re.sub(r'\n[ ]*"""(?:.|\n)*?"""(?=\n)', "", source, count=1)
    cell: Code = display.Code(source, language="python")
    return cell


def record(
    *,
    exact: Mapping[str, Any] | None = None,
    band: Mapping[str, Any] | None = None,
    above: Sequence[tuple[str, str]] = (),
) -> None:
    """State headline quantities of the page, by which ``make regression`` notices that they drift.

    They are kept in the output of the cell, so every executed copy holds its own.

    Args:
        exact: numbers that no training changes, such as counts of the data and values of formulas.
        band: numbers that depend on the seed; the range over seeds is learned by ``make regression-learn``.
        above: pairs of names, the first larger than the second with every seed.

    Raises:
        ConfigError: for a value that is no finite number, or a pair that names what is not recorded here.
    """
    groups = {"exact": _numbers(exact or {}), "band": _numbers(band or {})}
    named = groups["exact"] | groups["band"]
    unknown = next((name for pair in above for name in pair if name not in named), None)
    if unknown is not None:
        raise ConfigError(f"'{unknown}' is not among the quantities that this call records: {', '.join(named)}")
    said = f"{len(named)} numbers of this page are held by `make regression`."
    content = {QUANTITIES: {**groups, "above": [list(pair) for pair in above]}, "text/plain": said}
    _display().display(content, raw=True)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: float(value) for name, value in values.items()}
    wrong = next((name for name, value in numbers.items() if not math.isfinite(value)), None)
    if wrong is not None:
        raise ConfigError(f"the recorded quantity '{wrong}' is {numbers[wrong]}: record finite numbers")
    return numbers


def fold(summary: str, *parts: "Markdown | pd.DataFrame") -> "Markdown":
    """Pages and tables behind one line that opens them, so that a page of results stays short.

    Args:
        summary: the line, which says what is inside.
        parts: what :func:`say` and this function return, or frames.
    """
    inside = [to_markdown(part) if isinstance(part, pd.DataFrame) else str(part.data) for part in parts]
    text = "\n\n".join([f"<details><summary>{html.escape(summary)}</summary>", *inside, "</details>"])
    page: Markdown = _display().Markdown(text)
    return page


def say(words: str) -> "Markdown":
    """A computed sentence as text of the page, where ``print`` would break no line."""
    page: Markdown = _display().Markdown(words)
    return page


def to_markdown(table: pd.DataFrame) -> str:
    """A frame as a Markdown table (without the extra package that pandas would ask for); a cell is never markup.

    >>> print(to_markdown(pd.DataFrame({"mIoU": ["45.1"]}, index=["CPL"])))
    |  | mIoU |
    | --- | --- |
    | CPL | 45.1 |
    """
    rows = [[index, *map(_cell, row)] for index, row in zip(table.index, table.to_numpy(), strict=True)]
    return markdown_table([table.index.name or "", *table.columns], rows)


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with a heading for each column; a cell is never markup.

    >>> print(markdown_table(["row", "what"], [["a|b", 1]]))
    | row | what |
    | --- | --- |
    | a\\|b | 1 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_plain, line)) + " |" for line in lines)


def _plain(cell: object) -> str:
    """Text on one line of a table, in which nothing begins an element or a column."""
    line = " ".join(str(cell).splitlines())
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line).replace("|", "\\|")


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _display() -> Any:
    return required("IPython.display", "notebooks", "showing results in a notebook")
