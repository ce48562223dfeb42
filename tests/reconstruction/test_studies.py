"""Studies of the reconstruction family as their file describes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmlkit.config import to_dict
from vmlkit.methods import preset
from vmlkit.reconstruction.studies import STUDIES
from vmlkit.runs import read_json
from vmlkit.studies.cells import cells_of
from vmlkit.studies.storage import changes
from vmlkit.training.study import Study

ROOT = Path(__file__).parents[2]
LNP = [name for name in STUDIES if name.startswith("lnp-")]
DESIGNED = ["cnm", *LNP]
DATA = ("charades", "activitynet")


def settings(study: Study) -> dict[str, dict[str, Any]]:
    return {row.name: to_dict(row.experiment) for row in study.rows}


def negatives(study: str, *names: str) -> list[Any]:
    """Settings of P0's negatives of every row that has them."""
    models = [row["model"]["lnp"] for row in settings(STUDIES[study]()).values() if "lnp" in row["model"]]
    return sorted(tuple(model[name] for name in names) for model in models)


def test_a_list_of_metrics_is_a_claim_each() -> None:
    found = [c for c in STUDIES["lnp-charades-schedule"]().claims if c.worse == "variable negatives"]
    assert [c.metric for c in found] == ["R@1,mIoN", "R@5,mIoN"]
    assert {c.text for c in found} == {"learned negatives have a higher mIoN than variable ones"}


@pytest.mark.parametrize("name", DESIGNED)
def test_a_study_begins_with_its_positive_control(name: str) -> None:
    study = STUDIES[name]()
    assert study.claims[0].kind == "control"
    assert not study.claims[0].premise
    assert any(claim.kind == "paper" for claim in study.claims)


@pytest.mark.parametrize("name", DESIGNED)
def test_rivals_have_the_same_data_and_the_same_budget(name: str) -> None:
    rows = settings(STUDIES[name]()).values()
    first, *rest = [(row["data"], row["train"], row["test_draws"]) for row in rows]
    assert all(row == first for row in rest)


@pytest.mark.parametrize("data", DATA)
def test_studies_of_one_data_set_share_the_cells_of_their_common_rows(data: str) -> None:
    main = settings(STUDIES[f"lnp-{data}"]())
    seen = {cell.key for cell in cells_of(STUDIES[f"lnp-{data}"]())}
    for part in ("kinds", "schedule", "ablations"):
        study = STUDIES[f"lnp-{data}-{part}"]()
        shared = settings(study).keys() & main.keys()
        assert {"CPL", "LNP on CPL"} <= shared
        assert all(settings(study)[row] == main[row] for row in shared)
        assert all(cell.key in seen for cell in cells_of(study) if cell.row.name in shared)


@pytest.mark.parametrize("data", DATA)
def test_the_tables_of_p0_have_all_their_rows(data: str) -> None:
    kinds = {"none", "random", "square", "gaussian", "reversed", "variable", "learned"}
    assert {kind for (kind,) in negatives(f"lnp-{data}-kinds", "negatives")} == kinds
    schedule = negatives(f"lnp-{data}-schedule", "negatives", "alpha", "beta")
    learned = {(alpha, beta) for kind, alpha, beta in schedule if kind == "learned"}
    assert learned == {(a, 0.8) for a in (0, 0.2, 0.5, 1, 2, 5)} | {(0.5, b) for b in (0, 0.5, 0.8, 1)}
    ablations = negatives(f"lnp-{data}-ablations", "freeze_triplet", "selection", "count")
    changed = {("nothing", "soft", 3), *(("masks", s, 3) for s in ("random", "uniform", "hard", "soft"))}
    assert set(ablations) == changed | {("masks", "soft", count) for count in range(1, 6)}
    methods = {row["method"] for row in settings(STUDIES[f"lnp-{data}"]()).values()}
    assert methods == {f"{prefix}{host}" for prefix in ("", "lnp-") for host in ("cnm", "cpl", "pps")}


def proposals(study: Study) -> Iterator[int]:
    """Of every row of a claim about the overlap of the best of five answers."""
    rows = settings(study)
    for claim in study.claims:
        if claim.metric.startswith("R@5,mIoU"):
            for side in {claim.better, claim.worse} & rows.keys():
                model = rows[side]["model"]
                yield model.get("host", model)["proposals"]


@pytest.mark.parametrize("name", LNP)
def test_the_first_five_answers_are_a_choice_where_they_are_claimed(name: str) -> None:
    found = set(proposals(STUDIES[name]()))
    assert found == ({8} if name.endswith("five") else set())


@pytest.mark.parametrize(
    ("study", "row"),
    [("lnp-charades", "LNP on CPL"), ("lnp-activitynet", "CPL"), ("cnm", "CNM")],
)
def test_a_design_beat_the_constant_window_on_validation_before(study: str, row: str) -> None:
    (wanted,) = [r.experiment for r in STUDIES[study]().rows if r.name == row]
    own = changes(to_dict(preset(wanted.method, wanted.data.name, "demo")), to_dict(wanted))
    unseen = {"data.max_test_queries", "test_draws"}  # settings of the test split, at which no such run looked
    tried = read_json(ROOT / "results" / "selection" / "planted.json")["runs"]
    same = [run for run in tried if (run["method"], run["data"]) == (wanted.method, wanted.data.name)]
    same = [run for run in same if run["changed"] == {name: own[name] for name in own if name not in unseen}]
    assert same
    assert all(run["R@1,mIoU"][-1][1] > run["best constant window"] for run in same)


def test_the_weak_diversity_is_cpl_s_on_activitynet() -> None:
    wanted = to_dict(preset("cpl", "activitynet", "paper").model)
    for row in settings(STUDIES["lnp-toy-weak"]()).values():
        host = row["model"].get("host", row["model"])
        assert (host["rank_weight"], host["diversity_weight"]) == (wanted["rank_weight"], wanted["diversity_weight"])


@pytest.mark.parametrize(("study", "row", "variant"), [
    ("windows-controls", "visible negatives", "visible-negatives"),
    ("windows-remedy", "windows that follow", "follow-sentences"),
])  # fmt: skip
def test_studies_measure_the_variants_of_the_presets(study: str, row: str, variant: str) -> None:
    (found,) = [r for r in STUDIES[study]().rows if r.name == row]
    wanted = preset("lnp-cpl", variant=variant)
    assert to_dict(found.experiment.model) == to_dict(wanted.model)


def test_the_cpl_that_follows_is_the_variant() -> None:
    (found,) = [r for r in STUDIES["windows-cause"]().rows if r.name == "CPL that follows"]
    assert to_dict(found.experiment.model) == to_dict(preset("cpl", variant="follow-sentences").model)
