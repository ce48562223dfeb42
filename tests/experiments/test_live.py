"""An experiment that trains at a button: stopped and started again, it is the run of ``run_experiment``."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
from tests.experiments.tiny import tiny
from vmlkit.experiments.experiment import run_experiment
from vmlkit.experiments.live import train_live


def test_stopped_and_started_again_it_is_the_same_run(tmp_path: Path) -> None:
    experiment = tiny("cpl", **{"train.epochs": 3, "train.batch_size": 2})
    whole = run_experiment(experiment, tmp_path / "whole", progress=False)
    live = train_live(experiment, tmp_path / "live")
    assert (live.state, live.planned) == ("ready", 3)

    async def hand() -> None:
        live.wanted = "train"
        while not live.epochs and live.state != "failed":
            await asyncio.sleep(0.005)
        live.wanted = "stop"
        await live._task

    asyncio.run(hand())
    assert (live.state, live.said) == ("stopped", "")
    assert live.epochs[-1] < 3
    again = train_live(experiment, tmp_path / "live")
    asyncio.run(again.train())
    assert (again.state, again.said, again.epochs) == ("done", "", [0, 1, 2, 3])
    loss = next(curve["values"] for curve in again.curves if curve["name"] == "loss/total")
    assert np.array_equal(np.array(loss, float), whole.epochs["loss/total"], equal_nan=True)
    assert (tmp_path / "live" / "metrics.json").is_file()
    assert train_live(experiment, tmp_path / "live").state == "done"


def test_a_directory_that_holds_another_run_is_said(tmp_path: Path) -> None:
    run_experiment(tiny("cpl"), tmp_path / "run", progress=False)
    live = train_live(tiny("cpl", **{"train.seed": 5}), tmp_path / "run")
    live.state = "ready"
    asyncio.run(live.train())
    assert live.state == "failed"
    assert "holds another run" in live.said
