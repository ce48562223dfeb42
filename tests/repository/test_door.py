"""Files come in by one door: no module but those of ``vmlkit/files`` opens a file to read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vmlkit"
DOOR = PACKAGE / "files"
#: functions that read a file whose name they are given
READERS = {
    "codecs.open", "gzip.open", "h5py.File", "io.open", "json.load", "np.fromfile", "np.genfromtxt", "np.load",
    "np.loadtxt", "open", "pd.read_csv", "pd.read_json", "pd.read_parquet", "pq.ParquetFile", "pq.read_table",
    "safe_open", "safetensors.safe_open", "safetensors.torch.load_file", "sqlite3.connect", "tarfile.open",
    "torch.load", "zipfile.ZipFile",
}  # fmt: skip
#: methods of ``Path`` that do
METHODS = {"read_text", "read_bytes", "open"}
#: what opens no file of somebody else, by module and text of the call: memory, and data that come with the package
ALLOWED = {
    ("actions/feature_layouts.py", "np.loadtxt"): "lines that the door has read",
    ("components/variants/completion.py", "self.open"): "a method of ours",
    ("components/variants/completion.py", "few_shot().open"): "a method of ours",
    ("data/array_files.py", "zipfile.ZipFile"): "the names in a file that the door has opened",
    ("papers.py", "files('vmlkit').joinpath('papers.json').read_text"): "comes with the package",
    ("provenance.py", "Path('/proc/cpuinfo').read_text"): "the system's",
    ("tables/priors.py", "place.read_text"): "comes with the package",
    ("tables/records.py", "place.read_text"): "comes with the package",
    ("tables/records.py", "files('vmlkit.tables').joinpath(f'{key.lower()}.json').read_text"): "comes with the package",
    ("viz/live.py", "files('vmlkit.viz').joinpath('web', name).read_text"): "comes with the package",
    ("video/toy_reader.py", "files('vmlkit.video').joinpath('toy_reader.safetensors').read_bytes"): "with the package",
}


def writes(call: ast.Call) -> bool:
    """Whether ``open`` is asked for a mode in which nothing is read."""
    places = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    modes = [node.value for node in places if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return bool(modes) and modes[0][:1] in ("w", "a", "x")


def reads(call: ast.Call) -> bool:
    """Whether a call reads a file by itself."""
    name = ast.unparse(call.func)
    if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS and name not in READERS:
        return name != "os.open" and not (
            call.func.attr == "open" and writes(ast.Call(call.func, [call, *call.args], []))
        )
    return name in READERS and not (name == "open" and writes(call))


def found() -> Iterator[tuple[str, str, int]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if DOOR in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and reads(node):
                yield path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node.lineno


def test_no_other_module_reads_a_file_by_itself() -> None:
    wrong = [f"vmlkit/{path}:{line}: {name}" for path, name, line in found() if (path, name) not in ALLOWED]
    assert wrong == [], "use vmlkit.files"


def test_every_exception_is_needed() -> None:
    assert set(ALLOWED) == {(path, name) for path, name, _ in found() if (path, name) in ALLOWED}


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("open(p)", "open(p, 'wb')"),
        ("open(p, 'r+b')", "open(p, mode='x')"),
        ("path.read_text()", "read_text(path)"),
        ("path.open('rb')", "path.open('w')"),
        ("np.load(p, allow_pickle=False)", "np.save(p, x)"),
        ("json.load(file)", "json.loads(text)"),
        ("sqlite3.connect(p)", "connect(p, create, what)"),
        ("h5py.File(p, 'r')", "open_hdf5(p)"),
    ],
)
def test_the_rule_tells_good_from_bad(bad: str, good: str) -> None:
    verdicts = [any(reads(n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)) for text in (bad, good)]
    assert verdicts == [True, False]
