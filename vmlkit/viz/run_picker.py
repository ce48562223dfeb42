"""A menu of the recorded runs below a folder, and the scrubber of the one that is picked."""

import html
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError, MissingDependency
from vmlkit.runs import RunDirectory
from vmlkit.viz.live import module, stylesheet
from vmlkit.viz.scrubber_widget import EpochScrubber

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise MissingDependency("ipywidgets", "notebooks", "picking a run from a menu") from error

_CLOSED = "To pick another one, run the notebook: there is no kernel here."


def recorded_runs(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The runs with proposals below a folder, the newest first: where, method, seed and day, and the directory.

    What is no readable run is passed over.

    Raises:
        DataError: where there is none.
    """
    root, found = Path(folder), {}
    files = sorted(root.rglob("proposals.parquet"), key=lambda file: (-file.stat().st_mtime, str(file)))
    for file in files:
        try:
            config = RunDirectory(file.parent).config
        except DataError:
            continue
        day = datetime.fromtimestamp(file.stat().st_mtime).date().isoformat()
        name = file.parent.relative_to(root).as_posix() if file.parent != root else file.parent.name
        about = [name, str(config.get("method", "")), f"seed {config['seed']}" if "seed" in config else "", day]
        found[" · ".join(filter(None, about))] = file.parent
    if not found:
        remedy = "train one there (`vmlkit train cpl --data toy`), or name the folder in which yours lie"
        raise DataError(root, "holds no recorded run", remedy)
    return found


class RunMenu(anywidget.AnyWidget):
    """A list to choose from; that of ipywidgets loses its arrow keys to JupyterLab."""

    _esm = module("menu")
    _css = stylesheet()

    names = traitlets.List(traitlets.Unicode(), help="what can be chosen").tag(sync=True)
    chosen = traitlets.Int(0, help="the place of what is").tag(sync=True)


class RunPicker(ipywidgets.VBox):  # type: ignore[misc]
    """A menu over a scrubber, see :func:`pick_run`; :attr:`run` is the directory of the run that is shown."""

    run = traitlets.Instance(Path, help="the directory of the run that is shown")

    def __init__(
        self, folder: str | os.PathLike[str], first: str | os.PathLike[str] | None = None, **options: Any
    ) -> None:
        self._options = options
        runs = recorded_runs(folder)
        self._paths = list(runs.values())
        resolved = [path.resolve() for path in self._paths]
        wanted = resolved[0] if first is None else Path(first).resolve()
        if wanted not in resolved:
            raise DataError(wanted, f"is no recorded run below {folder}", "name one that is, or leave 'first' out")
        self.menu = RunMenu(names=list(runs), chosen=resolved.index(wanted))
        self._shown: Any = None
        super().__init__()
        self.menu.observe(self._pick, "chosen")
        self._pick()

    def _pick(self, _: Any = None) -> None:
        """Show the run of the menu; one that cannot be shown is said in its place."""
        self.run = self._paths[self.menu.chosen]
        before = self._shown
        try:
            self._shown = EpochScrubber(self.run, **self._options)
        except DataError as error:
            self._shown = ipywidgets.HTML(html.escape(str(error)))
        self.children = (self.menu, self._shown)
        if before is not None:
            before.close()

    def __repr__(self) -> str:
        return f"RunPicker: {self.menu.names[self.menu.chosen]}, of {len(self._paths)}"

    def _twin(self) -> str:
        """The menu without its function, and the scrubber as pages without a kernel show it."""
        entries = "".join(
            f"<option{' selected' if place == self.menu.chosen else ''}>{html.escape(name)}</option>"
            for place, name in enumerate(self.menu.names)
        )
        shown = self._shown
        inside = shown.value if isinstance(shown, ipywidgets.HTML) else shown._repr_mimebundle_()[0]["text/html"]
        return f'<p>run <select disabled aria-label="run">{entries}</select> {_CLOSED}</p>\n{inside}'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The live menu, a twin for pages without a kernel, and a line of text."""
        return {**super()._repr_mimebundle_(), "text/html": self._twin(), "text/plain": repr(self)}


def pick_run(
    folder: str | os.PathLike[str] = "runs", first: str | os.PathLike[str] | None = None, **options: Any
) -> RunPicker:
    """A menu of the recorded runs below ``folder``, the newest first, over the scrubber of the one that is picked.

    Args:
        folder: the runs lie in it, or in folders below.
        first: the directory of the run to open with; the newest unless given.
        options: of :func:`vmlkit.viz.scrubber.scrubber`, for every run, such as ``boxes=True``.

    Raises:
        DataError: where there is no recorded run, or ``first`` is none of them.
        MissingDependency: without ipywidgets or anywidget.
    """
    return RunPicker(folder, first, **options)
