"""Studies of the reconstruction family as their file describes them."""

import pytest

from vmlkit.config import to_dict
from vmlkit.methods import preset
from vmlkit.reconstruction.studies import STUDIES


def test_a_list_of_metrics_is_a_claim_each() -> None:
    found = [c for c in STUDIES["lnp-kinds"]().claims if c.worse == "square negatives"]
    assert [c.metric for c in found] == ["R@1,mIoU", "R@5,mIoU"]
    assert {c.text for c in found} == {"learned negatives beat square negatives"}


@pytest.mark.parametrize(("study", "row", "variant"), [
    ("lnp-generators", "LNP on CPL, visible negatives", "visible-negatives"),
    ("windows-controls", "visible negatives", "visible-negatives"),
    ("windows-remedy", "windows that follow", "follow-sentences"),
])  # fmt: skip
def test_studies_measure_the_variants_of_the_presets(study: str, row: str, variant: str) -> None:
    (found,) = [r for r in STUDIES[study]().rows if r.name == row]
    wanted = preset("lnp-cpl", variant=variant)
    assert to_dict(found.experiment.model) == to_dict(wanted.model)


def test_the_cpl_of_the_controls_is_the_variant() -> None:
    (found,) = [r for r in STUDIES["windows-controls"]().rows if r.experiment.method == "cpl"]
    assert to_dict(found.experiment.model) == to_dict(preset("cpl", variant="follow-sentences").model)
