"""Presets of action localisation: every combination exists, survives JSON, and is the released configuration."""

import itertools
import json

import pytest

from vmlkit.actions.methods import METHODS as ACTION_METHODS
from vmlkit.actions.methods import context_words
from vmlkit.actions.sources import ACTIONS, ToyActionData
from vmlkit.actions.studies import STUDIES
from vmlkit.actions.text_queries import TextQueryConfig
from vmlkit.config import from_dict, to_dict, with_overrides
from vmlkit.data.sources import load
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import experiment_of_settings
from vmlkit.methods import METHODS, preset
from vmlkit.training.experiment import Experiment

DATA = ("toy", "planted:thumos14", "thumos14")


@pytest.mark.parametrize(("method", "data"), list(itertools.product(ACTION_METHODS, DATA)))
def test_every_preset_survives_json(method: str, data: str) -> None:
    for size in ("ci", "demo", "paper"):
        experiment = preset(method, data, size)
        assert experiment.data.name == data
        kind = METHODS[method].config
        assert isinstance(experiment.model, kind)
        assert from_dict(kind, json.loads(json.dumps(to_dict(experiment.model)))) == experiment.model
        assert experiment.train.choose_epoch_by == "last", "no time label chooses an epoch"
        assert (experiment.model.vlc is not None) == (method == "tsm-vlc")


def test_paper_presets_are_the_released_configurations() -> None:
    p3 = preset("tsm-vlc", "thumos14", "paper")
    assert (p3.data.clips, p3.train.batch_size, p3.train.lr) == (320, 10, 5e-5)
    assert p3.train.epochs * p3.model.steps_per_epoch == 7000
    assert (p3.model.host.ratio, p3.model.host.pairs, p3.model.host.text.prompts) == (7, 3, 9)
    assert (p3.model.host.mutual_weight, p3.model.host.rebuild_weight) == (0.0, 1.5)
    assert (p3.model.vlc.consistency, p3.model.vlc.mask_input, p3.model.vlc.easy_margin) == ("mse", False, 0.15)
    assert p3.model.vlc.lr == 4e-4
    hamnet, basnet = (preset(m, "thumos14", "paper") for m in ("hamnet", "basnet"))
    assert (hamnet.data.clips, hamnet.train.batch_size, hamnet.train.lr) == (500, 20, 1e-5)
    assert (basnet.data.clips, basnet.model.host.ratio, basnet.model.weight_decay) == (750, 8, 5e-4)
    anet = preset("tsm-vlc", "activitynet1.3", "paper")
    assert (anet.data.clips, anet.model.host.pool, anet.model.host.ratio) == (60, 5, 5)
    assert (anet.model.vlc.consistency_weight, anet.model.vlc.rebuild_weight) == (0.25, 0.15)


@pytest.mark.parametrize("wrong", [("co2net", "charades", "ci"), ("basnet", "activitynet1.3", "paper")])
def test_combinations_that_do_not_exist_say_what_does(wrong: tuple[str, str, str]) -> None:
    with pytest.raises(ConfigError):
        preset(*wrong)


def test_the_words_of_the_handcrafted_prompt_have_vectors() -> None:
    small = ToyActionData(train_videos=24, validation_videos=4, test_videos=5)
    data = load(small, view=ACTIONS, progress=False).train
    words = context_words(data)
    assert words.shape == (3, data.vectors.shape[1])
    assert bool((words.norm(dim=1) > 0).all())
    assert bool((words[0] == data.vectors[data.vocabulary.ids(["a"])[0]]).all())


def table_rows(study: str = "p3-tables") -> dict[str, Experiment]:
    return {row.name: row.experiment for row in STUDIES[study]().rows}


@pytest.mark.parametrize("study", ["p3-tables", "p3-toy", "planted-thumos14"])
def test_every_row_of_the_tables_is_an_experiment_of_its_own(study: str) -> None:
    rows = table_rows(study)
    for name, experiment in rows.items():
        assert experiment_of_settings(json.loads(json.dumps(to_dict(experiment)))) == experiment
        if name.startswith(("BaS-Net", "HAM-Net", "CO2-Net")):
            assert (experiment.model.vlc is not None) == ("VLC" in name)
            assert (experiment.model.host.text is not None) == ("TSM" in name)
    assert all(a != b for a, b in itertools.combinations(rows.values(), 2))


def test_rows_change_what_the_tables_say() -> None:
    rows = table_rows()
    assert rows["KL"].model.vlc.consistency == "kl"
    assert rows["GRU"].model.vlc.reconstructor == "gru"
    assert rows["shared attention"].model.vlc.attention is None
    assert rows["hand-crafted prompt"].model.host.text.prompt == "handcrafted"
    assert rows["baseline + L_rec + L_con"].model.vlc.contrast_weight == 0
    assert rows["a [CLS]"].data.prompt_template == "a "


def test_a_template_changes_the_captions() -> None:
    small = {"data.train_videos": 24, "data.validation_videos": 4, "data.test_videos": 5}
    texts = {}
    for row in ("a [CLS]", "a video of the [CLS]"):
        experiment = with_overrides(table_rows()[row], small)
        texts[row] = METHODS["tsm-vlc"].load(experiment.data, progress=False).train.sentences[0]
    assert texts["a [CLS]"].startswith("a ")
    assert texts["a video of the [CLS]"] == "a video of the " + texts["a [CLS]"].removeprefix("a ")


OLD_TRAINING = {
    "schedule": "alternate", "reconstruction_weight": 1.0, "contrast_weight": 1.0, "vlc_lr": 1e-3,
    "vlc_warmup_updates": 50, "stale_gradient_clipping": True,
}  # fmt: skip


@pytest.mark.parametrize("method", ["basnet", "co2net", "tsm", "tsm-vlc"])
def test_a_run_recorded_under_the_old_names_is_read(method: str) -> None:
    """As 0.1.0 wrote it: a switch for the class texts, the completion's training beside it, sizes of the release."""
    experiment = preset(method, "toy", "ci")
    record = to_dict(experiment)
    model = record["model"]
    if model["host"]["text"] is None:
        model["host"] |= {"classifier": "conv", "text": to_dict(TextQueryConfig(heads=4))}
    else:
        model["host"]["classifier"] = "text"
    if method == "basnet":
        model["host"]["segments"] = experiment.data.clips
    if model["vlc"] is not None:
        stood_apart = {name.removeprefix("vlc_") for name in OLD_TRAINING}
        model["vlc"] = {name: value for name, value in model["vlc"].items() if name not in stood_apart}
        model["vlc"] |= {"contrast": True, "pool": None, "unused_parts": False}
    model |= OLD_TRAINING
    assert experiment_of_settings(record) == experiment
    if model["vlc"] is None:
        del model["vlc"]  # a record from before there was a completion network: it takes the default, none
        assert experiment_of_settings(record) == experiment
    else:
        model["vlc"]["pool"] = 5
        with pytest.raises(ConfigError, match="pool"):
            experiment_of_settings(record)
