"""Who may import whom, held by reading every import statement of the package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vmlkit"

#: rooms of the package, from the ground up; a room may import itself, its own floor and the floors below
FLOORS = (
    {"errors", "config", "papers", "provenance", "files", "runs", "spans"},
    {"nn", "text"},
    {"data"},
    {"video"},
    {"metrics", "viz"},
    {"training"},
    {"reconstruction"},
    {"detr", "actions"},
    {"components"},
    {"methods", "released", "tables"},
    {"experiments"},
    {"finding", "studies"},
    {"tour", "check", "cli", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
FAMILIES = {"reconstruction", "detr", "actions", "components"}
#: what works with the eight core packages alone
CORE = set(RANK) - {"viz", "experiments", "finding", "studies", "tour", "check", "cli", "__main__"}

CORE_PACKAGES = {"torch", "numpy", "pandas", "h5py", "pyarrow", "safetensors", "jaxtyping", "tqdm"}
#: what a user of the command line alone need not have
OPTIONAL = {
    "accelerate", "anywidget", "gguf", "huggingface_hub", "imageio_ffmpeg", "IPython", "ipykernel", "ipywidgets",
    "jupyter_client", "jupyter_core", "jupyterlab", "jupytext", "lemminflect", "matplotlib", "nbclient", "nbconvert",
    "nbformat", "nltk", "openai", "papermill", "PIL", "playwright", "pydantic", "pytest", "scipy", "seaborn",
    "submitit", "textblob", "timm", "torchcodec", "traitlets", "transformers", "yaml",
}  # fmt: skip
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, top: bool = True) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, whether it runs when the module is imported) of every import below ``tree``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno, top) for alias in node.names)
        else:
            yield from imports(node, top and not deferred(node))


def deferred(node: ast.AST) -> bool:
    """Whether what is inside does not run on import: functions, and imports for type checkers."""
    for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    return for_types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def rooms_imported(path: Path) -> set[tuple[str, int]]:
    names = ((name.split("."), line) for name, line, _ in imports(parsed(path)))
    return {(parts[1], line) for parts, line in names if parts[0] == "vmlkit" and len(parts) > 1 and parts[1] in RANK}


def test_every_room_has_its_place() -> None:
    rooms = {room(path) for path in SOURCES} - {"__init__"}
    assert rooms, "no source was found"
    assert rooms <= set(RANK), f"give these a floor in FLOORS: {sorted(rooms - set(RANK))}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_downwards(path: Path) -> None:
    own = RANK.get(room(path), -1)
    upward = [f"line {line}: vmlkit.{other}" for other, line in rooms_imported(path) if RANK[other] > own]
    assert not upward, f"{module_name(path)} imports from a floor above its own: {upward}"


def test_viz_reaches_neither_a_family_nor_training() -> None:
    reach: dict[str, set[str]] = {}
    for path in SOURCES:
        reach.setdefault(room(path), set()).update(other for other, _ in rooms_imported(path))
    seen, todo = set(), ["viz"]
    while todo:
        for other in reach.get(todo.pop(), set()) - seen:
            seen.add(other)
            todo.append(other)
    assert not seen & {*FAMILIES, "training", "methods", "experiments"}, f"viz reaches {sorted(seen)}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Imports inside functions and for type checkers count: a circle that they hide is one all the same."""
    modules = {module_name(path) for path in SOURCES}
    graph = {}
    for path in SOURCES:
        names = {name for name, _, _ in imports(parsed(path))}
        direct = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module_name(path)] = direct & modules - {module_name(path), "vmlkit"}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a circle of imports: {' -> '.join((*trail, module))}"
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    assert done == modules


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p) in CORE], ids=module_name)
def test_core_needs_only_its_eight_packages(path: Path) -> None:
    allowed = CORE_PACKAGES | sys.stdlib_module_names | {"vmlkit"}
    wrong = [
        f"line {line}: {name}"
        for name, line, top in imports(parsed(path))
        if name.split(".")[0] not in (allowed if top else allowed | OPTIONAL)
    ]
    assert not wrong, f"{module_name(path)}: {wrong}; import optional packages inside the function that needs them"


BLOCKED_IMPORT = """
import importlib, importlib.abc, pkgutil, sys
blocked, rooms = {blocked!r}, {rooms!r}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

sys.meta_path.insert(0, Block())
import vmlkit
for info in pkgutil.walk_packages(vmlkit.__path__, "vmlkit."):
    if info.name.split(".")[1] in rooms and not info.name.endswith("__main__"):
        importlib.import_module(info.name)
        print(info.name)
"""


def test_core_and_command_line_import_without_jupyter_and_matplotlib() -> None:
    code = BLOCKED_IMPORT.format(
        blocked=OPTIONAL, rooms=CORE | {"experiments", "finding", "studies", "cli", "tour", "check"}
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1500:]
    imported = set(done.stdout.split())
    assert {"vmlkit.spans", "vmlkit.config", "vmlkit.data.batches", "vmlkit.training.method"} <= imported


def test_importing_the_package_is_light() -> None:
    code = "import sys, vmlkit; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
