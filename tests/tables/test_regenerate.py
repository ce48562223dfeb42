"""Every row of a published table that vmlkit has is an experiment on every source, and that of its study."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

from vmlkit.config import to_dict, with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, task_of
from vmlkit.methods import METHODS, STUDIES, preset
from vmlkit.studies.cells import Cell
from vmlkit.studies.storage import changes
from vmlkit.tables import every, load
from vmlkit.tables.records import PublishedTable
from vmlkit.tables.regenerate import measured_on, metrics_of, names_of, plan, sources_of
from vmlkit.training.experiment import Experiment
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam
from vmlkit.training.study import Row, Study

MEASURED = [table for table in every() if any(metrics_of(table, data) for data in sources_of(table))]
#: tables of which every row that a study has is the table's own row; P4's studies choose the weight of the loss
SHARED = ("P0/3", "P0/4", "P0/5a", "P0/5b", "P0/5c", "P1/4", "P1/5", "P3/3", "P3/4", "P3/5", "P3/6", "P3/7", "P3/8")


@cache
def study(name: str) -> Study:
    return STUDIES[name]()


LOADED: dict[str, Any] = {}


def load_once(experiment: Experiment) -> Any:
    """Its data, kept for all rows that can share them."""
    key = Cell(Row(name="", experiment=experiment), 0).data
    if key not in LOADED:
        LOADED[key] = METHODS[experiment.method].load(experiment.data, progress=False)
    return LOADED[key]


@pytest.mark.slow
@pytest.mark.parametrize("table", [t for t in MEASURED if "toy" in sources_of(t)], ids=lambda t: t.id)
def test_every_row_trains_on_toy(table: PublishedTable) -> None:
    """One step of each, by its own optimisers: the loss is finite, and some weight has moved where there is a loss."""
    settings = {"data.train_videos": 12, "data.validation_videos": 3, "data.test_videos": 4}
    for row in plan(table, "toy", settings=settings).study.rows[:12]:
        experiment = row.experiment
        task, splits = task_of(experiment), load_once(experiment)
        method = build(experiment, splits.train)
        before = torch.cat([p.detach().flatten().clone() for p in method.parameters()])
        rows = task.order(splits.train, min(8, len(splits.train)), 0, 1)[0]
        optimizers = {name: ScheduledAdam(group, **method.optimizer_settings().get(name, {}))
                      for name, group in method.parameter_groups().items()}  # fmt: skip
        batch = task.batch(splits.train, rows, 0)
        loss = method.train().step(batch, Progress(1, 2), torch.Generator().manual_seed(0), optimizers)
        assert torch.isfinite(loss.total), row.name
        after = torch.cat([p.detach().flatten() for p in method.parameters()])
        assert (before != after).any() or row.name == "none", row.name


def test_tables_that_training_measures_are_those_that_it_can() -> None:
    left = {table.id for table in every()} - {table.id for table in MEASURED}
    assert left == {"P1/speed", "P2/1", "P2/10", "P4/1"}
    for table in every():
        assert "toy" in measured_on(table) or table.texts, f"{table.id} runs from a fresh clone"


@pytest.mark.parametrize("size", ["ci", "paper"])
@pytest.mark.parametrize("table", MEASURED, ids=lambda t: t.id)
def test_every_row_is_an_experiment_that_can_be_run(table: PublishedTable, size: str) -> None:
    reached = set()
    for data in sources_of(table):
        made = plan(table, data, size)
        for row in made.study.rows:
            assert task_of(row.experiment).headline
        reached |= {row.name for row in made.study.rows}
    assert reached == set(names_of(table).values())


@pytest.mark.parametrize("table", MEASURED, ids=lambda t: t.id)
def test_rows_that_the_paper_tells_apart_are_apart(table: PublishedTable) -> None:
    for data in sources_of(table):
        rows = plan(table, data).study.rows
        assert len({Cell(row, 0).hash for row in rows}) == len(rows), data


def shared() -> Iterator[tuple[str, str, str, str]]:
    """(table, row, study, row of the study) where both are of one method."""
    for name in SHARED:
        table = load(name)
        for number, row in enumerate(table.rows):
            for of, measured in row.measured:
                own = {r.name: r.experiment for r in study(of).rows}[measured]
                if own.method == row.method and (of, own.data.name) != ("p3-toy", "toy"):
                    yield name, names_of(table)[number, ""], of, measured


def size_of(rows: Iterable[Experiment], bare: Experiment) -> dict[str, Any]:
    """Settings of the model that all rows of a method have otherwise than its preset."""
    found = [changes(to_dict(bare.model), to_dict(row.model)).items() for row in rows if row.method == bare.method]
    return {f"model.{name}": value for name, value in found[0] if all((name, value) in other for other in found)}


@pytest.mark.parametrize(("table", "row", "of", "measured"), list(shared()))
def test_a_row_is_the_cell_of_the_study_that_measures_it(table: str, row: str, of: str, measured: str) -> None:
    """But for what the study sets for every row, which is its size."""
    theirs = {r.name: r.experiment for r in study(of).rows}
    first = theirs[measured]
    bare = preset(first.method, first.data.name, "demo")
    ours = {r.name: r.experiment for r in plan(load(table), first.data.name, "demo").study.rows}[row]
    assert with_overrides(ours, {"train": first.train, **size_of(theirs.values(), bare)}).model == first.model
    prompt = {"prompt_template": ours.data.prompt_template} if hasattr(ours.data, "prompt_template") else {}
    for key, value in prompt.items():
        assert getattr(first.data, key) == value
    assert ours.method == bare.method


def test_a_host_with_another_methods_part_keeps_its_own_attention() -> None:
    for data, size in (("toy", "ci"), ("thumos14", "paper")):
        rows = {row.name: row.experiment for row in plan(load("P3/8"), data, size).study.rows}
        both = rows["HAMNet + TSM + VLC"].model
        assert both.vlc.attention.kind == both.host.attention.kind == "conv"
        assert both.vlc.attention.hidden == both.host.attention.hidden
        assert both.host.text == preset("tsm", data, size).model.host.text  # type: ignore[arg-type]
        assert rows["HAMNet [16]"].model.vlc is None


def test_metrics_are_those_of_the_columns_about_the_source() -> None:
    table = load("P0/1")
    assert "R@1,IoU=0.1" in metrics_of(table, "planted:activitynet")
    assert "R@1,IoU=0.1" not in metrics_of(table, "charades")
    assert len(metrics_of(table, "toy")) == 8
    assert metrics_of(load("P2/6"), "toy") == ("R@1,IoU=0.5 (ood)", "R@1,IoU=0.7 (ood)")
    assert metrics_of(load("P2/9"), "tacos") == ("joint,inside", "joint,outside")


def test_a_row_about_one_data_set_is_of_that_alone() -> None:
    names = {row.name for row in plan(load("P2/9"), "planted:tacos").study.rows}
    assert names == {"TACoS, without negative queries", "TACoS, with negative queries"}
    assert len(plan(load("P2/9"), "toy").study.rows) == 2


def test_a_row_that_a_source_cannot_have_is_left_out_and_said() -> None:
    made = plan(load("P2/2"), "toy")
    assert "data.kinds" in made.left_out["C3D: BM-DETR (ours)"]
    assert len(plan(load("P2/2"), "charades_sta").study.rows) == 6
    assert "'basnet' does not read" in plan(load("P3/2"), "activitynet1.3").left_out["BasNet(2020) [22]"]


def test_settings_of_the_caller_win_and_name_the_study() -> None:
    plain, changed = (plan(load("P0/3"), "toy", settings=s) for s in ({}, {"train.epochs": 3, "model.lnp.alpha": 4.0}))
    assert plain.study.name == "P0-3-toy-ci"
    assert changed.study.name.startswith("P0-3-toy-ci-")
    assert {row.experiment.model.lnp.alpha for row in changed.study.rows} == {4.0}


def test_the_command_of_a_study_makes_it_again_but_for_folders_of_the_reader() -> None:
    given = {"data.annotations": "a folder", "train.epochs": 3, "data.word_vectors": "a name"}
    made = plan(load("P0/1"), "charades", settings=given).study
    assert made.command == (
        "vmlkit table P0/1 --data charades --size ci --annotations PATH --set train.epochs=3 "
        "--set 'data.word_vectors=a name'"
    )
    moved = plan(load("P0/1"), "charades", settings={**given, "data.annotations": "another"}).study
    assert moved.title == made.title, "where the files lie is no setting of a column"
    assert plan(load("P0/1"), "charades", settings={**given, "train.epochs": 4}).study.title != made.title


def test_the_surface_has_every_pair() -> None:
    rows = plan(load("P0/fig5"), "toy").study.rows
    pairs = {(row.experiment.model.lnp.alpha, row.experiment.model.lnp.beta) for row in rows}
    assert len(pairs) == len(rows) == 36
    assert (0.5, 0.8) in pairs


WRONG = {
    "a row": (lambda: plan(load("P0/3"), "toy", rows=["Cubic"]), "P0/3 has no row 'Cubic': choose among Constant"),
    "cost": (lambda: plan(load("P1/speed"), "toy"), "not measured by training rows: vmlkit cost cnm"),
    "another family's data": (lambda: plan(load("P0/3"), "thumos14"), "no row of P0/3 runs on 'thumos14'"),
    "files": (lambda: plan(load("P0/3"), "toy", settings={"data.features": "f"}), "read no features from files"),
    "a setting": (lambda: plan(load("P0/3"), "toy", settings={"train.colour": 1}), "unknown setting 'train.colour'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_is_refused(wrong: str) -> None:
    make, said = WRONG[wrong]
    with pytest.raises(ConfigError, match=said):
        make()


def test_every_method_of_a_paper_is_in_some_table() -> None:
    named = {row.method for table in every() for row in table.lines} | {m for t in every() for m in t.hosts.values()}
    assert set(METHODS) <= named
