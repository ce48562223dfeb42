"""Cells of a study, a row with a seed each, and the folder that keeps them: ``runs/studies``.

============================ ==================================================================================
``HASH-SEED/``               the run directory; once it is finished also ``cell.json`` and ``outcomes.parquet``
``HASH-SEED.log``            what happened to it, a JSON line each: ``begin``, ``finish``, ``fail``, ``stop``
``baselines-HASH.parquet``   outcomes of the baselines of a data set
``locks/``                   one file a cell, locked by the process that computes it
============================ ==================================================================================

``HASH`` is that of a row's settings, data included, so studies share the cells of rows that they share.  A lock is the
operating system's and goes with its process, however that ends: there are no stale ones.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from vmlkit.config import config_hash, with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.files import parse_json, read_text, write_json, write_parquet
from vmlkit.files.records import ANY, COUNT, NULL, NUMBER, TEXT, TIME, Either, Entry, Fixed, Many, Part, Table, checked
from vmlkit.methods import METHODS
from vmlkit.runs import STATE, RunDirectory, read_json, read_parquet
from vmlkit.training.experiment import Experiment
from vmlkit.training.study import Row, Study

#: version of ``cell.json``; one of another version is computed again
SCHEMA = 2
#: what a cell has measured, in ``cell.json`` and in the results of a study
MEASURED: dict[str, Part] = {
    "chosen_epoch": COUNT,
    "validation": Many(Fixed(COUNT, Either(NUMBER, NULL))),
    "test": Table(Either(NUMBER, NULL)),
}
MADE: dict[str, Part] = {"revision": Either(TEXT, NULL), "versions": Table(TEXT), "hardware": Table(ANY)}
_SUMMARY = Entry(
    {
        **MEASURED,
        **dict.fromkeys(("seconds", "seconds_per_epoch"), TIME),
        **dict.fromkeys(("selection", "baselines"), TEXT),
        "made": Entry({**MADE, "revisions": Many(TEXT)}),
    }
)
_EVENT = Entry({"event": TEXT}, dict.fromkeys(("call", "error"), TEXT))
_REMEDY = "delete its folder, and the cell is computed again"
#: where the cells of all studies are kept
CELLS = Path("runs") / "studies"
#: seconds for which a lock must be held by another before its cell counts as taken; who only looks has it for less
PATIENCE = 0.05


@dataclass(frozen=True)
class Cell:
    """A row of a study with a seed."""

    row: Row
    seed: int

    @cached_property
    def hash(self) -> str:
        """Twelve digits that change when a setting of the row does."""
        return config_hash(self.row.experiment)

    @property
    def key(self) -> str:
        """Name of its run directory."""
        return f"{self.hash}-{self.seed}"

    @property
    def experiment(self) -> Experiment:
        """The experiment with the seed."""
        return with_overrides(self.row.experiment, {"train.seed": self.seed})

    @cached_property
    def data(self) -> str:
        """The same for cells that can share what is loaded."""
        return f"{METHODS[self.row.experiment.method].view.what} {config_hash(self.row.experiment.data)}"

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"


def cells_of(study: Study, seeds: int | None = None, rows: Sequence[str] = ()) -> tuple[Cell, ...]:
    """The cells in the order in which they are begun: a data set after the other, and of each seed all rows.

    Args:
        seeds: of every row, counted from 0; None takes those of the study (:meth:`Study.seeds_of`).
        rows: names of those wanted; all unless given.

    Raises:
        ConfigError: for a row that the study does not have, or no seed.
    """
    names = [row.name for row in study.rows]
    for name in rows:
        if name not in names:
            raise ConfigError(f"the study '{study.name}' has no row '{name}': choose among {', '.join(names)}")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds is {seeds}: measure at least one")
    chosen = [row for row in study.rows if not rows or row.name in rows]
    found = [Cell(row, s) for row in chosen for s in (study.seeds_of(row.name) if seeds is None else range(seeds))]
    place = {data: i for i, data in enumerate(dict.fromkeys(cell.data for cell in found))}
    return tuple(sorted(found, key=lambda cell: (place[cell.data], cell.seed)))


class Store:
    """The folder of cells; any number of processes may use it at the same time."""

    def __init__(self, root: str | Path = CELLS) -> None:
        self.root = Path(root)

    def folder(self, cell: Cell) -> Path:
        """The run directory of a cell."""
        return self.root / cell.key

    def run(self, cell: Cell) -> RunDirectory:
        """A reader of it."""
        return RunDirectory(self.folder(cell))

    # ---- who computes it

    def lock(self, name: str) -> filelock.BaseFileLock:
        """The lock of a cell (its key), or of anything else that only one process may do at a time."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(folder / f"{name}.lock")

    def taken(self, cell: Cell, patience: float = PATIENCE) -> filelock.BaseFileLock | None:
        """The lock of the cell, held; None where another process has it.

        Args:
            patience: seconds to wait for one that only looks.
        """
        lock = self.lock(cell.key)
        try:
            lock.acquire(timeout=patience, poll_interval=0.01)
        except filelock.Timeout:
            return None
        return lock

    def computing(self, cell: Cell) -> bool:
        """Whether a process computes it now."""
        lock = self.taken(cell, patience=0)
        if lock is not None:
            lock.release()
        return lock is None

    # ---- what happened

    def log(self, cell: Cell, event: str, **more: Any) -> None:
        """Add a line to the log of the cell."""
        line = {"event": event, "time": round(time.time(), 1), "process": os.getpid(), **more}
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / f"{cell.key}.log", "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")

    def events(self, cell: Cell) -> list[dict[str, Any]]:
        """The log of the cell; a line that a kill cut short, or that is no event, is left out."""
        path = self.root / f"{cell.key}.log"
        found = []
        for line in read_text(path).split("\n") if path.is_file() else ():
            with contextlib.suppress(DataError):
                found.append(checked(parse_json(line, path), _EVENT, path))
        return found

    def state(self, cell: Cell) -> dict[str, Any]:
        """How far its run is, see :attr:`vmlkit.runs.RunDirectory.state`; raises :class:`DataError` without one."""
        path = self.folder(cell) / "state.json"
        found: dict[str, Any] = checked(read_json(path), STATE, path)
        return found

    # ---- what it gave

    def finished(self, cell: Cell) -> bool:
        """Whether all that a study keeps of it is there."""
        return self.summary(cell) is not None

    def summary(self, cell: Cell) -> dict[str, Any] | None:
        """``cell.json``, see :func:`vmlkit.studies.summary.summary_of`; None where it is not finished."""
        path = self.folder(cell) / "cell.json"
        if not path.is_file():
            return None
        found: dict[str, Any] = checked(read_json(path), Entry({}), path, remedy=_REMEDY)
        return checked(found, _SUMMARY, path, remedy=_REMEDY) if found.get("schema") == SCHEMA else None

    def outcomes(self, cell: Cell) -> pd.DataFrame:
        """Its outcomes, see :mod:`vmlkit.studies.outcomes`."""
        return read_parquet(self.folder(cell) / "outcomes.parquet", {"query": "whole", "video": "text"})

    def baselines(self, name: str) -> pd.DataFrame | None:
        """Outcomes of the baselines of a data set, with ``row`` and ``seed``; None where they are not there yet."""
        path = self.root / f"baselines-{name}.parquet"
        kinds = {"row": "text", "seed": "whole", "query": "whole"}
        return read_parquet(path, kinds) if path.is_file() else None

    def keep_baselines(self, name: str, frame: pd.DataFrame) -> None:
        """Write them."""
        write_parquet(self.root / f"baselines-{name}.parquet", frame)

    def finish(self, cell: Cell, summary: dict[str, Any], outcomes: pd.DataFrame) -> None:
        """Write what a study keeps of a cell; ``cell.json`` last, since it says that all is there."""
        write_parquet(self.folder(cell) / "outcomes.parquet", outcomes)
        write_json(self.folder(cell) / "cell.json", {"schema": SCHEMA, **summary})

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """One process at a time; the others wait."""
        with self.lock(name):
            yield
