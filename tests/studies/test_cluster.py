"""Jobs of a cluster, by submitit's executor on this machine."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.studies.tiny import tiny
from vmlkit.errors import ConfigError
from vmlkit.studies import run
from vmlkit.studies.assembly import study_hash
from vmlkit.studies.cells import Store, cells_of
from vmlkit.studies.cluster import submitted
from vmlkit.studies.run import Options, Order, run_study


@dataclass(frozen=True)
class Fails:
    root: Path

    def carry_out(self) -> None:
        raise ValueError("the node is gone")


@pytest.mark.slow
def test_jobs_share_the_cells(tmp_path: Path) -> None:
    cells, ticks = cells_of(tiny(), seeds=1, rows=("CNM", "CNM, no contrast")), []
    order = Order(cells=cells, root=tmp_path / "runs", study=study_hash(tiny()), call="this")
    submitted([order, order], {}, minutes=5, tick=lambda: ticks.append(None), cluster="local", look=0.2)
    store = Store(tmp_path / "runs")
    assert all(store.finished(cell) for cell in cells)
    assert [line["event"] for cell in cells for line in store.events(cell)] == ["begin", "finish"] * 2
    assert ticks


def test_jobs_that_end_with_an_error_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"1 of 1 jobs ended with an error: job \d+: .*the node is gone"):
        submitted([Fails(tmp_path)], {}, minutes=1, cluster="local", look=0.2)


def test_what_a_cluster_does_not_know_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the jobs cannot be submitted"):
        submitted([Fails(tmp_path)], {"partitoin": "gpu"}, minutes=1, cluster="local")


def test_the_command_submits_as_many_jobs_as_it_says(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def here(works, told, minutes, tick):
        asked.append((len(works), told, minutes))
        replace(works[0], cells=works[0].cells[:1]).carry_out()

    monkeypatch.setattr(run, "submitted", here)
    options = Options(
        seeds=1, rows=("CNM",), jobs=3, minutes=7, executor="slurm", cluster={"partition": "gpu"}, allow_dirty=True
    )
    path = run_study(tiny(), options, store=Store(tmp_path / "runs"), results=tmp_path / "results")
    assert asked == [(3, {"partition": "gpu"}, 7)]
    assert path is not None
