"""The film of README.md: what is said of it is written from its record, and carried by its numbers."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from tests.browsing import ROOT  # also puts tools/ on the path
from tests.viz.make_run import write_run
from tools.pages import readme
from vmlkit.viz.following import following
from vmlkit.viz.phases import negative_overlaps
from vmlkit.viz.snapshots import RunView

RESULTS = ROOT / "results"


@pytest.fixture
def record() -> dict:
    return json.loads((RESULTS / readme.FILM).read_text(encoding="utf-8"))


def test_the_readme_has_what_its_record_gives() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.updated(text, readme.film(RESULTS), part="film") == text, "run: python -m tools.pages readme"


def test_alternative_text_claims_no_movement_that_its_numbers_deny(record: dict) -> None:
    said = readme.seen(record)
    own = record["overlap_of_its_negatives"]
    assert ("leave the shaded moment" in said) == (own["turn"] < own["start"])
    assert ("come back towards it" in said) == (own["end"] > own["turn"])
    still = copy.deepcopy(record)
    still["overlap_of_its_negatives"] = dict.fromkeys(own, 0.2)
    assert "leave" not in readme.seen(still)
    assert "come back towards" not in readme.seen(still)


def test_the_record_is_read_from_the_run(tmp_path: Path) -> None:
    from scrubber_gif import clearest_query, numbers

    path = write_run(tmp_path / "run")
    config = json.loads((path / "config.json").read_text())
    settings = {"data": {"name": "toy"}, "train": {"epochs": 12, "seed": 3}}
    (path / "config.json").write_text(json.dumps({**config, "method": "lnp-cpl", "settings": settings}))
    view = RunView(path)
    query = clearest_query(view)
    found, overlaps = numbers(view, query, path), negative_overlaps(view)
    assert found["sentence"] == view.query(query)["sentence"]
    assert found["mean_overlap"] == overlaps.mean().round(3).to_dict()
    assert found["share_back"] == pytest.approx((overlaps["end"] > overlaps["turn"]).mean(), abs=1e-3)
    assert found["following"] == found["papers_own"] == following(view)
    assert np.isfinite(list(found["answer_iou"].values())).all()
    assert json.loads(json.dumps(found)) == found
