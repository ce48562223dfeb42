"""The two files of a study: what they hold, what is refused, and results of several machines in one."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.studies.conftest import ASKED
from tests.studies.tiny import tiny
from vmlkit.config import to_dict, with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.files import write_parquet
from vmlkit.studies import merge as merging
from vmlkit.studies.assembly import Measured, add_cells, study_hash, write_results
from vmlkit.studies.cells import Store, cells_of
from vmlkit.studies.merge import merge
from vmlkit.studies.outcomes import stored
from vmlkit.studies.results import SCHEMA, load_results
from vmlkit.studies.run import Options, run_study
from vmlkit.studies.storage import by_columns, by_lines, changes, undone, write_outcomes


def test_the_table_is_tidy(once: Path) -> None:
    results = load_results("tiny", once / "results")
    table = results.outcomes
    types = {"row": "category", "seed": "int16", "query": "int32", "video": "category"}
    draws = [f"iou{n}{draw}" for n in (1, 5) for draw in ("", ", draw 2", ", draw 3")]
    assert dict(table.dtypes.astype(str)) == types | dict.fromkeys(draws, "float16")
    cells = table.groupby(["row", "seed"], observed=True).size()
    assert cells.nunique() == 1, "every row and seed has every question once"
    assert results.rows == ("CPL", "CNM", "CNM, no contrast")
    assert set(results.baselines) == set(table["row"]) - set(results.rows)
    assert set(table[table["seed"] == -1]["row"]) == set(results.baselines), "no claim is about one that chance decides"


def test_the_record_says_how_it_was_made(once: Path) -> None:
    results, study = load_results("tiny", once / "results"), tiny()
    record, (made, *others) = results.record, results.record["made"]
    assert not others, "cells of one machine and revision have it once"
    assert made["versions"]
    assert len(made["revision"].partition("+")[0]) == 40
    assert made["revisions"] == [made["revision"]]
    assert {"processor", "capability", "threads", "accelerator"} <= made["hardware"].keys()
    assert made["study"] == record["study_hash"] == study_hash(study)
    assert record["dirty"] == ("+changes" in made["revision"])
    for row in study.rows:
        assert results.settings(row.name) == to_dict(row.experiment)
        assert results.experiment(row.name) == row.experiment
    assert "changed" in record["rows"]["CNM, no contrast"], "of rows of one method, what differs"
    assert len(record["missing"]) == 25 - 6
    assert [claim["class"] for claim in record["claims"]] == ["ours", "prior"]
    cell = results.cells.iloc[0]
    assert [epoch for epoch, _ in cell["validation"]] == [0, 1, 2]
    assert cell["chosen_epoch"] in (0, 1, 2)
    assert cell["dependence"]["end"]["epoch"] == 2
    assert {"chosen center R2", "chosen own IoU", "negative others' IoU"} < cell["dependence"]["end"].keys()
    assert "positive width spread" not in cell["dependence"]["end"]
    assert "19 cells are missing" in results.provenance
    made = record["made"][0]
    origin = f"{made['hardware']['processor']}, {made['hardware']['capability']}, torch {made['versions']['torch']}"
    assert f"; 6 cells on {origin}; python " in results.provenance
    assert "vmlkit study run tiny" in results.provenance


def test_a_study_keeps_the_curves_that_it_asks_for(measured: Path) -> None:
    asked = dataclasses.replace(tiny(), curves=("R@5,mIoN", "R@5,mIoN random intervals"))
    run_study(asked, ASKED, store=Store(measured / "runs"), results=measured / "new")
    cells = load_results("tiny", measured / "new").record["cells"]
    kept = {cell["row"]: cell["curves"] for cell in cells if "curves" in cell}
    assert set(kept) == {"CPL"}, "the complement of CNM is no interval"
    assert set(kept["CPL"]) == set(asked.curves)
    assert all([epoch for epoch, _ in curve] == [0, 1, 2] for curve in kept["CPL"].values())
    assert all(0 <= value <= 1 for curve in kept["CPL"].values() for _, value in curve)
    without = load_results("tiny", measured / "results").record["cells"]
    assert not any("curves" in cell for cell in without)


def test_overlaps_of_five_answers_are_not_kept_for_claims_about_negatives(measured: Path) -> None:
    claims = (dataclasses.replace(tiny().claims[1], metric="R@5,mIoN"), dataclasses.replace(tiny().claims[0]))
    study = dataclasses.replace(tiny(), claims=claims, metrics=("R@1,mIoU",))
    run_study(study, ASKED, store=Store(measured / "runs"), results=measured / "new")
    results = load_results("tiny", measured / "new")
    assert "iou1" in results.outcomes
    assert "iou5" not in results.outcomes
    assert set(results.values("CPL", "R@5,mIoN")) == {0, 1}


def test_a_claim_changed_after_the_run_changes_the_hash_and_not_that_of_the_cells(measured: Path) -> None:
    study = tiny()
    other = dataclasses.replace(study, claims=(*study.claims, dataclasses.replace(study.claims[0], delta=0.02)))
    run_study(other, ASKED, store=Store(measured / "runs"), results=measured / "results")
    record = load_results("tiny", measured / "results").record
    assert record["study_hash"] == study_hash(other)
    assert {made["study"] for made in record["made"]} == {study_hash(study)}


def test_values_come_from_outcomes_else_from_the_numbers_of_the_test_split(once: Path) -> None:
    results = load_results("tiny", once / "results")
    values = results.values("CPL", "R@1,mIoU")
    tests = {cell["seed"]: cell["test"] for cell in results.record["cells"] if cell["row"] == "CPL"}
    assert values.keys() == {0, 1}
    assert all(abs(values[seed] - tests[seed]["R@1,mIoU"]) < 0.003 for seed in values)
    assert results.values("whole video", "R@1,mIoU").keys() == {-1}
    with pytest.raises(ConfigError, match="no row or baseline 'PPS'"):
        results.values("PPS", "R@1,mIoU")
    with pytest.raises(DataError, match=r"keeps no 'R@1,mIoN' of 'CPL'; add it to the study's metrics"):
        results.values("CPL", "R@1,mIoN")


def test_results_of_another_form_or_of_another_table_are_refused(measured: Path) -> None:
    path = measured / "results" / "tiny.json"
    with pytest.raises(DataError, match="run `vmlkit study run nothing`"):
        load_results("nothing", measured / "results")
    whole = path.read_text()
    path.write_text(whole.replace(f'"schema": {SCHEMA}', '"schema": 1'))
    with pytest.raises(DataError, match=f"has schema version 1, and this vmlkit reads version {SCHEMA}"):
        load_results("tiny", path.parent)
    path.write_text(whole)
    table = path.with_suffix(".parquet")
    write_outcomes(table, pd.read_parquet(table).iloc[1:])
    with pytest.raises(DataError, match="is not the table that belongs to the JSON file"):
        load_results("tiny", path.parent)


def test_a_table_with_a_hole_is_refused(measured: Path) -> None:
    path = measured / "results" / "tiny.json"
    table = path.with_suffix(".parquet")
    holed = pd.read_parquet(table)
    holed.loc[holed.index[0], "iou1"] = np.nan
    write_outcomes(table, holed)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "outcomes": hashlib.sha256(table.read_bytes()).hexdigest()}))
    with pytest.raises(DataError, match=f"lacks numbers of some questions of the row '{holed['row'].iloc[0]}'"):
        load_results("tiny", path.parent)


@pytest.mark.parametrize("part", ["rows", "cells"])
def test_a_row_without_settings_and_a_cell_of_no_machine_are_refused(measured: Path, part: str) -> None:
    path = measured / "results" / "tiny.json"
    record = json.loads(path.read_text())
    if part == "rows":
        del record["rows"]["CNM"]["settings"]
    else:
        record["cells"][0]["made"] = 99
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"has no settings of the row|of no machine"):
        load_results("tiny", path.parent)


def test_how_far_windows_follow_may_be_unknown_at_an_epoch(measured: Path) -> None:
    """Where all true centers of a small split are one there is no variance to explain."""
    path = measured / "results" / "tiny.json"
    record = json.loads(path.read_text())
    record["cells"] = by_lines(record["cells"])
    record["cells"][0]["dependence"] = {
        "turn": {"epoch": 1, "chosen center R2": None},
        "end": {"chosen center R2": None},
    }
    path.write_text(json.dumps({**record, "cells": by_columns(record["cells"])}))
    found = load_results("tiny", path.parent)
    assert found.record["cells"] == record["cells"]
    with pytest.raises(DataError, match="keeps no 'dependence/chosen center R2'"):
        found.values(record["cells"][0]["row"], "dependence/chosen center R2")


@pytest.mark.parametrize("cells", [None, {"row": []}, [3], [{"row": 3}], [{"row": ["CNM"], "seed": [0, 1]}]])
def test_cells_that_are_no_tables_are_refused_and_lists_of_cells_are_read(measured: Path, cells: object) -> None:
    path = measured / "results" / "tiny.json"
    record = json.loads(path.read_text())
    lines = by_lines(record["cells"])
    path.write_text(json.dumps({**record, "cells": cells}))
    with pytest.raises(DataError, match=r"tiny.json: the table 'cells' (is no list|has something|has columns)"):
        load_results("tiny", path.parent)
    path.write_text(json.dumps({**record, "schema": 2, "cells": lines}))
    assert load_results("tiny", path.parent).record["cells"] == lines


def test_a_pair_that_a_kill_tore_apart_is_written_again(measured: Path, capsys) -> None:
    path = measured / "results" / "tiny.parquet"
    write_outcomes(path, pd.read_parquet(path).iloc[1:])
    run_study(tiny(), ASKED, store=Store(measured / "runs"), results=path.parent)
    assert "these results are left out" in capsys.readouterr().out
    assert len(load_results("tiny", path.parent).cells) == 6


def parts(measured: Path) -> tuple[Path, Path]:
    """The results of two machines: seed 0 of each row, and seed 1."""
    for seed in (0, 1):
        found = Measured(tiny())
        cells = [cell for cell in cells_of(tiny(), seeds=2) if cell.seed == seed]
        add_cells(found, Store(measured / "runs"), cells)
        write_results(found, measured / f"machine{seed}")
    return measured / "machine0", measured / "machine1"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "KNOWN", {"tiny": tiny})


def test_results_of_two_machines_become_one(measured: Path, known: None) -> None:
    store, into = Store(measured / "locks"), measured / "merged"
    assert merge(parts(measured), into, store=store) == {"tiny": []}
    one, other = (load_results("tiny", folder) for folder in (into, measured / "results"))
    assert one.record["cells"] == other.record["cells"]
    pd.testing.assert_frame_equal(one.outcomes, other.outcomes)
    again = (into / "tiny.json").read_bytes()
    assert merge([measured / "machine1"], into, store=store) == {"tiny": []}
    assert (into / "tiny.json").read_bytes() == again, "what is there already is the same"


def test_of_two_copies_that_differ_the_first_is_kept_and_said(measured: Path, known: None) -> None:
    first, second = parts(measured)
    shutil.copytree(first, second, dirs_exist_ok=True)
    table = load_results("tiny", second).outcomes
    table.loc[(table["row"] == "CPL") & (table["query"] == 0), "iou1"] = np.float16(0.123)
    replaced(second, table)
    (line,) = merge([first, second], measured / "merged", store=Store(measured / "locks"))["tiny"]
    assert "'CPL', seed 0" in line
    assert "has other numbers, and the first are kept" in line
    assert float(np.float16(0.123)) not in load_results("tiny", measured / "merged").of("CPL")["iou1"].tolist()


def replaced(folder: Path, table: pd.DataFrame) -> None:
    """Another table in the place of a study's, with its hash."""
    path = folder / "tiny.json"
    write_outcomes(path.with_suffix(".parquet"), table)
    digest = hashlib.sha256(path.with_suffix(".parquet").read_bytes()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "outcomes": digest}))


def test_other_settings_and_other_data_are_refused(measured: Path, monkeypatch) -> None:
    first, second = parts(measured)
    study = tiny()
    changed = with_overrides(study.rows[0].experiment, {"train.epochs": 3})
    rows = (dataclasses.replace(study.rows[0], experiment=changed), *study.rows[1:])
    monkeypatch.setattr(merging, "KNOWN", {"tiny": lambda: dataclasses.replace(study, rows=rows)})
    with pytest.raises(ConfigError, match="the row 'CPL' was measured with settings that it does not have now"):
        merge([first], measured / "merged", store=Store(measured / "locks"))
    monkeypatch.setattr(merging, "KNOWN", {"tiny": tiny})
    table = load_results("tiny", second).outcomes
    replaced(second, table.assign(video=table["video"].astype(str) + "x"))
    with pytest.raises(DataError, match="answered another test split than the cells before it"):
        merge([first, second], measured / "merged", store=Store(measured / "locks"))
    with pytest.raises(DataError, match="holds no results of studies"):
        merge([measured / "runs"], measured / "merged")
    monkeypatch.setattr(merging, "KNOWN", {})
    with pytest.raises(ConfigError, match="there is no study 'tiny' now"):
        merge([first], measured / "merged")


def test_cells_of_a_row_that_has_changed_are_left_out(measured: Path, capsys) -> None:
    study = tiny()
    changed = with_overrides(study.rows[1].experiment, {"train.epochs": 1})
    rows = (study.rows[0], dataclasses.replace(study.rows[1], experiment=changed), study.rows[2])
    asked = Options(seeds=1, allow_dirty=True)
    run_study(dataclasses.replace(study, rows=rows), asked, store=Store(measured / "new"), results=measured / "results")
    assert (
        "'CNM' was measured with settings that it does not have now; its cells are left out" in capsys.readouterr().out
    )
    cells = load_results("tiny", measured / "results").cells
    assert cells.groupby("row").size().to_dict() == {"CPL": 2, "CNM": 1, "CNM, no contrast": 2}


def test_a_cell_of_an_older_form_is_computed_again(measured: Path) -> None:
    store, cell = Store(measured / "runs"), cells_of(tiny())[0]
    path = store.folder(cell) / "cell.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 0}))
    assert not store.finished(cell)


def test_settings_are_written_as_what_differs() -> None:
    base = {"a": {"b": 1, "c": None}, "d": [1, 2]}
    for other in ({"a": {"b": 1, "c": {"e": 2}}, "d": [1]}, {"a": {"b": 1}, "d": [1, 2]}, base):
        assert undone(base, changes(base, other)) == other
    assert changes(base, base) == {}


def test_a_study_of_sixty_cells_takes_less_than_sixty_kilobytes(tmp_path: Path) -> None:
    rng, parts = np.random.default_rng(0), []
    for row in range(10):
        for seed in range(6):
            iou = np.clip(rng.normal(0.4, 0.3, (397, 2)), 0, 1)
            parts.append(
                pd.DataFrame(
                    {"row": f"row {row}", "seed": seed, "query": np.arange(397), "video": np.arange(397) // 3}
                ).assign(iou1=stored(iou[:, 0]), iou5=stored(iou.max(axis=1)))
            )
    types = {"row": "category", "seed": "int16", "query": "int32", "video": "category"}
    table = pd.concat(parts).astype({"video": str}).astype(types)
    write_outcomes(tmp_path / "packed.parquet", table)
    write_parquet(tmp_path / "plain.parquet", table)
    packed = (tmp_path / "packed.parquet").stat().st_size
    assert packed < 60_000
    assert packed < (tmp_path / "plain.parquet").stat().st_size
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "packed.parquet"), table.reset_index(drop=True))
