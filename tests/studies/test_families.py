"""A study of every family: outcomes, baselines and groups as its data have them."""

from pathlib import Path

import pytest

from tests.studies.tiny import SMALL
from vmlkit.config import with_overrides
from vmlkit.methods import preset
from vmlkit.studies.cells import Store
from vmlkit.studies.results import load_results
from vmlkit.studies.run import Options, run_study
from vmlkit.training.study import Claim, Row, Study

FEW = {"data.test_videos": 6, "train.epochs": 1}
#: by method: further settings, the metrics of a study, and a baseline
FAMILIES = {
    "qd-detr": ({"data.moments": "early", "data.clips": 16}, ("R@1,mIoU", "R@1,IoU=0.5 (ood)"), "whole video"),
    "basnet": ({"model.steps_per_epoch": 2}, ("mAP@0.3:0.7", "mAP@0.1", "attention_fpr"), "whole video"),
    "p4-xclip": ({}, ("t2v R@1", "v2t R@5", "match accuracy"), "chance"),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", FAMILIES)
def test_a_study_of_a_family(method: str, tmp_path: Path) -> None:
    settings, metrics, baseline = FAMILIES[method]
    experiment = with_overrides(preset(method, "toy", "ci"), SMALL | FEW | settings)
    claims = tuple(Claim(text=m, source="test", better="A", worse=baseline, metric=m, kind="prior") for m in metrics)
    study = Study(name="one", title="", rows=(Row(name="A", experiment=experiment),), claims=claims, metrics=metrics)
    store, out = Store(tmp_path / "runs"), tmp_path / "results"
    run_study(study, Options(seeds=2, allow_dirty=True), store=store, results=out)
    results = load_results("one", out)
    assert results.outcomes.groupby(["row", "seed"], observed=True).size().nunique() == 1
    for metric in metrics:
        printed = {cell["seed"]: cell["test"][metric] for cell in results.record["cells"]}
        assert results.values("A", metric) == pytest.approx(printed, abs=0.005), metric
    assert results.values(baseline, metrics[0])
    assert "video" in results.outcomes
    assert ("group" in results.outcomes) == (method == "qd-detr")
