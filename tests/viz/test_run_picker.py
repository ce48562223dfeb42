"""A menu of recorded runs: what it lists, what it shows, and what it says where there is nothing to show."""

import os
from pathlib import Path

import pytest

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed (extra 'notebooks')")
pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
from tests.viz.make_run import write_run
from vmlkit.errors import DataError
from vmlkit.viz.run_picker import pick_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs of other lengths, the longer one newer and in a folder below."""
    for name, epochs, second in (("short", 3, 10**9), ("below/a & <b>", 7, 10**9 + 10**6)):
        os.utime(write_run(tmp_path / name, epochs=epochs, queries=2) / "proposals.parquet", (second, second))
    return tmp_path


def test_the_newest_run_opens_and_another_one_takes_its_place(folder: Path) -> None:
    picker = pick_run(folder, trail=True)
    newest, oldest = picker.menu.names
    assert newest.startswith("below/a & <b> · 2001-09-2")
    assert oldest.startswith("short · 2001-09-0")
    menu, scrubber = picker.children
    assert (picker.run, scrubber.trail) == (folder / "below" / "a & <b>", True)
    menu.chosen = 1
    assert picker.children[1].source.epochs[-1] == 3
    assert (picker.run, scrubber.comm) == (folder / "short", None), "the other one is closed"
    assert repr(picker) == f"RunPicker: {oldest}, of 2"
    assert pick_run(folder, folder / "short").run == folder / "short"


def test_its_twin_names_every_run_as_text(folder: Path) -> None:
    page = pick_run(folder)._repr_mimebundle_()["text/html"]
    assert "below/a &amp; &lt;b&gt;" in page
    assert "<select disabled" in page
    assert "render({ model, el: host })" in page


def test_a_run_that_cannot_be_shown_is_said_and_what_is_none_is_passed_over(folder: Path) -> None:
    (folder / "short" / "probe.json").write_text("[]<")
    (folder / "below" / "a & <b>" / "config.json").write_text("{}")
    picker = pick_run(folder)
    assert len(picker.menu.names) == 1
    assert "probe.json" in picker.children[1].value
    assert "<" not in picker.children[1].value
    assert "probe.json" in picker._repr_mimebundle_()["text/html"]


def test_a_folder_without_runs_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "not there"):
        with pytest.raises(DataError, match="holds no recorded run; train one there"):
            pick_run(nothing)
    with pytest.raises(DataError, match="is no recorded run below"):
        pick_run(folder, folder / "empty")
