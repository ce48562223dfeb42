"""How much a page may ask of a reader who opens nothing: pixels of its height, and rows of its tables."""

import re
from typing import Any

from vmlkit.experiments.rendering import asides

#: of the main column of the book, in a window 1280 pixels wide
HEIGHT = 12_000
ROWS = 60

_DETAILS = re.compile(r"<details.*?</details>", re.DOTALL)
_MARKDOWN_ROW = re.compile(r"^\|(?![\s|:-]*$)", re.MULTILINE)


def table_rows(notebook: Any) -> int:
    """Rows of all tables of an executed notebook, heads included, but for what stands behind a line that opens it."""
    rows = 0
    folded = {i for first, last, _ in asides(notebook) for i in range(first, last + 1)}
    for cell in (cell for i, cell in enumerate(notebook.cells) if i not in folded):
        texts = [cell.source] if cell.cell_type == "markdown" else []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += [data[kind] for kind in ("text/html", "text/markdown") if kind in data][:1]
        for text in (_DETAILS.sub("", t) for t in texts):
            rows += len(re.findall(r"<tr\b", text)) + len(_MARKDOWN_ROW.findall(text))
    return rows
