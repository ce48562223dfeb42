"""Studies of the reconstruction family as their file describes them."""

import dataclasses

from vmlkit.config import to_dict
from vmlkit.reconstruction.presets import toy, visible_negatives
from vmlkit.reconstruction.studies import STUDIES


def test_a_list_of_metrics_is_a_claim_each() -> None:
    found = [c for c in STUDIES["lnp-kinds"]().claims if c.worse == "square negatives"]
    assert [c.metric for c in found] == ["R@1,mIoU", "R@5,mIoU"]
    assert {c.text for c in found} == {"learned negatives beat square negatives"}


def test_the_study_shows_the_visible_negatives_of_the_presets() -> None:
    (row,) = [r for r in STUDIES["lnp-generators"]().rows if r.name == "LNP on CPL, visible negatives"]
    own = toy("lnp-cpl", "demo").model.lnp
    wanted = dataclasses.replace(visible_negatives(), rule_sigma=own.rule_sigma, gamma=own.gamma)
    assert to_dict(row.experiment.model.lnp) == to_dict(wanted)
