"""Running the notebooks without a browser.

Papermill executes a notebook in a kernel of its own, with the repository as working directory, so that a page
means the same on every machine.  ``python -m tools.pages notebooks`` runs them all.
"""

import contextlib
import copy
import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import vmlkit
from vmlkit.errors import ConfigError, DataError, required
from vmlkit.files import atomic_path, read_bytes

#: called after each code cell with (cells done, cells in all); first with (0, cells in all)
ProgressCallback = Callable[[int, int], None]

#: CPU seconds that a notebook may take at ci size, with all processes that it starts
CPU_BUDGET_SECONDS = 90
#: a page that trains P0 in two settings: 72 s where cores are free, 99 to 141 s where others share them.  With two
#: epochs and four candidates less it took 101 s among others, and 21 sentences of 92 behaved as claimed, not 37
_LARGER_BUDGETS = {"03_dual_signed_negatives": 150}

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

#: ipykernel warns at every start that it talks over an unencrypted loopback socket
_KERNEL_PROFILE = "c.IPKernelApp.log_level = 40\n"


class NotebookFailed(RuntimeError):
    """A cell raised, or the kernel died.

    Args:
        name: of the notebook.
        error: the exception, as ``Type: message``.
        executed: the notebook as far as it came; None where the kernel died and left nothing.
        cell: index of the failing cell in ``executed``.
    """

    def __init__(self, name: str, error: str, executed: Path | None = None, cell: int | None = None) -> None:
        self.error, self.executed, self.cell = error, executed, cell
        kept = f"; the notebook as far as it came is {executed}" if executed else ""
        super().__init__(f"{name}: {'' if cell is None else f'cell {cell} raised '}{error}{kept}.")


def list_notebooks(folder: Path | None = None) -> list[Path]:
    """Every notebook of ``folder`` (default: the repository's ``notebooks/``), sorted by name.

    Raises:
        DataError: where there is no such folder, as in an installation without the repository.
    """
    folder = folder or Path(vmlkit.__file__).resolve().parents[1] / "notebooks"
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder of notebooks", "clone the repository and run from there")
    return sorted(folder.glob("*.ipynb"))


def declared_parameters(path: Path) -> dict[str, str]:
    """The names in a notebook's ``parameters`` cell and their defaults, as source text."""
    papermill = required("papermill", "notebooks", "reading the parameters of a notebook")
    return {name: entry["default"] for name, entry in papermill.inspect_notebook(str(path)).items()}


def run_notebook(
    path: Path,
    out_dir: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    progress: ProgressCallback | None = None,
    keep_going: bool = False,
) -> Path:
    """Execute a notebook and return the executed copy, ``out_dir/NAME.ipynb``.

    The copy says in its metadata (``vmlkit.cpu_seconds``) what its kernel and all processes below it took of the CPU;
    other children of this process that end meanwhile are counted with them.

    Args:
        path: the notebook; it is not changed.
        out_dir: made where needed.
        parameters: values for names that the ``parameters`` cell defines; without any, its defaults run.
        progress: called from this thread as code cells finish.
        keep_going: run the cells after a failing one too.

    Raises:
        ConfigError: for a parameter that the notebook does not define (papermill would only warn, and run the
            defaults).
        NotebookFailed: when a cell raised; the executed copy is kept, with the error in it.
    """
    papermill = required("papermill", "notebooks", "running a notebook")
    from nbclient.exceptions import DeadKernelError  # a dependency of papermill

    path, out_dir, parameters = Path(path).resolve(), Path(out_dir).resolve(), dict(parameters or {})
    _refuse_unknown(path, parameters)
    out_dir.mkdir(parents=True, exist_ok=True)
    executed = out_dir / path.name
    executed.unlink(missing_ok=True)
    cells = sum(_is_code(cell) for cell in read(path).cells) + bool(parameters)
    before = _cpu_of_children()
    try:
        with _quiet_kernels():
            notebook = papermill.execute_notebook(
                str(path),
                str(executed),
                parameters,
                kernel_name="python3",
                language="python",
                cwd=str(_working_directory(path)),
                progress_bar=False,
                # saving after every cell costs 25 ms each; a failing notebook is saved all the same
                autosave_cell_every=0,
                request_save_on_cell_execute=False,
                allow_errors=keep_going,
                **_hooks(progress, cells),
            )
    except papermill.PapermillExecutionError as error:
        cell, text = _first_failure(executed)
        raise NotebookFailed(path.name, text, executed, cell) from error
    except DeadKernelError as error:
        raise NotebookFailed(path.name, "the kernel died, most often for want of memory") from error
    after = _cpu_of_children()
    taken = None if before is None or after is None else round(after - before, 1)
    notebook.metadata["vmlkit"] = {"fingerprint": fingerprint(path), "cpu_seconds": taken}
    write(notebook, executed)
    return executed


def fingerprint(path: Path) -> str:
    """Changes with the notebook and with every source file of the package (not with parameters)."""
    digest = hashlib.sha256(read_bytes(path))
    package = Path(vmlkit.__file__).parent
    for source in sorted(p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        digest.update(source.relative_to(package).as_posix().encode() + read_bytes(source))
    return digest.hexdigest()[:16]


def is_current(executed: Path, path: Path) -> bool:
    """Whether ``executed`` is a complete run, at any size, of the notebook at ``path`` as the sources stand now."""
    return executed.is_file() and read(executed).metadata.get("vmlkit", {}).get("fingerprint") == fingerprint(path)


def failing_cells(cells: list[Any]) -> list[int]:
    """Indices of the cells of an executed notebook that ended in an error."""
    return [i for i, cell in enumerate(cells) if any(o.output_type == "error" for o in cell.get("outputs", []))]


def strip_widgets(notebook: Any) -> Any:
    """A copy in which an output that a page cannot show (a live widget) gives way to its other forms.

    With the saved state left in, exported pages wait for scripts from elsewhere, and code hosts refuse to show
    the notebook at all.
    """
    stripped = copy.deepcopy(notebook)
    stripped.metadata.pop("widgets", None)
    for cell in stripped.cells:
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop(WIDGET_VIEW, None) is not None and not output.data:
                output.data["text/plain"] = "A live widget: run the notebook to see it."
    return stripped


def title(notebook: Any) -> str | None:
    """The text of the first heading, without marks of emphasis."""
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((re.sub(r"[*`]", "", line.lstrip("#")).strip() for line in lines if line.startswith("#")), None)


def read(path: Path) -> Any:
    """A notebook file as an nbformat node."""
    nbformat = required("nbformat", "notebooks", "reading a notebook")
    return nbformat.read(path, as_version=4)


def write(notebook: Any, path: Path) -> None:
    """Write an nbformat node; the file appears whole or not at all."""
    nbformat = required("nbformat", "notebooks", "writing a notebook")
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


def cpu_seconds(executed: Path) -> float | None:
    """CPU seconds of the run that left an executed notebook; None where the system does not count them (Windows)."""
    taken = read(executed).metadata.get("vmlkit", {}).get("cpu_seconds")
    return None if taken is None else float(taken)


def cpu_budget(name: str) -> int:
    """CPU seconds that the notebook of this name may take at ci size."""
    return _LARGER_BUDGETS.get(name, CPU_BUDGET_SECONDS)


def _cpu_of_children() -> float | None:
    """CPU seconds of all processes below this one that have ended; None on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return None
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _is_code(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _refuse_unknown(path: Path, parameters: dict[str, Any]) -> None:
    known = declared_parameters(path) if parameters else {}
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(known) or 'none'}"
            raise ConfigError(f"{path.name} has no parameter '{name}'; {hint}")


def _working_directory(path: Path) -> Path:
    """The repository that holds the notebook; a notebook outside any runs in its own folder."""
    return next((folder for folder in path.parents if (folder / "pyproject.toml").is_file()), path.parent)


def _hooks(progress: ProgressCallback | None, total: int) -> dict[str, Callable[..., None]]:
    if progress is None:
        return {}
    done = 0
    progress(0, total)

    def completed(cell: Any, cell_index: int) -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return {"on_cell_complete": completed}


def _first_failure(executed: Path) -> tuple[int, str]:
    """Index and error of the first failing cell; papermill has added its own two cells by now."""
    cells = read(executed).cells
    index = failing_cells(cells)[0]
    output = next(output for output in cells[index].outputs if output.output_type == "error")
    return index, f"{output.ename}: {output.evalue}"


@contextlib.contextmanager
def _quiet_kernels() -> Iterator[None]:
    """Start kernels with a profile of ours: no start-up files of the user, no warnings about sockets or debuggers."""
    with tempfile.TemporaryDirectory(prefix="vmlkit-ipython-") as folder:
        profile = Path(folder, "profile_default")
        profile.mkdir()
        (profile / "ipython_kernel_config.py").write_text(_KERNEL_PROFILE)
        wanted = {"IPYTHONDIR": folder, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
