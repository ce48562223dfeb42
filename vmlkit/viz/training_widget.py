"""A training that starts and stops at a button, with its curves while it runs.

The training rests every few steps (:func:`vmlkit.training.loop.train_in_turns`), and the kernel answers the hand in
between: a cell below can be run, and a stop is heard within a turn.  A stopped training goes on from its last epoch.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from vmlkit.runs import RunDirectory
from vmlkit.viz.kernel_widget import KernelWidget
from vmlkit.viz.live import module
from vmlkit.viz.panels import draw_panels
from vmlkit.viz.style import new_figure, png_bytes, styled

#: drawn unless others are asked for, as far as a run has them
USUAL = ("loss/total", "metric/R@1,mIoU", "metric/R@1,IoU=0.5")

#: seconds in which the kernel answers between two turns
_REST = 0.01


class LiveTraining(KernelWidget):
    """Train at a button, watch the curves, stop.

    Args:
        begin: gives a training that rests now and then and can be closed at a rest; called anew at every start.
        run_dir: where it records; curves that are there already are shown.
        planned: how many epochs it is to have.
        columns: of ``epochs.parquet`` to draw; :data:`USUAL` unless given.
    """

    _esm = module("panels", "training")
    kept = ("planned", "epochs", "curves", "state", "said")
    title = "A training"

    planned = traitlets.Int(1, help="epochs that the training is to have").tag(sync=True)
    epochs = traitlets.List(traitlets.Int(), help="recorded so far").tag(sync=True)
    curves = traitlets.List(traitlets.Dict(), help="name, title and one value per epoch").tag(sync=True)
    state = traitlets.Unicode("ready", help="ready, training, stopping, stopped, done or failed").tag(sync=True)
    said = traitlets.Unicode("", help="the error of a failed training").tag(sync=True)
    wanted = traitlets.Unicode("", help="what the hand asks for: train or stop").tag(sync=True)

    def __init__(
        self,
        begin: Callable[[], Iterator[None]],
        run_dir: str | os.PathLike[str],
        planned: int,
        columns: Sequence[str] | None = None,
        **arguments: Any,
    ) -> None:
        self._begin, self._folder, self._columns = begin, Path(run_dir), columns
        self._read = 0
        self._task: asyncio.Task[None] | None = None
        super().__init__(planned=planned, **arguments)
        self.refresh()
        if (self._folder / "metrics.json").is_file():
            self.state = "done"
        elif self.epochs:
            self.state = "stopped"

    def refresh(self) -> None:
        """Read the curves again where the run has recorded more."""
        file = self._folder / "epochs.parquet"
        if not file.is_file() or file.stat().st_mtime_ns == self._read:
            return
        self._read = file.stat().st_mtime_ns
        table = RunDirectory(self._folder).epochs.sort_values("epoch")
        names = [name for name in self._columns or USUAL if name in table]
        with self.hold_sync():
            self.curves = [{"name": n, "title": n.split("/", 1)[1], "values": _plain(table[n])} for n in names]
            self.epochs = [int(epoch) for epoch in table["epoch"]]

    async def train(self) -> None:
        """Train until it is done, or until ``wanted`` is "stop"; an error is said in the picture and not raised."""
        self.state, self.said = "training", ""
        await asyncio.sleep(_REST)
        work = None
        try:
            work = self._begin()
            for _ in work:
                self.refresh()
                await asyncio.sleep(_REST)
                if self.wanted == "stop":
                    self.state = "stopped"
                    break
            else:
                self.state = "done"
        except Exception as error:
            self.state, self.said = "failed", f"{type(error).__name__}: {error}"
        finally:
            if work is not None:
                work.close()  # type: ignore[attr-defined]
            self.wanted = ""
            self.refresh()

    @traitlets.observe("wanted")
    def _asked(self, change: Any) -> None:
        busy = self.state in ("training", "stopping")
        if change["new"] == "train" and not busy:
            self._task = asyncio.ensure_future(self.train())
        elif change["new"] == "stop" and busy:
            self.state = "stopping"

    def __repr__(self) -> str:
        done = self.epochs[-1] if self.epochs else 0
        return f"LiveTraining: {self.state}, epoch {done} of {self.planned}"

    def _picture(self) -> bytes:
        with styled():
            if not self.curves:
                figure = new_figure(figsize=(4, 0.6))
                figure.text(0.02, 0.4, "Not trained yet: run the notebook, and press Train.")
                return png_bytes(figure)
            lines = {c["title"]: {"": pd.Series(c["values"], self.epochs, dtype=float)} for c in self.curves}
            return png_bytes(draw_panels(lines))


def _plain(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in values]
