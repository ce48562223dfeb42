"""How far a study is: a table of rows, redrawn on a terminal."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from vmlkit.errors import DataError
from vmlkit.studies.cells import Cell, Store

#: seconds between two drawings
EVERY = 2.0
#: states of a cell, in the order of the columns
STATES = ("finished", "computing", "stopped", "failed", "to do")


def state_of(cell: Cell, store: Store, elsewhere: frozenset[str] = frozenset()) -> str:
    """One of :data:`STATES`."""
    if cell.key in elsewhere or store.finished(cell):
        return "finished"
    if store.computing(cell):
        return "computing"
    events = store.events(cell)
    return "to do" if not events else "failed" if events[-1]["event"] == "fail" else "stopped"


def status(cells: Sequence[Cell], store: Store, elsewhere: frozenset[str] = frozenset()) -> str:
    """A line a row with the number of cells in each state, how far those are that are begun, and why any failed.

    ``s/cell`` is the median time of the finished ones, in seconds.
    """
    rows: dict[str, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.row.name, []).append(cell)
    width = max(map(len, rows))
    lines = [f"{'':<{width}}" + "".join(f"{state:>10}" for state in STATES) + "  s/cell"]
    for name, mine in rows.items():
        states = [state_of(cell, store, elsewhere) for cell in mine]
        counts = "".join(f"{states.count(state) or '':>10}" for state in STATES)
        going = [epochs(c, store) for c, s in zip(mine, states, strict=True) if s in ("computing", "stopped")]
        lines.append(f"{name:<{width}}{counts}  {_seconds(mine, store):>6}  {' '.join(going)}".rstrip())
    for cell in cells:
        if state_of(cell, store, elsewhere) == "failed":
            lines.append(f"{cell}: {store.events(cell)[-1].get('error', 'it does not say why')}")
    return "\n".join(lines)


def epochs(cell: Cell, store: Store) -> str:
    """``seed 3: 2/8 epochs``."""
    try:
        state = store.state(cell)
    except DataError:  # it has not come to its first epoch, or is being moved into place
        return f"seed {cell.seed}"
    return f"seed {cell.seed}: {state['epoch']}/{state['epochs']} epochs"


def _seconds(cells: Sequence[Cell], store: Store) -> str:
    known = sorted(summary["seconds"] for cell in cells if (summary := store.summary(cell)) is not None)
    return f"{known[len(known) // 2]:.0f}" if known else ""


@dataclass
class Live:
    """The table in place on a terminal; where stdout is none, the lines that are told."""

    cells: Sequence[Cell]
    store: Store
    elsewhere: frozenset[str] = frozenset()
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    drawn: bool = True  #: another process draws the table where not

    def __post_init__(self) -> None:
        self._terminal = self.stream.isatty()
        self._next, self._lines = 0.0, 0

    def tell(self, line: str) -> None:
        """A line for people; on a terminal the table says it."""
        if not self._terminal:
            print(line, file=self.stream, flush=True)

    def tick(self, now: bool = False) -> None:
        """Draw the table again where it is time to."""
        if not self._terminal or not self.drawn or (not now and time.monotonic() < self._next):
            return
        columns, rows = shutil.get_terminal_size()
        text = [line[: columns - 1] for line in status(self.cells, self.store, self.elsewhere).splitlines()]
        text = text[: rows - 1]
        back = f"\x1b[{self._lines}F" if self._lines else ""
        self.stream.write(back + "".join(f"\x1b[2K{line}\n" for line in text) + "\x1b[J")
        self.stream.flush()
        self._lines, self._next = len(text), time.monotonic() + EVERY
