"""Presets: every combination exists, survives JSON, and a run can be opened again as the experiment it was."""

import dataclasses
import itertools
import json
import warnings
from pathlib import Path

import pytest
import torch

from vmlkit.config import from_dict, to_dict, with_overrides
from vmlkit.data.sources import load_splits
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, experiment_of, load_run, run_experiment
from vmlkit.methods import METHODS, preset
from vmlkit.training.evaluate import evaluate

DATA = ("toy", "planted:charades", "charades", "activitynet")
TINY = {
    "data.toy_train_videos": 8,
    "data.toy_validation_videos": 3,
    "data.toy_test_videos": 3,
    "train.epochs": 1,
    "train.warmup_updates": 2,
}


#: the weakly supervised family, which knows every source of moments
MOMENTS = [name for name, entry in METHODS.items() if entry.load is load_splits]


@pytest.mark.parametrize(("method", "data"), list(itertools.product(MOMENTS, DATA)))
def test_every_preset_survives_json(method: str, data: str) -> None:
    for size in ("ci", "demo", "paper"):
        experiment = preset(method, data, size)
        assert experiment.data.name == data
        kind = METHODS[method].config
        assert isinstance(experiment.model, kind)
        assert from_dict(kind, json.loads(json.dumps(to_dict(experiment.model)))) == experiment.model


def test_paper_presets_are_the_released_configurations() -> None:
    cpl = preset("cpl", "charades", "paper")
    assert (cpl.model.proposals, cpl.model.sigma, cpl.model.diversity_target) == (8, 9.0, 0.146)
    assert (cpl.data.clips, cpl.train.epochs, cpl.train.batch_size, cpl.train.lr) == (200, 30, 32, 4e-4)
    activitynet = preset("cpl", "activitynet", "paper")
    assert (activitynet.model.gamma, activitynet.model.rank_weight, activitynet.vote) == (0.0, 2.0, "activitynet")
    lnp = preset("lnp-cpl", "charades", "paper").model.lnp
    assert (lnp.count, lnp.alpha, lnp.beta, lnp.dual_signed_weight, lnp.margin) == (3, 0.5, 0.8, 0.03, 0.15)


@pytest.mark.parametrize("wrong", [("x", "toy", "ci"), ("cpl", "x", "ci"), ("cpl", "toy", "x")])
def test_unknown_names_are_refused(wrong: tuple[str, str, str]) -> None:
    with pytest.raises(ConfigError, match="choose"):
        preset(*wrong)


@pytest.mark.parametrize("method", ["cpl", "lnp-pps"])
def test_rescaling_lambda_is_said(method: str) -> None:
    """w* = sigma / (2 sqrt(pi) lambda S): on another grid the published lambda would mean other widths."""
    experiment = with_overrides(preset(method, "toy", "ci"), TINY)
    data = load_splits(experiment.data, progress=False).train
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(experiment, data)
    host = getattr(experiment.model, "host", experiment.model)
    other = dataclasses.replace(host, published_cells=50)
    model = other if host is experiment.model else dataclasses.replace(experiment.model, host=other)
    with pytest.warns(UserWarning, match="multiplied by 3.1"):
        build(dataclasses.replace(experiment, model=model), data)


def test_a_run_opens_as_the_experiment_it_was(tmp_path: Path) -> None:
    experiment = with_overrides(preset("lnp-cpl", "toy", "ci"), TINY)
    run = run_experiment(experiment, tmp_path / "run", progress=False)
    assert experiment_of(run) == experiment
    assert {"gradient/dual_signed on heads", "curriculum/c"} <= set(run.epochs.columns)
    negatives = run.proposals[run.proposals.role == "negative"]
    assert negatives[["center", "width", "weight", "nll", "iou", "ion"]].notna().all(axis=None)
    method, splits, _ = load_run(run.path, progress=False)
    again, _ = evaluate(method, splits.test, 1)
    assert 0 <= again["R@1,mIoU"] <= 1
    before = run.checkpoint.stat().st_mtime_ns
    run_experiment(experiment, tmp_path / "run", progress=False)
    assert run.checkpoint.stat().st_mtime_ns == before, "a finished run is returned as it is"


def test_the_seed_fixes_the_first_weights() -> None:
    experiment = with_overrides(preset("cpl", "toy", "ci"), TINY)
    data = load_splits(experiment.data, progress=False).train
    first, same = (build(experiment, data).state_dict()["front.frame_projection.weight"] for _ in range(2))
    changed = with_overrides(experiment, {"train.seed": 1})
    other = build(changed, data).state_dict()["front.frame_projection.weight"]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
