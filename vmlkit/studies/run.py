"""A call of ``vmlkit study run``: what is asked, who computes it, and the results that are written at its end."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from vmlkit.errors import ConfigError
from vmlkit.provenance import CHANGES
from vmlkit.studies.assembly import Measured, add_cells, add_results, known_elsewhere, study_hash, write_results
from vmlkit.studies.cells import Cell, Store, cells_of
from vmlkit.studies.cluster import submitted
from vmlkit.studies.progress import Live, state_of
from vmlkit.studies.results import STUDIES
from vmlkit.studies.runner import Worker, new_call, refuse_changes
from vmlkit.studies.summary import made_now
from vmlkit.training.start import choose_device
from vmlkit.training.study import Study

Executor = Literal["local", "slurm"]
#: seconds between two looks at the processes that compute
LOOK = 0.5


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is told: enough to compute cells beside others."""

    cells: tuple[Cell, ...]
    root: Path
    study: str  #: hash of the study as it stands
    call: str
    elsewhere: frozenset[str] = frozenset()
    device: str = "auto"
    together: int = 1
    deadline: float | None = None
    parent: int | None = None  #: process whose end is this one's, too
    one_thread: bool = False

    def carry_out(self, live: Live | None = None) -> None:
        """Compute what is left, in this process."""
        if self.parent is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends this process
        if self.one_thread:
            torch.set_num_threads(1)
        store = Store(self.root)
        shown = live or Live(self.cells, store, drawn=False)
        with _device(self.device):
            Worker(
                cells=self.cells, store=store, made=made_now(self.study), call=self.call, elsewhere=self.elsewhere,
                together=self.together, deadline=self.deadline, stop=self._orphaned, tell=shown.tell, tick=shown.tick,
            ).work()  # fmt: skip

    def _orphaned(self) -> bool:
        return self.parent is not None and os.getppid() != self.parent


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is computed.

    Raises:
        ConfigError: for a number out of range.
    """

    seeds: int | None = None  #: of every row; None: the study's own plan
    rows: tuple[str, ...] = ()  #: those wanted; none: all
    jobs: int = 1  #: processes of one thread each on a CPU, runs in one process on a card, jobs of a cluster
    device: str = "auto"  #: see :func:`vmlkit.training.start.choose_device`; no setting of a row, so no other cell
    minutes: float | None = None  #: how long cells are computed
    executor: Executor = "local"
    cluster: Mapping[str, str] = field(default_factory=dict)  #: what Slurm is told, such as the partition
    allow_dirty: bool = False

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigError(f"--jobs is {self.jobs}: at least one must compute")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"--minutes is {self.minutes:g}: give a positive number")
        if self.cluster and self.executor != "slurm":
            raise ConfigError("--slurm tells the cluster something: add --executor slurm")


def run_study(study: Study, options: Options, *, store: Store | None = None, results: Path = STUDIES) -> Path | None:
    """Compute the cells of a study that are missing and write its results with all that are finished.

    Cells that the results hold already, and those of ``store`` that are finished, are not computed again.

    Returns:
        The JSON file; None where no cell is finished.

    Raises:
        ConfigError: for changed sources (:func:`vmlkit.studies.runner.refuse_changes`), and, after everything else is
            done and written, where cells failed.
    """
    store = store or Store()
    cells = cells_of(study, options.seeds, options.rows)
    refuse_changes(options.allow_dirty)
    _refuse_dirty(cells, store, options.allow_dirty)
    elsewhere = held_by(study, cells, results)
    live = Live(cells, store, elsewhere)
    order = Order(
        cells=cells, root=store.root, study=study_hash(study), call=new_call(), elsewhere=elsewhere,
        device=options.device,
        deadline=None if options.minutes is None else time.time() + 60 * options.minutes,
    )  # fmt: skip
    _compute(order, options, live)
    live.tick(now=True)
    path = assemble(study, store, results, live)
    _say_what_is_left(study, order, store, live)
    return path


def assemble(study: Study, store: Store, results: Path, live: Live) -> Path | None:
    """Write the results with every finished cell of the plan and every cell that they hold already."""
    with store.alone(f"results-{study.name}"):
        measured = Measured(study)
        known = known_elsewhere(study, results, live.tell)
        seeds = 1 + max((cell["seed"] for cell in known.record["cells"]), default=0) if known is not None else 0
        planned = dict.fromkeys((*cells_of(study), *(cells_of(study, seeds) if seeds else ()), *live.cells))
        add_cells(measured, store, tuple(planned))
        if known is not None:
            add_results(measured, known, strict=False)
        for line in measured.said:
            live.tell(line)
        return write_results(measured, results) if measured.frames else None


def held_by(study: Study, cells: Sequence[Cell], results: Path) -> frozenset[str]:
    """Keys of the cells that the results hold already."""
    known = known_elsewhere(study, results, lambda line: None)  # told when they are written again
    if known is None:
        return frozenset()
    measured = Measured(study)
    add_results(measured, known, strict=False)
    return frozenset(cell.key for cell in cells if (cell.row.name, cell.seed) in measured.frames)


def overview(studies: Sequence[Study], results: Path) -> str:
    """A line a study: its name, how many cells of its plan the results hold, and its title."""
    lines = []
    for study in studies:
        cells = cells_of(study)
        there = len(held_by(study, cells, results))
        lines.append((study.name, f"{there}/{len(cells)}", study.title))
    width = max(len(name) for name, _, _ in lines)
    return "\n".join(f"{name:<{width}}  {count:>8}  {title}" for name, count, title in lines)


def _refuse_dirty(cells: Sequence[Cell], store: Store, allowed: bool) -> None:
    for cell in () if allowed else cells:
        summary = store.summary(cell)
        if summary is not None and CHANGES in f"{summary['made']['revision']} {summary['made']['revisions']}":
            raise ConfigError(
                f"{store.folder(cell)} was computed with changes that no revision names: delete that folder, or say "
                "--allow-dirty"
            )


def _compute(order: Order, options: Options, live: Live) -> None:
    if options.executor == "slurm":
        submitted([order] * options.jobs, options.cluster, options.minutes, live.tick)
    elif choose_device(options.device, "--device").type != "cpu":
        replace(order, together=options.jobs).carry_out(live)
    elif options.jobs == 1:
        order.carry_out(live)
    else:
        _in_processes(replace(order, parent=os.getpid(), one_thread=True), options.jobs, live)


def _in_processes(order: Order, jobs: int, live: Live) -> None:
    """Several processes on the same folder; an interrupt ends them at their next turn."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=order.carry_out, daemon=True) for _ in range(jobs)]
    with _environment(OMP_NUM_THREADS="1"):
        for worker in workers:
            worker.start()
    try:
        while any(worker.is_alive() for worker in workers):
            workers[0].join(LOOK)
            live.tick()
            time.sleep(0 if workers[0].is_alive() else LOOK)
    finally:
        for worker in workers:
            worker.terminate()  # SIGTERM: it stops after its turn
        for worker in workers:
            worker.join()


def _say_what_is_left(study: Study, order: Order, store: Store, live: Live) -> None:
    states = {cell: state_of(cell, store, order.elsewhere) for cell in order.cells}
    counts = {state: sum(s == state for s in states.values()) for state in dict.fromkeys(states.values())}
    print(f"{study.name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()), file=live.stream)
    late = order.deadline is not None and time.time() >= order.deadline - LOOK
    if any(state in counts for state in ("stopped", "to do")) and "failed" not in counts:
        waits = order.deadline is not None and "stopped" not in counts
        why = "the time is up" if late else "no other cell would end in time" if waits else "it was stopped"
        print(f"{why}; the same command goes on from here", file=live.stream)
    whys: dict[str, list[str]] = {}
    for cell in (cell for cell, state in states.items() if state == "failed"):
        whys.setdefault(str(store.events(cell)[-1].get("error", "it does not say why")), []).append(str(cell))
    if whys:
        kept = "the others are kept, and the same command repeats only these"
        failed = "; ".join(f"{'; '.join(cells)}: {why}" for why, cells in whys.items())
        raise ConfigError(f"{sum(map(len, whys.values()))} cells of the study failed, {kept}: {failed}")


@contextlib.contextmanager
def _device(name: str) -> Iterator[None]:
    """Rows say "auto", and the environment what that is: a device is no setting that makes another cell."""
    if name == "auto":
        yield
        return
    with _environment(VMLKIT_DEVICE=name):
        yield


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
