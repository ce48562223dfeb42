"""No test is empty: every test function asserts, or expects an error or a warning."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))
EXPECTING = {"raises", "warns", "deprecated_call", "fail"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> dict[str, Function]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}


def called(node: ast.AST) -> set[str]:
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return {f.attr if isinstance(f, ast.Attribute) else f.id for f in calls if isinstance(f, (ast.Attribute, ast.Name))}


def always_true(test: ast.expr) -> bool:
    """``assert True``, ``assert (condition, message)``, ``assert x == x``: cannot fail."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    same = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Eq, ast.Is, ast.LtE))
    return same and ast.dump(test.left) == ast.dump(test.comparators[0]) and not called(test)


def asserts(function: Function, helpers: dict[str, Function], seen: frozenset[str] = frozenset()) -> bool:
    if any(isinstance(n, ast.Assert) and not always_true(n.test) for n in ast.walk(function)):
        return True
    names = called(function)
    if any(name in EXPECTING or name.lstrip("_").startswith(("assert", "check")) for name in names):
        return True
    return any(asserts(helpers[name], helpers, seen | {name}) for name in names & set(helpers) - seen)


def empty_tests(tree: ast.AST) -> list[str]:
    known = functions(tree)
    return [name for name, node in known.items() if name.startswith("test") and not asserts(node, known)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(TESTS)))
def test_every_test_asserts(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert empty_tests(tree) == []
    assert any(name.startswith("test") for name in functions(tree)), f"{path.name} holds no test"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assert f() == 3", []),
        ("with pytest.raises(ValueError): f()", []),
        ("np.testing.assert_allclose(f(), 3)", []),
        ("helper()", []),
        ("f()", ["test_x"]),
        ("assert True", ["test_x"]),
        ("assert (f(), 'message')", ["test_x"]),
        ("assert a == a", ["test_x"]),
    ],
)
def test_the_rule_tells_an_empty_test(body: str, expected: list[str]) -> None:
    tree = ast.parse(f"def helper():\n    assert f()\n\ndef test_x():\n    {body}\n")
    assert empty_tests(tree) == expected
