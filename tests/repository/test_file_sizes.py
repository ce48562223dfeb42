"""Files stay small enough to be read in one sitting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES, FUNCTION_LINES = 400, 60
FILES = sorted(p for room in ("vmlkit", "tests", "tools", "benchmarks") for p in (ROOT / room).rglob("*.py"))


MODULES = sorted((ROOT / "vmlkit").rglob("*.mjs"))


@pytest.mark.parametrize("path", FILES + MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_at_most_so_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES, f"{path.name} has {lines} lines: split it by idea"


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "vmlkit")], ids=lambda p: p.stem)
def test_a_function_is_at_most_so_long(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: lines for f in functions if (lines := code_lines(f)) > FUNCTION_LINES}
    assert not long, f"{path.name}: functions longer than {FUNCTION_LINES} lines without their docstring: {long}"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0
