"""Studies as data: what a claim must say, and which rows have more seeds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.studies.tiny import tiny
from vmlkit.errors import ConfigError
from vmlkit.methods import STUDIES
from vmlkit.reconstruction.presets import PRESETS
from vmlkit.training.study import OTHER_SEEDS, PRIMARY_SEEDS, Claim, class_of, studies_of


def claim(**fields: Any) -> Claim:
    return Claim(**{"text": "A beats B", "source": "ours", "better": "CPL", "worse": "CNM", **fields})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "sanity"}, "is of the class 'sanity': choose one of paper, prior, control, ours"),
        ({"delta": 0.0}, "'delta' of the claim 'A beats B' must be positive, not 0.0"),
    ],
)
def test_a_claim_that_cannot_be_tested_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        claim(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"claims": (claim(better="PPS"),)}, "study 'tiny': the claim 'A beats B' is about 'PPS', no row"),
        ({"claims": (claim(premise="C beats D"),)}, "the premise 'C beats D' is not among its claims"),
        ({"primary": ("C beats D",)}, "the primary claim 'C beats D' is not among its claims"),
        ({"rows": tiny().rows * 2}, "two rows are called 'CPL'"),
    ],
)
def test_a_study_that_names_what_it_does_not_have_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(tiny(), **{"primary": (), **wrong})


def test_rows_of_primary_claims_have_more_seeds() -> None:
    study = tiny()
    assert study.seeds_of("CNM") == study.seeds_of("CPL") == tuple(range(PRIMARY_SEEDS))
    assert study.seeds_of("CNM, no contrast") == tuple(range(OTHER_SEEDS))
    assert replace(study, other_seeds=2).seeds_of("CNM, no contrast") == (0, 1)
    assert replace(study, other_seeds=2).seeds_of("CPL") == tuple(range(PRIMARY_SEEDS))


def test_a_file_may_name_class_delta_premise_and_primary_claims(tmp_path: Path) -> None:
    record = {
        "title": "A study", "note": "", "data": "toy", "size": "ci", "settings": {}, "primary": ["CPL beats CNM"],
        "rows": [{"name": "CPL", "method": "cpl"}, {"name": "CNM", "method": "cnm"}],
        "claims": [
            {"source": "P1 Table 2", "better": "CPL", "worse": "CNM", "delta": 0.02},
            {"text": "that needs the video", "source": "control", "better": "CPL", "worse": "CNM",
             "premise": "CPL beats CNM"},
            {"source": "P1 Table 2", "better": "CPL", "worse": "whole video"},
            {"text": "ours", "source": "P1 Table 2", "better": "CPL", "worse": "CNM", "class": "ours"},
        ],
    }  # fmt: skip
    path = tmp_path / "studies.json"
    path.write_text(json.dumps({"one": record}))
    study = studies_of(path, PRESETS)["one"]()
    assert [c.kind for c in study.claims] == ["paper", "control", "prior", "ours"]
    assert study.claims[0].delta == 0.02
    assert study.claims[1].premise == "CPL beats CNM"
    assert study.primary == ("CPL beats CNM",)


def test_a_study_may_be_like_another_one(tmp_path: Path) -> None:
    base = {
        "title": "A study", "note": "all", "data": "toy", "size": "ci",
        "settings": {
            "every row": {"train.epochs": 3}, "every cpl": {"model.proposals": 5}, "slow": {"train.lr": 0.001},
        },
        "rows": [{"name": "CPL", "method": "cpl", "with": "slow"}, {"name": "CNM", "method": "cnm"}],
        "claims": [{"source": "CPL", "better": "CPL", "worse": "CNM"}],
    }  # fmt: skip
    other = {"like": "one", "title": "Another", "settings": {"every row": {"train.epochs": 4}}, "other_seeds": 2}
    path = tmp_path / "studies.json"
    path.write_text(json.dumps({"one": base, "other": other, "third": {"like": "other", "note": "less"}}))
    one, another, third = (make() for make in studies_of(path, PRESETS).values())
    (cpl, cnm), (cpl_there, _) = ([row.experiment for row in study.rows] for study in (one, third))
    assert (cpl.train.epochs, cpl.model.proposals, cpl.train.lr) == (3, 5, 0.001)
    assert (cnm.train.epochs, cnm.train.lr) == (3, 0.002)
    assert (cpl_there.train.epochs, cpl_there.model.proposals, cpl_there.train.lr) == (4, 5, 0.001)
    assert [study.title for study in (one, another, third)] == ["A study", "Another", "Another"]
    assert [study.note for study in (one, another, third)] == ["all", "all", "less"]
    assert third.seeds_of("CPL") == (0, 1)
    assert third.claims == one.claims


def test_classes_follow_from_the_source() -> None:
    assert class_of("P0 Fig. 4", True) == "paper"
    assert class_of("P4 Sec. 1", True) == "paper"
    assert class_of("paper against code", True) == "ours"


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_controls_have_a_premise_but_for_the_first_and_every_study_is_well_formed(name: str) -> None:
    study = STUDIES[name]()
    rest = [bool(claim.premise) for claim in study.claims if claim.kind == "control"]
    assert rest == sorted(rest), "positive controls, which control no other claim, come first"
    judged = {(claim.text, claim.metric) for claim in study.claims}
    assert {(claim.premise, claim.metric) for claim in study.claims if claim.premise} <= judged
    assert all(claim.kind in ("paper", "ours") for claim in study.claims if claim.text in study.primary)
