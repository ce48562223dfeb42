"""The knobs of a notebook: every value is checked, and no second value meets the runs of the first."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vmlkit as vk
from tests.studies.tiny import tiny
from vmlkit.config import config_hash, with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.page import SIZES, TOY_SIZES, Stripes


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, as a notebook may be opened in."""
    monkeypatch.chdir(tmp_path)
    yield
    assert Path.cwd() == tmp_path


def test_other_knobs_get_other_folders() -> None:
    def folder(**knobs) -> str:
        return vk.open_page("runs/00_tour", **knobs).folder.as_posix()

    assert folder() == "runs/00_tour"
    assert folder(size="demo") == "runs/00_tour-demo"
    assert folder(seed=3, data="planted:charades") == "runs/00_tour-seed3-planted_charades"
    every = {folder(size=size, seed=seed) for size in ("ci", "demo", "long") for seed in (0, 1)}
    assert len(every) == 6


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"size": "large"}, "size is 'large': on the data 'toy' choose one of ci, demo, long"),
        ({"size": "paper"}, "size is 'paper': on the data 'toy' choose one of ci, demo, long"),
        ({"size": "long", "data": "charades"}, "on the data 'charades' choose one of ci, demo, paper"),
        ({"seed": -1}, "seed is -1: choose a whole number from 0 to 2147483647"),
        ({"seed": 0.5}, "seed is 0.5: choose"),
        ({"seed": True}, "seed is True: choose"),
        ({"data": "charade"}, "data is 'charade': choose one of toy,"),
        (
            {"data": "thumos14", "methods": ["cnm"]},
            "data is 'thumos14': choose one of toy, planted:charades, charades,",
        ),
        ({"annotations": "a.json"}, "the toy world makes its own videos"),
        ({"device": "abacus"}, "device is 'abacus'"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_sentence(knobs: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=r"\w") as caught:
        vk.open_page("runs/a", **knobs)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_has_the_knobs_and_the_changes() -> None:
    page = vk.open_page("runs/a", size="demo", seed=4)
    made = page.preset("cpl", {"train.epochs": 3})
    assert made == with_overrides(vk.preset("cpl", "toy", "demo"), {"train.seed": 4, "train.epochs": 3})
    files = vk.open_page("runs/a", data="planted:charades", annotations="x").preset("cpl")
    assert str(files.data.annotations) == "x"
    with pytest.raises(ConfigError, match="'basnet' has no preset for the data 'charades'"):
        vk.open_page("runs/a", data="charades").preset("basnet")


def test_the_long_size_is_the_largest_of_the_toy_world() -> None:
    assert vk.open_page("runs/a", size="long").preset("cpl") == vk.preset("cpl", "toy", "paper")
    assert set(TOY_SIZES) < set(SIZES)


def test_a_changed_setting_trains_beside_the_first_run() -> None:
    page, one = vk.open_page("runs/a"), tiny().rows[1].experiment
    other = with_overrides(one, {"train.seed": 7})
    first, second = page.train(one), page.train(other)
    assert first.path == Path("runs/a")
    assert second.path == Path(f"runs/a-{config_hash(other)}")
    written = {run.path: os.stat(run.path / "metrics.json").st_mtime_ns for run in (first, second)}
    assert page.train(one).path == first.path
    assert page.train(other).path == second.path
    assert {path: os.stat(path / "metrics.json").st_mtime_ns for path in written} == written
    assert page.path("taught") == Path("runs/a_taught")


def test_what_a_page_speaks_of_must_hold_with_its_own_knobs_only(capsys: pytest.CaptureFixture[str]) -> None:
    vk.open_page("runs/a").expect(1 < 2, "one is not below two")
    with pytest.raises(AssertionError, match="two is not below one"):
        vk.open_page("runs/a").expect(2 < 1, "two is not below one")
    vk.open_page("runs/a", seed=1).expect(2 < 1, "two is not below one")
    assert "Not as on the page with its own size, seed and data: two is not below one." in capsys.readouterr().out


def test_features_stand_in_for_pictures_that_are_not_there() -> None:
    page, one = vk.open_page("runs/a"), tiny().rows[1].experiment
    splits = page.load(one)
    assert not isinstance(splits.test.film_strip, Stripes)
    stripes = Stripes(splits.test)
    strip = stripes(splits.test.video_ids[0], 5, 16)
    assert strip.shape == (5, 16, 16, 3)
    assert strip.dtype == np.uint8
    assert len({picture.tobytes() for picture in strip}) > 1
