"""Sweeps on validation: as they were measured, what studies take from them, and how one comes about."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from vmlkit.errors import ConfigError
from vmlkit.experiments.sweeps import SEEDS, Sweep, chosen, load_sweep, measure, sweeps
from vmlkit.files import write_json
from vmlkit.runs import read_json

ROOT = Path(__file__).parents[2]
TINY = {"data.train_videos": 24, "data.validation_videos": 3, "data.test_videos": 4, "data.clips": 8,
        "model.steps_per_epoch": 1, "train.epochs": 1}  # fmt: skip
SMALL = Sweep(
    name="small", study="p3-toy", rows=("BaS-Net",), setting="train.lr", values=(0.001, 0.01), metric="mAP@0.3:0.7",
    set=TINY,
)  # fmt: skip


@pytest.mark.parametrize("sweep", sweeps().values(), ids=lambda sweep: sweep.name)
def test_studies_have_what_their_sweeps_chose(sweep: Sweep) -> None:
    if not (ROOT / "results" / "selection" / f"{sweep.name}.json").is_file():
        pytest.skip(f"the sweep '{sweep.name}' is not measured yet")
    record = load_sweep(sweep.name, ROOT / "results")
    assert (record["study"], record["setting"], record["metric"]) == (sweep.study, sweep.setting, sweep.metric)
    assert (record["values"], record["set"]) == (list(sweep.values), sweep.set)
    assert tuple(record["rows"]) == sweep.rows
    for name, row in record["rows"].items():
        assert {len(found) for found in row["validation"].values()} == {len(SEEDS)}
        assert row["chosen"] == chosen(sweep, row["validation"]) == sweep.taken(name), name
        assert not any(revision.endswith("changes") for revision in row["revisions"])


def test_the_value_of_the_highest_mean_is_chosen() -> None:
    assert chosen(SMALL, {"0.001": [0.2, 0.4], "0.01": [0.1, 0.6]}) == 0.01
    assert chosen(SMALL, {"0.001": [0.2, 0.4], "0.01": [0.2, 0.4]}) == 0.001


def test_a_sweep_is_measured_once_and_again_where_a_row_has_changed(tmp_path: Path) -> None:
    path = measure(SMALL, tmp_path, progress=False)
    record = read_json(path)
    assert list(record["rows"]["BaS-Net"]["validation"]) == ["0.001", "0.01"]
    record["rows"]["BaS-Net"]["validation"]["0.001"] = [7.0, 7.0]
    record["rows"]["BaS-Net"]["revisions"] = ["kept"]
    write_json(path, record)

    def again(**changes: Any) -> dict[str, Any]:
        return read_json(measure(dataclasses.replace(SMALL, **changes), tmp_path, progress=False))["rows"]["BaS-Net"]

    assert again()["revisions"] == ["kept"]
    more = again(values=(0.001, 0.01, 0.1))
    assert (more["validation"]["0.001"], more["revisions"][0], len(more["revisions"])) == ([7.0, 7.0], "kept", 2)
    anew = again(set={**TINY, "train.epochs": 2})
    assert anew["validation"]["0.001"] != [7.0, 7.0]
    assert "kept" not in anew["revisions"]


def test_a_row_that_the_study_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the sweep 'small' names the row 'No-Net', which 'p3-toy' does not have"):
        measure(dataclasses.replace(SMALL, rows=("No-Net",)), tmp_path, progress=False)
