"""Training at a button: its curves grow, a stop is heard, an error is said, and pages without a kernel show it."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
from tests.viz.make_run import write_run
from vmlkit.viz.training_widget import LiveTraining

EPOCHS = 6


class Fake:
    """A training that rests three times an epoch and records a row at its end."""

    def __init__(self, folder: Path, rows: pd.DataFrame, fails: int = 0) -> None:
        self.folder, self.rows, self.fails = folder, rows, fails
        self.closed = self.done = 0

    def begin(self) -> Iterator[None]:
        self.folder.mkdir(exist_ok=True)
        shutil.copy(self.folder.parent / "whole" / "config.json", self.folder)
        try:
            for epoch in range(self.done, EPOCHS + 1):
                if epoch and epoch == self.fails:
                    raise ValueError("the loss is nan")
                for _ in range(3):
                    yield
                self.rows.iloc[: epoch + 1].to_parquet(self.folder / "epochs.parquet")
                self.done = epoch + 1
        finally:
            self.closed += 1


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    return pd.read_parquet(write_run(tmp_path / "whole") / "epochs.parquet")


def test_curves_grow_while_it_trains_and_it_ends(tmp_path: Path, rows: pd.DataFrame) -> None:
    fake = Fake(tmp_path / "run", rows)
    live = LiveTraining(fake.begin, tmp_path / "run", EPOCHS)
    assert (live.state, live.epochs, repr(live)) == ("ready", [], "LiveTraining: ready, epoch 0 of 6")
    seen: list[int] = []
    live.observe(lambda change: seen.append(len(change["new"])), "epochs")
    asyncio.run(live.train())
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert (live.state, live.epochs, fake.closed) == ("done", list(range(7)), 1)
    assert [curve["name"] for curve in live.curves] == ["loss/total", "metric/R@1,mIoU", "metric/R@1,IoU=0.5"]
    want = rows["metric/R@1,mIoU"].iloc[:7]
    assert np.allclose(np.array(live.curves[1]["values"], float), want, equal_nan=True)


def test_a_stop_is_heard_at_a_rest_and_a_start_goes_on(tmp_path: Path, rows: pd.DataFrame) -> None:
    fake = Fake(tmp_path / "run", rows)
    live = LiveTraining(fake.begin, tmp_path / "run", EPOCHS)

    async def hand() -> None:
        live.wanted = "train"
        while len(live.epochs) < 3 and live.state != "failed":
            await asyncio.sleep(0.005)
        live.wanted = "train"  # a second press while it trains starts nothing
        live.wanted = "stop"
        assert live.state == "stopping"
        await live._task

    asyncio.run(hand())
    assert (live.state, live.wanted, fake.closed) == ("stopped", "", 1)
    assert live.epochs[-1] < EPOCHS
    again = LiveTraining(fake.begin, tmp_path / "run", EPOCHS)
    assert again.state == "stopped", "what is recorded is shown"
    asyncio.run(again.train())
    assert (again.state, again.epochs[-1]) == ("done", EPOCHS)


def test_an_error_is_said_and_the_next_press_tries_again(tmp_path: Path, rows: pd.DataFrame) -> None:
    fake = Fake(tmp_path / "run", rows, fails=2)
    live = LiveTraining(fake.begin, tmp_path / "run", EPOCHS)
    asyncio.run(live.train())
    assert (live.state, live.said) == ("failed", "ValueError: the loss is nan")
    fake.fails = 0
    asyncio.run(live.train())
    assert (live.state, live.said, live.epochs[-1]) == ("done", "", EPOCHS)


def test_columns_can_be_chosen(tmp_path: Path, rows: pd.DataFrame) -> None:
    fake = Fake(tmp_path / "run", rows)
    live = LiveTraining(fake.begin, tmp_path / "run", EPOCHS, ["loss/total"])
    asyncio.run(live.train())
    assert [curve["name"] for curve in live.curves] == ["loss/total"]
    assert live.curves[0]["values"][0] is None, "what an epoch did not record is no number"


@pytest.mark.browser
def test_without_a_kernel_the_curves_are_shown_and_the_buttons_rest(
    watch: Callable[..., Any], tmp_path: Path, rows: pd.DataFrame
) -> None:
    fake = Fake(tmp_path / "run", rows)
    for _ in fake.begin():
        pass
    live = LiveTraining(fake.begin, tmp_path / "run", EPOCHS)
    watched = watch()
    page = watched.open(live.save_html(tmp_path / "live.html"))
    assert page.inner_text(".label") == "To train, run the notebook: there is no kernel here."
    assert page.locator("button:disabled").count() == 2
    assert page.inner_text(".at") == "epoch 6 / 6"
    assert "at epoch 6 / 6" in page.locator("canvas.panels").get_attribute("aria-label")
    page.set_viewport_size({"width": 360, "height": 700})
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert watched.problems == []
