"""``vmlkit table`` for figures of single questions, curves over the epochs, times and sizes, on a few toy videos."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.data.conftest import find_data
from tests.studies.tabled import run
from vmlkit.errors import DataError
from vmlkit.studies.table_measures import measures_of
from vmlkit.studies.table_pictures import pictures
from vmlkit.tables import load
from vmlkit.tables.regenerate import plan

SMALL = {"data.train_videos": 8, "data.validation_videos": 3, "data.test_videos": 4}
TWO = {**SMALL, "train.epochs": 2, "train.probe_queries": 2}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "tables"


@pytest.mark.parametrize(
    ("table", "drawn"),
    [
        ("P0/fig7", ["-query-0", "-query-1"]),
        pytest.param("P2/fig4", ["-query-0", "-query-1"], marks=pytest.mark.slow),
        pytest.param("P3/fig3", ["-query-0", "-query-1"], marks=pytest.mark.slow),
        pytest.param("P4/fig4", ["-query-0", "-query-1"], marks=pytest.mark.slow),
        pytest.param("P4/fig5", ["-QD-DETR-adaptive"], marks=pytest.mark.slow),
    ],
)
def test_a_figure_of_single_questions_is_drawn_from_its_runs(
    table: str, drawn: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, table, "--data", "toy", "--seeds", "1", "--allow-dirty", "--figure", **TWO)
    stem = table.replace("/", "-")
    assert {path.name for path in here.glob("*.png")} == {f"{stem}{suffix}.png" for suffix in ["", *drawn]}
    made = dict(pictures(plan(load(table), "toy", settings=TWO)))
    assert list(made) == drawn
    figure = made[drawn[0]]
    assert any(ax.lines or ax.patches or ax.collections for ax in figure.axes)


def test_a_figure_over_the_epochs_has_a_curve_for_each_row_that_can_have_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("--rows", "learned, alpha 0.5", "rule-based (variable-sized)")
    shown = run(capsys, "P0/fig6", "--data", "toy", "--seeds", "1", *rows, "--allow-dirty", "--figure", **TWO)
    lines = [line for line in shown.splitlines() if line.startswith("by epoch, toy, size ci, ")]
    assert len(lines) == 4, "two rows, R@1 and R@5"
    assert all([part.split(":")[0] for part in line.split(": ", 1)[1].split(", ")] == ["0", "1", "2"] for line in lines)
    assert all("0.00" in line for line in lines if "variable-sized), R@1" in line), "rules stay outside of the answer"
    assert (here / "P0-fig6.png").is_file()


def test_times_of_methods_stand_beside_those_of_the_papers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("P2/10", "--data", "toy", "--device", "cpu")
    assert "timed" in run(capsys, *asked, "--dry-run", **SMALL)
    assert not here.exists()
    shown = run(capsys, *asked, "--export", "csv", **SMALL)
    assert "training is a step's time for every training question and epoch" in shown
    assert "the mean over seeds" not in shown
    read = pd.read_csv(here / "P2-10.csv").set_index("row")
    own = read.filter(like="ours: toy, size ci, cpu").filter(regex="(iteration|inference on the split|training)$")
    assert (own.loc["BM-DETR (ours)"] > 0).all()
    assert own.shape[1] == 3
    assert own.loc["MMN [42]"].isna().all()
    assert "ours: toy, size ci, cpu" in run(capsys, "P2/10"), "it is kept"


def test_sizes_are_counted_in_the_annotations(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "P2/1", "--data", "toy", "--export", "csv", **SMALL)
    assert "counted in what the package makes" in made
    read = pd.read_csv(here / "P2-1.csv").set_index("row")
    own = read.filter(regex=r"ours: toy [\w ]+$").loc["CharadesSTA"]
    assert own["ours: toy videos"] == 15
    assert own["ours: toy mean moment"] < own["ours: toy mean video"]


def test_a_damaged_measurement_is_named(here: Path) -> None:
    here.mkdir(parents=True)
    (here / "P2-1-toy-ci.json").write_text(json.dumps({"schema": 1, "label": "x", "source": "y", "cells": [["a"]]}))
    with pytest.raises(DataError, match="P2-1-toy-ci"):
        measures_of(load("P2/1"), here)


def test_costs_of_a_table_need_a_source_of_theirs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "P1/speed", "--data", "charades", code=2)
    assert "no row of P1/speed is measured on 'charades'" in said


SIZES = {"charades_sta": ("charades_sta_detr", "CharadesSTA", 16_128), "tacos": ("tacos", "TACoS", 18_227),
         "qvhighlights": ("qvhighlights", "QVHighlights", 10_310)}  # fmt: skip


@pytest.mark.parametrize("data", SIZES)
def test_real_annotations_have_the_sizes_of_the_paper_or_a_note(
    data: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, row, queries = SIZES[data]
    folder = find_data(name)
    if folder is None:
        pytest.skip(f"needs real annotations: set VMLKIT_DATA to the folder that holds {name}")
    run(capsys, "P2/1", "--data", data, "--annotations", str(folder), "--export", "csv")
    table = load("P2/1")
    read = pd.read_csv(here / "P2-1.csv").set_index("row").loc[row]
    published = table.frame().loc[row].to_dict()
    assert read[f"ours: {data} queries"] == queries
    for column in ("videos", "queries"):
        assert read[f"ours: {data} {column}"] == pytest.approx(published["all", column], rel=0.02)
    assert read[f"ours: {data} mean video"] == pytest.approx(published["all", "mean video"], abs=0.7)
    length = read[f"ours: {data} mean moment"]
    assert abs(length - published["all", "mean moment"]) < 0.2 or any(f"{length:.1f} s" in n for n in table.notes)
