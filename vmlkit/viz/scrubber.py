"""The epoch scrubber: drag through the epochs of a recorded run and watch every proposal move.

It reads a run directory only, so last week's run opens with no model and no GPU.  In a live notebook it is an
anywidget; the same module runs in exported notebooks and in the page that ``save_html`` writes.  Where anywidget is
not installed, :func:`scrubber` falls back to sliders of ipywidgets and a picture drawn by Python.
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.errors import DataError
from vmlkit.viz.packing import Packed, pack
from vmlkit.viz.page import html_fragment, preview_png, write_page
from vmlkit.viz.snapshots import RunLike, RunView

if TYPE_CHECKING:
    from vmlkit.viz.scrubber_plain import EpochScrubberPlain
    from vmlkit.viz.scrubber_widget import EpochScrubber

__all__ = ["EpochScrubber", "EpochScrubberPlain", "ScrubberSource", "save_html", "scrubber"]

AnyRun = RunLike | RunView | str | os.PathLike[str]


class ScrubberSource:
    """A packed run and what every form of the scrubber does with it.

    Args:
        run: a run directory or its path.
        max_bytes: bound on the embedded data; see :func:`vmlkit.viz.packing.pack`.

    Raises:
        DataError: when the run has no recorded proposals.
    """

    def __init__(self, run: AnyRun, max_bytes: int) -> None:
        self.view = RunView(run)
        self.packed: Packed = pack(self.view, max_bytes=max_bytes)
        self.epochs: list[int] = self.packed.meta["epochs"]
        self.query_ids: list[str] = [q["id"] for q in self.packed.meta["queries"]]

    def query_id(self, wanted: object | None) -> str:
        """The id as text; the first embedded query when None.

        Raises:
            DataError: for a query that is not embedded.
        """
        if wanted is None:
            return self.query_ids[0]
        if str(wanted) not in self.query_ids:
            remedy = "raise max_bytes" if str(wanted) in self.view.queries else f"choose from {self.query_ids[:8]}"
            raise DataError(self.view.name, f"query '{wanted}' is not in the scrubber", remedy)
        return str(wanted)

    def nearest_epoch(self, epoch: int) -> int:
        """The embedded epoch nearest to ``epoch``; -1 means the last."""
        return self.epochs[-1] if epoch < 0 else min(self.epochs, key=lambda e: abs(e - epoch))

    def fragment(self, epoch: int, query_id: str, selected: int = -1) -> str:
        """HTML that shows the scrubber without a kernel, opening at the given state."""
        preview = preview_png(self.view, query_id, self.epochs[-1])
        return html_fragment(self.packed, preview, {"epoch": epoch, "query": query_id, "selected": selected})

    def title(self) -> str:
        """A heading for a page: the name of the run."""
        return f"{self.view.run.config.get('name') or Path(self.view.name).name}: proposals over epochs"

    def summary(self) -> str:
        """One line of plain text."""
        return f"EpochScrubber: {len(self.query_ids)} queries, epochs {self.epochs[0]} to {self.epochs[-1]}"


def scrubber(
    run: AnyRun, *, query: object | None = None, epoch: int = 0, max_bytes: int = 1_500_000
) -> "EpochScrubber | EpochScrubberPlain":
    """The scrubber in the best form this installation can show.

    Args:
        run: a run directory or its path.
        query: the query to open with; the most instructive one unless given.
        epoch: the epoch to open with; -1 is the last.
        max_bytes: bound on the embedded data.

    Raises:
        DataError: when the run has no recorded proposals, or the query is not embedded.
        MissingDependency: when neither anywidget nor ipywidgets is installed.
    """
    if importlib.util.find_spec("anywidget") is not None:
        from vmlkit.viz.scrubber_widget import EpochScrubber

        return EpochScrubber(run, query=query, epoch=epoch, max_bytes=max_bytes)
    from vmlkit.viz.scrubber_plain import EpochScrubberPlain

    return EpochScrubberPlain(run, query=query, epoch=epoch, max_bytes=max_bytes)


def save_html(
    run: AnyRun,
    path: str | os.PathLike[str],
    *,
    query: object | None = None,
    epoch: int = 0,
    max_bytes: int = 1_500_000,
) -> Path:
    """Write the scrubber as one file that opens from disk without a network; needs neither anywidget nor Jupyter.

    Raises:
        DataError: as :func:`scrubber`.
    """
    source = ScrubberSource(run, max_bytes)
    fragment = source.fragment(source.nearest_epoch(epoch), source.query_id(query))
    return write_page(path, source.title(), fragment)


def __getattr__(name: str) -> Any:
    if name == "EpochScrubber":
        from vmlkit.viz.scrubber_widget import EpochScrubber

        return EpochScrubber
    if name == "EpochScrubberPlain":
        from vmlkit.viz.scrubber_plain import EpochScrubberPlain

        return EpochScrubberPlain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
