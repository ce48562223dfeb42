"""The scrubber as an anywidget; its behaviour is in ``web/``, the same files that exported pages carry."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmlkit.errors import MissingDependency

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise MissingDependency("anywidget", "notebooks", "the epoch scrubber") from error

from vmlkit.viz.live import stylesheet
from vmlkit.viz.scrubber_source import MAX_BYTES, ScrubberSource, scrubber_module
from vmlkit.viz.snapshots import AnyRun


class EpochScrubber(anywidget.AnyWidget):
    """Drag through the epochs of a recorded run, or of two runs side by side at the same share of their training.

    The history is sent to the browser once; only the small values (``epoch``, ``query``, ``selected``, ``curves``,
    ``signals``, ``trail``, ``boxes``) travel afterwards, both ways.  Of two runs ``epoch`` counts that with more
    recorded epochs.

    Args:
        run: a run directory or its path.
        compare: a second run, shown beside the first at the same share of training and the same query.
        names: what to call the two runs; as they call themselves unless given.
        films: files of video by the id of their video, which play beside the proposals (12 MB together).
        query: the query to open with; the most instructive one unless given.
        epoch: the epoch to open with; -1 is the last.
        curves: columns of ``epochs.parquet`` to draw.  Unless given, those of P0 are NLL(negative) - NLL(answer) and
            c, those of other runs one loss, one metric and the schedule.
        signals: per-clip signals to draw over the video; the first recorded one unless given.
        trail: whether the windows of the epochs before are drawn faintly.
        boxes: whether the best predictions are drawn as boxes below the ground truth.
        max_bytes: bound on the embedded data; the widget says what it leaves out.

    Raises:
        DataError: when a run has no recorded proposals, the two have no query in common, or a name is unknown.
    """

    _esm = scrubber_module()
    _css = stylesheet()

    data = traitlets.Bytes(help="the packed history, sent once").tag(sync=True)
    meta = traitlets.Dict(help="what is where in data; see vmlkit.viz.packing").tag(sync=True)
    epoch = traitlets.Int(0, help="the epoch shown").tag(sync=True)
    query = traitlets.Unicode("", help="the id of the query shown").tag(sync=True)
    selected = traitlets.Int(-1, help="a proposal, positives before negatives; -1: none").tag(sync=True)
    curves = traitlets.List(traitlets.Unicode(), help="names of the curves over epochs").tag(sync=True)
    signals = traitlets.List(traitlets.Unicode(), help="names of the signals over the video").tag(sync=True)
    trail = traitlets.Bool(False, help="draw the epochs before faintly").tag(sync=True)
    boxes = traitlets.Bool(False, help="draw the best predictions as boxes").tag(sync=True)

    def __init__(
        self,
        run: AnyRun,
        *,
        compare: AnyRun | None = None,
        names: Sequence[str] | None = None,
        films: Mapping[str, str | os.PathLike[str]] | None = None,
        query: object | None = None,
        epoch: int = 0,
        curves: Sequence[str] | None = None,
        signals: Sequence[str] | None = None,
        trail: bool = False,
        boxes: bool = False,
        max_bytes: int = MAX_BYTES,
        **arguments: Any,
    ) -> None:
        self.source = ScrubberSource(run, max_bytes, compare=compare, query=query, names=names, films=films)
        packed = self.source.packed
        start = {
            "epoch": self.source.nearest_epoch(epoch),
            "query": self.source.query_id(query),
            "curves": self.source.known("curves", curves),
            "signals": self.source.known("signals", signals),
            "trail": trail,
            "boxes": boxes,
        }
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

    @traitlets.validate("curves", "signals")
    def _known_names(self, proposal: Any) -> list[str]:
        return self.source.known(proposal["trait"].name, proposal["value"])

    def __repr__(self) -> str:
        return self.source.summary()

    def _twin(self) -> str:
        drawn = {"trail": self.trail, "boxes": self.boxes}
        return self.source.fragment(self.epoch, self.query, self.selected, self.curves, self.signals, drawn)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The live widget, an HTML twin for pages without a kernel, and a line of text."""
        bundle = super()._repr_mimebundle_()
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/html": self._twin(), "text/plain": repr(self)}, metadata

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the scrubber as it stands as one self-contained page and return its path."""
        return self.source.save(path, self._twin())
