"""Processes that are killed, and processes that share a folder: nothing is lost and nothing computed twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.studies.tiny import tiny
from vmlkit.studies.cells import Cell, Store, cells_of
from vmlkit.studies.results import load_results

ROOT = Path(__file__).parents[2]
#: seconds after which a test gives up waiting
PATIENCE = 400


def start(folder: Path, seeds: int, jobs: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.studies.sweep", str(folder), str(seeds), str(jobs)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def events(store: Store, cells: tuple[Cell, ...]) -> list[tuple[str, str]]:
    return [(cell.key, line["event"]) for cell in cells for line in store.events(cell)]


def finished(store: Store, cells: tuple[Cell, ...]) -> int:
    return sum(store.finished(cell) for cell in cells)


def in_the_middle(store: Store, cells: tuple[Cell, ...], enough: int) -> bool:
    """Whether so many cells have ended, and one more has been begun."""
    return enough <= finished(store, cells) < len({key for key, event in events(store, cells) if event == "begin"})


def assert_none_twice(store: Store, cells: tuple[Cell, ...]) -> None:
    for cell in cells:
        happened = [line["event"] for line in store.events(cell)]
        assert "finish" not in happened[:-1], "nothing happens to a cell that has ended"
        assert happened.count("finish") <= 1


@pytest.mark.slow
def test_a_sweep_that_is_killed_twice_ends_with_every_cell_and_none_twice(tmp_path: Path) -> None:
    store, cells = Store(tmp_path / "runs"), cells_of(tiny(), seeds=4)
    assert len(cells) == 12
    for enough in (2, 7):
        process = start(tmp_path, seeds=4)
        wait_for(partial(in_the_middle, store, cells, enough))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert finished(store, cells) < 12
    assert start(tmp_path, seeds=4).wait(PATIENCE) == 0
    assert finished(store, cells) == 12
    assert_none_twice(store, cells)
    begun = Counter(key for key, event in events(store, cells) if event == "begin")
    assert sum(begun.values()) <= 14, "only the two cells in flight were begun again"
    assert len(load_results("tiny", tmp_path / "results").cells) == 12


@pytest.mark.slow
def test_two_processes_on_one_folder_share_the_work(tmp_path: Path) -> None:
    store, cells = Store(tmp_path / "runs"), cells_of(tiny(), seeds=2)
    both = [start(tmp_path, seeds=2) for _ in range(2)]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    counts = Counter(event for _, event in events(store, cells))
    assert counts == {"begin": 6, "finish": 6}
    processes = {line["process"] for cell in cells for line in store.events(cell)}
    assert processes == {process.pid for process in both}, "each computed some"
    results = load_results("tiny", tmp_path / "results")
    assert len(results.cells) == 6, "whoever came last wrote all"


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    store, cells = Store(tmp_path / "runs"), cells_of(tiny(), seeds=3)
    process = start(tmp_path, seeds=3, jobs=2)
    wait_for(lambda: finished(store, cells) >= 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(store.computing(cell) for cell in cells))
    there = finished(store, cells)
    assert start(tmp_path, seeds=3, jobs=2).wait(PATIENCE) == 0
    assert there < finished(store, cells) == 9
    assert_none_twice(store, cells)


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    store, (cell, *_) = Store(tmp_path), cells_of(tiny())
    store.log(cell, "begin")
    with open(tmp_path / f"{cell.key}.log", "a", encoding="utf-8") as handle:
        handle.write(json.dumps({"event": "finish"})[:9])
    assert [line["event"] for line in store.events(cell)] == ["begin"]
