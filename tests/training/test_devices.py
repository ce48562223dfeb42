"""Where things are computed and where they are afterwards; and every method on a card, where there is one."""

import dataclasses

import pytest
import torch
from torch import nn

from tests.training import tiny
from tests.training.tiny import TinyMethod
from vmlkit.data.resident import Residence
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import load_run, run_experiment
from vmlkit.methods import METHODS, preset
from vmlkit.training import loop, start
from vmlkit.training.checkpoints import global_generators, set_global_generators
from vmlkit.training.final import final_evaluation
from vmlkit.training.start import choose_device, moved

TRAIN, VALIDATION = tiny.tiny_dataset("train", 12, 0), tiny.tiny_dataset("validation", 6, 1)
ON_A_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
META = torch.device("meta")


def test_auto_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("VMLKIT_DEVICE", "meta")
    assert choose_device("auto") == META
    assert choose_device("cpu") == torch.device("cpu"), "a setting counts more"
    monkeypatch.setenv("VMLKIT_DEVICE", "cuda:99")
    with pytest.raises(ConfigError, match=r"^\$VMLKIT_DEVICE is 'cuda:99': "):
        choose_device("auto")
    monkeypatch.setenv("VMLKIT_DEVICE", "")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match=r"^--device is 'sofa': "):
        choose_device("sofa", "--device")


def test_a_method_is_lent_and_comes_back_also_after_an_error():
    method = nn.Linear(2, 2)
    with moved(method, None):
        assert method.weight.device.type == "cpu"
    with pytest.raises(KeyError), moved(nn.Linear(2, 2, device=META), META):
        raise KeyError
    method = nn.Linear(2, 2)
    with pytest.raises((NotImplementedError, KeyError)), moved(method, META):  # meta tensors cannot be read back
        raise KeyError


def test_training_and_scoring_ask_for_the_method_to_be_moved_and_returned(tmp_path, monkeypatch):
    """The block that moves is the one that trains: on a CPU there is nowhere to go, so the asking is watched."""
    asked = []

    class Watched(TinyMethod):
        def to(self, *args, **kwargs):
            asked.append(args[0])
            return super().to(*args, **kwargs)

    method, cpu = Watched(), torch.device("cpu")
    config = dataclasses.replace(tiny.CONFIG, epochs=1, device="cpu")
    run = loop.train(method, TRAIN, VALIDATION, config, tmp_path / "run", tiny.DESCRIPTION, progress=False)
    assert asked == [cpu, cpu]
    final_evaluation(method, run.path, TRAIN, VALIDATION, VALIDATION, device=cpu)
    assert asked == [cpu] * 4


def test_the_loop_serves_from_where_the_split_lies(tmp_path, monkeypatch):
    """A split that stays on the host is copied batch by batch; one on the device is not."""
    served, moves = [], []

    class Elsewhere(Residence):
        def admit(self, split):
            served.append(split.name)
            return super().admit(split)

    class Watched(TinyMethod):
        def step(self, batch, *rest):
            moves.append(batch.frames.device)
            return super().step(batch, *rest)

    monkeypatch.setattr(loop, "Residence", Elsewhere)
    config = dataclasses.replace(tiny.CONFIG, epochs=1, resident="on", resident_gb=1e-9)
    loop.train(Watched(), TRAIN, VALIDATION, config, tmp_path / "run", tiny.DESCRIPTION, progress=False)
    assert served == [TRAIN.name, VALIDATION.name]
    assert set(moves) == {torch.device("cpu")}


def test_the_state_of_the_card_in_use_is_saved(monkeypatch):
    """With two cards, the generator of the second is not that of the current one."""
    states, calls = {"cuda:0": torch.tensor([0]), "cuda:1": torch.tensor([1])}, []

    class Module:
        @staticmethod
        def get_rng_state(device="cuda:0"):
            return states[str(device)]

        @staticmethod
        def set_rng_state(state, device="cuda:0"):
            calls.append((int(state), str(device)))

    monkeypatch.setattr(torch, "get_device_module", lambda device: Module)
    saved = global_generators(torch.device("cuda:1"))
    assert int(saved["accelerator"]) == 1
    set_global_generators(saved, torch.device("cuda:1"))
    assert calls == [(1, "cuda:1")]


@ON_A_CARD
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resident", ["on", "off"])
def test_every_method_trains_and_answers_on_a_card(method, resident, tmp_path, monkeypatch):
    experiment = preset(method, "toy", "ci")
    data = dataclasses.replace(experiment.data, train_videos=24, validation_videos=4, test_videos=4)
    train = dataclasses.replace(
        experiment.train, epochs=1, probe_queries=2, device="cuda", resident=resident, choose_epoch_by="last"
    )
    experiment = dataclasses.replace(experiment, data=data, train=train)
    run = run_experiment(experiment, tmp_path / "run", progress=False)
    assert run.finished
    loaded, splits, _ = load_run(run.path, progress=False)
    assert next(loaded.parameters()).device.type == "cpu"
    there, _, _ = load_run(run.path, progress=False, device="cuda")
    assert next(there.parameters()).device.type == "cuda"
    monkeypatch.setenv("VMLKIT_DEVICE", "cuda")
    assert start.choose_device("auto").type == "cuda"
    batch = splits.train.batch([0, 1])
    if not hasattr(loaded, "localise") and method != "p4-xclip":
        said = loaded.predict(batch, torch.Generator()), there.predict(batch.to("cuda"), torch.Generator("cuda"))
        assert said[0].centers.shape == said[1].centers.shape


@pytest.mark.parametrize(("device", "deterministic"), [("cuda", True), ("cuda", False), ("cpu", True)])
def test_deterministic_attention_on_a_card_is_computed_in_order(device, deterministic, monkeypatch):
    monkeypatch.setattr(start, "global_generators", lambda device: {})
    monkeypatch.setattr(start, "set_global_generators", lambda states, device: None)
    fast = (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.flash_sdp_enabled)
    before = [enabled() for enabled in fast]
    with start.Reproducible(1, torch.device(device), threads=None, deterministic=deterministic)():
        inside = [enabled() for enabled in fast]
    assert inside == ([False, False] if device == "cuda" and deterministic else before)
    assert [enabled() for enabled in fast] == before == [True, True]
