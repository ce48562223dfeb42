"""The papers' tables as data: they are complete, consistent, and name what vmlkit has."""

import json
from copy import deepcopy
from functools import cache
from importlib.resources import files

import numpy as np
import pytest

from vmlkit.errors import ConfigError, DataError
from vmlkit.methods import DATA, METHODS, STUDIES
from vmlkit.tables import every, find, load
from vmlkit.tables.records import UNITS, table_of

#: tables and figures that a teacher looks for, by paper
NAMED = [
    *(f"P0 Table {n}" for n in ("1", "2", "3", "4", "5a", "5b", "5c")),
    *(f"P0 Fig. {n}" for n in range(4, 8)),
    *(f"P1 Table {n}" for n in range(1, 6)),
    *(f"P2 Table {n}" for n in range(1, 11)),
    *(f"P2 Fig. {n}" for n in (3, 4)),
    *(f"P3 Table {n}" for n in range(1, 9)),
    "P3 Fig. 3",
    "P3 Sec. 4.4",
    *(f"P4 Table {n}" for n in range(1, 6)),
    *(f"P4 Fig. {n}" for n in (4, 5)),
]


@cache
def rows_of(study: str) -> dict[str, str]:
    """Rows of a study with the method of each."""
    return {row.name: row.experiment.method for row in STUDIES[study]().rows}


@pytest.fixture
def record() -> dict:
    text = files("vmlkit.tables").joinpath("p0.json").read_text(encoding="utf-8")
    return deepcopy(next(t for t in json.loads(text)["tables"] if t["id"] == "P0/5a"))


def test_every_table_and_figure_is_there() -> None:
    assert {table.label for table in every()} == set(NAMED)


@pytest.mark.parametrize("table", every(), ids=lambda t: t.id)
def test_a_record_names_what_there_is(table) -> None:
    assert set(table.data) <= set(DATA)
    for row in (*table.rows, *table.lines):
        assert not row.method or row.method in METHODS, row.name
        for study, name in row.measured:
            assert name in rows_of(study), f"{row.name}: {study} has no row '{name}'"


def test_what_a_row_is_measured_by_is_its_own_method() -> None:
    for table in every():
        hosts = {column.host for column in table.columns}
        for row in table.lines:
            for study, name in row.measured if row.method and hosts <= {""} else ():
                method = rows_of(study)[name]
                assert method == row.method or {method, row.method} == {"cpl", "lnp-cpl"}, f"{table.id} {row.name}"


def test_cells_come_as_a_frame() -> None:
    frame = load("P0/3").frame()
    assert frame.index.names == ["row", "alpha"]
    assert frame.loc[("Logarithmic", 0.5), ("activitynet val_2", "R@5,mIoU")] == 61.72
    cited = load("P0/1").frame()
    assert cited.shape == (25, 12)
    assert np.isnan(cited.loc["CNM [58]", ("charades test", "R@5,IoU=0.3")])
    assert load("P2/2").frame().loc[("VGG", "BM-DETR (ours)")].tolist() == [56.91, 36.24]
    assert load("P0/fig6").frame().empty


def test_two_papers_that_cite_one_number_agree_or_say_so() -> None:
    own, cited = load("P1/2"), load("P0/1")
    assert own.frame().loc["CNM (ours)"].tolist() == [60.04, 35.15, 14.95]
    assert cited.frame().loc["CNM [58]"].tolist()[:3] == [60.39, 35.43, 15.45]
    assert any("60.04" in note for note in cited.notes)
    assert any("60.39" in note for note in own.notes)
    kinds, selection = load("P0/4").frame().loc["None"], load("P0/5b").frame().loc["None"]
    assert kinds.iloc[1] != selection.iloc[0]
    assert any("25.45" in note for note in load("P0/4").notes)
    test = load("P2/4").frame().loc["QD-DETR [27]"].tolist()
    assert load("P4/2").frame().loc["Baseline"].tolist()[5:] == test


def test_means_that_are_none_are_noted() -> None:
    table = load("P3/1")
    frame = table.frame()
    means = frame.iloc[:, :5].mean(axis=1)
    strange = [name for name in frame.index if abs(means[name] - frame.loc[name].iloc[5]) > 0.0501]
    assert strange
    assert [note.split(":")[0] for note in table.notes if "printed as the mean" in note] == [
        name for name in strange if abs(means[name] - frame.loc[name].iloc[5]) > 0.051
    ]


def test_ids_are_found_in_any_case_by_label_and_in_parts() -> None:
    assert [t.id for t in find("p2/FIG3")] == ["P2/fig3"]
    assert [t.id for t in find("P0 Table 5")] == ["P0/5a", "P0/5b", "P0/5c"]
    assert len(find("P4")) == 7
    with pytest.raises(ConfigError, match="stands for several tables: choose one of P0/5a, P0/5b, P0/5c"):
        load("P0/5")
    with pytest.raises(ConfigError, match="no published table 'P3/9': choose one of P3/1"):
        load("P3/9")
    with pytest.raises(ConfigError, match="the papers P0 to P4"):
        find("Q1")


def cell(record: dict, value: float) -> None:
    record["rows"][0]["cells"][0] = value


WRONG = {
    "a digit": (lambda r: cell(r, 37.23), "adds up to 75.72"),
    "out of range": (lambda r: cell(r, 3732), "is no value in %"),
    "a row too few": (lambda r: r["rows"].pop(), "has 1 rows"),
    "a cell too few": (lambda r: r["rows"][0]["cells"].pop(), "has 1 cells"),
    "a row twice": (lambda r: r["rows"][1].update(name=r["rows"][0]["name"]), "stands there twice"),
    "a factor": (lambda r: r["rows"][0].update(factors=[1]), "and 1 factors"),
    "a unit": (lambda r: r["columns"][0].update(unit="miles"), "unit 'miles' is none"),
    "an author": (lambda r: r["rows"][0].update(by="me"), "is by 'me'"),
    "a field": (lambda r: r.update(colour="red"), "fields are not those"),
    "a field of a row": (lambda r: r["rows"][0].update(colour="red"), "fields are not those"),
    "no field": (lambda r: r.pop("about"), "fields are not those"),
    "other data": (lambda r: r["columns"][0].update(data="tacos"), "about tacos"),
    "another paper": (lambda r: r.update(id="P1/5a"), "not of one paper"),
    "a kind": (lambda r: r.update(kind="poem"), "kind 'poem' is none"),
    "nothing": (lambda r: r.update(rows=[]), "neither rows nor a word"),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_record_that_is_not_consistent_is_refused(record: dict, change: str) -> None:
    assert table_of(record, "p0.json").id == "P0/5a"
    edit, said = WRONG[change]
    edit(record)
    with pytest.raises(DataError, match=said) as error:
        table_of(record, "p0.json")
    assert "p0.json: P" in str(error.value)


def test_a_label_that_does_not_exist_is_refused(record: dict) -> None:
    record["label"] = f"P0 Table {9}"
    with pytest.raises(ConfigError, match="P0 has no 'Table"):
        table_of(record, "p0.json")


def test_units_have_a_range() -> None:
    assert all(low < high for low, high in UNITS.values())
    assert {column.unit for table in every() for column in table.columns} <= set(UNITS)
