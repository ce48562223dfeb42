"""Calls that must not occur in the package, found by reading it."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vmlkit"


def keyword(call: ast.Call, name: str) -> object:
    values = [k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)]
    return values[0] if values else None


def unpickles(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name == "torch.load":
        return keyword(call, "weights_only") is not True
    if name in {"np.load", "numpy.load"}:
        return keyword(call, "allow_pickle") is not False
    return name.split(".")[0] in {"pickle", "cPickle", "dill", "joblib", "cloudpickle"} or name.endswith("read_pickle")


def names_a_device(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "cuda" and ast.unparse(call.func) != "torch.cuda"


def runs_text(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    return name in {"eval", "exec", "os.system", "yaml.load"} or keyword(call, "shell") is True


def found(forbidden: Callable[[ast.Call], bool]) -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and forbidden(node):
                yield f"{path.relative_to(PACKAGE.parent)}:{node.lineno}: {ast.unparse(node)[:80]}"


@pytest.mark.parametrize("forbidden", [unpickles, names_a_device, runs_text])
def test_the_package_makes_no_such_call(forbidden: Callable[[ast.Call], bool]) -> None:
    assert list(found(forbidden)) == []


@pytest.mark.parametrize(
    ("forbidden", "bad", "good"),
    [
        (unpickles, "torch.load(p)", "torch.load(p, weights_only=True)"),
        (unpickles, "np.load(p)", "np.load(p, allow_pickle=False)"),
        (unpickles, "pickle.loads(b)", "json.loads(b)"),
        (names_a_device, "model.cuda()", "model.to(device)"),
        (names_a_device, "batch.frames.cuda(0)", "torch.cuda.is_available()"),
        (runs_text, "subprocess.run(c, shell=True)", "subprocess.run(c)"),
    ],
)
def test_the_rule_tells_good_from_bad(forbidden: Callable[[ast.Call], bool], bad: str, good: str) -> None:
    verdicts = [any(forbidden(n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)) for text in (bad, good)]
    assert verdicts == [True, False]
