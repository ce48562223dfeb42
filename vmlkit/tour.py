"""``vmlkit tour``: run ``notebooks/00_tour`` and say where its page, figures and numbers are."""

import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

import vmlkit
from vmlkit.errors import DataError
from vmlkit.experiments import notebooks as nb
from vmlkit.experiments.rendering import render_html

NAME = "00_tour"


@dataclass(frozen=True)
class Tour:
    """What a tour left behind."""

    executed: Path  #: the notebook with its outputs
    page: Path  #: the same as one HTML page
    figures: list[Path]
    metrics: list[Path]  #: ``metrics.json`` of the runs that it trained or opened
    seconds: float

    def __str__(self) -> str:
        numbers = [str(path) for path in self.metrics] or ["none: the notebook trained no run to its end"]
        figures = [str(path) for path in self.figures] or ["none: the notebook saved no figure"]
        rows = {"page": [str(self.page)], "notebook": [str(self.executed)], "figures": figures, "numbers": numbers}
        lines = [f"{'' if i else name:<9} {item}" for name, items in rows.items() for i, item in enumerate(items)]
        return "\n".join((f"The tour took {self.seconds:.0f} s.", *lines))


def find_tour(folder: Path | None = None) -> Path:
    """The tour's notebook: in ``folder``, else in ``notebooks/`` here or above, else beside the package.

    Raises:
        DataError: if it is in none of them.
    """
    if folder is not None:
        places = [Path(folder)]
    else:
        here = Path.cwd()
        places = [place / "notebooks" for place in (here, *here.parents)]
        places.append(Path(vmlkit.__file__).resolve().parents[1] / "notebooks")
    for place in places:
        if (place / f"{NAME}.ipynb").is_file():
            return place / f"{NAME}.ipynb"
    remedy = "run this inside a clone of the repository, or name the folder with --notebooks"
    raise DataError(places[0], f"there is no {NAME}.ipynb", remedy)


def run_tour(notebooks: Path | None = None, out: Path | None = None, size: str | None = None) -> Tour:
    """Execute the tour in a kernel of its own and render it.

    Args:
        notebooks: folder of the notebook; by default it is looked for.
        out: folder for the page; the executed notebook goes to ``out/executed``.  Default: ``site`` beside
            ``notebooks``, where ``make site`` finds it.
        size: ``ci``, ``demo`` or ``long``; None keeps the notebook's own.

    Raises:
        DataError: if there is no notebook.
        MissingDependency: without the ``notebooks`` extra.
        vmlkit.experiments.notebooks.NotebookFailed: if a cell raised.
    """
    source = find_tour(notebooks)
    root = source.resolve().parents[1]
    out = root / "site" if out is None else Path(out)
    started, clock = time.time(), time.perf_counter()
    with tqdm(desc=NAME, unit="cell", mininterval=0.5, bar_format="{desc}: cell {n} of {total} [{elapsed}]") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        executed = nb.run_notebook(source, out / "executed", {"size": size} if size else {}, progress=show)
    page = render_html(executed, out / f"{NAME}.html")
    return Tour(
        executed=executed,
        page=page,
        figures=sorted((root / "figures").glob(f"{NAME}*")),
        metrics=_metrics(root / "runs", started),
        seconds=time.perf_counter() - clock,
    )


def _metrics(runs: Path, since: float) -> list[Path]:
    """Numbers written since then; where the tour found finished runs of its own, those."""
    found = sorted(runs.glob("**/metrics.json"))
    recent = [path for path in found if path.stat().st_mtime >= since - 1]
    return recent or [path for path in found if "tour" in path.parent.name]
