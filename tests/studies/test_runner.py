"""Which cells are computed, when that stops, and what is said about those that fail."""

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.studies.conftest import ASKED
from tests.studies.tiny import tiny
from tests.training.test_resume import assert_same_run
from vmlkit import provenance
from vmlkit.errors import ConfigError, TrainingDiverged
from vmlkit.experiments.experiment import run_experiment
from vmlkit.studies import run as running
from vmlkit.studies import runner
from vmlkit.studies.cells import Store, cells_of
from vmlkit.studies.progress import Live, state_of, status
from vmlkit.studies.results import load_results
from vmlkit.studies.run import Options, Order, run_study
from vmlkit.studies.runner import Worker
from vmlkit.studies.summary import made_now


def worker(store: Store, **more: Any) -> Worker:
    cells = cells_of(tiny(), seeds=1, rows=("CNM",))
    return Worker(**{"cells": cells, "store": store, "made": made_now("a study"), "call": "this", **more})


def times(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.root.rglob("metrics.json")}


def test_cells_are_ordered_by_data_and_seed_and_primary_rows_have_more() -> None:
    cells = cells_of(tiny())
    assert len(cells) == 25
    assert [(cell.row.name, cell.seed) for cell in cells[:4]] == [
        ("CPL", 0),
        ("CNM", 0),
        ("CNM, no contrast", 0),
        ("CPL", 1),
    ]
    assert {cell.seed for cell in cells if cell.row.name == "CNM"} == set(range(10))
    assert {cell.seed for cell in cells if cell.row.name == "CNM, no contrast"} == set(range(5))
    with pytest.raises(ConfigError, match="no row 'PPS': choose among CPL, CNM"):
        cells_of(tiny(), rows=("PPS",))
    with pytest.raises(ConfigError, match="--seeds is 0"):
        cells_of(tiny(), seeds=0)


def test_nothing_is_computed_again(measured: Path) -> None:
    store, results = Store(measured / "runs"), measured / "results"
    before, written = times(store), (results / "tiny.json").read_bytes()
    run_study(tiny(), ASKED, store=store, results=results)
    assert times(store) == before
    assert (results / "tiny.json").read_bytes() == written, "the same cells give the same file"
    run_study(tiny(), ASKED, store=Store(measured / "elsewhere"), results=results)
    assert not times(Store(measured / "elsewhere")), "the results have these cells"


def test_cells_in_turns_give_the_numbers_of_cells_alone(measured: Path, tmp_path: Path) -> None:
    cells, alone = cells_of(tiny(), seeds=2), Store(measured / "runs")
    together = Store(tmp_path / "together")
    worker(together, cells=cells, together=4).work()
    for cell in cells:
        assert together.outcomes(cell).equals(alone.outcomes(cell))
        assert together.summary(cell)["test"] == alone.summary(cell)["test"]


def test_a_worker_that_is_stopped_keeps_the_state_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    store, asked = Store(tmp_path / "runs"), []

    def after_two() -> bool:
        asked.append(None)
        return len(asked) > 3  # before the beginning, and before each turn

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "TURN", 1)
        worker(store, stop=after_two).work()
    (cell,) = cells_of(tiny(), seeds=1, rows=("CNM",))
    assert [line["event"] for line in store.events(cell)] == ["begin", "stop"]
    assert not store.computing(cell)
    assert state_of(cell, store) == "stopped"
    assert "seed 0: 1/2 epochs" in status((cell,), store)
    worker(store).work()
    assert [line["event"] for line in store.events(cell)][2:] == ["begin", "finish"]
    assert_same_run(store.run(cell), run_experiment(cell.experiment, tmp_path / "alone", progress=False))


def failing(real: Any, fails: dict[str, Exception]) -> Any:
    def run_in_turns(experiment: Any, folder: Path, splits: Any, **options: Any) -> Iterator[None]:
        if folder.name.endswith("-1") and experiment.method in fails:
            yield
            raise fails[experiment.method]
        yield from real(experiment, folder, splits, **options)

    return run_in_turns


def test_a_cell_that_fails_is_reported_and_stops_no_other(tmp_path: Path, monkeypatch, capsys) -> None:
    store, results = Store(tmp_path / "runs"), tmp_path / "results"
    fails = {"cnm": TrainingDiverged("the loss is nan"), "cpl": KeyError("a fault of the program")}
    with monkeypatch.context() as patched:
        patched.setattr(runner, "run_in_turns", failing(runner.run_in_turns, fails))
        with pytest.raises(ConfigError, match=r"3 cells of the study failed.*CPL, seed 1: KeyError.*the loss is nan"):
            run_study(tiny(), ASKED, store=store, results=results)
    said = capsys.readouterr().out
    assert "tiny: 3 finished, 3 failed" in said
    assert len(load_results("tiny", results).cells) == 3, "what is finished is written"
    assert "CNM, seed 1: TrainingDiverged: the loss is nan" in status(cells_of(tiny(), seeds=2), store)
    run_study(tiny(), ASKED, store=store, results=results)
    assert len(load_results("tiny", results).cells) == 6, "the next call tries them again"


def test_no_cell_is_begun_that_would_not_end_in_time(measured: Path, capsys) -> None:
    store = Store(measured / "runs")
    for path in store.root.glob("*/cell.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1000.0}))
    asked = Options(seeds=3, minutes=1, allow_dirty=True)
    run_study(tiny(), asked, store=store, results=measured / "results")
    assert "tiny: 6 finished, 3 to do\nno other cell would end in time" in capsys.readouterr().out
    begun = store.folder(cells_of(tiny(), seeds=3)[-1])
    begun.mkdir()
    (begun / "state.json").write_text(json.dumps({"epoch": 99, "epochs": 100}))
    left = worker(store, cells=cells_of(tiny(), seeds=3), deadline=0.0)
    assert left._times()[cells_of(tiny())[0].hash] == 1000.0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner.time, "time", lambda: -20.0)
        assert left._in_time(cells_of(tiny(), seeds=3)[-1], left._times()), "a hundredth of it is left"
        assert not left._in_time(cells_of(tiny(), seeds=3)[-2], left._times())


def test_time_that_is_up_ends_cleanly(tmp_path: Path, capsys) -> None:
    asked = Options(seeds=1, minutes=1e-6, allow_dirty=True)
    assert run_study(tiny(), asked, store=Store(tmp_path / "runs"), results=tmp_path / "results") is None
    assert "tiny: 3 to do\nthe time is up; the same command goes on from here" in capsys.readouterr().out


def test_changed_sources_are_refused_or_written_down(measured: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(provenance, "revision", lambda **_: "abc" + provenance.CHANGES)
    with pytest.raises(ConfigError, match=r"files of the package differ.*--allow-dirty"):
        run_study(tiny(), Options(), store=Store(tmp_path / "runs"), results=tmp_path)
    assert not (tmp_path / "runs").exists()
    asked = Options(seeds=1, rows=("CNM",), allow_dirty=True)
    run_study(tiny(), asked, store=Store(tmp_path / "runs"), results=tmp_path)
    results = load_results("tiny", tmp_path)
    assert results.record["dirty"]
    assert "with changes that no revision names" in results.provenance
    monkeypatch.setattr(provenance, "revision", lambda **_: "abc")
    with pytest.raises(ConfigError, match="was computed with changes that no revision names: delete that folder"):
        run_study(tiny(), Options(seeds=1), store=Store(tmp_path / "runs"), results=tmp_path / "others")


def test_on_a_card_the_jobs_take_turns_in_one_process_and_the_cells_are_the_same(tmp_path: Path, monkeypatch) -> None:
    orders, found = [], []

    def noted(order: Order, live: Any = None) -> None:
        orders.append(order)

    with monkeypatch.context() as patched:
        patched.setattr(running, "choose_device", lambda name, asked_by: torch.device("meta"))
        patched.setattr(Order, "carry_out", noted)
        asked = Options(seeds=2, jobs=4, device="cuda:0", allow_dirty=True)
        run_study(tiny(), asked, store=Store(tmp_path / "runs"), results=tmp_path / "results")
    (order,) = orders
    assert (order.together, order.device, order.one_thread) == (4, "cuda:0", False)
    assert order.cells == cells_of(tiny(), seeds=2), "a device makes no other cell"
    monkeypatch.setattr(Worker, "work", lambda worker: found.append(os.environ.get("VMLKIT_DEVICE")))
    order.carry_out()
    assert found == ["cuda:0"]
    assert os.environ.get("VMLKIT_DEVICE") != "cuda:0"


def test_who_only_looks_keeps_nobody_from_a_cell(tmp_path: Path) -> None:
    store, (cell, *_), found = Store(tmp_path), cells_of(tiny()), []

    def take() -> None:
        lock = Store(tmp_path).taken(cell, patience=30)
        found.append(lock is not None)
        if lock is not None:
            lock.release()

    looking, other = store.taken(cell), threading.Thread(target=take)
    assert looking is not None
    other.start()
    assert Store(tmp_path).computing(cell)
    looking.release()
    other.join()
    assert found == [True]
    assert not store.computing(cell)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"jobs": 0}, "--jobs is 0"),
        ({"minutes": 0.0}, "--minutes is 0"),
        ({"cluster": {"partition": "gpu"}}, "add --executor slurm"),
    ],
)
def test_options_out_of_range(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Options(**wrong)


def test_the_table_is_drawn_in_place_on_a_terminal_alone(measured: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    cells, store = cells_of(tiny(), seeds=2), Store(measured / "runs")
    screen, file = Terminal(), io.StringIO()
    live = Live(cells, store, stream=screen)
    live.tell("a line")
    live.tick()
    live.tick()
    first = screen.getvalue()
    assert "CNM, no contrast" in first
    assert "a line" not in first
    assert first.count("finished") == 1, "not again at once"
    live.tick(now=True)
    assert "\x1b[4F" in screen.getvalue(), "three rows and their head are drawn over"
    plain = Live(cells, store, stream=file)
    plain.tell("a line")
    plain.tick(now=True)
    assert file.getvalue() == "a line\n"
