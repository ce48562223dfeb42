"""A packed run, or two, and what every form of the scrubber does with it."""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vmlkit.errors import DataError
from vmlkit.files import read_bytes
from vmlkit.viz.live import html_fragment, module, write_page
from vmlkit.viz.packing import Packed, pack
from vmlkit.viz.snapshots import AnyRun, RunView, as_view
from vmlkit.viz.style import png_bytes, styled
from vmlkit.viz.timeline import draw_epochs

#: bound on the embedded data unless another is given
MAX_BYTES = 1_500_000
#: bound on the films beside them, together
FILM_BYTES = 12_000_000


def scrubber_module() -> str:
    """The scrubber as one ES module."""
    return module("record", "stage", "panels", "controls", "table", "film", "scrubber")


class ScrubberSource:
    """A packed run (or two) and what every form of the scrubber does with it.

    Args:
        run: a run directory or its path.
        max_bytes: bound on the embedded data; see :func:`vmlkit.viz.packing.pack`.
        compare: a second run to show beside the first.
        query: a query that is embedded in any case.
        names: what to call the two runs; as they call themselves unless given.
        films: files of video by the id of their video, which play beside the proposals.

    Raises:
        DataError: when a run has no recorded proposals, the two recorded no query in common, or films are missing or
            larger than :data:`FILM_BYTES` together.
    """

    def __init__(
        self,
        run: AnyRun,
        max_bytes: int = MAX_BYTES,
        *,
        compare: AnyRun | None = None,
        query: object | None = None,
        names: Sequence[str] | None = None,
        films: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> None:
        self.view = as_view(run)
        self.other = None if compare is None else as_view(compare)
        first = None if query is None else str(query)
        self.packed: Packed = pack(self.view, other=self.other, first=first, names=names, max_bytes=max_bytes)
        meta = self.packed.meta
        # two runs move by share of training; the epochs are counted in the one that has more of them
        self.epochs: list[int] = max((part["epochs"] for part in (meta, meta["other"]) if part), key=len)
        self.query_ids: list[str] = [q["id"] for q in meta["queries"]]
        meta["films"] = self._films(films or {})
        self.names: list[str] = [part["name"] for part in (meta, meta["other"]) if part]

    def _films(self, films: Mapping[str, str | os.PathLike[str]]) -> dict[str, str]:
        """The films of the embedded queries as addresses that hold them, by the position of the video."""
        found: dict[str, str] = {}
        room = FILM_BYTES
        for query in self.packed.meta["queries"]:
            video, place = str(self.view.query(query["id"])["video_id"]), str(query["video"])
            if video not in films or place in found:
                continue
            path = Path(films[video])
            if not path.is_file():
                raise DataError(path, f"there is no such film of '{video}'", "render it, or leave it out")
            room -= path.stat().st_size
            if room < 0:
                raise DataError(path, f"films are larger than {FILM_BYTES / 1e6:g} MB together", "give fewer films")
            kind = "video/webm" if path.suffix.lower() == ".webm" else "video/mp4"
            found[place] = f"data:{kind};base64,{base64.b64encode(read_bytes(path)).decode('ascii')}"
        return found

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

    def known(self, kind: str, names: Sequence[str] | None) -> list[str]:
        """Names of the ``curves`` or ``signals`` to show; those shown to begin with when None.

        Raises:
            DataError: for a name that neither run has.
        """
        meta = self.packed.meta
        entries = {e["name"]: e["shown"] for part in (meta["other"] or meta, meta) for e in part[kind]}
        if names is None:
            return [name for name, shown in entries.items() if shown]
        for name in names:
            if name not in entries:
                remedy = f"choose from {list(entries)[:12]}" if entries else "the run recorded none"
                raise DataError(self.view.name, f"there is no '{name}' among the {kind}", remedy)
        return [str(name) for name in names]

    def fragment(
        self,
        epoch: int,
        query_id: str,
        selected: int = -1,
        curves: Sequence[str] | None = None,
        signals: Sequence[str] | None = None,
        drawn: Mapping[str, bool] | None = None,
    ) -> str:
        """HTML that shows the scrubber without a kernel, opening at the given state.

        Args:
            drawn: whether the ``trail`` and the ``boxes`` are.
        """
        sentence = self.view.query(query_id)["sentence"]
        state = {
            "epoch": epoch,
            "query": query_id,
            "selected": selected,
            "curves": self.known("curves", curves),
            "signals": self.known("signals", signals),
            "trail": False,
            "boxes": False,
            **(drawn or {}),
            "meta": self.packed.meta,
        }
        preview = preview_png(self.view, query_id, self.view.recorded_epochs[-1])
        alt = f"Epoch scrubber, last epoch: proposals over time for “{sentence}”"
        return html_fragment(scrubber_module(), state, preview=preview, alt=alt, data=self.packed.data)

    def save(self, path: str | os.PathLike[str], fragment: str) -> Path:
        """Write ``fragment`` as a page of its own."""
        return write_page(path, self.title(), fragment, 1560 if self.other else 980)

    def title(self) -> str:
        """A heading for a page: the name of the run, or of both."""
        return f"{' beside '.join(self.names)}: proposals over epochs"

    def summary(self) -> str:
        """One line of plain text."""
        beside = f", {' beside '.join(self.names)}" if self.other else ""
        return f"EpochScrubber: {len(self.query_ids)} queries, epochs {self.epochs[0]} to {self.epochs[-1]}{beside}"


def preview_png(view: RunView, query_id: str, epoch: int) -> bytes:
    """A picture of one query at one epoch, for places where scripts do not run."""
    with styled():
        return png_bytes(draw_epochs(view, query_id, (epoch,)))
