"""Presets: every combination exists, survives JSON, and a run can be opened again as the experiment it was."""

import dataclasses
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from vmlkit.actions.planted import PlantedActionConfig
from vmlkit.actions.sources import ActionData, PlantedActionData, ToyActionData
from vmlkit.config import from_dict, to_dict, with_overrides
from vmlkit.data.planted import PlantedConfig
from vmlkit.data.settings import CorpusData, DataConfig, PlantedData, ToyData
from vmlkit.data.sources import MOMENTS, load
from vmlkit.detr.settings import DetrToyData
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, experiment_of, experiment_of_settings, load_run, run_experiment
from vmlkit.methods import METHODS, preset
from vmlkit.training.evaluate import evaluate

DATA = ("toy", "planted:charades", "charades", "activitynet")
TINY = {
    "data.train_videos": 8,
    "data.validation_videos": 3,
    "data.test_videos": 3,
    "train.epochs": 1,
    "train.warmup_updates": 2,
}


#: the weakly supervised family, which knows every source of moments
WEAK = [name for name, entry in METHODS.items() if entry.view is MOMENTS]


@pytest.mark.parametrize(("method", "data"), list(itertools.product(WEAK, DATA)))
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
    data = load(experiment.data, progress=False).train
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


#: the one list of settings that runs wrote before each kind of source had its own
FLAT: dict[str, Any] = {
    "name": "toy", "clips": 64, "seed": 0, "max_train_queries": None, "max_validation_queries": None,
    "max_test_queries": None, "annotations": None, "features": None, "feature_dataset": None, "word_vectors": None,
    "durations": None, "max_words": 20, "vocab_size": None, "validation_share": 0.1, "unknown_sentence": "keep",
    "beyond_duration": "error", "feature_dtype": "float32", "planted_seed": 2024, "planted_dim": 128,
    "planted_fps": 2.0, "planted_a": 1.0, "planted_b": 1.0, "planted_sigma": 1.0, "planted_action_noise": 0.45,
    "planted_action_core": 1.0, "prompt_template": None, "prompt_join": None, "prompt_adjectives": False,
    "toy_world_seed": 0, "toy_train_videos": 700, "toy_validation_videos": 60, "toy_test_videos": 140,
    "toy_feature_dim": 128, "toy_frame_px": 32, "toy_staging": "default", "moments": "anywhere",
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "flat", "data"),
    [
        ("cpl", {"toy_train_videos": 9, "toy_staging": "cast"}, ToyData(train_videos=9, staging="cast")),
        ("cpl", {"toy_world_seed": 2, "moments": "early", "features": "f"}, ToyData(world_seed=2)),
        ("bm-detr", {"moments": "early", "toy_feature_dim": 64}, DetrToyData(moments="early", feature_dim=64)),
        ("tsm", {"prompt_template": "a ", "toy_frame_px": 16}, ToyActionData(prompt_template="a ", frame_px=16)),
        (
            "cnm",
            {"name": "planted:charades", "planted_sigma": 0.5, "planted_seed": 1, "max_words": 9},
            PlantedData(planted=PlantedConfig(sigma=0.5, seed=1), max_words=9),
        ),
        ("cnm", {"name": "activitynet", "features": "f"}, CorpusData(name="activitynet", features="f")),
        (
            "co2net",
            {"name": "planted:thumos14", "planted_dim": 32, "planted_seed": 7, "planted_action_noise": 0.6},
            PlantedActionData(planted=PlantedActionConfig(d=16, seed=7, noise=0.6)),
        ),
        (
            "co2net",
            {"name": "thumos14", "features": "f", "feature_dtype": "float16"},
            ActionData(name="thumos14", features="f"),
        ),
    ],
)
def test_data_settings_of_earlier_runs_are_read(method: str, flat: dict[str, Any], data: DataConfig) -> None:
    settings = {**to_dict(preset(method)), "data": {**FLAT, **flat}}
    assert experiment_of_settings(settings).data == data
    with pytest.raises(ConfigError, match=r"unknown settings for .*: blips"):
        experiment_of_settings({**settings, "data": {**FLAT, **flat, "blips": 1}})
    with pytest.raises(ConfigError, match="setting 'name' must be one of 'toy'"):
        experiment_of_settings({**settings, "data": {**FLAT, "name": "youcook"}})


def test_an_earlier_run_opens_and_is_not_trained_again(tmp_path: Path) -> None:
    experiment = with_overrides(preset("cnm", "toy", "ci"), TINY)
    run = run_experiment(experiment, tmp_path / "run", progress=False)
    record = run.config
    record["settings"]["data"] = {**FLAT, **{f"toy_{key[5:]}": value for key, value in TINY.items() if "data" in key}}
    (run.path / "config.json").write_text(json.dumps(record))
    _, splits, opened = load_run(run.path, progress=False)
    assert opened == experiment
    before = run.checkpoint.stat().st_mtime_ns
    run_experiment(experiment, run.path, progress=False, splits=splits)
    assert run.checkpoint.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="holds another run: settings"):
        run_experiment(with_overrides(experiment, {"data.seed": 3}), run.path, progress=False, splits=splits)


def test_the_seed_fixes_the_first_weights() -> None:
    experiment = with_overrides(preset("cpl", "toy", "ci"), TINY)
    data = load(experiment.data, progress=False).train
    first, same = (build(experiment, data).state_dict()["front.frame_projection.weight"] for _ in range(2))
    changed = with_overrides(experiment, {"train.seed": 1})
    other = build(changed, data).state_dict()["front.frame_projection.weight"]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
