"""``vmlkit study run``: compute the cells of a study that are missing, whatever ends the process in between.

A worker takes the first cell that is neither finished nor being computed, and locks it.  So any number of processes,
on one machine or on several that share the folder, work on one study; none is told what the others do.  A cell that
was interrupted goes on from the last saved state of its run.  On a CPU a worker computes one cell at a time; on a card
several take turns in one process (:mod:`vmlkit.training.many`).
"""

import contextlib
import hashlib
import json
import os
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import filelock

from vmlkit import provenance
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import run_in_turns, task_of
from vmlkit.methods import METHODS
from vmlkit.studies import outcomes as kept
from vmlkit.studies.cells import Cell, Store
from vmlkit.studies.summary import summary_of
from vmlkit.training.final import kept_predictions
from vmlkit.training.many import TURN

#: a cell is begun when the time left is so many times what it should take
MARGIN = 1.1


@dataclass
class Begun:
    """A cell that this process is computing."""

    cell: Cell
    work: Iterator[None]
    lock: filelock.BaseFileLock
    since: float = field(default_factory=time.monotonic)


@dataclass(kw_only=True)
class Worker:
    """Computes cells until none is left to begin, or until it is told to stop.

    Args:
        made: what cells are computed with, see :func:`vmlkit.studies.summary.made_now`.
        call: names this call of the command; a cell that failed in it is not tried again by another of its workers.
        elsewhere: keys of cells that are known already, from a file of results.
        together: how many take turns.
        deadline: by ``time.time()``.
        stop: asked between two turns.
        tell: is given a line for people.
        tick: called between two turns.
    """

    cells: tuple[Cell, ...]
    store: Store
    made: Mapping[str, Any]
    call: str
    elsewhere: frozenset[str] = frozenset()
    together: int = 1
    deadline: float | None = None
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda line: None
    tick: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._asked_to_stop = False

    def work(self) -> None:
        """Compute what is left."""
        with self._stopped_by_a_signal():
            self._work()

    def _work(self) -> None:
        begun: list[Begun] = []
        try:
            while True:
                while len(begun) < self.together and not self._stopping() and (more := self._begin(begun)):
                    begun.append(more)
                if not begun:
                    return
                for one in tuple(begun):
                    if self._stopping():
                        return
                    if not self._turn(one):
                        begun.remove(one)
                        one.lock.release()
                    self.tick()
        finally:
            for one in begun:
                one.work.close()  # type: ignore[attr-defined]
                self.store.log(one.cell, "stop")
                one.lock.release()

    def _turn(self, one: Begun) -> bool:
        """A turn of a cell; whether it has another one."""
        try:
            next(one.work)
            return True
        except StopIteration:
            seconds = time.monotonic() - one.since
            self.store.log(one.cell, "finish", seconds=round(seconds, 1))
            self.tell(f"{one.cell}: finished after {seconds:.0f} s")
        except Exception as error:
            self._failed(one.cell, error)
        return False

    def _failed(self, cell: Cell, error: Exception) -> None:
        where = traceback.format_exc(limit=-5)
        self.store.log(cell, "fail", call=self.call, error=f"{type(error).__name__}: {error}", traceback=where)
        self.tell(f"{cell}: failed: {error}")

    def _begin(self, begun: list[Begun]) -> Begun | None:
        """The first cell that may be begun, locked; None where there is none.  Cells take turns on the same data."""
        same, times = begun[0].cell.data if begun else None, self._times()
        for cell in sorted(self.cells, key=lambda cell: cell.data not in self._loaded):
            if (same is not None and cell.data != same) or not self._open(cell) or not self._in_time(cell, times):
                continue
            lock = self.store.taken(cell)
            if lock is None:
                continue
            if not self._open(cell):  # another process has ended it in between
                lock.release()
                continue
            before = self.store.events(cell)
            self.store.log(cell, "begin", call=self.call, revision=self.made["revision"])
            self.tell(f"{cell}: {'goes on' if before else 'begun'}")
            return Begun(cell, self._compute(cell), lock)
        return None

    def _open(self, cell: Cell) -> bool:
        """Whether the cell is neither known nor failed in this call."""
        if cell.key in self.elsewhere or self.store.finished(cell):
            return False
        return not any(line["event"] == "fail" and line.get("call") == self.call for line in self.store.events(cell))

    def _compute(self, cell: Cell) -> Iterator[None]:
        """Train, score and keep one cell; a rest after every few steps."""
        experiment, folder = cell.experiment, self.store.folder(cell)
        splits, task = self._splits(cell), task_of(experiment)
        kept.check(task, splits.test)
        yield from run_in_turns(experiment, folder, splits, progress=False, turn=TURN)
        run, trained = self.store.run(cell), time.monotonic()
        answers = kept_predictions(run, splits.test, task)
        if answers is None:
            raise DataError(folder, "keeps no answers to the test split", "delete it and run the same command again")
        found, baselines = kept.outcomes(task, splits.test, answers), self._baselines(task, splits)
        summary = summary_of(run, task, time.monotonic() - trained, self.made)
        summary["made"]["revisions"] = self._revisions(cell)
        self.store.finish(cell, {**summary, "baselines": baselines}, found)

    def _revisions(self, cell: Cell) -> list[str]:
        """Those of the sources at each beginning of the cell; more than one where it was interrupted in between."""
        lines = self.store.events(cell)
        return list(dict.fromkeys(str(line.get("revision")) for line in lines if line["event"] == "begin"))

    def _baselines(self, task: Any, splits: Any) -> str:
        """Name of the baselines of these splits, which are computed once."""
        asked = [splits.train.fingerprint, splits.test.fingerprint, type(task).__name__, dict(task.settings())]
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
        with self.store.alone(f"baselines-{name}"):
            if self.store.baselines(name) is None:
                self.store.keep_baselines(name, kept.baseline_outcomes(task, splits.train, splits.test))
        return name

    def _splits(self, cell: Cell) -> Any:
        """The data of a cell; one data set at a time is kept."""
        if cell.data not in self._loaded:
            self._loaded.clear()
            experiment = cell.row.experiment
            self._loaded[cell.data] = METHODS[experiment.method].load(experiment.data, progress=False)
        return self._loaded[cell.data]

    # ---- when to stop

    def _stopping(self) -> bool:
        late = self.deadline is not None and time.time() >= self.deadline
        return self._asked_to_stop or late or self.stop()

    def _in_time(self, cell: Cell, times: Mapping[str, float]) -> bool:
        """Whether what is left of the cell should fit before the deadline."""
        if self.deadline is None:
            return True
        left = times.get(cell.hash, max(times.values(), default=0.0))
        with contextlib.suppress(DataError):  # nothing of it is there
            done = self.store.state(cell)
            left *= 1 - done["epoch"] / max(done["epochs"], 1)
        return time.time() + MARGIN * left <= self.deadline

    def _times(self) -> dict[str, float]:
        """Seconds that a cell of each row took, by the row's hash; of rows of which one is finished."""
        found: dict[str, list[float]] = {}
        for cell in self.cells if self.deadline is not None else ():
            if (summary := self.store.summary(cell)) is not None:
                found.setdefault(cell.hash, []).append(summary["seconds"])
        return {row: statistics.median(seconds) for row, seconds in found.items()}

    @contextlib.contextmanager
    def _stopped_by_a_signal(self) -> Iterator[None]:
        """SIGTERM, by which a cluster announces the end, stops after the turn; only the main thread can be told."""

        def asked(*_: Any) -> None:
            self._asked_to_stop = True

        try:
            before = signal.signal(signal.SIGTERM, asked)
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def new_call() -> str:
    """A name for a call of the command."""
    return f"{time.time():.3f}-{os.getpid()}"


def refuse_changes(allow_dirty: bool) -> None:
    """Refuse to measure with sources that no revision names.

    Raises:
        ConfigError: where files of the package differ from the revision, and that was not allowed.
    """
    if str(provenance.revision(package_alone=True)).endswith(provenance.CHANGES) and not allow_dirty:
        raise ConfigError(
            "files of the package differ from its git revision, so nobody could repeat the numbers: commit them, or "
            "say --allow-dirty, and every page will say so too"
        )
