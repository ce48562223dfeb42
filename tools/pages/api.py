"""A reference of the package as Markdown, one page a room, read from the source without importing it.

The site shows it (``make site``): every public function and class with its signature, its docstring, and for settings
the comment beside each field.
"""

import ast
import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "vmlkit"
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def pages(package: Path = PACKAGE) -> dict[str, str]:
    """The text of every page by its name: one for each folder of the package, and one for the files beside them."""
    files = sorted(path for path in package.rglob("*.py") if not path.name.startswith("__"))
    rooms: dict[str, list[Path]] = {}
    for path in files:
        parts = path.relative_to(package).parts
        rooms.setdefault(parts[0] if len(parts) > 1 else "top", []).append(path)
    title = {"top": "The package itself"}
    return {
        f"api_{room}": "\n\n".join([f"# {title.get(room, f'vmlkit.{room}')}", *(_module(p, package) for p in found)])
        for room, found in sorted(rooms.items())
    }


def _module(path: Path, package: Path) -> str:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    name = ".".join([package.name, *path.relative_to(package).with_suffix("").parts])
    parts = [f"## {name}", prose(ast.get_docstring(tree) or "")]
    for node in _public(tree):
        parts += _described(node, source.splitlines(), "###")
    return "\n\n".join(filter(None, parts))


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    return (n for n in tree.body if isinstance(n, Definition) and not n.name.startswith("_"))


def _described(node: Definition, lines: list[str], level: str) -> list[str]:
    """Heading, signature and docstring; for a class its fields and methods too."""
    parts = [f"{level} {node.name}", f"```python\n{signature(node)}\n```", prose(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        parts.append(_fields(node, lines))
        for method in _public(node):
            parts += _described(method, lines, level + "#")
    return parts


def signature(node: Definition) -> str:
    """The first line of a definition; one argument a line where it is long."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    whole = f"def {node.name}({ast.unparse(node.args)}){returns}"
    if len(whole) <= 100:
        return whole
    arguments = re.split(r", (?=\*{0,2}\w+(?::|,|$)|\*,|/)", ast.unparse(node.args))
    return "\n".join([f"def {node.name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _fields(node: ast.ClassDef, lines: list[str]) -> str:
    """The annotated fields of a class as a table, with the ``#:`` comment beside or above each."""
    rows = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            said = re.findall(r"#:? (.*)", lines[(field.end_lineno or field.lineno) - 1])
            above = field.lineno - 2
            while lines[above].lstrip().startswith("#:"):
                said, above = [lines[above].split("#:", 1)[1].strip(), *said], above - 1
            value = ast.unparse(field.value) if field.value else ""
            code = [_code(text) for text in (field.target.id, ast.unparse(field.annotation), value)]
            rows.append(f"| {' | '.join([*code, prose(' '.join(said)).replace('|', '&#124;')])} |")
    head = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) if rows else ""


def _code(text: str) -> str:
    """Code in a cell of a table, where a bar would end the cell even between backquotes."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if text else ""


def prose(docstring: str) -> str:
    """A docstring as Markdown: names in code font, tables as tables, examples as they stand, arguments as a list."""
    text = "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)))
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", re.sub(r"(?<!`)``(?!`)", "`", text))


def _table(lines: list[str]) -> str:
    """A table under rulers of ``=`` as Markdown; a line without a first cell goes on with the row above."""
    starts = [match.start() for match in re.finditer(r"=+", lines[0])]
    rows: list[list[str]] = []
    for line in lines:
        cells = [line[a:b].strip().replace("|", "\\|") for a, b in zip(starts, [*starts[1:], None], strict=True)]
        if line.startswith("="):
            rows += [["---"] * len(starts)] if len(rows) == 1 else []
        elif cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _block(block: str) -> str:
    if block.startswith("===="):
        return _table(block.splitlines())
    if block.lstrip().startswith(">>>"):
        return f"```text\n{block}\n```"
    section, _, items = block.partition("\n")
    if section in ("Args:", "Raises:", "Returns:", "Attributes:"):
        joined = re.sub(r"\n {5,}", " ", items)
        return f"**{section[:-1]}**\n\n" + re.sub(
            r"^ {4}(\*{0,2}\w+(?:, \w+)*):", r"- `\1`:", joined, flags=re.MULTILINE
        )
    return re.sub(r"^\s*# (?=PAPER)", "- ", block, flags=re.MULTILINE)
