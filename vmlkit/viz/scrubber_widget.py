"""The scrubber as an anywidget; its behaviour is in ``scrubber.mjs``, the same file that exported pages carry."""

import os
from pathlib import Path
from typing import Any

from vmlkit.errors import MissingDependency

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise MissingDependency("anywidget", "notebooks", "the epoch scrubber") from error

from vmlkit.viz.page import read_asset, write_page
from vmlkit.viz.scrubber import AnyRun, ScrubberSource


class EpochScrubber(anywidget.AnyWidget):
    """Drag through the epochs of a recorded run.

    The history is sent to the browser once; only ``epoch``, ``query`` and ``selected`` travel afterwards, both ways.

    Args:
        run: a run directory or its path.
        query: the query to open with; the most instructive one unless given.
        epoch: the epoch to open with; -1 is the last.
        max_bytes: bound on the embedded data; the widget says what it leaves out.

    Raises:
        DataError: when the run has no recorded proposals, or the query is not embedded.
    """

    _esm = read_asset("scrubber.mjs")
    _css = read_asset("scrubber.css")

    data = traitlets.Bytes(help="the packed history, sent once").tag(sync=True)
    meta = traitlets.Dict(help="what is where in data; see vmlkit.viz.packing").tag(sync=True)
    epoch = traitlets.Int(0, help="the epoch shown").tag(sync=True)
    query = traitlets.Unicode("", help="the id of the query shown").tag(sync=True)
    selected = traitlets.Int(-1, help="a proposal, positives before negatives; -1: none").tag(sync=True)

    def __init__(
        self, run: AnyRun, *, query: object | None = None, epoch: int = 0, max_bytes: int = 1_500_000, **arguments: Any
    ) -> None:
        self.source = ScrubberSource(run, max_bytes)
        packed = self.source.packed
        start = {"epoch": self.source.nearest_epoch(epoch), "query": self.source.query_id(query)}
        super().__init__(data=packed.data, meta=packed.meta, **start, **arguments)

    @traitlets.validate("epoch")
    def _embedded_epoch(self, proposal: Any) -> int:
        return self.source.nearest_epoch(proposal["value"])

    @traitlets.validate("query")
    def _embedded_query(self, proposal: Any) -> str:
        return self.source.query_id(proposal["value"])

    @traitlets.validate("selected")
    def _existing_proposal(self, proposal: Any) -> int:
        return proposal["value"] if 0 <= proposal["value"] < sum(self.source.packed.meta["counts"].values()) else -1

    def __repr__(self) -> str:
        return self.source.summary()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The live widget, an HTML twin for pages without a kernel, and a line of text."""
        bundle = super()._repr_mimebundle_()
        if bundle is None:
            return None
        data, metadata = bundle
        twin = self.source.fragment(self.epoch, self.query, self.selected)
        return {**data, "text/html": twin, "text/plain": repr(self)}, metadata

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the scrubber as it stands as one self-contained page and return its path."""
        fragment = self.source.fragment(self.epoch, self.query, self.selected)
        return write_page(path, self.source.title(), fragment)
