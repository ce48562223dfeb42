"""The epoch scrubber: drag through the epochs of a recorded run and watch every proposal move.

It reads run directories only, so last week's run opens with no model and no GPU.  In a live notebook it is an
anywidget; the same module runs in exported notebooks, in the page that ``save_html`` writes, and, where anywidget is
not installed, in the :class:`ScrubberPage` that :func:`scrubber` then returns.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.viz.scrubber_source import MAX_BYTES, ScrubberSource
from vmlkit.viz.snapshots import AnyRun

if TYPE_CHECKING:
    from vmlkit.viz.scrubber_widget import EpochScrubber


class ScrubberPage:
    """The scrubber without anywidget: it moves in the browser, and only Python does not see where it stands."""

    def __init__(self, source: ScrubberSource, epoch: int, query: str, **drawn: bool) -> None:
        self.source, self.epoch, self.query, self.drawn = source, epoch, query, drawn

    def __repr__(self) -> str:
        return self.source.summary()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.source.fragment(self.epoch, self.query, drawn=self.drawn), "text/plain": repr(self)}

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the scrubber as one self-contained page and return its path."""
        return self.source.save(path, self.source.fragment(self.epoch, self.query, drawn=self.drawn))


def scrubber(
    run: AnyRun,
    *,
    compare: AnyRun | None = None,
    names: Sequence[str] | None = None,
    films: Mapping[str, str | os.PathLike[str]] | None = None,
    query: object | None = None,
    epoch: int = 0,
    trail: bool = False,
    boxes: bool = False,
    max_bytes: int = MAX_BYTES,
) -> "EpochScrubber | ScrubberPage":
    """The scrubber in the best form this installation can show.

    Args:
        run: a run directory or its path.
        compare: a second run to show beside the first, at the same share of its training.
        names: what to call the two runs; as they call themselves unless given.
        films: files of video by the id of their video, which play beside the proposals (12 MB together).
        query: the query to open with; the most instructive one unless given.
        epoch: the epoch to open with; -1 is the last.
        trail: open with the windows of the epochs before drawn faintly; there is a box to tick for it.
        boxes: open with the best predictions as boxes below the ground truth, with their confidence (of reconstruction
            their NLL) and IoU; there is a box to tick for it.
        max_bytes: bound on the embedded data.

    Raises:
        DataError: when a run has no recorded proposals, or the query was not recorded.
    """
    if importlib.util.find_spec("anywidget") is not None:
        from vmlkit.viz.scrubber_widget import EpochScrubber

        given: dict[str, Any] = {"compare": compare, "names": names, "films": films, "query": query, "epoch": epoch}
        return EpochScrubber(run, **given, trail=trail, boxes=boxes, max_bytes=max_bytes)
    source = ScrubberSource(run, max_bytes, compare=compare, query=query, names=names, films=films)
    return ScrubberPage(source, source.nearest_epoch(epoch), source.query_id(query), trail=trail, boxes=boxes)


def save_html(
    run: AnyRun,
    path: str | os.PathLike[str],
    *,
    compare: AnyRun | None = None,
    names: Sequence[str] | None = None,
    films: Mapping[str, str | os.PathLike[str]] | None = None,
    query: object | None = None,
    epoch: int = 0,
    trail: bool = False,
    boxes: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Write the scrubber as one file that opens from disk without a network; needs neither anywidget nor Jupyter.

    Arguments are those of :func:`scrubber`.

    Raises:
        DataError: as :func:`scrubber`.
    """
    source = ScrubberSource(run, max_bytes, compare=compare, query=query, names=names, films=films)
    shown = source.fragment(source.nearest_epoch(epoch), source.query_id(query), drawn={"trail": trail, "boxes": boxes})
    return source.save(path, shown)
